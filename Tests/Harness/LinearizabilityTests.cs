using System.Globalization;
using Xunit;

namespace OrleansRedis.Tests.Harness;

/// <summary>The checker finds what is wrong, and nothing else.</summary>
public sealed class LinearizabilityTests
{
    [Fact]
    public void Commands_one_after_the_other_are_fine() => Assert.Null(Linearizability.Refute([
        Of(1, "SET k 1", "+OK", 0, 1), Of(1, "GET k", "\"1\"", 2, 3), Of(2, "INCR k", ":2", 4, 5), Of(1, "RPUSH l a", ":1", 6, 7),
        Of(2, "MGET k x", "[\"2\", nil]", 8, 9)]));

    [Fact]
    public void Commands_side_by_side_may_be_in_either_order()
    {
        Assert.Null(Linearizability.Refute([Of(1, "SET k 1", "+OK", 0, 10), Of(2, "GET k", "nil", 5, 6), Of(3, "GET k", "\"1\"", 7, 8)]));
        Assert.NotNull(Linearizability.Refute([Of(1, "SET k 1", "+OK", 0, 10), Of(2, "GET k", "\"1\"", 5, 6), Of(3, "GET k", "nil", 7, 8)]));
    }

    [Fact]
    public void A_read_of_the_past_is_found() => Assert.NotNull(Linearizability.Refute([
        Of(1, "SET k 1", "+OK", 0, 1), Of(1, "SET k 2", "+OK", 2, 3), Of(2, "GET k", "\"1\"", 4, 5)]));

    [Fact]
    public void A_lost_update_is_found() => Assert.NotNull(Linearizability.Refute([Of(1, "INCR k", ":1", 0, 10), Of(2, "INCR k", ":1", 0, 10)]));

    [Fact]
    public void A_command_that_has_happened_twice_is_found() => Assert.NotNull(Linearizability.Refute([
        Of(1, "RPUSH l a", ":1", 0, 1), Of(2, "LRANGE l 0 -1", "[\"a\", \"a\"]", 2, 3)]));

    [Fact]
    public void A_command_without_a_reply_may_have_happened_or_not_but_not_both()
    {
        HistoryEntry lost = Of(1, "INCR k", null, 0, 0);
        Assert.Null(Linearizability.Refute([lost, Of(2, "GET k", "nil", 5, 6)]));
        Assert.Null(Linearizability.Refute([lost, Of(2, "GET k", "\"1\"", 5, 6)]));
        Assert.Null(Linearizability.Refute([lost, Of(2, "GET k", "nil", 5, 6), Of(2, "GET k", "\"1\"", 7, 8)]));
        Assert.NotNull(Linearizability.Refute([lost, Of(2, "GET k", "\"1\"", 5, 6), Of(2, "GET k", "nil", 7, 8)]));
        Assert.NotNull(Linearizability.Refute([lost, Of(2, "GET k", "\"2\"", 5, 6)]));
    }

    [Fact]
    public void Half_of_several_keys_at_once_is_found()
    {
        HistoryEntry both = Of(1, "MSET a 1 b 1", "+OK", 0, 10);
        Assert.Null(Linearizability.Refute([both, Of(2, "MGET a b", "[nil, nil]", 1, 2), Of(2, "MGET a b", "[\"1\", \"1\"]", 3, 4)]));
        Assert.NotNull(Linearizability.Refute([both, Of(2, "MGET a b", "[\"1\", nil]", 1, 2)]));
        Assert.NotNull(Linearizability.Refute([Of(1, "INCR a ; INCR b", "[:1, :1]", 0, 10), Of(2, "MGET a b", "[nil, \"1\"]", 1, 2)]));
        // The same, seen by two reads.
        Assert.NotNull(Linearizability.Refute([both, Of(2, "GET a", "\"1\"", 1, 2), Of(2, "GET b", "nil", 3, 4)]));
    }

    [Fact]
    public void What_really_happened_one_after_the_other_is_never_refuted_and_a_wrong_reply_always_is()
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 60; round++)
        {
            List<HistoryEntry> history = Generate(random, clients: random.Next(1, 7), count: 120);
            Assert.Null(Linearizability.Refute(history));
            // A value that nobody has written.
            int wrong = history.FindIndex(random.Next(history.Count / 2), entry => entry.Words[0] == "GET" && entry.Reply is not null);
            if (wrong < 0) continue;
            history[wrong] = history[wrong] with { Reply = "\"never\"" };
            Assert.NotNull(Linearizability.Refute(history));
        }
    }

    [Fact]
    public void A_write_that_is_lost_in_a_long_history_is_found()
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 20; round++)
        {
            List<HistoryEntry> history = Generate(random, clients: 4, count: 120, losesReplies: false);
            long end = history.Max(entry => entry.Returned) + 1;
            history.Add(Of(9, "SET k0 last", "+OK", end, end + 1));
            Assert.Null(Linearizability.Refute([.. history, Of(9, "GET k0", "\"last\"", end + 2, end + 3)]));
            Assert.NotNull(Linearizability.Refute([.. history, Of(9, "GET k0", "nil", end + 2, end + 3)]));
        }
    }

    private static HistoryEntry Of(int client, string words, string? reply, long invoked, long returned) =>
        new(client, words.Split(' '), reply, invoked, returned);

    /// <summary>Commands that each happen at one moment, sent some time before and answered some time after.</summary>
    private static List<HistoryEntry> Generate(Random random, int clients, int count, bool losesReplies = true)
    {
        var history = new List<HistoryEntry>();
        var free = new long[clients];
        KeyModel state = KeyModel.Empty;
        for (int i = 0; i < count; i++)
        {
            int client = random.Next(clients);
            long now = (i + 1) * 10;
            if (free[client] >= now) continue;
            string key = $"k{random.Next(2)}", value = i.ToString(CultureInfo.InvariantCulture);
            string words = random.Next(7) switch
            {
                0 => $"SET {key} {value}",
                1 => $"SET {key} {value} GET",
                2 => $"SETNX {key} {value}",
                3 => $"DEL {key}",
                4 => $"MSET k0 {value} k1 {value}",
                5 => "MGET k0 k1",
                _ => $"GET {key}",
            };
            (state, string reply) = state.Run(words.Split(' '));
            long invoked = Math.Max(free[client] + 1, now - random.Next(40)), returned = now + random.Next(40);
            bool isLost = losesReplies && random.Next(40) == 0;
            history.Add(Of(client, words, isLost ? null : reply, invoked, returned));
            free[client] = isLost ? long.MaxValue : returned;
        }
        return history;
    }
}
