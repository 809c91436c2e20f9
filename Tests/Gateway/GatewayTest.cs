using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>A test with a gateway of its own and a connection to it.</summary>
public abstract class GatewayTest : IAsyncLifetime
{
    internal InProcessServer Server { get; private set; } = null!;

    protected RespConnection Redis { get; private set; } = null!;

    internal ServerOptions Options => Server.Store.Options;

    public async Task InitializeAsync()
    {
        Server = await InProcessServer.StartAsync();
        Redis = await Server.ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        await Redis.DisposeAsync();
        await Server.DisposeAsync();
    }

    /// <summary>The server's side of a connection.</summary>
    internal async Task<ClientConnection> ServerSideAsync(RespConnection client) =>
        Server.Server.Clients.Find((await client.LineAsync("CLIENT ID")).Integer)!;

    /// <summary>Sends one line of words and shows the reply.</summary>
    protected async Task<string> Line(string line) => (await Redis.LineAsync(line)).ToString();

    protected async Task<string> Call(params RespArgument[] command) => (await Redis.CallAsync(command)).ToString();
}
