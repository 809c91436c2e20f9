using System.Text;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Messages of requests that a client has sent together: what is gathered arrives as if it had not been.</summary>
public sealed class GatheredMessagesTests : GatewayTest
{
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_subscriber_of_several_channels_gets_all_messages_in_the_order_of_the_pipeline(int protocol)
    {
        Random random = TestSeed.Random(protocol);
        await using RespConnection subscriber = await Server.ConnectAsync(), publisher = await Server.ConnectAsync();
        await subscriber.HelloAsync(protocol);
        foreach (string channel in new[] { "a", "b", "c" }) await SubscribeAsync(subscriber, channel, protocol);
        var sent = new List<(string Channel, string Message)>();
        for (int i = 0; i < 500; i++)
        {
            // Mostly the same channel several times in a row, and now and then one that nobody listens to.
            string channel = i > 0 && random.Next(3) != 0 ? sent[^1].Channel : "abcd"[random.Next(4)].ToString();
            sent.Add((channel, $"{i} " + new string('x', random.Next(20) == 0 ? random.Next(40_000) : random.Next(40))));
        }
        RespValue[] replies = await publisher.PipelineAsync([.. sent.Select(one => new RespArgument[] { "PUBLISH", one.Channel, one.Message })]);
        for (int i = 0; i < sent.Count; i++)
        {
            (string channel, string message) = sent[i];
            Assert.Equal(channel == "d" ? ":0" : ":1", replies[i].ToString());
            if (channel == "d") continue;
            RespValue received = await ReadMessageAsync(subscriber, protocol);
            Assert.Equal(["message", channel, message], received.Items.Select(item => item.Text));
        }
    }

    [Fact]
    public async Task Who_subscribes_between_two_publications_of_its_own_gets_the_second_after_its_reply()
    {
        await Redis.HelloAsync();
        await using RespConnection other = await Server.ConnectAsync();
        await other.LineAsync("SUBSCRIBE c");
        await Redis.SendRawAsync("PUBLISH c one\r\nSUBSCRIBE c\r\nPUBLISH c two\r\nPING\r\n");
        string expected = ":1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n:2\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\ntwo\r\n+PONG\r\n";
        Assert.Equal(expected, Encoding.ASCII.GetString(await Redis.ReadRawAsync(expected.Length)));
        Assert.Equal("""["message", "c", "one"]""", (await other.ReadAsync()).ToString());
        Assert.Equal("""["message", "c", "two"]""", (await other.ReadAsync()).ToString());
    }

    [Fact]
    public async Task An_invalidation_comes_after_the_messages_published_before_the_change()
    {
        await Line("SET k 1");
        await using RespConnection subscriber = await Server.ConnectAsync();
        await subscriber.HelloAsync();
        await subscriber.LineAsync("CLIENT TRACKING ON");
        await subscriber.LineAsync("GET k");
        await SubscribeAsync(subscriber, "c", protocol: 3);
        await Redis.SendRawAsync("PUBLISH c one\r\nSET k 2\r\nPUBLISH c two\r\n");
        Assert.Equal(""">["message", "c", "one"]""", (await subscriber.ReadPushAsync()).ToString());
        Assert.Equal(""">["invalidate", ["k"]]""", (await subscriber.ReadPushAsync()).ToString());
        Assert.Equal(""">["message", "c", "two"]""", (await subscriber.ReadPushAsync()).ToString());
    }

    private static async Task SubscribeAsync(RespConnection subscriber, string channel, int protocol)
    {
        await subscriber.SendAsync("SUBSCRIBE", channel);
        await ReadMessageAsync(subscriber, protocol);
    }

    private static Task<RespValue> ReadMessageAsync(RespConnection subscriber, int protocol) =>
        protocol == 3 ? subscriber.ReadPushAsync() : subscriber.ReadAsync();
}
