using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// The log as redis-server writes it, "pid:M day month year time level message", to the standard output or to logfile.
/// Lines are written whole, one at a time.
/// </summary>
internal sealed class RedisLog(ServerOptions options) : ILoggerProvider
{
    private readonly Lock _writing = new();
    private readonly TextWriter _output = options.LogFile.Length == 0
        ? Console.Out
        : new StreamWriter(Path.Combine(options.Dir, options.LogFile), append: true) { AutoFlush = true };

    public ILogger CreateLogger(string categoryName) => new Category(this, isOurs: categoryName.StartsWith("OrleansRedis", StringComparison.Ordinal));

    public void Dispose()
    {
        if (options.LogFile.Length != 0) _output.Dispose();
    }

    private bool IsEnabled(LogLevel level, bool isOurs) => options.LogLevel switch
    {
        RedisLogLevel.Nothing => false,
        RedisLogLevel.Debug => level >= LogLevel.Debug,
        RedisLogLevel.Verbose => level >= (isOurs ? LogLevel.Debug : LogLevel.Information),
        // At the usual level the operator hears of what Redis would say, and of Orleans's troubles.
        RedisLogLevel.Notice => level >= (isOurs ? LogLevel.Information : LogLevel.Warning),
        _ => level >= (isOurs ? LogLevel.Warning : LogLevel.Error),
    };

    private void Write(LogLevel level, string message, Exception? exception)
    {
        char mark = level switch
        {
            LogLevel.Trace => '.',
            LogLevel.Debug => '-', // what Redis calls verbose
            LogLevel.Information => '*',
            _ => '#',
        };
        string time = DateTime.Now.ToString("dd MMM yyyy HH:mm:ss.fff", CultureInfo.InvariantCulture);
        string line = $"{Environment.ProcessId}:M {time} {mark} {message}";
        lock (_writing)
        {
            _output.WriteLine(line);
            if (exception is not null) _output.WriteLine(exception);
        }
    }

    private sealed class Category(RedisLog log, bool isOurs) : ILogger
    {
        /// <summary>What the generic host says when a hosted service throws while it starts.</summary>
        private static readonly EventId s_startFailed = new(11, "HostedServiceStartupFaulted");

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => log.IsEnabled(logLevel, isOurs);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (eventId == s_startFailed) return; // Program says why, without a stack trace
            if (IsEnabled(logLevel)) log.Write(logLevel, formatter(state, exception), exception);
        }
    }
}

/// <summary>Adds <see cref="RedisLog"/>.</summary>
internal static class RedisLogExtensions
{
    public static void AddRedisLog(this ILoggingBuilder logging, ServerOptions options)
    {
        logging.SetMinimumLevel(LogLevel.Debug);
        logging.Services.AddSingleton<ILoggerProvider>(_ => new RedisLog(options));
    }
}
