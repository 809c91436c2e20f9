using OrleansRedis.Gateway;
using OrleansRedis.Tests.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>The rules change while a client subscribes.</summary>
public sealed class SubscriptionRaceTests : GatewayTest
{
    private const int Rounds = 5, Channels = 200, Patterns = 300;

    /// <summary>
    /// The rules are many, and slow to match, so that they change while they are being asked. Whether the client is refused,
    /// or subscribes and is then disconnected: it does not stay subscribed.
    /// </summary>
    [Theory]
    [InlineData("SUBSCRIBE")]
    [InlineData("SSUBSCRIBE")]
    [InlineData("PSUBSCRIBE")]
    public async Task Whoever_loses_a_channel_while_subscribing_to_it_is_not_left_with_it(string command)
    {
        Random random = TestSeed.Random(stream: command[0]);
        string channel = command == "PSUBSCRIBE" ? "news*" : new string('x', 500) + "y";
        RespArgument[] rules =
        [
            "ACL", "SETUSER", "alice", "reset", "on", "nopass", "+@all",
            .. Enumerable.Range(0, Patterns).Select(i => (RespArgument)$"&*x*x*x*{i}z"), "&" + channel,
        ];
        RespArgument[] request = [command, .. Enumerable.Repeat((RespArgument)channel, Channels * (command == "PSUBSCRIBE" ? 100 : 1))];
        for (int round = 0; round < Rounds; round++)
        {
            Assert.Equal("+OK", await Call(rules));
            await using RespConnection alice = await Server.ConnectAsync();
            Assert.Equal("+OK", (await alice.LineAsync("AUTH alice x")).ToString());
            await alice.SendAsync(request);
            // Some moment while the command runs; any moment is right.
            await Task.Delay(random.Next(15));
            Assert.Null(Server.Store.Acl.Set("alice", ["resetchannels"], by: null));
            Assert.True(await EndsAsync(alice), "it is neither refused nor disconnected");
            await Eventually.TrueAsync(() => SubscriptionsLeft == 0, () => $"it has stayed subscribed, in round {round}");
        }
    }

    private int SubscriptionsLeft
    {
        get
        {
            PubSub all = Server.Server.PubSub;
            return all.CountChannels(isSharded: false) + all.CountChannels(isSharded: true) + all.CountPatterns();
        }
    }

    /// <summary>Whether the client has been refused, or is disconnected.</summary>
    private static async Task<bool> EndsAsync(RespConnection alice)
    {
        try
        {
            while (true)
            {
                RespValue reply = await alice.ReadAsync();
                if (reply.IsError) return reply.Text.StartsWith("NOPERM", StringComparison.Ordinal);
            }
        }
        catch (RespException e)
        {
            return e.Message.Contains("closed the connection", StringComparison.Ordinal);
        }
    }
}
