using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Clients;

/// <summary>
/// ioredis, node-redis, BullMQ and redis-py. The sessions themselves are in <c>node/</c> and <c>python/</c>, each in
/// its client's language.
/// </summary>
public sealed class ScriptedClientTests(SharedServer server, ITestOutputHelper output) : SharedServerTest(server, output)
{
    private static readonly string here = Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Clients");

    [SkippableTheory]
    [InlineData("session")]
    [InlineData("pipeline")]
    [InlineData("binaryAndBig")]
    [InlineData("scan")]
    [InlineData("expiry")]
    [InlineData("transaction", "MULTI", "WATCH")]
    [InlineData("pubsub", "SUBSCRIBE", "PSUBSCRIBE", "PUBLISH")]
    [InlineData("caching", "CLIENT")]
    [InlineData("scripts", "EVALSHA", "FCALL")]
    [InlineData("blocking", "BLPOP", "RPUSH")]
    [InlineData("collections", "HSET", "RPUSH", "SADD", "ZADD", "XADD")]
    public Task Ioredis(string scenario, params string[] commands) => RunAsync("ioredis", scenario, commands);

    [SkippableTheory]
    [InlineData("resp2")]
    [InlineData("resp3")]
    [InlineData("binaryAndBig")]
    [InlineData("scan")]
    [InlineData("pool")]
    [InlineData("pipeline")]
    [InlineData("streams", "XREADGROUP")]
    [InlineData("pubsub", "SSUBSCRIBE")]
    [InlineData("caching", "CLIENT")]
    [InlineData("transaction", "MULTI", "WATCH")]
    [InlineData("scripts", "EVALSHA", "FCALL")]
    public Task Node_redis(string scenario, params string[] commands) => RunAsync("node-redis", scenario, commands);

    [SkippableTheory]
    [InlineData("queue", "EVALSHA", "MULTI", "BZPOPMIN", "XADD", "XREAD", "HSET", "RPOPLPUSH", "ZADD")]
    [InlineData("delayed", "EVALSHA")]
    [InlineData("repeated", "EVALSHA")]
    [InlineData("failing", "EVALSHA")]
    [InlineData("flow", "EVALSHA")]
    [InlineData("stalled", "EVALSHA")]
    [InlineData("limited", "EVALSHA")]
    public Task BullMQ(string scenario, params string[] commands) => RunAsync("bullmq", scenario, commands);

    [SkippableTheory]
    [InlineData("session")]
    [InlineData("pipeline")]
    [InlineData("binary_and_big")]
    [InlineData("scan")]
    [InlineData("threads")]
    [InlineData("transaction", "MULTI", "WATCH")]
    [InlineData("locks", "EVALSHA")]
    [InlineData("lock_of_many", "EVALSHA")]
    [InlineData("streams", "XREADGROUP")]
    [InlineData("blocking_reads", "XREAD")]
    [InlineData("pubsub", "SUBSCRIBE")]
    [InlineData("caching", "SUBSCRIBE")]
    [InlineData("newer", "XACKDEL")]
    public Task Redis_py(string scenario, params string[] commands) => RunAsync("redis-py", scenario, commands);

    [SkippableTheory]
    [InlineData("ioredis")]
    [InlineData("node-redis")]
    [InlineData("redis-py")]
    public async Task A_client_finds_a_restarted_server_again(string client)
    {
        RedisProcess first = await RedisProcess.StartAsync();
        await using ClientProgram session = Start(client, "restart", first.Port);
        await using (first)
        {
            await session.ExpectAsync("restart\n");
            await first.TerminateAsync();
        }

        await using RedisProcess second = await RedisProcess.StartAsync(ServerKind.UnderTest, null, first.Port);
        Assert.True(await session.WaitForExitAsync() == 0, session.Output + second.Describe());
    }

    private async Task RunAsync(string client, string scenario, string[] commands)
    {
        await Requires.CommandsAsync(Server, commands);
        await using ClientProgram session = Start(client, scenario, Server.Port);
        Assert.True(await session.WaitForExitAsync() == 0, session.Output);
    }

    /// <summary>
    /// Debian's python3-redis belongs to Debian's interpreter, whichever python3 comes first in PATH.
    /// </summary>
    private static ClientProgram Start(string client, string scenario, int port)
    {
        string at = port.ToString(CultureInfo.InvariantCulture);
        return client == "redis-py"
            ? ClientProgram.Start("/usr/bin/python3", "-B", Path.Combine(here, "python", "session.py"), scenario, at)
            : ClientProgram.Start("node", Path.Combine(here, "node", "session.js"), client, scenario, at);
    }
}
