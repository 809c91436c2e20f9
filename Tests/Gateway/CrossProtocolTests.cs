using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>What a browser can be made to send here: an HTTP request whose body holds commands.</summary>
public class CrossProtocolTests
{
    [Theory]
    [InlineData("POST / HTTP/1.1\r\n")]
    [InlineData("GET /\r\nhost: localhost\r\n")]
    [InlineData("*2\r\n$4\r\npOsT\r\n$1\r\n/\r\n")]
    [InlineData("MULTI\r\nHOST: x\r\n")]
    public async Task Nothing_runs_after_the_first_line_of_an_http_request(string head)
    {
        using var log = new RecordingLog();
        await using InProcessServer redis = await InProcessServer.StartAsync(loggers: log);
        await using RespConnection attacker = await redis.ConnectAsync();
        await attacker.SendRawAsync("SET before 1\r\n" + head + "SET after 1\r\n");
        try
        {
            await attacker.ReadToEndAsync();
        }
        catch (Exception)
        {
            // Reset, since not all of the request was read.
        }
        await Eventually.TrueAsync(() => redis.Server.Clients.Count == 0);
        await using RespConnection other = await redis.ConnectAsync();
        Assert.Equal(["\"1\"", "nil"], (await other.PipelineAsync(["GET", "before"], ["GET", "after"])).Select(reply => reply.ToString()));
        string line = Assert.Single(log.Lines);
        Assert.StartsWith("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis.", line);
        Assert.EndsWith($"Connection from {redis.Store.Options.UnixSocket}:0 aborted.", line);
    }

    [Fact]
    public async Task Strangers_are_ended_as_well_and_the_log_is_not_flooded()
    {
        using var log = new RecordingLog();
        await using InProcessServer redis = await InProcessServer.StartAsync(options => options.RequirePass = "secret", loggers: log);
        for (int i = 0; i < 3; i++)
        {
            await using RespConnection attacker = await redis.ConnectAsync();
            await attacker.SendRawAsync("POST / HTTP/1.1\r\n");
            Assert.True(await attacker.IsClosedByServerAsync());
        }
        Assert.Single(log.Lines);
    }

    private sealed class RecordingLog : ILoggerFactory, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = new();

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel)) Lines.Enqueue(formatter(state, exception));
        }

        public void Dispose()
        {
        }
    }
}
