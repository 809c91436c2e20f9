using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// A connection listens while it waits. Letters are served, and what they write arrives whole and in order, whatever
/// the client is doing.
/// </summary>
public sealed class WaitingConnectionTests : GatewayTest
{
    private const int Large = 10 * 1024 * 1024; // far more than sockets can hold

    [Fact]
    public async Task A_push_reaches_a_client_that_is_blocked()
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        await client.SendAsync("BLPOP", "list", "0");
        await Server.BlockedAsync(1);
        for (int i = 0; i < 3; i++)
        {
            await Push(connection, i);
            Assert.Equal($">[\"news\", :{i}]", Show(await client.ReadPushAsync()));
        }
        Assert.True(connection.IsBlocked);
        Assert.Equal(":1", await Line("RPUSH list a"));
        Assert.Equal("""["list", "a"]""", (await client.ReadAsync()).ToString());
        Assert.Empty(client.Pushes);
        Assert.Equal("+PONG", (await client.CallAsync("PING")).ToString());
    }

    [Fact]
    public async Task A_push_reaches_a_client_that_is_paused()
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        Assert.Equal("+OK", await Line("CLIENT PAUSE 100000 WRITE"));
        await client.SendAsync("SET", "k", "v");
        await Eventually.TrueAsync(() => Server.Server.Pause.HeldCount == 1);
        await Push(connection, 7);
        Assert.Equal(">[\"news\", :7]", Show(await client.ReadPushAsync()));
        Assert.Equal(1, Server.Server.Pause.HeldCount);
        Assert.Equal("+OK", await Line("CLIENT UNPAUSE"));
        Assert.Equal("+OK", (await client.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_push_reaches_a_client_whose_command_waits_for_everybodys_gate()
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        await Server.Store.SiloGate.EnterExclusiveAsync();
        await client.SendAsync("FLUSHALL");
        await Eventually.TrueAsync(() => connection.PendingInputBytes > 0);
        await Push(connection, 1);
        Assert.Equal(">[\"news\", :1]", Show(await client.ReadPushAsync()));
        Server.Store.SiloGate.ExitExclusive();
        Assert.Equal("+OK", (await client.ReadAsync()).ToString());
    }

    [Fact]
    public async Task Letters_are_served_while_replies_are_stuck_and_their_bytes_follow_them()
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        string large = await SetLargeAsync();
        await client.SendRawAsync("GET large\r\nGET large\r\n");
        await Eventually.TrueAsync(() => connection.PendingOutputBytes > Large);
        for (int i = 0; i < 3; i++) await Push(connection, i).WaitAsync(Eventually.Deadline);
        await client.SendRawAsync("PING\r\n");
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(large, (await client.ReadAsync()).Text);
            Assert.Empty(client.Pushes);
        }
        Assert.Equal("+PONG", (await client.ReadAsync()).ToString());
        Assert.Equal([0, 1, 2], client.Pushes.Select(push => push.Items[1].Integer));
    }

    [Fact]
    public async Task Letters_are_served_while_replies_are_stuck_and_a_command_waits()
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        string large = await SetLargeAsync();
        await client.SendRawAsync("GET large\r\nGET large\r\nBLPOP list 0\r\nGET large\r\n");
        await Server.BlockedAsync(1);
        await Push(connection, 0).WaitAsync(Eventually.Deadline);
        // Whether it is served does not depend on whether it reads.
        Assert.Equal(":1", await Line("RPUSH list a"));
        await Server.BlockedAsync(0);
        await Push(connection, 1).WaitAsync(Eventually.Deadline);
        for (int i = 0; i < 2; i++) Assert.Equal(large, (await client.ReadAsync()).Text);
        Assert.Empty(client.Pushes);
        Assert.Equal("""["list", "a"]""", (await client.ReadAsync()).ToString());
        Assert.Equal(large, (await client.ReadAsync()).Text);
        Assert.Equal([0, 1], client.Pushes.Select(push => push.Items[1].Integer));
    }

    [Fact]
    public async Task Letters_never_land_inside_the_reply_of_a_command_that_runs_elsewhere()
    {
        const int Members = 60_000, Rounds = 12; // enough for SINTER to run on a pool thread
        foreach (string key in (string[])["one", "two"])
            await Redis.PipelineAsync([.. Enumerable.Range(0, Members / 1000)
                .Select(batch => (RespArgument[])["SADD", key, .. Enumerable.Range(batch * 1000, 1000).Select(i => (RespArgument)$"member:{i}")])]);
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        using var stop = new CancellationTokenSource();
        Task<int> posting = Task.Run(async () =>
        {
            int sent = 0;
            while (!stop.IsCancellationRequested) await Push(connection, sent++);
            return sent;
        });
        for (int round = 0; round < Rounds; round++)
        {
            await client.SendRawAsync("SINTER one two\r\nMULTI\r\nPING\r\nSINTER two one\r\nFLUSHALL\r\nDEBUG NOSUCH\r\nDISCARD\r\nBLPOP none 0.01\r\n");
            Assert.Equal(Members, (await client.ReadAsync()).Items.Count);
            Assert.Equal("+OK", (await client.ReadAsync()).ToString());
            for (int i = 0; i < 4; i++) Assert.Equal("+QUEUED", (await client.ReadAsync()).ToString());
            Assert.Equal("+OK", (await client.ReadAsync()).ToString());
            Assert.Equal(RespKind.Null, (await client.ReadAsync()).Kind);
            await client.SendRawAsync("MULTI\r\nSINTER one two\r\nECHO x\r\nEXEC\r\n");
            for (int i = 0; i < 3; i++) await client.ReadAsync();
            IReadOnlyList<RespValue> replies = (await client.ReadAsync()).Items;
            Assert.Equal(Members, replies[0].Items.Count);
            Assert.Equal("x", replies[1].Text);
        }
        await stop.CancelAsync();
        int posted = await posting;
        Assert.Equal("+PONG", (await client.CallAsync("PING")).ToString());
        Assert.Equal(Enumerable.Range(0, posted).Select(i => (long)i), client.Pushes.Select(push => push.Items[1].Integer));
    }

    [Fact]
    public async Task Kill_ends_a_paused_client_at_once()
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        Assert.Equal("+OK", await Line("CLIENT PAUSE 100000 WRITE"));
        await client.SendAsync("SET", "k", "v");
        await Eventually.TrueAsync(() => Server.Server.Pause.HeldCount == 1);
        Assert.Equal(":1", await Call("CLIENT", "KILL", "ID", connection.Id));
        await Eventually.TrueAsync(() => Server.Server.Clients.Count == 1 && Server.Server.Pause.HeldCount == 0);
        Assert.True(await client.IsClosedByServerAsync());
        Assert.Equal("nil", await Line("GET k"));
    }

    [Fact]
    public async Task Kill_ends_a_client_that_does_not_read_at_once()
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        await SetLargeAsync();
        await client.SendRawAsync("GET large\r\nGET large\r\nBLPOP list 0\r\n");
        await Server.BlockedAsync(1);
        Assert.Equal(":1", await Call("CLIENT", "KILL", "ID", connection.Id));
        await Eventually.TrueAsync(() => Server.Server.Clients.Count == 1);
        await Server.BlockedAsync(0);
        Assert.True(Server.NobodyWatches);
    }

    [Theory]
    [InlineData("BLPOP list 0")]
    [InlineData("SET k v")]
    public async Task Closing_does_not_wait_for_what_a_command_waits_for(string command)
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        Assert.Equal("+OK", await Line("CLIENT PAUSE 100000 WRITE"));
        await client.SendRawAsync($"PING\r\n{command}\r\nPING\r\n");
        Assert.Equal("+PONG", (await client.ReadAsync()).ToString());
        await Eventually.TrueAsync(() => connection.IsBlocked);
        connection.Close();
        Assert.True(await client.IsClosedByServerAsync());
        await Eventually.TrueAsync(() => Server.Server.Clients.Count == 1 && Server.Server.Pause.HeldCount == 0);
    }

    [Fact]
    public async Task Closing_lets_the_client_have_its_replies_first()
    {
        await using RespConnection client = await Resp3Async();
        ClientConnection connection = await ServerSideAsync(client);
        string large = await SetLargeAsync();
        await client.SendRawAsync("GET large\r\nGET large\r\nBLPOP list 0\r\nPING\r\n");
        await Server.BlockedAsync(1);
        connection.Close();
        await Server.BlockedAsync(0);
        for (int i = 0; i < 2; i++) Assert.Equal(large, (await client.ReadAsync()).Text);
        Assert.True(await client.IsClosedByServerAsync());
    }

    [Fact]
    public async Task A_client_that_leaves_while_paused_is_forgotten()
    {
        RespConnection client = await Resp3Async();
        Assert.Equal("+OK", await Line("CLIENT PAUSE 100000 WRITE"));
        await client.SendAsync("SET", "k", "v");
        await Eventually.TrueAsync(() => Server.Server.Pause.HeldCount == 1);
        await client.DisposeAsync();
        await Eventually.TrueAsync(() => Server.Server.Clients.Count == 1 && Server.Server.Pause.HeldCount == 0);
    }

    private async Task<RespConnection> Resp3Async()
    {
        RespConnection client = await Server.ConnectAsync();
        await client.HelloAsync(3);
        return client;
    }

    private async Task<string> SetLargeAsync()
    {
        string large = new('x', Large);
        Assert.Equal("+OK", await Call("SET", "large", large));
        return large;
    }

    /// <summary>Completes when the letter that writes the push has been served.</summary>
    private static Task Push(ClientConnection connection, int number)
    {
        var served = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        connection.Post(client =>
        {
            client.OutOfBand.Push(2);
            client.OutOfBand.BulkString("news"u8);
            client.OutOfBand.Integer(number);
            served.SetResult();
        });
        return served.Task;
    }

    private static string Show(RespValue push) => $">[\"{push.Items[0].Text}\", :{push.Items[1].Integer}]";
}
