using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>SLOWLOG. With slowlog-log-slower-than 0 every command is in it, so that nothing depends on how long one takes.</summary>
public sealed class SlowlogTests : GatewayTest
{
    private const string Redacted = "(redacted)";

    [Fact]
    public async Task Nothing_is_logged_that_is_fast_enough_or_if_it_is_off()
    {
        Options.SlowlogLogSlowerThan = 60_000_000;
        await Line("PING");
        Assert.Equal(":0", await Line("SLOWLOG LEN"));
        Options.SlowlogLogSlowerThan = -1;
        await Line("PING");
        Assert.Equal(":0", await Line("SLOWLOG LEN"));
        Options.SlowlogLogSlowerThan = 0;
        Options.SlowlogMaxLen = 0;
        await Line("PING");
        Assert.Equal(":0", await Line("SLOWLOG LEN"));
    }

    [Fact]
    public async Task An_entry_has_a_number_a_time_a_duration_the_request_and_the_client()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        await Line("CLIENT SETNAME somebody");
        Options.SlowlogLogSlowerThan = 20_000;
        long before = Server.Store.Clock.NowMs / 1000;
        await Line("DEBUG SLEEP 0.05");
        Options.SlowlogLogSlowerThan = -1;
        RespValue entry = Assert.Single((await Redis.LineAsync("SLOWLOG GET")).Items);
        Assert.Equal(6, entry.Items.Count);
        Assert.Equal(0, entry[0].Integer);
        Assert.InRange(entry[1].Integer, before, Server.Store.Clock.NowMs / 1000);
        Assert.True(entry[2].Integer >= 20_000);
        Assert.Equal("DEBUG SLEEP 0.05", string.Join(' ', entry[3].Texts));
        Assert.Contains($"addr={entry[4].Text} ", (await Redis.LineAsync("CLIENT INFO")).Text);
        Assert.Equal("somebody", entry[5].Text);
    }

    [Fact]
    public async Task The_latest_come_first_and_there_are_at_most_slowlog_max_len()
    {
        Options.SlowlogMaxLen = 3;
        Options.SlowlogLogSlowerThan = 0;
        foreach (string line in new[] { "SET k v", "SADD s a b", "INCR n", "LPUSH l a" }) await Line(line);
        Options.SlowlogLogSlowerThan = -1;
        Assert.Equal([3, 2, 1], (await Redis.LineAsync("SLOWLOG GET")).Items.Select(entry => entry[0].Integer));
        Assert.Empty((await Redis.LineAsync("SLOWLOG GET 0")).Items);
        Assert.Equal("LPUSH l a", string.Join(' ', (await Redis.LineAsync("SLOWLOG GET 1"))[0][3].Texts));
        Assert.Equal(3, (await Redis.LineAsync("SLOWLOG GET -1")).Items.Count);
        Options.SlowlogMaxLen = 2;
        Assert.Equal(":2", await Line("SLOWLOG LEN"));
        Assert.Equal("+OK", await Line("SLOWLOG RESET"));
        Assert.Equal(":0", await Line("SLOWLOG LEN"));
        Options.SlowlogLogSlowerThan = 0;
        await Line("PING");
        Options.SlowlogLogSlowerThan = -1;
        Assert.Equal(4, (await Redis.LineAsync("SLOWLOG GET"))[0][0].Integer); // numbers are not used again
    }

    [Theory]
    [InlineData("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1")]
    [InlineData("SLOWLOG GET x", "-ERR count should be greater than or equal to -1")]
    [InlineData("SLOWLOG GET 1 2", "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.")]
    [InlineData("SLOWLOG LEN 1", "-ERR wrong number of arguments for 'slowlog|len' command")]
    public async Task What_makes_no_sense_is_refused(string line, string error) => Assert.Equal(error, await Line(line));

    [Fact]
    public async Task Many_and_long_arguments_are_shortened()
    {
        string many = string.Join(' ', Enumerable.Range(1, 33)), wide = new('A', 129);
        Options.SlowlogLogSlowerThan = 0;
        await Line($"SADD set {many}");
        await Line($"SET k {wide}");
        Options.SlowlogLogSlowerThan = -1;
        RespValue entries = await Redis.LineAsync("SLOWLOG GET");
        Assert.Equal(32, entries[1][3].Items.Count);
        Assert.Equal("... (4 more arguments)", entries[1][3][31].Text);
        Assert.Equal(wide[..128] + "... (1 more bytes)", entries[0][3][2].Text);
    }

    /// <summary>Secrets stand for themselves in these requests: none may be in the log.</summary>
    [Theory]
    [InlineData("AUTH secret", "AUTH *")]
    [InlineData("AUTH default secret", "AUTH * *")]
    [InlineData("HELLO 3 AUTH default secret SETNAME me", "HELLO 3 AUTH * * SETNAME me")]
    [InlineData("hello 2 setname me auth default secret", "hello 2 setname me auth * *")]
    [InlineData("HELLO 3 AUTH secret", "HELLO 3 AUTH *")]
    [InlineData("CONFIG SET requirepass secret", "CONFIG SET requirepass *")]
    [InlineData("CONFIG SET hz 11 REQUIREPASS secret timeout 0", "CONFIG SET hz 11 REQUIREPASS * timeout 0")]
    [InlineData("CONFIG SET nosuch 1 requirepass secret", "CONFIG SET nosuch * requirepass *")] // it may be a name misspelt
    public async Task Secrets_are_never_shown(string line, string shown)
    {
        Options.SlowlogLogSlowerThan = 0;
        await Line(line);
        await Line("CONFIG SET slowlog-log-slower-than -1");
        await Call("CONFIG", "SET", "requirepass", "");
        RespValue entries = await Redis.LineAsync("SLOWLOG GET");
        Assert.DoesNotContain("secret", entries.ToString(), StringComparison.Ordinal);
        Assert.Equal(shown.Replace("*", Redacted, StringComparison.Ordinal).Split(' '), entries[0][3].Items.Select(word => word.Text));
    }

    [Fact]
    public async Task The_commands_of_a_transaction_are_logged_and_exec_is_not()
    {
        await Line("MULTI");
        await Line("SET k v");
        Options.SlowlogLogSlowerThan = 0;
        await Line("EXEC");
        Options.SlowlogLogSlowerThan = -1;
        RespValue entry = Assert.Single((await Redis.LineAsync("SLOWLOG GET")).Items);
        Assert.Equal("SET k v", string.Join(' ', entry[3].Texts));
    }

    [Fact]
    public async Task A_script_and_its_commands_are_logged_with_the_caller()
    {
        await Line("CLIENT SETNAME caller");
        Options.SlowlogLogSlowerThan = 0;
        await Call("EVAL", "return redis.call('incr', KEYS[1])", "1", "k");
        Options.SlowlogLogSlowerThan = -1;
        RespValue entries = await Redis.LineAsync("SLOWLOG GET");
        Assert.Equal(["EVAL", "incr"], entries.Items.Select(entry => entry[3][0].Text));
        Assert.All(entries.Items, entry => Assert.Equal("caller", entry[5].Text));
    }

    [Fact]
    public async Task A_blocked_command_is_logged_once_it_is_served()
    {
        await using RespConnection other = await Server.ConnectAsync();
        Options.SlowlogLogSlowerThan = 0;
        await Redis.SendAsync("BLPOP", "l", "0");
        await Eventually.TrueAsync(() => Server.Store.BlockedCount == 1);
        Assert.Equal(0, Server.Server.Runner.Observer.SlowLog.Length);
        await other.LineAsync("LPUSH l a");
        Assert.Equal("l a", string.Join(' ', (await Redis.ReadAsync()).Texts));
        await other.LineAsync("CONFIG SET slowlog-log-slower-than -1");
        string[] entries = [.. Server.Server.Runner.Observer.SlowLog.Latest(100).Select(entry => Encoding.ASCII.GetString(entry.Arguments[0]))];
        Assert.Equal(["BLPOP", "LPUSH"], entries.Order());
    }

    [Fact]
    public async Task What_was_refused_is_not_logged()
    {
        Options.SlowlogLogSlowerThan = 0;
        await Line("GET");
        await Line("NOSUCH secret");
        Options.SlowlogLogSlowerThan = -1;
        Assert.Equal(":0", await Line("SLOWLOG LEN"));
    }
}
