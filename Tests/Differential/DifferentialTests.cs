using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Differential;

/// <summary>
/// Compares the server under test with Debian's redis-server, by random commands. <c>TEST_SEED</c> is the first
/// episode's seed, as a report gives it. <c>DIFFERENTIAL_COMMANDS</c>: how many commands per family (20,000, which take
/// a second); <c>DIFFERENTIAL_REPORTS</c>: how many differences to collect before giving up (1);
/// <c>DIFFERENTIAL_FAMILIES</c>: which families, such as "sets,lists" (all).
/// </summary>
public sealed class DifferentialTests
{
    public static TheoryData<string> Families
    {
        get
        {
            string[] wanted = Environment.GetEnvironmentVariable("DIFFERENTIAL_FAMILIES") is { Length: > 0 } names ? names.Split(',') : [];
            return [.. Family.All.Select(family => family.Name).Where(name => wanted.Length == 0 || wanted.Contains(name))];
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Families))]
    public async Task Random_commands_are_answered_as_redis_answers_them(string name)
    {
        Requires.That(Family.Enabled.Contains(name), $"family '{name}' is not among Family.Enabled yet");
        int commands = Setting("DIFFERENTIAL_COMMANDS", 20_000), seed = TestSeed.Value, wanted = Setting("DIFFERENTIAL_REPORTS", 1);
        string[] directives = ["--rdbcompression", "no"]; // a DUMP can be compressed correctly in more than one way
        await using RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis, directives);
        await using RedisProcess ours = await RedisProcess.StartAsync(directives);
        await using DifferentialRun run = await DifferentialRun.StartAsync(redis, ours, Family.All.Single(family => family.Name == name));
        List<string> reports = [];
        for (int sent = 0; sent < commands && reports.Count < wanted; sent += DifferentialRun.EpisodeCommands)
        {
            if (await run.EpisodeAsync(seed++) is { } report)
                reports.Add(report);
        }

        Assert.True(reports.Count == 0, string.Join("\n\n", reports));
    }

    private static int Setting(string name, int otherwise) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
}
