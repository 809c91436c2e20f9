using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>
/// The same random rules here and in redis-server 7.0: the same users must come out, who may do the same. In what 7.4
/// prints differently from 7.0 it is ours that counts, but redis-server must understand it.
/// </summary>
[Trait("Needs", "servers")]
public sealed class AclBesideRedisTests
{
    private const int Users = 60, RequestsPerUser = 25;

    [Fact]
    public async Task Random_rules_mean_what_they_mean_to_redis()
    {
        await using RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis), ours = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RespConnection theirs = await redis.ConnectAsync(), mine = await ours.ConnectAsync();
        var generator = new AclRuleGenerator(TestSeed.Random(), await CommonCommandsAsync(theirs));
        for (int i = 0; i < Users; i++)
        {
            await BothAsync(theirs, mine, "ACL", "SETUSER", "user", "reset", "sanitize-payload");
            var given = new List<string>();
            for (int j = 0; j < 3; j++)
            {
                string[] rules = generator.Rules();
                given.Add(string.Join(' ', rules));
                await BothAsync(theirs, mine, ["ACL", "SETUSER", "user", .. rules]);
            }
            string story = $"after {string.Join(" | ", given)}";
            RespValue their = await theirs.LineAsync("ACL GETUSER user"), my = await mine.LineAsync("ACL GETUSER user");
            Assert.Equal(Shown(their), Shown(my));
            // Commands are printed otherwise since 7.2. Read by redis-server, ours must be the same rules.
            string line = (await mine.LineAsync("ACL LIST")).Texts.Single(user => user!.StartsWith("user user ", StringComparison.Ordinal))!;
            RespValue copied = await theirs.CallAsync(["ACL", "SETUSER", "copy", "reset", .. Words(line)]);
            Assert.True(copied.ToString() == "+OK", $"{story}: redis-server does not understand '{line}': {copied}");
            for (int j = 0; j < RequestsPerUser; j++)
            {
                string[] request = generator.RandomRequest();
                string expected = await DryRunAsync(theirs, "user", request), actual = await DryRunAsync(mine, "user", request);
                Assert.True(expected == actual, $"{story}: {string.Join(' ', request)}: {actual}, but Redis says {expected}");
                Assert.Equal(expected, await DryRunAsync(theirs, "copy", request));
            }
        }
    }

    [Fact]
    public async Task Every_category_has_redis_own_commands()
    {
        await using RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection theirs = await redis.ConnectAsync();
        CommandTable table = new(typeof(Store).Assembly, typeof(OrleansRedis.Gateway.RedisServer).Assembly);
        string[] known = [.. (await theirs.LineAsync("COMMAND LIST")).Texts!];
        foreach (string category in (await theirs.LineAsync("ACL CAT")).Texts!)
        {
            Category meant = AclSelector.CategoryOf(category);
            Assert.NotEqual(Category.None, meant);
            IEnumerable<string> mine = table.Declared.SelectMany(command => command.Subcommands?.Values.Prepend(command) ?? [command])
                .Where(command => (command.Categories & meant) != 0).Select(command => command.Name);
            string[] all = [.. table.Declared.SelectMany(command => command.Subcommands?.Values.Prepend(command) ?? [command]).Select(command => command.Name)];
            Assert.Equal((await theirs.CallAsync("ACL", "CAT", category)).Texts.Intersect(all).Order(), mine.Intersect(known).Order());
        }
    }

    private static async Task<CommandInfo[]> CommonCommandsAsync(RespConnection redis)
    {
        CommandTable table = new(typeof(Store).Assembly, typeof(OrleansRedis.Gateway.RedisServer).Assembly);
        var known = (await redis.LineAsync("COMMAND LIST")).Texts.ToHashSet();
        // DRYRUN is not for a container alone; and what is newer here says so in its declaration.
        return
        [
            .. table.Commands.SelectMany(command => command.Subcommands?.Values.Append(command) ?? [command])
                .Where(command => command.Method is not null && known.Contains(command.Name) && !s_newer.Contains(command.Name)),
        ];
    }

    /// <summary>
    /// What these take has changed since 7.0; and to COMMAND with an unknown subcommand it is the subcommand that redis
    /// does not find.
    /// </summary>
    private static readonly string[] s_newer = ["command", "zrank", "zrevrank", "command|getkeys", "command|getkeysandflags"];

    private static async Task BothAsync(RespConnection theirs, RespConnection mine, params string[] command)
    {
        RespArgument[] arguments = [.. command.Select(word => (RespArgument)word)];
        Assert.Equal((await theirs.CallAsync(arguments)).ToString(), (await mine.CallAsync(arguments)).ToString());
    }

    /// <summary>7.4 names the user.</summary>
    private static async Task<string> DryRunAsync(RespConnection server, string user, string[] request) =>
        (await server.CallAsync(["ACL", "DRYRUN", user, .. request.Select(word => (RespArgument)word)])).Text
            .Replace($"User {user} has", "This user has", StringComparison.Ordinal);

    /// <summary>A user without the commands, and with "%RW~*" as 7.0 prints it.</summary>
    private static string Shown(RespValue user) =>
        $"{string.Join(' ', user["flags"].Texts)} {string.Join(' ', user["passwords"].Texts)} {Patterns(user)} "
            + string.Join(' ', user["selectors"].Items.Select(selector => $"({Patterns(selector)})"));

    private static string Patterns(RespValue selector) =>
        $"{string.Join(' ', selector["keys"].Text.Split(' ').Select(pattern => pattern == "%RW~*" ? "~*" : pattern))} {selector["channels"].Text}";

    private static IEnumerable<RespArgument> Words(string line) => line.Split(' ')[2..].Select(word => (RespArgument)word);
}
