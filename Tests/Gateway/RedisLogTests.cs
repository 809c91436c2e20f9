using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Silo;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed partial class RedisLogTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("orleansredis-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    [InlineData("\r")]
    [InlineData("\v\f\u0085\u2028\u2029")]
    [InlineData("\u001b[2K\u001b[1A\b\b\b")]
    [InlineData("\0\u009b1A")]
    public void Text_from_outside_cannot_forge_an_entry(string separator)
    {
        string forged = $"name{separator}{Environment.ProcessId}:M 01 Jan 2026 00:00:00.000 # forged";
        using (var log = new RedisLog(new ServerOptions { Dir = _directory, LogFile = "log" }))
        {
            ILogger logger = log.CreateLogger("OrleansRedis.Tests");
            logger.Log(LogLevel.Warning, default, $"A client calls itself {forged}.", null, (text, _) => text);
            logger.Log(LogLevel.Error, default, $"A peer says {forged}.", new InvalidOperationException(forged), (text, _) => text);
            logger.Log(LogLevel.Warning, default, "The end", null, (text, _) => text);
        }
        string text = File.ReadAllText(Path.Combine(_directory, "log"));
        Assert.Equal(["A client", "A peer", "The end"], EntryStart().Matches(text).Select(entry => entry.Groups[1].Value));
        Assert.DoesNotContain(text, c => char.IsControl(c) && c != '\n');
    }

    [GeneratedRegex(@"(?:^|[\n\r\v\f\u0085\u2028\u2029])\d+:M [^*#]* [*#] (A client|A peer|The end|forged)")]
    private static partial Regex EntryStart();
}
