using System.Collections.Concurrent;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>How many error replies were sent, by error code (ERR, WRONGTYPE…), for INFO errorstats.</summary>
public sealed class ErrorStatistics
{
    private const int MostCodes = 128;
    private readonly ConcurrentDictionary<string, long> _counts = new();
    private long _total;

    /// <summary>All error replies.</summary>
    public long Total => Volatile.Read(ref _total);

    /// <summary>The counts by code.</summary>
    public IEnumerable<KeyValuePair<string, long>> Counts => _counts;

    /// <summary>Counts an error reply, "-CODE text".</summary>
    public void Count(ReadOnlySpan<byte> reply)
    {
        Interlocked.Increment(ref _total);
        int end = reply.IndexOfAny((byte)' ', (byte)'\r');
        string code = Encoding.ASCII.GetString(reply[1..Math.Max(1, Math.Min(end, 32))]);
        if (_counts.Count < MostCodes || _counts.ContainsKey(code)) _counts.AddOrUpdate(code, 1, (_, count) => count + 1);
    }

    /// <summary>
    /// Takes the count of an error reply back beforehand: a script passes on the error of its command, which has been
    /// counted.
    /// </summary>
    public void Discount(ReadOnlySpan<byte> reply)
    {
        Interlocked.Decrement(ref _total);
        int end = reply.IndexOfAny((byte)' ', (byte)'\r');
        string code = Encoding.ASCII.GetString(reply[1..Math.Max(1, Math.Min(end, 32))]);
        if (_counts.ContainsKey(code)) _counts.AddOrUpdate(code, 0, (_, count) => count - 1);
    }

    /// <summary>CONFIG RESETSTAT</summary>
    public void Reset()
    {
        _counts.Clear();
        Volatile.Write(ref _total, 0);
    }
}
