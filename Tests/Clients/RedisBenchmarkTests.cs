using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Clients;

/// <summary>redis-benchmark ends without an error. How fast it is, Benchmarks/compare tells.</summary>
public sealed class RedisBenchmarkTests(SharedServer server, ITestOutputHelper output) : SharedServerTest(server, output)
{
    /// <summary>The default tests of redis-benchmark, with the commands that each one needs.</summary>
    [SkippableTheory]
    [InlineData("ping_inline,ping_mbulk", "PING")]
    [InlineData("set,get,incr,mset", "SET", "GET", "INCR", "MSET")]
    [InlineData("lpush,rpush,lpop,rpop,lrange_100,lrange_300,lrange_500,lrange_600", "LPUSH", "RPUSH", "LPOP", "RPOP", "LRANGE")]
    [InlineData("sadd,spop", "SADD", "SPOP")]
    [InlineData("hset", "HSET")]
    [InlineData("zadd,zpopmin", "ZADD", "ZPOPMIN")]
    public async Task Default_tests_end_without_an_error(string tests, params string[] commands)
    {
        await Requires.CommandsAsync(Server, commands);
        foreach (string pipeline in (string[])["1", "16"])
        {
            string report = await BenchmarkAsync("-t", tests, "-n", "5000", "-c", "20", "-r", "1000", "-P", pipeline, "--csv");
            string[] lines = report.Split('\n');
            Assert.StartsWith("\"test\",\"rps\"", lines[0], StringComparison.Ordinal);
            Assert.True(lines.Length > commands.Length, report);
            Assert.DoesNotContain("rror", report, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task All_default_tests_run_to_the_end_when_none_is_named()
    {
        string[] titles =
        [
            "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP", "ZADD", "ZPOPMIN",
            "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)", "LRANGE_300 (first 300 elements)", "LRANGE_500 (first 500 elements)",
            "LRANGE_600 (first 600 elements)", "MSET (10 keys)",
        ];
        string report = await BenchmarkAsync("-n", "500", "-c", "10", "-r", "100", "--csv");
        Assert.DoesNotContain("rror", report, StringComparison.Ordinal);
        string[] done = [.. report.Split('\n').Skip(1).Select(line => line.Split("\",\"")[0].Trim('"'))];
        Assert.Empty(titles.Except(done));
        // Each has a rate and six latencies.
        Assert.All(report.Split('\n').Skip(1), line => Assert.Equal(8, line.Split("\",\"").Length));
    }

    [Fact]
    public async Task A_command_of_ones_own_with_random_keys_fills_the_keyspace()
    {
        await BenchmarkAsync("-n", "20000", "-r", "500", "-P", "10", "-q", "SET", "key:__rand_int__", "value");
        Assert.InRange((await Redis.CallAsync("DBSIZE")).Integer, 490, 500);
    }

    private Task<string> BenchmarkAsync(params string[] arguments) =>
        ClientProgram.RunAsync("redis-benchmark", ["-p", Server.Port.ToString(CultureInfo.InvariantCulture), .. arguments]);
}
