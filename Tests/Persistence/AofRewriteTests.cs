using System.Globalization;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Rewriting the log, and turning it on and off.</summary>
[Trait("Needs", "time")]
public sealed class AofRewriteTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Everything_is_the_same_after_a_rewrite(bool asRdb)
    {
        using var redis = new AofHarness(options => options.AofUseRdbPreamble = asRdb);
        foreach (string[] command in RdbDataSet.Commands()) Assert.False(redis.Run(command) is RespError);
        redis.Run("HSET", "fields", "a", "1", "b", "2");
        redis.Run("HPEXPIREAT", "fields", "4102444800000", "FIELDS", "1", "a");
        string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        redis.Run("BGREWRITEAOF");
        redis.AwaitRewrite();
        Assert.Equal($"file appendonly.aof.2.base.{(asRdb ? "rdb" : "aof")} seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n", redis.Manifest);
        Assert.Empty(redis.Commands());
        Assert.Contains("Background AOF rewrite finished successfully", redis.Lines);
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(digest, KeyspaceDigest.OfAll(again.Store.Slots));
        Assert.Equal(4102444800000L, ((object?[])again.Run("HPEXPIRETIME", "fields", "FIELDS", "1", "a")!)[0]);
        string[] checkedLog = [Path.Combine(redis.LogPath, "appendonly.aof.manifest")];
        using var output = new StringWriter();
        Assert.Equal(0, new AofCheck(TextReader.Null, output, 0).Run("check", checkedLog));
    }

    [Theory]
    [InlineData(true, AppendFsync.Everysec)]
    [InlineData(false, AppendFsync.Always)]
    public async Task Writes_during_rewrites_are_neither_lost_nor_doubled(bool asRdb, AppendFsync policy)
    {
        using var redis = new AofHarness(options => (options.AofUseRdbPreamble, options.AppendFsync) = (asRdb, policy));
        redis.Store.Effects.KeyEvents = null;
        for (int i = 0; i < 2000; i++) redis.Run("SET", $"key:{i}", "value");
        using var stop = new CancellationTokenSource();
        Task[] writers = [.. Enumerable.Range(0, 3).Select(writer => Task.Run(async () =>
        {
            EngineClient client = redis.Engine.NewClient();
            var random = TestSeed.Random(writer);
            // What they do is kept until the rewrite has ended, which on a busy machine may take long.
            for (int round = 0; round < 50_000 && !stop.IsCancellationRequested; round++)
            {
                await client.RunAsync("SELECT", random.Next(2).ToString(CultureInfo.InvariantCulture));
                await client.RunAsync("INCR", "counter");
                await client.RunAsync("RPUSH", $"list:{random.Next(20)}", "x");
                await client.RunAsync("MSET", $"key:{random.Next(3000)}", "a", $"key:{random.Next(3000)}", "b");
                if (random.Next(50) == 0) await client.RunAsync("SWAPDB", "0", "1");
            }
        }))];
        for (int i = 0; i < 5; i++)
        {
            redis.Run("BGREWRITEAOF");
            await redis.Log.RewriteEnded.WaitAsync(Eventually.Deadline);
            redis.Engine.ForgetEffects();
        }
        await stop.CancelAsync();
        await Task.WhenAll(writers);
        string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        Assert.EndsWith("file appendonly.aof.6.incr.aof seq 6 type i\n", redis.Manifest, StringComparison.Ordinal);
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(digest, KeyspaceDigest.OfAll(again.Store.Slots));
    }

    [Fact]
    public void An_increment_begins_with_the_database_whatever_came_before()
    {
        using var redis = new AofHarness();
        redis.Run("SELECT", "2");
        redis.Run("SET", "a", "1");
        redis.Run("BGREWRITEAOF");
        redis.AwaitRewrite();
        redis.Run("SET", "b", "1");
        Assert.Equal(["SELECT 2", "SET b 1"], redis.Commands());
    }

    [Fact]
    public void Switched_on_at_run_time_it_holds_everything_and_off_it_holds_what_there_was()
    {
        using var redis = new AofHarness(options => options.AppendOnly = false);
        redis.Run("SET", "a", "1");
        Assert.False(Directory.Exists(redis.LogPath));
        Assert.Equal("OK", redis.Run("CONFIG", "SET", "appendonly", "yes"));
        redis.Run("SET", "b", "1");
        redis.AwaitRewrite();
        Assert.Equal(AppendLogState.On, redis.Log.State);
        Assert.Equal("file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n", redis.Manifest);
        redis.Run("SET", "c", "1");
        Assert.Equal("OK", redis.Run("CONFIG", "SET", "appendonly", "no"));
        Assert.Equal(AppendLogState.Off, redis.Log.State);
        redis.Run("SET", "lost", "1");
        using (AofHarness other = redis.Restart()) Assert.Equal(3L, other.Run("DBSIZE"));

        // If the log is off, a rewrite leaves nothing but a base. When the log is turned on again, it continues from
        // there.
        redis.Run("BGREWRITEAOF");
        redis.AwaitRewrite();
        Assert.Equal("OK", redis.Run("CONFIG", "SET", "appendonly", "yes"));
        redis.AwaitRewrite();
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(4L, again.Run("DBSIZE"));
    }

    [Fact]
    public void A_rewrite_that_fails_leaves_a_log_that_loads()
    {
        using var redis = new AofHarness(options => (options.AutoAofRewritePercentage, options.AutoAofRewriteMinSize) = (1, 1));
        string blocked = Path.Combine(redis.LogPath, "temp-appendonly.aof.base");
        Directory.CreateDirectory(Path.Combine(blocked, "not-empty"));
        redis.Run("SET", "a", "1");
        redis.Log.Flush();
        for (int i = 0; i < 5; i++)
        {
            redis.Run("BGREWRITEAOF");
            redis.AwaitRewrite();
            Assert.False(redis.Log.LastRewriteSucceeded);
            redis.Run("INCR", "counter");
        }
        Directory.Delete(blocked, recursive: true);
        Assert.IsNotType<RespError>(redis.Run("BGREWRITEAOF"));
        redis.AwaitRewrite();
        Assert.True(redis.Log.LastRewriteSucceeded);
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal("5", again.Run("GET", "counter"));
        Assert.Equal(2L, again.Run("DBSIZE"));
    }

    [Fact]
    public void After_three_failures_in_a_row_the_next_attempt_waits_a_minute()
    {
        using var redis = new AofHarness(options => (options.AutoAofRewritePercentage, options.AutoAofRewriteMinSize) = (1, 1));
        string value = new('x', 2000);
        for (int i = 0; i < 3; i++)
        {
            redis.Run("SET", $"key:{i}", value);
            redis.Run("BGREWRITEAOF");
            // A directory that cannot be replaced stands where the base should go.
            Directory.CreateDirectory(Path.Combine(redis.LogPath, $"appendonly.aof.2.base.rdb", "not-empty"));
            redis.AwaitRewrite();
        }
        if (redis.Log.ConsecutiveFailures < 3) return; // the rewrite was quicker than the test
        Assert.Equal(4, redis.Manifest.Split('\n').Count(line => line.EndsWith("type i", StringComparison.Ordinal)));
        redis.Engine.Time.Advance(1000);
        redis.Log.Tick();
        Assert.Contains("Background AOF rewrite has repeatedly failed and triggered the limit, will retry in 1 minutes", redis.Lines);
        Assert.False(redis.Log.IsRewriting);
        Directory.Delete(Path.Combine(redis.LogPath, "appendonly.aof.2.base.rdb"), recursive: true);
        redis.Engine.Time.Advance(59_000);
        redis.Log.Tick();
        Assert.Equal(3, redis.Log.Rewrites);
        redis.Engine.Time.Advance(2_000);
        redis.Log.Tick();
        redis.AwaitRewrite();
        Assert.Equal(4, redis.Log.Rewrites);
        Assert.True(redis.Log.LastRewriteSucceeded);
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(3L, again.Run("DBSIZE"));
    }

    [Fact]
    public void It_is_rewritten_by_itself_when_it_has_grown()
    {
        using var redis = new AofHarness(options => options.AutoAofRewriteMinSize = 10_000);
        for (int i = 0; i < 400; i++) redis.Run("SET", "key", "value");
        redis.Log.Flush();
        Assert.True(redis.Log.Length > 10_000);
        redis.Engine.Time.Advance(100);
        redis.Log.Tick();
        redis.AwaitRewrite();
        Assert.Equal(1, redis.Log.Rewrites);
        Assert.Contains(redis.Lines, line => line.StartsWith("Starting automatic rewriting of AOF on", StringComparison.Ordinal));
        Assert.True(redis.Log.Length < 1000);
        redis.Log.Tick();
        Assert.Equal(1, redis.Log.Rewrites);
    }

    [Fact]
    public void History_is_kept_as_long_as_that_is_asked_for()
    {
        using var redis = new AofHarness(options => options.AofDisableAutoGc = true);
        redis.Run("BGREWRITEAOF");
        redis.AwaitRewrite();
        redis.Run("BGREWRITEAOF");
        redis.AwaitRewrite();
        Assert.Equal(
            """
            file appendonly.aof.3.base.rdb seq 3 type b
            file appendonly.aof.2.incr.aof seq 2 type h
            file appendonly.aof.2.base.rdb seq 2 type h
            file appendonly.aof.1.incr.aof seq 1 type h
            file appendonly.aof.1.base.rdb seq 1 type h
            file appendonly.aof.3.incr.aof seq 3 type i

            """, redis.Manifest);
        Assert.Equal("OK", redis.Run("CONFIG", "SET", "aof-disable-auto-gc", "no"));
        Assert.Equal("file appendonly.aof.3.base.rdb seq 3 type b\nfile appendonly.aof.3.incr.aof seq 3 type i\n", redis.Manifest);
        Assert.Equal(3, Directory.GetFiles(redis.LogPath).Length);
    }

    [Fact]
    public void It_waits_while_a_snapshot_is_saved_and_for_the_end_of_a_transaction()
    {
        using var redis = new AofHarness();
        Assert.True(redis.Files.SnapshotTurn.TryTake(SnapshotPurpose.Dump));
        Assert.Equal("Background append only file rewriting scheduled", redis.Run("BGREWRITEAOF"));
        redis.Log.Tick();
        Assert.Equal(0, redis.Log.Rewrites);
        redis.Files.SnapshotTurn.Give();
        redis.Log.Tick();
        redis.AwaitRewrite();
        Assert.Equal(1, redis.Log.Rewrites);

        redis.Run("MULTI");
        redis.Run("BGREWRITEAOF");
        Assert.Equal(["Background append only file rewriting scheduled"], (object?[])redis.Run("EXEC")!);
        redis.Log.Tick();
        redis.AwaitRewrite();
        Assert.Equal(2, redis.Log.Rewrites);
    }

    [Fact]
    public async Task Debug_loadaof_brings_back_what_is_in_the_log_and_logs_nothing_of_it()
    {
        using var redis = new AofHarness();
        foreach (string[] command in RdbDataSet.Commands()) redis.Run(command);
        redis.Run("BGREWRITEAOF");
        redis.AwaitRewrite();
        redis.Run("SET", "more", "1", "PX", "100000");
        string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        string[] commands = redis.Commands();
        Assert.Null(await redis.Files.LoadLogAsync());
        Assert.Equal(digest, KeyspaceDigest.OfAll(redis.Store.Slots));
        Assert.Equal(commands, redis.Commands());
        Assert.Equal(Restrictions.None, redis.Store.Restrictions);
        redis.Run("SET", "and", "more");
        Assert.Equal(commands.Length + 1, redis.Commands().Length);
    }
}
