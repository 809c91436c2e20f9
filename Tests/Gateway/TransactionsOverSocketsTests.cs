using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>MULTI and EXEC as a client sees them.</summary>
public sealed class TransactionsOverSocketsTests : GatewayTest
{
    [Fact]
    public async Task Exec_with_arguments_discards_the_transaction()
    {
        RespValue[] replies = await Redis.PipelineAsync(["MULTI"], ["SET", "k", "v"], ["EXEC", "now"], ["GET", "k"], ["EXEC"]);
        Assert.Equal(
            ["+OK", "+QUEUED", "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command", "nil", "-ERR EXEC without MULTI"],
            replies.Select(reply => reply.ToString()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_queue_beyond_the_query_buffer_limit_ends_the_client(bool inline)
    {
        Assert.Equal("+OK", await Line("CONFIG SET client-query-buffer-limit 1mb"));
        await using RespConnection client = await Server.ConnectAsync();
        Assert.Equal("+OK", (await client.LineAsync("MULTI")).ToString());
        string value = new('x', 60_000);
        int queued = 0;
        while (await QueueAsync())
        {
            queued++;
            Assert.InRange(queued, 0, 20);
        }
        Assert.InRange(queued, 15, 18);
        await Eventually.TrueAsync(() => Server.Server.Clients.Count == 1);
        Assert.Equal("nil", await Line("GET k"));

        async Task<bool> QueueAsync()
        {
            if (inline) await client.SendRawAsync($"SET k {value}\r\n");
            else await client.SendAsync("SET", "k", value);
            try
            {
                return (await client.ReadAsync()).ToString() == "+QUEUED";
            }
            catch (Exception)
            {
                return false; // the connection is closed
            }
        }
    }

    [Fact]
    public async Task A_queue_that_was_discarded_does_not_count()
    {
        Assert.Equal("+OK", await Line("CONFIG SET client-query-buffer-limit 1mb"));
        string value = new('x', 400_000);
        for (int i = 0; i < 5; i++)
        {
            RespValue[] replies = await Redis.PipelineAsync(["MULTI"], ["SET", "k", value], ["SET", "k", value], i % 2 == 0 ? ["EXEC"] : ["DISCARD"]);
            Assert.Equal("+QUEUED", replies[2].ToString());
        }
        Assert.Equal(":400000", await Line("STRLEN k"));
    }

    [Theory]
    [InlineData("OFF", false)]
    [InlineData("SKIP", false)]
    [InlineData("ON", true)]
    public async Task Client_reply_in_a_transaction_takes_effect_after_exec(string mode, bool replies)
    {
        RespValue[] transaction = await Redis.PipelineAsync(["MULTI"], ["SET", "k", "1"], ["CLIENT", "REPLY", mode], ["GET", "k"], ["EXEC"]);
        Assert.Equal(["+OK", "+QUEUED", "+QUEUED", "+QUEUED"], transaction[..4].Select(reply => reply.ToString()));
        Assert.Equal("""[+OK, +OK, "1"]""", transaction[4].ToString());
        await Redis.SendRawAsync("PING first\r\nPING second\r\nCLIENT REPLY ON\r\n");
        string[] expected = mode switch
        {
            "OFF" => ["+OK"],
            "SKIP" => ["\"second\"", "+OK"],
            _ => ["\"first\"", "\"second\"", "+OK"],
        };
        Assert.Equal(replies, expected.Length == 3);
        foreach (string reply in expected) Assert.Equal(reply, (await Redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task Whatever_a_transaction_does_to_replies_those_that_are_sent_are_whole()
    {
        var random = TestSeed.Random();
        string[] modes = ["ON", "OFF", "SKIP"];
        for (int round = 0; round < 50; round++)
        {
            // Replies are switched off or skipped outside, too.
            List<RespArgument[]> commands = random.Next(3) == 0 ? [["CLIENT", "REPLY", modes[random.Next(1, 3)]]] : [];
            commands.Add(["MULTI"]);
            int queued = random.Next(1, 6);
            for (int i = 0; i < queued; i++) commands.Add(random.Next(2) == 0 ? ["CLIENT", "REPLY", modes[random.Next(3)]] : ["SET", "k", i]);
            commands.Add(["EXEC"]);
            commands.Add(["CLIENT", "REPLY", "ON"]);
            commands.Add(["PING", $"end {round}"]);
            foreach (RespArgument[] command in commands) await Redis.SendAsync(command);
            RespValue reply;
            while ((reply = await Redis.ReadAsync()).ToString() != $"\"end {round}\"")
            {
                if (reply.Kind == RespKind.Array) Assert.Equal(Enumerable.Repeat("+OK", queued), reply.Items.Select(item => item.ToString()));
                else Assert.Contains(reply.ToString(), (string[])["+OK", "+QUEUED"]);
            }
        }
    }

    [Fact]
    public async Task Pause_write_holds_pfcount_which_may_change_its_key()
    {
        await using RespConnection other = await Server.ConnectAsync();
        await Line("PFADD h a b");
        Assert.Equal("+OK", await Line("CLIENT PAUSE 100000 WRITE"));
        await other.SendAsync("PFCOUNT", "h");
        Assert.True(await other.IsSilentAsync(TimeSpan.FromMilliseconds(50)));
        Assert.Contains("blocked_clients:1\r\n", (await Redis.LineAsync("INFO clients")).Text);
        Assert.Equal("+OK", await Line("CLIENT UNPAUSE"));
        Assert.Contains("blocked_clients:0\r\n", (await Redis.LineAsync("INFO clients")).Text);
        Assert.Equal(":2", (await other.ReadAsync()).ToString());
    }
}
