using System.Globalization;
using OrleansRedis.Grains;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Grains;

/// <summary>Whoever guesses passwords by grain calls is held back as by connections.</summary>
public sealed class GrainCallThrottleTests
{
    private const string Refused = "ERR too many failed attempts to authenticate from this address, try again later";

    [Fact]
    public async Task An_address_that_guesses_by_grain_calls_is_not_listened_to_for_a_while()
    {
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await RedisProcess.StartAsync(
            ServerKind.OrleansRedis, "--orleans-gateway-port", port.ToString(CultureInfo.InvariantCulture), "--orleans-auth-failures-per-minute", "1");
        await server.WaitForLogAsync("Orleans clients find the grains");
        await using RespConnection redis = await server.ConnectUnixAsync(), remote = await server.ConnectAsync();
        Assert.Equal("+OK", (await redis.LineAsync("ACL SETUSER alice on >right +get ~*")).ToString());
        await using OrleansClient guesser = await OrleansClient.ConnectAsync(port), other = await OrleansClient.ConnectAsync(port);
        Assert.StartsWith("WRONGPASS ", await ErrorAsync(guesser, "wrong"), StringComparison.Ordinal);
        // The right one, too, or else there would be no end to guessing; and whoever else is at that address.
        Assert.Equal(Refused, await ErrorAsync(guesser, "right"));
        Assert.Equal(Refused, await ErrorAsync(other, "right"));
        Assert.Equal("-" + Refused, (await remote.LineAsync("AUTH alice right")).ToString());
        Assert.Equal("+OK", (await redis.LineAsync("AUTH alice right")).ToString());
        Assert.Equal(4, (await Keeper(redis)).Count(line => line.Contains("auth", StringComparison.Ordinal)));

        async Task<string[]> Keeper(RespConnection alice)
        {
            await alice.LineAsync("RESET");
            return [.. (await alice.LineAsync("ACL LOG")).Items.SelectMany(entry => Enumerable.Repeat(entry["reason"].Text, (int)entry["count"].Integer))];
        }
    }

    [Fact]
    public async Task What_one_address_guesses_by_connections_counts_for_its_grain_calls()
    {
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await RedisProcess.StartAsync(
            ServerKind.OrleansRedis, "--orleans-gateway-port", port.ToString(CultureInfo.InvariantCulture), "--orleans-auth-failures-per-minute", "1");
        await server.WaitForLogAsync("Orleans clients find the grains");
        await using RespConnection remote = await server.ConnectAsync(), redis = await server.ConnectUnixAsync();
        Assert.StartsWith("-WRONGPASS", (await remote.LineAsync("AUTH alice wrong")).ToString(), StringComparison.Ordinal);
        await using OrleansClient client = await OrleansClient.ConnectAsync(port);
        Assert.Equal(Refused, await ErrorAsync(client, "wrong"));
        // Without a name nobody guesses anything.
        Assert.Null(await client.Grains.GetRedisDatabase().StringGetAsync("key"));
        Assert.Equal("+OK", (await redis.LineAsync("CONFIG SET orleans-auth-failures-per-minute 0")).ToString());
        Assert.StartsWith("WRONGPASS ", await ErrorAsync(client, "wrong"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_is_known_as_long_as_it_has_a_connection()
    {
        var origins = new ClientOrigins();
        GrainId client = GrainId.Create("sys.client", "a"), hosted = GrainId.Create("sys.client", "hosted-127.0.0.1:1@1");
        Assert.Equal("client a", origins.Of(client));
        using (origins.Connected("a"u8.ToArray(), "10.0.0.1"))
        {
            using (origins.Connected("a"u8.ToArray(), "10.0.0.1")) Assert.Equal("10.0.0.1", origins.Of(client));
            // Whoever opens two connections and closes one is still somebody.
            Assert.Equal("10.0.0.1", origins.Of(client));
            Assert.Equal("", origins.Of(GrainId.Create("hashslot", "a")));
        }
        Assert.Equal("client a", origins.Of(client));
        Assert.Equal("", origins.Of(hosted));
        Assert.Equal("", origins.Of(null));
    }

    private static async Task<string> ErrorAsync(OrleansClient client, string password) =>
        (await Assert.ThrowsAsync<RedisErrorException>(() => client.Grains.GetRedisDatabase("alice", password).StringGetAsync("key"))).Message;
}
