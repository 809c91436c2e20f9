using System.Globalization;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>A snapshot contains what was there at its instant, whatever happens meanwhile.</summary>
[Trait("Needs", "time")]
public sealed class SnapshotTests
{
    private const int Databases = 3;

    [Theory]
    [InlineData(1, 400, "")]            // small slots, written whole
    [InlineData(2, 400, "{huge}")]      // one slot, written by regions
    [InlineData(3, 2000, "{huge}")]
    public async Task Holds_what_was_there_at_its_instant_while_everything_changes(int seed, int keys, string tag)
    {
        using var redis = new EngineHarness(options => options.Databases = Databases);
        redis.Store.Effects.KeyEvents = null;
        Fill(redis, keys, tag);
        using var stop = new CancellationTokenSource();
        Task[] writers = [.. Enumerable.Range(0, 3).Select(i => Task.Run(() => WriteAsync(redis, TestSeed.Random((seed * 100) + i), keys, tag, stop.Token)))];
        Task expiry = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                redis.Time.Advance(7);
                await redis.Store.ActiveExpiry.RunCycleAsync();
                await Task.Delay(1); // a real delay, to let the others make progress
            }
        });
        try
        {
            for (int i = 0; i < (tag.Length == 0 ? 8 : 20); i++) // comparing all slots takes time
            {
                var target = new MemoryTarget { Hesitation = TestSeed.Random(i) };
                await redis.Store.SiloGate.EnterExclusiveAsync();
                Dictionary<string, string> expected = Contents(redis.Store);
                Snapshot snapshot = Snapshot.Begin(redis.Store.SiloGate, redis.Store.Slots, redis.Store.Effects.Log, target);
                redis.Store.SiloGate.ExitExclusive();
                await Task.Run(() => snapshot.Run()).WaitAsync(Eventually.Deadline);
                AssertSame(expected, target.Contents());
                Assert.Equal(expected.Count, snapshot.KeysWritten);
                Assert.Equal(expected.Count, target.Expected.Sum(database => database.Keys));
                Assert.Equal(0, snapshot.HeldBytes);
                AssertNoMarks(redis.Store);
                redis.TakeEffects();
                foreach (Task writer in writers) Assert.False(writer.IsFaulted, writer.Exception?.ToString());
                if (i % 5 == 0) Fill(redis, keys / 4, tag);
                if (i % 3 == 0) await AbortOneAsync(redis, i / 3); // the next snapshot meets its marks
            }
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll([.. writers, expiry]).WaitAsync(Eventually.Deadline);
        }
    }

    [Theory]
    [InlineData(4, 300, "", false)]
    [InlineData(5, 1500, "{huge}", false)]
    [InlineData(6, 1500, "{huge}", true)]
    public async Task A_file_loads_to_what_was_there_at_its_instant(int seed, int keys, string tag, bool asCommands)
    {
        using var redis = new EngineHarness(options => options.Databases = Databases);
        redis.Store.Effects.KeyEvents = null;
        Fill(redis, keys, tag);
        using var stop = new CancellationTokenSource();
        Task[] writers = [.. Enumerable.Range(0, 2).Select(i => Task.Run(() => WriteAsync(redis, TestSeed.Random((seed * 100) + i), keys, tag, stop.Token)))];
        string path = Path.GetTempFileName();
        try
        {
            for (int i = 0; i < 6; i++)
            {
                using ISnapshotFile target = asCommands ? redis.Files.CreateCommands(path) : redis.Files.CreateRdb(path, isAofBase: true);
                await redis.Store.SiloGate.EnterExclusiveAsync();
                Dictionary<string, string> expected = Contents(redis.Store, DescribeValue);
                Snapshot snapshot = Snapshot.Begin(redis.Store.SiloGate, redis.Store.Slots, redis.Store.Effects.Log, target);
                redis.Store.SiloGate.ExitExclusive();
                await Task.Run(() => snapshot.Run()).WaitAsync(Eventually.Deadline);
                target.Finish();
                target.Dispose();
                redis.TakeEffects();
                using var other = new EngineHarness(options => options.Databases = Databases);
                other.Store.IgnoresExpiry = true;
                if (asCommands) Replay(other, path);
                else Load(other, path);
                AssertSame(expected, Contents(other.Store, DescribeValue));
            }
        }
        finally
        {
            File.Delete(path);
            await stop.CancelAsync();
            await Task.WhenAll(writers).WaitAsync(Eventually.Deadline);
        }

        static void Load(EngineHarness into, string path)
        {
            using FileStream file = File.OpenRead(path);
            into.Files.CreateLoader(keepsExpired: true).Load(file);
        }

        static void Replay(EngineHarness into, string path)
        {
            EngineClient client = into.NewClient();
            var commands = new Replies(File.ReadAllBytes(path));
            while (!commands.AtEnd)
            {
                string[] words = [.. ((object?[])commands.Next()!).Select(word => (string)word!)];
                Assert.IsNotType<RespError>(client.Run(words));
            }
        }
    }

    [Fact]
    public async Task Two_at_once_hold_what_was_there_at_their_own_instants()
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < 5000; i++) redis.Run("SET", $"{{huge}}{i}", $"{i}");
        var first = new MemoryTarget();
        var second = new MemoryTarget();
        Snapshot one = await BeginAsync(redis, first), two;
        Dictionary<string, string> atFirst = Contents(redis.Store);
        for (int i = 0; i < 5000; i += 40) redis.Run("APPEND", $"{{huge}}{i}", "x");
        Dictionary<string, string> atSecond = Contents(redis.Store);
        two = await BeginAsync(redis, second);
        for (int i = 0; i < 5000; i += 30) redis.Run("DEL", $"{{huge}}{i}");
        two.Run();
        for (int i = 0; i < 5000; i += 20) redis.Run("SET", $"{{huge}}{i}", "y");
        one.Run();
        AssertSame(atFirst, first.Contents());
        AssertSame(atSecond, second.Contents());
        AssertNoMarks(redis.Store);
    }

    [Fact]
    public async Task Holds_keys_of_databases_swapped_and_flushed_since()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "a", "0");
        redis.Client.Session.Database = 1;
        redis.Run("SET", "a", "1");
        Dictionary<string, string> expected = Contents(redis.Store);
        var target = new MemoryTarget();
        Snapshot snapshot = await BeginAsync(redis, target);
        redis.Run("SWAPDB", "0", "1");
        redis.Run("FLUSHDB");
        redis.Run("SET", "a", "2");
        Assert.True(snapshot.HeldBytes > 0);
        redis.Run("FLUSHALL");
        snapshot.Run();
        AssertSame(expected, target.Contents());
        Assert.Equal(0, snapshot.HeldBytes);
        Assert.True(snapshot.MostHeldBytes > 0);
    }

    [Fact]
    public async Task Holds_the_keys_of_a_slot_that_is_withdrawn_meanwhile()
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < 2000; i++) redis.Run("SET", $"{{huge}}{i}", $"{i}");
        Dictionary<string, string> expected = Contents(redis.Store);
        var target = new MemoryTarget();
        Snapshot snapshot = await BeginAsync(redis, target);
        redis.Run("DEL", "{huge}1");
        redis.Store.Slots.Withdraw(redis.Store.Slots[KeySlot.Of("huge"u8)]!);
        snapshot.Run();
        AssertSame(expected, target.Contents());
    }

    /// <summary>
    /// The saver comes to a slot's place some time after the instant. The slot that it finds there may not have been
    /// there at the instant.
    /// </summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Does_not_hold_keys_of_a_slot_that_is_published_later(bool filledMeanwhile)
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "{there}1", "1");
        redis.Run("SET", "{comes}1", "1");
        Dictionary<string, string> expected = Contents(redis.Store);
        SlotTable slots = redis.Store.Slots;
        int number = KeySlot.Of("comes"u8);
        Slot comes = slots.Create(number, epoch: 2);
        if (!filledMeanwhile) comes.Keyspace(0).Add(StringEntry.Create("{comes}2"u8, "2"u8, Expiry.Never));
        var target = new MemoryTarget();
        Snapshot snapshot = await BeginAsync(redis, target);
        if (filledMeanwhile) comes.Keyspace(0).Add(StringEntry.Create("{comes}2"u8, "2"u8, Expiry.Never));
        comes.Keyspace(0).BeforeChange("{comes}2"u8);
        slots.Withdraw(slots[number]!);
        slots.Publish(comes);
        redis.Run("APPEND", "{comes}2", "x");
        snapshot.Run();
        AssertSame(expected, target.Contents());
        AssertNoMarks(redis.Store);
    }

    /// <summary>
    /// A swap may put a keyspace that the saver has not reached yet into a place where the saver has already been.
    /// </summary>
    [Fact]
    public async Task Holds_keys_that_are_swapped_to_where_the_saver_has_been()
    {
        using var redis = new EngineHarness(options => options.Databases = Databases);
        Fill(redis, 300, "");
        Dictionary<string, string> expected = Contents(redis.Store);
        int swaps = 0;
        var target = new MemoryTarget();
        target.OnAppend = () =>
        {
            // The saver holds no gate here.
            for (; swaps < 5; swaps++) redis.NewClient().Run("SWAPDB", "0", $"{1 + (swaps % 2)}");
        };
        Snapshot snapshot = await BeginAsync(redis, target);
        await Task.Run(() => snapshot.Run());
        Assert.Equal(5, swaps);
        AssertSame(expected, target.Contents());
        AssertNoMarks(redis.Store);
    }

    [Fact]
    public async Task Aborted_leaves_nothing_behind()
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < 3000; i++) redis.Run("SET", $"{{huge}}{i}", $"{i}");
        redis.Run("SET", "other", "1");
        Snapshot snapshot = await BeginAsync(redis, new MemoryTarget());
        redis.Run("DEL", "{huge}1");
        snapshot.Abort();
        redis.Run("DEL", "{huge}2");
        Assert.Throws<OperationCanceledException>(() => snapshot.Run());
        AssertNoMarks(redis.Store);
    }

    [Fact]
    public async Task A_target_that_fails_fails_the_snapshot_and_no_command()
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < 3000; i++) redis.Run("SET", $"{{huge}}{i}", $"{i}");
        var target = new MemoryTarget { Failure = new IOException("No space left on device") };
        Snapshot snapshot = await BeginAsync(redis, target);
        Assert.Equal(1L, redis.Run("DEL", "{huge}1"));
        IOException failure = Assert.Throws<IOException>(() => snapshot.Run());
        Assert.Equal("No space left on device", failure.Message);
        Assert.Equal(1L, redis.Run("DEL", "{huge}2"));
        AssertNoMarks(redis.Store);
    }

    [Fact]
    public async Task What_waits_in_memory_is_bounded()
    {
        using var redis = new EngineHarness(options => options.RdbCompression = false);
        string value = new('v', 64 * 1024);
        for (int i = 0; i < 1500; i++) redis.Run("SET", $"{{huge}}{i}", value);
        var target = new MemoryTarget();
        Dictionary<string, string> expected = Contents(redis.Store);
        Snapshot snapshot = await BeginAsync(redis, target);
        for (int i = 0; i < 1500; i++) redis.Run("SET", $"{{huge}}{i}", "");
        Assert.InRange(snapshot.HeldBytes, Snapshot.MostQueuedBytes / 2, Snapshot.MostQueuedBytes);
        // Plus the region that exceeded it.
        Assert.InRange(snapshot.MostHeldBytes, Snapshot.MostQueuedBytes, Snapshot.MostQueuedBytes + target.LargestAppend);
        snapshot.Run();
        AssertSame(expected, target.Contents());
    }

    [Fact]
    public async Task A_writer_of_a_huge_slot_writes_out_a_few_hundred_keys_at_most()
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < 20_000; i++) redis.Run("SET", $"{{huge}}{i}", $"{i}");
        Snapshot snapshot = await BeginAsync(redis, new MemoryTarget());
        long before = 0;
        for (int i = 0; i < 20_000; i += 7)
        {
            redis.Run("INCR", $"{{huge}}{i}");
            Assert.InRange(snapshot.KeysWritten - before, 0, 512);
            before = snapshot.KeysWritten;
        }
        Assert.Equal(20_000, snapshot.KeysWritten);
        snapshot.Run();
    }

    [Fact]
    public async Task Large_keys_are_written_out_one_by_one()
    {
        using var redis = new EngineHarness();
        string value = new('v', 300_000);
        for (int i = 0; i < 100; i++) redis.Run("SET", $"{{huge}}{i}", value);
        Snapshot snapshot = await BeginAsync(redis, new MemoryTarget());
        redis.Run("APPEND", "{huge}1", "x");
        Assert.InRange(snapshot.KeysWritten, 1, 5);
        snapshot.Run();
    }

    [Fact]
    public async Task Aborted_at_a_keyspace_that_has_left_its_place_leaves_nothing_behind()
    {
        using var redis = new EngineHarness(options => options.Databases = Databases);
        for (int i = 0; i < 20_000; i++) redis.Run("SET", $"{{huge}}{i}", new string('v', 100));
        var target = new MemoryTarget();
        Snapshot snapshot = await BeginAsync(redis, target);
        redis.Run("SWAPDB", "0", "2");
        target.OnAppend = snapshot.Abort;
        Assert.Throws<OperationCanceledException>(() => snapshot.Run());
        AssertNoMarks(redis.Store);
    }

    private static async Task AbortOneAsync(EngineHarness redis, int appends)
    {
        var target = new MemoryTarget();
        Snapshot aborted = await BeginAsync(redis, target);
        target.OnAppend = () =>
        {
            if (appends-- == 0) aborted.Abort();
        };
        try
        {
            await Task.Run(() => aborted.Run());
        }
        catch (OperationCanceledException)
        {
            // Unless it was complete by then.
        }
        AssertNoMarks(redis.Store);
    }

    private static async Task<Snapshot> BeginAsync(EngineHarness redis, MemoryTarget target)
    {
        await redis.Store.SiloGate.EnterExclusiveAsync();
        Snapshot snapshot = Snapshot.Begin(redis.Store.SiloGate, redis.Store.Slots, redis.Store.Effects.Log, target);
        redis.Store.SiloGate.ExitExclusive();
        return snapshot;
    }

    private static void Fill(EngineHarness redis, int keys, string tag)
    {
        EngineClient client = redis.NewClient();
        var random = TestSeed.Random(keys);
        for (int database = 0; database < Databases; database++)
        {
            client.Session.Database = database;
            for (int i = 0; i < keys; i++)
            {
                string number = i.ToString(CultureInfo.InvariantCulture);
                client.Run("SET", $"{tag}s{number}", new string((char)('a' + (i % 26)), random.Next(100)));
                if (i % 4 != 0) continue;
                client.Run("HSET", $"{tag}h{number}", "a", number, "b", "2");
                client.Run("RPUSH", $"{tag}l{number}", number, "x", "y");
                client.Run("SADD", $"{tag}t{number}", number, "1", "2");
                client.Run("ZADD", $"{tag}z{number}", number, "m", "1", "n");
                client.Run("XADD", $"{tag}x{number}", "*", "f", number);
                client.Run("PFADD", $"{tag}p{number}", number);
            }
        }
    }

    private static async Task WriteAsync(EngineHarness redis, Random random, int keys, string tag, CancellationToken stop)
    {
        EngineClient client = redis.NewClient();
        Task<object?>? blocked = null;
        while (!stop.IsCancellationRequested)
        {
            client.Session.Database = random.Next(Databases);
            if (random.Next(2000) == 0)
            {
                await client.RunAsync(random.Next(3) == 0 ? ["FLUSHDB"] : ["SWAPDB", $"{random.Next(Databases)}", $"{random.Next(Databases)}"]);
                continue;
            }
            if (random.Next(100) == 0 && blocked is not { IsCompleted: false })
            {
                EngineClient other = redis.NewClient();
                other.Session.Database = client.Session.Database;
                blocked = other.RunAsync("BLMOVE", Key("b"), Key("b"), "LEFT", "RIGHT", "0.05");
            }
            if (random.Next(50) == 0)
            {
                await client.RunAsync("MULTI");
                for (int i = random.Next(5); i >= 0; i--) await client.RunAsync(Next());
                await client.RunAsync("EXEC");
                continue;
            }
            await client.RunAsync(Next());
        }
        redis.Time.Advance(1000);
        if (blocked is not null) await blocked;

        string Key(string kind) => $"{tag}{kind}{random.Next(keys)}";
        string[] Next() => random.Next(30) switch
        {
            0 => ["SET", Key("s"), $"{random.Next()}"],
            1 => ["INCR", Key("n")],
            2 => ["APPEND", Key("s"), "more"],
            3 => ["SETRANGE", Key("s"), "2", "xyz"],
            4 => ["HSET", Key("h"), $"{random.Next(10)}", $"{random.Next()}"],
            5 => ["HINCRBY", Key("h"), "n", "3"],
            6 => ["HDEL", Key("h"), "a", "b"],
            7 => ["RPUSH", Key("l"), "1", "2"],
            8 => ["LPOP", Key("l")],
            9 => ["LSET", Key("l"), "0", "changed"],
            10 => ["SADD", Key("t"), $"{random.Next(100)}"],
            11 => ["SPOP", Key("t")],
            12 => ["ZINCRBY", Key("z"), "1", "m"],
            13 => ["XADD", Key("x"), "*", "a", "b"],
            14 => ["PFADD", Key("p"), $"{random.Next(1000)}"],
            15 => ["PFCOUNT", Key("p")],
            16 => ["DEL", Key("s"), Key("h"), Key("z")],
            17 => ["PEXPIRE", Key("s"), $"{random.Next(1, 50)}"],
            18 => ["HPEXPIRE", Key("h"), $"{random.Next(1, 50)}", "FIELDS", "1", "a"],
            19 => ["RENAME", Key("s"), Key("s")],
            20 => ["COPY", Key("h"), Key("h"), "REPLACE"],
            21 => ["MOVE", Key("t"), $"{random.Next(Databases)}"],
            22 => ["LMOVE", Key("l"), Key("l"), "LEFT", "RIGHT"],
            23 => ["SUNIONSTORE", Key("t"), Key("t"), Key("t")],
            24 => ["GET", Key("s")],
            25 => ["HGETALL", Key("h")],
            26 => ["RPUSH", Key("b"), "1"],
            27 => ["SORT", Key("t"), "BY", "nosort", "STORE", Key("l")],
            28 => ["GETDEL", Key("s")],
            _ => ["PERSIST", Key("s")],
        };
    }

    /// <summary>
    /// Every key, as "database key", with everything a file would say about it. The caller keeps other commands out.
    /// </summary>
    private static Dictionary<string, string> Contents(OrleansRedis.Engine.Store store, Func<KeyEntry, string>? describe = null)
    {
        describe ??= Describe;
        var contents = new Dictionary<string, string>();
        for (int number = 0; number < KeySlot.Count; number++)
        {
            for (int database = 0; database < store.Slots.Databases; database++)
            {
                if (store.Slots[number]?.KeyspaceIfAny(database) is not { } keyspace) continue;
                foreach (KeyEntry entry in keyspace) contents.Add(NameOf(database, entry), describe(entry));
            }
        }
        return contents;
    }

    private static string NameOf(int database, KeyEntry entry) => $"{database} {Encoding.Latin1.GetString(entry.Key)}";

    private static string Describe(KeyEntry entry) =>
        $"{entry.ExpiresAtMs} {entry.Encoding} {Convert.ToHexString(DumpPayload.Of(entry, s_options))}";

    /// <summary>Content and expiry. Not the encoding, which may be another after loading.</summary>
    private static string DescribeValue(KeyEntry entry)
    {
        var digest = new ValueDigest();
        digest.MixEntry(entry);
        return $"{entry.ExpiresAtMs} {entry.Type} {Convert.ToHexString(digest.Bytes)}";
    }

    private static readonly ServerOptions s_options = new() { RdbCompression = false };

    private static void AssertSame(Dictionary<string, string> expected, Dictionary<string, string> actual)
    {
        foreach ((string key, string value) in expected)
        {
            Assert.True(actual.TryGetValue(key, out string? found), $"{key} is missing.");
            Assert.True(value == found, $"{key} is {found} instead of {value}.");
        }
        foreach (string key in actual.Keys) Assert.True(expected.ContainsKey(key), $"{key} should not be there.");
    }

    private static void AssertNoMarks(OrleansRedis.Engine.Store store)
    {
        for (int number = 0; number < KeySlot.Count; number++)
        {
            for (int database = 0; database < store.Slots.Databases; database++) Assert.Null(store.Slots[number]?.KeyspaceIfAny(database)?.Snapshots);
        }
    }

    private sealed class MemoryTarget : ISnapshotTarget
    {
        private readonly Dictionary<string, string> _contents = [];
        private int _inside;

        public Random? Hesitation { get; init; }

        public Exception? Failure { get; init; }

        public SnapshotChunk CreateChunk() => new Chunk();

        public void Expect(IReadOnlyList<DatabaseCount> databases) => Expected = databases;

        public IReadOnlyList<DatabaseCount> Expected { get; private set; } = [];

        public long LargestAppend { get; private set; }

        public Action? OnAppend { get; set; }

        public void Append(SnapshotChunk chunk)
        {
            Assert.Equal(1, Interlocked.Increment(ref _inside));
            LargestAppend = Math.Max(LargestAppend, chunk.HeldBytes);
            OnAppend?.Invoke();
            if (Failure is not null) throw Failure;
            if (Hesitation?.Next(10) == 0) Thread.Sleep(1); // a disk that is busy at times
            foreach (string line in Encoding.UTF8.GetString(chunk.Written).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                string[] parts = line.Split('\t');
                _contents.Add(parts[0], parts[1]); // throws if a key comes twice
            }
            Interlocked.Decrement(ref _inside);
        }

        public void Settle()
        {
        }

        public Dictionary<string, string> Contents() => _contents;

        private sealed class Chunk : SnapshotChunk
        {
            private readonly StringBuilder _text = new();
            private int _selected;

            public override ReadOnlySpan<byte> Written => Encoding.UTF8.GetBytes(_text.ToString());

            protected override int WrittenLength => _text.Length;

            protected override int Room => _text.Capacity;

            public override void Clear()
            {
                base.Clear();
                _text.Clear();
            }

            protected override void WriteSelect(int database) => _selected = database;

            protected override void WriteEntry(KeyEntry entry) => _text.Append(NameOf(_selected, entry)).Append('\t').Append(Describe(entry)).Append('\n');
        }
    }
}
