using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// Blocking commands in the engine: which client is served what, in which order, and what the log says about it.
/// </summary>
public class BlockingTests
{
    private static Task<object?> Begin(EngineHarness redis, params string[] command)
    {
        Task<object?> waiting = redis.NewClient().RunAsync(command);
        Assert.False(waiting.IsCompleted);
        return waiting;
    }

    private static async Task<string> Show(Task<object?> waiting) => Replies.Show(await waiting.WaitAsync(Eventually.Deadline));

    [Fact]
    public async Task What_is_there_is_popped_at_once()
    {
        using var redis = new EngineHarness();
        redis.Run("RPUSH", "b", "1", "2", "3", "4");
        redis.TakeEffects();
        Assert.Equal("[b, 1]", redis.Show("BLPOP a b 0"));
        Assert.Equal("[b, 4]", redis.Show("BRPOP a b 0"));
        Assert.Equal("[b, [2, 3]]", redis.Show("BLMPOP 0 2 a b LEFT COUNT 5"));
        Assert.Equal(["LPOP b", "RPOP b", "LPOP b 2"], redis.TakeEffects());
        redis.Run("SET", "a", "x");
        Assert.StartsWith("-WRONGTYPE", redis.Raw("BLPOP", "a", "b", "0"));
        await Task.CompletedTask;
    }

    [Fact]
    public async Task Waiters_are_served_in_their_order_of_arrival()
    {
        using var redis = new EngineHarness();
        Task<object?> first = Begin(redis, "BLPOP", "k", "0"), second = Begin(redis, "BRPOP", "k", "0"), third = Begin(redis, "BLPOP", "k", "0");
        Assert.Equal("1", redis.Show("RPUSH k a"));
        Assert.Equal("[k, a]", await Show(first));
        Assert.Equal("3", redis.Show("RPUSH k b c d"));
        Assert.Equal("[k, d]", await Show(second));
        Assert.Equal("[k, b]", await Show(third));
        Assert.Equal("[c]", redis.Show("LRANGE k 0 -1"));
        Assert.Equal(["RPUSH k a", "LPOP k", "RPUSH k b c d", "RPOP k", "LPOP k"], redis.TakeEffects());
        Assert.Equal(0, redis.Store.BlockedCount);
    }

    [Fact]
    public async Task Who_is_served_or_has_given_up_is_not_blocked_from_that_moment_on()
    {
        using var redis = new EngineHarness();
        for (int round = 0; round < 200; round++)
        {
            Task<object?>[] waiting = [.. Enumerable.Range(0, 5).Select(_ => Begin(redis, "BLPOP", "k", "1"))];
            Assert.Equal(5, redis.Store.BlockedCount);
            redis.Run("RPUSH", "k", "a", "b");
            Assert.Equal(3, redis.Store.BlockedCount);
            redis.Time.Advance(1000);
            Assert.Equal(0, redis.Store.BlockedCount);
            await Task.WhenAll(waiting).WaitAsync(Eventually.Deadline);
            Assert.Equal(0, redis.Store.BlockedCommands);
        }
    }

    [Fact]
    public async Task A_client_served_before_the_pushers_next_command_leaves_it_nothing()
    {
        using var redis = new EngineHarness();
        Task<object?> waiting = Begin(redis, "BLPOP", "k", "0");
        redis.Run("LPUSH", "k", "a");
        Assert.Null(redis.Run("LPOP", "k"));
        Assert.Equal("[k, a]", await Show(waiting));
    }

    [Fact]
    public async Task Keys_of_several_slots_are_all_waited_for_and_served_at_once()
    {
        using var redis = new EngineHarness();
        Task<object?> waiting = Begin(redis, "BLPOP", "a", "b", "c", "a", "0");
        redis.Run("RPUSH", "b", "1");
        Assert.Null(redis.Run("LPOP", "b"));
        Assert.Equal("[b, 1]", await Show(waiting));
        foreach (string key in new[] { "a", "b", "c" })
            Assert.True(redis.Store.Slots[KeySlot.Of(System.Text.Encoding.ASCII.GetBytes(key))]!.Watchers!.IsEmpty);
    }

    [Fact]
    public async Task A_waiter_that_reaches_other_slots_is_not_overtaken_by_a_later_one()
    {
        using var redis = new EngineHarness();
        Task<object?> mover = Begin(redis, "BLMOVE", "k", "elsewhere", "LEFT", "RIGHT", "0");
        Task<object?> popper = Begin(redis, "BLPOP", "k", "0");
        redis.Run("RPUSH", "k", "first");
        Assert.Equal("first", await Show(mover));
        Assert.False(popper.IsCompleted);
        redis.Run("RPUSH", "k", "second");
        Assert.Equal("[k, second]", await Show(popper));
        Assert.Equal("[first]", redis.Show("LRANGE elsewhere 0 -1"));
        Assert.Equal(["RPUSH k first", "LPOP k", "RPUSH elsewhere first", "RPUSH k second", "LPOP k"], redis.TakeEffects());
    }

    [Fact]
    public async Task Serving_one_may_serve_the_next()
    {
        using var redis = new EngineHarness();
        Task<object?> last = Begin(redis, "BLPOP", "c", "0");
        Task<object?> second = Begin(redis, "BRPOPLPUSH", "b", "c", "0"), first = Begin(redis, "BLMOVE", "a", "b", "LEFT", "LEFT", "0");
        redis.Run("RPUSH", "a", "x");
        Assert.Equal("x", await Show(first));
        Assert.Equal("x", await Show(second));
        Assert.Equal("[c, x]", await Show(last));
    }

    [Fact]
    public async Task A_circle_of_moves_ends_where_the_waiters_do()
    {
        using var redis = new EngineHarness();
        Task<object?> one = Begin(redis, "BRPOPLPUSH", "a", "b", "0"), two = Begin(redis, "BRPOPLPUSH", "b", "a", "0");
        redis.Run("RPUSH", "a", "x");
        Assert.Equal("x", await Show(one));
        Assert.Equal("x", await Show(two));
        Assert.Equal("[x]", redis.Show("LRANGE a 0 -1"));
        Task<object?> self = Begin(redis, "BRPOPLPUSH", "c", "c", "0");
        redis.Run("RPUSH", "c", "y");
        Assert.Equal("y", await Show(self));
        Assert.Equal("[y]", redis.Show("LRANGE c 0 -1"));
    }

    [Fact]
    public async Task A_destination_of_another_type_is_an_error_and_the_element_stays()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "d", "x");
        Task<object?> waiting = Begin(redis, "BLMOVE", "s", "d", "LEFT", "LEFT", "0");
        redis.Run("RPUSH", "s", "1");
        Assert.StartsWith("-WRONGTYPE", await Show(waiting));
        Assert.Equal("[1]", redis.Show("LRANGE s 0 -1"));
    }

    [Fact]
    public async Task A_key_of_another_type_wakes_nobody()
    {
        using var redis = new EngineHarness();
        Task<object?> waiting = Begin(redis, "BLPOP", "k", "0");
        redis.Run("SET", "k", "x");
        redis.Run("DEL", "k");
        Assert.False(waiting.IsCompleted);
        redis.Run("LPUSH", "k", "y");
        Assert.Equal("[k, y]", await Show(waiting));
    }

    [Fact]
    public async Task Renames_and_copies_make_keys_ready()
    {
        using var redis = new EngineHarness();
        redis.Run("RPUSH", "{t}source", "1", "2");
        Task<object?> copied = Begin(redis, "BLPOP", "{t}copy", "0");
        redis.Run("COPY", "{t}source", "{t}copy");
        Assert.Equal("[{t}copy, 1]", await Show(copied));
        Task<object?> renamed = Begin(redis, "BLPOP", "{t}target", "0");
        redis.Run("RENAME", "{t}source", "{t}target");
        Assert.Equal("[{t}target, 1]", await Show(renamed));
        Assert.Equal("[2]", redis.Show("LRANGE {t}target 0 -1"));
    }

    [Fact]
    public async Task Swapped_databases_and_moves_make_keys_ready()
    {
        using var redis = new EngineHarness();
        Task<object?> swapped = Begin(redis, "BLPOP", "k", "0");
        EngineClient other = redis.NewClient();
        other.Session.Database = 9;
        other.Run("RPUSH", "k", "1");
        Assert.False(swapped.IsCompleted);
        redis.Run("SWAPDB", "0", "9");
        Assert.Equal("[k, 1]", await Show(swapped));
        Task<object?> moved = Begin(redis, "BLPOP", "m", "0");
        other.Run("RPUSH", "m", "2");
        other.Run("MOVE", "m", "0");
        Assert.Equal("[m, 2]", await Show(moved));
    }

    [Fact]
    public async Task Timeouts_reply_with_no_array_and_leave_no_trace()
    {
        using var redis = new EngineHarness();
        EngineClient client = redis.NewClient();
        Task<object?> waiting = client.RunAsync("BLPOP", "a", "b", "1.5");
        redis.Time.Advance(1499);
        Assert.False(waiting.IsCompleted);
        redis.Time.Advance(1);
        Assert.Equal("(nil)", await Show(waiting));
        Assert.Null(client.Session.Blocked);
        Assert.Equal(0, redis.Store.BlockedCount);
        Assert.Equal("1", redis.Show("RPUSH a x"));
        Assert.Equal("x", redis.Show("LPOP a"));
    }

    [Theory]
    [InlineData("-1", "ERR timeout is negative")]
    [InlineData("-0.001", "ERR timeout is negative")]
    [InlineData("x", "ERR timeout is not a float or out of range")]
    [InlineData("", "ERR timeout is not a float or out of range")]
    [InlineData("1 ", "ERR timeout is not a float or out of range")]
    [InlineData("nan", "ERR timeout is not a float or out of range")]
    [InlineData("inf", "ERR timeout is out of range")]
    [InlineData("1e30", "ERR timeout is out of range")]
    [InlineData("9223372036854775", "ERR timeout is out of range")]
    public void Bad_timeouts_are_refused(string timeout, string error)
    {
        using var redis = new EngineHarness();
        Assert.Equal($"-{error}\r\n", redis.Raw("BLPOP", "k", timeout));
        Assert.Equal($"-{error}\r\n", redis.Raw("BLMOVE", "k", "l", "LEFT", "RIGHT", timeout));
        Assert.Equal($"-{error}\r\n", redis.Raw("BLMPOP", timeout, "1", "k", "LEFT"));
    }

    [Theory]
    [InlineData(BlockedEnd.TimedOut, "(nil)")]
    [InlineData(BlockedEnd.Unblocked, "-UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    public async Task A_client_can_be_unblocked_once(BlockedEnd how, string reply)
    {
        using var redis = new EngineHarness();
        EngineClient client = redis.NewClient();
        Task<object?> waiting = client.RunAsync("BLPOP", "k", "0");
        BlockedCommand blocked = client.Session.Blocked!;
        Assert.True(blocked.TryEnd(how));
        Assert.False(blocked.TryEnd(how));
        Assert.Equal(reply, await Show(waiting));
    }

    [Fact]
    public async Task A_client_that_has_gone_away_is_given_nothing()
    {
        using var redis = new EngineHarness();
        EngineClient gone = redis.NewClient();
        Task left = gone.RunAsync("BLPOP", "k", "0");
        Task<object?> next = Begin(redis, "BLPOP", "k", "0");
        gone.Session.Blocked!.TryEnd(BlockedEnd.Disconnected);
        redis.Run("RPUSH", "k", "1");
        Assert.Equal("[k, 1]", await Show(next));
        await Assert.ThrowsAnyAsync<Exception>(() => left); // there is no reply to parse
    }

    [Fact]
    public async Task In_a_transaction_nothing_blocks()
    {
        using var redis = new EngineHarness();
        redis.Run("MULTI");
        redis.Run("BLPOP", "a", "0");
        redis.Run("BLMOVE", "a", "b", "LEFT", "LEFT", "0");
        redis.Run("BLMPOP", "0", "1", "a", "LEFT");
        redis.Run("RPUSH", "a", "1", "2");
        redis.Run("BRPOP", "a", "0");
        Assert.Equal("[(nil), (nil), (nil), 2, [a, 2]]", redis.Show("EXEC"));
        await Task.CompletedTask;
    }

    [Fact]
    public async Task Those_who_wait_see_a_transaction_only_as_a_whole()
    {
        using var redis = new EngineHarness();
        Task<object?> waiting = Begin(redis, "BLPOP", "k", "0");
        redis.Run("MULTI");
        redis.Run("RPUSH", "k", "a");
        redis.Run("DEL", "k");
        redis.Run("EXEC");
        Assert.False(waiting.IsCompleted);
        redis.Run("MULTI");
        redis.Run("RPUSH", "k", "a");
        redis.Run("LPUSH", "k", "b");
        redis.Run("LPUSH", "other", "b");
        redis.TakeEffects();
        Assert.Equal("[1, 2, 1]", redis.Show("EXEC"));
        Assert.Equal("[k, b]", await Show(waiting));
        Assert.Equal(["RPUSH k a", "LPUSH k b", "LPUSH other b", "LPOP k"], redis.TakeEffects());
    }

    [Fact]
    public async Task Readers_of_streams_are_told_what_was_added_after_they_came()
    {
        using var redis = new EngineHarness();
        redis.Run("XADD", "s", "1-1", "f", "old");
        Task<object?> atEnd = Begin(redis, "XREAD", "BLOCK", "0", "STREAMS", "other", "s", "$", "$");
        Task<object?> ahead = Begin(redis, "XREAD", "BLOCK", "0", "STREAMS", "s", "2-5");
        redis.Run("XADD", "s", "2-1", "f", "new");
        Assert.Equal("[[s, [[2-1, [f, new]]]]]", await Show(atEnd));
        Assert.False(ahead.IsCompleted);
        redis.Run("XADD", "s", "3-1", "f", "newer");
        Assert.Equal("[[s, [[3-1, [f, newer]]]]]", await Show(ahead));
        Task<object?> late = Begin(redis, "XREAD", "BLOCK", "20", "STREAMS", "s", "$");
        redis.Time.Advance(20);
        Assert.Equal("(nil)", await Show(late));
        Assert.Equal(["XADD s 1-1 f old", "XADD s 2-1 f new", "XADD s 3-1 f newer"], redis.TakeEffects());
    }

    [Fact]
    public async Task Consumers_of_a_group_get_an_entry_each_and_hear_when_the_stream_goes()
    {
        using var redis = new EngineHarness();
        redis.Run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM");
        Task<object?> a = Begin(redis, "XREADGROUP", "GROUP", "g", "a", "COUNT", "1", "BLOCK", "0", "STREAMS", "s", ">");
        Task<object?> b = Begin(redis, "XREADGROUP", "GROUP", "g", "b", "COUNT", "1", "BLOCK", "0", "STREAMS", "s", ">");
        Task<object?> c = Begin(redis, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">");
        redis.Run("XADD", "s", "1-1", "f", "1");
        Assert.Equal("[[s, [[1-1, [f, 1]]]]]", await Show(a));
        Assert.False(b.IsCompleted);
        redis.Run("XADD", "s", "1-2", "f", "2");
        Assert.Equal("[[s, [[1-2, [f, 2]]]]]", await Show(b));
        redis.Run("DEL", "s");
        Assert.StartsWith("-NOGROUP", await Show(c));
        redis.Run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM");
        Task<object?> d = Begin(redis, "XREADGROUP", "GROUP", "g", "d", "BLOCK", "0", "STREAMS", "s", ">");
        redis.Run("XGROUP", "DESTROY", "s", "g");
        Assert.StartsWith("-NOGROUP", await Show(d));
        redis.Run("XGROUP", "CREATE", "s", "g", "$");
        Task<object?> e = Begin(redis, "XREADGROUP", "GROUP", "g", "e", "BLOCK", "0", "STREAMS", "s", ">");
        redis.Run("SET", "s", "x");
        Assert.StartsWith("-WRONGTYPE", await Show(e));
        redis.Run("DEL", "s");
        redis.Run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM");
        Task<object?> f = Begin(redis, "XREADGROUP", "GROUP", "g", "f", "BLOCK", "0", "STREAMS", "s", ">");
        redis.Run("FLUSHALL");
        Assert.StartsWith("-NOGROUP", await Show(f));
    }

    [Fact]
    public async Task A_slot_that_leaves_sends_its_waiters_away()
    {
        using var redis = new EngineHarness();
        Task<object?> waiting = Begin(redis, "BLPOP", "k", "other", "0");
        redis.Store.Slots.Withdraw(redis.Store.Slots[KeySlot.Of("k"u8)]!);
        Assert.StartsWith("-UNBLOCKED", await Show(waiting));
        Assert.True(redis.Store.Slots[KeySlot.Of("other"u8)]!.Watchers!.IsEmpty);
    }

    [Fact]
    public async Task Many_threads_lose_nothing_and_serve_nothing_twice()
    {
        using var redis = new EngineHarness();
        const int Items = 3000, Keys = 5;
        int left = Items;
        var got = new System.Collections.Concurrent.ConcurrentBag<string>();
        // Clients that pop from one key or from several, and clients that move to a key of another slot; they give up
        // at random. Others push.
        Task[] poppers = [.. Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            var random = TestSeed.Random(worker);
            while (Volatile.Read(ref left) > 0)
            {
                EngineClient client = redis.NewClient();
                string one = $"k{random.Next(Keys)}", two = $"k{random.Next(Keys)}";
                Task<object?> waiting = (worker % 4) switch
                {
                    0 => client.RunAsync("BLPOP", one, "0"),
                    1 => client.RunAsync("BRPOP", one, two, "done", "0"),
                    2 => client.RunAsync("BLMPOP", "0", "2", one, two, "LEFT", "COUNT", "3"),
                    _ => client.RunAsync("BLMOVE", one, "done", "LEFT", "RIGHT", "0"),
                };
                // It gives up at a random moment. If it is not blocked by then, since slots that it needs are busy, it
                // gives up as soon as it is.
                for (int turns = random.Next(3) == 0 ? 1 : random.Next(100); turns > 0 && !waiting.IsCompleted; turns--) await Task.Yield();
                await Eventually.TrueAsync(() => waiting.IsCompleted || client.Session.Blocked?.TryEnd(BlockedEnd.TimedOut) == true);
                switch (await waiting)
                {
                    case object?[] and [_, object?[] many]:
                        foreach (object? item in many) Take((string)item!);
                        break;
                    case object?[] pair:
                        Take((string)pair[1]!);
                        break;
                }
            }
        }))];
        Task[] pushers = [.. Enumerable.Range(0, 3).Select(worker => Task.Run(async () =>
        {
            EngineClient client = redis.NewClient();
            var random = TestSeed.Random(100 + worker);
            for (int i = worker; i < Items; i += 3)
            {
                if (random.Next(4) == 0)
                {
                    await client.RunAsync("MULTI");
                    await client.RunAsync("RPUSH", $"k{random.Next(Keys)}", i.ToString());
                    await client.RunAsync("EXEC");
                }
                else
                {
                    await client.RunAsync(random.Next(2) == 0 ? "RPUSH" : "LPUSH", $"k{random.Next(Keys)}", i.ToString());
                }
                if (i % 50 == 0) await Task.Yield();
            }
        }))];
        await Task.WhenAll(pushers).WaitAsync(Eventually.Deadline);
        await Task.WhenAll(poppers).WaitAsync(Eventually.Deadline);
        Assert.Equal(Enumerable.Range(0, Items).Select(i => i.ToString()).Order(StringComparer.Ordinal), got.Order(StringComparer.Ordinal));
        Assert.Equal(0, redis.Store.BlockedCount);
        for (int i = 0; i < KeySlot.Count; i++) Assert.True(redis.Store.Slots[i]!.Watchers?.IsEmpty != false);

        void Take(string item)
        {
            got.Add(item);
            Interlocked.Decrement(ref left);
        }
    }
}
