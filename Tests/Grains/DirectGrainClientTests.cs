using System.Globalization;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Grains;

/// <summary>A server, an Orleans client of it over TCP, and a RESP client of it.</summary>
public sealed class GrainClientFixture : IAsyncLifetime
{
    private RedisProcess _server = null!;
    private IHost _host = null!;

    internal RespConnection Resp { get; private set; } = null!;

    internal IClusterClient Orleans { get; private set; } = null!;

    internal int GatewayPort { get; private set; }

    public async Task InitializeAsync()
    {
        GatewayPort = RedisProcess.FreePort();
        _server = await RedisProcess.StartAsync("--orleans-gateway-port", GatewayPort.ToString(CultureInfo.InvariantCulture));
        Resp = await RespConnection.ConnectAsync("127.0.0.1", _server.Port);
        await _server.WaitForLogAsync("Orleans clients find the grains"); // the silo starts beside the rest, and takes a little longer
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        builder.UseOrleansClient(orleans => orleans.UseLocalhostClustering(GatewayPort, serviceId: "orleansredis", clusterId: "orleansredis"));
        _host = builder.Build();
        await _host.StartAsync();
        Orleans = _host.Services.GetRequiredService<IClusterClient>();
    }

    public async Task DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
        await Resp.DisposeAsync();
        await _server.DisposeAsync();
    }
}

/// <summary>An Orleans client and a RESP client of one server see the same data.</summary>
public sealed class DirectGrainClientTests(GrainClientFixture fixture) : IClassFixture<GrainClientFixture>, IAsyncLifetime
{
    private readonly RespConnection _resp = fixture.Resp;
    private readonly RedisDatabase _redis = fixture.Orleans.GetRedisDatabase();

    public async Task InitializeAsync()
    {
        await _resp.CallAsync("SELECT", "0");
        await _resp.CallAsync("FLUSHALL");
    }

    public Task DisposeAsync() => Task.CompletedTask;

    [Fact]
    public async Task A_grain_client_sees_what_a_resp_client_wrote()
    {
        await _resp.CallAsync("SET", "from resp", "value");
        Assert.Equal("value", await _redis.StringGetAsync("from resp"));
        Assert.Null(await _redis.StringGetAsync("missing"));
    }

    [Fact]
    public async Task A_resp_client_sees_what_a_grain_client_wrote()
    {
        Assert.True(await _redis.StringSetAsync("from grain", "value", TimeSpan.FromMinutes(1)));
        Assert.Equal("value", (await _resp.CallAsync("GET", "from grain")).Text);
        Assert.InRange(long.Parse((await _resp.CallAsync("PTTL", "from grain")).Text, CultureInfo.InvariantCulture), 1, 60_000);
    }

    [Fact]
    public async Task Conditions_of_a_set_are_told_by_its_result()
    {
        Assert.False(await _redis.StringSetAsync("key", "1", when: SetWhen.Present));
        Assert.True(await _redis.StringSetAsync("key", "1", when: SetWhen.Missing));
        Assert.False(await _redis.StringSetAsync("key", "2", when: SetWhen.Missing));
        Assert.Equal("1", await _redis.StringGetAsync("key"));
    }

    [Fact]
    public async Task Counters_from_both_sides_lose_no_increment()
    {
        Task grains = Parallel.ForAsync(0, 500, async (_, _) => await _redis.IncrementAsync("counter"));
        for (int i = 0; i < 500; i++) await _resp.CallAsync("INCR", "counter");
        await grains;
        Assert.Equal(1000, await _redis.IncrementAsync("counter", by: 0));
    }

    [Fact]
    public async Task Commands_over_keys_of_several_slots_run_from_any_of_their_grains()
    {
        await _redis.ExecuteAsync("MSET", "a", "1", "b", "2", "c", "3");
        string?[] expected = ["1", "2", "3", null];
        Assert.Equal(expected, await _redis.StringGetAsync("a", "b", "c", "d"));
        Assert.Equal(3, await _redis.DeleteAsync("a", "b", "c", "d"));
        Assert.Equal(0, (await _redis.ExecuteAsync("DBSIZE")).Int64);
    }

    [Fact]
    public async Task A_command_that_runs_alone_runs_from_a_grain_too()
    {
        await _resp.CallAsync("SET", "key", "value");
        Assert.Equal("OK", (await _redis.ExecuteAsync("FLUSHALL")).Text);
        Assert.False(await _redis.ExistsAsync("key"));
    }

    [Fact]
    public async Task Grain_calls_make_room_for_what_they_write_and_are_refused_when_there_is_none()
    {
        await _resp.CallAsync("SET", "old", new string('v', 100_000));
        string used = (await _resp.CallAsync("INFO", "memory")).Text.Split("\r\n")
            .Single(line => line.StartsWith("used_memory:", StringComparison.Ordinal))["used_memory:".Length..];
        try
        {
            await _resp.CallAsync("CONFIG", "SET", "maxmemory", long.Parse(used, CultureInfo.InvariantCulture) - 1);
            Assert.StartsWith("OOM ", (await Assert.ThrowsAsync<RedisErrorException>(() => _redis.StringSetAsync("new", "value"))).Message,
                StringComparison.Ordinal);
            Assert.True(await _redis.ExistsAsync("old"));
            // Where something may go, there is room.
            await _resp.CallAsync("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
            Assert.True(await _redis.StringSetAsync("new", "value"));
            // The change of the policy has begun to make room as well, and the call need not have waited for the last bytes.
            await Eventually.TrueAsync(async () => !await _redis.ExistsAsync("old"));
        }
        finally
        {
            await _resp.CallAsync("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction");
        }
    }

    [Fact]
    public async Task A_pause_holds_grain_calls_that_write()
    {
        await _resp.CallAsync("CLIENT", "PAUSE", "60000", "WRITE");
        try
        {
            Task<bool> set = _redis.StringSetAsync("key", "value");
            Assert.False(await _redis.ExistsAsync("key"));
            await Eventually.TrueAsync(
                async () => (await _resp.CallAsync("INFO", "clients")).Text.Contains("blocked_clients:1\r\n", StringComparison.Ordinal),
                () => "the call is not held");
            Assert.False(set.IsCompleted);
            await _resp.CallAsync("CLIENT", "UNPAUSE");
            Assert.True(await set);
        }
        finally
        {
            await _resp.CallAsync("CLIENT", "UNPAUSE");
        }
    }

    [Fact]
    public async Task Grain_calls_are_counted()
    {
        await _redis.StringSetAsync("text", "no number");
        await _resp.CallAsync("CONFIG", "RESETSTAT");
        await Assert.ThrowsAsync<RedisErrorException>(() => _redis.IncrementAsync("text"));
        await Assert.ThrowsAsync<RedisErrorException>(() => _redis.ExecuteAsync("APPEND", "text"));
        await _redis.ExecuteAsync("GETRANGE", "text", 0, 1);
        string info = (await _resp.CallAsync("INFO", "everything")).Text;
        Assert.Contains("rejected_calls=0,failed_calls=1\r\n", info, StringComparison.Ordinal);
        Assert.Contains("rejected_calls=1,failed_calls=0\r\n", info, StringComparison.Ordinal);
        Assert.Contains("cmdstat_getrange:calls=1,", info, StringComparison.Ordinal);
        Assert.Contains("errorstat_ERR:count=2\r\n", info, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_command_of_the_gateway_that_is_about_no_connection_can_be_called()
    {
        Assert.Equal(2, (await _redis.ExecuteAsync("TIME")).Items.Count);
        Assert.Contains("needs a connection", (await Assert.ThrowsAsync<RedisErrorException>(() => _redis.ExecuteAsync("INFO"))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_grain_call_that_takes_long_is_answered_like_any_other()
    {
        const int Many = 60_000;
        await _resp.CallAsync(["SADD", "many", .. Enumerable.Range(0, Many).Select(i => (RespArgument)i)]);
        Assert.Equal(Many, (await _redis.ExecuteAsync("SUNIONSTORE", "copy", "many")).Int64);
        Assert.Equal(Many, (await _resp.CallAsync("SCARD", "copy")).Integer);
    }

    [Fact]
    public async Task Databases_are_apart()
    {
        RedisDatabase third = fixture.Orleans.GetRedisDatabase(3);
        await third.StringSetAsync("key", "in three");
        Assert.Null(await _redis.StringGetAsync("key"));
        await _resp.CallAsync("SELECT", "3");
        Assert.Equal("in three", (await _resp.CallAsync("GET", "key")).Text);
        var error = await Assert.ThrowsAsync<RedisErrorException>(() => fixture.Orleans.GetRedisDatabase(99).ExistsAsync("key"));
        Assert.Equal("ERR DB index is out of range", error.Message);
    }

    [Fact]
    public async Task Errors_are_Rediss_own()
    {
        await _redis.StringSetAsync("text", "no number");
        Assert.Equal("ERR value is not an integer or out of range",
            (await Assert.ThrowsAsync<RedisErrorException>(() => _redis.IncrementAsync("text"))).Message);
        Assert.StartsWith("ERR unknown command", (await Assert.ThrowsAsync<RedisErrorException>(() => _redis.ExecuteAsync("NOSUCH", "key"))).Message,
            StringComparison.Ordinal);
        Assert.Contains("needs a connection", (await Assert.ThrowsAsync<RedisErrorException>(() => _redis.ExecuteAsync("SELECT", "1"))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Expiry_and_types_have_their_own_calls()
    {
        await _redis.StringSetAsync("key", "value");
        Assert.Null(await _redis.TimeToLiveAsync("key"));
        Assert.True(await _redis.ExpireAsync("key", TimeSpan.FromSeconds(30)));
        Assert.InRange((await _redis.TimeToLiveAsync("key"))!.Value, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(30));
        Assert.True(await _redis.PersistAsync("key"));
        Assert.Equal("string", await _redis.TypeAsync("key"));
        Assert.Equal(8, await _redis.StringAppendAsync("key", "two"));
        Assert.Equal(1.5, await _redis.IncrementAsync("float", 1.5));
    }

    [Fact]
    public async Task Values_are_bytes()
    {
        byte[] bytes = [0, 255, 13, 10, 36];
        await _redis.StringSetAsync(bytes, bytes);
        Assert.Equal(bytes, await _redis.StringGetBytesAsync(bytes));
    }

    [Fact]
    public async Task The_readmes_sample_runs_and_stands_there_as_it_is_here()
    {
        await using var console = new StringWriter();
        await ReadmeSample.RunAsync(fixture.GatewayPort, console);
        Assert.Equal($"hello from a grain client{console.NewLine}2{console.NewLine}hello{console.NewLine}", console.ToString());

        string source = await File.ReadAllTextAsync(Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Grains", "ReadmeSample.cs"));
        string sample = source[(source.IndexOf("// <readme>", StringComparison.Ordinal) + 12)..source.IndexOf("// </readme>", StringComparison.Ordinal)];
        string[] lines = [.. sample.TrimEnd().Split('\n').Select(line => line.StartsWith("        ", StringComparison.Ordinal) ? line[8..] : line)];
        string readme = await File.ReadAllTextAsync(Path.Combine(RedisProcess.RepositoryRoot, "README.md"));
        string expected = string.Join('\n', lines).Replace("gatewayPort, ", "gatewayPort: 30000, ", StringComparison.Ordinal)
            .Replace("console.", "Console.", StringComparison.Ordinal);
        Assert.Contains(expected, readme, StringComparison.Ordinal);
    }

    [Fact]
    public void Clients_and_servers_agree_on_slots()
    {
        foreach (string key in (string[])["", "a", "123456789", "{user}:1", "{}x", "a{b}c{d}", "{{x}}", "x{", "x}{y}"])
            Assert.Equal(KeySlot.Of(Encoding.UTF8.GetBytes(key)), HashSlot.Of(Encoding.UTF8.GetBytes(key)));
    }
}
