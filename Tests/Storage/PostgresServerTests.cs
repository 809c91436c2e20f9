using System.Diagnostics;
using System.Globalization;
using OrleansRedis.Tests.Harness;
using OrleansRedis.Tests.Persistence;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Storage;

/// <summary>
/// Servers that store their slots in PostgreSQL, and what becomes of the data when a server or the database goes away.
/// </summary>
[Collection(PostgresServer.Collection)]
public sealed class PostgresServerTests(PostgresServer postgres, ITestOutputHelper output)
{
    private static readonly int kills = int.Parse(Environment.GetEnvironmentVariable("ORLEANSREDIS_KILLS") ?? "5", CultureInfo.InvariantCulture);

    [SkippableFact]
    public async Task All_types_and_databases_are_the_same_after_a_restart_on_another_machine()
    {
        string database = await DatabaseAsync();
        string digest, other;
        await using (RedisProcess server = await StartAsync(database))
        {
            await using RespConnection redis = await server.ConnectAsync();
            foreach (string[] command in RdbDataSet.Commands())
            {
                RespValue reply = await redis.CallAsync([.. command.Select(word => (RespArgument)word)]);
                Assert.False(reply.IsError, $"{command[0]}: {reply}");
            }
            digest = (await redis.CallAsync("DEBUG", "DIGEST")).Text;
            await server.TerminateAsync();
            Assert.Equal(0, server.ExitCode);
            Assert.Empty(Directory.GetFiles(server.Directory, "*.rdb"));
        }
        await using (RedisProcess server = await StartAsync(database)) // in a new, empty directory
        {
            await using RespConnection redis = await server.ConnectAsync();
            Assert.Equal(digest, (await redis.CallAsync("DEBUG", "DIGEST")).Text);
            await redis.CallAsync("SELECT", 15);
            await redis.CallAsync("SET", "more", "1");
            await redis.CallAsync("SWAPDB", 3, 15);
            other = (await redis.CallAsync("DEBUG", "DIGEST")).Text;
            await server.KillAsync();
        }
        await using RedisProcess last = await StartAsync(database);
        await using RespConnection end = await last.ConnectAsync();
        Assert.Equal(other, (await end.CallAsync("DEBUG", "DIGEST")).Text);
    }

    [SkippableFact]
    public async Task What_was_acknowledged_survives_any_kill_of_the_server()
    {
        string database = await DatabaseAsync();
        Random random = TestSeed.Random();
        AckedWriter[] writers = [.. Enumerable.Range(0, 6).Select(number => new AckedWriter(number))];
        long killedAt = 0;
        for (int round = 0; round <= kills; round++)
        {
            // Snapshots are replaced all the time.
            await using RedisProcess server = await StartAsync(database, "--auto-aof-rewrite-min-size", "0");
            await using RespConnection redis = await server.ConnectAsync();
            foreach (AckedWriter writer in writers) await writer.VerifyAsync(redis, killedAt);
            if (round == kills) break;
            Task[] writing = [.. writers.Select(writer => writer.RunAsync(server))];
            await Task.Delay(random.Next(30, 1200));
            killedAt = Stopwatch.GetTimestamp();
            await server.KillAsync();
            await Task.WhenAll(writing);
        }
        output.WriteLine($"{writers.Sum(writer => writer.Acknowledged)} steps acknowledged");
        Assert.True(writers.Sum(writer => writer.Acknowledged) > kills, "hardly anything was written");
    }

    [SkippableFact]
    public async Task With_everysec_a_kill_takes_no_more_than_the_last_two_transactions()
    {
        string database = await DatabaseAsync();
        var writer = new AckedWriter(1);
        long storedUntil;
        await using (RedisProcess server = await StartAsync(database, "--appendfsync", "everysec"))
        {
            await using RespConnection watching = await server.ConnectAsync();
            async Task<long> TransactionsAsync()
            {
                string info = (await watching.CallAsync("INFO", "persistence")).Text;
                string line = info.Split("\r\n").Single(line => line.StartsWith("orleans_storage_transactions:", StringComparison.Ordinal));
                return long.Parse(line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..], CultureInfo.InvariantCulture);
            }
            Task writing = writer.RunAsync(server);
            await Eventually.TrueAsync(() => writer.Acknowledged > 0);
            // Of these transactions the second begins after this moment.
            storedUntil = Stopwatch.GetTimestamp();
            long before = await TransactionsAsync();
            await Eventually.TrueAsync(async () => await TransactionsAsync() >= before + 2);
            await server.KillAsync();
            await writing;
        }
        await using RedisProcess again = await StartAsync(database, "--appendfsync", "everysec");
        await using RespConnection redis = await again.ConnectAsync();
        await writer.VerifyAsync(redis, storedUntil);
    }

    [SkippableFact]
    public async Task A_connection_to_the_database_that_is_cut_in_the_middle_of_commits_loses_and_doubles_nothing()
    {
        string database = await DatabaseAsync();
        await using RedisProcess server = await StartAsync(database, "--auto-aof-rewrite-min-size", "0");
        var counters = Enumerable.Range(0, 4).Select(number => CountAsync(server, $"counter{number}", TimeSpan.FromSeconds(3))).ToArray();
        long cut = 0;
        for (int i = 0; i < 12; i++)
        {
            await Task.Delay(200);
            cut += await PostgresServer.TerminateBackendsAsync(database);
        }
        long[] counts = await Task.WhenAll(counters);
        Assert.True(cut > 0 && counts.Min() > 0);
        output.WriteLine($"{cut} connections cut, {counts.Sum()} increments");
        await using RespConnection redis = await server.ConnectAsync();
        string digest = (await redis.CallAsync("DEBUG", "DIGEST")).Text;
        for (int i = 0; i < counts.Length; i++)
            Assert.Equal(counts[i], long.Parse((await redis.CallAsync("GET", $"counter{i}")).Text, CultureInfo.InvariantCulture));
        await server.KillAsync();
        await using RedisProcess again = await StartAsync(database);
        await using RespConnection end = await again.ConnectAsync();
        Assert.Equal(digest, (await end.CallAsync("DEBUG", "DIGEST")).Text);
    }

    [SkippableFact]
    public async Task While_the_database_is_down_writes_are_refused_and_then_they_go_on()
    {
        string database = await DatabaseAsync();
        await using RedisProcess server = await StartAsync(database);
        await using RespConnection redis = await server.ConnectAsync();
        await using RespConnection waiting = await server.ConnectAsync();
        Assert.Equal("OK", (await redis.CallAsync("SET", "before", "1")).Text);
        await postgres.CrashAsync();
        try
        {
            await waiting.SendAsync("SET", "meanwhile", "1"); // done, but not stored, so there is no reply
            await server.WaitForLogAsync("Error writing to the postgres storage");
            RespValue refused = await redis.CallAsync("SET", "refused", "1");
            Assert.StartsWith("MISCONF Errors writing to the shared storage: ", refused.Text);
            Assert.Equal("1", (await redis.CallAsync("GET", "before")).Text);
            Assert.True(await waiting.IsSilentAsync(TimeSpan.FromMilliseconds(300)));
            Assert.Contains("orleans_storage_last_write_status:err", (await redis.CallAsync("INFO", "persistence")).Text);
            // The server does not end either while something is not stored, unless it is told to end regardless.
            Assert.StartsWith("ERR Errors trying to SHUTDOWN", (await redis.CallAsync("SHUTDOWN")).Text);
            await server.WaitForLogAsync("bytes of changes are not in the postgres storage yet");
        }
        finally
        {
            await postgres.StartAgainAsync();
        }
        Assert.Equal("OK", (await waiting.ReadAsync()).Text);
        await server.WaitForLogAsync("storage works again");
        Assert.Equal("OK", (await redis.CallAsync("SET", "after", "1")).Text);
        await server.KillAsync();
        await using RedisProcess again = await StartAsync(database);
        await using RespConnection end = await again.ConnectAsync();
        Assert.Equal(["1", "1", "", "1"],
            (await end.CallAsync("MGET", "before", "meanwhile", "refused", "after")).Items.Select(item => item.IsNull ? "" : item.Text));
    }

    [SkippableFact]
    public async Task A_second_server_takes_the_slots_over_and_the_first_stores_nothing_any_more()
    {
        string database = await DatabaseAsync();
        await using RedisProcess first = await StartAsync(database);
        await using RespConnection old = await first.ConnectAsync();
        Assert.Equal("OK", (await old.CallAsync("SET", "key", "1")).Text);
        await using RedisProcess second = await StartAsync(database);
        await using RespConnection owner = await second.ConnectAsync();
        Assert.Equal("1", (await owner.CallAsync("GET", "key")).Text);
        Assert.Equal("OK", (await owner.CallAsync("SET", "key", "2")).Text);
        // The first server does not know yet. What it does is not stored, and so is not acknowledged.
        await old.SendAsync("SET", "key", "zombie");
        Assert.True(await old.IsClosedByServerAsync());
        await first.WaitForLogAsync("Someone else has claimed slot");
        Assert.Equal("2", (await owner.CallAsync("GET", "key")).Text);
        await second.KillAsync();
        await using RedisProcess third = await StartAsync(database);
        await using RespConnection end = await third.ConnectAsync();
        Assert.Equal("2", (await end.CallAsync("GET", "key")).Text);
    }

    [SkippableFact]
    public async Task A_start_that_cannot_be_is_refused_with_the_reason()
    {
        string database = await DatabaseAsync();
        (int code, string said) = await RedisProcess.RunToExitAsync("--orleans-storage", "postgres");
        Assert.NotEqual(0, code);
        Assert.Contains("orleans-storage-connection-string", said);
        (code, said) = await RedisProcess.RunToExitAsync(
            "--orleans-storage", "postgres", "--orleans-storage-connection-string", database, "--appendonly", "yes");
        Assert.NotEqual(0, code);
        Assert.Contains("appendonly yes is for orleans-storage file", said);
        await using RedisProcess server = await StartAsync(database);
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Contains("every change is logged in the store", (await redis.CallAsync("CONFIG", "SET", "appendonly", "yes")).Text);
    }

    [SkippableFact]
    public async Task A_damaged_slot_stops_the_start_and_the_log_says_which()
    {
        string database = await DatabaseAsync();
        await using (RedisProcess server = await StartAsync(database))
        {
            await using RespConnection redis = await server.ConnectAsync();
            for (int i = 0; i < 3; i++) await redis.CallAsync("INCR", "foo");
        }
        await PostgresServer.ExecuteAsync(database, "delete from orleansredis_log where first_sequence = 2");
        (int code, string said) = await RedisProcess.RunToExitAsync("--orleans-storage", "postgres", "--orleans-storage-connection-string", database);
        Assert.NotEqual(0, code);
        Assert.Contains("Slot 12182 cannot be recovered from the postgres storage; after 1/1: effects 2 to 2 of epoch 1 are missing", said);
    }

    private static Task<RedisProcess> StartAsync(string database, params string[] directives) =>
        RedisProcess.StartAsync(ServerKind.OrleansRedis,
            ["--orleans-storage", "postgres", "--orleans-storage-connection-string", database, "--appendfsync", "always", .. directives]);

    private async Task<string> DatabaseAsync()
    {
        PostgresServer.Require();
        Requires.That(!RedisProcess.IsRedisUnderTest, "redis-server has no PostgreSQL storage");
        return await postgres.CreateDatabaseAsync();
    }

    /// <summary>
    /// Increments a counter for a while, repeating what was refused. Every reply must be the number after the previous
    /// one.
    /// </summary>
    private static async Task<long> CountAsync(RedisProcess server, string key, TimeSpan time)
    {
        await using RespConnection redis = await server.ConnectAsync();
        long count = 0;
        for (long started = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(started) < time;)
        {
            RespValue reply = await redis.CallAsync("INCR", key);
            if (reply.IsError)
            {
                Assert.StartsWith("MISCONF", reply.Text);
                await Task.Delay(10);
                continue;
            }
            Assert.Equal(++count, reply.Integer);
        }
        return count;
    }
}
