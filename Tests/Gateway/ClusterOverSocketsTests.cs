using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>Redis Cluster's protocol, as far as connections have a part in it.</summary>
public sealed class ClusterOverSocketsTests : IAsyncLifetime
{
    private const string Mine = ClusterNodeHarness.Mine, Other = ClusterNodeHarness.Other;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("orleansredis-test-");
    private RedisProcess _server = null!;
    private RespConnection _redis = null!;

    public async Task InitializeAsync()
    {
        await File.WriteAllTextAsync(Path.Combine(_directory.FullName, "nodes.conf"),
            $"{Mine} :6379@16379 myself,master - 0 0 1 connected 0-8191\n{Other} 10.0.0.2:7002@17002 master - 0 0 2 connected 8192-16383\n");
        _server = await StartAsync();
        _redis = await _server.ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _server.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    [Fact]
    public async Task Asking_is_for_one_command_or_for_one_transaction()
    {
        await CallAsync($"CLUSTER SETSLOT 12182 IMPORTING {Other}");
        Assert.Equal("-MOVED 12182 10.0.0.2:7002", await CallAsync("SET foo 1"));
        Assert.Equal("+OK", await CallAsync("ASKING"));
        Assert.Equal("+OK", await CallAsync("SET foo 1"));
        Assert.Equal("-MOVED 12182 10.0.0.2:7002", await CallAsync("GET foo"));
        await CallAsync("ASKING");
        await CallAsync("MULTI");
        Assert.Equal("+QUEUED", await CallAsync("INCR foo"));
        Assert.Equal("+QUEUED", await CallAsync("GET foo"));
        RespValue both = await _redis.CallAsync("EXEC");
        Assert.Equal(["2", "2"], both.Items.Select(item => item.Text));
        Assert.Equal("-MOVED 12182 10.0.0.2:7002", await CallAsync("GET foo"));
        await CallAsync("ASKING");
        await CallAsync("PING");
        Assert.Equal("-MOVED 12182 10.0.0.2:7002", await CallAsync("GET foo"));
        await CallAsync("ASKING");
        Assert.Equal("+RESET", await CallAsync("RESET"));
        Assert.Equal("-MOVED 12182 10.0.0.2:7002", await CallAsync("GET foo"));
        // In a pipeline, too.
        RespValue[] replies = await _redis.PipelineAsync(["ASKING"], ["GET", "foo"], ["GET", "foo"], ["GET", "b"]);
        Assert.Equal(["+OK", "$2", "-MOVED 12182 10.0.0.2:7002", "$-1"], replies.Select(Short));
    }

    [Fact]
    public async Task Readonly_shows_and_ends()
    {
        Assert.Equal("+OK", await CallAsync("READONLY"));
        Assert.Contains(" flags=r ", (await _redis.CallAsync("CLIENT", "INFO")).Text, StringComparison.Ordinal);
        Assert.Equal("+OK", await CallAsync("READWRITE"));
        Assert.Contains(" flags=N ", (await _redis.CallAsync("CLIENT", "INFO")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_is_told_the_address_that_it_has_used()
    {
        Assert.StartsWith($"{Mine} 127.0.0.1:{_server.Port}@", (await _redis.CallAsync("CLUSTER", "NODES")).Text, StringComparison.Ordinal);
        RespValue slots = await _redis.CallAsync("CLUSTER", "SLOTS");
        Assert.Equal(["127.0.0.1", Text(_server.Port), Mine], slots[0][2].Items.Take(3).Select(item => item.Text));
        Assert.Equal(["10.0.0.2", "7002", Other], slots[1][2].Items.Take(3).Select(item => item.Text));
        RespValue hello = await _redis.CallAsync("HELLO", "3");
        Assert.Equal("cluster", hello["mode"].Text);
        Assert.Contains("redis_mode:cluster\r\n", (await _redis.CallAsync("INFO", "server")).Text, StringComparison.Ordinal);
        Assert.Contains("cluster_enabled:1\r\n", (await _redis.CallAsync("INFO", "cluster")).Text, StringComparison.Ordinal);
        Assert.Equal(RespKind.Map, (await _redis.CallAsync("CLUSTER", "SHARDS"))[0].Kind);
        Assert.Equal(RespKind.VerbatimString, (await _redis.CallAsync("CLUSTER", "INFO")).Kind);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Subscribers_of_shard_channels_are_told_when_the_slot_goes_away(int protocol)
    {
        await using RespConnection subscriber = await _server.ConnectAsync();
        await subscriber.HelloAsync(protocol);
        foreach (string channel in new[] { "{b}1", "c" })
        {
            await subscriber.SendAsync("SSUBSCRIBE", channel);
            Assert.Equal(channel, (await PushAsync(subscriber, protocol))[1].Text);
        }
        Assert.Equal(1, (await _redis.CallAsync("SPUBLISH", "{b}1", "before")).Integer);
        await CallAsync($"CLUSTER SETSLOT 3300 NODE {Other}");
        Assert.Equal("-MOVED 3300 10.0.0.2:7002", await CallAsync("SPUBLISH {b}1 after"));
        Assert.Equal(["smessage", "{b}1", "before"], (await PushAsync(subscriber, protocol)).Items.Select(item => item.Text));
        Assert.Equal(["sunsubscribe", "{b}1", "1"], (await PushAsync(subscriber, protocol)).Items.Select(item => item.Text));
        Assert.Equal(["c"], (await _redis.CallAsync("PUBSUB", "SHARDCHANNELS")).Items.Select(item => item.Text));
        await CallAsync("CLUSTER DELSLOTS 7365");
        Assert.Equal(["sunsubscribe", "c", "0"], (await PushAsync(subscriber, protocol)).Items.Select(item => item.Text));
        Assert.Equal("PONG", (await subscriber.CallAsync("PING")).Text); // it has left the mode in which RESP2 knows little else
        Assert.Equal("-CROSSSLOT Keys in request don't hash to the same slot", (await subscriber.CallAsync("SSUBSCRIBE", "b", "bar")).ToString());
    }

    [Fact]
    public async Task A_second_server_cannot_use_the_file()
    {
        InvalidOperationException failure = await Assert.ThrowsAsync<InvalidOperationException>(
            () => StartAsync());
        Assert.Contains("nodes.conf is already used by a different Redis Cluster node.", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Data_and_slots_are_there_after_a_restart()
    {
        Assert.Equal("+OK", await CallAsync("SET b 1"));
        await CallAsync($"CLUSTER SETSLOT 3300 MIGRATING {Other}");
        await _server.TerminateAsync();
        await using RedisProcess second = await StartAsync();
        await using RespConnection redis = await second.ConnectAsync();
        Assert.Equal("1", (await redis.CallAsync("GET", "b")).Text);
        Assert.Equal("-ASK 3300 10.0.0.2:7002", (await redis.CallAsync("GET", "{b}2")).ToString());
    }

    private Task<RedisProcess> StartAsync() =>
        RedisProcess.StartAsync(ServerKind.OrleansRedis, _directory.FullName, 0, "--cluster-enabled", "yes", "--appendonly", "yes");

    private async Task<string> CallAsync(string line) => (await _redis.LineAsync(line)).ToString();

    private static async Task<RespValue> PushAsync(RespConnection subscriber, int protocol) =>
        protocol == 3 ? await subscriber.ReadPushAsync() : await subscriber.ReadAsync();

    private static string Short(RespValue reply) => reply.IsNull ? "$-1" : reply.Kind == RespKind.BulkString ? "$" + reply.Text : reply.ToString();

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
