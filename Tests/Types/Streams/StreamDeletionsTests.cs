using Xunit;

namespace OrleansRedis.Tests;

/// <summary>KEEPREF, DELREF and ACKED: XDELEX, XACKDEL, XADD and XTRIM as in Redis 8.2.</summary>
public sealed class StreamDeletionsTests : IDisposable
{
    private const string All = "1-1 1-2 1-3 1-4";

    private readonly EngineHarness _redis = new(options => options.StreamNodeMaxEntries = 3);

    /// <summary>
    /// A stream and two groups. 1-1: pending in g, acknowledged in h. 1-2: acknowledged in both. 1-3: pending in g,
    /// not yet read in h. 1-4: read in neither.
    /// </summary>
    public StreamDeletionsTests()
    {
        foreach (string line in (string[])[
            "XADD x 1-1 a 1", "XADD x 1-2 a 2", "XADD x 1-3 a 3", "XADD x 1-4 a 4", "XGROUP CREATE x g 0", "XGROUP CREATE x h 0",
            "XREADGROUP GROUP g c COUNT 3 STREAMS x >", "XREADGROUP GROUP h d COUNT 2 STREAMS x >", "XACK x g 1-2", "XACK x h 1-1 1-2", "SET text a"])
            Assert.DoesNotContain("ERR", _redis.Show(line), StringComparison.Ordinal);
        _redis.TakeEvents();
    }

    public void Dispose() => _redis.Dispose();

    [Theory]
    [InlineData("XDELEX x IDS 2 1-1 9-9", "[1, -1]", "1-2 1-3 1-4", "1-1 1-3", "xdel x")]
    [InlineData("XDELEX x keepref ids 1 1-1", "[1]", "1-2 1-3 1-4", "1-1 1-3", "xdel x")]
    [InlineData("XDELEX x DELREF IDS 3 1-1 1-4 9-9", "[1, 1, -1]", "1-2 1-3", "1-3", "xdel x")]
    [InlineData("XDELEX x ACKED IDS 4 1-1 1-2 1-3 1-4", "[2, 1, 2, 2]", "1-1 1-3 1-4", "1-1 1-3", "xdel x")]
    [InlineData("XDELEX x ACKED IDS 3 9-9 1-1 0-1", "[2, 2, -1]", All, "1-1 1-3", "")]
    [InlineData("XDELEX x IDS 2 1-1 1-1", "[1, -1]", "1-2 1-3 1-4", "1-1 1-3", "xdel x")]
    [InlineData("XDELEX x IDS 1 1-1 DELREF", "[1]", "1-2 1-3 1-4", "1-3", "xdel x")]
    [InlineData("XDELEX x IDS 2 1-1 1-2 DELREF IDS 1 1-3", "[1]", "1-1 1-2 1-4", "1-1", "xdel x")]
    [InlineData("XDELEX x IDS 4 1-1 1-2 1-3 1-4", "[1, 1, 1, 1]", "", "1-1 1-3", "xdel x")]
    [InlineData("XDELEX none IDS 2 a b", "[-1, -1]", All, "1-1 1-3", "")]
    [InlineData("XACKDEL x g IDS 3 1-1 1-2 1-4", "[1, -1, -1]", "1-2 1-3 1-4", "1-3", "xdel x")]
    [InlineData("XACKDEL x g ACKED IDS 2 1-1 1-3", "[1, 2]", "1-2 1-3 1-4", "", "xdel x")]
    [InlineData("XACKDEL x g ACKED IDS 1 1-3", "[2]", All, "1-1", "")]
    [InlineData("XACKDEL x g DELREF IDS 1 1-3", "[1]", "1-1 1-2 1-4", "1-1", "xdel x")]
    [InlineData("XACKDEL x h DELREF IDS 1 1-1", "[-1]", All, "1-1 1-3", "")]
    [InlineData("XACKDEL x none IDS 1 1-1", "[-1]", All, "1-1 1-3", "")]
    [InlineData("XACKDEL none g ACKED IDS 1 a", "[-1]", All, "1-1 1-3", "")]
    public void Entries_are_deleted_as_groups_refer_to_them(string line, string reply, string entries, string pending, string events)
    {
        Assert.Equal(reply, _redis.Show(line));
        Assert.Equal(events, string.Join(';', _redis.TakeEvents()));
        using EngineHarness copy = _redis.Replay();
        Assert.Equal(entries, Entries(_redis));
        Assert.Equal(pending, Pending(_redis, "g"));
        Assert.Equal(entries, Entries(copy));
        Assert.Equal(pending, Pending(copy, "g"));
    }

    [Theory]
    [InlineData("XDELEX x IDS 1", "-ERR wrong number of arguments for 'xdelex' command")]
    [InlineData("XACKDEL x g IDS 1", "-ERR wrong number of arguments for 'xackdel' command")]
    [InlineData("XDELEX x KEEPREF ACKED IDS 1 1-1", "-ERR syntax error")]
    [InlineData("XDELEX x DELREF DELREF IDS 1 1-1", "-ERR syntax error")]
    [InlineData("XDELEX x IDS 1 1-1 1-2", "-ERR syntax error")]
    [InlineData("XDELEX x 1-1 1-2 1-3", "-ERR syntax error")]
    [InlineData("XDELEX x IDS 1 1-1 IDS", "-ERR syntax error")]
    [InlineData("XDELEX x IDS 0 1-1", "-ERR Number of IDs must be a positive integer")]
    [InlineData("XDELEX x IDS a 1-1", "-ERR Number of IDs must be a positive integer")]
    [InlineData("XDELEX x IDS 9223372036854775808 1-1", "-ERR Number of IDs must be a positive integer")]
    [InlineData("XDELEX x IDS 2 1-1", "-ERR The `numids` parameter must match the number of arguments")]
    [InlineData("XDELEX x IDS 9223372036854775807 1-1", "-ERR The `numids` parameter must match the number of arguments")]
    [InlineData("XDELEX x IDS 2 1-1 a", "-ERR Invalid stream ID specified as stream command argument")]
    [InlineData("XDELEX x IDS 1 -", "-ERR Invalid stream ID specified as stream command argument")]
    [InlineData("XACKDEL x g IDS 2 1-1 a", "-ERR Invalid stream ID specified as stream command argument")]
    [InlineData("XDELEX text IDS a", "-ERR wrong number of arguments for 'xdelex' command")]
    [InlineData("XDELEX text a b c", "-WRONGTYPE Operation against a key holding the wrong kind of value")]
    [InlineData("XACKDEL text g a b c", "-WRONGTYPE Operation against a key holding the wrong kind of value")]
    [InlineData("XTRIM x MAXLEN 1 ACKED DELREF", "-ERR syntax error")]
    [InlineData("XTRIM x ACKED", "-ERR wrong number of arguments for 'xtrim' command")]
    [InlineData("XTRIM x DELREF LIMIT 1", "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")]
    [InlineData("XTRIM x DELREF LIMIT 0", "-ERR syntax error, XTRIM must be called with a trimming strategy")]
    [InlineData("XADD x ACKED KEEPREF 9-9 a b", "-ERR Invalid stream ID specified as stream command argument")]
    public void What_is_wrong_has_redis_s_error_and_changes_nothing(string line, string error)
    {
        _redis.TakeEffects();
        Assert.Equal(error, _redis.Show(line));
        Assert.Empty(_redis.TakeEffects());
        Assert.Equal(All, Entries(_redis));
    }

    [Theory]
    [InlineData("XTRIM x MAXLEN 1 KEEPREF", "3", "1-4", "1-1 1-3", "XTRIM x MAXLEN 1 KEEPREF")]
    [InlineData("XTRIM x MAXLEN 1 DELREF", "3", "1-4", "", "XTRIM x MAXLEN 1 DELREF")]
    [InlineData("XTRIM x DELREF MINID 1-3", "2", "1-3 1-4", "1-3", "XTRIM x DELREF MINID 1-3")]
    [InlineData("XTRIM x MAXLEN ~ 1 DELREF", "3", "1-4", "", "XTRIM x MAXLEN = 1 DELREF")]
    [InlineData("XTRIM x MAXLEN ~ 2 DELREF", "2", "1-3 1-4", "1-3", "XTRIM x MAXLEN = 2 DELREF")]
    [InlineData("XTRIM x MINID ~ 1-3 DELREF", "2", "1-3 1-4", "1-3", "XTRIM x MINID = 1-3 DELREF")]
    [InlineData("XTRIM x MINID ~ 9 DELREF", "4", "", "", "XTRIM x MINID = 18446744073709551615-18446744073709551615 DELREF")]
    [InlineData("XTRIM x MAXLEN ~ 0 DELREF LIMIT 3", "3", "1-4", "", "XTRIM x MAXLEN = 1 DELREF")]
    [InlineData("XTRIM x MAXLEN ~ 0 DELREF LIMIT 2", "0", All, "1-1 1-3", null)]
    [InlineData("XTRIM x MAXLEN 0 ACKED", "1", "1-1 1-3 1-4", "1-1 1-3", "XTRIM x MINID = 1-3 ACKED")]
    [InlineData("XTRIM x ACKED MINID ~ 9", "1", "1-1 1-3 1-4", "1-1 1-3", "XTRIM x MINID = 1-3 ACKED")]
    [InlineData("XTRIM x MAXLEN 4 ACKED", "0", All, "1-1 1-3", null)]
    [InlineData("XADD x DELREF MAXLEN 2 1-5 a 5", "1-5", "1-4 1-5", "", "XADD x DELREF MAXLEN 2 1-5 a 5")]
    [InlineData("XADD x MAXLEN ~ 2 DELREF 1-* a 5", "1-5", "1-4 1-5", "", "XADD x MAXLEN = 2 DELREF 1-5 a 5")]
    [InlineData("XADD x NOMKSTREAM MAXLEN 0 ACKED 1-5 a 5", "1-5", "1-1 1-3 1-4 1-5", "1-1 1-3", "XADD x NOMKSTREAM MINID = 1-3 ACKED 1-5 a 5")]
    [InlineData("XADD x ACKED MINID = 1-2 1-* a 5", "1-5", All + " 1-5", "1-1 1-3", "XADD x 1-5 a 5")]
    [InlineData("XADD x ACKED 1-* a 5", "1-5", All + " 1-5", "1-1 1-3", "XADD x 1-5 a 5")]
    public void Trims_regard_the_groups_too(string line, string reply, string entries, string pending, string? effect)
    {
        int before = _redis.Effects.Count;
        Assert.Equal(reply, _redis.Show(line));
        Assert.Equal(effect is null ? [] : [effect], _redis.Effects.Skip(before).Select(told => told.ToString()));
        using EngineHarness copy = _redis.Replay();
        Assert.Equal(entries, Entries(_redis));
        Assert.Equal(pending, Pending(_redis, "g"));
        Assert.Equal(entries, Entries(copy));
        Assert.Equal(pending, Pending(copy, "g"));
    }

    /// <summary>Redis forgot this effect at first (its pull request 15569).</summary>
    [Fact]
    public void An_entry_that_is_gone_can_still_be_made_pending_nowhere()
    {
        _redis.Show("XDEL x 1-1");
        _redis.TakeEvents();
        EngineClient watcher = _redis.NewClient();
        watcher.Show("WATCH x");
        Assert.Equal("[-1]", _redis.Show("XDELEX x DELREF IDS 1 1-1"));
        Assert.Empty(_redis.TakeEvents());
        Assert.Equal("1-3", Pending(_redis, "g"));
        using EngineHarness copy = _redis.Replay();
        Assert.Equal("1-3", Pending(copy, "g"));
        watcher.Show("MULTI");
        Assert.Equal("[]", watcher.Show("EXEC")); // its entries are the same as before
    }

    [Fact]
    public void Without_groups_nothing_is_referred_to()
    {
        _redis.Show("XADD y 1-1 a 1");
        _redis.Show("XADD y 1-2 a 2");
        Assert.Equal("[1]", _redis.Show("XDELEX y ACKED IDS 1 1-1"));
        Assert.Equal("1", _redis.Show("XTRIM y MAXLEN 0 ACKED"));
        // The largest ID deleted is XDEL's and XDELEX's, not that of a trim.
        Assert.Contains("max-deleted-entry-id, 1-1,", _redis.Show("XINFO STREAM y"), StringComparison.Ordinal);
    }

    /// <summary>Nothing comes after the largest of all IDs, so the effect cannot say "up to it" by an ID.</summary>
    [Fact]
    public void The_largest_of_all_ids_can_be_trimmed()
    {
        _redis.Show("XADD y MAXLEN 0 ACKED 18446744073709551615-18446744073709551615 a 1");
        using EngineHarness copy = _redis.Replay();
        Assert.Equal(0L, _redis.Run("XLEN", "y"));
        Assert.Equal(0L, copy.Run("XLEN", "y"));
    }

    /// <summary>
    /// A trim by length ends in the first node that would not go as a whole, whether that was enough or not. Where that
    /// node ends is nothing that an effect may depend on.
    /// </summary>
    [Fact]
    public void A_trim_that_leaves_what_is_referred_to_means_the_same_whatever_the_nodes_are()
    {
        for (int i = 1; i <= 9; i++) _redis.Show($"XADD y 1-{i} a 1");
        _redis.Show("XGROUP CREATE y g 0");
        _redis.Show("XREADGROUP GROUP g c STREAMS y >");
        _redis.Show("XACK y g 1-3 1-4 1-5 1-6 1-7 1-8 1-9");
        Assert.Equal("1", _redis.Show("XTRIM y MAXLEN 7 ACKED"));
        using EngineHarness copy = _redis.Replay();
        Assert.Equal(8L, _redis.Run("XLEN", "y"));
        Assert.Equal(8L, copy.Run("XLEN", "y"));
    }

    private static string Entries(EngineHarness redis) =>
        string.Join(' ', ((object?[])redis.Run("XRANGE", "x", "-", "+")!).Select(entry => ((object?[])entry!)[0]));

    private static string Pending(EngineHarness redis, string group) =>
        string.Join(' ', ((object?[])redis.Run("XPENDING", "x", group, "-", "+", "10")!).Select(entry => ((object?[])entry!)[0]));
}
