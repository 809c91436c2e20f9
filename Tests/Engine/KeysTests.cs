using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class KeysTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Fact]
    public void Del_counts_the_keys_that_were_there_and_gives_an_effect_for_each()
    {
        _redis.Run("MSET", "a", "1", "b", "2", "c", "3");
        _redis.TakeEffects();
        _redis.TakeEvents();
        Assert.Equal(2L, _redis.Run("DEL", "a", "b", "nothing", "a"));
        Assert.Equal(["DEL a", "DEL b"], _redis.TakeEffects());
        Assert.Equal(["del a", "del b"], _redis.TakeEvents());
        Assert.Equal(1L, _redis.Run("UNLINK", "c"));
        Assert.Equal(["DEL c"], _redis.TakeEffects());
        Assert.Equal(0L, _redis.Run("DEL", "c"));
        Assert.Empty(_redis.TakeEffects());
    }

    [Fact]
    public void Exists_and_touch_count_repeated_keys()
    {
        _redis.Run("SET", "a", "1");
        Assert.Equal(2L, _redis.Run("EXISTS", "a", "a", "b"));
        Assert.Equal(2L, _redis.Run("TOUCH", "a", "a", "b"));
    }

    [Fact]
    public void Type_names_the_type()
    {
        _redis.Run("SET", "a", "1");
        Assert.Equal("+string\r\n", _redis.Raw("TYPE", "a"));
        Assert.Equal("+none\r\n", _redis.Raw("TYPE", "b"));
    }

    [Fact]
    public void Rename_within_a_slot_is_logged_as_it_is()
    {
        _redis.Run("SET", "{s}a", "1", "PX", "5000");
        _redis.TakeEffects();
        _redis.TakeEvents();
        Assert.Equal("OK", _redis.Run("RENAME", "{s}a", "{s}b"));
        Assert.Equal(["RENAME {s}a {s}b"], _redis.TakeEffects());
        Assert.Equal(["rename_from {s}a", "rename_to {s}b"], _redis.TakeEvents());
        Assert.Equal("1", _redis.Run("GET", "{s}b"));
        Assert.Equal(5000L, _redis.Run("PTTL", "{s}b"));
        Assert.Equal(0L, _redis.Run("EXISTS", "{s}a"));
    }

    [Fact]
    public void Rename_across_slots_says_in_each_slot_what_happened_there()
    {
        _redis.Run("SET", "a", "1", "PX", "5000");
        _redis.Run("SET", "b", "2");
        _redis.TakeEffects();
        Assert.Equal("OK", _redis.Run("RENAME", "a", "b"));
        long at = _redis.NowMs + 5000;
        Assert.Equal([(KeySlot.Of("b"u8), $"SET b 1 PXAT {at}"), (KeySlot.Of("a"u8), "DEL a")],
            _redis.Effects.Select(effect => (effect.Slot, effect.ToString())));
        Assert.Equal(1L, _redis.Run("DBSIZE"));
        Assert.Equal("-ERR no such key", _redis.Show("RENAME a b"));
        Assert.Equal("OK", _redis.Run("RENAME", "b", "b"));
        Assert.Equal(0L, _redis.Run("RENAMENX", "b", "b"));
        _redis.Run("SET", "c", "3");
        Assert.Equal(0L, _redis.Run("RENAMENX", "b", "c"));
        Assert.Equal(1L, _redis.Run("RENAMENX", "c", "d"));
        Assert.Equal("3", _redis.Run("GET", "d"));
    }

    [Fact]
    public void Rename_onto_an_expired_key_expires_it_first()
    {
        _redis.Run("SET", "{s}old", "1", "PX", "10");
        _redis.Run("SET", "{s}a", "2");
        _redis.Time.Advance(11);
        _redis.TakeEffects();
        Assert.Equal(1L, _redis.Run("RENAMENX", "{s}a", "{s}old"));
        Assert.Equal(["DEL {s}old", "RENAMENX {s}a {s}old"], _redis.TakeEffects());
        Assert.Equal(-1L, _redis.Run("TTL", "{s}old"));
    }

    [Fact]
    public void Copy_copies_value_and_expiry_and_replaces_only_if_told_to()
    {
        _redis.Run("SET", "a", "1", "PX", "5000");
        Assert.Equal(1L, _redis.Run("COPY", "a", "b"));
        Assert.Equal(5000L, _redis.Run("PTTL", "b"));
        _redis.Run("SET", "a", "2");
        Assert.Equal(0L, _redis.Run("COPY", "a", "b"));
        Assert.Equal(1L, _redis.Run("COPY", "a", "b", "REPLACE"));
        Assert.Equal("2", _redis.Run("GET", "b"));
        Assert.Equal(-1L, _redis.Run("TTL", "b"));
        _redis.Run("APPEND", "b", "x");
        Assert.Equal("2", _redis.Run("GET", "a"));
        Assert.Equal(0L, _redis.Run("COPY", "nothing", "b", "REPLACE"));
        Assert.Equal("-ERR source and destination objects are the same", _redis.Show("COPY a a"));
        Assert.Equal("-ERR DB index is out of range", _redis.Show("COPY a b DB 16"));
        Assert.Equal("-ERR value is not an integer or out of range", _redis.Show("COPY a b DB x"));
        Assert.Equal("-ERR syntax error", _redis.Show("COPY a b DB"));
        Assert.Equal(1L, _redis.Run("COPY", "a", "a", "DB", "3"));
        _redis.Run("SELECT", "3");
        Assert.Equal("2", _redis.Run("GET", "a"));
    }

    [Fact]
    public void Copy_across_slots_or_databases_can_be_replayed()
    {
        _redis.Run("SET", "a", "1", "PX", "5000");
        _redis.Run("COPY", "a", "b");
        _redis.Run("COPY", "a", "{a}2", "DB", "2");
        _redis.Run("COPY", "a", "c", "DB", "2", "REPLACE");
        _redis.Run("MOVE", "b", "4");
        _redis.Run("SELECT", "2");
        _redis.Run("RENAME", "c", "{a}3");
        AssertReplays();
    }

    [Fact]
    public void Move_moves_unless_the_key_is_there_already()
    {
        _redis.Run("SET", "a", "1", "PX", "5000");
        _redis.TakeEvents();
        Assert.Equal(1L, _redis.Run("MOVE", "a", "1"));
        Assert.Equal(["move_from a", "move_to a @1"], _redis.TakeEvents());
        Assert.Equal(0L, _redis.Run("EXISTS", "a"));
        Assert.Equal(0L, _redis.Run("MOVE", "a", "1"));
        _redis.Run("SET", "a", "2");
        Assert.Equal(0L, _redis.Run("MOVE", "a", "1"));
        Assert.Equal("-ERR source and destination objects are the same", _redis.Show("MOVE a 0"));
        Assert.Equal("-ERR DB index is out of range", _redis.Show("MOVE a 99"));
        Assert.Equal("-ERR DB index is out of range", _redis.Show("MOVE a -1"));
        Assert.Equal("-ERR value is not an integer or out of range", _redis.Show("MOVE a x"));
        _redis.Run("SELECT", "1");
        Assert.Equal("1", _redis.Run("GET", "a"));
        Assert.Equal(5000L, _redis.Run("PTTL", "a"));
        AssertReplays();
    }

    [Theory]
    [InlineData("EXPIRE a 100", 100_000)]
    [InlineData("PEXPIRE a 100", 100)]
    [InlineData("EXPIRE a 100 NX", 100_000)]
    [InlineData("EXPIRE a 100 LT", 100_000)]
    public void Expire_is_logged_as_the_instant(string line, long ms)
    {
        _redis.Run("SET", "a", "1");
        _redis.TakeEffects();
        _redis.TakeEvents();
        Assert.Equal("1", _redis.Show(line));
        Assert.Equal([$"PEXPIREAT a {_redis.NowMs + ms}"], _redis.TakeEffects());
        Assert.Equal(["expire a"], _redis.TakeEvents());
        Assert.Equal(ms, _redis.Run("PTTL", "a"));
        Assert.Equal((ms + 500) / 1000, _redis.Run("TTL", "a"));
        Assert.Equal(_redis.NowMs + ms, _redis.Run("PEXPIRETIME", "a"));
        Assert.Equal((_redis.NowMs + ms + 500) / 1000, _redis.Run("EXPIRETIME", "a"));
    }

    [Theory]
    [InlineData("EXPIRE a 100 XX", 0)]
    [InlineData("EXPIRE a 100 GT", 0)]
    [InlineData("EXPIRE a 100 NX", 1)]
    [InlineData("EXPIRE a 200 GT", 1)]
    [InlineData("EXPIRE a 50 LT", 1)]
    [InlineData("EXPIRE a 100 GT", 0, 100)]
    [InlineData("EXPIRE a 100 LT", 0, 100)]
    [InlineData("EXPIRE a 100 NX", 0, 100)]
    [InlineData("EXPIRE a 101 XX GT", 1, 100)]
    [InlineData("EXPIRE a 99 XX LT", 1, 100)]
    [InlineData("EXPIRE a 99 XX GT", 0, 100)]
    public void Expire_conditions(string line, long expected, int before = -1)
    {
        if (line.EndsWith("GT", StringComparison.Ordinal) && expected == 1 && before < 0) before = 100;
        _redis.Run("SET", "a", "1");
        if (before > 0) _redis.Run("EXPIRE", "a", before.ToString());
        _redis.TakeEffects();
        Assert.Equal(expected, _redis.Run(line.Split(' ')));
        Assert.Equal((int)expected, _redis.TakeEffects().Length);
    }

    [Theory]
    [InlineData("EXPIRE a 100 FOO", "-ERR Unsupported option FOO")]
    [InlineData("EXPIRE a 100 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible")]
    [InlineData("EXPIRE a 100 NX LT", "-ERR NX and XX, GT or LT options at the same time are not compatible")]
    [InlineData("EXPIRE a 100 GT LT", "-ERR GT and LT options at the same time are not compatible")]
    [InlineData("EXPIRE a x", "-ERR value is not an integer or out of range")]
    [InlineData("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command")]
    [InlineData("EXPIRE a -9223372036854775808", "-ERR invalid expire time in 'expire' command")]
    [InlineData("PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command")]
    [InlineData("EXPIREAT a 9223372036854775", "1")]
    [InlineData("EXPIREAT a 9223372036854776", "-ERR invalid expire time in 'expireat' command")]
    [InlineData("PEXPIREAT a 9223372036854775807", "1")]
    [InlineData("EXPIRE nothing 100", "0")]
    [InlineData("PERSIST a", "0")]
    [InlineData("PERSIST nothing", "0")]
    [InlineData("TTL a", "-1")]
    [InlineData("PTTL nothing", "-2")]
    [InlineData("EXPIRETIME a", "-1")]
    [InlineData("PEXPIRETIME nothing", "-2")]
    public void Expire_edge_cases(string line, string expected)
    {
        _redis.Run("SET", "a", "1");
        Assert.Equal(expected, _redis.Show(line));
        Assert.Equal("1", _redis.Run("GET", "a"));
    }

    [Theory]
    [InlineData("EXPIRE a 0")]
    [InlineData("EXPIRE a -1")]
    [InlineData("EXPIREAT a 1")]
    [InlineData("PEXPIREAT a -9223372036854775808")]
    public void Expire_in_the_past_deletes_the_key(string line)
    {
        _redis.Run("SET", "a", "1");
        _redis.TakeEffects();
        _redis.TakeEvents();
        Assert.Equal("1", _redis.Show(line));
        Assert.Equal(["DEL a"], _redis.TakeEffects());
        Assert.Equal(["del a"], _redis.TakeEvents());
        Assert.Equal(0L, _redis.Run("EXISTS", "a"));
    }

    [Fact]
    public void Persist_takes_the_expiry_back()
    {
        _redis.Run("SET", "a", "1", "EX", "10");
        _redis.TakeEffects();
        _redis.TakeEvents();
        Assert.Equal(1L, _redis.Run("PERSIST", "a"));
        Assert.Equal(["PERSIST a"], _redis.TakeEffects());
        Assert.Equal(["persist a"], _redis.TakeEvents());
        _redis.Time.Advance(20_000);
        Assert.Equal("1", _redis.Run("GET", "a"));
    }

    [Fact]
    public void An_expired_key_is_deleted_by_whoever_meets_it_with_effect_and_event()
    {
        _redis.Run("SET", "a", "1", "PX", "100");
        _redis.TakeEffects();
        _redis.TakeEvents();
        _redis.Time.Advance(99);
        Assert.Equal("1", _redis.Run("GET", "a"));
        _redis.Time.Advance(1);
        Assert.Equal(1L, _redis.Run("DBSIZE"));
        Assert.Equal(0L, _redis.Run("EXISTS", "a"));
        Assert.Equal(["DEL a"], _redis.TakeEffects());
        Assert.Equal(["expired a"], _redis.TakeEvents());
        Assert.Equal(0L, _redis.Run("DBSIZE"));
        Assert.Equal(1, _redis.Store.Statistics.ExpiredKeys);
    }

    [Fact]
    public void Keys_lists_what_matches_and_has_not_expired()
    {
        _redis.Run("MSET", "one", "1", "two", "2", "three", "3", "", "empty");
        _redis.Run("SET", "twenty", "x", "PX", "5");
        _redis.Time.Advance(5);
        Assert.Equal(["three", "two"], Sorted(_redis.Run("KEYS", "t*")));
        Assert.Equal(["", "one", "three", "two"], Sorted(_redis.Run("KEYS", "*")));
        Assert.Equal(["one"], Sorted(_redis.Run("KEYS", "one")));
        Assert.Equal(["one"], Sorted(_redis.Run("KEYS", "[a-z]ne")));
        Assert.Empty(Sorted(_redis.Run("KEYS", "{one}*")));
        Assert.Equal(5L, _redis.Run("DBSIZE"));
        _redis.Run("SELECT", "1");
        Assert.Empty(Sorted(_redis.Run("KEYS", "*")));
    }

    [Fact]
    public void Scan_returns_every_key_that_stays_however_the_others_come_and_go()
    {
        for (int i = 0; i < 500; i++) _redis.Run("SET", $"stay:{i}", "x");
        for (int i = 0; i < 3000; i++) _redis.Run("SET", $"{{same}}stay:{i}", "x");
        var seen = new HashSet<string>();
        string cursor = "0";
        int round = 0;
        do
        {
            var reply = (object?[])_redis.Run("SCAN", cursor, "COUNT", "7")!;
            cursor = (string)reply[0]!;
            foreach (object? key in (object?[])reply[1]!) seen.Add((string)key!);
            for (int i = 0; i < 20; i++) _redis.Run("SET", $"{{same}}flying:{round}:{i}", "x");
            if (round % 3 == 0)
            {
                for (int old = Math.Max(0, round - 2); old <= round; old++)
                {
                    for (int i = 0; i < 20; i++) _redis.Run("DEL", $"{{same}}flying:{old}:{i}");
                }
            }
            round++;
        }
        while (cursor != "0");
        for (int i = 0; i < 500; i++) Assert.Contains($"stay:{i}", seen);
        for (int i = 0; i < 3000; i++) Assert.Contains($"{{same}}stay:{i}", seen);
    }

    [Fact]
    public void Scan_filters_by_pattern_and_type_and_forgets_the_expired()
    {
        for (int i = 0; i < 100; i++) _redis.Run("SET", $"k:{i}", "x");
        _redis.Run("SET", "k:gone", "x", "PX", "1");
        _redis.Time.Advance(1);
        _redis.TakeEffects();
        Assert.Equal(11, ScanAll("MATCH", "k:1*").Count);
        Assert.Equal(100, ScanAll("TYPE", "STRING").Count);
        Assert.Empty(ScanAll("TYPE", "list"));
        Assert.Equal("ERR unknown type name 'nonsense'", _redis.Show("SCAN 0 TYPE nonsense"));
        Assert.Equal(["DEL k:gone"], _redis.TakeEffects());
        Assert.Equal(100, ScanAll("MATCH", "*", "COUNT", "1000000000000").Count);
        Assert.Equal("[0, [k:5]]", _redis.Show("SCAN 0 MATCH k:5"));
        Assert.Equal("[0, []]", _redis.Show("SCAN 0 MATCH {k:5}*"));
    }

    [Theory]
    [InlineData("SCAN x", "-ERR invalid cursor")]
    [InlineData("SCAN -1", "-ERR invalid cursor")]
    [InlineData("SCAN 18446744073709551616", "-ERR invalid cursor")]
    [InlineData("SCAN 18446744073709551615", "[0, []]")]
    [InlineData("SCAN 00", "[0, []]")]
    [InlineData("SCAN 0 COUNT 0", "-ERR syntax error")]
    [InlineData("SCAN 0 COUNT x", "-ERR value is not an integer or out of range")]
    [InlineData("SCAN 0 COUNT", "-ERR syntax error")]
    [InlineData("SCAN 0 FOO", "-ERR syntax error")]
    [InlineData("SCAN 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN")]
    public void Scan_wrong_arguments(string line, string expected) => Assert.Equal(expected, _redis.Show(line));

    [Fact]
    public void Randomkey_finds_every_key_but_no_expired_one()
    {
        Assert.Null(_redis.Run("RANDOMKEY"));
        _redis.Run("MSET", "a", "1", "b", "2", "{b}c", "3");
        for (int i = 0; i < 20; i++) _redis.Run("SET", $"gone:{i}", "x", "PX", "1");
        _redis.Time.Advance(1);
        var seen = new HashSet<string>();
        for (int i = 0; i < 200; i++) seen.Add((string)_redis.Run("RANDOMKEY")!);
        Assert.Equal(["a", "b", "{b}c"], seen.Order(StringComparer.Ordinal));
        _redis.Run("DEL", "a", "b", "{b}c");
        Assert.Null(_redis.Run("RANDOMKEY"));
    }

    [Fact]
    public void Flushdb_empties_one_database_and_flushall_all()
    {
        _redis.Run("MSET", "a", "1", "b", "2");
        EngineClient other = _redis.NewClient();
        other.Run("SELECT", "2");
        other.Run("MSET", "a", "1", "c", "2");
        Assert.Equal("-ERR syntax error", _redis.Show("FLUSHDB NOW"));
        Assert.Equal("-ERR syntax error", _redis.Show("FLUSHALL ASYNC SYNC"));
        _redis.TakeEffects();
        Assert.Equal("OK", _redis.Run("FLUSHDB", "ASYNC"));
        Assert.Equal(["FLUSHDB ASYNC", "FLUSHDB ASYNC"], _redis.TakeEffects());
        Assert.Equal(0L, _redis.Run("DBSIZE"));
        Assert.Equal(2L, other.Run("DBSIZE"));
        _redis.Run("SET", "a", "1");
        _redis.TakeEffects();
        Assert.Equal("OK", _redis.Run("FLUSHALL", "SYNC"));
        Assert.Equal(["FLUSHALL SYNC", "FLUSHALL SYNC"], _redis.TakeEffects());
        Assert.Equal(0L, other.Run("DBSIZE"));
        Assert.Equal(0, Enumerable.Range(0, KeySlot.Count).Sum(number => _redis.Store.Slots[number]!.Bytes));
    }

    [Fact]
    public void Swapdb_swaps()
    {
        _redis.Run("MSET", "a", "1", "b", "2");
        _redis.Run("SELECT", "3");
        _redis.Run("SET", "c", "3", "EX", "100");
        Assert.Equal("OK", _redis.Run("SWAPDB", "0", "3"));
        Assert.Equal("2", _redis.Run("GET", "b"));
        Assert.Equal(2L, _redis.Run("DBSIZE"));
        _redis.Run("SET", "d", "4");
        _redis.Run("SELECT", "0");
        Assert.Equal(["c"], Sorted(_redis.Run("KEYS", "*")));
        AssertReplays();
        Assert.Equal("-ERR invalid first DB index", _redis.Show("SWAPDB x 1"));
        Assert.Equal("-ERR invalid second DB index", _redis.Show("SWAPDB 1 99999999999"));
        Assert.Equal("-ERR DB index is out of range", _redis.Show("SWAPDB 1 16"));
        Assert.Equal("-ERR DB index is out of range", _redis.Show("SWAPDB -1 1"));
        Assert.Equal("OK", _redis.Run("SWAPDB", "1", "1"));
    }

    [Fact]
    public void Select_chooses_the_database()
    {
        Assert.Equal("OK", _redis.Run("SELECT", "15"));
        Assert.Equal("-ERR DB index is out of range", _redis.Show("SELECT 16"));
        Assert.Equal("-ERR value is not an integer or out of range", _redis.Show("SELECT x"));
        Assert.Equal(15, _redis.Client.Session.Database);
    }

    [Fact]
    public void Whole_databases_wake_those_who_watch_keys_that_change()
    {
        var watcher = new Watcher();
        foreach (string key in new[] { "in0", "in1", "inboth", "innone" })
        {
            Slot slot = _redis.Store.Slots[KeySlot.Of(System.Text.Encoding.ASCII.GetBytes(key))]!;
            (slot.Watchers ??= new()).Add(0, System.Text.Encoding.ASCII.GetBytes(key), watcher);
        }
        _redis.Run("MSET", "in0", "1", "inboth", "1");
        _redis.Run("SELECT", "1");
        _redis.Run("MSET", "in1", "1", "inboth", "1");
        watcher.Woken.Clear();
        _redis.Run("SWAPDB", "0", "1");
        Assert.Equal(["in0", "in1", "inboth"], watcher.Woken.Order());
        watcher.Woken.Clear();
        _redis.Run("FLUSHALL");
        Assert.Equal(["in1", "inboth"], watcher.Woken.Order());
        watcher.Woken.Clear();
        _redis.Run("FLUSHALL");
        Assert.Empty(watcher.Woken);
    }

    [Fact]
    public void Object_tells_how_a_key_is_held()
    {
        _redis.Run("SET", "n", "12");
        _redis.Run("SET", "s", "abc");
        _redis.Run("SET", "l", new string('x', 45));
        Assert.Equal("int", _redis.Run("OBJECT", "ENCODING", "n"));
        Assert.Equal("embstr", _redis.Run("OBJECT", "ENCODING", "s"));
        Assert.Equal("raw", _redis.Run("OBJECT", "ENCODING", "l"));
        Assert.Null(_redis.Run("OBJECT", "ENCODING", "nothing"));
        Assert.Equal((long)int.MaxValue, _redis.Run("OBJECT", "REFCOUNT", "n"));
        Assert.Equal(1L, _redis.Run("OBJECT", "REFCOUNT", "s"));
        _redis.Time.Advance(10_000);
        Assert.Equal(10L, _redis.Run("OBJECT", "IDLETIME", "s"));
        _redis.Run("TYPE", "s");
        Assert.Equal(10L, _redis.Run("OBJECT", "IDLETIME", "s"));
        _redis.Run("TOUCH", "s");
        Assert.Equal(0L, _redis.Run("OBJECT", "IDLETIME", "s"));
        Assert.StartsWith("-ERR An LFU maxmemory policy is not selected", _redis.Show("OBJECT FREQ s"));
        var help = (object?[])_redis.Run("OBJECT", "HELP")!;
        Assert.Equal("OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", help[0]);
        Assert.Equal("    Print this help.", help[^1]);
    }

    [Fact]
    public void Object_freq_counts_under_an_lfu_policy()
    {
        using var redis = new EngineHarness(options => options.UsesLfu = true);
        redis.Run("SET", "k", "v");
        Assert.Equal(5L, redis.Run("OBJECT", "FREQ", "k"));
        redis.Run("GET", "k");
        Assert.Equal(6L, redis.Run("OBJECT", "FREQ", "k"));
        redis.Time.Advance(TimeSpan.FromMinutes(2));
        Assert.Equal(4L, redis.Run("OBJECT", "FREQ", "k"));
        Assert.StartsWith("-ERR An LFU maxmemory policy is selected", redis.Show("OBJECT IDLETIME k"));
    }

    [Fact]
    public void Moving_a_key_keeps_its_idle_time_and_copying_does_not()
    {
        _redis.Run("SET", "a", "1");
        _redis.Time.Advance(10_000);
        _redis.Client.Session.NoTouch = true;
        _redis.Run("RENAME", "a", "b");
        _redis.Run("MOVE", "b", "1");
        _redis.Run("SELECT", "1");
        Assert.Equal(10L, _redis.Run("OBJECT", "IDLETIME", "b"));
        _redis.Run("COPY", "b", "c");
        Assert.Equal(0L, _redis.Run("OBJECT", "IDLETIME", "c"));
    }

    private List<string> ScanAll(params string[] options)
    {
        var keys = new List<string>();
        string cursor = "0";
        do
        {
            var reply = (object?[])_redis.Run(["SCAN", cursor, .. options])!;
            cursor = (string)reply[0]!;
            foreach (object? key in (object?[])reply[1]!) keys.Add((string)key!);
        }
        while (cursor != "0");
        return keys;
    }

    private void AssertReplays()
    {
        using EngineHarness copy = _redis.Replay();
        for (int database = 0; database < 16; database++)
        {
            EngineClient here = _redis.NewClient(), there = copy.NewClient();
            here.Run("SELECT", database.ToString());
            there.Run("SELECT", database.ToString());
            string[] keys = Sorted(here.Run("KEYS", "*"));
            Assert.Equal(keys, Sorted(there.Run("KEYS", "*")));
            foreach (string key in keys)
            {
                Assert.Equal(here.Run("GET", key), there.Run("GET", key));
                Assert.Equal(here.Run("PTTL", key), there.Run("PTTL", key));
            }
        }
    }

    private static string[] Sorted(object? reply) => [.. ((object?[])reply!).Select(key => (string)key!).Order(StringComparer.Ordinal)];

    private sealed class Watcher : IKeyWatcher
    {
        public WatcherKind Kind => WatcherKind.Transaction;

        public List<string> Woken { get; } = [];

        public void KeyChanged(int database, ReadOnlySpan<byte> key) => Woken.Add(System.Text.Encoding.ASCII.GetString(key));

        public void SlotWithdrawn()
        {
        }
    }
}
