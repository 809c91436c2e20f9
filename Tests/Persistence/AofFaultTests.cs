using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Disks that are full or broken.</summary>
public sealed class AofFaultTests
{
    [Theory]
    [InlineData(AppendFsync.Everysec)]
    [InlineData(AppendFsync.No)]
    [InlineData(AppendFsync.Always)]
    public async Task A_full_disk_refuses_writes_until_there_is_room_and_loses_nothing(AppendFsync policy)
    {
        FaultyFile? file = null;
        using var redis = new AofHarness(options => options.AppendFsync = policy, wrap: (_, inner) => file = new FaultyFile(inner));
        for (int i = 0; i < 100; i++) redis.Run("SET", $"key:{i}", "value");
        redis.Log.Flush();
        file!.Capacity = file.Length + 1010; // in the middle of a command
        // Writes until the writer has reached the end of the disk.
        int taken = Enumerable.Range(100, 100).Count(i => redis.Run("SET", $"key:{i}", "value") is "OK");
        long position = redis.Log.Appended;
        Task committed = redis.Log.WhenCommitted(0, position);
        await Eventually.TrueAsync(() => (redis.Store.Restrictions & Restrictions.LogFails) != 0, () => "no failure");

        Assert.Equal("-MISCONF Errors writing to the AOF file: No space left on device\r\n", Refusal(redis, "SET", "a", "1"));
        // With "always" a read would have to wait until there is room for what it may have seen.
        Assert.Equal(policy == AppendFsync.Always ? "-MISCONF Errors writing to the AOF file: No space left on device\r\n" : null, Refusal(redis, "GET", "a"));
        Assert.True(redis.Store.KeepsExpired);
        Assert.False(redis.Log.LastWriteSucceeded);
        AofHarness.Parse(redis.Read("appendonly.aof.1.incr.aof")); // it ends with a whole command
        if (policy == AppendFsync.Always) Assert.False(committed.IsCompleted);

        redis.Engine.Time.Advance(1000);
        redis.Log.Tick();
        Assert.NotEqual(Restrictions.None, redis.Store.Restrictions); // there is still no room
        file.Capacity = long.MaxValue;
        redis.Engine.Time.Advance(1000);
        redis.Log.Tick();
        await Eventually.TrueAsync(() => redis.Store.Restrictions == Restrictions.None, () => "still refused");
        if (policy == AppendFsync.Always) await committed.WaitAsync(Eventually.Deadline);
        Assert.Null(Refusal(redis, "SET", "a", "1"));
        Assert.Equal(1, redis.Lines.Count(line => line == "Error writing to the AOF file: No space left on device"));
        Assert.Contains("AOF write error looks solved, Redis can write again.", redis.Lines);
        redis.Run("SET", "last", "1");
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(101L + taken, again.Run("DBSIZE"));
    }

    [Fact]
    public async Task Annotated_times_keep_their_places_when_a_file_is_cut_or_written_again()
    {
        FaultyFile? file = null;
        using var redis = new AofHarness(
            options => (options.AppendFsync, options.AofTimestampEnabled) = (AppendFsync.Always, true),
            wrap: (_, inner) => file = new FaultyFile(inner));
        var expected = new List<string>();
        void Set(string key)
        {
            redis.Engine.Time.Advance(1000);
            redis.Run("SET", key, "value");
            expected.Add($"#TS:{redis.Engine.NowMs / 1000}");
            if (expected.Count == 1) expected.Add("SELECT 0");
            expected.Add($"SET {key} value");
        }
        Set("a");
        Set("b");
        Assert.True(redis.Log.Flush());
        file!.Capacity = file.Length + 70; // in the middle of a command
        for (int i = 0; i < 5; i++) Set($"c{i}");
        Assert.False(redis.Log.Flush());
        AofHarness.Parse(redis.Read("appendonly.aof.1.incr.aof"));
        file.Capacity = long.MaxValue;
        redis.Engine.Time.Advance(1000);
        redis.Log.Tick();
        await Eventually.TrueAsync(() => redis.Store.Restrictions == Restrictions.None, () => "still refused");
        file.FailingSyncs = 1;
        for (int i = 0; i < 5; i++) Set($"d{i}");
        Assert.False(redis.Log.Flush());
        redis.Engine.Time.Advance(1000);
        redis.Log.Tick();
        await Eventually.TrueAsync(() => redis.Store.Restrictions == Restrictions.None, () => "still refused");
        Set("e");
        Assert.Equal(expected, redis.Commands());
        Assert.Equal(file.Length, redis.Log.Length - new FileInfo(Path.Combine(redis.LogPath, "appendonly.aof.1.base.rdb")).Length);
        Assert.Equal(expected, AofHarness.Parse(file.OnDisk));
    }

    [Fact]
    public async Task A_refused_exec_ends_its_transaction()
    {
        FaultyFile? file = null;
        using var redis = new AofHarness(wrap: (_, inner) => file = new FaultyFile(inner));
        EngineClient client = redis.Engine.NewClient();
        client.Run("MULTI");
        client.Run("SET", "a", "1");
        file!.Capacity = 0;
        redis.Run("SET", "b", "1");
        await ((ICommittingLog)redis.Log).WhenCommitted().WaitAsync(Eventually.Deadline);
        Assert.NotEqual(Restrictions.None, redis.Store.Restrictions & Restrictions.LogFails);
        Assert.StartsWith("-EXECABORT Transaction discarded because of: MISCONF", client.Raw("EXEC"), StringComparison.Ordinal);
        Assert.Equal("-ERR EXEC without MULTI\r\n", client.Raw("EXEC"));
        file.Capacity = long.MaxValue;
    }

    [Theory]
    [InlineData(AppendFsync.Always, 1)]
    [InlineData(AppendFsync.Always, 3)]
    [InlineData(AppendFsync.Everysec, 1)]
    [InlineData(AppendFsync.Everysec, 2)]
    public async Task After_a_failed_sync_everything_since_the_last_good_one_is_written_again(AppendFsync policy, int failures)
    {
        FaultyFile? file = null;
        using var redis = new AofHarness(options => options.AppendFsync = policy, wrap: (_, inner) => file = new FaultyFile(inner));
        redis.Run("SET", "before", "1");
        redis.Log.Flush();
        file!.FailingSyncs = failures;
        // Several chunks of the buffer, unless the first of them is known to have failed by then.
        int taken = Enumerable.Range(0, 1000).Count(i => redis.Run("SET", $"key:{i}", new string('x', 1000)) is "OK");
        Task committed = redis.Log.WhenCommitted(0, redis.Log.Appended);
        await Eventually.TrueAsync(() =>
        {
            if ((redis.Store.Restrictions & Restrictions.LogFails) != 0) return true;
            redis.Engine.Time.Advance(1100);
            redis.Log.Tick();
            return false;
        }, () => "no failure");
        Assert.Equal("-MISCONF Errors writing to the AOF file: Input/output error\r\n", Refusal(redis, "SET", "a", "1"));
        if (policy == AppendFsync.Always) Assert.False(committed.IsCompleted);
        await Eventually.TrueAsync(() =>
        {
            redis.Engine.Time.Advance(1100);
            redis.Log.Tick();
            return redis.Store.Restrictions == Restrictions.None;
        }, () => "still refused");
        if (policy == AppendFsync.Always) await committed.WaitAsync(Eventually.Deadline);
        redis.Log.Flush();
        // The disk has it, not only the cache.
        Assert.Equal(redis.Read("appendonly.aof.1.incr.aof"), file.OnDisk);
        Assert.Equal(2 + taken, AofHarness.Parse(file.OnDisk).Length);
    }

    [Fact]
    public async Task What_cannot_be_written_again_is_replaced_by_a_rewrite()
    {
        var files = new List<FaultyFile>();
        using var redis = new AofHarness(options => options.AppendFsync = AppendFsync.No, wrap: (_, inner) =>
        {
            files.Add(new FaultyFile(inner));
            return files[^1];
        });
        for (int i = 0; i < 100; i++) redis.Run("SET", $"key:{i}", "value");
        await ((ICommittingLog)redis.Log).WhenCommitted().WaitAsync(Eventually.Deadline);
        redis.Store.Options.AppendFsync = AppendFsync.Everysec;
        files[0].FailingSyncs = 1;
        await Eventually.TrueAsync(() =>
        {
            redis.Engine.Time.Advance(1100);
            redis.Log.Tick();
            return redis.Log.Rewrites == 1 && !redis.Log.IsRewriting;
        }, () => string.Join('\n', redis.Lines));
        Assert.Equal(Restrictions.None, redis.Store.Restrictions);
        Assert.Contains("What was written to the AOF file since its last successful fsync is not in memory any more. The AOF will be rewritten.", redis.Lines);
        redis.Run("SET", "after", "1");
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(101L, again.Run("DBSIZE"));
    }

    [Fact]
    public async Task Writers_wait_when_the_disk_does_not_keep_up()
    {
        FaultyFile? file = null;
        using var gate = new ManualResetEventSlim(initialState: false);
        using var redis = new AofHarness(
            options => options.AppendFsync = AppendFsync.Always,
            wrap: (_, inner) => file = new FaultyFile(inner) { SyncGate = gate });
        string value = new('x', 1 << 20);
        for (int i = 0; (redis.Store.Restrictions & Restrictions.LogIsFull) == 0; i++)
        {
            Assert.True(i < 200, "the buffer has no bound");
            redis.Run("SET", $"key:{i % 3}", value);
        }
        Task<object?> late = redis.Engine.NewClient().RunAsync("SET", "late", "1");
        Assert.Null(redis.Run("GET", "late"));
        Assert.False(late.IsCompleted);
        gate.Set();
        Assert.Equal("OK", await late.WaitAsync(Eventually.Deadline));
    }

    private static string? Refusal(AofHarness redis, params string[] command)
    {
        var reply = new RespWriter();
        OwnedRequest request = OwnedRequest.Of([.. command.Select(word => (ReadOnlyMemory<byte>)System.Text.Encoding.ASCII.GetBytes(word))]);
        CommandInfo? info = EngineHarness.Commands.Resolve(request.Request);
        return redis.Engine.Runner.Admission.Admit(info, request.Request, new Session(), reply, out _) == Verdict.Refused
            ? System.Text.Encoding.ASCII.GetString(reply.Written) : null;
    }
}
