using Xunit;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// Skips a test, visibly, as long as the server lacks what it tests; once the server has it, the test runs. For tests
/// marked <c>[SkippableFact]</c> or <c>[SkippableTheory]</c>.
/// </summary>
public static class Requires
{
    public static async Task CommandsAsync(RedisProcess server, params string[] commands)
    {
        await using RespConnection redis = await server.ConnectAsync();
        RespValue known = await redis.CallAsync([(RespArgument)"COMMAND", (RespArgument)"INFO", .. commands.Select(name => (RespArgument)name)]);
        string[] missing = [.. commands.Where((_, i) => known.IsError || known[i].IsNull)];
        That(missing.Length == 0, $"the server has no {string.Join(", ", missing)} yet");
    }

    public static void That(bool condition, string otherwise) => Skip.IfNot(condition, otherwise);
}
