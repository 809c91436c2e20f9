using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Types.Hashes;

public class HashExpiryTests
{
    /// <summary>The two representations of a hash whose fields expire must behave the same.</summary>
    private static EngineHarness Redis(bool table) => new(options => options.HashMaxListpackEntries = table ? 0 : 512);

    [Theory, InlineData(true), InlineData(false)]
    public void Times_are_set_asked_and_taken_away(bool table)
    {
        using EngineHarness redis = Redis(table);
        redis.Show("HSET h a 1 b 2 c 3");
        redis.TakeEffects();
        redis.TakeEvents();
        long now = redis.NowMs;
        Assert.Equal("[1, -2]", redis.Show("HEXPIRE h 10 FIELDS 2 a no"));
        Assert.Equal("[1, 1]", redis.Show($"HPEXPIREAT h {now + 1500} FIELDS 2 b c"));
        Assert.Equal([$"HPEXPIREAT h {now + 10_000} FIELDS 1 a", $"HPEXPIREAT h {now + 1500} FIELDS 2 b c"], redis.TakeEffects());
        Assert.Equal(["hexpire h", "hexpire h"], redis.TakeEvents());
        Assert.Equal("[10, 2, -2]", redis.Show("HTTL h FIELDS 3 a b no"));
        Assert.Equal("[10000, 1500]", redis.Show("HPTTL h FIELDS 2 a b"));
        Assert.Equal($"[{(now + 10_999) / 1000}]", redis.Show("HEXPIRETIME h FIELDS 1 a"));
        Assert.Equal($"[{now + 1500}]", redis.Show("HPEXPIRETIME h FIELDS 1 c"));
        Assert.Equal("[1, -2]", redis.Show("HPERSIST h FIELDS 2 c no"));
        Assert.Equal("[-1]", redis.Show("HPERSIST h FIELDS 1 c"));
        Assert.Equal(["HPERSIST h FIELDS 2 c no"], redis.TakeEffects());
        Assert.Equal(["hpersist h"], redis.TakeEvents());
        Assert.Equal("[-1]", redis.Show("HTTL h FIELDS 1 c"));
        Assert.Equal("[-2, -2]", redis.Show("HTTL none FIELDS 2 a b"));
        Assert.Equal("[-2]", redis.Show("HEXPIRE none 10 FIELDS 1 a"));
        Assert.Equal("[-2]", redis.Show("HPERSIST none FIELDS 1 a"));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Due_fields_are_gone_for_every_reader_and_the_effects_say_so(bool table)
    {
        using EngineHarness redis = Redis(table);
        redis.Show("HSET h a 1 b 2 c 3 d 4");
        redis.Show("HPEXPIRE h 100 FIELDS 2 a d");
        redis.Show("HPEXPIRE h 200 FIELDS 1 b");
        redis.TakeEffects();
        redis.TakeEvents();
        redis.Time.Advance(99);
        Assert.Equal("4", redis.Show("HLEN h"));
        redis.Time.Advance(1);
        Assert.Equal("2", redis.Show("HLEN h"));
        Assert.Equal(["HDEL h a", "HDEL h d"], redis.TakeEffects().Order());
        Assert.Equal(["hexpired h"], redis.TakeEvents());
        Assert.Equal("(nil)", redis.Show("HGET h a"));
        Assert.Equal("[c, 3]", string.Join(' ', redis.Show("HGETALL h")) is "[b, 2, c, 3]" or "[c, 3, b, 2]" ? "[c, 3]" : redis.Show("HGETALL h"));
        redis.Time.Advance(100);
        Assert.Equal("1", redis.Show("HSETNX h b new"));
        Assert.Equal(["HDEL h b", "HSETNX h b new"], redis.TakeEffects());
        redis.Show("HPEXPIRE h 10 FIELDS 2 b c");
        redis.TakeEvents();
        redis.Time.Advance(10);
        Assert.Equal("[]", redis.Show("HKEYS h"));
        Assert.Equal(["hexpired h", "del h"], redis.TakeEvents());
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
        Assert.Equal(0, redis.Store.Slots[OrleansRedis.Engine.KeySlot.Of("h"u8)]!.Bytes);
        Assert.Equal(5, redis.Store.Statistics.ExpiredFields);
    }

    [Theory]
    [InlineData("HLEN h", "1")]
    [InlineData("HGET h f17", "(nil)")]
    [InlineData("HSETNX h f17 new", "1")]
    [InlineData("HKEYS h", "[stays]")]
    [InlineData("HRANDFIELD h 10", "[stays]")]
    [InlineData("HDEL h f17 stays", "1")]
    [InlineData("EXISTS h", "1")]
    public void Very_many_due_fields_are_deleted_in_steps_before_the_hash_is_looked_at(string line, string reply)
    {
        using EngineHarness redis = Redis(table: true);
        const int Many = 5000;
        redis.Run(["HSET", "h", .. Enumerable.Range(0, Many).SelectMany(i => new[] { $"f{i}", "v" })]);
        redis.Run(["HPEXPIRE", "h", "100", "FIELDS", $"{Many}", .. Enumerable.Range(0, Many).Select(i => $"f{i}")]);
        redis.Show("HSET h stays v");
        redis.Time.Advance(100);
        redis.TakeEffects();
        Assert.Equal(Outcome.Long, redis.Client.Try(line.Split(' ')));
        Assert.Equal(500, redis.Effects.Count);
        Assert.Equal(reply, redis.Show(line));
        Assert.Equal(Many, redis.Effects.Count(effect => effect.Words is ["HDEL", "h", ['f', ..]]));
        Assert.All(redis.Effects.GroupBy(effect => effect.Unit), unit => Assert.InRange(unit.Count(), 1, 500));
        Assert.Equal(Outcome.Done, redis.Client.Try("HLEN", "h"));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Conditions_are_those_of_expire(bool table)
    {
        using EngineHarness redis = Redis(table);
        redis.Show("HSET h a 1 b 2");
        redis.Show("HEXPIRE h 100 FIELDS 1 a");
        Assert.Equal("[0, 1]", redis.Show("HEXPIRE h 50 NX FIELDS 2 a b"));
        Assert.Equal("[1]", redis.Show("HPERSIST h FIELDS 1 b"));
        Assert.Equal("[1, 0]", redis.Show("HEXPIRE h 60 XX FIELDS 2 a b"));
        Assert.Equal("[0, 0]", redis.Show("HEXPIRE h 60 GT FIELDS 2 a b"));
        Assert.Equal("[1, 0]", redis.Show("HEXPIRE h 61 GT FIELDS 2 a b"));
        Assert.Equal("[0, 1]", redis.Show("HEXPIRE h 61 LT FIELDS 2 a b"));
        Assert.Equal("[61, 61]", redis.Show("HTTL h FIELDS 2 a b"));
        redis.TakeEffects();
        Assert.Equal("[0]", redis.Show("HEXPIRE h 70 NX FIELDS 1 a"));
        Assert.Empty(redis.TakeEffects());
    }

    [Theory, InlineData(true), InlineData(false)]
    public void A_time_in_the_past_deletes(bool table)
    {
        using EngineHarness redis = Redis(table);
        redis.Show("HSET h a 1 b 2");
        redis.TakeEffects();
        redis.TakeEvents();
        Assert.Equal("[2, -2]", redis.Show("HEXPIRE h 0 FIELDS 2 a no"));
        Assert.Equal(["HDEL h a"], redis.TakeEffects());
        Assert.Equal(["hdel h"], redis.TakeEvents());
        Assert.Equal("[2]", redis.Show("HPEXPIREAT h 1 FIELDS 1 b"));
        Assert.Equal(["hdel h", "del h"], redis.TakeEvents());
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Setting_a_field_takes_its_expiry_and_counting_keeps_it(bool table)
    {
        using EngineHarness redis = Redis(table);
        redis.Show("HSET h a 1 b 2");
        redis.Show("HEXPIRE h 100 FIELDS 2 a b");
        redis.Show("HSET h a 5");
        redis.Show("HINCRBY h b 100000");
        Assert.Equal("[-1, 100]", redis.Show("HTTL h FIELDS 2 a b"));
        Assert.Equal("100002", redis.Show("HGET h b"));
    }

    [Fact]
    public void Arguments_are_checked()
    {
        using var redis = new EngineHarness();
        redis.Show("HSET h a 1");
        Assert.Equal("-ERR value is not an integer or out of range", redis.Show("HEXPIRE h x FIELDS 1 a"));
        Assert.Equal("-ERR invalid expire time, must be >= 0", redis.Show("HEXPIRE h -1 FIELDS 1 a"));
        Assert.Equal("-ERR invalid expire time in 'hexpire' command", redis.Show("HEXPIRE h 99999999999999 FIELDS 1 a"));
        Assert.Equal("-ERR invalid expire time in 'hpexpireat' command", redis.Show("HPEXPIREAT h 70368744177664 FIELDS 1 a"));
        Assert.Equal("[1]", redis.Show("HPEXPIREAT h 70368744177663 FIELDS 1 a"));
        Assert.Equal("-ERR Mandatory argument FIELDS is missing or not at the right position", redis.Show("HEXPIRE h 1 XX NX 1 a"));
        Assert.Equal("-ERR Parameter `numFields` should be greater than 0", redis.Show("HEXPIRE h 1 FIELDS 0 a"));
        Assert.Equal("-ERR The `numfields` parameter must match the number of arguments", redis.Show("HEXPIRE h 1 FIELDS 2 a"));
        Assert.Equal("-ERR Number of fields must be a positive integer", redis.Show("HTTL h FIELDS x a"));
        Assert.Equal("-ERR Number of fields must be a positive integer", redis.Show("HPERSIST h FIELDS 0 a"));
        Assert.Equal("-ERR Mandatory argument FIELDS is missing or not at the right position", redis.Show("HGETDEL h F 1 a"));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Hgetdel_reads_and_deletes(bool table)
    {
        using EngineHarness redis = Redis(table);
        redis.Show("HSET h a 1 b 2");
        redis.TakeEffects();
        redis.TakeEvents();
        Assert.Equal("[1, (nil), (nil)]", redis.Show("HGETDEL h FIELDS 3 a no a"));
        Assert.Equal(["HDEL h a no a"], redis.TakeEffects());
        Assert.Equal("[2]", redis.Show("HGETDEL h FIELDS 1 b"));
        Assert.Equal(["hdel h", "hdel h", "del h"], redis.TakeEvents());
        Assert.Equal("[(nil)]", redis.Show("HGETDEL h FIELDS 1 b"));
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Hgetex_reads_and_changes_the_expiry(bool table)
    {
        using EngineHarness redis = Redis(table);
        redis.Show("HSET h a 1 b 2 c 3");
        redis.TakeEffects();
        redis.TakeEvents();
        Assert.Equal("[1, (nil)]", redis.Show("HGETEX h FIELDS 2 a no"));
        Assert.Empty(redis.TakeEffects());
        Assert.Equal("[1, (nil)]", redis.Show("HGETEX h EX 10 FIELDS 2 a no"));
        Assert.Equal([$"HPEXPIREAT h {redis.NowMs + 10_000} FIELDS 1 a"], redis.TakeEffects());
        Assert.Equal("[10]", redis.Show("HTTL h FIELDS 1 a"));
        Assert.Equal("[1]", redis.Show("HGETEX h PERSIST FIELDS 1 a"));
        Assert.Equal(["HPERSIST h FIELDS 1 a"], redis.TakeEffects());
        Assert.Equal(["hexpire h", "hpersist h"], redis.TakeEvents());
        Assert.Equal("[2]", redis.Show("HGETEX h PXAT 1 FIELDS 1 b"));
        Assert.Equal(["HDEL h b"], redis.TakeEffects());
        Assert.Equal("2", redis.Show("HLEN h"));
        Assert.Equal("[(nil)]", redis.Show("HGETEX none EX 10 FIELDS 1 a"));
        Assert.Equal("-ERR invalid expire time, must be >= 0", redis.Show("HGETEX h EX -1 FIELDS 1 a"));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Hsetex_sets_all_or_nothing(bool table)
    {
        using EngineHarness redis = Redis(table);
        Assert.Equal("0", redis.Show("HSETEX h FXX FIELDS 1 a 1"));
        Assert.Empty(redis.TakeEffects());
        Assert.Equal("1", redis.Show("HSETEX h FNX EX 10 FIELDS 2 a 1 b 2"));
        Assert.Equal(["HSET h a 1 b 2", $"HPEXPIREAT h {redis.NowMs + 10_000} FIELDS 2 a b"], redis.TakeEffects());
        Assert.Equal(["hset h", "hexpire h"], redis.TakeEvents());
        Assert.Equal("0", redis.Show("HSETEX h FNX FIELDS 2 a 1 c 2"));
        Assert.Equal("0", redis.Show("HSETEX h FXX FIELDS 2 a 1 c 2"));
        Assert.Equal("1", redis.Show("HSETEX h FXX KEEPTTL FIELDS 1 a 9"));
        Assert.Equal("1", redis.Show("HSETEX h FIELDS 1 b 8"));
        Assert.Equal("[10, -1]", redis.Show("HTTL h FIELDS 2 a b"));
        Assert.Equal("[9, 8]", redis.Show("HMGET h a b"));
        Assert.Equal("1", redis.Show("HSETEX h PXAT 1 FIELDS 2 a 1 b 2"));
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
        Assert.Equal("1", redis.Show("HSETEX new PXAT 1 FIELDS 1 a 1"));
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
        Assert.Equal("-ERR Only one of FXX or FNX arguments can be specified", redis.Show("HSETEX h FXX FNX FIELDS 1 a 1"));
        Assert.Equal("-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified", redis.Show("HSETEX h EX 1 KEEPTTL FIELDS 1 a 1"));
        Assert.Equal("-ERR unknown argument: X", redis.Show("HSETEX h X FIELDS 1 a 1"));
        Assert.Equal("-ERR invalid number of fields", redis.Show("HSETEX h FIELDS 0 a 1"));
        Assert.Equal("-ERR wrong number of arguments for 'hsetex' command", redis.Show("HSETEX h FIELDS 2 a 1"));
    }

    [Fact]
    public void A_copy_has_times_of_its_own()
    {
        using EngineHarness redis = Redis(table: true);
        redis.Show("HSET h a 1 b 2");
        redis.Show("HEXPIRE h 10 FIELDS 1 a");
        OrleansRedis.Engine.Keyspace keyspace = redis.Store.Slots[OrleansRedis.Engine.KeySlot.Of("h"u8)]!.Keyspace(0);
        var copy = (OrleansRedis.Engine.HashValue)keyspace.Find("h"u8).Value.Clone("copy"u8.ToArray());
        redis.Show("HSET h a 7");
        Assert.Equal("1", System.Text.Encoding.Latin1.GetString(copy.Find("a"u8).Value));
        Assert.Equal(redis.NowMs + 10_000, copy.InnerExpiresAtMs);
        Assert.Equal(long.MaxValue, keyspace.Find("h"u8).Value.InnerExpiresAtMs);
    }
}
