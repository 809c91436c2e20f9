using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Differential;
using OrleansRedis.Tests.Harness;
using OrleansRedis.Tests.Persistence;
using Xunit;
using Store = OrleansRedis.Engine.Store;

namespace OrleansRedis.Tests;

/// <summary>
/// Whatever was done, with an empty data set the heap holds nothing but tables without keys. Random commands of all
/// families, and all else that replaces or removes data, are followed by a FLUSHALL. An episode after which something
/// is left is shrunk to the few steps that it takes.
/// <para>
/// The heap is the whole process's, so each test has a process of its own. LEAK_EPISODES: how many episodes of each
/// family.
/// </para>
/// </summary>
[Trait("Needs", "time")]
public sealed class LeakTests
{
    private const int Steps = 250, Databases = 3, MostStepsAtOnce = 2;

    /// <summary>What else there is, besides the commands that are compared with redis-server.</summary>
    private static readonly string[] s_others =
    [
        "2 RENAME key dst", "RENAMENX key dst", "2 COPY key dst [DB db] [REPLACE]", "2 MOVE key db", "SWAPDB db db", "SELECT db", "FLUSHDB", "UNLINK key+",
        "MULTI", "EXEC", "DISCARD", "WATCH key", "2 HPEXPIRE key ttlms FIELDS 1 field", "HEXPIRE key ttl FIELDS 1 field", "HPERSIST key FIELDS 1 field",
        "2 HPEXPIRE key 50 FIELDS 2 field field", "HGETDEL key FIELDS 1 field", "HGETEX key PX ttlms FIELDS 1 field",
        "HSETEX key PX ttlms FIELDS 1 field value", "PEXPIRE key ttlms", "2 PEXPIRE key 50", "PERSIST key", "SET key value PX 50", "SET key value GET",
        "SET key value {IFEQ|IFNE} value", "GETDEL key", "DELEX key [IFEQ value]", "MSETEX 2 key value key value PX ttlms", "BITOP {DIFF|ONE} dst key key",
        "SORT key ALPHA STORE dst", "SMOVE key dst member", "LMOVE key dst {LEFT|RIGHT} {LEFT|RIGHT}", "XGROUP CREATE key group 0 MKSTREAM",
        "XREADGROUP GROUP group consumer STREAMS key >", "XACKDEL key group {KEEPREF|DELREF|ACKED} IDS 1 sid", "XDELEX key DELREF IDS 1 sid",
        "OBJECT ENCODING key", "MEMORY USAGE key", "TOUCH key",
    ];

    private static readonly CommandPattern[] s_otherPatterns =
        [.. s_others.Select(text => new CommandPattern(text)).SelectMany(pattern => Enumerable.Repeat(pattern, pattern.Weight))];

    [Fact]
    public Task Nothing_is_left_of_data_that_are_gone() => OwnProcess.RunAsync(Play);

    [Fact]
    public Task Nothing_is_used_that_was_freed_and_nothing_freed_twice() => OwnProcess.RunAsync(Play, "ORLEANSREDIS_HEAP_CHECKS=1");

    [Fact]
    public Task Nor_while_many_do_it_at_once() => OwnProcess.RunAsync(PlayTogether, "ORLEANSREDIS_HEAP_CHECKS=1");

    [Fact]
    public Task What_is_replaced_while_a_slot_is_recovered_is_given_back_meanwhile() => OwnProcess.RunAsync(Recover);

    [Fact]
    public Task Saving_with_everything_stopped_keeps_no_decompressed_list() => OwnProcess.RunAsync(SaveExclusively);

    [Fact]
    public Task A_slot_that_leaves_can_be_looked_at_by_whoever_has_the_silo_to_himself() =>
        OwnProcess.RunAsync(WithdrawWhileExclusive, "ORLEANSREDIS_HEAP_CHECKS=1");

    [Fact]
    public Task Listpacks_may_be_as_large_as_the_thresholds_allow_and_come_back() => OwnProcess.RunAsync(LargeListpacks);

    private static long LiveBytes()
    {
        LazyFree.WhenDoneAsync().GetAwaiter().GetResult();
        HeapChecks.ReleaseAll();
        Heap.EmptyCaches();
        return Heap.Statistics().LiveBytes;
    }

    private static void Recover()
    {
        using var redis = new EngineHarness();
        int number = KeySlot.Of("k"u8);
        for (int i = 0; i < 20_000; i++) redis.Run("SET", $"{{k}}{i}", "v");
        List<ReadOnlyMemory<byte>> pieces = SlotSnapshots.Write(redis.Store.Slots[number]!, redis.Store.Options, 16, redis.NowMs, out _)!;
        using var replay = new SlotReplay(redis.Store, EngineHarness.Commands);
        Slot slot = redis.Store.Slots.Create(number, epoch: 2);
        foreach (ReadOnlyMemory<byte> piece in pieces) replay.Load(slot, piece.Span);
        long loaded = LiveBytes();
        slot.Gate.Enter();
        slot.Gate.Exit();
        Assert.InRange(loaded - LiveBytes(), 0, 50_000);

        var record = new RespWriter();
        for (int i = 0; i < 1000; i++)
        {
            record.Array(3);
            record.BulkString("SET"u8);
            record.BulkString("k"u8);
            record.BulkString(new byte[1000 + (i * 20)]);
        }
        long before = LiveBytes();
        replay.Run(slot, record.Written, leaveOut: 0);
        Assert.InRange(LiveBytes() - before, 0, 50_000);
        SlotReplay.Abandon(redis.Store, slot);
        Assert.InRange(LiveBytes(), 0, loaded - 500_000);
    }

    private static void SaveExclusively()
    {
        using var redis = new EngineHarness(options => options.ListCompressDepth = 1);
        for (int i = 0; i < 500; i++) redis.Run(["RPUSH", $"list {i}", .. Enumerable.Range(0, 8).Select(j => new string((char)('a' + j), 4000))]);
        redis.Store.SiloGate.EnterExclusiveAsync().AsTask().GetAwaiter().GetResult();
        var target = new MeasuringTarget(redis.Store.Options);
        long before = LiveBytes();
        Snapshot.Begin(redis.Store.SiloGate, redis.Store.Slots, redis.Store.Effects.Log, target).Run(exclusive: true);
        redis.Store.SiloGate.ExitExclusive();
        Assert.InRange(target.MostLiveBytes - before, 0, 100_000);
    }

    private static void WithdrawWhileExclusive()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "k", new string('x', 1000));
        Slot slot = redis.Store.Slots[KeySlot.Of("k"u8)]!;
        Blob blob = slot.Keyspace(0).Find("k"u8).Blob;
        long before = LiveBytes();
        redis.Store.SiloGate.EnterExclusiveAsync().AsTask().GetAwaiter().GetResult();
        Task.Run(() => redis.Store.Slots.Withdraw(slot)).GetAwaiter().GetResult();
        Assert.False(blob.Text.ContainsAnyExcept((byte)'x'));
        Assert.Equal(before, LiveBytes());
        redis.Store.SiloGate.ExitExclusive();
        while (LiveBytes() >= before) Thread.Yield();
    }

    private static void LargeListpacks()
    {
        using var redis = new EngineHarness(options =>
        {
            (options.HashMaxListpackEntries, options.ZsetMaxListpackEntries, options.SetMaxListpackEntries) = (1_000_000, 1_000_000, 1_000_000);
            (options.HashMaxListpackValue, options.ZsetMaxListpackValue, options.SetMaxListpackValue) = (1 << 30, 1 << 30, 1 << 30);
            options.RdbCompression = false;
        });
        using var copy = new EngineHarness(options => options.ZsetMaxListpackEntries = 0);
        long before = LiveBytes();
        const int Members = 40, Bytes = 1 << 20;
        for (int i = 0; i < Members; i++)
        {
            string large = new((char)('0' + i), Bytes);
            redis.Run("ZADD", "zset", $"{i}", large);
            redis.Run("HSET", "hash", $"{i}", large);
            redis.Run("SADD", "set", large);
            redis.Run("APPEND", "string", large);
        }
        foreach (string key in (string[])["zset", "hash", "set"]) Assert.Equal("listpack", redis.Run("OBJECT", "ENCODING", key));
        Assert.InRange(LiveBytes() - before, 4L * Members * Bytes, 6L * Members * Bytes);
        redis.Run("COPY", "zset", "other");
        redis.Run("RENAME", "hash", "renamed");
        redis.Run("PEXPIRE", "set", "100000");
        RdbFiles.Load(copy, RdbFiles.Save(redis.Store));
        Assert.Equal(KeyspaceDigest.OfAll(redis.Store.Slots), KeyspaceDigest.OfAll(copy.Store.Slots));
        Assert.Equal("OK", redis.Run("RESTORE", "restored", "0", (string)redis.Run("DUMP", "renamed")!));
        Assert.Equal(new string('7', Bytes), redis.Run("HGET", "restored", "7"));
        copy.Run("FLUSHALL");
        redis.Run("DEL", "other", "renamed", "restored", "set", "string");
        redis.Run("ZREMRANGEBYRANK", "zset", "0", $"{Members - 2}");
        Assert.InRange(LiveBytes() - before, Bytes, 4 * Bytes);
        redis.Run("FLUSHALL");
        Assert.InRange(LiveBytes() - before, 0, 10_000);
        HeapKeeper.Purge();
        Assert.InRange(Heap.Statistics().ResidentBytes - before, 0, 16 << 20);
    }

    /// <summary>
    /// Several clients at once, while slots leave, keys expire and are evicted, and snapshots are made of it all.
    /// </summary>
    private static void PlayTogether()
    {
        foreach (Family family in Family.All) family.Meet(_ => true);
        using var redis = new EngineHarness(options => options.Databases = Databases);
        redis.Store.Effects.KeyEvents = null;
        for (int round = 0; round < 3; round++)
        {
            long before = LiveBytes() - redis.Store.UsedMemory;
            using var stop = new CancellationTokenSource();
            Task[] clients = [.. Enumerable.Range(0, 4).Select(i => Task.Run(() => PlayAmongOthers(redis, TestSeed.Random((round * 10) + i))))];
            Task disturbance = Task.Run(() => DisturbAsync(redis, TestSeed.Random((round * 10) + 9), stop.Token));
            Task.WhenAll(clients).GetAwaiter().GetResult();
            stop.Cancel();
            disturbance.GetAwaiter().GetResult();
            redis.Run("FLUSHALL");
            redis.ForgetEffects();
            // A slot that has left may still be on its way.
            SpinWait.SpinUntil(() => LiveBytes() - redis.Store.UsedMemory == before, TimeSpan.FromSeconds(60));
            // The first round leaves behind what is made once.
            if (round > 0) Assert.Equal(before, LiveBytes() - redis.Store.UsedMemory);
        }
    }

    private static void PlayAmongOthers(EngineHarness redis, Random random)
    {
        EngineClient client = redis.NewClient();
        for (int i = 0; i < 8; i++)
        {
            foreach (string[] step in Generate(Family.All[random.Next(Family.All.Length)], random))
            {
                if (step[0] == "!fill") Fill(client, random, step[2]);
                if (step[0].StartsWith('!')) continue;
                OwnedRequest request = OwnedRequest.Of([.. step.Select(word => (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(word))]);
                redis.Store.Foresee([Store.Foresee(EngineHarness.Commands.Resolve(request.Request), request.Request)], client.Session.Database);
                Perform(client, step);
            }
            if (client.Session.Transaction is { IsOpen: true }) client.Run("DISCARD");
            client.Run("UNWATCH");
        }
    }

    private static async Task DisturbAsync(EngineHarness redis, Random random, CancellationToken stop)
    {
        Store store = redis.Store;
        while (!stop.IsCancellationRequested)
        {
            switch (random.Next(6))
            {
                case 0:
                    redis.Time.Advance(20);
                    await store.ActiveExpiry.RunCycleAsync();
                    break;
                case 1:
                    await store.SiloGate.EnterExclusiveAsync();
                    Snapshot snapshot = Snapshot.Begin(store.SiloGate, store.Slots, store.Effects.Log, new Target(store.Options));
                    store.SiloGate.ExitExclusive();
                    bool aborts = random.Next(3) == 0;
                    if (aborts) snapshot.Abort();
                    try
                    {
                        snapshot.Run();
                    }
                    catch (OperationCanceledException) when (aborts)
                    {
                    }
                    break;
                case 2:
                    int number = KeySlot.Of(new Arguments(random, redis.Time.GetUtcNow()).Next("key").Bytes);
                    int stripe = await store.SiloGate.EnterSharedAsync();
                    store.Slots.Withdraw(store.Slots[number]!);
                    store.Slots.Publish(store.Slots.Create(number, epoch: 2));
                    store.SiloGate.ExitShared(stripe);
                    break;
                case 3:
                    store.Options.MaxMemoryPolicy = (MaxMemoryPolicy)random.Next(8);
                    store.Options.MaxMemory = Math.Max(1, store.UsedMemory - (store.Slots.CountBytes() / 2));
                    store.Eviction.LimitChanged();
                    await store.Eviction.Background;
                    store.Options.MaxMemory = 0;
                    break;
                case 4:
                    HeapKeeper.Purge();
                    break;
                case 5:
                    await store.SiloGate.EnterLongAsync();
                    KeyspaceDigest.OfAll(store.Slots);
                    store.SiloGate.ExitLong();
                    break;
            }
        }
    }

    private static void Fill(EngineClient client, Random random, string key)
    {
        int count = random.Next(1, random.Next(1, 3000)), kind = random.Next(8);
        string[] members = [.. Enumerable.Range(0, count).Select(i => $"m{i}")];
        string[] pairs = [.. members.SelectMany(member => (string[])[random.Next(100).ToString(CultureInfo.InvariantCulture), member])];
        switch (kind)
        {
            case 0: client.Raw(["SADD", key, .. members]); break;
            case 1: client.Raw(["SADD", key, .. members.Select(member => member[1..])]); break;
            case 2: client.Raw(["ZADD", key, .. pairs]); break;
            case 3: client.Raw(["HSET", key, .. pairs.Reverse()]); break;
            case 4: client.Raw(["HPEXPIRE", key, "45", "FIELDS", $"{count}", .. members]); break;
            case 5: client.Raw(["RPUSH", key, .. members]); break;
            case 6: client.Raw("APPEND", key, new string('x', count * 50)); break;
            case 7:
                foreach (string member in members) client.Raw("XADD", key, "*", "f", member);
                client.Raw("XREADGROUP", "GROUP", "g1", "c1", "STREAMS", key, ">");
                break;
        }
    }

    /// <summary>Runs a command, which may fail, but not in a way that it should not.</summary>
    private static void Perform(EngineClient client, string[] words)
    {
        string reply = client.Raw(words);
        if (reply.StartsWith("-ERR internal error", StringComparison.Ordinal)) Assert.Fail($"{string.Join(' ', words)}: {reply}");
    }

    private static void Play()
    {
        int episodes = int.Parse(Environment.GetEnvironmentVariable("LEAK_EPISODES") is { Length: > 0 } text ? text : "4", CultureInfo.InvariantCulture);
        string directory = Directory.CreateTempSubdirectory().FullName;
        try
        {
            using var playground = new Playground(directory);
            foreach (Family family in Family.All) family.Meet(_ => true);
            for (int i = 0; i < episodes; i++)
            {
                foreach (Family family in Family.All) Episode(playground, family, TestSeed.Value + i);
            }
            // A third of the steps only look, and many fail.
            Assert.InRange(playground.Changes, episodes * Family.All.Length * Steps / 4, long.MaxValue);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static void Episode(Playground playground, Family family, int seed)
    {
        List<string[]> steps = Generate(family, new(seed));
        // The first run of anything may leave behind what is made once.
        if (playground.Try(steps, seed) is null || playground.Try(steps, seed) is not { } complaint) return;
        for (int chunk = Math.Max(1, steps.Count / 2); chunk >= 1; chunk = chunk == 1 ? 0 : (chunk + 1) / 2)
        {
            for (int begin = 0; begin < steps.Count;)
            {
                List<string[]> fewer = [.. steps.Take(begin), .. steps.Skip(begin + chunk)];
                if (playground.Try(fewer, seed) is { } still) (steps, complaint) = (fewer, still);
                else begin += chunk;
            }
        }
        var report = new StringBuilder();
        report.Append(CultureInfo.InvariantCulture, $"{family.Name}, TEST_SEED={seed}, after the steps\n");
        foreach (string[] step in steps)
        {
            foreach (string word in step) RespValue.Quote(report.Append(' '), Encoding.Latin1.GetBytes(word));
            report.Append('\n');
        }
        Assert.Fail(report.Append(complaint).ToString());
    }

    private static List<string[]> Generate(Family family, Random random)
    {
        var arguments = new Arguments(random, new FakeTime().GetUtcNow());
        List<string[]> steps = [];
        while (steps.Count < Steps)
        {
            int kind = random.Next(100);
            if (kind < 12)
            {
                steps.Add(Event(random, arguments));
                continue;
            }
            CommandPattern pattern = kind < 40 ? s_otherPatterns[random.Next(s_otherPatterns.Length)] : family.Pick(random);
            List<RespArgument> command = pattern.Generate(arguments);
            if (!pattern.StaysWhole && random.Next(100) < 8) arguments.Spoil(command, pattern.Expires);
            steps.Add([.. command.Select(Text)]);
        }
        return steps;
    }

    /// <summary>Something that is not a command of a client.</summary>
    private static string[] Event(Random random, Arguments arguments)
    {
        string seed = random.Next().ToString(CultureInfo.InvariantCulture);
        return random.Next(19) switch
        {
            0 => ["!expire"],
            1 => ["!evict", seed],
            2 => ["!begin-snapshot"],
            3 => ["!end-snapshot"],
            4 => ["!abort-snapshot"],
            5 => ["!load"],
            6 => ["!load-damaged", seed],
            7 => ["!block", seed, Text(arguments.Next("key"))],
            8 => ["!withdraw", Text(arguments.Next("key"))],
            9 or 10 => ["!fill", seed, Text(arguments.Next("key"))],
            11 or 12 => ["!defragment", seed],
            13 => ["!copy", Text(arguments.Next("key")), Text(arguments.Next("key"))],
            14 => ["!reload"],
            _ => ["!restore-damaged", seed, Text(arguments.Next("key")), Text(arguments.Next("key"))],
        };
    }

    private static string Text(RespArgument argument) => Encoding.Latin1.GetString(argument.Bytes);

    /// <summary>The engine, with a client, and with what else happens in a server.</summary>
    private sealed class Playground : IDisposable
    {
        private static readonly string[][] s_blocking =
        [
            ["BLPOP", "0"], ["BZPOPMIN", "0"], ["BLMOVE", "k2", "LEFT", "RIGHT", "0"], ["XREAD", "BLOCK"],
        ];

        private readonly EngineHarness _redis;
        private readonly EngineHarness _copy;
        private readonly string _path;
        private EngineClient _client;
        private Snapshot? _snapshot;
        private ISnapshotFile? _file;
        private Task? _blocked;
        private EngineClient? _waiting;
        private bool _isDoubtful;
        private DefragmentationPass? _pass;

        public Playground(string directory)
        {
            _path = Path.Combine(directory, "snapshot.rdb");
            _redis = new(options => (options.Databases, options.Dir) = (Databases, directory));
            _copy = new(options => (options.Databases, options.RdbChecksum) = (Databases, false));
            _client = _redis.NewClient();
        }

        /// <summary>How much has been changed so far.</summary>
        public long Changes => Store.Slots.CountChanges();

        private Store Store => _redis.Store;

        /// <summary>Runs the steps and empties everything. Returns what was wrong, if anything was.</summary>
        public string? Try(List<string[]> steps, int seed)
        {
            long before = Bytes();
            // The same thresholds: a small sorted set knows no negative zero, and would lose it.
            Configure(Store.Options, new(seed));
            Configure(_copy.Store.Options, new(seed));
            _isDoubtful = false;
            _client = _redis.NewClient();
            string? complaint = null;
            try
            {
                foreach (string[] step in steps)
                {
                    Run(step);
                    if (_pass is not null) Defragment(MostStepsAtOnce);
                }
                Defragment(int.MaxValue);
                if (_client.Session.Transaction is { IsOpen: true }) _client.Run("DISCARD");
                _client.Run("UNWATCH");
                if (seed % 2 == 0) EndSnapshot(abort: false);
                Unblock();
                CompareReloaded();
            }
            catch (Exception failure)
            {
                complaint = failure.ToString();
                _pass = null;
                Defragmentation.End();
                if (_client.Session.Transaction is { IsOpen: true }) _client.Run("DISCARD");
            }
            _client.Run("FLUSHALL");
            _copy.Run("FLUSHALL");
            EndSnapshot(abort: false);
            Unblock();
            _redis.ForgetEffects();
            _copy.ForgetEffects();
            _redis.TakeEvents();
            long left = Bytes() - before;
            return complaint ?? (left == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"{left} bytes are left"));
        }

        public void Dispose()
        {
            _redis.Dispose();
            _copy.Dispose();
        }

        /// <summary>The bytes in the heap that are not those of tables.</summary>
        private long Bytes() => LiveBytes() - Store.UsedMemory - _copy.Store.UsedMemory;

        private static void Configure(ServerOptions options, Random random)
        {
            var defaults = new ServerOptions();
            bool small = random.Next(2) == 0;
            options.HashMaxListpackEntries = small ? random.Next(8) : defaults.HashMaxListpackEntries;
            options.SetMaxIntsetEntries = small ? random.Next(8) : defaults.SetMaxIntsetEntries;
            options.SetMaxListpackEntries = small ? random.Next(8) : defaults.SetMaxListpackEntries;
            options.ZsetMaxListpackEntries = small ? random.Next(8) : random.Next(3) == 0 ? 1_000_000 : defaults.ZsetMaxListpackEntries;
            options.ListMaxListpackSize = small ? random.Next(1, 8) : -random.Next(1, 6);
            options.ListCompressDepth = random.Next(3);
            options.StreamNodeMaxEntries = small ? random.Next(1, 8) : defaults.StreamNodeMaxEntries;
            options.HllSparseMaxBytes = small ? random.Next(100) : defaults.HllSparseMaxBytes;
            options.SanitizeDumpPayload = (SanitizeDumpPayload)random.Next(2);
        }

        private void Run(string[] step)
        {
            switch (step[0])
            {
                case "!expire":
                    _redis.Time.Advance(40);
                    Store.ActiveExpiry.RunCycleAsync().AsTask().GetAwaiter().GetResult();
                    break;
                case "!evict":
                    Evict(new(Number(step[1])));
                    break;
                case "!begin-snapshot":
                    BeginSnapshot();
                    break;
                case "!end-snapshot":
                    EndSnapshot(abort: false);
                    break;
                case "!abort-snapshot":
                    EndSnapshot(abort: true);
                    break;
                case "!load":
                    CompareReloaded();
                    break;
                case "!reload":
                    string? error = _redis.Files.ReloadAsync(save: true, flush: true, merge: false).GetAwaiter().GetResult();
                    if (!_isDoubtful) Assert.Null(error);
                    break;
                case "!load-damaged":
                    LoadDamaged(new(Number(step[1])));
                    break;
                case "!block":
                    Block(Number(step[1]), step[2]);
                    break;
                case "!withdraw":
                    Withdraw(step[1]);
                    break;
                case "!defragment":
                    BeginPass(new(Number(step[1])));
                    break;
                case "!fill":
                    Fill(_client, new(Number(step[1])), step[2]);
                    break;
                case "!copy":
                    Restore(step[1], step[2], null);
                    break;
                case "!restore-damaged":
                    Restore(step[2], step[3], new(Number(step[1])));
                    break;
                default:
                    Perform(_client, step);
                    break;
            }
        }

        /// <summary>From now on every block has to move, a few after each command.</summary>
        private void BeginPass(Random random)
        {
            if (_pass is not null) return;
            Store.Options.ActiveDefragMaxScanFields = random.Next(2) == 0 ? 1000 : random.Next(1, 30);
            Defragmentation.Begin(everything: true);
            _pass = new(Store);
        }

        /// <summary>Nothing of that can be seen. A blocked command may be served at this moment, though.</summary>
        private void Defragment(int steps)
        {
            if (_pass is null) return;
            bool isQuiet = _blocked is not { IsCompleted: false };
            string before = isQuiet ? KeyspaceDigest.OfAll(Store.Slots) : "";
            while (steps-- > 0 && _pass is not null)
            {
                if (_pass.Step() != DefragmentationProgress.Finished) continue;
                _pass = null;
                Defragmentation.End();
            }
            if (!isQuiet) return;
            Assert.Equal(before, KeyspaceDigest.OfAll(Store.Slots));
            if (!_isDoubtful) Structures.Verify(Store.Slots);
        }

        private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

        private void Evict(Random random)
        {
            Store.Options.MaxMemoryPolicy = (MaxMemoryPolicy)random.Next(8);
            Store.Options.MaxMemory = Math.Max(1, (long)(Store.UsedMemory - (Store.Slots.CountBytes() * random.NextDouble())));
            _client.Raw("GET", "k1");
            Store.Eviction.Background.GetAwaiter().GetResult();
            Store.Options.MaxMemory = 0;
        }

        private void BeginSnapshot()
        {
            if (_snapshot is not null) return;
            _file = _redis.Files.CreateRdb(_path);
            Store.SiloGate.EnterExclusiveAsync().AsTask().GetAwaiter().GetResult();
            _snapshot = Snapshot.Begin(Store.SiloGate, Store.Slots, Store.Effects.Log, _file);
            Store.SiloGate.ExitExclusive();
        }

        private void EndSnapshot(bool abort)
        {
            if (_snapshot is null) return;
            if (abort) _snapshot.Abort();
            try
            {
                _snapshot.Run();
            }
            catch (OperationCanceledException) when (abort)
            {
            }
            _file!.Dispose();
            _snapshot = null;
        }

        /// <summary>What was saved and loaded is the same, unless something was read that had been freed.</summary>
        private void CompareReloaded()
        {
            byte[] file = RdbFiles.Save(Store);
            Retirement.Sweep(); // to save in that way is to pass no gate
            RdbFileCheck.Run(new MemoryStream(file), "file", TextWriter.Null, _redis.NowMs, out _);
            try
            {
                RdbFiles.Load(_copy, file);
                if (!_isDoubtful && KeyspaceDigest.OfAll(Store.Slots) != KeyspaceDigest.OfAll(_copy.Store.Slots))
                    Assert.Equal(Digests(Store), Digests(_copy.Store));
            }
            catch (RdbFileException) when (_isDoubtful)
            {
            }
            _copy.Run("FLUSHALL");
        }

        /// <summary>The digest of each key.</summary>
        private static string[] Digests(Store store)
        {
            var digests = new List<string>();
            for (int i = 0; i < KeySlot.Count * Databases; i++)
            {
                Slot slot = store.Slots[i / Databases]!;
                if (slot.KeyspaceIfAny(i % Databases) is not { } keyspace) continue;
                foreach (KeyEntry entry in keyspace)
                {
                    string name = $"{Encoding.Latin1.GetString(entry.Key)} @{i % Databases} {entry.Type} {entry.ExpiresAtMs} {entry.EarliestExpiryMs}";
                    digests.Add($"{name}: {KeyspaceDigest.OfKey(slot, entry.Key, i % Databases)}");
                }
            }
            digests.Sort(StringComparer.Ordinal);
            return [.. digests];
        }

        private void LoadDamaged(Random random)
        {
            byte[] file = RdbFiles.Save(Store);
            Retirement.Sweep();
            for (int flips = random.Next(1, 4); flips > 0; flips--) file[random.Next(9, file.Length)] = (byte)random.Next(256);
            try
            {
                RdbFiles.Load(_copy, file);
            }
            catch (RdbFileException)
            {
            }
            catch (InvalidOperationException e) when (e.Message.Contains("bytes of", StringComparison.Ordinal))
            {
                // A byte has become the end-of-file opcode.
            }
            KeyspaceDigest.OfAll(_copy.Store.Slots);
            _copy.Run("FLUSHALL");
        }

        private void Block(int kind, string key)
        {
            Unblock();
            _waiting = _redis.NewClient();
            string[] words = s_blocking[kind % s_blocking.Length];
            string[] command = words[0] == "XREAD" ? ["XREAD", "BLOCK", "0", "STREAMS", key, "$"] : [words[0], key, .. words[1..]];
            _blocked = _waiting.RunAsync(command);
        }

        private void Unblock()
        {
            if (_blocked is null) return;
            _waiting!.Session.Blocked?.TryEnd(BlockedEnd.TimedOut);
            _blocked.GetAwaiter().GetResult();
            _blocked = null;
        }

        /// <summary>A slot leaves the silo, with its keys, and comes back without.</summary>
        private void Withdraw(string key)
        {
            int number = KeySlot.Of(Encoding.Latin1.GetBytes(key));
            Store.Slots.Withdraw(Store.Slots[number]!);
            Store.Slots.Publish(Store.Slots.Create(number, epoch: 2));
        }

        private void Restore(string from, string to, Random? damage)
        {
            object? dumped = _client.Session.Transaction is { IsOpen: true } ? null : _client.Run("DUMP", from);
            if (dumped is not string payload) return;
            byte[] bytes = Encoding.Latin1.GetBytes(payload);
            if (damage is not null)
            {
                if (damage.Next(6) == 0) bytes = bytes[..damage.Next(bytes.Length)];
                if (bytes.Length <= 10) return;
                for (int flips = damage.Next(1, 4); flips > 0; flips--) bytes[damage.Next(bytes.Length - 10)] = (byte)damage.Next(256);
                BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(bytes.Length - 8), Crc64.Append(0, bytes.AsSpan(0, bytes.Length - 8)));
            }
            string reply = _client.Raw("RESTORE", to, damage?.Next(4) == 0 ? "50" : "0", Encoding.Latin1.GetString(bytes), "REPLACE");
            // Unless it was asked for, nobody looks whether members are double, or in order.
            _isDoubtful |= damage is not null && reply[0] == '+' && Store.Options.SanitizeDumpPayload == SanitizeDumpPayload.No;
        }
    }

    /// <summary>Throws away what it is given.</summary>
    private class Target(ServerOptions options) : ISnapshotTarget
    {
        public void Expect(IReadOnlyList<DatabaseCount> databases)
        {
        }

        public SnapshotChunk CreateChunk() => new RdbChunk(options, 0);

        public virtual void Append(SnapshotChunk chunk)
        {
        }

        public void Settle()
        {
        }
    }

    /// <summary>The same, and looks how much there is in the heap.</summary>
    private sealed class MeasuringTarget(ServerOptions options) : Target(options)
    {
        public long MostLiveBytes { get; private set; }

        public override void Append(SnapshotChunk chunk) => MostLiveBytes = Math.Max(MostLiveBytes, LiveBytes());
    }
}
