using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.Lists;

public class ListCommandTests
{
    private static string Encoding(EngineHarness redis, string key)
    {
        byte[] name = System.Text.Encoding.Latin1.GetBytes(key);
        return redis.Store.Slots[KeySlot.Of(name)]!.Keyspace(0).Find(name).Found.Encoding;
    }

    [Theory]
    [InlineData("-9223372036854775808", "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")]
    [InlineData("-9223372036854775807", "2")]
    [InlineData("9223372036854775807", "2")]
    [InlineData("-9223372036854775809", "-ERR value is not an integer or out of range")]
    public void Lrem_takes_any_count_that_can_be_negated(string count, string reply)
    {
        using var redis = new EngineHarness();
        redis.Run("RPUSH", "k", "x", "y", "x");
        Assert.Equal(reply, redis.Show($"LREM k {count} x"));
    }

    [Fact]
    public void Pushes_and_pops_reply_as_redis_does()
    {
        using var redis = new EngineHarness();
        Assert.Equal("3", redis.Show("RPUSH k a b c"));
        Assert.Equal("5", redis.Show("LPUSH k 1 2"));
        Assert.Equal((object?[])["2", "1", "a", "b", "c"], redis.Run("LRANGE", "k", "0", "-1"));
        Assert.Equal("0", redis.Show("RPUSHX none a"));
        Assert.Equal("6", redis.Show("LPUSHX k 0"));
        Assert.Equal("0", redis.Run("LPOP", "k"));
        Assert.Equal("c", redis.Run("RPOP", "k"));
        Assert.Equal((object?[])["2", "1"], redis.Run("LPOP", "k", "2"));
        Assert.Equal("*0\r\n", redis.Raw("LPOP", "k", "0"));
        Assert.Equal("*-1\r\n", redis.Raw("LPOP", "none", "2"));
        Assert.Equal("$-1\r\n", redis.Raw("LPOP", "none"));
        Assert.Equal((object?[])["b", "a"], redis.Run("RPOP", "k", "9"));
        Assert.Equal("0", redis.Show("LLEN k"));
        Assert.Equal("-ERR value is out of range, must be positive\r\n", redis.Raw("LPOP", "k", "-1"));
        Assert.Equal("-ERR wrong number of arguments for 'lpop' command\r\n", redis.Raw("LPOP", "k", "1", "2"));
        Assert.Equal(["rpush k", "lpush k", "lpush k", "lpop k", "rpop k", "lpop k", "rpop k", "del k"], redis.TakeEvents());
    }

    [Fact]
    public void Positions_are_found_from_either_end()
    {
        using var redis = new EngineHarness();
        redis.Run("RPUSH", "k", "a", "b", "c", "1", "2", "3", "c", "c");
        Assert.Equal(2L, redis.Run("LPOS", "k", "c"));
        Assert.Equal(7L, redis.Run("LPOS", "k", "c", "RANK", "-1"));
        Assert.Equal((object?[])[2L, 6L, 7L], redis.Run("LPOS", "k", "c", "COUNT", "0"));
        Assert.Equal((object?[])[7L, 6L], redis.Run("LPOS", "k", "c", "COUNT", "2", "RANK", "-1"));
        Assert.Equal((object?[])[6L], redis.Run("LPOS", "k", "c", "RANK", "2", "COUNT", "1"));
        Assert.Equal(4L, redis.Run("LPOS", "k", "2"));
        Assert.Null(redis.Run("LPOS", "k", "c", "MAXLEN", "2"));
        Assert.Equal("*0\r\n", redis.Raw("LPOS", "k", "x", "COUNT", "1"));
        Assert.Equal("*0\r\n", redis.Raw("LPOS", "none", "x", "COUNT", "1"));
        Assert.Equal("-ERR COUNT can't be negative\r\n", redis.Raw("LPOS", "k", "c", "COUNT", "-1"));
        Assert.Equal("-ERR syntax error\r\n", redis.Raw("LPOS", "k", "c", "RANK"));
        Assert.StartsWith("-ERR RANK can't be zero", redis.Raw("LPOS", "k", "c", "RANK", "0"));
    }

    [Fact]
    public void Edits_reply_as_redis_does()
    {
        using var redis = new EngineHarness();
        redis.Run("RPUSH", "k", "a", "b", "c", "b");
        Assert.Equal(5L, redis.Run("LINSERT", "k", "BEFORE", "b", "x"));
        Assert.Equal(6L, redis.Run("LINSERT", "k", "after", "c", "y"));
        Assert.Equal(-1L, redis.Run("LINSERT", "k", "AFTER", "none", "y"));
        Assert.Equal(0L, redis.Run("LINSERT", "none", "AFTER", "none", "y"));
        Assert.Equal((object?[])["a", "x", "b", "c", "y", "b"], redis.Run("LRANGE", "k", "0", "-1"));
        Assert.Equal("OK", redis.Run("LSET", "k", "-1", "z"));
        Assert.Equal("-ERR index out of range\r\n", redis.Raw("LSET", "k", "6", "z"));
        Assert.Equal("-ERR no such key\r\n", redis.Raw("LSET", "none", "6", "z"));
        Assert.Equal("z", redis.Run("LINDEX", "k", "5"));
        Assert.Equal(1L, redis.Run("LREM", "k", "0", "x"));
        Assert.Equal("OK", redis.Run("LTRIM", "k", "1", "-2"));
        Assert.Equal((object?[])["b", "c", "y"], redis.Run("LRANGE", "k", "-100", "100"));
        Assert.Equal("OK", redis.Run("LTRIM", "k", "5", "1"));
        Assert.Equal(0L, redis.Run("LLEN", "k"));
    }

    [Fact]
    public void Moves_within_a_slot_are_logged_as_moves_and_across_slots_as_a_pop_and_a_push()
    {
        using var redis = new EngineHarness();
        redis.Run("RPUSH", "{t}a", "1", "2", "3");
        redis.TakeEffects();
        redis.TakeEvents();
        Assert.Equal("3", redis.Run("RPOPLPUSH", "{t}a", "{t}b"));
        Assert.Equal("1", redis.Run("LMOVE", "{t}a", "other", "LEFT", "RIGHT"));
        Assert.Equal("2", redis.Run("LMOVE", "{t}a", "{t}a", "LEFT", "RIGHT"));
        Assert.Null(redis.Run("LMOVE", "none", "{t}a", "LEFT", "RIGHT"));
        Assert.Equal("2", redis.Run("BLMOVE", "{t}a", "{t}b", "LEFT", "RIGHT", "0"));
        Assert.Equal(
            ["RPOPLPUSH {t}a {t}b", "LPOP {t}a", "RPUSH other 1", "LMOVE {t}a {t}a LEFT RIGHT", "LMOVE {t}a {t}b LEFT RIGHT"], redis.TakeEffects());
        Assert.Equal(
            ["lpush {t}b", "rpop {t}a", "rpush other", "lpop {t}a", "rpush {t}a", "lpop {t}a", "rpush {t}b", "lpop {t}a", "del {t}a"], redis.TakeEvents());
    }

    [Fact]
    public void Lmpop_pops_from_the_first_list_there_is()
    {
        using var redis = new EngineHarness();
        redis.Run("RPUSH", "k2", "a", "b", "c");
        redis.TakeEffects();
        Assert.Equal((object?[])["k2", new object[] { "a", "b" }], redis.Run("LMPOP", "2", "k1", "k2", "LEFT", "COUNT", "2"));
        Assert.Equal(["LPOP k2 2"], redis.TakeEffects());
        Assert.Equal("*-1\r\n", redis.Raw("LMPOP", "1", "k1", "RIGHT"));
        redis.Run("SET", "k1", "x");
        Assert.StartsWith("-WRONGTYPE", redis.Raw("LMPOP", "2", "k1", "k2", "LEFT"));
        Assert.Equal("-ERR numkeys should be greater than 0\r\n", redis.Raw("LMPOP", "0", "k1", "LEFT"));
        Assert.Equal("-ERR count should be greater than 0\r\n", redis.Raw("LMPOP", "1", "k1", "LEFT", "COUNT", "0"));
        Assert.Equal("-ERR syntax error\r\n", redis.Raw("LMPOP", "3", "k1", "k2", "LEFT"));
        Assert.Equal("-ERR syntax error\r\n", redis.Raw("LMPOP", "1", "k1", "LEFT", "COUNT", "1", "COUNT", "2"));
    }

    [Fact]
    public void A_list_becomes_a_quicklist_as_it_grows_and_a_listpack_when_it_is_half_that_size_again()
    {
        using var redis = new EngineHarness(options => options.ListMaxListpackSize = 8);
        redis.Run("RPUSH", "k", "1", "2", "3", "4", "5", "6", "7", "8");
        Assert.Equal("listpack", Encoding(redis, "k"));
        redis.Run("RPUSH", "k", "9");
        Assert.Equal("quicklist", Encoding(redis, "k"));
        redis.Run("LPOP", "k", "4");
        Assert.Equal("quicklist", Encoding(redis, "k"));
        redis.Run("LPOP", "k");
        Assert.Equal("quicklist", Encoding(redis, "k")); // two nodes: [.. 8] [9]
        redis.Run("RPOP", "k");
        Assert.Equal("listpack", Encoding(redis, "k"));
        Assert.Equal((object?[])["6", "7", "8"], redis.Run("LRANGE", "k", "0", "-1"));
        redis.Run("LSET", "k", "0", new string('x', 9000));
        Assert.Equal("quicklist", Encoding(redis, "k"));
        redis.Run("LSET", "k", "0", "x");
        redis.Run("LREM", "k", "0", "x");
        Assert.Equal((object?[])["7", "8"], redis.Run("LRANGE", "k", "0", "-1"));
    }

    [Fact]
    public void Expiry_survives_every_conversion()
    {
        using var redis = new EngineHarness(options => options.ListMaxListpackSize = 4);
        redis.Run("RPUSH", "k", "1");
        byte[] name = "k"u8.ToArray();
        Keyspace keyspace = redis.Store.Slots[KeySlot.Of(name)]!.Keyspace(0);
        Keyspace.SetExpiry(keyspace.Find(name), redis.NowMs + 1000);
        redis.Run("RPUSH", "k", "2", "3", "4", "5");
        Assert.Equal(redis.NowMs + 1000, keyspace.Find(name).ExpiresAtMs);
        redis.Run("LPOP", "k", "4");
        Assert.Equal("listpack", Encoding(redis, "k"));
        Assert.Equal(redis.NowMs + 1000, keyspace.Find(name).ExpiresAtMs);
        redis.Time.Advance(1000);
        Assert.Equal(0L, redis.Run("LLEN", "k"));
    }

    private sealed record Step(int What, int Number, int Much, string Text);

    [Fact]
    public void Random_commands_leave_a_list_as_a_model_has_it_and_their_effects_reproduce_it()
    {
        Gen<string> texts = Gen.Frequency(
            (6, Gen.Choose(-3, 3).Select(number => number.ToString())),
            (2, Gen.Choose(0, 40).Select(length => new string('x', length))),
            (1, Gen.Elements(1000, 5000, 9000).Select(length => new string('z', length))));
        Gen<Step> step =
            from what in Gen.Choose(0, 11)
            from number in Gen.Choose(-12, 12)
            from much in Gen.Choose(1, 6)
            from text in texts
            select new Step(what, number, much, text);
        Gen<(int Fill, int Depth, List<Step> Steps)> runs =
            from fill in Gen.Elements(1, 2, 4, -1, -2) from depth in Gen.Elements(0, 1) from steps in step.ListOf().Resize(150) select (fill, depth, steps);
        Prop.ForAll(runs.ToArbitrary(), run =>
        {
            using var redis = new EngineHarness(options => (options.ListMaxListpackSize, options.ListCompressDepth) = (run.Fill, run.Depth));
            var model = new List<string>();
            foreach (Step one in run.Steps)
            {
                Apply(redis, model, one);
                Assert.Equal((long)model.Count, redis.Run("LLEN", "k"));
            }
            Assert.Equal(model.ToArray<object?>(), redis.Run("LRANGE", "k", "0", "-1"));
            CheckBytes(redis);
            using EngineHarness replayed = redis.Replay();
            Assert.Equal(model.ToArray<object?>(), replayed.Run("LRANGE", "k", "0", "-1"));
        }).Check();
    }

    private static void CheckBytes(EngineHarness redis)
    {
        Keyspace keyspace = redis.Store.Slots[KeySlot.Of("k"u8)]!.Keyspace(0);
        long bytes = 0;
        foreach (KeyEntry entry in keyspace) bytes += entry.Bytes;
        Assert.Equal(bytes, keyspace.EntryBytes);
    }

    private static void Apply(EngineHarness redis, List<string> model, Step step)
    {
        string number = step.Number.ToString();
        int at = step.Number < 0 ? step.Number + model.Count : step.Number;
        bool isThere = at >= 0 && at < model.Count;
        switch (step.What)
        {
            case 0 or 1:
                redis.Run(["RPUSH", "k", .. Enumerable.Repeat(step.Text, step.Much)]);
                model.AddRange(Enumerable.Repeat(step.Text, step.Much));
                break;
            case 2 or 3:
                redis.Run(["LPUSH", "k", .. Enumerable.Repeat(step.Text, step.Much)]);
                model.InsertRange(0, Enumerable.Repeat(step.Text, step.Much));
                break;
            case 4:
                object? popped = redis.Run("LPOP", "k");
                Assert.Equal(model.FirstOrDefault(), popped);
                if (model.Count > 0) model.RemoveAt(0);
                break;
            case 5:
                redis.Run("RPOP", "k", step.Much.ToString());
                model.RemoveRange(Math.Max(0, model.Count - step.Much), Math.Min(step.Much, model.Count));
                break;
            case 6:
                redis.Run("LSET", "k", number, step.Text);
                if (isThere) model[at] = step.Text;
                break;
            case 7:
                string pivot = isThere ? model[at] : "not there";
                redis.Run("LINSERT", "k", step.Much % 2 == 0 ? "BEFORE" : "AFTER", pivot, step.Text);
                if (isThere) model.Insert(model.IndexOf(pivot) + (step.Much % 2 == 0 ? 0 : 1), step.Text);
                break;
            case 8:
                string what = isThere ? model[at] : step.Text;
                int removed = 0, most = step.Number == 0 ? int.MaxValue : Math.Abs(step.Number);
                while (removed < most && model.Contains(what))
                {
                    model.RemoveAt(step.Number >= 0 ? model.IndexOf(what) : model.LastIndexOf(what));
                    removed++;
                }
                Assert.Equal((long)removed, redis.Run("LREM", "k", number, what));
                break;
            case 9 when step.Much == 1:
                redis.Run("LTRIM", "k", Math.Abs(step.Number).ToString(), "-2");
                int from = Math.Min(Math.Abs(step.Number), model.Count), until = Math.Max(from, model.Count - 1);
                model.RemoveRange(until, model.Count - until);
                model.RemoveRange(0, from);
                break;
            case 10:
                redis.Run("LMOVE", "k", "k", "LEFT", "RIGHT");
                if (model.Count > 0)
                {
                    model.Add(model[0]);
                    model.RemoveAt(0);
                }
                break;
            case 11:
                Assert.Equal(isThere ? model[at] : null, redis.Run("LINDEX", "k", number));
                int index = model.LastIndexOf(step.Text);
                Assert.Equal(index < 0 ? null : (long)index, redis.Run("LPOS", "k", step.Text, "RANK", "-1"));
                break;
        }
    }
}
