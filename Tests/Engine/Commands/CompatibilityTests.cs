using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// docs/compatibility.md says for every command of Redis 7.4 whether it is supported. It is generated from the command
/// table; run this test with UPDATE_COMPATIBILITY=1 to write it again.
/// </summary>
public sealed class CompatibilityTests
{
    private static readonly string s_path = Path.Combine(RedisProcess.RepositoryRoot, "docs", "compatibility.md");
    private static readonly (string Group, string Name)[] s_redis =
    [
        .. File.ReadAllLines(Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Engine", "Commands", "redis-7.4-commands.txt"))
            .Select(line => (line.Split(' ')[0], line.Split(' ')[1])),
    ];

    [Fact]
    public void The_compatibility_table_is_up_to_date()
    {
        string text = Write();
        if (Environment.GetEnvironmentVariable("UPDATE_COMPATIBILITY") == "1") File.WriteAllText(s_path, text);
        Assert.True(File.Exists(s_path) && File.ReadAllText(s_path) == text, "docs/compatibility.md is stale: run this test with UPDATE_COMPATIBILITY=1.");
    }

    [Fact]
    public void What_redis_7_4_does_not_have_says_that_it_is_later() =>
        Assert.All(Later(Ours()), command => Assert.True(Version.Parse(command.Declaration!.Since) > new Version(7, 4, 0), command.Name));

    private static IEnumerable<CommandInfo> Later(Dictionary<string, CommandInfo> ours) =>
        ours.Values.ExceptBy(s_redis.Select(command => command.Name), command => command.Name).OrderBy(command => command.Name, StringComparer.Ordinal);

    private static Dictionary<string, CommandInfo> Ours() =>
        new CommandTable(typeof(Store).Assembly, typeof(OrleansRedis.Gateway.RedisServer).Assembly).Commands
            .SelectMany(command => command.Subcommands is null ? [command] : command.Subcommands.Values.Append(command))
            .Where(command => command.Declaration is not null)
            .ToDictionary(command => command.Name);

    private static string Write()
    {
        Dictionary<string, CommandInfo> ours = Ours();
        var text = new StringBuilder("# Compatibility with Redis 7.4\n\n");
        text.Append("Every command of Redis 7.4. What is there has Redis's options, replies (RESP2 and RESP3), error texts and effects; "
            + "what is missing is refused as an unknown command. ");
        text.Append("This page is made from the command table (see `CompatibilityTests`).\n\n");
        text.Append("| group | there | missing |\n| --- | --- | --- |\n");
        foreach (IGrouping<string, (string Group, string Name)> group in s_redis.GroupBy(command => command.Group))
            text.Append($"| [{group.Key}](#{group.Key}) | {group.Count(command => ours.ContainsKey(command.Name))} "
                + $"| {group.Count(command => !ours.ContainsKey(command.Name))} |\n");
        foreach (IGrouping<string, (string Group, string Name)> group in s_redis.GroupBy(command => command.Group))
        {
            text.Append($"\n## {group.Key}\n\n| command | | |\n| --- | --- | --- |\n");
            foreach ((_, string name) in group)
            {
                string shown = name.ToUpperInvariant().Replace('|', ' ');
                text.Append(ours.TryGetValue(name, out CommandInfo? command)
                    ? $"| {shown} | yes | {command.Declaration!.Summary.Replace("|", "\\|", StringComparison.Ordinal)} |\n"
                    : $"| {shown} | missing | |\n");
            }
        }
        text.Append("\n## Later than 7.4\n\n| command | since | |\n| --- | --- | --- |\n");
        foreach (CommandInfo command in Later(ours))
            text.Append($"| {command.Name.ToUpperInvariant()} | {command.Declaration!.Since} | {command.Declaration.Summary} |\n");
        return text.ToString();
    }
}
