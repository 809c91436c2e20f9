using Microsoft.Extensions.Logging;

namespace OrleansRedis.Silo;

/// <summary>
/// The log as one silo writes to it. Once the server is stopping, the silo's remarks are chatter, whatever their level:
/// a start that is broken off fails in many ways, and each layer of Orleans says so. What matters to the operator then
/// is logged by <see cref="OrleansHost"/>. Chatter, too, is Orleans's advice to use the server's garbage collector,
/// which is not for a process whose data lie elsewhere (docs/architecture/memory.md).
/// </summary>
internal sealed class SiloLogs(ILoggerFactory loggers, CancellationToken stopping) : ILoggerFactory
{
    public ILogger CreateLogger(string categoryName) => new Category(loggers.CreateLogger(categoryName), stopping);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("The server's log is configured before its silo.");

    // The server's log outlives the silo.
    public void Dispose()
    {
    }

    /// <summary>Orleans's ErrorCode.SiloGcWarning.</summary>
    private const int CollectorAdvice = 100405;

    private sealed class Category(ILogger logger, CancellationToken stopping) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => logger.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => logger.IsEnabled(LevelOf(logLevel));

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            LogLevel level = eventId.Id == CollectorAdvice ? LogLevel.Information : LevelOf(logLevel);
            if (logger.IsEnabled(level)) logger.Log(level, eventId, state, exception, formatter);
        }

        private LogLevel LevelOf(LogLevel level) =>
            level > LogLevel.Information && stopping.IsCancellationRequested ? LogLevel.Information : level;
    }
}
