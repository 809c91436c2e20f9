using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// How many bytes the slots of this silo take. Every thread adds to this sum with each change of size, and maxmemory
/// reads it with each command. It is spread over several cache lines, so that threads seldom write to the same one.
/// </summary>
internal sealed class MemoryCount
{
    private const int Stripes = 16; // a power of two
    private readonly Stripe[] _stripes = new Stripe[Stripes];
    private long _peakBytes;

    /// <summary>The largest sum that <see cref="Sample"/> has seen, including now.</summary>
    public long PeakBytes => Sample();

    /// <summary>The sum. Additions made meanwhile may or may not be included.</summary>
    public long Bytes
    {
        get
        {
            long sum = 0;
            foreach (ref Stripe stripe in _stripes.AsSpan()) sum += Volatile.Read(ref stripe.Bytes);
            return sum;
        }
    }

    /// <summary>
    /// Notes the present sum, and returns the largest noted so far. To be called often enough: looking at the sum with
    /// each addition would cost every command something.
    /// </summary>
    public long Sample()
    {
        long bytes = Bytes, peak = Volatile.Read(ref _peakBytes);
        while (bytes > peak)
        {
            long seen = Interlocked.CompareExchange(ref _peakBytes, bytes, peak);
            if (seen == peak) return bytes;
            peak = seen;
        }
        return peak;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(long difference)
    {
        if (difference != 0) Interlocked.Add(ref _stripes[Environment.CurrentManagedThreadId & (Stripes - 1)].Bytes, difference);
    }

    [System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Explicit, Size = 128)]
    private struct Stripe
    {
        [System.Runtime.InteropServices.FieldOffset(0)]
        public long Bytes;
    }
}
