using System.Globalization;
using System.Text.RegularExpressions;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class MonitorTests : GatewayTest
{
    /// <summary>What the monitor is shown, up to and including a PING that is sent now, without the times.</summary>
    private async Task<string[]> ShownAsync(RespConnection monitor)
    {
        await using RespConnection other = await Server.ConnectAsync();
        await other.LineAsync("PING the-end");
        var lines = new List<string>();
        while (true)
        {
            string line = (await monitor.ReadAsync()).ToString();
            Assert.Matches(@"^\+\d+\.\d{6} \[\d+ ", line);
            line = line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..];
            if (line.EndsWith("\"PING\" \"the-end\"", StringComparison.Ordinal)) return [.. lines];
            lines.Add(line.Replace($"unix:{Options.UnixSocket}", "me", StringComparison.Ordinal));
        }
    }

    private async Task<RespConnection> MonitorAsync()
    {
        RespConnection monitor = await Server.ConnectAsync();
        Assert.Equal("+OK", (await monitor.LineAsync("MONITOR")).ToString());
        return monitor;
    }

    [Fact]
    public async Task Commands_are_shown_with_their_database_client_and_arguments()
    {
        await using RespConnection monitor = await MonitorAsync();
        await Line("SET foo bar");
        await Line("SELECT 3");
        await Call("set", "a\"b\\c", "line\r\n\t\a\b\x01\xff");
        await Line("GET"); // refused, so it is not run
        await Line("NOSUCH");
        await Line("CONFIG GET port"); // for administrators
        Assert.Equal(
            ["[0 me] \"SET\" \"foo\" \"bar\"", "[3 me] \"SELECT\" \"3\"", """[3 me] "set" "a\"b\\c" "line\r\n\t\a\b\x01\xff" """.TrimEnd()],
            await ShownAsync(monitor));
    }

    [Fact]
    public async Task The_commands_of_a_transaction_come_between_multi_and_exec()
    {
        await using RespConnection monitor = await MonitorAsync();
        foreach (string line in new[] { "MULTI", "SET foo bar", "INCR n", "EXEC" }) await Line(line);
        Assert.Equal(["[0 me] \"MULTI\"", "[0 me] \"SET\" \"foo\" \"bar\"", "[0 me] \"INCR\" \"n\"", "[0 me] \"EXEC\""], await ShownAsync(monitor));
    }

    [Fact]
    public async Task A_script_comes_before_its_commands_and_each_once()
    {
        await using RespConnection monitor = await MonitorAsync();
        const string script = "redis.call('set', KEYS[1], ARGV[1]) redis.call('get', 'undeclared') return redis.call('incr', 'another')";
        // The first run is on a thread of its own; later ones know that they reach undeclared keys.
        for (int i = 0; i < 3; i++)
        {
            await Call("EVAL", script, "1", "foo", "bar");
            Assert.Equal(
                [
                    $"[0 me] \"EVAL\" \"{script}\" \"1\" \"foo\" \"bar\"", "[0 lua] \"set\" \"foo\" \"bar\"", "[0 lua] \"get\" \"undeclared\"",
                    "[0 lua] \"incr\" \"another\"",
                ],
                await ShownAsync(monitor));
        }
        await Line("EVALSHA 0123456789012345678901234567890123456789 0");
        Assert.Equal(["[0 me] \"EVALSHA\" \"0123456789012345678901234567890123456789\" \"0\""], await ShownAsync(monitor));
    }

    [Fact]
    public async Task A_script_that_begins_anew_to_reach_further_is_shown_once()
    {
        await using RespConnection monitor = await MonitorAsync();
        const string script = "redis.call('get', KEYS[1]) if ARGV[1] == '1' then redis.call('get', 'other') end return 1";
        foreach (string further in new[] { "0", "0", "1", "1" })
        {
            await Call("EVAL", script, "1", "foo", further);
            string[] shown = await ShownAsync(monitor);
            Assert.Equal(further == "1" ? 3 : 2, shown.Length);
            Assert.StartsWith("[0 me] \"EVAL\"", shown[0], StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_blocked_command_is_shown_once()
    {
        await using RespConnection monitor = await MonitorAsync();
        await Redis.SendAsync("BLPOP", "l", "0");
        await Server.BlockedAsync(1);
        await using RespConnection other = await Server.ConnectAsync();
        await other.LineAsync("LPUSH l 1");
        await Redis.ReadAsync();
        Assert.Equal(["[0 me] \"BLPOP\" \"l\" \"0\"", "[0 me] \"LPUSH\" \"l\" \"1\""], await ShownAsync(monitor));
    }

    [Fact]
    public async Task Secrets_are_not_shown()
    {
        await using RespConnection monitor = await MonitorAsync();
        await Line("AUTH secret");
        await Line("HELLO 3 AUTH default secret");
        await Line("CONFIG SET requirepass secret");
        await Call("CONFIG", "SET", "requirepass", "");
        Assert.Equal(["[0 me] \"AUTH\" \"(redacted)\"", "[0 me] \"HELLO\" \"3\" \"AUTH\" \"(redacted)\" \"(redacted)\""], await ShownAsync(monitor));
    }

    [Fact]
    public async Task It_ends_with_reset_and_with_the_connection()
    {
        RespConnection monitor = await MonitorAsync();
        Assert.Contains(" flags=OU ", (await Redis.LineAsync("CLIENT LIST")).Text, StringComparison.Ordinal);
        await monitor.SendAsync("RESET");
        while ((await monitor.ReadAsync()).ToString() != "+RESET")
        {
        }
        Assert.False(Server.Store.Monitors.Any);
        await monitor.SendAsync("MONITOR");
        await Eventually.TrueAsync(() => Server.Store.Monitors.Any);
        await monitor.DisposeAsync();
        await Eventually.TrueAsync(() => !Server.Store.Monitors.Any);
    }

    [Fact]
    public async Task In_a_transaction_it_is_refused()
    {
        await Line("MULTI");
        await Line("MONITOR");
        Assert.Equal("[-ERR MONITOR isn't allowed for DENY BLOCKING client]", await Line("EXEC"));
        Assert.False(Server.Store.Monitors.Any);
    }

    /// <summary>Whoever increments a key is shown in the order in which it was done, though two connections do it at once.</summary>
    [Fact]
    public async Task Commands_on_one_key_are_shown_in_the_order_in_which_they_were_run()
    {
        await using RespConnection monitor = await MonitorAsync();
        await using RespConnection other = await Server.ConnectAsync();
        const int Each = 300;
        async Task<string[]> AppendAsync(RespConnection client, string letter)
        {
            RespValue[] replies = await client.PipelineAsync([.. Enumerable.Range(0, Each).Select(i => (RespArgument[])["APPEND", "k", $"{letter}{i:D3}"])]);
            return [.. replies.Select(reply => reply.ToString())];
        }
        await Task.WhenAll(AppendAsync(Redis, "a"), AppendAsync(other, "b"));
        string shown = string.Concat((await ShownAsync(monitor)).Select(line => Regex.Match(line, "\"APPEND\" \"k\" \"(.*)\"").Groups[1].Value));
        Assert.Equal((await Redis.LineAsync("GET k")).Text, shown);
    }

    [Fact]
    public async Task Times_do_not_run_backwards()
    {
        await using RespConnection monitor = await MonitorAsync();
        for (int i = 0; i < 20; i++) await Call("EVAL", "redis.call('incr', KEYS[1]) return redis.call('incr', KEYS[1])", "1", "k");
        var times = new List<decimal>();
        for (int i = 0; i < 60; i++) times.Add(decimal.Parse((await monitor.ReadAsync()).ToString()[1..].Split(' ')[0], CultureInfo.InvariantCulture));
        Assert.Equal(times.Order(), times);
    }
}
