using System.Globalization;
using System.Text.RegularExpressions;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>How large a client's reply buffer is: what CLIENT LIST calls rbs, and its peak, rbp.</summary>
public sealed class ReplyBufferTests : GatewayTest
{
    [Theory]
    [InlineData("DEBUG REPLYBUFFER PEAK-RESET-TIME 100", "+OK")]
    [InlineData("DEBUG REPLYBUFFER peak-reset-time never", "+OK")]
    [InlineData("DEBUG REPLYBUFFER PEAK-RESET-TIME RESET", "+OK")]
    [InlineData("DEBUG REPLYBUFFER PEAK-RESET-TIME soon", "-ERR value is not an integer or out of range")]
    [InlineData("DEBUG REPLYBUFFER RESIZING 0", "+OK")]
    [InlineData("DEBUG REPLYBUFFER COPYING 0", "-ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.")]
    [InlineData("DEBUG REPLYBUFFER RESIZING", "-ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.")]
    public async Task Debug_replies_as_redis_does(string line, string reply)
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        Assert.Equal(reply, await Line(line));
    }

    [Fact]
    public async Task An_idle_client_comes_down_to_a_kilobyte_and_what_follows_is_whole()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        await using RespConnection other = await NamedAsync();
        await other.CallAsync("SET", "large", new string('x', 30_000));
        await Line("DEBUG REPLYBUFFER PEAK-RESET-TIME 100");
        for (int round = 0; round < 3; round++)
        {
            await Eventually.TrueAsync(async () => await FieldAsync("rbs") == 1024);
            Assert.Equal(new string('y', 3000), (await other.CallAsync("ECHO", new string('y', 3000))).Text);
            Assert.Equal(new string('x', 30_000), (await other.CallAsync("GET", "large")).Text);
        }
        Assert.Matches("\r\nreply_buffer_shrinks:[1-9]", (await Redis.LineAsync("INFO stats")).Text);
        Assert.Matches("\r\nreply_buffer_expands:\\d", (await Redis.LineAsync("INFO stats")).Text);
    }

    [Theory]
    [InlineData("PEAK-RESET-TIME never", "PEAK-RESET-TIME 1")]
    [InlineData("RESIZING 0", "RESIZING 1")]
    public async Task A_buffer_that_was_needed_stays_if_asked_to(string stay, string goOn)
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        await Line("DEBUG REPLYBUFFER PEAK-RESET-TIME 1");
        await Line($"DEBUG REPLYBUFFER {stay}");
        await using RespConnection other = await NamedAsync();
        await other.CallAsync("SET", "large", new string('x', 30_000));
        await other.CallAsync("GET", "large");
        Assert.InRange(await FieldAsync("rbp"), 30_000, 30_100);
        long room = await FieldAsync("rbs");
        Assert.InRange(room, 30_000, 65_536);
        for (int i = 0; i < 5; i++)
        {
            Server.Server.Housekeeping.RunUnlessOver();
            await other.LineAsync("PING"); // after what it was asked to do meanwhile
        }
        Assert.Equal(room, await FieldAsync("rbs"));
        await Line($"DEBUG REPLYBUFFER {goOn}");
        await Eventually.TrueAsync(async () => await FieldAsync("rbs") == 1024 && await FieldAsync("rbp") < 1024);
    }

    private async Task<RespConnection> NamedAsync()
    {
        RespConnection client = await Server.ConnectAsync();
        await client.LineAsync("CLIENT SETNAME other");
        return client;
    }

    private async Task<long> FieldAsync(string field)
    {
        string line = (await Redis.LineAsync("CLIENT LIST")).Text.Split('\n').Single(line => line.Contains(" name=other ", StringComparison.Ordinal));
        return long.Parse(Regex.Match(line, $@" {field}=(\d+) ").Groups[1].Value, CultureInfo.InvariantCulture);
    }
}
