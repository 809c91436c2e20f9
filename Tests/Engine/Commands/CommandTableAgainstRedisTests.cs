using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// Compares what our attributes say about each command with what a real redis-server 7.0 says: arity, flags,
/// categories, keys, tips. Where Redis 7.4 differs from 7.0, the difference is listed here.
/// </summary>
[Trait("Needs", "servers")]
public sealed class CommandTableAgainstRedisTests
{
    private static readonly string[] s_fields = ["name", "arity", "flags", "first", "last", "step", "categories", "tips", "keys"];

    /// <summary>"command field: value" where Redis 7.4 differs from 7.0 and we follow it.</summary>
    private static readonly HashSet<string> s_changedSince70 =
    [
        "acl|deluser tips: request_policy:all_nodes response_policy:all_succeeded",
        "acl|save tips: request_policy:all_nodes response_policy:all_succeeded",
        "acl|setuser tips: request_policy:all_nodes response_policy:all_succeeded",
        "blmove flags: blocking denyoom write", // it does not block in a script, so it is allowed there
        "blpop flags: blocking write",
        "brpop flags: blocking write",
        "brpoplpush flags: blocking denyoom write",
        "bzpopmin flags: blocking fast write", // it does not block in a script, so it is allowed there
        "bzpopmax flags: blocking fast write",
        "client|setname tips: request_policy:all_nodes response_policy:all_succeeded",
        "cluster|shards flags: loading stale",
        "cluster|slots flags: loading stale",
        "command|getkeys arity: -3", // a command may consist of one word
        "command|getkeysandflags arity: -3",
        "config|resetstat tips: request_policy:all_nodes response_policy:all_succeeded",
        "config|rewrite tips: request_policy:all_nodes response_policy:all_succeeded",
        "latency|reset tips: request_policy:all_nodes response_policy:agg_sum",
        "randomkey tips: nondeterministic_output request_policy:all_shards response_policy:special",
        "scan tips: nondeterministic_output request_policy:special response_policy:special",
        "sinterstore keys: OW update [type, index, spec, [index, 1]] [type, range, spec, [lastkey, 0, keystep, 1, limit, 0]]; "
            + "RO access [type, index, spec, [index, 2]] [type, range, spec, [lastkey, -1, keystep, 1, limit, 0]]",
        "zrank arity: -3", // WITHSCORE
        "zrevrank arity: -3",
        "zrank arity: -3", // WITHSCORE
        "zrevrank arity: -3",
        "msetnx tips: ", // it is all or nothing, so it cannot be split by shards
    ];

    [Fact]
    public async Task Every_command_is_described_as_redis_describes_it()
    {
        using var ours = new EngineHarness();
        await using RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection connection = await redis.ConnectAsync();
        var differences = new List<string>();
        var shown = new RespWriter();
        foreach (CommandInfo command in AllCommands())
        {
            RespValue theirs = (await connection.CallAsync("COMMAND", "INFO", command.Name))[0];
            if (theirs.IsNull) continue; // it is newer than 7.0
            shown.Clear();
            CommandDocumentation.WriteInfo(shown, command);
            string[] mine = Describe((object?[])new Replies(shown.Written).Next()!), real = Describe((object?[])Plain(theirs)!);
            for (int i = 0; i < s_fields.Length; i++)
            {
                if (mine[i] != real[i] && !s_changedSince70.Contains($"{command.Name} {s_fields[i]}: {mine[i]}"))
                    differences.Add($"{command.Name} {s_fields[i]}: {mine[i]}   but Redis 7.0 says   {real[i]}");
            }
        }
        Assert.True(differences.Count == 0, "\n" + string.Join('\n', differences));
    }

    [Fact]
    public void Every_syntax_can_be_parsed_and_names_as_many_keys_as_are_specified()
    {
        foreach (CommandInfo command in AllCommands())
        {
            if (command.Declaration is not { } declaration) continue;
            IReadOnlyList<ArgumentSyntax> arguments = ArgumentSyntax.Parse(declaration.Syntax, command.Keys);
            int least = declaration.Name.Count(c => c == '|') + 1 + arguments.Count(argument => !argument.IsOptional);
            Assert.True(least <= Math.Abs(command.Arity),
                $"{declaration.Name} has arity {command.Arity}, but its syntax '{declaration.Syntax}' needs {least} words.");
            if (command.Keys.All(keys => keys.IsNotKey)) continue;
            Assert.True(HasKey(arguments), $"{declaration.Name} has keys, but its syntax '{declaration.Syntax}' names none.");
        }

        static bool HasKey(IEnumerable<ArgumentSyntax> arguments) =>
            arguments.Any(argument => argument.KeySpecification >= 0 || HasKey(argument.Arguments));
    }

    private static IEnumerable<CommandInfo> AllCommands()
    {
        CommandTable table = new(typeof(Store).Assembly, typeof(OrleansRedis.Gateway.RedisServer).Assembly);
        return table.Commands.SelectMany(command => command.Subcommands is null ? [command] : new[] { command }.Concat(command.Subcommands.Values));
    }

    private static string[] Describe(object?[] info) =>
    [
        .. info[..2].Select(Replies.Show),
        Sorted(info[2]),
        .. info[3..6].Select(Replies.Show),
        Sorted(info[6]),
        Sorted(info[7]),
        string.Join("; ", ((object?[])info[8]!).Select(Keys)),
    ];

    private static string Sorted(object? names) => string.Join(' ', ((object?[])names!).Select(Replies.Show).Order());

    private static string Keys(object? specification)
    {
        var fields = ((object?[])specification!).Chunk(2).ToDictionary(pair => (string)pair[0]!, pair => pair[1]);
        string notes = fields.TryGetValue("notes", out object? text) ? $" ({text})" : "";
        return $"{Sorted(fields["flags"])} {Replies.Show(fields["begin_search"])} {Replies.Show(fields["find_keys"])}{notes}";
    }

    private static object? Plain(RespValue value) => value switch
    {
        { IsNull: true } => null,
        { IsAggregate: true } => value.Items.Select(Plain).ToArray(),
        { Kind: RespKind.Integer } => value.Integer,
        _ => value.Text,
    };
}
