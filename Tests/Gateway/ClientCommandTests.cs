using System.Text.RegularExpressions;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed partial class ClientCommandTests : GatewayTest
{
    [Theory]
    [InlineData("CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.")]
    [InlineData("CLIENT", "-ERR wrong number of arguments for 'client' command")]
    [InlineData("CLIENT GETNAME", "nil")]
    [InlineData("CLIENT GETREDIR", ":-1")]
    [InlineData("CLIENT LIST TYPE strange", "-ERR Unknown client type 'strange'")]
    [InlineData("CLIENT LIST TYPE", "-ERR syntax error")]
    [InlineData("CLIENT LIST ID x", "-ERR Invalid client ID")]
    [InlineData("CLIENT LIST TYPE pubsub", "\"\"")]
    [InlineData("CLIENT KILL 1.2.3.4:5", "-ERR No such client")]
    [InlineData("CLIENT KILL ID x", "-ERR client-id should be greater than 0")]
    [InlineData("CLIENT KILL ID 0", "-ERR client-id should be greater than 0")]
    [InlineData("CLIENT KILL MAXAGE abc", "-ERR maxage is not an integer or out of range")]
    [InlineData("CLIENT KILL MAXAGE 0", "-ERR maxage should be greater than 0")]
    [InlineData("CLIENT KILL TYPE strange", "-ERR Unknown client type 'strange'")]
    [InlineData("CLIENT KILL USER nobody", "-ERR No such user 'nobody'")]
    [InlineData("CLIENT KILL SKIPME perhaps", "-ERR syntax error")]
    [InlineData("CLIENT KILL ID 1 TYPE", "-ERR syntax error")]
    [InlineData("CLIENT KILL STRANGE 1", "-ERR syntax error")]
    [InlineData("CLIENT KILL ID 123456", ":0")]
    [InlineData("CLIENT KILL TYPE normal", ":0")]
    [InlineData("CLIENT SETINFO lib-name a\tb", "-ERR lib-name cannot contain spaces, newlines or special characters.")]
    [InlineData("CLIENT SETINFO strange x", "-ERR Unrecognized option 'strange'")]
    [InlineData("CLIENT REPLY perhaps", "-ERR syntax error")]
    [InlineData("CLIENT NO-EVICT perhaps", "-ERR syntax error")]
    [InlineData("CLIENT NO-TOUCH perhaps", "-ERR syntax error")]
    [InlineData("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range")]
    [InlineData("CLIENT PAUSE -1", "-ERR timeout is negative")]
    [InlineData("CLIENT PAUSE 1 SOME", "-ERR CLIENT PAUSE mode must be WRITE or ALL")]
    [InlineData("CLIENT UNPAUSE", "+OK")]
    [InlineData("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range")]
    [InlineData("CLIENT UNBLOCK 1 PERHAPS", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")]
    [InlineData("CLIENT UNBLOCK 123456", ":0")]
    public async Task A_command_alone_replies_as_redis_does(string line, string reply) => Assert.Equal(reply, await Line(line));

    [Fact]
    public async Task List_and_info_show_who_is_connected()
    {
        await Line("CLIENT SETNAME first"); // before the other connection exists, so that this one has the lower id
        await using RespConnection other = await Server.ConnectAsync();
        await Line("CLIENT SETINFO LIB-NAME lib");
        await Line("CLIENT SETINFO LIB-VER 1.2");
        await other.LineAsync("SELECT 3");
        string[] lines = (await Redis.LineAsync("CLIENT LIST")).Text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        // The line that Redis's own tests expect.
        Assert.Matches(
            @"^id=\d+ addr=\S+:0 laddr=\S+:0 fd=\d+ name=first age=\d+ idle=\d+ flags=U db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 qbuf=26 qbuf-free=\d+ "
            + @"argv-mem=10 multi-mem=0 rbs=\d+ rbp=\d+ obl=0 oll=0 omem=0 tot-mem=\d+ events=r "
            + @"cmd=client\|list user=default redir=-1 resp=2 lib-name=lib lib-ver=1.2 tot-net-in=\d+ tot-net-out=\d+ tot-cmds=3$",
            lines[0]);
        Assert.Contains(" name= ", lines[1]);
        Assert.Contains(" db=3 ", lines[1]);
        Assert.Contains(" cmd=select ", lines[1]);
        Assert.Matches("^id=\\d+ .* cmd=client\\|info .*\n$", (await Redis.LineAsync("CLIENT INFO")).Text);
        long id = (await other.LineAsync("CLIENT ID")).Integer;
        Assert.Equal($"id={id}", (await Redis.CallAsync("CLIENT", "LIST", "ID", id, 99999)).Text.Split(' ')[0]);
        Assert.Equal(2, (await Redis.LineAsync("CLIENT LIST TYPE normal")).Text.Count(c => c == '\n'));
    }

    [Fact]
    public async Task What_has_been_parsed_of_a_request_is_no_longer_in_its_query_buffer()
    {
        await using RespConnection other = await Server.ConnectAsync();
        await other.LineAsync("CLIENT SETNAME other");
        await other.SendRawAsync("*3\r\n$4\r\nMSET\r\n$3\r\nkey\r\n$50000\r\n" + new string('x', 1000));
        await Eventually.TrueAsync(async () =>
            (await Redis.LineAsync("CLIENT LIST")).Text.Split('\n').Any(line => line.Contains(" name=other ") && line.Contains(" qbuf=1000 ")));
    }

    [Fact]
    public async Task Kill_ends_those_who_meet_every_filter()
    {
        await using RespConnection other = await Server.ConnectAsync();
        long id = (await other.LineAsync("CLIENT ID")).Integer, mine = (await Redis.LineAsync("CLIENT ID")).Integer;
        Assert.Equal(":0", await Call("CLIENT", "KILL", "ID", id, "TYPE", "pubsub"));
        Assert.Equal(":0", await Call("CLIENT", "KILL", "ID", id, "MAXAGE", 1000));
        Assert.Equal(":0", await Call("CLIENT", "KILL", "ID", mine));
        Assert.Equal(":1", await Call("CLIENT", "KILL", "ID", id, "USER", "default", "TYPE", "normal"));
        Assert.True(await other.IsClosedByServerAsync());
        Assert.Equal("+PONG", await Line("PING"));
        // A client that kills itself still gets its reply.
        Assert.Equal(":1", await Call("CLIENT", "KILL", "ID", mine, "SKIPME", "no"));
        Assert.True(await Redis.IsClosedByServerAsync());
    }

    [Fact]
    public async Task Kill_by_address_in_the_old_form()
    {
        string address = AddressField().Match((await Redis.LineAsync("CLIENT INFO")).Text).Groups[1].Value;
        Assert.Equal("+OK", await Call("CLIENT", "KILL", address));
        Assert.True(await Redis.IsClosedByServerAsync());
    }

    [Fact]
    public async Task Reply_off_on_and_skip()
    {
        await Redis.SendRawAsync(
            "CLIENT REPLY OFF\r\nPING a\r\nNOSUCH\r\nCLIENT REPLY SKIP\r\nPING b\r\nCLIENT REPLY ON\r\nPING c\r\nCLIENT REPLY SKIP\r\nPING d\r\nPING e\r\n");
        Assert.Equal("+OK", (await Redis.ReadAsync()).ToString());
        Assert.Equal("\"c\"", (await Redis.ReadAsync()).ToString());
        Assert.Equal("\"e\"", (await Redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task Pause_write_holds_writes_until_it_is_over_and_lets_reads_through()
    {
        await using RespConnection other = await Server.ConnectAsync();
        Assert.Equal("+OK", await Line("CLIENT PAUSE 100000 WRITE"));
        await other.SendAsync("SET", "k", "v");
        Assert.Equal("nil", await Line("GET k"));
        Assert.True(await other.IsSilentAsync(TimeSpan.FromMilliseconds(50)));
        Assert.Equal("+OK", await Line("CLIENT UNPAUSE"));
        Assert.Equal("+OK", (await other.ReadAsync()).ToString());
        Assert.Equal("\"v\"", await Line("GET k"));
    }

    [Fact]
    public async Task Pause_all_ends_by_itself_and_nothing_is_lost_or_reordered()
    {
        RespValue[] replies = await Redis.PipelineAsync(["CLIENT", "PAUSE", "30"], ["SET", "k", "1"], ["INCR", "k"], ["GET", "k"]);
        Assert.Equal(["+OK", "+OK", ":2", "\"2\""], replies.Select(reply => reply.ToString()));
    }

    [Fact]
    public async Task While_paused_expired_keys_are_missing_but_not_deleted()
    {
        await Line("SET k v PX 1");
        await Line("CLIENT PAUSE 100000 WRITE");
        await Eventually.TrueAsync(() => Server.Store.Clock.NowMs > 0 && Line("GET k").Result == "nil", () => "the key has not expired");
        Assert.Equal(":1", await Line("DBSIZE"));
        Assert.Equal(0, Server.Store.Statistics.ExpiredKeys);
        await Line("CLIENT UNPAUSE");
        Assert.Equal("nil", await Line("GET k"));
        Assert.Equal(":0", await Line("DBSIZE"));
    }

    [Fact]
    public async Task Unblock_ends_a_wait_as_if_by_timeout_or_with_an_error()
    {
        await using RespConnection other = await Server.ConnectAsync();
        long id = (await other.LineAsync("CLIENT ID")).Integer;
        await other.SendAsync("BLPOP", "list", 0);
        await Server.BlockedAsync(1);
        Assert.Contains(" flags=bU ", (await Redis.CallAsync("CLIENT", "LIST", "ID", id)).Text);
        Assert.Equal(":1", await Call("CLIENT", "UNBLOCK", id));
        Assert.Equal("nil", (await other.ReadAsync()).ToString());
        await other.SendAsync("BLPOP", "list", 0);
        await Server.BlockedAsync(1);
        Assert.Equal(":1", await Call("CLIENT", "UNBLOCK", id, "ERROR"));
        Assert.Equal("-UNBLOCKED client unblocked via CLIENT UNBLOCK", (await other.ReadAsync()).ToString());
        Assert.Equal(":0", await Call("CLIENT", "UNBLOCK", id));
    }

    [Fact]
    public async Task No_touch_leaves_the_idle_time_alone()
    {
        await Call("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu");
        await Line("SET k v");
        Assert.Equal("+OK", await Line("CLIENT NO-TOUCH ON"));
        Assert.Contains(" flags=UT ", (await Redis.LineAsync("CLIENT INFO")).Text);
        for (int i = 0; i < 100; i++) await Line("GET k");
        Assert.Equal(":5", await Line("OBJECT FREQ k"));
        Assert.Equal("+OK", await Line("CLIENT NO-TOUCH OFF"));
        for (int i = 0; i < 100; i++) await Line("GET k");
        Assert.NotEqual(":5", await Line("OBJECT FREQ k"));
    }

    [Fact]
    public async Task Idle_clients_are_closed_after_the_timeout()
    {
        await using RespConnection idle = await Server.ConnectAsync();
        await idle.LineAsync("PING");
        await Call("CONFIG", "SET", "timeout", 1);
        Assert.True(await idle.IsClosedByServerAsync());
    }

    [Fact]
    public async Task Flags_tell_what_a_client_is_at()
    {
        await using RespConnection other = await Server.ConnectAsync();
        long id = (await other.LineAsync("CLIENT ID")).Integer;
        ClientConnection connection = Server.Server.Clients.Find(id)!;
        Assert.Equal("U", await FlagsAsync(id));
        await other.LineAsync("CLIENT NO-TOUCH ON");
        await other.LineAsync("CLIENT NO-EVICT ON");
        Assert.Equal("UeT", await FlagsAsync(id));
        await other.LineAsync("WATCH k");
        await other.LineAsync("MULTI");
        Assert.Equal("xUeT", await FlagsAsync(id));
        await Line("SET k v");
        Assert.Equal("xdUeT", await FlagsAsync(id));
        await other.LineAsync("RESET");
        Assert.Equal("U", await FlagsAsync(id));
        foreach ((ClientClass client, string flags) in ((ClientClass, string)[])[(ClientClass.Replica, "SU"), (ClientClass.Master, "MU"),
            (ClientClass.PubSub, "PU"), (ClientClass.Normal, "U")])
        {
            connection.Class = client;
            Assert.Equal(flags, await FlagsAsync(id));
        }
        await Line("CLIENT PAUSE 100000 WRITE");
        await other.SendAsync("SET", "k", "v");
        await Eventually.TrueAsync(async () => await FlagsAsync(id) == "bU");
        await Line("CLIENT UNPAUSE");
        Assert.Equal("+OK", (await other.ReadAsync()).ToString());
        Assert.Equal("U", await FlagsAsync(id));
    }

    [Fact]
    public async Task Flags_of_a_client_that_does_not_read_tell_whether_it_is_blocked_unblocked_or_closing()
    {
        await Call("SET", "large", new string('x', 4 * 1024 * 1024));
        await using RespConnection other = await Server.ConnectAsync();
        long id = (await other.LineAsync("CLIENT ID")).Integer;
        await other.SendRawAsync("GET large\r\nGET large\r\nBLPOP list 0\r\nGET large\r\nQUIT\r\n");
        await Server.BlockedAsync(1);
        Assert.Equal("bU", await FlagsAsync(id));
        await Line("RPUSH list a");
        // It goes on once its earlier replies are sent.
        await Eventually.TrueAsync(async () => await FlagsAsync(id) == "uU");
        for (int i = 0; i < 2; i++) await other.ReadAsync();
        await Eventually.TrueAsync(async () => await FlagsAsync(id) == "cU");
        Assert.Equal("""["list", "a"]""", (await other.ReadAsync()).ToString());
    }

    [Fact]
    public async Task Flags_of_a_killed_client_whose_command_is_not_over_say_so()
    {
        await using RespConnection other = await Server.ConnectAsync();
        long id = (await other.LineAsync("CLIENT ID")).Integer;
        await Server.Store.SiloGate.EnterExclusiveAsync();
        await other.SendAsync("FLUSHALL");
        ClientConnection connection = Server.Server.Clients.Find(id)!;
        await Eventually.TrueAsync(() => connection.PendingInputBytes > 0);
        connection.Kill();
        Assert.Contains(" flags=AU ", connection.Describe(0));
        Server.Store.SiloGate.ExitExclusive();
        await Eventually.TrueAsync(() => Server.Server.Clients.Find(id) is null);
    }

    [Theory]
    [InlineData(ClientClass.Normal, "normal")]
    [InlineData(ClientClass.Master, "master")]
    [InlineData(ClientClass.Replica, "replica")]
    [InlineData(ClientClass.Replica, "slave")]
    [InlineData(ClientClass.PubSub, "pubsub")]
    public async Task List_and_kill_go_by_the_class_of_a_client(ClientClass which, string name)
    {
        // The client that asks is of another class.
        (await ServerSideAsync(Redis)).Class = which == ClientClass.Normal ? ClientClass.PubSub : ClientClass.Normal;
        await using RespConnection other = await Server.ConnectAsync();
        long id = (await other.LineAsync("CLIENT ID")).Integer;
        ClientConnection connection = Server.Server.Clients.Find(id)!;
        connection.Class = which;
        Assert.StartsWith($"id={id} ",
            Assert.Single((await Redis.LineAsync($"CLIENT LIST TYPE {name}")).Text.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
        foreach (string another in (string[])["normal", "master", "replica", "pubsub"])
        {
            if (another == (name == "slave" ? "replica" : name)) continue;
            Assert.Equal(":0", await Call("CLIENT", "KILL", "ID", id, "TYPE", another));
        }
        Assert.Equal(":1", await Line($"CLIENT KILL TYPE {name}"));
        Assert.True(await other.IsClosedByServerAsync());
    }

    private async Task<string> FlagsAsync(long id) =>
        FlagsField().Match((await Redis.CallAsync("CLIENT", "LIST", "ID", id)).Text).Groups[1].Value;

    [GeneratedRegex(@" flags=(\S+) ")]
    private static partial Regex FlagsField();

    [GeneratedRegex(@" addr=(\S+) ")]
    private static partial Regex AddressField();
}
