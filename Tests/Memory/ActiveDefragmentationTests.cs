using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using OrleansRedis.Tests.Persistence;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// What activedefrag wins, step by step. That nothing of it can be seen, whatever else happens between two steps, is what
/// <see cref="LeakTests"/> sees to. The heap is the whole process's, so each test has a process of its own.
/// </summary>
[Trait("Needs", "time")]
public sealed class ActiveDefragmentationTests
{
    [Fact]
    public Task Memory_becomes_free_whatever_lived_in_it() => OwnProcess.RunAsync(FreeMemory);

    [Fact]
    public Task Many_elements_take_many_short_steps() => OwnProcess.RunAsync(TakeSteps);

    [Fact]
    public Task Values_that_are_deleted_or_replaced_halfway_are_left_alone() => OwnProcess.RunAsync(ChangeHalfway, "ORLEANSREDIS_HEAP_CHECKS=1");

    [Fact]
    public Task Commands_of_several_threads_go_on_meanwhile() => OwnProcess.RunAsync(RunBesideCommands, "ORLEANSREDIS_HEAP_CHECKS=1");

    [Fact]
    public Task A_slot_that_somebody_holds_is_not_waited_for() => OwnProcess.RunAsync(MeetHeldGate);

    [Fact]
    public Task A_pass_begins_and_ends_by_itself() => OwnProcess.RunAsync(RunInBackground);

    [Fact]
    public Task When_more_than_half_is_free_activedefrag_need_not_be_on() => OwnProcess.RunAsync(KeepHouse);

    [Fact]
    public Task Nothing_happens_when_it_is_off_or_there_is_little_to_win() => OwnProcess.RunAsync(StayOff);

    private static void FreeMemory()
    {
        using var redis = new EngineHarness(options => options.ListCompressDepth = 1);
        Fragment(redis);
        string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        long used = redis.Store.UsedMemory;
        HeapStatistics before = Heap.Statistics();
        Assert.True(before.FragmentationPercent > 100, $"{before}");
        Walk(redis);
        HeapStatistics after = Heap.Statistics();
        // Of each size one span may be nearly empty.
        Assert.True(after.FreeBytes < before.FreeBytes / 3, $"{before} {after}");
        Assert.True(after.SpanBytes < before.SpanBytes * 0.7, $"{before} {after}");
        Assert.Equal(digest, KeyspaceDigest.OfAll(redis.Store.Slots));
        Assert.Equal(used, redis.Store.UsedMemory);
        Structures.Verify(redis.Store.Slots);
        StoreStatistics statistics = redis.Store.Statistics;
        Assert.InRange(statistics.DefragHits, 10_000, long.MaxValue);
        Assert.InRange(statistics.DefragMisses, 1, long.MaxValue);
        Assert.InRange(statistics.DefragKeyHits, 2_000, long.MaxValue);
        Assert.Equal(redis.Store.Slots.KeyCount(0), statistics.DefragKeyHits + statistics.DefragKeyMisses);
        redis.Run("CONFIG", "RESETSTAT");
        Assert.Equal(0, statistics.DefragHits + statistics.DefragMisses + statistics.DefragKeyHits + statistics.DefragKeyMisses);
    }

    private static void TakeSteps()
    {
        const int Elements = 50_000, Together = 10;
        using var redis = new EngineHarness(options =>
            (options.ActiveDefragMaxScanFields, options.ListMaxListpackSize, options.StreamNodeMaxEntries) = (100, Together, Together));
        string[] kinds = ["hash", "set", "zset", "list", "stream"];
        foreach (string kind in kinds)
        {
            Fill(redis, kind, kind, Elements);
            Defragmentation.Begin(everything: true);
            redis.Run("CONFIG", "RESETSTAT");
            int steps = Walk(redis);
            long blocks = redis.Store.Statistics.DefragHits + redis.Store.Statistics.DefragMisses;
            Assert.InRange(blocks, Elements / Together, Elements * 2);
            Assert.InRange(steps, blocks / 250, blocks);
            redis.Run("DEL", kind);
        }
    }

    private static void ChangeHalfway()
    {
        using var redis = new EngineHarness(options =>
            (options.ActiveDefragMaxScanFields, options.ListMaxListpackSize, options.StreamNodeMaxEntries) = (10, 10, 10));
        string[] kinds = ["hash", "set", "zset", "list", "stream"];
        string[][] changes =
        [
            ["DEL", "{k}"], ["UNLINK", "{k}"], ["RENAME", "{k}", "{k}2"], ["SET", "{k}", "v"], ["COPY", "{k}2", "{k}", "REPLACE"], ["FLUSHALL"],
            ["SWAPDB", "0", "1"], ["PEXPIRE", "{k}", "1"],
        ];
        foreach (string kind in kinds)
        {
            foreach (string[] change in changes)
            {
                Fill(redis, kind, "{k}", 2000);
                redis.Run("COPY", "{k}", "{k}2");
                Defragmentation.Begin(everything: true);
                var pass = new DefragmentationPass(redis.Store);
                for (int i = 0; i < 4; i++) Assert.NotEqual(DefragmentationProgress.Finished, pass.Step());
                redis.Run(change);
                string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
                while (pass.Step() != DefragmentationProgress.Finished) Structures.Verify(redis.Store.Slots);
                Defragmentation.End();
                Assert.Equal(digest, KeyspaceDigest.OfAll(redis.Store.Slots));
                redis.Run("FLUSHALL");
            }
        }
    }

    private static void RunBesideCommands()
    {
        const int Threads = 3, Commands = 3000;
        using var redis = new EngineHarness(options =>
        {
            (options.ActiveDefragMaxScanFields, options.ListMaxListpackSize, options.StreamNodeMaxEntries) = (20, 8, 8);
            options.ListCompressDepth = 1;
        });
        string[] kinds = ["hash", "set", "zset", "list", "stream"];
        foreach (string kind in kinds) Fill(redis, kind, kind, 2000);
        Task clients = Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(() =>
        {
            EngineClient client = redis.NewClient();
            Random random = TestSeed.Random(thread);
            for (int i = 0; i < Commands; i++) client.Run(Command(random, kinds));
        })));
        int passes = 0;
        for (; !clients.IsCompleted; passes++)
        {
            Defragmentation.Begin(everything: true);
            Walk(redis);
        }
        clients.GetAwaiter().GetResult();
        Assert.NotEqual(0, passes);
        Structures.Verify(redis.Store.Slots);
        using var copy = new EngineHarness();
        RdbFiles.Load(copy, RdbFiles.Save(redis.Store));
        Assert.Equal(KeyspaceDigest.OfAll(redis.Store.Slots), KeyspaceDigest.OfAll(copy.Store.Slots));
    }

    private static string[] Command(Random random, string[] kinds)
    {
        string member = $"m{random.Next(3000)}", other = $"m{random.Next(3000)}", value = new('v', random.Next(100));
        return random.Next(20) switch
        {
            0 or 1 => ["HSET", "hash", member, value, other, value],
            2 => ["HDEL", "hash", member, other],
            3 => ["HPEXPIRE", "hash", "100000", "FIELDS", "1", member],
            4 => ["SADD", "set", member, value],
            5 => ["SREM", "set", member, other],
            6 or 7 => ["ZADD", "zset", $"{random.Next(100)}", member, $"{random.Next(100)}", other],
            8 => ["ZREM", "zset", member, other],
            9 => ["ZREMRANGEBYRANK", "zset", $"{random.Next(2000)}", $"{random.Next(2000)}"],
            10 => ["RPUSH", "list", value, member],
            11 => ["LINSERT", "list", "BEFORE", member, value],
            12 => ["LPOP", "list"],
            13 => ["LREM", "list", "1", member],
            14 => ["XADD", "stream", "MAXLEN", "2000", "*", "field", value],
            15 => ["XREADGROUP", "GROUP", "group", $"consumer {random.Next(5)}", "COUNT", "5", "STREAMS", "stream", ">"],
            16 => ["SET", $"string {random.Next(2000)}", value],
            17 => ["DEL", $"string {random.Next(2000)}"],
            18 => ["APPEND", $"string {random.Next(2000)}", value],
            _ => random.Next(10) == 0 ? ["COPY", kinds[random.Next(kinds.Length)], "copy", "REPLACE"] : ["UNLINK", "copy"],
        };
    }

    private static void MeetHeldGate()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "k", "v");
        Slot slot = redis.Store.Slots[KeySlot.Of("k"u8)]!;
        Defragmentation.Begin(everything: true);
        var pass = new DefragmentationPass(redis.Store);
        using (new HeldGate(slot)) Assert.Equal(DefragmentationProgress.Busy, pass.Step());
        Assert.Equal(DefragmentationProgress.Stepped, pass.Step());
        Assert.Equal(DefragmentationProgress.Finished, pass.Step());
        Defragmentation.End();
        redis.Store.SiloGate.EnterExclusiveAsync().AsTask().GetAwaiter().GetResult();
        pass = new(redis.Store);
        Assert.Equal(DefragmentationProgress.Busy, pass.Step());
        pass.Leave();
        Assert.Equal(DefragmentationProgress.Finished, pass.Step());
        redis.Store.SiloGate.ExitExclusive();
        Assert.Equal("v", redis.Run("GET", "k"));
    }

    private static void RunInBackground()
    {
        using var redis = new EngineHarness();
        Fragment(redis);
        string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        ServerOptions options = redis.Store.Options;
        options.ActiveDefragIgnoreBytes = 1 << 20;
        ActiveDefragmentation active = redis.Store.ActiveDefragmentation;
        Assert.False(active.Look());
        HeapStatistics before = Heap.Statistics();
        options.ActiveDefrag = true;
        StandStill(redis, () =>
        {
            Assert.True(active.Look());
            Assert.False(active.Look());
            Assert.Equal(25, active.Percent);
            Assert.True(active.CurrentTime > TimeSpan.Zero);
        });
        for (int i = 0; active.Percent != 0; i++) Assert.Equal("OK", redis.Run("SET", $"other {i % 100}", "v"));
        for (int i = 0; i < 100; i++) redis.Run("DEL", $"other {i}");
        HeapStatistics after = Heap.Statistics();
        Assert.True(after.FreeBytes < before.FreeBytes / 2, $"{before} {after}");
        Assert.Equal(digest, KeyspaceDigest.OfAll(redis.Store.Slots));
        Assert.Equal(TimeSpan.Zero, active.CurrentTime);
        Assert.True(redis.Store.Statistics.DefragTime > TimeSpan.Zero);

        // Sooner or later a pass wins nothing, and is the last one for now.
        (options.ActiveDefragIgnoreBytes, options.ActiveDefragThresholdLower) = (1, 0);
        int passes = 0;
        for (; passes < 50 && active.Look(); passes++)
        {
            while (active.Percent != 0) Thread.Yield();
        }
        Assert.InRange(passes, 1, 49);

        Fragment(redis);
        StandStill(redis, () =>
        {
            Assert.True(active.Look());
            options.ActiveDefrag = false;
            while (active.Percent != 0) Thread.Yield();
            Assert.False(active.Look());
            options.ActiveDefrag = true;
            Assert.True(active.Look());
            active.Stop();
            Assert.Equal(0, active.Percent);
            Assert.False(active.Look());
        });
        Assert.False(Defragmentation.IsUnderWay);
    }

    private static void KeepHouse()
    {
        const int Keys = 400_000, Kept = 8;
        using var redis = new EngineHarness();
        for (int i = 0; i < Keys; i++) redis.Run("SET", $"string {i}", new string('v', 100));
        ActiveDefragmentation active = redis.Store.ActiveDefragmentation;
        Assert.False(active.Look());
        for (int i = 0; i < Keys; i++)
        {
            if (i % Kept != 0) redis.Run("DEL", $"string {i}");
        }
        redis.ForgetEffects();
        redis.TakeEvents();
        Heap.Trim(0);
        string digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        HeapStatistics before = Heap.Statistics();
        Assert.False(redis.Store.Options.ActiveDefrag);
        StandStill(redis, () =>
        {
            Assert.True(active.Look());
            Assert.Equal(10, active.Percent);
        });
        while (active.Percent != 0) Thread.Yield();
        HeapStatistics after = Heap.Statistics();
        Assert.True(after.SpanBytes < before.SpanBytes / 3, $"{before} {after}");
        Assert.Equal(digest, KeyspaceDigest.OfAll(redis.Store.Slots));
        Assert.False(active.Look());
    }

    private static void StayOff()
    {
        using var redis = new EngineHarness();
        Fragment(redis);
        ServerOptions options = redis.Store.Options;
        ActiveDefragmentation active = redis.Store.ActiveDefragmentation;
        options.ActiveDefrag = true;
        options.ActiveDefragIgnoreBytes = 1L << 40;
        Assert.False(active.Look());
        (options.ActiveDefragIgnoreBytes, options.ActiveDefragThresholdLower, options.ActiveDefragThresholdUpper) = (1, 1000, 1000);
        Assert.False(active.Look());
        Assert.Equal(0, redis.Store.Statistics.DefragHits + redis.Store.Statistics.DefragMisses);
    }

    /// <summary>While this runs, a pass gets no further.</summary>
    private static void StandStill(EngineHarness redis, Action action)
    {
        redis.Store.SiloGate.EnterExclusiveAsync().AsTask().GetAwaiter().GetResult();
        action();
        redis.Store.SiloGate.ExitExclusive();
    }

    /// <summary>A pass through everything. Returns how many steps it took.</summary>
    private static int Walk(EngineHarness redis)
    {
        if (!Defragmentation.IsUnderWay) Assert.NotEqual(0, Defragmentation.Begin());
        var pass = new DefragmentationPass(redis.Store);
        int steps = 0;
        DefragmentationProgress progress;
        while ((progress = pass.Step()) != DefragmentationProgress.Finished)
        {
            if (progress == DefragmentationProgress.Busy) Thread.Yield();
            else steps++;
        }
        Defragmentation.End();
        return steps;
    }

    /// <summary>Fills it with data of all families, and deletes four fifths of them at random.</summary>
    private static void Fragment(EngineHarness redis)
    {
        const int Keys = 40_000, Elements = 40_000, Small = 4000;
        Random random = TestSeed.Random(0);
        for (int i = 0; i < Keys; i++) redis.Run("SET", $"string {i}", new string('v', random.Next(200)));
        for (int i = 0; i < Small; i++)
        {
            redis.Run("HSET", $"h{i}", "field", new string('v', random.Next(60)), "other", "value");
            redis.Run("RPUSH", $"l{i}", "a", "b", new string('v', random.Next(100)));
            redis.Run("SADD", $"s{i}", "1", "2", $"{i}");
            redis.Run("ZADD", $"z{i}", "1", "a", "2", $"{i}");
            redis.Run("XADD", $"x{i}", "*", "field", "value");
            redis.Run("APPEND", $"a{i}", new string('v', 200));
        }
        string[] kinds = ["hash", "set", "zset", "list", "stream"];
        foreach (string kind in kinds) Fill(redis, kind, kind, Elements);
        for (int i = 0; i < Keys; i++)
        {
            if (random.Next(5) != 0) redis.Run("DEL", $"string {i}");
            if (i < Small && random.Next(5) != 0) redis.Run("DEL", $"h{i}", $"l{i}", $"s{i}", $"z{i}", $"x{i}", $"a{i}");
        }
        for (int i = 0; i < Elements; i++)
        {
            if (random.Next(5) == 0) continue;
            redis.Run("HDEL", "hash", $"m{i}");
            redis.Run("SREM", "set", $"m{i}");
            redis.Run("ZREM", "zset", $"m{i}");
        }
        redis.Run("LTRIM", "list", "0", $"{Elements / 5}");
        redis.Run("XTRIM", "stream", "MAXLEN", $"{Elements / 5}");
        redis.ForgetEffects();
        redis.TakeEvents();
        Heap.Trim(0);
    }

    private static void Fill(EngineHarness redis, string kind, string key, int count)
    {
        const int AtOnce = 1000;
        for (int from = 0; from < count; from += AtOnce)
        {
            IEnumerable<int> numbers = Enumerable.Range(from, Math.Min(AtOnce, count - from));
            switch (kind)
            {
                case "hash": redis.Run(["HSET", key, .. numbers.SelectMany(i => (string[])[$"m{i}", $"value {i}"])]); break;
                case "set": redis.Run(["SADD", key, .. numbers.Select(i => $"m{i}")]); break;
                case "zset": redis.Run(["ZADD", key, .. numbers.SelectMany(i => (string[])[$"{i % 100}", $"m{i}"])]); break;
                case "list": redis.Run(["RPUSH", key, .. numbers.Select(i => $"element {i}")]); break;
                case "stream":
                    if (from == 0) redis.Run("XGROUP", "CREATE", key, "group", "$", "MKSTREAM");
                    foreach (int i in numbers) redis.Run("XADD", key, $"{i + 1}-1", "field", $"value {i}");
                    redis.Run("XREADGROUP", "GROUP", "group", $"consumer {from}", "COUNT", "500", "STREAMS", key, ">");
                    break;
            }
        }
        if (kind == "hash") redis.Run("HPEXPIRE", key, "100000", "FIELDS", "3", "m1", "m2", "m3");
    }
}
