using System.Text.RegularExpressions;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// The filters of CLIENT LIST and CLIENT KILL, which are Valkey 9's, with the errors of Redis 7.4 where it has them; and
/// the counters in CLIENT LIST. What is about IP addresses is tried by <see cref="Clients.RedisCliTests"/>: these
/// clients come through a Unix domain socket.
/// </summary>
public sealed partial class ClientFilterTests : GatewayTest
{
    [Theory]
    [InlineData("", "asker a b c")]
    [InlineData("NAME a", "a")]
    [InlineData("name b NAME a", "a")]
    [InlineData("NAME nobody", "")]
    [InlineData("NOT-NAME a not-name b", "asker a c")]
    [InlineData("DB 3", "a")]
    [InlineData("NOT-DB 0", "a")]
    [InlineData("FLAGS x", "b")]
    [InlineData("FLAGS eT", "c")]
    [InlineData("FLAGS ex", "")]
    [InlineData("FLAGS N", "")]
    [InlineData("FLAGS U", "asker a b c")]
    [InlineData("NOT-FLAGS x", "asker a c")]
    [InlineData("NOT-FLAGS xe", "asker a b c")]
    [InlineData("NOT-FLAGS N", "asker a b c")]
    [InlineData("LIB-NAME lib", "a")]
    [InlineData("NOT-LIB-NAME lib", "asker b c")]
    [InlineData("LIB-VER 1.0", "a")]
    [InlineData("NOT-LIB-VER 1.0 NOT-DB 1", "asker b c")]
    [InlineData("SKIPME YES", "a b c")]
    [InlineData("SKIPME no", "asker a b c")]
    [InlineData("SKIPME no SKIPME yes NAME asker", "")]
    [InlineData("USER default", "asker a b c")]
    [InlineData("NOT-USER default", "")]
    [InlineData("TYPE normal", "asker a b c")]
    [InlineData("TYPE primary", "")]
    [InlineData("NOT-TYPE normal", "")]
    [InlineData("NOT-TYPE normal NOT-TYPE pubsub", "asker a b c")]
    [InlineData("MAXAGE 100000", "")]
    [InlineData("IDLE 100000", "")]
    [InlineData("CAPA r", "")]
    [InlineData("NOT-CAPA r", "asker a b c")]
    [InlineData("IP 127.0.0.1", "")]
    [InlineData("NOT-IP 127.0.0.1", "asker a b c")]
    [InlineData("ADDR {address}", "asker a b c")]
    [InlineData("NOT-ADDR {address}", "")]
    [InlineData("LADDR {address} NOT-LADDR x:1", "asker a b c")]
    [InlineData("ID {a} {c}", "a c")]
    [InlineData("ID {c} {a}", "c a")]
    [InlineData("ID {a} ID {c} {b} DB 0", "c b")]
    [InlineData("ID {a} NAME c", "")]
    [InlineData("ID 0", "")]
    [InlineData("NOT-ID {a} {b}", "asker c")]
    [InlineData("NOT-ID {a} NOT-ID {b} SKIPME YES", "c")]
    [InlineData("DB 0 FLAGS x NAME b TYPE normal USER default NOT-NAME a", "b")]
    public async Task List_shows_the_clients_that_match_every_filter(string filters, string names)
    {
        (RespConnection Client, long Id)[] clients = await ClientsAsync();
        try
        {
            string[] words = [.. Fill(filters, clients).Split(' ', StringSplitOptions.RemoveEmptyEntries)];
            string list = (await Redis.CallAsync([.. ((string[])["CLIENT", "LIST", .. words]).Select(word => (RespArgument)word)])).Text;
            Assert.Equal(names, string.Join(' ', NameField().Matches(list).Select(name => name.Groups[1].Value)));
        }
        finally
        {
            foreach ((RespConnection client, _) in clients) await client.DisposeAsync();
        }
    }

    [Theory]
    [InlineData("LIST STRANGE x", "-ERR syntax error")]
    [InlineData("LIST NAME", "-ERR syntax error")]
    [InlineData("LIST ID", "-ERR syntax error")]
    [InlineData("LIST ID NAME x", "-ERR Invalid client ID")]
    [InlineData("LIST ID 1 x", "-ERR Invalid client ID")]
    [InlineData("LIST NOT-ID 0", "-ERR client-id should be greater than 0")]
    [InlineData("LIST NOT-ID x", "-ERR client-id should be greater than 0")]
    [InlineData("LIST NOT-ID 1 x", "-ERR syntax error")]
    [InlineData("LIST USER nobody", "-ERR No such user 'nobody'")]
    [InlineData("LIST NOT-USER nobody", "-ERR No such user 'nobody'")]
    [InlineData("LIST NOT-TYPE strange", "-ERR Unknown client type 'strange'")]
    [InlineData("LIST FLAGS NZ", "-ERR Unknown flags found in the provided filter: NZ")]
    [InlineData("LIST NOT-FLAGS q", "-ERR Unknown flags found in the NOT-FLAGS filter: q")]
    [InlineData("LIST CAPA rx", "-ERR Unknown capa found in the provided filter: rx")]
    [InlineData("LIST NOT-CAPA x", "-ERR Unknown capa found in the NOT-CAPA filter: x")]
    [InlineData("LIST DB x", "-ERR DB is not an integer or out of range")]
    [InlineData("LIST DB 4294967296", "-ERR DB is not an integer or out of range")]
    [InlineData("LIST DB 16", "-ERR DB number should be between 0 and 15")]
    [InlineData("LIST NOT-DB -1", "-ERR NOT-DB number should be between 0 and 15")]
    [InlineData("LIST IDLE x", "-ERR idle is not an integer or out of range")]
    [InlineData("LIST IDLE 0", "-ERR idle should be greater than 0")]
    [InlineData("LIST MAXAGE -1", "-ERR maxage should be greater than 0")]
    [InlineData("LIST SKIPME perhaps", "-ERR syntax error")]
    [InlineData("LIST NOT-SKIPME yes", "-ERR syntax error")]
    [InlineData("LIST NOT-MAXAGE 1", "-ERR syntax error")]
    [InlineData("LIST NOT-IDLE 1", "-ERR syntax error")]
    [InlineData("LIST NOT- 1", "-ERR syntax error")]
    [InlineData("KILL ID 1 x", "-ERR syntax error")]
    [InlineData("KILL ID 1 0", "-ERR client-id should be greater than 0")]
    [InlineData("KILL ID NAME x", "-ERR client-id should be greater than 0")]
    [InlineData("KILL FLAGS NZ", "-ERR Unknown flags found in the provided filter: NZ")]
    [InlineData("KILL NAME x y", "-ERR syntax error")]
    public async Task What_is_wrong_has_an_error_and_kills_nobody(string line, string error)
    {
        Assert.Equal(error, await Line($"CLIENT {line}"));
        Assert.Equal("+PONG", await Line("PING"));
    }

    [Theory]
    [InlineData("NAME a NOT-DB 0", ":1", "a")]
    [InlineData("ID {b} {c} {b}", ":2", "b c")]
    [InlineData("FLAGS x", ":1", "b")]
    [InlineData("NOT-NAME c", ":2", "a b")]
    [InlineData("NOT-ID {a}", ":2", "b c")]
    [InlineData("NAME asker", ":0", "")]
    public async Task Kill_ends_the_clients_that_match_every_filter(string filters, string reply, string killed)
    {
        (RespConnection Client, long Id)[] clients = await ClientsAsync();
        string[] words = ["CLIENT", "KILL", .. Fill(filters, clients).Split(' ')];
        Assert.Equal(reply, await Call([.. words.Select(word => (RespArgument)word)]));
        foreach ((string name, int at) in ((string[])["a", "b", "c"]).Select((name, at) => (name, at)))
        {
            if (killed.Contains(name, StringComparison.Ordinal)) Assert.True(await clients[at].Client.IsClosedByServerAsync());
            else Assert.NotNull(await clients[at].Client.LineAsync("PING"));
            await clients[at].Client.DisposeAsync();
        }
    }

    [Fact]
    public async Task Idle_is_how_long_a_client_has_asked_nothing()
    {
        await using RespConnection other = await Server.ConnectAsync();
        await other.LineAsync("CLIENT SETNAME idler");
        await Eventually.TrueAsync(() => Line("CLIENT LIST IDLE 1 MAXAGE 1 NAME idler").Result.Length > 2, () => "it is never idle");
        Assert.Equal("\"\"", await Line("CLIENT LIST IDLE 100 NAME idler"));
        Assert.Equal("+PONG", await Line("PING"));
        Assert.Equal(":1", await Line("CLIENT KILL IDLE 1 NAME idler"));
    }

    /// <summary>As Valkey's tests have it.</summary>
    [Fact]
    public async Task A_client_s_line_tells_what_it_has_received_sent_and_run()
    {
        await using RespConnection other = await Server.ConnectAsync();
        long id = (await other.LineAsync("CLIENT ID")).Integer;
        (long In, long Out, long Commands) first = await TotalsAsync(id);
        Assert.Equal((24, 4 + id.ToString(System.Globalization.CultureInfo.InvariantCulture).Length - 1, 1), first);
        await other.SendAsync("BLPOP", "mylist", "0"); // 34 bytes
        await Server.BlockedAsync(1);
        Assert.Equal((first.In + 34, first.Out, first.Commands), await TotalsAsync(id));
        await Line("LPUSH mylist a");
        await other.ReadAsync(); // 23 bytes
        Assert.Equal((first.In + 34, first.Out + 23, first.Commands + 1), await TotalsAsync(id));
        (long In, long Out, long Commands) before = Totals((await other.LineAsync("CLIENT INFO")).Text);
        string second = (await other.LineAsync("CLIENT INFO")).Text;
        (long In, long Out, long Commands) after = Totals(second);
        Assert.Equal((before.In + 26, before.Commands + 1), (after.In, after.Commands));
        Assert.True(after.Out > before.Out + 300, second);
        before = await TotalsAsync(id);
        await other.PipelineAsync(["MULTI"], ["PING"], ["ECHO", "a"], ["EXEC"], ["NOSUCH"], ["PING"]);
        after = await TotalsAsync(id);
        Assert.Equal(before.Commands + 5, after.Commands); // an unknown command is none
    }

    [Fact]
    public async Task Bytes_that_a_client_has_not_taken_are_not_sent()
    {
        await Call("SET", "large", new string('x', 8_000_000));
        await using RespConnection other = await Server.ConnectAsync();
        long id = (await other.LineAsync("CLIENT ID")).Integer;
        await other.SendAsync("GET", "large");
        await Eventually.TrueAsync(() => LineOfAsync(id).Result.Contains(" cmd=get ", StringComparison.Ordinal), () => "GET has not run");
        Assert.InRange((await TotalsAsync(id)).Out, 0, 7_000_000);
        Assert.Equal(8_000_000, (await other.ReadAsync()).Bytes.Length);
        await Eventually.TrueAsync(() => TotalsAsync(id).Result.Out > 8_000_000, () => "what was taken is not counted");
    }

    /// <summary>a has a library and database 3, b is in MULTI, c is neither evicted nor touches.</summary>
    private async Task<(RespConnection Client, long Id)[]> ClientsAsync()
    {
        await Line("CLIENT SETNAME asker");
        var clients = new (RespConnection, long)[3];
        string[][] lines =
        [
            ["CLIENT SETNAME a", "SELECT 3", "CLIENT SETINFO LIB-NAME lib", "CLIENT SETINFO LIB-VER 1.0"],
            ["CLIENT SETNAME b", "MULTI"],
            ["CLIENT SETNAME c", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON"],
        ];
        for (int i = 0; i < clients.Length; i++)
        {
            RespConnection client = await Server.ConnectAsync();
            long id = (await client.LineAsync("CLIENT ID")).Integer;
            foreach (string line in lines[i]) Assert.Equal("+OK", (await client.LineAsync(line)).ToString());
            clients[i] = (client, id);
        }
        return clients;
    }

    private string Fill(string filters, (RespConnection Client, long Id)[] clients) => filters
        .Replace("{a}", $"{clients[0].Id}", StringComparison.Ordinal).Replace("{b}", $"{clients[1].Id}", StringComparison.Ordinal)
        .Replace("{c}", $"{clients[2].Id}", StringComparison.Ordinal).Replace("{address}", $"{Options.UnixSocket}:0", StringComparison.Ordinal);

    private async Task<(long In, long Out, long Commands)> TotalsAsync(long id) => Totals(await LineOfAsync(id));

    private async Task<string> LineOfAsync(long id) => (await Redis.CallAsync("CLIENT", "LIST", "ID", id)).Text;

    private static (long In, long Out, long Commands) Totals(string line)
    {
        GroupCollection totals = TotalFields().Match(line).Groups;
        return (Number(totals[1]), Number(totals[2]), Number(totals[3]));

        static long Number(Group group) => long.Parse(group.Value, System.Globalization.CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(" name=(\\S*) ")]
    private static partial Regex NameField();

    [GeneratedRegex(" tot-net-in=(\\d+) tot-net-out=(\\d+) tot-cmds=(\\d+)\n")]
    private static partial Regex TotalFields();
}
