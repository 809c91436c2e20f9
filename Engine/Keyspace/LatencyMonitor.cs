using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// LATENCY: what took latency-monitor-threshold milliseconds or longer, by kind of event and by second. It belongs to
/// the silo. While it is off, a measurement costs one comparison.
/// </summary>
public sealed class LatencyMonitor(ServerOptions options, Clock clock)
{
    private readonly Lock _changing = new();
    private readonly Dictionary<string, LatencySeries> _events = [];

    /// <summary>Begins a measurement, to be handed to <see cref="End"/>; 0 if nothing is measured.</summary>
    public long Begin() => options.LatencyMonitorThreshold == 0 ? 0 : Stopwatch.GetTimestamp();

    /// <summary>Ends a measurement.</summary>
    public void End(string kind, long began)
    {
        if (began != 0) Add(kind, (long)Stopwatch.GetElapsedTime(began).TotalMilliseconds);
    }

    /// <summary>Notes that something took this long, if that is long enough.</summary>
    public void Add(string kind, long ms)
    {
        if (options.LatencyMonitorThreshold == 0 || ms < options.LatencyMonitorThreshold) return;
        lock (_changing)
        {
            if (!_events.TryGetValue(kind, out LatencySeries? series)) _events[kind] = series = new(kind);
            series.Add(clock.NowMs / 1000, ms);
        }
    }

    /// <summary>The events so far; a copy.</summary>
    public LatencySeries[] Events()
    {
        lock (_changing) return [.. _events.Values.Select(series => series.Copy())];
    }

    /// <summary>The events of one kind so far, a copy; null if there are none.</summary>
    public LatencySeries? Events(string kind)
    {
        lock (_changing) return _events.TryGetValue(kind, out LatencySeries? series) ? series.Copy() : null;
    }

    /// <summary>LATENCY RESET: forgets the events of one kind, in any case of letters; returns how many kinds that were.</summary>
    public int Reset(string kind)
    {
        lock (_changing)
        {
            string[] kinds = [.. _events.Keys.Where(known => known.Equals(kind, StringComparison.OrdinalIgnoreCase))];
            foreach (string known in kinds) _events.Remove(known);
            return kinds.Length;
        }
    }

    /// <summary>LATENCY RESET: forgets all events; returns of how many kinds there were some.</summary>
    public int Reset()
    {
        lock (_changing)
        {
            int count = _events.Count;
            _events.Clear();
            return count;
        }
    }
}

/// <summary>The events of one kind: in each second that had any, the one that took longest.</summary>
public sealed class LatencySeries
{
    /// <summary>So many seconds are remembered, as in Redis.</summary>
    private const int Most = 160;

    private readonly Queue<LatencySample> _earlier; // all but the latest

    internal LatencySeries(string kind) => (Kind, _earlier) = (kind, new());

    private LatencySeries(LatencySeries other)
    {
        Kind = other.Kind;
        _earlier = new(other._earlier);
        Latest = other.Latest;
        MostMs = other.MostMs;
    }

    public string Kind { get; }

    /// <summary>The latest second with such an event.</summary>
    public LatencySample Latest { get; private set; }

    /// <summary>The most that such an event ever took, in ms.</summary>
    public long MostMs { get; private set; }

    /// <summary>The seconds that are remembered, the earliest first.</summary>
    public LatencySample[] Samples => [.. _earlier, Latest];

    internal LatencySeries Copy() => new(this);

    internal void Add(long seconds, long ms)
    {
        MostMs = Math.Max(MostMs, ms);
        if (Latest.Seconds == seconds)
        {
            if (ms > Latest.Ms) Latest = new(seconds, ms);
            return;
        }
        if (Latest.Seconds != 0) _earlier.Enqueue(Latest);
        if (_earlier.Count == Most) _earlier.Dequeue();
        Latest = new(seconds, ms);
    }
}

/// <summary>The longest event of a second.</summary>
/// <param name="Seconds">The second, in Unix time.</param>
/// <param name="Ms">How many ms it took.</param>
public readonly record struct LatencySample(long Seconds, long Ms);
