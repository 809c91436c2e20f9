using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>dump.rdb: when it is written and loaded, what it contains, and what happens on failure.</summary>
[Trait("Needs", "servers")]
public sealed class DumpFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("orleansredis-dump-").FullName;
    private readonly List<string> _log = [];
    private readonly List<EngineHarness> _harnesses = [];

    private string DumpPath => Path.Combine(_directory, "dump.rdb");

    public void Dispose()
    {
        foreach (EngineHarness redis in _harnesses) redis.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void What_is_saved_is_loaded()
    {
        EngineHarness redis = NewEngine();
        foreach (string[] command in RdbDataSet.Commands()) redis.Run(command);
        Assert.True(redis.Files.Dump.Changes > 0);
        Assert.Equal("OK", redis.Run("SAVE"));
        Assert.Equal(0, redis.Files.Dump.Changes);
        Assert.Equal(redis.NowMs / 1000, redis.Run("LASTSAVE"));
        Assert.Equal([DumpPath], Directory.GetFiles(_directory));
        EngineHarness other = NewEngine();
        other.Files.Load(CancellationToken.None);
        Assert.Equal(KeyspaceDigest.OfAll(redis.Store.Slots), KeyspaceDigest.OfAll(other.Store.Slots));
        Assert.Equal(redis.Store.Slots.CountKeys(), other.Store.Slots.CountKeys());
        Assert.Equal(0, other.Files.Dump.Changes);
        Assert.Contains(_log, line => line.StartsWith("Done loading RDB, keys loaded: ", StringComparison.Ordinal));
    }

    [Fact]
    public void Without_a_file_there_is_no_data()
    {
        EngineHarness redis = NewEngine();
        redis.Files.Load(CancellationToken.None);
        Assert.Equal(0L, redis.Run("DBSIZE"));
        Assert.DoesNotContain(_log, line => line.Contains("loaded"));
    }

    [Fact]
    public void What_has_expired_is_not_loaded()
    {
        EngineHarness redis = NewEngine();
        redis.Run("SET", "gone", "1", "PX", "100");
        redis.Run("SET", "here", "1", "PX", "10000");
        redis.Run("SAVE");
        EngineHarness other = NewEngine();
        other.Time.Advance(200);
        other.Files.Load(CancellationToken.None);
        Assert.Equal(1L, other.Run("DBSIZE"));
        Assert.Equal((1, 1), (other.Files.LastLoadKeysLoaded, other.Files.LastLoadKeysExpired));
    }

    [Theory]
    [InlineData(5)]     // in the header
    [InlineData(-40)]   // in the middle
    [InlineData(-2)]    // in the checksum
    public void A_damaged_file_is_refused_with_its_name_the_place_and_what_to_run(int position)
    {
        EngineHarness redis = NewEngine();
        for (int i = 0; i < 100; i++) redis.Run("SET", $"key:{i}", $"{i * 1000003L}");
        redis.Run("SAVE");
        byte[] bytes = File.ReadAllBytes(DumpPath);
        bytes[position < 0 ? bytes.Length + position : position] ^= 0x55;
        File.WriteAllBytes(DumpPath, bytes);
        string message = Assert.Throws<LoadException>(() => NewEngine().Files.Load(CancellationToken.None)).Message;
        Assert.StartsWith($"Fatal error loading the DB: {DumpPath} cannot be loaded beyond byte ", message);
        Assert.Contains($"orleansredis-check-rdb {DumpPath}", message);
    }

    [Fact]
    public async Task Save_points_save()
    {
        EngineHarness redis = NewEngine(options => options.Save = new(new(10, 5), new(100, 1)));
        redis.Files.Dump.Start();
        for (int i = 0; i < 5; i++) redis.Run("SET", $"{i}", "1");
        redis.Time.Advance(10_000);
        Assert.False(redis.Files.Dump.IsSaving);
        redis.Time.Advance(1500);
        await SavedAsync(redis, 1);
        Assert.Contains("5 changes in 10 seconds. Saving...", _log);
        Assert.Contains("Background saving terminated with success", _log);
        Assert.Contains(_log, line => line.StartsWith(
            $"dump.rdb: {new FileInfo(DumpPath).Length} bytes, "
                + $"SHA-256 {Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(DumpPath)))}",
            StringComparison.Ordinal));

        redis.Time.Advance(200_000); // nothing has changed since
        Assert.Equal(1, redis.Files.Dump.Saves);
        redis.Run("SET", "one", "more");
        redis.Time.Advance(1500);
        await SavedAsync(redis, 2);
        Assert.Contains("1 changes in 100 seconds. Saving...", _log);
    }

    [Fact]
    public async Task After_a_failure_writes_are_refused_until_a_snapshot_succeeds()
    {
        EngineHarness redis = NewEngine(options => options.Save = new(new SavePoint(10, 1)));
        redis.Files.Dump.Start();
        Directory.CreateDirectory(DumpPath);
        redis.Run("SET", "a", "1");
        redis.Run("BGSAVE");
        await Eventually.TrueAsync(() => !redis.Files.Dump.IsSaving);
        Assert.True(redis.Files.Dump.LastFailed);
        Assert.Contains("Background saving error", _log);
        Assert.Contains(_log, line => line.StartsWith("Error moving temp DB file temp-", StringComparison.Ordinal));
        Assert.Empty(Directory.GetFiles(_directory));
        Assert.Equal(Restrictions.SnapshotFails, redis.Store.Restrictions);

        // Only if there are save points, and only if the operator wants it.
        await SetAsync(redis, "stop-writes-on-bgsave-error", "no");
        Assert.Equal(Restrictions.None, redis.Store.Restrictions);
        await SetAsync(redis, "stop-writes-on-bgsave-error", "yes");
        Assert.Equal(Restrictions.SnapshotFails, redis.Store.Restrictions);
        await SetAsync(redis, "save", "");
        Assert.Equal(Restrictions.None, redis.Store.Restrictions);
        await SetAsync(redis, "save", "10 1");

        // Save points try again, but only after some seconds.
        Directory.Delete(DumpPath);
        redis.Time.Advance(30_000);
        await SavedAsync(redis, 2);
        Assert.False(redis.Files.Dump.LastFailed);
        Assert.Equal(Restrictions.None, redis.Store.Restrictions);
    }

    [Fact]
    public async Task One_snapshot_at_a_time()
    {
        EngineHarness redis = NewEngine(options => options.RdbKeySaveDelay = 20_000);
        for (int i = 0; i < 30; i++) redis.Run("SET", $"{i}", "1");
        Assert.Equal("Background saving started", redis.Run("BGSAVE"));
        Assert.Equal("ERR Background save already in progress", Error(redis.Run("BGSAVE")));
        Assert.Equal("ERR Background save already in progress", Error(redis.Run("BGSAVE", "SCHEDULE")));
        Assert.Equal("ERR Background save already in progress", Error(redis.Run("SAVE")));
        Assert.Equal("ERR syntax error", Error(redis.Run("BGSAVE", "NOW")));
        SnapshotStatus status = redis.Files.SnapshotTurn.Status;
        Assert.Equal(30, status.Keys);
        redis.Run(["DEL", .. Enumerable.Range(0, 30).Select(i => $"{i}")]);
        Assert.True(redis.Files.SnapshotTurn.Status.CopiedBytes > 0);
        await SavedAsync(redis, 1);
        Assert.Equal(default, redis.Files.SnapshotTurn.Status);
        Assert.True(redis.Files.Dump.LastCopiedBytes > 0);
        Assert.Equal(30, redis.Files.Dump.Changes); // the changes made meanwhile are not in the file
    }

    [Fact]
    public async Task A_snapshot_that_cannot_be_made_now_can_be_scheduled()
    {
        EngineHarness redis = NewEngine();
        redis.Files.Dump.Start();
        redis.Run("SET", "a", "1");
        Assert.True(redis.Files.SnapshotTurn.TryTake(SnapshotPurpose.AofRewrite));
        Assert.StartsWith("ERR Another child process is active (AOF?)", Error(redis.Run("BGSAVE")));
        Assert.Equal("Background saving scheduled", redis.Run("BGSAVE", "SCHEDULE"));
        redis.Time.Advance(1000);
        Assert.Equal(0, redis.Files.Dump.Saves);
        redis.Files.SnapshotTurn.Give();
        redis.Time.Advance(1000);
        await SavedAsync(redis, 1);

        redis.Run("MULTI");
        redis.Run("SET", "b", "1");
        redis.Run("BGSAVE");
        redis.Run("SET", "c", "1");
        Assert.Equal(["OK", "Background saving scheduled", "OK"], (object?[])redis.Run("EXEC")!);
        redis.Time.Advance(1000);
        await SavedAsync(redis, 2);
        EngineHarness other = NewEngine();
        other.Files.Load(CancellationToken.None);
        Assert.Equal(3L, other.Run("DBSIZE"));
    }

    [Fact]
    public async Task Flushall_ends_a_snapshot_that_is_being_made()
    {
        EngineHarness redis = NewEngine(options => options.RdbKeySaveDelay = 1_000_000);
        for (int i = 0; i < 30; i++) redis.Run("SET", $"{i}", "1");
        redis.Run("BGSAVE");
        redis.Run("FLUSHALL");
        await Eventually.TrueAsync(() => !redis.Files.Dump.IsSaving);
        Assert.Contains("Background saving aborted", _log);
        Assert.False(redis.Files.Dump.LastFailed);
        Assert.Equal(60, redis.Files.Dump.Changes);
        Assert.Empty(Directory.GetFiles(_directory));
    }

    [Fact]
    public async Task Flushall_with_save_points_saves_the_empty_data_set()
    {
        EngineHarness redis = NewEngine(options =>
        {
            options.Save = new(new SavePoint(1000, 1));
            options.RdbKeySaveDelay = 1_000_000;
        });
        redis.Run("SET", "a", "1");
        redis.Run("BGSAVE");
        redis.Run("FLUSHALL");
        await Eventually.TrueAsync(() => !redis.Files.Dump.IsSaving);
        EngineHarness other = NewEngine();
        other.Files.Load(CancellationToken.None);
        Assert.Equal(0L, other.Run("DBSIZE"));
        Assert.Contains("Done loading RDB, keys loaded: 0, keys expired: 0.", _log);
    }

    [Fact]
    public async Task A_snapshot_never_takes_the_place_of_a_later_one()
    {
        EngineHarness redis = NewEngine(options => options.RdbKeySaveDelay = 20_000);
        for (int i = 0; i < 30; i++) redis.Run("SET", $"{i}", "early");
        redis.Run("BGSAVE");
        redis.Store.Options.RdbKeySaveDelay = 0;
        for (int i = 0; i < 30; i++) redis.Run("SET", $"{i}", "late");
        await redis.Store.SiloGate.EnterExclusiveAsync();
        Assert.True(redis.Files.Dump.SaveExclusively());
        redis.Store.SiloGate.ExitExclusive();
        await Eventually.TrueAsync(() => !redis.Files.Dump.IsSaving);
        EngineHarness other = NewEngine();
        other.Files.Load(CancellationToken.None);
        Assert.Equal("late", other.Run("GET", "7"));
        Assert.Equal([DumpPath], Directory.GetFiles(_directory));
    }

    [Fact]
    public async Task Reload_takes_what_is_in_the_file()
    {
        EngineHarness redis = NewEngine();
        redis.Run("SET", "a", "saved");
        redis.Run("SAVE");
        redis.Run("SET", "a", "changed");
        redis.Run("SET", "b", "new");
        Assert.Equal("ERR Error trying to load the RDB dump", await redis.Files.ReloadAsync(save: false, flush: false, merge: false));
        Assert.Null(await redis.Files.ReloadAsync(save: false, flush: false, merge: true));
        Assert.Equal("[saved, new]", Show(redis.Run("MGET", "a", "b")));
        Assert.Null(await redis.Files.ReloadAsync(save: false, flush: true, merge: false));
        Assert.Equal("[saved, ]", Show(redis.Run("MGET", "a", "b")));
        redis.Run("SET", "b", "new");
        EngineClient watcher = redis.NewClient();
        watcher.Run("WATCH", "a");
        Assert.Null(await redis.Files.ReloadAsync(save: true, flush: true, merge: false));
        Assert.Equal("[saved, new]", Show(redis.Run("MGET", "a", "b")));
        Assert.Equal(Restrictions.None, redis.Store.Restrictions);
        watcher.Run("MULTI");
        Assert.Null(watcher.Run("EXEC"));
        File.Delete(DumpPath);
        Assert.Equal("ERR Error trying to load the RDB dump", await redis.Files.ReloadAsync(save: false, flush: true, merge: false));
    }

    [Fact]
    public async Task Reloads_at_once_take_turns_and_lose_nothing()
    {
        EngineHarness redis = NewEngine();
        for (int i = 0; i < 5000; i++) redis.Run("SET", $"{i}", "value");
        string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        redis.Run("SAVE");
        redis.Store.Options.KeyLoadDelay = 20; // a reload takes 100 ms
        string?[] errors = await Task.WhenAll(Enumerable.Range(0, 4).Select(
            number => Task.Run(() => redis.Files.ReloadAsync(save: number % 2 == 0, flush: true, merge: false))));
        Assert.All(errors, Assert.Null);
        Assert.Equal(digest, KeyspaceDigest.OfAll(redis.Store.Slots));
        Assert.Equal(Restrictions.None, redis.Store.Restrictions);
        EngineHarness other = NewEngine();
        other.Files.Load(CancellationToken.None);
        Assert.Equal(digest, KeyspaceDigest.OfAll(other.Store.Slots));
    }

    [Fact]
    public async Task What_is_half_loaded_is_never_saved()
    {
        EngineHarness redis = NewEngine();
        redis.Run("SET", "a", "1");
        redis.Run("SAVE");
        byte[] whole = File.ReadAllBytes(DumpPath);
        redis.Run("DEL", "a");
        redis.Store.Restrict(Restrictions.Loading);
        Assert.Equal(Errors.Loading, await redis.Files.ReloadAsync(save: true, flush: true, merge: false));
        Assert.Equal(SaveStart.AlreadyRunning, await redis.Files.Dump.SaveAsync());
        Assert.Equal(SaveStart.AlreadyRunning, await redis.Files.Dump.BeginAsync());
        await redis.Store.SiloGate.EnterExclusiveAsync();
        Assert.False(redis.Files.Dump.SaveExclusively());
        redis.Store.SiloGate.ExitExclusive();
        Assert.Equal(whole, File.ReadAllBytes(DumpPath));
        redis.Store.Lift(Restrictions.Loading);
        Assert.Equal("OK", redis.Run("SAVE"));
        Assert.NotEqual(whole, File.ReadAllBytes(DumpPath));
    }

    [Fact]
    public void What_killed_processes_have_left_is_deleted()
    {
        foreach (string name in (string[])["temp-999999999.rdb", "temp-999999999-3.rdb", "temp-mine.rdb", "temp-1.rdb"])
            File.WriteAllText(Path.Combine(_directory, name), "");
        NewEngine().Files.Load(CancellationToken.None);
        Assert.Equal(["temp-1.rdb", "temp-mine.rdb"], Directory.GetFiles(_directory).Select(Path.GetFileName).Order());
    }

    [Theory]
    [InlineData("SHUTDOWN", "1000 1", true)]
    [InlineData("SHUTDOWN", "", false)]
    [InlineData("SHUTDOWN NOSAVE", "1000 1", false)]
    [InlineData("SHUTDOWN SAVE NOW", "", true)]
    public async Task A_server_that_is_shut_down_saves_what_it_should(string line, string points, bool saved)
    {
        await using (RedisProcess server = await RedisProcess.StartAsync(ServerKind.UnderTest, _directory, 0, "--save", points))
        {
            await using RespConnection redis = await server.ConnectAsync();
            await redis.LineAsync("SET a b");
            await redis.SendRawAsync(line + "\r\n");
            Assert.True(await redis.IsClosedByServerAsync());
            await server.WaitForExitAsync(Eventually.Deadline);
            Assert.Equal(0, server.ExitCode);
            Assert.Contains("User requested shutdown...", string.Join('\n', server.Log));
            Assert.EndsWith("ready to exit, bye bye...", server.Log[^1]);
        }
        Assert.Equal(saved, File.Exists(DumpPath));
        Assert.Empty(Directory.GetFiles(_directory, "temp-*"));
        if (!saved) return;
        await using RedisProcess second = await RedisProcess.StartAsync(ServerKind.UnderTest, _directory, 0);
        await using RespConnection again = await second.ConnectAsync();
        Assert.Equal("b", (await again.LineAsync("GET a")).Text);
    }

    [Fact]
    public async Task Sigterm_saves_and_a_shutdown_that_cannot_save_does_not_happen()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.UnderTest, _directory, 0, "--save", "1000 1");
        await using RespConnection redis = await server.ConnectAsync();
        await redis.LineAsync("SET a b");
        Directory.CreateDirectory(DumpPath);
        Assert.Equal("ERR Errors trying to SHUTDOWN. Check logs.", (await redis.LineAsync("SHUTDOWN")).Text);
        await server.WaitForLogAsync("Error trying to save the DB, can't exit.");
        Assert.Equal("b", (await redis.LineAsync("GET a")).Text);
        Directory.Delete(DumpPath);
        await server.TerminateAsync();
        await server.WaitForExitAsync(Eventually.Deadline);
        Assert.Equal(0, server.ExitCode);
        Assert.True(File.Exists(DumpPath));
    }

    [SkippableFact]
    public async Task A_server_with_a_damaged_file_does_not_start()
    {
        Requires.That(!RedisProcess.IsRedisUnderTest, "the message is ours");
        File.WriteAllBytes(DumpPath, "REDIS0010\xfe"u8.ToArray());
        (int exitCode, string output) = await RedisProcess.RunToExitAsync("--dir", _directory);
        Assert.Equal(1, exitCode);
        Assert.Contains($"Fatal error loading the DB: {DumpPath} cannot be loaded beyond byte 10", output.Split('\n')[^1]);
    }

    [SkippableFact]
    public async Task While_the_data_is_loaded_clients_are_told_so_and_sigterm_ends_the_server()
    {
        Requires.That(!RedisProcess.IsRedisUnderTest, "redis-server answers now and then only");
        EngineHarness redis = NewEngine();
        for (int i = 0; i < 20_000; i++) redis.Run("SET", $"{i}", "1");
        redis.Run("SAVE");
        byte[] before = File.ReadAllBytes(DumpPath);
        await using RedisProcess server = await RedisProcess.StartListeningAsync(_directory, "--save", "1 1", "--key-load-delay", "1000");
        await using RespConnection client = await server.ConnectAsync();
        Assert.Equal("LOADING Redis is loading the dataset in memory", (await client.LineAsync("GET a")).Text);
        Assert.Equal("LOADING Redis is loading the dataset in memory", (await client.LineAsync("SAVE")).Text);
        Assert.Equal("LOADING Redis is loading the dataset in memory", (await client.LineAsync("PING")).Text);
        Assert.Equal("OK", (await client.LineAsync("MULTI")).Text);
        Assert.StartsWith("LOADING", (await client.LineAsync("GET a")).Text);
        Assert.StartsWith("EXECABORT", (await client.LineAsync("EXEC")).Text);
        await Eventually.TrueAsync(async () => (await client.LineAsync("INFO persistence")).Text is string info
            && info.Contains("loading:1\r\n") && info.Contains($"loading_total_bytes:{before.Length}\r\n") && info.Contains("loading_start_time:"));
        await server.TerminateAsync();
        await server.WaitForExitAsync(Eventually.Deadline);
        Assert.Equal(0, server.ExitCode);
        Assert.DoesNotContain("Ready to accept connections", string.Join('\n', server.Log));
        Assert.Equal(before, File.ReadAllBytes(DumpPath)); // what was half loaded has not been saved over it
    }

    private EngineHarness NewEngine(Action<ServerOptions>? configure = null)
    {
        var redis = new EngineHarness(options =>
        {
            options.Dir = _directory;
            configure?.Invoke(options);
        });
        redis.Store.Log.Writer = (_, line) =>
        {
            lock (_log) _log.Add(line);
        };
        _harnesses.Add(redis);
        return redis;
    }

    private static async Task SavedAsync(EngineHarness redis, int times)
    {
        await Eventually.TrueAsync(() => redis.Files.Dump.Saves == times, () => $"saved {redis.Files.Dump.Saves} times");
        await Eventually.TrueAsync(() => !redis.Files.Dump.IsSaving);
        Assert.False(redis.Files.Dump.LastFailed);
    }

    private static async Task SetAsync(EngineHarness redis, string name, string value) =>
        Assert.Null(await redis.Files.Configuration.SetAsync([(name, value)], isLocal: true));

    private static string Error(object? reply) => Assert.IsType<RespError>(reply).ToString().TrimStart('-');

    private static string Show(object? reply) => $"[{string.Join(", ", (object?[])reply!)}]";
}
