namespace OrleansRedis.Tests.Harness;

/// <summary>Skips a test, visibly, as long as the server lacks a command that the test is about: it switches itself on when the command arrives.</summary>
public static class Requires
{
    public static async Task CommandsAsync(RedisProcess server, params string[] commands)
    {
        await using RespConnection redis = await server.ConnectAsync();
        RespValue known = await redis.CallAsync([(RespArgument)"COMMAND", (RespArgument)"INFO", .. commands.Select(name => (RespArgument)name)]);
        string[] missing = [.. commands.Where((_, i) => known.IsError || known[i].IsNull)];
        if (missing.Length > 0)
            throw new SkipException($"the server has no {string.Join(", ", missing)} yet");
    }

    /// <summary>xUnit 2.9 counts an exception with this prefix as a skip.</summary>
    private sealed class SkipException(string reason) : Exception("$XunitDynamicSkip$" + reason);
}
