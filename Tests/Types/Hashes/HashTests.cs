using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.Hashes;

public class HashTests
{
    [Fact]
    public void Hset_counts_new_fields_and_tells_of_every_change()
    {
        using var redis = new EngineHarness();
        Assert.Equal("2", redis.Show("HSET h a 1 b 2 a 3"));
        Assert.Equal("0", redis.Show("HSET h a 4"));
        Assert.Equal("OK", redis.Show("HMSET h a 5 c 6"));
        Assert.Equal(["HSET h a 1 b 2 a 3", "HSET h a 4", "HMSET h a 5 c 6"], redis.TakeEffects());
        Assert.Equal(["hset h", "hset h", "hset h"], redis.TakeEvents());
        Assert.Equal("[a, 5, b, 2, c, 6]", redis.Show("HGETALL h"));
        Assert.Equal("0", redis.Show("HSETNX h a 9"));
        Assert.Empty(redis.TakeEffects());
        Assert.Equal("1", redis.Show("HSETNX h d x"));
        Assert.Equal("[5, (nil), x]", redis.Show("HMGET h a no d"));
        Assert.Equal("[(nil), (nil)]", redis.Show("HMGET none a b"));
        Assert.Equal("5", redis.Show("HGET h a"));
        Assert.Equal("(nil)", redis.Show("HGET h no"));
        Assert.Equal("(nil)", redis.Show("HGET none a"));
        Assert.Equal("4", redis.Show("HLEN h"));
        Assert.Equal("1", redis.Show("HEXISTS h d"));
        Assert.Equal("0", redis.Show("HEXISTS h e"));
        Assert.Equal("1", redis.Show("HSTRLEN h a"));
        Assert.Equal("0", redis.Show("HSTRLEN h no"));
        Assert.Equal("[a, b, c, d]", redis.Show("HKEYS h"));
        Assert.Equal("[5, 2, 6, x]", redis.Show("HVALS h"));
        Assert.Equal("-ERR wrong number of arguments for 'hset' command", redis.Show("HSET h a 1 b"));
        Assert.Equal("-ERR wrong number of arguments for 'hmset' command", redis.Show("HMSET h a 1 b"));
        EngineClient three = redis.NewClient(resp3: true);
        Assert.Equal("%0\r\n", three.Raw("HGETALL", "none"));
        Assert.StartsWith("%4\r\n", three.Raw("HGETALL", "h"), StringComparison.Ordinal);
        Assert.StartsWith("*4\r\n", three.Raw("HKEYS", "h"), StringComparison.Ordinal);
        Assert.Equal("*0\r\n", redis.Raw("HGETALL", "none"));
    }

    [Fact]
    public void Deleting_the_last_field_removes_the_key()
    {
        using var redis = new EngineHarness();
        redis.Show("HSET h a 1 b 2");
        redis.TakeEvents();
        Assert.Equal("0", redis.Show("HDEL h c"));
        Assert.Empty(redis.TakeEvents());
        Assert.Equal("2", redis.Show("HDEL h a b a"));
        Assert.Equal(["hdel h", "del h"], redis.TakeEvents());
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
        Assert.Equal("0", redis.Show("HDEL h a"));
    }

    [Fact]
    public void Encodings_follow_the_thresholds()
    {
        using var redis = new EngineHarness(options => (options.HashMaxListpackEntries, options.HashMaxListpackValue) = (3, 5));
        redis.Show("HSET few a 1 b 2 c 3");
        Assert.Equal("listpack", Encoding(redis, "few"));
        redis.Show("HSET few d 4");
        Assert.Equal("hashtable", Encoding(redis, "few"));
        redis.Show("HSET value a 123456");
        Assert.Equal("hashtable", Encoding(redis, "value"));
        redis.Show("HSET field abcdef 1");
        Assert.Equal("hashtable", Encoding(redis, "field"));
        redis.Show("HSET same a 1");
        redis.Show("HSET same a 123456");
        Assert.Equal("hashtable", Encoding(redis, "same"));
        redis.Show("HSET nx a 1");
        redis.Show("HSETNX nx a 123456");
        Assert.Equal("listpack", Encoding(redis, "nx"));
        redis.Show("HEXPIRE nx 100 FIELDS 1 a");
        Assert.Equal("listpackex", Encoding(redis, "nx"));
        redis.Show("HPERSIST nx FIELDS 1 a");
        Assert.Equal("listpackex", Encoding(redis, "nx"));
        redis.Show("HSET nx b 2 c 3 d 4");
        Assert.Equal("hashtable", Encoding(redis, "nx"));
        Assert.Equal("[1, 2, 3, 4]", redis.Show("HMGET nx a b c d"));
    }

    [Fact]
    public void Counters_keep_their_bounds_and_texts()
    {
        using var redis = new EngineHarness();
        Assert.Equal("5", redis.Show("HINCRBY h n 5"));
        Assert.Equal("-3", redis.Show("HINCRBY h n -8"));
        Assert.Equal(["hincrby h", "hincrby h"], redis.TakeEvents());
        redis.Show("HSET h max 9223372036854775807 text abc padded 01");
        Assert.Equal("-ERR increment or decrement would overflow", redis.Show("HINCRBY h max 1"));
        Assert.Equal("-ERR hash value is not an integer", redis.Show("HINCRBY h text 1"));
        Assert.Equal("-ERR hash value is not an integer", redis.Show("HINCRBY h padded 1"));
        Assert.Equal("-ERR value is not an integer or out of range", redis.Show("HINCRBY h n x"));
        Assert.Equal("9223372036854775806", redis.Show("HINCRBY h max -1"));
    }

    [Fact]
    public void Floats_are_summed_in_extended_precision_and_logged_as_their_sum()
    {
        using var redis = new EngineHarness();
        Assert.Equal("0.1", redis.Show("HINCRBYFLOAT h f 0.1"));
        Assert.Equal("0.3", redis.Show("HINCRBYFLOAT h f 0.2"));
        Assert.Equal(["HSET h f 0.1", "HSET h f 0.3"], redis.TakeEffects());
        Assert.Equal(["hincrbyfloat h", "hincrbyfloat h"], redis.TakeEvents());
        redis.Show("HSET h text abc n 5");
        redis.Show("HEXPIRE h 10 FIELDS 1 n");
        redis.TakeEffects();
        Assert.Equal("5000000000", redis.Show("HINCRBYFLOAT h n 4.999999995e9"));
        Assert.Equal(["HSET h n 5000000000", $"HPEXPIREAT h {redis.NowMs + 10_000} FIELDS 1 n"], redis.TakeEffects());
        Assert.Equal("[10]", redis.Show("HTTL h FIELDS 1 n"));
        Assert.Equal("-ERR hash value is not a float", redis.Show("HINCRBYFLOAT h text 1"));
        Assert.Equal("-ERR value is not a valid float", redis.Show("HINCRBYFLOAT h n x"));
        Assert.Equal("-ERR value is NaN or Infinity", redis.Show("HINCRBYFLOAT h n +inf"));
    }

    [Fact]
    public void Other_types_are_refused()
    {
        using var redis = new EngineHarness();
        redis.Show("SET k v");
        foreach (string line in new[]
        {
            "HSET k a 1", "HSETNX k a 1", "HGET k a", "HMSET k a 1", "HMGET k a", "HDEL k a", "HLEN k", "HSTRLEN k a", "HEXISTS k a", "HGETALL k", "HKEYS k",
            "HVALS k",
            "HINCRBY k a 1", "HRANDFIELD k", "HRANDFIELD k 2", "HSCAN k 0", "HEXPIRE k 1 FIELDS 1 a", "HTTL k FIELDS 1 a", "HPERSIST k FIELDS 1 a",
            "HGETDEL k FIELDS 1 a", "HGETEX k FIELDS 1 a", "HSETEX k FIELDS 1 a 1",
        }) Assert.Equal("-WRONGTYPE Operation against a key holding the wrong kind of value", redis.Show(line));
    }

    [Fact]
    public void Hscan_meets_every_field_with_or_without_values()
    {
        using var redis = new EngineHarness();
        Assert.Equal("[0, []]", redis.Show("HSCAN none 0"));
        redis.Show("HSET small a 1 b 2");
        Assert.Equal("[0, [a, 1, b, 2]]", redis.Show("HSCAN small 0"));
        Assert.Equal("[0, [a, b]]", redis.Show("HSCAN small 0 NOVALUES"));
        Assert.Equal("[0, [b, 2]]", redis.Show("HSCAN small 0 MATCH b*"));
        for (int i = 0; i < 2000; i++) redis.Show($"HSET large f{i} v{i}");
        foreach (bool values in new[] { true, false })
        {
            var met = new HashSet<string>();
            string cursor = "0";
            do
            {
                var reply = (object?[])(values ? redis.Run("HSCAN", "large", cursor, "COUNT", "70") : redis.Run("HSCAN", "large", cursor, "NOVALUES"))!;
                cursor = (string)reply[0]!;
                string[] found = [.. ((object?[])reply[1]!).Select(text => (string)text!)];
                for (int i = 0; i < found.Length; i += values ? 2 : 1)
                {
                    met.Add(found[i]);
                    if (values) Assert.Equal("v" + found[i][1..], found[i + 1]);
                }
            }
            while (cursor != "0");
            Assert.Equal(2000, met.Count);
        }
    }

    [Theory, InlineData(20), InlineData(1000)]
    public void Hrandfield_draws_evenly_and_keeps_counts(int size)
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < size; i++) redis.Show($"HSET h f{i} v{i}");
        foreach (int count in new[] { 1, 5, size / 2, size, size + 10 })
        {
            string[] fields = [.. ((object?[])redis.Run("HRANDFIELD", "h", $"{count}")!).Select(field => (string)field!)];
            Assert.Equal(Math.Min(count, size), fields.Distinct().Count());
            Assert.Equal(Math.Min(count, size), fields.Length);
            object?[] pairs = (object?[])redis.Run("HRANDFIELD", "h", $"{-count}", "WITHVALUES")!;
            Assert.Equal(count * 2, pairs.Length);
            for (int i = 0; i < pairs.Length; i += 2) Assert.Equal("v" + ((string)pairs[i]!)[1..], pairs[i + 1]);
            object?[] nested = (object?[])redis.NewClient(resp3: true).Run("HRANDFIELD", "h", $"{count}", "WITHVALUES")!;
            foreach (object? pair in nested) Assert.Equal("v" + ((string)((object?[])pair!)[0]!)[1..], ((object?[])pair)[1]);
        }
        foreach (int count in new[] { -100, size / 10, size / 2 })
        {
            var times = new Dictionary<string, int>();
            int draws = 0;
            while (draws < size * 100)
            {
                foreach (object? field in (object?[])redis.Run("HRANDFIELD", "h", $"{count}")!)
                {
                    times[(string)field!] = times.GetValueOrDefault((string)field!) + 1;
                    draws++;
                }
            }
            double expected = (double)draws / size, chi = times.Values.Sum(n => (n - expected) * (n - expected) / expected);
            Assert.InRange(chi, 0, size + (6 * Math.Sqrt(2 * size)));
        }
    }

    [Fact]
    public void Hrandfield_checks_its_arguments()
    {
        using var redis = new EngineHarness();
        Assert.Equal("-ERR syntax error", redis.Show("HRANDFIELD h 1 x"));
        Assert.Equal("-ERR syntax error", redis.Show("HRANDFIELD h 1 WITHVALUES x"));
        Assert.Equal("-ERR value is out of range", redis.Show("HRANDFIELD h -9223372036854775807 WITHVALUES"));
        Assert.Equal("-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            redis.Show("HRANDFIELD h -9223372036854775808"));
        Assert.Equal("-ERR value is not an integer or out of range", redis.Show("HRANDFIELD h x"));
        Assert.Equal("(nil)", redis.Show("HRANDFIELD h"));
        Assert.Equal("*0\r\n", redis.Raw("HRANDFIELD", "h", "5"));
    }

    /// <summary>
    /// Any sequence of commands leaves the fields, values, expiry times and byte counts that a dictionary would have.
    /// </summary>
    [Theory, InlineData(512), InlineData(8)]
    public void Random_changes_agree_with_a_dictionary(int maxListpackEntries)
    {
        Gen<(int What, int Field, int Value)> change =
            from what in Gen.Choose(0, 9)
            from field in Gen.Choose(0, 25)
            from value in Gen.Frequency((3, Gen.Choose(0, 300)), (1, Gen.Choose(0, 1_000_000)))
            select (what, field, value);
        using EngineHarness redis = new(options => options.HashMaxListpackEntries = maxListpackEntries), replayed = new();
        Prop.ForAll(change.ListOf().Resize(200).ToArbitrary(), changes =>
        {
            redis.Run("FLUSHALL");
            replayed.Run("FLUSHALL");
            redis.TakeEffects();
            var model = new Dictionary<string, (string Value, long ExpiresAtMs)>();
            foreach ((int what, int at, int number) in changes)
            {
                string field = at % 3 == 0 ? at.ToString() : $"field{at}", value = number % 2 == 0 ? number.ToString() : new string('v', number % 70);
                switch (what)
                {
                    case 0 or 1 or 2:
                        redis.Run("HSET", "h", field, value);
                        model[field] = (value, Expiry.Never);
                        break;
                    case 3:
                        Assert.Equal(model.Remove(field) ? 1L : 0L, redis.Run("HDEL", "h", field));
                        break;
                    case 4 or 5:
                        redis.Run("HPEXPIRE", "h", $"{number + 1}", "FIELDS", "1", field);
                        if (model.TryGetValue(field, out var had)) model[field] = (had.Value, redis.NowMs + number + 1);
                        break;
                    case 6:
                        redis.Run("HPERSIST", "h", "FIELDS", "1", field);
                        if (model.TryGetValue(field, out var kept)) model[field] = (kept.Value, Expiry.Never);
                        break;
                    case 7:
                        if (redis.Run("HINCRBY", "h", field, "7") is long sum)
                            model[field] = (sum.ToString(), model.TryGetValue(field, out var old) ? old.ExpiresAtMs : Expiry.Never);
                        break;
                    case 8:
                        redis.Time.Advance(number % 50);
                        foreach ((string due, _) in model.Where(pair => pair.Value.ExpiresAtMs <= redis.NowMs).ToArray()) model.Remove(due);
                        break;
                    case 9:
                        redis.Run("HSETEX", "h", "PX", $"{number + 1}", "FIELDS", "1", field, value);
                        model[field] = (value, redis.NowMs + number + 1);
                        break;
                }
                Same(redis, model);
            }
            redis.Show("HLEN h"); // fields that are due by now are removed, and the effects show it
            redis.ReplayInto(replayed);
            Same(replayed, model);
        }).Check();
    }

    private static void Same(EngineHarness redis, Dictionary<string, (string Value, long ExpiresAtMs)> model)
    {
        Assert.Equal((long)model.Count, redis.Run("HLEN", "h"));
        object?[] all = (object?[])redis.Run("HGETALL", "h")!;
        Assert.Equal(model.Count * 2, all.Length);
        for (int i = 0; i < all.Length; i += 2) Assert.Equal(model[(string)all[i]!].Value, all[i + 1]);
        if (model.Count > 0)
        {
            object?[] times = [.. model.Values.Select(item => (object)(item.ExpiresAtMs == Expiry.Never ? -1 : item.ExpiresAtMs))];
            Assert.Equal(times, redis.Run(["HPEXPIRETIME", "h", "FIELDS", $"{model.Count}", .. model.Keys]));
        }
        Slot slot = redis.Store.Slots[KeySlot.Of("h"u8)]!;
        Keyspace keyspace = slot.Keyspace(0);
        Entry entry = keyspace.Find("h"u8);
        Assert.Equal(model.Count == 0, entry.IsMissing);
        Assert.Equal(entry.IsMissing ? 0 : entry.Found.Bytes, slot.Bytes);
        if (entry.IsMissing) return;
        long earliest = model.Values.Min(item => item.ExpiresAtMs);
        Assert.Equal(earliest, entry.Found.EarliestExpiryMs);
        Assert.True(keyspace.EarliestExpiryMs <= earliest);
    }

    internal static string Encoding(EngineHarness redis, string key)
    {
        byte[] bytes = System.Text.Encoding.Latin1.GetBytes(key);
        return redis.Store.Slots[KeySlot.Of(bytes)]!.Keyspace(0).Find(bytes).Found.Encoding;
    }
}
