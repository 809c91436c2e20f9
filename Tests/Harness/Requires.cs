namespace OrleansRedis.Tests.Harness;

/// <summary>Skips a test, visibly, as long as the server lacks a command that the test is about: it switches itself on when the command arrives.</summary>
public static class Requires
{
    public static async Task CommandsAsync(RedisProcess server, params string[] commands)
    {
        await using RespConnection redis = await server.ConnectAsync();
        RespValue known = await redis.CallAsync([(RespArgument)"COMMAND", (RespArgument)"INFO", .. commands.Select(name => (RespArgument)name)]);
        string[] missing = [.. commands.Where((_, i) => known.IsError || known[i].IsNull)];
        That(missing.Length == 0, $"the server has no {string.Join(", ", missing)} yet");
    }

    public static void That(bool condition, string otherwise)
    {
        if (!condition)
            throw new SkipException(otherwise);
    }

    /// <summary>xUnit 2.9 counts an exception with this prefix as a skip.</summary>
    private sealed class SkipException(string reason) : Exception("$XunitDynamicSkip$" + reason);
}
