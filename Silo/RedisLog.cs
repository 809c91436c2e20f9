using System.Buffers;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// The log as redis-server writes it, "pid:M day month year time level message", to the standard output or to logfile.
/// Entries are written whole, one at a time.
/// </summary>
internal sealed class RedisLog(ServerOptions options) : ILoggerProvider
{
    private static readonly SearchValues<char> s_controls =
        SearchValues.Create([.. Enumerable.Range(0, 0xa0).Select(c => (char)c).Where(c => char.IsControl(c) && c is not ('\n' or '\t'))]);

    private readonly Lock _writing = new();
    private readonly string? _path = PathOf(options);
    private readonly SystemLog? _system = options.SyslogEnabled ? new(options) : null;

    /// <summary>Why logfile cannot be written, in the system's words; null if it can be.</summary>
    public static string? WhyNotWritable(ServerOptions options)
    {
        try
        {
            if (PathOf(options) is { } path) File.AppendAllText(path, "");
            return null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return failure.Message;
        }
    }

    public ILogger CreateLogger(string categoryName) => new Category(
        this,
        isOurs: categoryName.StartsWith("OrleansRedis", StringComparison.Ordinal),
        isWatchdog: categoryName == "Orleans.Runtime.Watchdog");

    public void Dispose()
    {
        _system?.Dispose();
    }

    private bool IsEnabled(LogLevel level) => options.LogLevel switch
    {
        RedisLogLevel.Nothing => false,
        RedisLogLevel.Debug => true,
        RedisLogLevel.Verbose => level >= LogLevel.Debug,
        RedisLogLevel.Notice => level >= LogLevel.Information,
        _ => level >= LogLevel.Warning,
    };

    private void Write(LogLevel level, string message, Exception? exception)
    {
        char mark = level switch
        {
            LogLevel.Trace => '.',
            LogLevel.Debug => '-', // Redis's "verbose"
            LogLevel.Information => '*',
            _ => '#',
        };
        string time = DateTime.Now.ToString("dd MMM yyyy HH:mm:ss.fff", CultureInfo.InvariantCulture);
        string line = $"{Environment.ProcessId}:M {time} {mark} {Shown(message.TrimEnd())}";
        if (exception is not null) line += "\n    " + Shown(exception.ToString());
        lock (_writing)
        {
            if (_path is null) Console.Out.WriteLine(line);
            else Append(line);
        }
        _system?.Write(SeverityOf(level), Shown(message.TrimEnd()));
    }

    /// <summary>
    /// Opens the file for each message, as redis-server does: whoever renames it, to begin another one, need not say so.
    /// </summary>
    private void Append(string line)
    {
        try
        {
            File.AppendAllText(_path!, line + "\n");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // A full disk must not end the server.
        }
    }

    private static string? PathOf(ServerOptions options) =>
        options.LogFile.Length == 0 ? null : Path.GetFullPath(Path.Combine(options.Dir, options.LogFile));

    /// <summary>The numbers of syslog(3): debug, info, notice, warning.</summary>
    private static int SeverityOf(LogLevel level) => level switch
    {
        LogLevel.Trace => 7,
        LogLevel.Debug => 6,
        LogLevel.Information => 5,
        _ => 4,
    };

    /// <summary>
    /// Part of a message may come from outside (a client's text, a peer's). It cannot forge an entry: only the first
    /// line begins like one, and no control character reaches the terminal that shows the log.
    /// </summary>
    private static string Shown(string text)
    {
        text = text.ReplaceLineEndings("\n    ");
        if (!text.AsSpan().ContainsAny(s_controls)) return text;
        var shown = new StringBuilder();
        foreach (char c in text)
        {
            if (s_controls.Contains(c)) shown.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
            else shown.Append(c);
        }
        return shown.ToString();
    }

    /// <summary>
    /// Where entries come from. Ours say what Redis would say. From Orleans and the framework the operator sees trouble
    /// only; what they log about their ordinary work appears with <c>loglevel debug</c>. So does what only looks like
    /// trouble: a start or a wait that was cancelled because the server ends, and the watchdog's remarks about
    /// processor time, which it makes at every start.
    /// </summary>
    private sealed class Category(RedisLog log, bool isOurs, bool isWatchdog) : ILogger
    {
        /// <summary>What the generic host logs when a hosted service throws while it starts.</summary>
        private static readonly EventId s_startFailed = new(11, "HostedServiceStartupFaulted");

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) =>
            (isOurs || logLevel >= LogLevel.Information) && log.IsEnabled(LevelOf(logLevel, null));

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (eventId == s_startFailed) return; // Program logs the reason, without a stack trace
            LogLevel level = LevelOf(logLevel, exception);
            if (IsEnabled(logLevel) && log.IsEnabled(level)) log.Write(level, formatter(state, exception), exception);
        }

        private LogLevel LevelOf(LogLevel level, Exception? exception) =>
            isOurs || (level >= LogLevel.Warning && !isWatchdog && exception is not OperationCanceledException) ? level : LogLevel.Trace;
    }
}

/// <summary>Adds <see cref="RedisLog"/> to a host's logging.</summary>
internal static class RedisLogExtensions
{
    public static void AddRedisLog(this ILoggingBuilder logging, ServerOptions options)
    {
        logging.SetMinimumLevel(LogLevel.Debug);
        logging.Services.AddSingleton<ILoggerProvider>(_ => new RedisLog(options));
    }
}
