using System.Text;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Channels, patterns and shard channels, and the state of a client that has subscribed.</summary>
public sealed class PubSubTests : GatewayTest
{
    [Fact]
    public async Task A_message_reaches_the_subscribers_of_its_channel_and_of_patterns_that_match()
    {
        await using RespConnection one = await Server.ConnectAsync(), other = await Server.ConnectAsync();
        Assert.Equal("""["subscribe", "news.tech", :1]""", (await one.LineAsync("SUBSCRIBE news.tech")).ToString());
        Assert.Equal("""["psubscribe", "news.*", :2]""", (await one.LineAsync("PSUBSCRIBE news.*")).ToString());
        Assert.Equal("""["psubscribe", "n[a-f]ws*", :1]""", (await other.LineAsync("PSUBSCRIBE n[a-f]ws*")).ToString());
        Assert.Equal(":3", await Line("PUBLISH news.tech hi"));
        Assert.Equal("""["message", "news.tech", "hi"]""", (await one.ReadAsync()).ToString());
        Assert.Equal("""["pmessage", "news.*", "news.tech", "hi"]""", (await one.ReadAsync()).ToString());
        Assert.Equal("""["pmessage", "n[a-f]ws*", "news.tech", "hi"]""", (await other.ReadAsync()).ToString());
        Assert.Equal(":0", await Line("PUBLISH olds.tech hi"));
    }

    [Fact]
    public async Task A_shard_channel_is_not_a_channel_of_the_same_name()
    {
        await using RespConnection plain = await Server.ConnectAsync(), sharded = await Server.ConnectAsync();
        Assert.Equal("""["subscribe", "c", :1]""", (await plain.LineAsync("SUBSCRIBE c")).ToString());
        Assert.Equal("""["psubscribe", "*", :2]""", (await plain.LineAsync("PSUBSCRIBE *")).ToString());
        Assert.Equal("""["ssubscribe", "c", :1]""", (await sharded.LineAsync("SSUBSCRIBE c")).ToString());
        Assert.Equal(":1", await Line("SPUBLISH c one"));
        Assert.Equal(":2", await Line("PUBLISH c two"));
        Assert.Equal("""["smessage", "c", "one"]""", (await sharded.ReadAsync()).ToString());
        Assert.Equal("""["message", "c", "two"]""", (await plain.ReadAsync()).ToString());
        Assert.Equal("""["sunsubscribe", "c", :0]""", (await sharded.LineAsync("SUNSUBSCRIBE")).ToString());
        Assert.Equal(":0", await Line("SPUBLISH c three"));
    }

    [Fact]
    public async Task Every_name_has_a_reply_of_its_own_with_the_count_of_subscriptions()
    {
        await Redis.SendAsync("SUBSCRIBE", "a", "b", "a");
        Assert.Equal("""["subscribe", "a", :1]""", (await Redis.ReadAsync()).ToString());
        Assert.Equal("""["subscribe", "b", :2]""", (await Redis.ReadAsync()).ToString());
        Assert.Equal("""["subscribe", "a", :2]""", (await Redis.ReadAsync()).ToString());
        Assert.Equal("""["psubscribe", "p*", :3]""", await Line("PSUBSCRIBE p*"));
        Assert.Equal("""["ssubscribe", "s", :1]""", await Line("SSUBSCRIBE s"));
        Assert.Equal("""["unsubscribe", "other", :3]""", await Line("UNSUBSCRIBE other"));
        await Redis.SendAsync("UNSUBSCRIBE");
        Assert.Equal("""["unsubscribe", "a", :2]""", (await Redis.ReadAsync()).ToString());
        Assert.Equal("""["unsubscribe", "b", :1]""", (await Redis.ReadAsync()).ToString());
        Assert.Equal("""["punsubscribe", "p*", :0]""", await Line("PUNSUBSCRIBE"));
        Assert.Equal("""["punsubscribe", nil, :0]""", await Line("PUNSUBSCRIBE"));
        Assert.Equal("""["unsubscribe", nil, :0]""", await Line("UNSUBSCRIBE"));
        Assert.Equal("""["sunsubscribe", "s", :0]""", await Line("SUNSUBSCRIBE s"));
        Assert.Equal("+PONG", await Line("PING"));
    }

    [Fact]
    public async Task A_subscriber_in_RESP2_may_do_little_else()
    {
        await Line("SET k v");
        await Line("SUBSCRIBE c");
        Assert.Equal(
            "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", await Line("GET k"));
        Assert.StartsWith("-ERR Can't execute 'client|list': only", await Line("CLIENT LIST"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR Can't execute 'publish': only", await Line("PUBLISH c hi"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR unknown command 'nonsense'", await Line("nonsense"), StringComparison.Ordinal);
        Assert.Equal("""["pong", ""]""", await Line("PING"));
        Assert.Equal("""["pong", "text"]""", await Line("PING text"));
        await Line("UNSUBSCRIBE c");
        Assert.Equal("\"v\"", await Line("GET k"));
        await Line("SSUBSCRIBE c");
        Assert.StartsWith("-ERR Can't execute 'get'", await Line("GET k"), StringComparison.Ordinal);
        await Redis.SendAsync("RESET");
        Assert.Equal("+RESET", (await Redis.ReadAsync()).ToString());
        Assert.Equal("\"v\"", await Line("GET k"));
        Assert.Equal(":0", await Line("SPUBLISH c hi"));
    }

    [Fact]
    public async Task In_RESP3_messages_are_pushes_and_nothing_is_forbidden()
    {
        await Redis.HelloAsync();
        await Redis.SendAsync("SUBSCRIBE", "c");
        Assert.Equal(""">["subscribe", "c", :1]""", (await Redis.ReadPushAsync()).ToString());
        Assert.Equal("+PONG", await Line("PING"));
        // A client's own message follows the reply, as in 7.2 and later.
        await Redis.SendAsync("PUBLISH", "c", "mine");
        Assert.Equal(":1", (await Redis.ReadAsync()).ToString());
        Assert.Empty(Redis.Pushes);
        Assert.Equal(""">["message", "c", "mine"]""", (await Redis.ReadPushAsync()).ToString());
        await Redis.SendAsync("UNSUBSCRIBE");
        Assert.Equal(""">["unsubscribe", "c", :0]""", (await Redis.ReadPushAsync()).ToString());
        await Redis.SendAsync("UNSUBSCRIBE");
        Assert.Equal(""">["unsubscribe", nil, :0]""", (await Redis.ReadPushAsync()).ToString());
        await Redis.SendAsync("SUBSCRIBE", "c");
        await Redis.ReadPushAsync();
        await Redis.HelloAsync(2);
        Assert.StartsWith("-ERR Can't execute 'get'", await Line("GET k"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Own_messages_stand_between_the_replies_of_a_pipeline()
    {
        await Redis.HelloAsync();
        await Redis.SendAsync("SUBSCRIBE", "c");
        await Redis.ReadPushAsync();
        await Redis.SendRawAsync("PUBLISH c 1\r\nPING\r\nPUBLISH c 2\r\n");
        string expected = ":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n+PONG\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n2\r\n";
        Assert.Equal(expected, Encoding.ASCII.GetString(await Redis.ReadRawAsync(expected.Length)));
    }

    [Fact]
    public async Task A_transaction_may_subscribe_and_publish()
    {
        await using RespConnection subscriber = await Server.ConnectAsync();
        await subscriber.LineAsync("SUBSCRIBE c");
        Assert.Equal("+OK", await Line("MULTI"));
        Assert.Equal("+QUEUED", await Line("PUBLISH c one"));
        Assert.Equal("+QUEUED", await Line("SUBSCRIBE d"));
        Assert.Equal("+QUEUED", await Line("PUBLISH d two"));
        Assert.Equal("""[:1, ["subscribe", "d", :1], :1]""", await Line("EXEC"));
        Assert.Equal("""["message", "c", "one"]""", (await subscriber.ReadAsync()).ToString());
        Assert.Equal("""["message", "d", "two"]""", (await Redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_script_may_publish_and_not_subscribe()
    {
        await using RespConnection subscriber = await Server.ConnectAsync();
        await subscriber.LineAsync("SUBSCRIBE c");
        // What it publishes it does not take back, so it cannot begin anew for the key that it has not declared.
        Assert.Equal(":1", await Call("EVAL", "local n = redis.call('publish', 'c', ARGV[1]); redis.call('get', 'other'); return n", 0, "hi"));
        Assert.Equal("""["message", "c", "hi"]""", (await subscriber.ReadAsync()).ToString());
        string refused = await Call("EVAL", "return redis.call('subscribe', 'c')", 0);
        Assert.Contains("This Redis command is not allowed from script", refused, StringComparison.Ordinal);
        await subscriber.SendAsync("PING");
        Assert.Equal("""["pong", ""]""", (await subscriber.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_grain_call_may_publish_and_not_subscribe()
    {
        await using RespConnection subscriber = await Server.ConnectAsync();
        await subscriber.LineAsync("SUBSCRIBE c");
        Assert.Equal(":1\r\n", await GrainCall("PUBLISH", "c", "hi"));
        Assert.Equal("""["message", "c", "hi"]""", (await subscriber.ReadAsync()).ToString());
        Assert.Equal("*2\r\n$1\r\nc\r\n:1\r\n", await GrainCall("PUBSUB", "NUMSUB", "c"));
        Assert.Equal("-ERR 'subscribe' needs a connection\r\n", await GrainCall("SUBSCRIBE", "c"));
    }

    [Fact]
    public async Task PUBSUB_tells_of_channels_and_patterns()
    {
        await using RespConnection one = await Server.ConnectAsync(), other = await Server.ConnectAsync();
        await one.PipelineAsync([["SUBSCRIBE", "a"], ["SUBSCRIBE", "ab"], ["PSUBSCRIBE", "p*"], ["SSUBSCRIBE", "s"]]);
        await other.PipelineAsync([["SUBSCRIBE", "a"], ["PSUBSCRIBE", "p*"], ["PSUBSCRIBE", "q*"]]);
        Assert.Equal(["a", "ab"], (await Redis.LineAsync("PUBSUB CHANNELS")).Texts.Order());
        Assert.Equal("""["ab"]""", await Line("PUBSUB CHANNELS a?"));
        Assert.Equal("""["s"]""", await Line("PUBSUB SHARDCHANNELS"));
        Assert.Equal("""["a", :2, "b", :0]""", await Line("PUBSUB NUMSUB a b"));
        Assert.Equal("[]", await Line("PUBSUB NUMSUB"));
        Assert.Equal("""["s", :1, "a", :0]""", await Line("PUBSUB SHARDNUMSUB s a"));
        Assert.Equal(":2", await Line("PUBSUB NUMPAT"));
        Assert.Equal(
            "-ERR unknown subcommand or wrong number of arguments for 'channels'. Try PUBSUB HELP.", await Line("PUBSUB channels a b"));
        Assert.Equal(2, await Redis.InfoAsync("pubsub_channels"));
        Assert.Equal(2, await Redis.InfoAsync("pubsub_patterns"));
        Assert.Equal(1, await Redis.InfoAsync("pubsubshard_channels"));
        Assert.Equal(2, await Redis.InfoAsync("pubsub_clients"));
        string listed = (await Redis.LineAsync("CLIENT LIST TYPE pubsub")).Text;
        Assert.Equal(2, listed.Count(c => c == '\n'));
        Assert.Contains(" flags=PU ", listed, StringComparison.Ordinal);
        Assert.Contains(" db=0 sub=2 psub=1 ssub=1 ", listed, StringComparison.Ordinal);
        await other.DisposeAsync();
        await Eventually.TrueAsync(async () => (await Redis.LineAsync("PUBSUB NUMPAT")).Integer == 1);
        Assert.Equal("""["a", :1]""", await Line("PUBSUB NUMSUB a"));
    }

    [Fact]
    public async Task Messages_and_confirmations_are_sent_whatever_CLIENT_REPLY_says()
    {
        await Redis.SendAsync("CLIENT", "REPLY", "OFF");
        await Redis.SendAsync("SET", "k", "v");
        await Redis.SendAsync("SUBSCRIBE", "c");
        Assert.Equal("""["subscribe", "c", :1]""", (await Redis.ReadAsync()).ToString());
        await using RespConnection publisher = await Server.ConnectAsync();
        Assert.Equal(":1", (await publisher.LineAsync("PUBLISH c hi")).ToString());
        Assert.Equal("""["message", "c", "hi"]""", (await Redis.ReadAsync()).ToString());
        await Redis.SendAsync("UNSUBSCRIBE", "c");
        Assert.Equal("""["unsubscribe", "c", :0]""", (await Redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_blocked_client_gets_messages_before_its_reply()
    {
        await Redis.HelloAsync();
        await Redis.SendAsync("SUBSCRIBE", "c");
        await Redis.ReadPushAsync();
        await Redis.SendAsync("BLPOP", "list", "0");
        await Server.BlockedAsync(1);
        await using RespConnection other = await Server.ConnectAsync();
        Assert.Equal(":1", (await other.LineAsync("PUBLISH c hi")).ToString());
        Assert.Equal(""">["message", "c", "hi"]""", (await Redis.ReadPushAsync()).ToString());
        await other.LineAsync("RPUSH list x");
        Assert.Equal("""["list", "x"]""", (await Redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_subscriber_that_does_not_read_is_disconnected_and_holds_up_nobody()
    {
        await Call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0");
        await using RespConnection slow = await Server.ConnectAsync(), quick = await Server.ConnectAsync();
        ClientConnection slowSide = await ServerSideAsync(slow);
        await slow.LineAsync("SUBSCRIBE c");
        await quick.LineAsync("SUBSCRIBE c");
        string message = new('x', 100_000);
        int sent = 0;
        while (!slowSide.IsKilled)
        {
            await Redis.CallAsync("PUBLISH", "c", message);
            Assert.Equal(message, (await quick.ReadAsync())[2].Text);
            Assert.True(++sent < 10_000);
        }
        await Eventually.TrueAsync(async () => (await Redis.LineAsync("PUBSUB NUMSUB c"))[1].Integer == 1);
        Assert.Equal(1, await Redis.InfoAsync("client_output_buffer_limit_disconnections"));
    }

    [Fact]
    public async Task A_message_published_before_the_end_of_a_subscription_comes_before_its_confirmation()
    {
        await using RespConnection publisher = await Server.ConnectAsync();
        for (int i = 0; i < 200; i++)
        {
            await Redis.LineAsync("PSUBSCRIBE c*");
            Task<RespValue> published = publisher.LineAsync("PUBLISH c hi");
            await Redis.SendAsync("PUNSUBSCRIBE", "c*");
            RespValue first = await Redis.ReadAsync();
            bool got = first[0].Text == "pmessage";
            if (got) first = await Redis.ReadAsync();
            Assert.Equal("punsubscribe", first[0].Text);
            Assert.Equal(got ? 1 : 0, (await published).Integer);
        }
        Assert.Equal("+PONG", await Line("PING"));
    }

    [Fact]
    public async Task RESET_is_answered_after_the_last_message()
    {
        await using RespConnection publisher = await Server.ConnectAsync();
        for (int i = 0; i < 200; i++)
        {
            await Redis.HelloAsync();
            await Redis.SendAsync("SUBSCRIBE", "c");
            await Redis.ReadPushAsync();
            Task<RespValue> published = publisher.LineAsync("PUBLISH c hi");
            Assert.Equal("+RESET", await Line("RESET"));
            Assert.Equal((await published).Integer, Redis.Pushes.Count);
            Assert.Equal("+PONG", await Line("PING"));
            Assert.Equal((await published).Integer, Redis.Pushes.Count);
            Redis.Pushes.Clear();
        }
    }

    [Fact]
    public async Task Those_who_may_no_longer_be_subscribed_are_disconnected()
    {
        await using RespConnection one = await Server.ConnectAsync(), two = await Server.ConnectAsync(), three = await Server.ConnectAsync();
        await one.LineAsync("SUBSCRIBE allowed");
        await two.LineAsync("SSUBSCRIBE forbidden");
        await three.LineAsync("PSUBSCRIBE allowed*");
        ClientConnection spared = await ServerSideAsync(Redis);
        Server.Server.PubSub.Disconnect(client => client != spared, (name, isPattern) => !isPattern && name.SequenceEqual("allowed"u8), asking: null);
        Assert.True(await two.IsClosedByServerAsync());
        Assert.True(await three.IsClosedByServerAsync());
        Assert.Equal("""["pong", ""]""", (await one.LineAsync("PING")).ToString());
    }

    [Fact]
    public async Task What_is_published_here_is_relayed_and_what_comes_from_elsewhere_is_not()
    {
        var relay = new RecordingRelay();
        Server.Server.PubSub.Relay = relay;
        await using RespConnection subscriber = await Server.ConnectAsync();
        await subscriber.LineAsync("SUBSCRIBE c");
        Assert.Equal(":1", await Line("PUBLISH c here"));
        Assert.Equal(":0", await Line("SPUBLISH d sharded"));
        Server.Server.PubSub.Deliver("c"u8, "there"u8, isSharded: false);
        Assert.Equal("""["message", "c", "here"]""", (await subscriber.ReadAsync()).ToString());
        Assert.Equal("""["message", "c", "there"]""", (await subscriber.ReadAsync()).ToString());
        Assert.Equal(["c here", "d sharded!"], relay.Relayed);
    }

    private async Task<string> GrainCall(params string[] words) =>
        Encoding.ASCII.GetString(await Server.Server.Runner.RunAsync(0, [.. words.Select(word => new ReadOnlyMemory<byte>(Encoding.ASCII.GetBytes(word)))]));

    private sealed class RecordingRelay : IMessageRelay
    {
        public List<string> Relayed { get; } = [];

        public void Relay(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool isSharded) =>
            Relayed.Add($"{Encoding.ASCII.GetString(channel)} {Encoding.ASCII.GetString(message)}{(isSharded ? "!" : "")}");
    }
}
