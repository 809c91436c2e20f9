using Microsoft.Extensions.Logging;

namespace OrleansRedis.Silo;

/// <summary>The process's messages to the operator, in redis-server's words where it has some.</summary>
internal static partial class SiloLog
{
    [LoggerMessage(LogLevel.Information, "{Product} {Version} (Redis {RedisVersion}), pid {ProcessId}, started in {Seconds:0.00} seconds")]
    public static partial void Started(ILogger logger, string product, string version, string redisVersion, int processId, double seconds);

    [LoggerMessage(LogLevel.Information, "Listening on {EndPoint}")]
    public static partial void Listening(ILogger logger, string endPoint);

    [LoggerMessage(LogLevel.Information, "Ready to accept connections")]
    public static partial void Ready(ILogger logger);

    [LoggerMessage(LogLevel.Information, "{Count} hash slots open after {Milliseconds} ms")]
    public static partial void SlotsOpen(ILogger logger, int count, long milliseconds);

    [LoggerMessage(LogLevel.Warning, "Redis is now ready to exit, bye bye...")]
    public static partial void Bye(ILogger logger);

    [LoggerMessage(LogLevel.Error, "A cycle of the active expiry failed in one slot; the others go on")]
    public static partial void ActiveExpiryFailed(ILogger logger, Exception error);

    [LoggerMessage("{Line}")]
    public static partial void Engine(ILogger logger, LogLevel level, string line);

    [LoggerMessage(LogLevel.Information, "DB loaded from {Storage} storage: {Slots} slots, {SnapshotBytes} bytes of snapshots, {LogBytes} bytes of "
        + "logs with {Effects} effects, {Seconds:0.000} seconds")]
    public static partial void Recovered(ILogger logger, string storage, int slots, long snapshotBytes, long logBytes, long effects, double seconds);

    [LoggerMessage(LogLevel.Critical, "This silo cannot go on: {Reason}. Shutting down.")]
    public static partial void CannotGoOn(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Critical, "Could not start: {Reason}")]
    public static partial void CannotStart(ILogger logger, string reason);
}
