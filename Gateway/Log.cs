using Microsoft.Extensions.Logging;

namespace OrleansRedis.Gateway;

/// <summary>The gateway's messages to the operator.</summary>
internal static partial class Log
{
    [LoggerMessage(LogLevel.Warning, "Closing client {Client}: {Bytes} bytes of its requests wait to be run, more than "
        + "client-query-buffer-limit.")]
    public static partial void QueryBufferLimit(ILogger logger, long client, long bytes);

    [LoggerMessage(LogLevel.Warning, "Closing client {Client}: {Bytes} bytes of replies wait for it, more than client-output-buffer-limit.")]
    public static partial void OutputBufferLimit(ILogger logger, long client, long bytes);

    [LoggerMessage(LogLevel.Warning, "Closing client {Client}: the reply to its '{Command}' is larger than client-output-buffer-limit, or than a reply "
        + "can be (2 GB).")]
    public static partial void ReplyTooLarge(ILogger logger, long client, string command);

    [LoggerMessage(LogLevel.Information, "Evicting client: {Client}")]
    public static partial void EvictingClient(ILogger logger, string client);

    [LoggerMessage(LogLevel.Warning, "Over client maxmemory after evicting all evictable clients")]
    public static partial void OverClientMemory(ILogger logger);

    [LoggerMessage(LogLevel.Warning, "Could not accept a connection on {EndPoint}; trying again.")]
    public static partial void AcceptFailed(ILogger logger, Exception exception, string endPoint);

    [LoggerMessage(LogLevel.Warning, "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is likely "
        + "due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. Connection from {Address} aborted.")]
    public static partial void CrossProtocol(ILogger logger, string address);

    [LoggerMessage(LogLevel.Warning, "Error accepting a client connection: {Reason} (addr={Address} laddr={LocalAddress})")]
    public static partial void NotAccepted(ILogger logger, string reason, string address, string localAddress);

    [LoggerMessage(LogLevel.Debug, "Reading from client: {Reason}")]
    public static partial void ReadingFailed(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Debug, "Closing idle client {Client}.")]
    public static partial void ClosingIdle(ILogger logger, long client);

    [LoggerMessage(LogLevel.Warning, "DEBUG LOG: {Message}")]
    public static partial void DebugLog(ILogger logger, string message);

    [LoggerMessage(LogLevel.Error, "Could not listen as CONFIG SET asked.")]
    public static partial void CannotListen(ILogger logger, Exception exception);

    [LoggerMessage(LogLevel.Error, "A request that another silo has brought could not be finished; its client is disconnected.")]
    public static partial void ForwardedFailed(ILogger logger, Exception exception);

    [LoggerMessage(LogLevel.Error, "Client {Client} ended with an unexpected error.")]
    public static partial void ConnectionFailed(ILogger logger, Exception exception, long client);
}
