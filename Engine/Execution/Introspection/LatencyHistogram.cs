using System.Numerics;

namespace OrleansRedis.Engine;

/// <summary>
/// How long something took, and how often: counts of durations from 1 ns to 1 s, exact to less than 1 %. The buckets are
/// those of HdrHistogram with two significant digits, which Redis uses: 128 for each power of two (256 for the first
/// eight), so that a duration's bucket is its highest eight bits. Recording takes a few instructions and allocates
/// nothing.
/// </summary>
public sealed class LatencyHistogram
{
    private const int HalfBits = 7;
    private const int Half = 1 << HalfBits;
    private const long MostNanoseconds = 1_000_000_000;

    /// <summary>The first power of two that LATENCY HISTOGRAM shows, 1024 ns, and the last, which is beyond 1 s.</summary>
    private const int FirstShown = 10, LastShown = 30;

    private static readonly int s_buckets = Index(MostNanoseconds) + 1;

    private readonly long[] _counts = new long[s_buckets];

    /// <summary>How many durations were recorded.</summary>
    public long Total
    {
        get
        {
            long sum = 0;
            foreach (long count in _counts) sum += count;
            return sum;
        }
    }

    /// <summary>Records a duration. One that is longer than a second counts as one second.</summary>
    public void Record(long nanoseconds)
    {
        // What most commands take has a bucket of its own for each nanosecond.
        if ((ulong)(nanoseconds - 1) < (2 * Half) - 1) _counts[nanoseconds]++;
        else _counts[Index(Math.Clamp(nanoseconds, 1, MostNanoseconds))]++;
    }

    /// <summary>Adds what another histogram has recorded.</summary>
    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _counts.Length; i++) _counts[i] += other._counts[i];
    }

    /// <summary>The duration, in ns, that this percentage of all durations does not exceed.</summary>
    public long AtPercentile(double percentile)
    {
        long wanted = Math.Max(1, (long)((Math.Min(percentile, 100) / 100 * Total) + 0.5)), seen = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= wanted) return percentile == 0 ? Lowest(i) : Highest(i);
        }
        return 0;
    }

    /// <summary>
    /// For powers of two of nanoseconds, how many durations were not longer, where there are more than for the one
    /// before.
    /// </summary>
    public IEnumerable<(long Microseconds, long Count)> Cumulative()
    {
        long seen = 0, total = Total;
        int next = 0;
        for (int power = FirstShown; power <= LastShown && seen < total; power++)
        {
            long before = seen;
            int last = Index(1L << power);
            while (next <= last && next < _counts.Length) seen += _counts[next++];
            if (seen > before) yield return (Highest(last) / 1000, seen);
        }
    }

    private static int Index(long value)
    {
        int shift = BitOperations.Log2((ulong)value | ((2 * Half) - 1)) - HalfBits;
        return (shift << HalfBits) + (int)(value >> shift);
    }

    private static long Lowest(int index)
    {
        int shift = Math.Max(0, (index >> HalfBits) - 1);
        return (long)(index - (shift << HalfBits)) << shift;
    }

    private static long Highest(int index)
    {
        int shift = Math.Max(0, (index >> HalfBits) - 1);
        return Lowest(index) + (1L << shift) - 1;
    }
}
