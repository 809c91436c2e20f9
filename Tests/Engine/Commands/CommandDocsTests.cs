using System.Security.Cryptography;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// Compares COMMAND DOCS, node by node, and the flags of COMMAND INFO with what redis-server 7.4.1 says.
/// redis-7.4-docs.txt has a line for each command: its name, the first 16 digits of the SHA-256 of its documentation as
/// <see cref="Replies.Show"/> shows it in RESP3, without its subcommands ("newer" if we follow a later version), and
/// its flags.
/// </summary>
public sealed class CommandDocsTests
{
    [Fact]
    public void Every_command_is_documented_as_in_redis_7_4()
    {
        CommandTable table = new(typeof(Store).Assembly, typeof(OrleansRedis.Gateway.RedisServer).Assembly);
        Dictionary<string, CommandInfo> commands = table.Commands
            .SelectMany(command => command.Subcommands is null ? [command] : command.Subcommands.Values.Append(command))
            .ToDictionary(command => command.Name);
        var differences = new List<string>();
        int compared = 0;
        foreach (string line in File.ReadAllLines(Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Engine", "Commands", "redis-7.4-docs.txt")))
        {
            string[] words = line.Split(' ');
            if (!commands.TryGetValue(words[0], out CommandInfo? command)) continue;
            compared++;
            string text = Documentation(command), flags = string.Join(' ', words[2..]);
            string digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(..8));
            if (words[1] != "newer" && words[1] != digest) differences.Add($"{words[0]}: {text}");
            if (FlagsOf(command) != flags) differences.Add($"{words[0]} has the flags '{FlagsOf(command)}' instead of '{flags}'");
        }
        Assert.True(differences.Count == 0, "\n" + string.Join('\n', differences));
        Assert.True(compared > 250, $"Only {compared} commands were compared.");
    }

    private static string Documentation(CommandInfo command)
    {
        var shown = new RespWriter { Resp3 = true };
        CommandDocumentation.WriteDocs(shown, command);
        var map = (RespMap)new Replies(shown.Written).Next()!;
        return Replies.Show(new RespMap([.. map.Pairs.Where(pair => (string)pair.Key! != "subcommands")]));
    }

    /// <summary>Without "movablekeys", which follows from the key specifications.</summary>
    private static string FlagsOf(CommandInfo command)
    {
        var shown = new RespWriter();
        CommandDocumentation.WriteInfo(shown, command);
        var flags = (object?[])((object?[])new Replies(shown.Written).Next()!)[2]!;
        return string.Join(' ', flags.Cast<string>().Where(flag => flag != "movablekeys").Order(StringComparer.Ordinal));
    }
}
