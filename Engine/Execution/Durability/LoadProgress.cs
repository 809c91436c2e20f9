using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>
/// Data that is on disk but cannot be loaded. The message tells the operator what is wrong and what to do.
/// </summary>
public sealed class LoadException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>How far a load has come, for INFO and the log.</summary>
/// <param name="store">The store being loaded.</param>
/// <param name="totalBytes">The total number of bytes.</param>
/// <param name="loadedBytes">How many of them have been read; called from other threads.</param>
public sealed class LoadProgress(Store store, long totalBytes, Func<long> loadedBytes) : IDisposable
{
    private static readonly TimeSpan s_reportPeriod = TimeSpan.FromSeconds(5);
    private ITimer? _reporting;

    /// <summary>When the load began, in Unix seconds.</summary>
    public long StartedSeconds { get; } = store.Clock.NowMs / 1000;

    /// <summary>The total number of bytes.</summary>
    public long TotalBytes { get; } = totalBytes;

    /// <summary>How many of them have been read.</summary>
    public long LoadedBytes => Math.Min(TotalBytes, loadedBytes());

    /// <summary>The progress in percent.</summary>
    public double Percent => TotalBytes == 0 ? 100 : 100.0 * LoadedBytes / TotalBytes;

    /// <summary>How many seconds it will still take at the present rate; 1 while that is unknown.</summary>
    public long EtaSeconds
    {
        get
        {
            long elapsed = (store.Clock.NowMs / 1000) - StartedSeconds, loaded = LoadedBytes;
            return elapsed == 0 ? 1 : elapsed * (TotalBytes - loaded) / (loaded + 1);
        }
    }

    /// <summary>Reports to the log every few seconds, until disposed of.</summary>
    public void Report() => _reporting ??= store.Clock.Time.CreateTimer(
        _ => store.Log.Notice(string.Create(
            CultureInfo.InvariantCulture, $"Loading: {Percent:F0}% of {TotalBytes} bytes, {EtaSeconds} seconds to go")),
        null,
        s_reportPeriod,
        s_reportPeriod);

    public void Dispose() => _reporting?.Dispose();
}
