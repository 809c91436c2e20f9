using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Harness;

/// <summary>One server with default directives, for all tests that can share it. They run one after another.</summary>
public sealed class SharedServer : IAsyncLifetime
{
    public const string Collection = "shared server";

    public RedisProcess Process { get; private set; } = null!;

    public async Task InitializeAsync() => Process = await RedisProcess.StartAsync();

    public async Task DisposeAsync() => await Process.DisposeAsync();
}

[CollectionDefinition(SharedServer.Collection)]
public sealed class SharedServerCollection : ICollectionFixture<SharedServer>;

/// <summary>
/// A test class on the shared server. Every test begins with an empty keyspace and a connection of its own, and its
/// output includes what the server logged meanwhile.
/// </summary>
[Collection(SharedServer.Collection)]
public abstract class SharedServerTest(SharedServer server, ITestOutputHelper output) : IAsyncLifetime
{
    private int logLinesBefore;

    protected RedisProcess Server => server.Process;

    protected ITestOutputHelper Output => output;

    /// <summary>A connection in RESP2, database 0.</summary>
    protected RespConnection Redis { get; private set; } = null!;

    public virtual async Task InitializeAsync()
    {
        logLinesBefore = Server.Log.Count;
        Redis = await Server.ConnectAsync();
        Assert.Equal("+OK", (await Redis.CallAsync("FLUSHALL")).ToString());
    }

    public virtual async Task DisposeAsync()
    {
        await Redis.DisposeAsync();
        foreach (string line in Server.Log.Skip(logLinesBefore))
            output.WriteLine(line);
    }
}
