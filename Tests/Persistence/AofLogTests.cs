using System.Globalization;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>What the log contains, and when it is on the disk.</summary>
public sealed class AofLogTests
{
    [Fact]
    public void Commands_stand_there_as_redis_server_writes_them()
    {
        using var redis = new AofHarness();
        redis.Run("SET", "a", "1");
        redis.Run("GET", "a");
        redis.Run("SADD", "s", "x");
        redis.Run("SPOP", "s");
        EngineClient other = redis.Engine.NewClient();
        other.Run("SELECT", "3");
        other.Run("set", "b", "2");
        other.Run("del", "missing");
        redis.Run("INCR", "a");
        Assert.Equal(["SELECT 0", "SET a 1", "SADD s x", "SREM s x", "SELECT 3", "set b 2", "SELECT 0", "INCR a"], redis.Commands());
    }

    [Fact]
    public void A_transaction_stands_between_multi_and_exec_and_a_lone_effect_does_not()
    {
        using var redis = new AofHarness();
        redis.Run("MULTI");
        redis.Run("SET", "a", "1");
        redis.Run("GET", "a");
        redis.Run("EXEC");
        redis.Run("MULTI");
        redis.Run("SET", "a", "1");
        redis.Run("SELECT", "2");
        redis.Run("SET", "b", "1");
        redis.Run("EXEC");
        redis.Run("MULTI");
        redis.Run("GET", "a");
        redis.Run("EXEC");
        Assert.Equal(["SELECT 0", "SET a 1", "MULTI", "SET a 1", "SELECT 2", "SET b 1", "EXEC"], redis.Commands());
    }

    [Fact]
    public void A_command_on_whole_databases_stands_there_once_even_if_they_are_empty()
    {
        using var redis = new AofHarness();
        for (int i = 0; i < 100; i++) redis.Run("SET", i.ToString(CultureInfo.InvariantCulture), "v");
        redis.Run("SWAPDB", "0", "1");
        redis.Run("FLUSHALL", "ASYNC");
        redis.Run("flushdb");
        redis.Run("MULTI");
        redis.Run("SET", "a", "1");
        redis.Run("FLUSHALL");
        redis.Run("EXEC");
        Assert.Equal(["SWAPDB 0 1", "FLUSHALL ASYNC", "flushdb", "MULTI", "SET a 1", "FLUSHALL", "EXEC"], redis.Commands()[101..]);
    }

    [Fact]
    public void Times_are_annotated_once_a_second_and_never_within_a_transaction()
    {
        using var redis = new AofHarness(options => options.AofTimestampEnabled = true);
        long now = redis.Engine.NowMs / 1000;
        redis.Run("SET", "a", "1");
        redis.Run("SET", "a", "2");
        redis.Engine.Time.Advance(1500);
        redis.Run("MSET", "a", "3", "b", "4");
        Assert.Equal([$"#TS:{now}", "SELECT 0", "SET a 1", "SET a 2", $"#TS:{now + 1}", "MULTI"], redis.Commands()[..6]);
    }

    [Fact]
    public void What_belongs_to_no_slot_is_logged_in_its_place_and_loaded_from_there()
    {
        using var redis = new AofHarness();
        redis.Files.Functions.TryAdd("#!lua name=l\ncode"u8.ToArray());
        redis.Run("BGREWRITEAOF");
        redis.AwaitRewrite();
        redis.Run("SET", "a", "1");
        using (AofHarness before = redis.Restart(options => options.AppendOnly = true)) Assert.Single(before.Files.Functions.Codes);
        redis.Run("FUNCTION", "FLUSH", "SYNC");
        redis.Run("MULTI");
        redis.Run("SET", "b", "1");
        redis.Run("FUNCTION", "FLUSH");
        redis.Run("EXEC");
        Assert.Equal(["SELECT 0", "SET a 1", "FUNCTION FLUSH SYNC", "MULTI", "SET b 1", "FUNCTION FLUSH", "EXEC"], redis.Commands());
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(AofLoadEnd.Loaded, again.Loaded);
        Assert.Empty(again.Files.Functions.Codes);
        Assert.Equal(2L, again.Run("DBSIZE"));
    }

    [Fact]
    public void A_rewrite_begins_at_a_position_and_holds_the_libraries_of_its_instant()
    {
        using var redis = new AofHarness(options => options.RdbKeySaveDelay = 2000);
        redis.Files.Functions.TryAdd("#!lua name=l\ncode"u8.ToArray());
        for (int i = 0; i < 200; i++) redis.Run("SET", $"{i}", "v");
        long before = redis.Log.Appended;
        redis.Run("BGREWRITEAOF");
        Assert.Equal(before, redis.Log.Appended);
        redis.Run("FUNCTION", "FLUSH");
        redis.AwaitRewrite();
        Assert.Equal(["FUNCTION FLUSH"], redis.Commands());
        Assert.Equal(redis.Log.Appended - before, redis.Read("appendonly.aof.2.incr.aof").Length);
        redis.Close();
        Assert.Contains("#!lua name=l", System.Text.Encoding.Latin1.GetString(redis.Read("appendonly.aof.2.base.rdb")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_ping_in_the_stream_is_written_and_read_over()
    {
        using var redis = new AofHarness();
        redis.Run("SET", "a", "1");
        long before = redis.Log.Appended;
        Assert.True(redis.Store.Effects.Log.AppendPing() > before);
        redis.Run("SET", "b", "1");
        Assert.Equal(["SELECT 0", "SET a 1", "PING", "SET b 1"], redis.Commands());
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(2L, again.Run("DBSIZE"));
    }

    [Theory]
    [InlineData("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n")]
    [InlineData("*3\r\n$3\r\nSETxx$1\r\nayy$1\r\n1zz")]
    [InlineData("*3\rx$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n")]
    [InlineData("*3\r\n$3\r\nSET\r\n$1\rxa\r\n$1\r\n1\r\n")]
    [InlineData("*03\r\n$3\r\nSET\r\n$1\r\na\r\n$001\r\n1\r\n")]
    public void What_a_client_sends_in_odd_ways_is_logged_properly(string text)
    {
        using var redis = new AofHarness();
        byte[] frame = System.Text.Encoding.ASCII.GetBytes(text);
        ArgumentRange[] arguments =
            [new(text.IndexOf("SET", StringComparison.Ordinal), 3), new(text.IndexOf('a', StringComparison.Ordinal), 1), new(text.LastIndexOf('1'), 1)];
        var reply = new RespWriter();
        var call = new CommandContext(redis.Store, new Session(), reply)
        {
            Command = EngineHarness.Commands.Find("SET"u8)!,
            Request = new(frame, arguments, frame),
            NowMs = redis.Engine.NowMs,
        };
        redis.Store.Execute(ref call);
        Assert.Equal(["SELECT 0", "SET a 1"], redis.Commands());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Units_of_many_threads_come_whole_and_each_keys_in_order(int seed)
    {
        using var redis = new AofHarness();
        redis.Store.Effects.KeyEvents = null;
        const int Writers = 6, Rounds = 300;
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(writer => Task.Run(async () =>
        {
            EngineClient client = redis.Engine.NewClient();
            var random = TestSeed.Random((seed * 100) + writer);
            for (int i = 0; i < Rounds; i++)
            {
                // Every writer appends to lists that all of them share, now and then to several at once.
                string entry = $"{writer}:{i}";
                switch (random.Next(3))
                {
                    case 0:
                        await client.RunAsync("RPUSH", $"list:{random.Next(5)}", entry);
                        break;
                    case 1:
                        await client.RunAsync("MSET", $"{writer}:a", entry, $"{writer}:b", entry);
                        break;
                    default:
                        await client.RunAsync("MULTI");
                        await client.RunAsync("RPUSH", $"list:{random.Next(5)}", entry);
                        await client.RunAsync("RPUSH", $"list:{random.Next(5)}", entry + "'");
                        await client.RunAsync("EXEC");
                        break;
                }
            }
        })));
        string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        string[] commands = redis.Commands();
        bool inUnit = false;
        foreach (string command in commands)
        {
            if (command is "MULTI") Assert.False(inUnit);
            if (command is "EXEC") Assert.True(inUnit);
            inUnit = command is "MULTI" || (inUnit && command is not "EXEC");
        }
        Assert.False(inUnit);
        redis.Close();

        using AofHarness again = redis.Restart();
        Assert.Equal(AofLoadEnd.Loaded, again.Loaded);
        Assert.Equal(digest, KeyspaceDigest.OfAll(again.Store.Slots));
    }

    [Fact]
    public async Task With_always_a_wait_ends_with_the_sync_that_covers_it()
    {
        FaultyFile? file = null;
        using var gate = new ManualResetEventSlim(initialState: true);
        using var redis = new AofHarness(
            options => options.AppendFsync = AppendFsync.Always,
            wrap: (_, inner) => file = new FaultyFile(inner) { SyncGate = gate });
        Assert.True(redis.Log.RepliesWait);
        redis.Run("SET", "a", "1");
        await redis.Log.WhenCommitted(0, redis.Log.Appended).WaitAsync(Eventually.Deadline);
        Assert.Equal(redis.Log.Appended, redis.Log.Committed);
        Assert.Equal(redis.Log.Appended, file!.OnDisk.Length);

        gate.Reset();
        redis.Run("SET", "a", "2");
        Task first = redis.Log.WhenCommitted(0, redis.Log.Appended);
        await Eventually.TrueAsync(() => file.WaitingSyncs == 1, () => "nothing is being synced");
        redis.Run("SET", "a", "3");
        Task second = redis.Log.WhenCommitted(0, redis.Log.Appended);
        Assert.False(first.IsCompleted);
        Assert.False(second.IsCompleted);
        gate.Set();
        await Task.WhenAll(first, second).WaitAsync(Eventually.Deadline);
        Assert.Equal(redis.Log.Appended, file.OnDisk.Length);
    }

    [Fact]
    public async Task With_always_one_sync_serves_many()
    {
        FaultyFile? file = null;
        using var gate = new ManualResetEventSlim(initialState: false);
        using var redis = new AofHarness(
            options => options.AppendFsync = AppendFsync.Always,
            wrap: (_, inner) => file = new FaultyFile(inner) { SyncGate = gate });
        var waits = new List<Task>();
        for (int i = 0; i < 50; i++)
        {
            redis.Run("SET", "a", "1");
            waits.Add(redis.Log.WhenCommitted(0, redis.Log.Appended));
        }
        gate.Set();
        await Task.WhenAll(waits).WaitAsync(Eventually.Deadline);
        Assert.InRange(file!.Syncs, 1, 3);
    }

    [Fact]
    public async Task With_everysec_a_commit_is_a_write_and_it_is_synced_within_a_second()
    {
        FaultyFile? file = null;
        using var redis = new AofHarness(wrap: (_, inner) => file = new FaultyFile(inner));
        Assert.False(redis.Log.RepliesWait);
        Assert.False(redis.Log.IsBehind);
        redis.Run("SET", "a", "1");
        Assert.True(redis.Log.IsBehind);
        await ((ICommittingLog)redis.Log).WhenCommitted().WaitAsync(Eventually.Deadline);
        Assert.False(redis.Log.IsBehind);
        Assert.Equal(redis.Log.Appended, file!.Length);
        Assert.Equal(0, file.Syncs);
        redis.Engine.Time.Advance(1100);
        redis.Log.Tick();
        await Eventually.TrueAsync(() => file.OnDisk.Length == redis.Log.Appended, () => "not synced");
        redis.Engine.Time.Advance(1100);
        redis.Log.Tick(); // nothing is new
        Assert.Equal(1, file.Syncs);
    }

    [Fact]
    public async Task With_no_it_is_never_synced_before_the_end_and_not_held_in_memory()
    {
        FaultyFile? file = null;
        using var redis = new AofHarness(options => options.AppendFsync = AppendFsync.No, wrap: (_, inner) => file = new FaultyFile(inner));
        redis.Run("SET", "a", "1");
        await ((ICommittingLog)redis.Log).WhenCommitted().WaitAsync(Eventually.Deadline);
        Assert.Equal(redis.Log.Appended, file!.Length);
        redis.Engine.Time.Advance(5000);
        redis.Log.Tick();
        Assert.Equal(0, file!.Syncs);
        Assert.Equal(0, redis.Log.BufferBytes);
        redis.Close();
        Assert.Equal(1, file.Syncs);
    }

    [Fact]
    public async Task What_no_reply_waits_for_is_written_by_the_clock()
    {
        using var redis = new AofHarness(options => options.AppendFsync = AppendFsync.No);
        redis.Run("SET", "a", "1");
        redis.Log.Tick();
        await Eventually.TrueAsync(() => redis.Log.UnwrittenLength == 0, () => "not written");
        Assert.Equal(redis.Log.Appended, redis.Read("appendonly.aof.1.incr.aof").Length);
    }
}
