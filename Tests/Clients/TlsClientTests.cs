using System.Globalization;
using OrleansRedis.Tests.Harness;
using StackExchange.Redis;
using Xunit;

namespace OrleansRedis.Tests.Clients;

/// <summary>Clients by TLS. The server asks all of them for a certificate.</summary>
public sealed class TlsClientTests(TlsClientTests.TlsServer server) : IClassFixture<TlsClientTests.TlsServer>
{
    private static readonly TestCertificates s_certificates = TestCertificates.Shared;
    private static readonly string s_here = Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Clients");

    private string Port => server.Port.ToString(CultureInfo.InvariantCulture);

    private string[] Credentials =>
        ["--tls", "--cacert", s_certificates.At("ca.crt"), "--cert", s_certificates.At("client.crt"), "--key", s_certificates.At("client.key")];

    [Fact]
    public async Task Redis_cli()
    {
        string[] address = ["-h", "localhost", "-p", Port, .. Credentials];
        Assert.Equal("OK", await ClientProgram.RunAsync("redis-cli", [.. address, "SET", "k", new string('v', 100_000)]));
        Assert.Equal("100000", await ClientProgram.RunAsync("redis-cli", [.. address, "STRLEN", "k"]));
        await using ClientProgram pipe = ClientProgram.Start("redis-cli", [.. address, "--pipe"]);
        await pipe.WriteAsync(string.Concat(Enumerable.Range(0, 10_000).Select(i => $"SET key:{i} {i}\r\n")));
        pipe.CloseInput();
        Assert.True(await pipe.WaitForExitAsync() == 0, pipe.Output);
        Assert.Contains("errors: 0, replies: 10000", pipe.Output);
    }

    [Fact]
    public async Task Redis_benchmark()
    {
        foreach (string depth in (string[])["1", "16"])
        {
            string report = await ClientProgram.RunAsync("redis-benchmark",
                ["-p", Port, .. Credentials, "-t", "set,get,lrange_300", "-n", "5000", "-c", "20", "-P", depth, "--csv"]);
            Assert.StartsWith("\"test\",\"rps\"", report, StringComparison.Ordinal);
            Assert.DoesNotContain("rror", report, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("ioredis")]
    [InlineData("node-redis")]
    [InlineData("redis-py")]
    public async Task Scripted(string client)
    {
        string directory = Path.GetDirectoryName(s_certificates.At("ca.crt"))!;
        await using ClientProgram session = client == "redis-py"
            ? ClientProgram.Start("/usr/bin/python3", "-B", Path.Combine(s_here, "python", "session.py"), "tls", Port, directory)
            : ClientProgram.Start("node", Path.Combine(s_here, "node", "session.js"), client, "tls", Port, directory);
        Assert.True(await session.WaitForExitAsync() == 0, session.Output + server.Process.Describe());
    }

    [Fact]
    public async Task StackExchange()
    {
        ConfigurationOptions options = ConfigurationOptions.Parse($"localhost:{Port},ssl=true");
        options.AsyncTimeout = options.SyncTimeout = (int)Eventually.Deadline.TotalMilliseconds;
        options.ConnectRetry = 20;
        options.SslClientAuthenticationOptions = _ => s_certificates.Client("client");
        using ConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync(options);
        IDatabase db = redis.GetDatabase();
        await Task.WhenAll(Enumerable.Range(0, 10_000).Select(i => db.StringSetAsync($"key:{i}", i)));
        RedisValue[] values = await Task.WhenAll(Enumerable.Range(0, 10_000).Select(i => db.StringGetAsync($"key:{i}")));
        Assert.Equal(Enumerable.Range(0, 10_000), values.Select(value => (int)value));
    }

    public sealed class TlsServer : IAsyncLifetime
    {
        public RedisProcess Process { get; private set; } = null!;

        public int Port { get; } = RedisProcess.FreePort();

        public async Task InitializeAsync() => Process = await RedisProcess.StartAsync(
            ["--tls-port", Port.ToString(CultureInfo.InvariantCulture), .. s_certificates.Directives, "--tls-auth-clients", "yes"]);

        public async Task DisposeAsync() => await Process.DisposeAsync();
    }
}
