using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class AtomicityTests : IDisposable
{
    private static readonly TimeSpan s_patience = Eventually.Deadline;

    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Fact]
    public async Task Keys_of_several_slots_change_together()
    {
        string[] keys = ["a", "b", "c", "d"];
        _redis.Run("MSET", "a", "0", "b", "0", "c", "0", "d", "0");
        bool over = false;
        Task[] writers = [.. Enumerable.Range(0, 3).Select(writer => Task.Run(() =>
        {
            EngineClient client = _redis.NewClient();
            string[] order = writer == 1 ? [.. keys.Reverse()] : keys;
            for (int i = 0; i < 500; i++) client.Run(["MSET", .. order.SelectMany(key => new[] { key, $"{writer}:{i}" })]);
        }))];
        Task[] readers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            EngineClient client = _redis.NewClient();
            while (!Volatile.Read(ref over)) Assert.Single(((object?[])client.Run(["MGET", .. keys])!).Distinct());
        }))];
        // Meanwhile commands on single keys, on whole databases, and walks through all slots.
        Task others = Task.Run(() =>
        {
            EngineClient client = _redis.NewClient();
            for (int i = 0; i < 100; i++)
            {
                client.Run("GET", keys[i % 4]);
                client.Run("KEYS", "*");
                client.Run("SWAPDB", "1", "2");
                client.Run("SET", "other", "x", "PX", "1");
            }
        });
        await Task.WhenAll([.. writers, others]).WaitAsync(s_patience);
        Volatile.Write(ref over, true);
        await Task.WhenAll(readers).WaitAsync(s_patience);
        AssertEffectsAreInOrder();
        using EngineHarness copy = _redis.Replay();
        Assert.Equal(_redis.Show("MGET a b c d other"), copy.Show("MGET a b c d other"));
    }

    [Fact]
    public async Task Renames_across_slots_neither_lose_nor_double_a_key()
    {
        const int Keys = 10;
        for (int i = 0; i < Keys; i++) _redis.Run("SET", $"key:{i}", $"{i}");
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(() =>
        {
            EngineClient client = _redis.NewClient();
            var random = TestSeed.Random(thread);
            for (int i = 0; i < 1000; i++) client.Run("RENAMENX", $"key:{random.Next(20)}", $"key:{random.Next(20)}");
        }))).WaitAsync(s_patience);
        var values = (object?[])_redis.Run(["MGET", .. Enumerable.Range(0, 20).Select(i => $"key:{i}")])!;
        Assert.Equal(Enumerable.Range(0, Keys).Select(i => $"{i}"), values.Where(value => value is not null).Select(value => (string)value!).Order());
        Assert.Equal((long)Keys, _redis.Run("DBSIZE"));
        AssertEffectsAreInOrder();
        using EngineHarness copy = _redis.Replay();
        for (int i = 0; i < 20; i++) Assert.Equal(values[i], copy.Run("GET", $"key:{i}"));
    }

    [Fact]
    public async Task Commands_that_find_keys_on_the_way_and_those_of_many_keys_get_past_each_other()
    {
        const int Keys = 12, Rounds = 2000;
        string[] weights = [.. Enumerable.Range(0, Keys).Select(i => $"w_{i}")];
        _redis.Run(["RPUSH", "list", .. Enumerable.Range(0, Keys).Select(i => $"{i}")]);
        _redis.Run(["MSET", .. weights.SelectMany(key => new[] { key, "0" })]);
        Task[] sorters = [.. Enumerable.Range(0, 2).Select(number => Task.Run(() =>
        {
            EngineClient client = _redis.NewClient();
            for (int i = 0; i < Rounds; i++)
            {
                // All weights are equal at every instant, so the elements themselves break the tie.
                client.Run("SORT", "list", "BY", "w_*", "STORE", $"sorted:{number}");
                Assert.Equal("0,1,10,11,2,3,4,5,6,7,8,9", string.Join(',', (object?[])client.Run("LRANGE", $"sorted:{number}", "0", "-1")!));
            }
        }))];
        Task[] writers = [.. Enumerable.Range(1, 2).Select(number => Task.Run(() =>
        {
            EngineClient client = _redis.NewClient();
            var random = TestSeed.Random(number);
            for (int i = 0; i < Rounds; i++)
            {
                string[] order = [.. weights];
                random.Shuffle(order);
                client.Run(["MSET", .. order.SelectMany(key => new[] { key, $"{i}" })]);
            }
        }))];
        await Task.WhenAll([.. sorters, .. writers]).WaitAsync(s_patience);
        AssertEffectsAreInOrder();
    }

    [Fact]
    public void A_slot_that_is_not_here_stops_the_command_before_it_begins()
    {
        Slot slot = _redis.Store.Slots[KeySlot.Of("b"u8)]!;
        _redis.Store.Slots.Withdraw(slot);
        var asked = new List<int>();
        _redis.Router.Bring = number =>
        {
            asked.Add(number);
            return false;
        };
        Assert.StartsWith("-CLUSTERDOWN", _redis.Raw("MSET", "a", "1", "b", "2"), StringComparison.Ordinal);
        Assert.StartsWith("-CLUSTERDOWN", _redis.Raw("GET", "b"), StringComparison.Ordinal);
        Assert.Equal([slot.Number, slot.Number], asked);
        Assert.Null(_redis.Run("GET", "a"));
        Assert.Empty(_redis.TakeEffects());
        Assert.Equal("OK", _redis.Run("MSET", "a", "1", "c", "2"));
        Assert.Equal("OK", _redis.Run("FLUSHALL"));
    }

    [Fact]
    public async Task A_busy_slot_is_reported_and_its_neighbours_gates_are_given_back()
    {
        Slot busy = _redis.Store.Slots[KeySlot.Of("b"u8)]!;
        Assert.True(busy.Gate.TryEnter());
        Attempt attempt = TryMset();
        Assert.Equal(Outcome.Busy, attempt.Outcome);
        Task free = _redis.Store.WhenFree(attempt);
        Assert.False(free.IsCompleted);
        Assert.True(_redis.Store.Slots[KeySlot.Of("a"u8)]!.Gate.TryEnter());
        _redis.Store.Slots[KeySlot.Of("a"u8)]!.Gate.Exit();
        busy.Gate.Exit();
        await free.WaitAsync(s_patience);
        Assert.Equal(Outcome.Done, TryMset().Outcome);
        Assert.Equal("2", _redis.Run("GET", "b"));
    }

    private Attempt TryMset()
    {
        OwnedRequest request = OwnedRequest.Of("MSET"u8.ToArray(), "a"u8.ToArray(), "1"u8.ToArray(), "b"u8.ToArray(), "2"u8.ToArray());
        var call = new CommandContext(_redis.Store, new Session(), new RespWriter())
        {
            Command = EngineHarness.Commands.Find("MSET"u8)!,
            Request = request.Request,
            NowMs = _redis.NowMs,
        };
        return _redis.Store.Execute(ref call);
    }

    private void AssertEffectsAreInOrder()
    {
        var last = new Dictionary<int, long>();
        foreach (RecordedEffect effect in _redis.Effects)
        {
            Assert.Equal(last.GetValueOrDefault(effect.Slot) + 1, effect.Sequence);
            last[effect.Slot] = effect.Sequence;
        }
    }
}
