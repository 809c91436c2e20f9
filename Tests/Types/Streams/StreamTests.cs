using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public class StreamTests
{
    [Fact]
    public void An_added_entry_is_told_with_its_full_id()
    {
        using var redis = new EngineHarness();
        string id = (string)redis.Run("XADD", "s", "*", "a", "1")!;
        Assert.Equal($"{redis.NowMs}-0", id);
        Assert.Equal($"{redis.NowMs}-1", redis.Run("XADD", "s", "*", "a", "2"));
        redis.Run("XADD", "s", $"{redis.NowMs}-*", "a", "3");
        redis.Run("XADD", "s", "MAXLEN", "~", "100", "*", "a", "4");
        Assert.Equal(
            [$"XADD s {id} a 1", $"XADD s {redis.NowMs}-1 a 2", $"XADD s {redis.NowMs}-2 a 3", $"XADD s MAXLEN = 4 {redis.NowMs}-3 a 4"], redis.TakeEffects());
    }

    [Fact]
    public void The_clock_going_back_does_not_turn_ids_back()
    {
        using var redis = new EngineHarness();
        redis.Run("XADD", "s", $"{redis.NowMs + 5000}-7", "a", "1");
        Assert.Equal($"{redis.NowMs + 5000}-8", redis.Run("XADD", "s", "*", "a", "2"));
    }

    [Fact]
    public void An_approximate_trim_is_told_exactly()
    {
        using var redis = new EngineHarness(options => options.StreamNodeMaxEntries = 10);
        for (int i = 1; i <= 100; i++) redis.Run("XADD", "s", $"{i}-0", "a", "1");
        redis.TakeEffects();
        Assert.Equal(60L, redis.Run("XTRIM", "s", "MAXLEN", "~", "35"));
        Assert.Equal(["XTRIM s MAXLEN = 40"], redis.TakeEffects());
        Assert.Equal(10L, redis.Run("XTRIM", "s", "MINID", "~", "75"));
        Assert.Equal(["XTRIM s MINID = 71-0"], redis.TakeEffects());
    }

    [Fact]
    public void Reading_in_a_group_gives_effects_that_lead_to_the_same_group()
    {
        using var redis = new EngineHarness();
        for (int i = 1; i <= 10; i++) redis.Run("XADD", "{s}a", $"{i}-0", "f", $"{i}");
        redis.Run("XADD", "b", "1-0", "f", "v");
        redis.Run("XGROUP", "CREATE", "{s}a", "g", "0");
        redis.Run("XGROUP", "CREATE", "b", "g", "0");
        redis.Run("XREADGROUP", "GROUP", "g", "alice", "COUNT", "4", "STREAMS", "{s}a", "b", ">", ">");
        redis.Time.Advance(100);
        redis.Run("XREADGROUP", "GROUP", "g", "bob", "COUNT", "3", "NOACK", "STREAMS", "{s}a", ">");
        redis.Run("XREADGROUP", "GROUP", "g", "carol", "STREAMS", "{s}a", "0");
        redis.Run("XREADGROUP", "GROUP", "g", "alice", "STREAMS", "{s}a", "2");
        redis.Run("XDEL", "{s}a", "3-0");
        redis.Run("XCLAIM", "{s}a", "g", "bob", "0", "1-0", "3-0");
        redis.Run("XAUTOCLAIM", "{s}a", "g", "dave", "0", "-", "COUNT", "1");
        redis.Run("XACK", "{s}a", "g", "4-0");
        using EngineHarness copy = redis.Replay();
        foreach (string line in (string[])["XPENDING {s}a g", "XPENDING {s}a g - + 100", "XPENDING b g - + 100", "XINFO GROUPS {s}a", "XINFO GROUPS b",
            "XRANGE {s}a - +"])
            Assert.Equal(redis.Show(line), copy.Show(line));
    }

    [Fact]
    public void History_says_which_entries_are_gone()
    {
        using var redis = new EngineHarness();
        redis.Run("XADD", "s", "1-0", "f", "v");
        redis.Run("XADD", "s", "2-0", "f", "v");
        redis.Run("XGROUP", "CREATE", "s", "g", "0");
        redis.Run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">");
        redis.Run("XDEL", "s", "1-0");
        Assert.Equal("[[s, [[1-0, (nil)], [2-0, [f, v]]]]]", redis.Show("XREADGROUP GROUP g c STREAMS s 0"));
        Assert.Equal("{s: [[2-0, [f, v]]]}", redis.NewClient(resp3: true).Show("XREAD STREAMS s 0"));
    }

    [Fact]
    public async Task A_reader_waits_for_what_comes_after_it_asked()
    {
        using var redis = new EngineHarness();
        redis.Run("XADD", "s", "1-0", "f", "old");
        Task<object?> reading = redis.NewClient().RunAsync("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "$", "$");
        Assert.False(reading.IsCompleted);
        redis.Run("XADD", "s", "2-0", "f", "new");
        Assert.Equal("[[s, [[2-0, [f, new]]]]]", Replies.Show(await reading));

        Task<object?> timing = redis.NewClient().RunAsync("XREAD", "BLOCK", "50", "STREAMS", "s", "$");
        redis.Time.Advance(51);
        Assert.Null(await timing);
    }

    [Fact]
    public async Task An_entry_goes_to_one_waiting_consumer_of_a_group_only()
    {
        using var redis = new EngineHarness();
        redis.Run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM");
        Task<object?> first = redis.NewClient().RunAsync("XREADGROUP", "GROUP", "g", "c1", "BLOCK", "0", "STREAMS", "s", ">");
        Task<object?> second = redis.NewClient().RunAsync("XREADGROUP", "GROUP", "g", "c2", "BLOCK", "0", "STREAMS", "s", ">");
        redis.Run("XADD", "s", "1-0", "f", "v");
        Assert.Equal("[[s, [[1-0, [f, v]]]]]", Replies.Show(await first));
        Assert.False(second.IsCompleted);
        redis.Run("XADD", "s", "2-0", "f", "w");
        Assert.Equal("[[s, [[2-0, [f, w]]]]]", Replies.Show(await second));
    }

    [Theory]
    [InlineData("XGROUP DESTROY s g", "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")]
    [InlineData("DEL s", "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")]
    [InlineData("SET s x", "-WRONGTYPE Operation against a key holding the wrong kind of value")]
    [InlineData("RENAME s t", "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")]
    public async Task A_waiting_consumer_hears_that_its_group_is_gone(string end, string error)
    {
        using var redis = new EngineHarness();
        redis.Run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM");
        Task<object?> reading = redis.NewClient().RunAsync("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">");
        redis.Run(end.Split(' '));
        Assert.Equal(error, Replies.Show(await reading));
    }

    [Fact]
    public void The_lag_of_a_group_is_known_as_long_as_nothing_was_deleted_ahead_of_it()
    {
        using var redis = new EngineHarness();
        for (int i = 1; i <= 5; i++) redis.Run("XADD", "s", $"{i}-0", "f", "v");
        redis.Run("XGROUP", "CREATE", "s", "g", "0");
        Assert.Contains("lag, 5]", redis.Show("XINFO GROUPS s"), StringComparison.Ordinal);
        redis.Run("XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", "s", ">");
        Assert.Contains("entries-read, 2, lag, 3]", redis.Show("XINFO GROUPS s"), StringComparison.Ordinal);
        redis.Run("XDEL", "s", "4-0");
        Assert.Contains("entries-read, 2, lag, (nil)]", redis.Show("XINFO GROUPS s"), StringComparison.Ordinal);
        redis.Run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">");
        Assert.Contains("entries-read, 5, lag, 0]", redis.Show("XINFO GROUPS s"), StringComparison.Ordinal);
    }

    [Fact]
    public void Counted_bytes_are_given_back()
    {
        using var redis = new EngineHarness();
        redis.Run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM");
        long empty = Bytes();
        for (int i = 1; i <= 2000; i++) redis.Run("XADD", "s", $"{i}-0", "field", $"value{i}");
        for (int i = 0; i < 20; i++) redis.Run("XREADGROUP", "GROUP", "g", $"c{i}", "COUNT", "100", "STREAMS", "s", ">");
        Assert.InRange(Bytes(), 2000 * 30, 2000 * 250);
        for (int i = 1; i <= 1000; i++) redis.Run("XACK", "s", "g", $"{i}-0");
        for (int i = 0; i < 20; i++) redis.Run("XGROUP", "DELCONSUMER", "s", "g", $"c{i}");
        redis.Run("XTRIM", "s", "MAXLEN", "0");
        Assert.InRange(Bytes(), empty, empty + 512); // the maps keep a little room
        long Bytes() => redis.Store.Slots[KeySlot.Of("s"u8)]!.Bytes;
    }

    [Fact]
    public void The_id_map_agrees_with_a_sorted_dictionary()
    {
        Prop.ForAll(Gen.Choose(0, 399).Two().Select(pair => (Id: pair.Item1, Remove: pair.Item2 % 3 == 0))
            .ArrayOf().Where(list => list.Length > 0).ToArbitrary(), operations =>
        {
            using var map = new CheckedMap();
            foreach ((int number, bool remove) in operations.Concat(operations.Select(operation => (operation.Id * 7 % 401, operation.Remove))))
            {
                var id = new StreamId((ulong)(number / 3), (ulong)(number % 3));
                if (remove) map.Remove(id);
                else map.Add(id);
            }
            map.Agree();
        }).Check();
    }

    [Fact]
    public void The_id_map_holds_long_runs()
    {
        using var map = new CheckedMap();
        for (ulong i = 0; i < 5000; i++) map.Add(new(i, 0));
        for (ulong i = 0; i < 4900; i += i % 3 == 0 ? 1UL : 2UL) map.Remove(new(i, 0));
        for (ulong i = 0; i < 300; i++) map.Add(new(i * 3, 1));
        map.Agree();
    }

    [Fact]
    public void The_id_map_slides_along_a_stream()
    {
        using var map = new CheckedMap();
        for (ulong i = 0; i < 20_000; i++)
        {
            map.Add(new(i, 0));
            if (i >= 1500) map.Remove(new(i - 1500, 0));
        }
        map.Agree();
        Assert.InRange(map.AllocatedBytes, 1500 * 20, 1500 * 30);
        for (ulong i = 20_000 - 1500; i < 20_000; i++) map.Remove(new(i, 0));
        map.Agree();
        Assert.InRange(map.AllocatedBytes, 0, 512);
    }

    [Fact]
    public void A_pending_entry_takes_no_block_of_its_own()
    {
        using var redis = new EngineHarness();
        redis.Run("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM");
        for (int i = 1; i <= 10_000; i++) redis.Run("XADD", "s", $"{i}-0", "f", "v");
        long before = Stream(redis).Bytes, effort = Stream(redis).FreeEffort;
        redis.Run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">");
        Assert.InRange(Stream(redis).Bytes - before, 10_000 * 52, 10_000 * 58);
        Assert.InRange(Stream(redis).FreeEffort - effort, 10, 500);
    }

    [Fact]
    public void The_number_of_a_consumer_that_is_gone_may_be_given_to_another_one()
    {
        using var redis = new EngineHarness();
        for (int i = 1; i <= 6; i++) redis.Run("XADD", "s", $"{i}-0", "f", "v");
        redis.Run("XGROUP", "CREATE", "s", "g", "0");
        foreach (string consumer in (string[])["c", "b", "a"]) redis.Run("XREADGROUP", "GROUP", "g", consumer, "COUNT", "2", "STREAMS", "s", ">");
        Assert.Equal(2L, redis.Run("XGROUP", "DELCONSUMER", "s", "g", "b"));
        redis.Run("XCLAIM", "s", "g", "d", "0", "3-0", "5-0", "FORCE");
        redis.Run("COPY", "s", "{s}t");
        foreach (string key in (string[])["s", "{s}t"])
        {
            Assert.Equal("[[1-0, c, 0, 1], [2-0, c, 0, 1], [3-0, d, 0, 2], [5-0, d, 0, 2], [6-0, a, 0, 1]]", redis.Show($"XPENDING {key} g - + 10"));
            Assert.Equal("[[3-0, d, 0, 2], [5-0, d, 0, 2]]", redis.Show($"XPENDING {key} g - + 10 d"));
            Assert.Equal("[[6-0, a, 0, 1]]", redis.Show($"XPENDING {key} g - + 10 a"));
        }
        Assert.Equal(2L, redis.Run("XGROUP", "DELCONSUMER", "s", "g", "d"));
        Assert.Equal("[3, 1-0, 6-0, [[a, 1], [c, 2]]]", redis.Show("XPENDING s g"));
        Assert.Equal("[5, 1-0, 6-0, [[a, 1], [c, 2], [d, 2]]]", redis.Show("XPENDING {s}t g"));
    }

    [Fact]
    public void A_stream_counts_the_bytes_of_all_its_blocks_and_gives_them_back()
    {
        using var redis = new EngineHarness(options => options.StreamNodeMaxEntries = 10);
        redis.Run("XADD", "s", "1-0", "f", "v");
        long least = Counted();
        for (int i = 2; i <= 500; i++) redis.Run("XADD", "s", $"{i}-0", "f", new string('x', i));
        for (int i = 2; i <= 500; i += 3) redis.Run("XDEL", "s", $"{i}-0");
        redis.Run("XTRIM", "s", "MAXLEN", "200");
        foreach (string group in (string[])["g", "h"])
        {
            redis.Run("XGROUP", "CREATE", "s", group, "0");
            for (int i = 0; i < 20; i++) redis.Run("XREADGROUP", "GROUP", group, $"c{i % 3}", "COUNT", "7", "STREAMS", "s", ">");
            redis.Run("XAUTOCLAIM", "s", group, "d", "0", "-", "COUNT", "30");
        }
        redis.Run("XTRIM", "s", "MINID", "300");
        redis.Run("XAUTOCLAIM", "s", "g", "d", "0", "-", "COUNT", "1000");
        redis.Run("XGROUP", "DELCONSUMER", "s", "g", "d");
        Assert.Equal(Counted(), Walked());
        redis.Run("COPY", "s", "{s}t");
        redis.Run("RENAME", "{s}t", "s");
        Assert.Equal(Counted(), Walked());
        foreach (string group in (string[])["g", "h"]) redis.Run("XGROUP", "DESTROY", "s", group);
        redis.Run("XTRIM", "s", "MAXLEN", "0");
        Assert.Equal(Counted(), Walked());
        Assert.InRange(Counted(), 1, least + 512); // the map of nodes keeps a little room

        unsafe long Walked()
        {
            StreamValue stream = Stream(redis);
            long bytes = new StreamValue(stream.Key).Bytes + stream.Nodes.AllocatedBytes;
            for (var at = stream.Nodes.First; at.IsValid; at.Next()) bytes += Heap.AllocatedBytes(at.Value->Block);
            foreach (StreamGroup group in stream.Groups.Items)
            {
                bytes += group.OwnBytes + group.Pending.AllocatedBytes;
                foreach (StreamConsumer consumer in group.Consumers.Items) bytes += consumer.OwnBytes + consumer.Pending.AllocatedBytes;
            }
            return bytes;
        }

        long Counted() => Stream(redis).Bytes;
    }

    private static StreamValue Stream(EngineHarness redis) => (StreamValue)redis.Store.Slots[KeySlot.Of("s"u8)]!.Keyspace(0).Find("s"u8).Value;

    /// <summary>A map beside a model of it.</summary>
    private sealed unsafe class CheckedMap : IDisposable
    {
        private readonly ByteCount _bytes = new();
        private readonly StreamIdMap<long> _map;
        private readonly SortedDictionary<StreamId, long> _model = [];
        private long _next;

        public CheckedMap() => _map = new(_bytes);

        public long AllocatedBytes => _map.AllocatedBytes;

        public void Add(StreamId id)
        {
            if (_model.TryAdd(id, ++_next)) *_map.Add(id) = _next;
        }

        public void Remove(StreamId id)
        {
            bool isThere = _model.Remove(id, out long expected);
            Assert.Equal(isThere, _map.Remove(id, out long value));
            Assert.Equal(expected, value);
        }

        public void Agree()
        {
            Assert.Equal(_model.Count, _map.Count);
            Assert.Equal(_bytes.Bytes, _map.AllocatedBytes);
            var at = _map.First;
            foreach ((StreamId id, long value) in _model)
            {
                Assert.True(at.IsValid);
                Assert.Equal(id, at.Id);
                Assert.Equal(value, *at.Value);
                Assert.Equal(value, *_map.Find(id));
                at.Next();
            }
            Assert.False(at.IsValid);
            at = _map.Last;
            foreach ((StreamId id, _) in _model.Reverse())
            {
                Assert.Equal(id, at.Id);
                at.Previous();
            }
            Assert.False(at.IsValid);
        }

        public void Dispose() => _map.Free();
    }
}
