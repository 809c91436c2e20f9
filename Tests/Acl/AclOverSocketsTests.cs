using System.Net;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>Connections and their users: AUTH, HELLO, RESET, and what happens to them when users change.</summary>
public sealed class AclOverSocketsTests : GatewayTest
{
    private const string WrongPassword = "-WRONGPASS invalid username-password pair or user is disabled.";

    [Fact]
    public async Task A_connection_begins_as_the_default_user_and_becomes_another_by_its_password()
    {
        Assert.Equal("\"default\"", await Line("ACL WHOAMI"));
        await Line("ACL SETUSER alice on >pw +acl +client ~a");
        Assert.Equal(WrongPassword, await Line("AUTH alice wrong"));
        Assert.Equal("\"default\"", await Line("ACL WHOAMI"));
        Assert.Equal("+OK", await Line("AUTH alice pw"));
        Assert.Equal("\"alice\"", await Line("ACL WHOAMI"));
        Assert.Equal("-NOPERM User alice has no permissions to run the 'ping' command", await Line("PING"));
        Assert.Contains(" user=alice ", (await Redis.LineAsync("CLIENT INFO")).Text, StringComparison.Ordinal);
        Assert.Equal("+RESET", await Line("RESET"));
        Assert.Equal("\"default\"", await Line("ACL WHOAMI"));
        Assert.Equal(RespKind.Map, (await Redis.LineAsync("HELLO 3 AUTH alice pw")).Kind);
        Assert.Equal("\"alice\"", await Line("ACL WHOAMI"));
        Assert.Equal(WrongPassword, await Line("HELLO 3 AUTH nobody pw"));
        Assert.Equal("-ERR Syntax error in HELLO option 'BAD'", await Line("HELLO 3 AUTH default x BAD"));
        Assert.Equal("\"alice\"", await Line("ACL WHOAMI"));
        IEnumerable<AclLogEntry> failures = Server.Store.Acl.Denials.Latest(9).Where(entry => entry.Reason == AclReason.Auth);
        Assert.Equal(["AUTH", "HELLO"], failures.Select(entry => entry.Object).Order());
    }

    [Fact]
    public async Task With_the_default_user_off_one_must_authenticate_first()
    {
        await Line("ACL SETUSER alice on >pw +@all ~*");
        await Line("ACL SETUSER default off");
        Assert.Equal("+PONG", await Line("PING")); // a connection that is there stays who it is
        await using RespConnection stranger = await Server.ConnectAsync();
        Assert.Equal("-NOAUTH Authentication required.", (await stranger.LineAsync("PING")).ToString());
        Assert.StartsWith(
            "-NOAUTH HELLO must be called with the client already authenticated", (await stranger.LineAsync("HELLO 3")).ToString(), StringComparison.Ordinal);
        Assert.Equal(WrongPassword, (await stranger.LineAsync("AUTH default x")).ToString());
        Assert.Equal("+OK", (await stranger.LineAsync("AUTH alice pw")).ToString());
        Assert.Equal("+PONG", (await stranger.LineAsync("PING")).ToString());
        await using RespConnection another = await Server.ConnectAsync();
        Assert.Equal("-NOAUTH Authentication required.", (await another.LineAsync("PING")).ToString());
        await Line("ACL SETUSER default on");
        Assert.Equal("+PONG", (await another.LineAsync("PING")).ToString());
        await Line("ACL SETUSER default >pw");
        Assert.Equal("-NOAUTH Authentication required.", (await another.LineAsync("PING")).ToString());
    }

    [Fact]
    public async Task A_default_user_without_rights_can_still_become_another()
    {
        await Line("ACL SETUSER alice on >pw +@all");
        await Line("ACL SETUSER default -@all");
        Assert.Equal("-NOPERM User default has no permissions to run the 'ping' command", await Line("PING"));
        Assert.Equal(RespKind.Map, (await Redis.LineAsync("HELLO 3 AUTH alice pw")).Kind);
        Assert.Equal("+PONG", await Line("PING"));
    }

    [Fact]
    public async Task New_rules_hold_for_connections_that_are_there_and_for_the_rest_of_a_pipeline()
    {
        await Line("ACL SETUSER alice on nopass +get +acl ~*");
        await using RespConnection alice = await Server.ConnectAsync();
        await alice.LineAsync("AUTH alice x");
        await Line("ACL SETUSER alice +set");
        Assert.Equal("+OK", (await alice.LineAsync("SET a 1")).ToString());
        RespValue[] replies = await alice.PipelineAsync(["GET", "a"], ["ACL", "SETUSER", "alice", "-get"], ["GET", "a"], ["SET", "a", "2"]);
        Assert.Equal(["\"1\"", "+OK", "-NOPERM User alice has no permissions to run the 'get' command", "+OK"], replies.Select(reply => reply.ToString()));
    }

    [Fact]
    public async Task A_deleted_user_is_disconnected_after_its_own_reply()
    {
        await Line("ACL SETUSER alice on nopass +@all ~*");
        await using RespConnection alice = await Server.ConnectAsync(), blocked = await Server.ConnectAsync(), other = await Server.ConnectAsync();
        await alice.LineAsync("AUTH alice x");
        await blocked.LineAsync("AUTH alice x");
        await other.LineAsync("PING");
        await blocked.SendAsync("BLPOP", "list", "0");
        await Server.BlockedAsync(1);
        await alice.SendRawAsync("ACL DELUSER alice nobody\r\nSET a 1\r\n");
        Assert.Equal(":1\r\n", Encoding.ASCII.GetString(await alice.ReadToEndAsync()));
        Assert.True(await blocked.IsClosedByServerAsync());
        Assert.Equal("+PONG", (await other.LineAsync("PING")).ToString());
        Assert.Equal(":0", await Line("EXISTS a"));
        Assert.Equal("-ERR The 'default' user cannot be removed", await Line("ACL DELUSER default"));
        await Server.BlockedAsync(0);
    }

    [Fact]
    public async Task Loading_users_ends_the_connections_of_those_who_are_gone()
    {
        File.WriteAllText(Path.Combine(Options.Dir, "users.acl"), "user alice on nopass +@all ~*\n");
        await Line("ACL SETUSER alice on nopass +@all ~*");
        await Line("ACL SETUSER bob on nopass +@all ~*");
        Options.AclFile = "users.acl";
        await using RespConnection alice = await Server.ConnectAsync(), bob = await Server.ConnectAsync();
        await alice.LineAsync("AUTH alice x");
        await bob.LineAsync("AUTH bob x");
        await bob.SendAsync("ACL", "LOAD");
        Assert.Equal("+OK\r\n", Encoding.ASCII.GetString(await bob.ReadToEndAsync()));
        Assert.Equal("\"alice\"", (await alice.LineAsync("ACL WHOAMI")).ToString());
    }

    [Fact]
    public async Task Clients_can_be_killed_by_user()
    {
        await Line("ACL SETUSER alice on nopass +@all ~*");
        await using RespConnection first = await Server.ConnectAsync(), second = await Server.ConnectAsync();
        await first.LineAsync("AUTH alice x");
        await second.LineAsync("AUTH alice x");
        Assert.Equal("-ERR No such user 'nobody'", await Line("CLIENT KILL USER nobody"));
        Assert.Equal(2, (await Redis.LineAsync("CLIENT LIST")).Text.Split('\n').Count(line => line.Contains(" user=alice ", StringComparison.Ordinal)));
        Assert.Equal(":2", await Line("CLIENT KILL USER alice"));
        Assert.True(await first.IsClosedByServerAsync());
        Assert.True(await second.IsClosedByServerAsync());
        Assert.Equal(":0", await Line("CLIENT KILL USER default"));
    }

    [Fact]
    public async Task Denials_are_counted_and_say_which_client_it_was()
    {
        await Line("ACL SETUSER alice on nopass +get ~a");
        await using RespConnection alice = await Server.ConnectAsync();
        await alice.LineAsync("CLIENT SETNAME me");
        await alice.LineAsync("AUTH alice x");
        await alice.LineAsync("GET b");
        await alice.LineAsync("GET b");
        await alice.LineAsync("SET a 1");
        await alice.LineAsync("AUTH nobody x");
        RespValue entry = (await Redis.LineAsync("ACL LOG"))[2];
        Assert.Equal(("key", "2"), (entry["reason"].Text, entry["count"].Text));
        Assert.Matches("^id=[0-9]+ addr=.* name=me .* cmd=get user=alice ", entry["client-info"].Text);
        string[] info = (await Redis.LineAsync("INFO stats")).Text.Split("\r\n");
        Assert.Contains("acl_access_denied_auth:1", info);
        Assert.Contains("acl_access_denied_cmd:1", info);
        Assert.Contains("acl_access_denied_key:2", info);
        Assert.Contains("acl_access_denied_channel:0", info);
        Assert.Contains("errorstat_NOPERM:count=3", (await Redis.LineAsync("INFO errorstats")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whoever_is_allowed_nothing_can_do_nothing_in_any_way()
    {
        await Line("ACL SETUSER alice on nopass");
        await Line("AUTH alice x");
        string[] lines =
        [
            "GET a", "get a", "MULTI", "CONFIG GET *", "CLIENT ID", "DEBUG OBJECT a", "COMMAND", "COMMAND COUNT", "ACL WHOAMI", "PING", "SELECT 1",
            "KEYS *", "SHUTDOWN", "INFO",
        ];
        foreach (string line in lines)
            Assert.StartsWith("-NOPERM User alice has no permissions to run the '", await Line(line), StringComparison.Ordinal);
        Assert.Equal(
            "-EXECABORT Transaction discarded because of: NOPERM User alice has no permissions to run the 'exec' command", await Line("EXEC"));
        // These come before permissions.
        Assert.StartsWith("-ERR unknown command", await Line("nothing"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR wrong number of arguments", await Line("GET"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR wrong number of arguments", await Line("CONFIG"), StringComparison.Ordinal);
        // And these are for getting them.
        Assert.Equal("+RESET", await Line("RESET"));
        await Line("AUTH alice x");
        Assert.Equal("+OK", await Line("QUIT"));
    }

    [Fact]
    public async Task Any_user_that_does_not_exist_looks_like_a_wrong_password() => Assert.Equal(WrongPassword, await Line("AUTH nobody x"));

    [Theory]
    [InlineData("AUTH|secret", "1")]
    [InlineData("AUTH|alice|secret", "1 2")]
    [InlineData("HELLO|3|auth|alice|secret|SETNAME|me", "3 4")]
    [InlineData("HELLO|3|SETNAME|me", "")]
    [InlineData("ACL|SETUSER|alice|>secret", "2 3")]
    [InlineData("ACL|GETUSER|alice", "2")]
    [InlineData("CONFIG|SET|timeout|1|RequirePass|secret", "5")]
    [InlineData("CONFIG|GET|requirepass", "")]
    [InlineData("SET|a|secret", "")]
    public void Secrets_are_marked(string words, string hidden)
    {
        OrleansRedis.Engine.Request request = AclRuleGenerator.Owned(words.Split('|')).Request;
        CommandInfo command = Server.Server.Commands.Resolve(request)!;
        var found = new List<int>();
        for (int i = 0; i < request.Count; i++)
        {
            if (SecretArguments.Covers(command, request, i)) found.Add(i);
        }
        Assert.Equal(hidden, string.Join(' ', found));
    }

    [Theory]
    [InlineData("10.1.2.3", "10.1.2.3")]
    [InlineData("::ffff:10.1.2.3", "10.1.2.3")]
    [InlineData("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
    [InlineData("::1", "::")]
    public void Addresses_are_told_apart_by_host_or_by_network(string address, string origin) =>
        Assert.Equal(origin, AuthThrottle.OriginOf(new IPEndPoint(IPAddress.Parse(address), 1234)));

    [Fact]
    public async Task Over_the_unix_socket_one_comes_from_nowhere_and_may_guess()
    {
        Options.AuthFailuresPerMinute = 1;
        Assert.Equal("", (await ServerSideAsync(Redis)).Origin);
        for (int i = 0; i < 3; i++) Assert.Equal(WrongPassword, await Line("AUTH nobody x"));
    }
}
