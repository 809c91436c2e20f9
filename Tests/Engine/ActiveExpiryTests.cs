using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class ActiveExpiryTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    private ActiveExpiry Expiry => _redis.Store.ActiveExpiry;

    [Fact]
    public async Task Expired_keys_go_though_nobody_asks_for_them()
    {
        _redis.Run("SET", "a", "1", "PX", "100");
        _redis.Run("SET", "b", "1", "PX", "200");
        _redis.Run("SET", "c", "1");
        _redis.Run("SELECT", "3");
        _redis.Run("SET", "a", "1", "PX", "100");
        _redis.TakeEffects();
        _redis.TakeEvents();
        _redis.Time.Advance(99);
        await Expiry.RunCycleAsync();
        Assert.Empty(_redis.TakeEffects());
        _redis.Time.Advance(1);
        await Expiry.RunCycleAsync();
        Assert.Equal([(0, "DEL a"), (3, "DEL a")], _redis.Effects.Select(effect => (effect.Database, effect.ToString())));
        Assert.Equal(["expired a", "expired a @3"], _redis.TakeEvents());
        Assert.Equal(0L, _redis.Run("DBSIZE"));
        _redis.Time.Advance(100);
        await Expiry.RunCycleAsync();
        Assert.Equal(["expired b"], _redis.TakeEvents());
        Assert.Equal(3, _redis.Store.Statistics.ExpiredKeys);
    }

    [Fact]
    public async Task Afterwards_the_slot_knows_exactly_when_it_is_due_again()
    {
        long now = _redis.NowMs;
        for (int i = 1; i <= 100; i++) _redis.Run("SET", $"{{s}}{i}", "x", "PX", (i * 10).ToString());
        int slot = KeySlot.Of("{s}"u8);
        Assert.Equal(now + 10, _redis.Store.Slots.EarliestExpiryMs(slot));
        _redis.Time.Advance(500);
        await Expiry.RunCycleAsync();
        Assert.Equal(50L, _redis.Run("DBSIZE"));
        Assert.Equal(now + 510, _redis.Store.Slots.EarliestExpiryMs(slot));
        _redis.Run("PERSIST", "{s}51");
        _redis.Time.Advance(10);
        await Expiry.RunCycleAsync();
        Assert.Equal(now + 520, _redis.Store.Slots.EarliestExpiryMs(slot));
        _redis.Time.Advance(10_000);
        await Expiry.RunCycleAsync();
        Assert.Equal(1L, _redis.Run("DBSIZE"));
        Assert.Equal(long.MaxValue, _redis.Store.Slots.EarliestExpiryMs(slot));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(2000)]
    public async Task Fields_of_hashes_expire_too(int fields)
    {
        for (int i = 0; i < fields; i++) _redis.Run("HSET", "h", $"f{i}", "v");
        _redis.Run("HSET", "h", "stays", "v");
        for (int i = 0; i < fields; i++) _redis.Run("HPEXPIRE", "h", "10", "FIELDS", "1", $"f{i}");
        _redis.TakeEffects();
        _redis.Time.Advance(10);
        await Expiry.RunCycleAsync();
        Assert.Equal(fields, _redis.TakeEffects().Length);
        Assert.Equal(1L, _redis.Run("HLEN", "h"));
        Assert.Equal(long.MaxValue, _redis.Store.Slots.EarliestExpiryMs(KeySlot.Of("h"u8)));
    }

    [Fact]
    public async Task A_busy_slot_is_left_for_the_next_cycle()
    {
        _redis.Run("SET", "a", "1", "PX", "1");
        _redis.Run("SET", "b", "1", "PX", "1");
        _redis.Time.Advance(1);
        Slot busy = _redis.Store.Slots[KeySlot.Of("a"u8)]!;
        using (new HeldGate(busy))
        {
            await Expiry.RunCycleAsync();
            Assert.Equal(1, _redis.Store.Statistics.ExpiredKeys);
        }
        await Expiry.RunCycleAsync();
        Assert.Equal(2, _redis.Store.Statistics.ExpiredKeys);
    }

    [Fact]
    public async Task Switched_off_it_leaves_expired_keys_to_those_who_meet_them()
    {
        _redis.Run("SET", "a", "1", "PX", "1");
        _redis.Time.Advance(1);
        Expiry.Enabled = false;
        await Expiry.RunCycleAsync();
        Assert.Equal(1L, _redis.Run("DBSIZE"));
        Assert.Null(_redis.Run("GET", "a"));
        Assert.Equal(0L, _redis.Run("DBSIZE"));
    }

    [Fact]
    public async Task A_slot_that_moves_between_databases_meanwhile_still_expires()
    {
        _redis.Run("SET", "a", "1", "PX", "10");
        _redis.Run("SWAPDB", "0", "5");
        _redis.Time.Advance(10);
        await Expiry.RunCycleAsync();
        Assert.Equal(1, _redis.Store.Statistics.ExpiredKeys);
    }

    [Fact]
    public async Task A_huge_slot_is_done_in_steps_and_keys_that_come_behind_it_are_not_forgotten()
    {
        var clock = new StepClock();
        using var store = new Store(new ServerOptions(), clock, EngineHarness.Commands);
        store.Slots.Publish(store.Slots.Create(0, 1));
        Keyspace keyspace = store.Slots[0]!.Keyspace(0);
        for (int i = 0; i < 20_000; i++) keyspace.Add(StringEntry.Create(BitConverter.GetBytes(i), "x"u8, clock.NowMs + (i % 2 == 0 ? 5 : 1_000_000)));
        clock.NowMs += 10;

        // A millisecond passes whenever the clock is read. So every visit to a slot is one chunk, and a cycle makes as
        // many visits as its budget has milliseconds.
        int cycles = 0;
        long noted = clock.NowMs + 500;
        while (store.Slots.EarliestExpiryMs(0) <= clock.NowMs)
        {
            await store.ActiveExpiry.RunCycleAsync();
            if (++cycles == 10) keyspace.Add(StringEntry.Create("late"u8, "x"u8, noted));
            Assert.True(cycles < 1000);
            Assert.True(store.Slots[0]!.Gate.TryEnter());
            store.Slots[0]!.Gate.Exit();
        }
        Assert.True(cycles > 20, $"{cycles} cycles");
        Assert.Equal(10_001, keyspace.Count);
        Assert.Equal(noted, store.Slots.EarliestExpiryMs(0));
        Assert.True(store.Statistics.ExpireTimeCapReached > 20);
    }

    [Fact]
    public async Task Who_waits_for_a_key_that_expires_is_still_served_when_it_comes_back()
    {
        Task<object?> waiting = _redis.NewClient().RunAsync("BLPOP", "k", "0");
        Assert.False(waiting.IsCompleted);
        _redis.Run("SET", "k", "of another type", "PX", "10");
        _redis.Time.Advance(10);
        var expiring = new Thread(() => Expiry.RunCycleAsync().AsTask().Wait());
        expiring.Start();
        expiring.Join();
        Assert.Equal(1, _redis.Store.Statistics.ExpiredKeys);
        _redis.Run("RPUSH", "k", "v");
        Assert.Equal("[k, v]", Replies.Show(await waiting.WaitAsync(Eventually.Deadline)));
    }

    [Fact]
    public async Task Started_it_follows_the_clock()
    {
        Expiry.Start();
        _redis.Run("SET", "a", "1", "PX", "50");
        await Eventually.TrueAsync(() =>
        {
            _redis.Time.Advance(10);
            return _redis.Store.Statistics.ExpiredKeys == 1;
        });
        await Expiry.DisposeAsync();
    }

    /// <summary>
    /// The timestamp moves on by a millisecond whenever it is read; the time of day only when the test sets it.
    /// </summary>
    private sealed class StepClock : TimeProvider
    {
        private long _timestamp;

        public long NowMs { get; set; } = 1_700_000_000_000;

        public override long TimestampFrequency => 1000;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeMilliseconds(NowMs);

        public override long GetTimestamp() => ++_timestamp;
    }
}
