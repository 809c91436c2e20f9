using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>What counts as a change of a stream to those who WATCH it.</summary>
public class StreamWatchTests
{
    [Theory]
    [InlineData("XREADGROUP GROUP g bob STREAMS s >")]
    [InlineData("XREADGROUP GROUP g bob NOACK STREAMS s >")]
    [InlineData("XREADGROUP GROUP g newcomer STREAMS s 0")]
    [InlineData("XACK s g 1-0")]
    [InlineData("XCLAIM s g bob 0 1-0 2-0")]
    [InlineData("XCLAIM s g bob 0 9-0 LASTID 9-0")]
    [InlineData("XAUTOCLAIM s g bob 0 -")]
    [InlineData("XGROUP CREATE s other $")]
    [InlineData("XGROUP CREATE s other 0 MKSTREAM")]
    [InlineData("XGROUP SETID s g 0")]
    [InlineData("XGROUP DESTROY s g")]
    [InlineData("XGROUP CREATECONSUMER s g carol")]
    [InlineData("XGROUP DELCONSUMER s g alice")]
    [InlineData("XSETID s 9-0")]
    public void What_concerns_groups_is_no_change_to_those_who_watch(string line) => Assert.Equal("[1]", ExecAfter(line));

    [Theory]
    [InlineData("XADD s 9-0 f v")]
    [InlineData("XDEL s 1-0")]
    [InlineData("XTRIM s MAXLEN 1")]
    [InlineData("XGROUP CREATE missing g 0 MKSTREAM")]
    [InlineData("DEL s")]
    public void What_concerns_entries_is(string line) => Assert.Equal("(nil)", ExecAfter(line));

    [Fact]
    public async Task Destroying_a_group_still_ends_the_wait_of_its_readers()
    {
        using var redis = new EngineHarness();
        redis.Run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM");
        Task<object?> waiting = redis.NewClient().RunAsync("XREADGROUP", "GROUP", "g", "alice", "BLOCK", "0", "STREAMS", "s", ">");
        redis.Run("XGROUP", "SETID", "s", "g", "0");
        Assert.False(waiting.IsCompleted);
        redis.Run("XGROUP", "DESTROY", "s", "g");
        Assert.StartsWith("-NOGROUP", Replies.Show(await waiting.WaitAsync(Eventually.Deadline)), StringComparison.Ordinal);
    }

    /// <summary>What EXEC replies when another client has run a line since WATCH.</summary>
    private static string ExecAfter(string line)
    {
        using var redis = new EngineHarness();
        for (int i = 1; i <= 4; i++) redis.Run("XADD", "s", $"{i}-0", "f", "v");
        redis.Run("XGROUP", "CREATE", "s", "g", "0");
        redis.Run("XREADGROUP", "GROUP", "g", "alice", "COUNT", "3", "STREAMS", "s", ">");
        redis.Run("XDEL", "s", "2-0");
        EngineClient watcher = redis.NewClient();
        watcher.Run("WATCH", "s", "missing");
        redis.Time.Advance(10);
        object? reply = redis.Run(line.Split(' '));
        Assert.False(reply is RespError, Replies.Show(reply));
        watcher.Run("MULTI");
        watcher.Run("SADD", "x", "1");
        return watcher.Show("EXEC");
    }
}
