using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class ConnectionCommandTests : GatewayTest
{
    [Theory]
    [InlineData("PING", "+PONG")]
    [InlineData("PING hello", "\"hello\"")]
    [InlineData("PING a b", "-ERR wrong number of arguments for 'ping' command")]
    [InlineData("ECHO hello", "\"hello\"")]
    [InlineData("RESET", "+RESET")]
    [InlineData("QUIT", "+OK")]
    [InlineData("AUTH secret", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")]
    [InlineData("AUTH default anything", "+OK")]
    [InlineData("AUTH nobody anything", "-WRONGPASS invalid username-password pair or user is disabled.")]
    [InlineData("AUTH a b c", "-ERR syntax error")]
    [InlineData("HELLO 4", "-NOPROTO unsupported protocol version")]
    [InlineData("HELLO three", "-ERR Protocol version is not an integer or out of range")]
    [InlineData("HELLO 3 BAD", "-ERR Syntax error in HELLO option 'BAD'")]
    [InlineData("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'")]
    [InlineData("HELLO 3 AUTH nobody x", "-WRONGPASS invalid username-password pair or user is disabled.")]
    [InlineData("HELLO 3 SETNAME a\u0001b", "-ERR Client names cannot contain spaces, newlines or special characters.")]
    public async Task A_command_alone_replies_as_redis_does(string line, string reply) => Assert.Equal(reply, await Line(line));

    [Fact]
    public async Task Hello_tells_the_server_and_switches_the_protocol()
    {
        RespValue two = await Redis.LineAsync("HELLO");
        Assert.Equal(RespKind.Array, two.Kind);
        Assert.Equal("2", two["proto"].Text);
        RespValue three = await Redis.LineAsync("HELLO 3 SETNAME me");
        Assert.Equal(RespKind.Map, three.Kind);
        Assert.Equal(["server", "redis", "version", ServerVersion.Redis, "proto", "3"], three.Items.Take(6).Select(item => item.Text));
        Assert.Equal("standalone", three["mode"].Text);
        Assert.Equal("master", three["role"].Text);
        Assert.Equal((await Redis.LineAsync("CLIENT ID")).Integer, three["id"].Integer);
        Assert.Equal("\"me\"", await Line("CLIENT GETNAME"));
        Assert.Equal("nil", await Line("GET missing"));
        Assert.Equal(RespKind.Array, (await Redis.LineAsync("HELLO 2")).Kind);
    }

    [Fact]
    public async Task A_hello_that_fails_changes_nothing()
    {
        await Line("HELLO 3 SETNAME me BAD");
        Assert.Equal("nil", await Line("CLIENT GETNAME"));
        Assert.Equal("2", (await Redis.LineAsync("HELLO"))["proto"].Text);
    }

    [Fact]
    public async Task Quit_closes_the_connection_after_all_replies()
    {
        await Redis.SendRawAsync("PING\r\nQUIT\r\nPING\r\n");
        Assert.Equal("+PONG\r\n+OK\r\n", System.Text.Encoding.ASCII.GetString(await Redis.ReadToEndAsync()));
    }

    [Fact]
    public async Task With_requirepass_only_authenticated_clients_run_commands()
    {
        Assert.Equal("+OK", await Call("CONFIG", "SET", "requirepass", "s\u00e9cret"));
        Assert.Equal("+PONG", await Line("PING")); // a client that was connected before stays authenticated
        await using RespConnection stranger = await Server.ConnectAsync();
        Assert.Equal("-NOAUTH Authentication required.", (await stranger.LineAsync("PING")).ToString());
        Assert.StartsWith("-NOAUTH HELLO must be called with the client already authenticated", (await stranger.LineAsync("HELLO 3")).ToString());
        Assert.StartsWith("-WRONGPASS", (await stranger.LineAsync("AUTH wrong")).ToString());
        byte[] password = System.Text.Encoding.Latin1.GetBytes("s\u00e9cret");
        Assert.StartsWith("-WRONGPASS", (await stranger.CallAsync("AUTH", "nobody", password)).ToString());
        Assert.Equal("-NOAUTH Authentication required.", (await stranger.LineAsync("GET a")).ToString());
        Assert.Equal(RespKind.Map, (await stranger.CallAsync("HELLO", "3", "AUTH", "default", password)).Kind);
        Assert.Equal("+PONG", (await stranger.LineAsync("PING")).ToString());
        Assert.Equal("+RESET", (await stranger.LineAsync("RESET")).ToString());
        Assert.Equal("-NOAUTH Authentication required.", (await stranger.LineAsync("PING")).ToString());
        Assert.Equal("+OK", (await stranger.CallAsync("AUTH", password)).ToString());
        Assert.Equal("+PONG", (await stranger.LineAsync("PING")).ToString());
    }

    [Fact]
    public async Task A_password_is_bytes()
    {
        for (int i = 0; i < 50; i++)
        {
            byte[] password = TestSeed.Bytes(1 + (i % 12));
            Assert.Equal("+OK", await Call("CONFIG", "SET", "requirepass", password));
            Assert.Equal(password, (await Redis.CallAsync("CONFIG", "GET", "requirepass"))[1].Bytes);
            await using RespConnection stranger = await Server.ConnectAsync();
            byte[] wrong = [.. password];
            wrong[^1] ^= 1;
            Assert.StartsWith("-WRONGPASS", (await stranger.CallAsync("AUTH", wrong)).ToString());
            Assert.Equal("+OK", (await stranger.CallAsync("AUTH", password)).ToString());
        }
    }

    [Fact]
    public async Task Reset_makes_the_connection_as_it_was()
    {
        await Line("HELLO 3 SETNAME me");
        await Line("SELECT 5");
        await Line("CLIENT NO-TOUCH ON");
        await Line("MULTI");
        Assert.Equal("+RESET", await Line("RESET"));
        string info = (await Redis.LineAsync("CLIENT INFO")).Text;
        Assert.Contains(" name= ", info);
        Assert.Contains(" db=0 ", info);
        Assert.Contains(" resp=2 ", info);
        Assert.Contains(" multi=-1 ", info);
        Assert.Contains(" flags=U ", info);
    }
}
