using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// docs/compatibility.md says for every command of Redis 7.4 whether it is supported. From its heading "Commands" on it is
/// generated from the command table; run this test with UPDATE_COMPATIBILITY=1 to write it again.
/// </summary>
public sealed class CompatibilityTests
{
    private static readonly string s_path = Path.Combine(RedisProcess.RepositoryRoot, "docs", "compatibility.md");
    private const string Heading = "## Commands\n";
    private static readonly Version s_measure = new(7, 4, 0);

    private static readonly (string Group, string Name)[] s_redis =
    [
        .. RedisCommands.Lines().Select(line => (line.Split(' ')[0], line.Split(' ')[1])),
    ];

    [Fact]
    public void The_compatibility_table_is_up_to_date()
    {
        string page = File.ReadAllText(s_path);
        string text = page[..page.IndexOf(Heading, StringComparison.Ordinal)] + Write();
        if (Environment.GetEnvironmentVariable("UPDATE_COMPATIBILITY") == "1") File.WriteAllText(s_path, text);
        Assert.True(File.ReadAllText(s_path) == text, "docs/compatibility.md is stale: run this test with UPDATE_COMPATIBILITY=1.");
    }

    [Fact]
    public void What_redis_7_4_does_not_have_says_that_it_is_later() =>
        Assert.All(Later(Ours()), command => Assert.True(IsLater(command.Declaration!.Since), command.Name));

    /// <summary>Whatever an argument needs is said about it, too: COMMAND DOCS tells clients.</summary>
    [Theory]
    [InlineData("set", "IFEQ IFNE IFDEQ IFDNE (8.4.0)")]
    [InlineData("xadd", "KEEPREF DELREF ACKED (8.2.0)")]
    [InlineData("xtrim", "KEEPREF DELREF ACKED (8.2.0)")]
    [InlineData("bitop", "DIFF DIFF1 ANDOR ONE (8.2.0)")]
    [InlineData("geosearch", "BYPOLYGON (9.0.0)")]
    [InlineData("client|kill", "PRIMARY (8.0.0), NAME IDLE FLAGS LIB-NAME LIB-VER DB CAPA IP NOT-TYPE")]
    [InlineData("client|list", "PRIMARY (8.0.0), USER ADDR LADDR SKIPME MAXAGE (8.1.0), NAME IDLE FLAGS LIB-NAME LIB-VER DB CAPA IP NOT-TYPE")]
    public void What_a_command_takes_since_later_says_so(string name, string options) =>
        Assert.StartsWith(options, LaterOptions(Ours()[name]).Replace("`", "", StringComparison.Ordinal), StringComparison.Ordinal);

    private static bool IsLater(string? since) => since is not null && Version.Parse(since) > s_measure;

    /// <summary>The words that a command takes since a version later than 7.4, with these.</summary>
    private static string LaterOptions(CommandInfo command)
    {
        var found = new List<(string Word, string Since)>();
        foreach (ArgumentSyntax argument in ArgumentSyntax.Parse(command.Declaration!.Syntax, command.Keys)) Collect(argument);
        return string.Join(", ", found.GroupBy(option => option.Since, option => option.Word)
            .Select(version => $"{string.Join(' ', version.Distinct().Select(word => $"`{word}`"))} ({version.Key})"));

        void Collect(ArgumentSyntax argument)
        {
            if (IsLater(argument.Since)) found.AddRange(Words(argument).Select(word => (word, argument.Since!)));
            else foreach (ArgumentSyntax part in argument.Arguments) Collect(part);
        }
    }

    private static IEnumerable<string> Words(ArgumentSyntax argument) =>
        argument.Token is { } token ? [token] : argument.Arguments.SelectMany(Words);

    /// <summary>The commands that no version of Redis has.</summary>
    private static IEnumerable<CommandInfo> Own(Dictionary<string, CommandInfo> ours) =>
        from command in ours.Values
        where command.Name.StartsWith("silo|", StringComparison.Ordinal)
        orderby command.Name
        select command;

    private static IEnumerable<CommandInfo> Later(Dictionary<string, CommandInfo> ours) =>
        ours.Values.Except(Own(ours)).ExceptBy(s_redis.Select(command => command.Name), command => command.Name)
            .OrderBy(command => command.Name, StringComparer.Ordinal);

    private static Dictionary<string, CommandInfo> Ours() =>
        new CommandTable(typeof(Store).Assembly, typeof(OrleansRedis.Gateway.RedisServer).Assembly).Commands
            .SelectMany(command => command.Subcommands is null ? [command] : command.Subcommands.Values.Append(command))
            .Where(command => command.Declaration is not null)
            .ToDictionary(command => command.Name);

    private static string Write()
    {
        Dictionary<string, CommandInfo> ours = Ours();
        var text = new StringBuilder(Heading);
        text.Append("\nEvery command of Redis 7.4, and what is later. From here on this page is made from the command table (see `CompatibilityTests`).\n\n");
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
        text.Append("\nCommands of 7.4 that take more than they did. A version is Valkey's if only Valkey has it.\n\n| command | since |\n| --- | --- |\n");
        foreach (CommandInfo command in ours.Values.OrderBy(command => command.Name, StringComparer.Ordinal))
        {
            string options = IsLater(command.Declaration!.Since) ? "" : LaterOptions(command);
            if (options.Length > 0) text.Append($"| {command.Name.ToUpperInvariant().Replace('|', ' ')} | {options} |\n");
        }
        text.Append("\n## Of this server alone\n\n| command | |\n| --- | --- |\n");
        foreach (CommandInfo command in Own(ours))
            text.Append($"| {command.Name.ToUpperInvariant().Replace('|', ' ')} | {command.Declaration!.Summary} |\n");
        return text.ToString();
    }
}
