using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public class TransactionTests
{
    [Fact]
    public void Commands_are_queued_and_then_run_in_order()
    {
        using var redis = new EngineHarness();
        Assert.Equal("OK", redis.Show("MULTI"));
        Assert.Equal("QUEUED", redis.Show("RPUSH a 1 2 3"));
        Assert.Equal("QUEUED", redis.Show("LRANGE a 0 -1"));
        Assert.Equal("QUEUED", redis.Show("SET a x EX y"));
        Assert.Equal("QUEUED", redis.Show("INCR a"));
        Assert.Equal("0", redis.NewClient().Show("LLEN a"));
        Assert.Equal(
            "[3, [1, 2, 3], -ERR value is not an integer or out of range, -WRONGTYPE Operation against a key holding the wrong kind of value]",
            redis.Show("EXEC"));
        Assert.Equal("-ERR EXEC without MULTI", redis.Show("EXEC"));
        redis.Run("MULTI");
        Assert.Equal("[]", redis.Show("EXEC"));
    }

    [Fact]
    public void Wrong_use_is_refused_in_redis_words()
    {
        using var redis = new EngineHarness();
        Assert.Equal("-ERR DISCARD without MULTI", redis.Show("DISCARD"));
        redis.Run("MULTI");
        Assert.Equal("-ERR MULTI calls can not be nested", redis.Show("MULTI"));
        Assert.Equal("-ERR WATCH inside MULTI is not allowed", redis.Show("WATCH a"));
        Assert.Equal("QUEUED", redis.Show("SET a 1"));
        Assert.Equal("[OK]", redis.Show("EXEC"));
    }

    [Fact]
    public void A_command_that_cannot_be_queued_spoils_the_transaction()
    {
        using var redis = new EngineHarness();
        foreach (string bad in new[] { "NOSUCHCOMMAND", "SET a" })
        {
            redis.Run("MULTI");
            redis.Run("SET", "a", "1");
            Assert.StartsWith("-ERR", redis.Show(bad));
            Assert.Equal("-EXECABORT Transaction discarded because of previous errors.", redis.Show("EXEC"));
            Assert.Null(redis.Run("GET", "a"));
            Assert.Equal("OK", redis.Show("SET b 1"));
        }
    }

    [Fact]
    public void Discard_forgets_the_queue_and_the_watched_keys()
    {
        using var redis = new EngineHarness();
        redis.Run("WATCH", "a");
        redis.Run("MULTI");
        redis.Run("SET", "a", "1");
        Assert.Equal("OK", redis.Show("DISCARD"));
        Assert.True(redis.Store.Slots[KeySlot.Of("a"u8)]!.Watchers!.IsEmpty);
        Assert.Null(redis.Run("GET", "a"));
    }

    [Fact]
    public void A_changed_watched_key_fails_exec()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "a", "1");
        EngineClient other = redis.NewClient();
        foreach (bool change in new[] { true, false })
        {
            redis.Run("WATCH", "x", "a");
            if (change) other.Run("SET", "a", "2");
            else other.Run("SET", "b", "2");
            redis.Run("MULTI");
            redis.Run("GET", "a");
            Assert.Equal(change ? "(nil)" : "[2]", redis.Show("EXEC"));
        }
        // A client's own change counts too; UNWATCH forgets it.
        redis.Run("WATCH", "a");
        redis.Run("SET", "a", "3");
        redis.Run("MULTI");
        Assert.Equal("*-1\r\n", redis.Raw("EXEC"));
        redis.Run("WATCH", "a");
        redis.Run("SET", "a", "3");
        redis.Run("UNWATCH");
        redis.Run("MULTI");
        Assert.Equal("[]", redis.Show("EXEC"));
    }

    [Fact]
    public void A_watched_key_that_expires_fails_exec_but_not_one_that_had_expired_before()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "a", "1", "PX", "10");
        redis.Run("WATCH", "a");
        redis.Time.Advance(11);
        redis.Run("MULTI");
        Assert.Equal("(nil)", redis.Show("EXEC"));
        redis.Run("SET", "a", "1", "PX", "10");
        redis.Time.Advance(11);
        redis.Run("WATCH", "a");
        redis.NewClient().Run("GET", "a");
        redis.Run("MULTI");
        Assert.Equal("[]", redis.Show("EXEC"));
    }

    [Fact]
    public void A_missing_watched_key_that_is_replaced_by_an_expired_one_is_missing_still()
    {
        using var redis = new EngineHarness();
        EngineClient other = redis.NewClient();
        other.Session.Database = 1;
        other.Run("SET", "a", "1", "PX", "10");
        redis.Run("WATCH", "a");
        redis.Time.Advance(11);
        redis.NewClient().Run("SWAPDB", "0", "1");
        redis.Run("MULTI");
        Assert.Equal("[]", redis.Show("EXEC"));
    }

    [Fact]
    public void All_effects_are_one_unit_whatever_the_slots()
    {
        using var redis = new EngineHarness();
        redis.Run("MULTI");
        redis.Run("SET", "a", "1");
        redis.Run("SET", "b", "2", "PX", "100");
        redis.Run("GET", "a");
        redis.Run("RPUSH", "l", "x");
        redis.Run("LMOVE", "l", "m", "LEFT", "RIGHT");
        redis.Run("MSET", "c", "3", "d", "4");
        redis.Run("EXEC");
        Assert.Equal([7], redis.Effects.GroupBy(effect => effect.Unit).Select(unit => unit.Count()));
        Assert.Equal(
            ["SET a 1", $"SET b 2 PXAT {redis.NowMs + 100}", "RPUSH l x", "LPOP l", "RPUSH m x", "SET c 3", "SET d 4"], redis.TakeEffects());
    }

    [Fact]
    public void One_slot_needs_one_gate_and_whole_keyspace_commands_run_alone()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "{t}a", "1");
        redis.Run("MULTI");
        redis.Run("INCR", "{t}a");
        redis.Run("MSET", "{t}b", "1", "{t}c", "2");
        Assert.Equal("[2, OK]", redis.Show("EXEC"));
        redis.Run("MULTI");
        redis.Run("SET", "x", "1");
        redis.Run("DBSIZE");
        redis.Run("FLUSHALL");
        redis.Run("DBSIZE");
        redis.Run("SET", "y", "1");
        Assert.Equal("[OK, 4, OK, 0, OK]", redis.Show("EXEC"));
        Assert.Equal("1", redis.Show("GET y"));
    }

    [Fact]
    public void A_database_chosen_inside_stays_chosen()
    {
        using var redis = new EngineHarness();
        redis.Run("MULTI");
        redis.Run("SET", "a", "1");
        redis.Run("FLUSHALL");
        redis.Run("SET", "a", "2");
        Assert.Equal("[OK, OK, OK]", redis.Show("EXEC"));
        Assert.Equal("2", redis.Show("GET a"));
    }

    [Fact]
    public async Task Transactions_of_many_threads_over_the_same_slots_are_atomic()
    {
        using var redis = new EngineHarness();
        string[] keys = ["a", "b", "c", "d"];
        foreach (string key in keys) redis.Run("SET", key, "100");
        Task[] workers = [.. Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            EngineClient client = redis.NewClient();
            var random = TestSeed.Random(worker);
            for (int i = 0; i < 500; i++)
            {
                await client.RunAsync("MULTI");
                await client.RunAsync("DECR", keys[random.Next(4)]);
                await client.RunAsync("INCR", keys[random.Next(4)]);
                await client.RunAsync("MGET", "a", "b", "c", "d");
                object?[] replies = (object?[])(await client.RunAsync("EXEC"))!;
                Assert.Equal(400, ((object?[])replies[2]!).Sum(value => int.Parse((string)value!)));
            }
        }))];
        await Task.WhenAll(workers).WaitAsync(Eventually.Deadline);
    }

    [Fact]
    public async Task Optimistic_increments_lose_no_update()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "n", "0");
        Task[] workers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            EngineClient client = redis.NewClient();
            for (int done = 0; done < 200;)
            {
                await client.RunAsync("WATCH", "n");
                int value = int.Parse((string)(await client.RunAsync("GET", "n"))!);
                await client.RunAsync("MULTI");
                await client.RunAsync("SET", "n", (value + 1).ToString());
                await client.RunAsync("SET", "other", value.ToString());
                if (await client.RunAsync("EXEC") is not null) done++;
            }
        }))];
        await Task.WhenAll(workers).WaitAsync(Eventually.Deadline);
        Assert.Equal("800", redis.Run("GET", "n"));
    }

    [Fact]
    public void The_reply_of_a_command_that_finishes_outside_the_gates_stands_in_its_place()
    {
        using var redis = new EngineHarness();
        var declaration = new CommandAttribute("LATER", 1, CommandFlags.None, Category.None) { Since = "1", Complexity = "", Summary = "" };
        var later = new CommandInfo("LATER", declaration, (ref CommandContext call) => call.Continuation = async reply =>
        {
            await Task.Yield();
            reply.SimpleString("LATE"u8);
        });
        redis.Run("MULTI");
        redis.Run("SET", "a", "1");
        redis.Client.Session.Transaction!.Enqueue(later, OwnedRequest.Of("LATER"u8.ToArray()).Request, later.Flags);
        redis.Run("GET", "a");
        redis.Client.Session.Transaction!.Enqueue(later, OwnedRequest.Of("LATER"u8.ToArray()).Request, later.Flags);
        Assert.Equal("[OK, LATE, 1, LATE]", redis.Show("EXEC"));
    }
}
