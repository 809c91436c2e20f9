using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;

namespace OrleansRedis.Silo;

/// <summary>
/// crash-log-enabled: if the process ends because of an error of its own that nothing has caught, the log tells what a
/// bug report needs. What is shown is about the server, and contains no data of its users.
/// </summary>
internal static class CrashReport
{
    /// <summary>The report must not keep a broken server from ending.</summary>
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(10);

    /// <summary>From now on such an error is reported.</summary>
    public static void Enable(RedisServer server, ILogger logger) => AppDomain.CurrentDomain.UnhandledException += (_, crash) =>
    {
        if (!server.Options.CrashLogEnabled) return;
        string report = Of(server, crash.ExceptionObject);
        SiloLog.Engine(logger, LogLevel.Critical, report);
    };

    /// <summary>The report, in many lines.</summary>
    internal static string Of(RedisServer server, object error) =>
        $"""
        === REDIS BUG REPORT START: Cut & paste starting from here ===
        {ServerVersion.Product} {ServerVersion.Own} (Redis {ServerVersion.Redis}, revision {ServerVersion.Revision}) ends because of an error of its own.

        ------ STACK TRACE ------
        {error}

        ------ INFO OUTPUT ------
        {Try(server.DescribeEverything)}
        ------ END ------
        === REDIS BUG REPORT END. Make sure to include from START to END. ===
        Please report it, as CONTRIBUTING.md says.
        """;

    /// <summary>What is asked for here may wait for the very thing that is broken.</summary>
    private static string Try(Func<string> describe)
    {
        try
        {
            Task<string> text = Task.Run(describe);
            return text.Wait(s_longest) ? text.Result : "(not to be had)";
        }
        catch (Exception failure)
        {
            return $"(not to be had: {failure.GetBaseException().Message})";
        }
    }
}
