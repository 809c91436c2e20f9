using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class DebugProtocolTests
{
    /// <summary>Byte for byte, in both protocols, comparing our server with Redis.</summary>
    [Fact]
    public async Task Every_type_is_written_as_redis_writes_it()
    {
        await using InProcessServer ours = await InProcessServer.StartAsync();
        ours.Store.Options.EnableDebugCommand = Engine.LocalAccess.Yes;
        await using RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection mine = await ours.ConnectAsync(), theirs = await redis.ConnectAsync();
        foreach (int protocol in (int[])[2, 3])
        {
            await mine.HelloAsync(protocol);
            await theirs.HelloAsync(protocol);
            foreach (string type in (string[])["string", "integer", "double", "bignum", "null", "array", "set", "map", "verbatim", "true", "false", "attrib"])
            {
                await theirs.SendAsync("DEBUG", "PROTOCOL", type);
                await theirs.SendAsync("PING");
                await mine.SendAsync("DEBUG", "PROTOCOL", type);
                await mine.SendAsync("PING");
                Assert.Equal($"{protocol} {type} {await UpToPong(theirs)}", $"{protocol} {type} {await UpToPong(mine)}");
            }
        }
    }

    private static async Task<string> UpToPong(RespConnection connection)
    {
        var text = new System.Text.StringBuilder();
        while (!text.ToString().EndsWith("+PONG\r\n", StringComparison.Ordinal)) text.Append((char)(await connection.ReadRawAsync(1))[0]);
        return text.ToString();
    }
}
