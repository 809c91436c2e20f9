using System.Globalization;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>maxmemory: what is evicted, what is refused, and who is told.</summary>
public sealed class EvictionTests : IDisposable
{
    private const string Refusal = "-OOM command not allowed when used memory > 'maxmemory'.";
    private readonly EngineHarness _redis = new();

    public EvictionTests() => _redis.Store.Eviction.Random = TestSeed.Random();

    public void Dispose() => _redis.Dispose();

    [Fact]
    public void Used_memory_follows_keys_values_and_tables_and_returns_to_what_it_was()
    {
        long empty = _redis.Store.UsedMemory;
        Fill("k", 20_000);
        long full = _redis.Store.UsedMemory;
        Assert.True(full - empty >= 20_000 * 24);
        Assert.Equal(Recounted(), full);
        _redis.Client.Session.Database = 3;
        Fill("{one}", 5000); // the table of one slot grows
        _redis.Run("HSET", "h", "f", new string('x', 100_000));
        _redis.Client.Session.Database = 0;
        Assert.Equal(Recounted(), _redis.Store.UsedMemory);
        _redis.Run("SWAPDB", "0", "3");
        Assert.Equal(Recounted(), _redis.Store.UsedMemory);
        _redis.Run("FLUSHALL");
        Assert.Equal(Recounted(), _redis.Store.UsedMemory);
        // The other database keeps its tables, which are empty.
        Assert.InRange(_redis.Store.UsedMemory - empty, 0, 16384 * 160);
    }

    [Fact]
    public void A_withdrawn_slot_is_not_counted()
    {
        long before = _redis.Store.UsedMemory;
        _redis.Run("SET", "k", new string('x', 10_000));
        Slot slot = _redis.Store.Slots[KeySlot.Of("k"u8)]!;
        long others = _redis.Store.UsedMemory - slot.AllBytes;
        _redis.Store.Slots.Withdraw(slot);
        Assert.Equal(others, _redis.Store.UsedMemory);
        Assert.True(others < before);
    }

    [Fact]
    public void It_is_known_for_how_long_there_has_been_too_little_room()
    {
        _redis.Run("SET", "k", "v");
        Limit("noeviction", -1);
        _redis.Run("SET", "a", "b");
        _redis.Time.Advance(1500);
        Assert.Equal((1500, 1500), (_redis.Store.Eviction.TimeOver.InAll.TotalMilliseconds, _redis.Store.Eviction.TimeOver.Now.TotalMilliseconds));
        _redis.Run("DEL", "k");
        Assert.Equal((1500, 0), (_redis.Store.Eviction.TimeOver.InAll.TotalMilliseconds, _redis.Store.Eviction.TimeOver.Now.TotalMilliseconds));
        _redis.Run("CONFIG", "RESETSTAT");
        Assert.Equal(0, _redis.Store.Eviction.TimeOver.InAll.TotalMilliseconds);
    }

    [Fact]
    public void Noeviction_refuses_only_commands_that_need_memory()
    {
        _redis.Run("SET", "k", "v");
        Limit("noeviction", -1);
        Assert.Equal(Refusal, _redis.Show("SET a b"));
        Assert.Equal(Refusal, _redis.Show("LPUSH l a"));
        Assert.Equal("v", _redis.Show("GET k"));
        Assert.Equal(1L, _redis.Run("DEL", "k"));
        Assert.Equal(0, _redis.Store.Statistics.EvictedKeys);
        _redis.Run("CONFIG", "SET", "maxmemory", "0");
        Assert.Equal("OK", _redis.Show("SET a b"));
    }

    [Fact]
    public void A_transaction_of_what_needs_no_memory_is_queued_and_runs()
    {
        _redis.Run("SET", "k", "v");
        Limit("noeviction", -1);
        Assert.Equal("OK", _redis.Show("MULTI"));
        Assert.Equal("QUEUED", _redis.Show("GET k"));
        Assert.Equal("QUEUED", _redis.Show("DEL k"));
        Assert.Equal("[v, 1]", _redis.Show("EXEC"));
    }

    [Fact]
    public void In_a_transaction_what_needs_memory_is_refused_and_it_is_spoilt()
    {
        Assert.Equal("OK", _redis.Show("MULTI"));
        Limit("noeviction", -1, _redis.NewClient());
        Assert.Equal(Refusal, _redis.Show("SET k v"));
        Assert.StartsWith("-EXECABORT Transaction discarded because of previous errors", _redis.Show("EXEC"));
    }

    [Fact]
    public void Exec_of_what_needs_memory_is_refused_with_the_reason()
    {
        _redis.Run("MULTI");
        _redis.Run("SET", "k", "v");
        Limit("noeviction", -1, _redis.NewClient());
        Assert.Equal("-EXECABORT Transaction discarded because of: " + Refusal[1..], _redis.Show("EXEC"));
        Assert.StartsWith("-ERR EXEC without MULTI", _redis.Show("EXEC"));
        Assert.Null(_redis.Run("GET", "k"));
    }

    [Fact]
    public void Exec_of_what_needs_none_and_discard_are_not_refused()
    {
        EngineClient other = _redis.NewClient();
        other.Run("MULTI");
        _redis.Run("MULTI");
        _redis.Run("GET", "k");
        Limit("noeviction", -1, _redis.NewClient());
        Assert.DoesNotContain("EXECABORT", _redis.Show("EXEC"));
        Assert.Equal("OK", other.Show("DISCARD"));
    }

    [Theory]
    [InlineData("allkeys-random")]
    [InlineData("allkeys-lru")]
    [InlineData("allkeys-lfu")]
    [InlineData("volatile-random")]
    [InlineData("volatile-lru")]
    [InlineData("volatile-lfu")]
    [InlineData("volatile-ttl")]
    public void Memory_stays_below_the_limit_and_volatile_policies_spare_other_keys(string policy)
    {
        bool isVolatile = policy.StartsWith("volatile", StringComparison.Ordinal);
        Fill("keep", 500);
        Fill("go", 2000, expires: true);
        long limit = Limit(policy, 0);
        for (int i = 0; i < 1000; i++)
        {
            Assert.Equal("OK", _redis.Run("SET", Name("new", i), "value-of-some-length", "EX", "100"));
            Assert.InRange(_redis.Store.UsedMemory, 0, limit + 4096);
        }
        Assert.InRange(_redis.Store.Statistics.EvictedKeys, 500, 3000);
        if (isVolatile) Assert.Equal(500, Present("keep", 500));
    }

    [Fact]
    public void A_volatile_policy_without_volatile_keys_refuses()
    {
        Fill("k", 100);
        Limit("volatile-lru", -1);
        Assert.Equal(Refusal, _redis.Show("SET a b"));
        Assert.Equal(100, Present("k", 100));
    }

    [Fact]
    public void Lru_evicts_what_was_not_used_for_longest()
    {
        _redis.Run("CONFIG", "SET", "maxmemory-samples", "10");
        Fill("old", 500);
        _redis.Time.Advance(60_000);
        Fill("new", 500);
        EvictKeys("allkeys-lru", 300);
        Assert.InRange(Present("new", 500), 480, 500);
        Assert.InRange(Present("old", 500), 150, 250);
    }

    [Fact]
    public void Lfu_evicts_what_is_used_least()
    {
        _redis.Run("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "maxmemory-samples", "10", "lfu-log-factor", "0");
        Fill("rare", 500);
        Fill("often", 500);
        for (int round = 0; round < 20; round++) Present("often", 500, "GET");
        EvictKeys("allkeys-lfu", 300);
        Assert.InRange(Present("often", 500), 480, 500);
        Assert.InRange(Present("rare", 500), 150, 250);
    }

    [Fact]
    public void Ttl_evicts_what_expires_soonest()
    {
        _redis.Run("CONFIG", "SET", "maxmemory-samples", "10");
        for (int i = 0; i < 500; i++)
        {
            _redis.Run("SET", Name("soon", i), "v", "EX", "100");
            _redis.Run("SET", Name("late", i), "v", "EX", "10000");
        }
        EvictKeys("volatile-ttl", 300);
        Assert.InRange(Present("late", 500), 480, 500);
        Assert.InRange(Present("soon", 500), 150, 250);
    }

    [Fact]
    public void Random_eviction_is_fair_to_slots_of_any_size()
    {
        Fill("{one}", 1000);
        Fill("many", 1000);
        EvictKeys("allkeys-random", 500);
        Assert.InRange(Present("{one}", 1000), 650, 850);
        Assert.InRange(Present("many", 1000), 650, 850);
    }

    [Fact]
    public void A_few_volatile_keys_among_many_in_one_slot_are_found()
    {
        Fill("{one}keep", 800);
        Fill("{one}go", 3, expires: true);
        Limit("volatile-random", -1000); // more than the three volatile keys take
        Assert.Equal(Refusal, _redis.Show("SET a b"));
        Assert.Equal(3, _redis.Store.Statistics.EvictedKeys);
        Assert.Equal(800, Present("{one}keep", 800));
    }

    [Fact]
    public void An_evicted_key_is_deleted_for_everyone_who_listens()
    {
        _redis.Run("SET", "k", "v", "EX", "100");
        EngineClient watching = _redis.NewClient();
        watching.Run("WATCH", "k");
        watching.Run("MULTI");
        _redis.TakeEffects();
        _redis.TakeEvents();
        Limit("volatile-ttl", -1);
        _redis.Run("SET", "other", "v");
        Assert.Equal("DEL k", _redis.TakeEffects()[0]);
        Assert.Equal("evicted k", _redis.TakeEvents()[0]);
        Assert.Equal(1, _redis.Store.Statistics.EvictedKeys);
        _redis.Run("CONFIG", "SET", "maxmemory", "0");
        watching.Run("GET", "other");
        Assert.Null(watching.Run("EXEC"));
    }

    [Fact]
    public void Keys_of_other_databases_are_evicted_too()
    {
        _redis.Client.Session.Database = 5;
        Fill("k", 200);
        _redis.Client.Session.Database = 0;
        _redis.TakeEvents();
        EvictKeys("allkeys-lru", 50);
        Assert.All(_redis.TakeEvents(), name => Assert.EndsWith("@5", name));
    }

    [Theory]
    [InlineData("allkeys-random")]
    [InlineData("volatile-lru")]
    public void The_tables_of_a_database_do_not_take_the_room_of_its_keys(string policy)
    {
        _redis.Client.Session.Database = 9;
        Limit(policy, 100 * 1024);
        for (int i = 0; i < 5000; i++) Assert.Equal("OK", _redis.Run("SETEX", Name("", i), "10000", "x"));
        Assert.Equal("OK", _redis.Run("FLUSHDB"));
        Limit(policy, 0);
        Assert.Equal("OK", _redis.Run("SETEX", "k", "10000", "x"));
    }

    [Fact]
    public async Task Config_set_of_a_lower_limit_evicts_without_another_command()
    {
        Fill("k", 3000);
        long limit = _redis.Store.UsedMemory - 50_000;
        _redis.Run("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", Text(limit));
        await _redis.Store.Eviction.Background.WaitAsync(Eventually.Deadline);
        Assert.InRange(_redis.Store.UsedMemory, 0, limit);
        Assert.True(_redis.Store.Statistics.EvictedKeys > 0);
    }

    [Fact]
    public void A_replacement_that_outgrows_the_limit_is_followed_by_eviction_at_the_next_command()
    {
        Fill("k", 1000);
        long limit = Limit("allkeys-lru", 1000);
        Assert.Equal("OK", _redis.Run("SET", "big", new string('x', 20_000)));
        Assert.True(_redis.Store.UsedMemory > limit);
        _redis.Run("EXISTS", "nothing");
        Assert.InRange(_redis.Store.UsedMemory, 0, limit);
    }

    private static string Name(string prefix, int number) => prefix + Text(number);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private void Fill(string prefix, int count, bool expires = false)
    {
        for (int i = 0; i < count; i++)
        {
            if (expires) _redis.Run("SET", Name(prefix, i), "value-of-some-length", "EX", "1000");
            else _redis.Run("SET", Name(prefix, i), "value-of-some-length");
        }
    }

    private int Present(string prefix, int count, string command = "EXISTS")
    {
        int present = 0;
        for (int i = 0; i < count; i++)
        {
            if (_redis.Run(command, Name(prefix, i)) is 1L) present++;
        }
        return present;
    }

    /// <summary>Sets the policy, and maxmemory to this much above what is used.</summary>
    private long Limit(string policy, long above, EngineClient? client = null)
    {
        // Not by CONFIG SET, which would begin to evict in the background.
        client ??= _redis.Client;
        client.Run("CONFIG", "SET", "maxmemory-policy", policy);
        return _redis.Store.Options.MaxMemory = _redis.Store.UsedMemory + above;
    }

    /// <summary>Lowers the limit step by step until this many keys are evicted, then removes it.</summary>
    private void EvictKeys(string policy, int count)
    {
        long target = _redis.Store.Statistics.EvictedKeys + count;
        while (_redis.Store.Statistics.EvictedKeys < target)
        {
            Limit(policy, -1);
            _redis.Run("EXISTS", "nothing");
        }
        _redis.Store.Options.MaxMemory = 0;
    }

    private long Recounted()
    {
        long sum = 0;
        for (int number = 0; number < KeySlot.Count; number++)
        {
            Slot slot = _redis.Store.Slots[number]!;
            sum += slot.AllBytes - slot.Bytes - slot.TableBytes;
            for (int database = 0; database < 16; database++)
            {
                if (slot.KeyspaceIfAny(database) is { } keyspace) sum += keyspace.Bytes;
            }
        }
        return sum;
    }
}
