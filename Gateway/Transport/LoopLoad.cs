using System.Buffers.Text;
using Microsoft.Win32.SafeHandles;

namespace OrleansRedis.Gateway;

/// <summary>
/// How busy the thread of an event loop is, in windows of <see cref="WindowMs"/>. The thread itself takes the samples
/// as it passes; other threads read them.
/// </summary>
internal sealed class LoopLoad : IDisposable
{
    internal const int WindowMs = 100;
    private const int StaleMs = 3 * WindowMs;

    // ns running, ns waiting to run, number of time slices.
    private readonly SafeFileHandle? _schedule = Open("/proc/thread-self/schedstat");

    // Seconds since boot, and idle seconds summed over all processors.
    private readonly SafeFileHandle? _processors = Open("/proc/uptime");

    private long _startMs;
    private double _wantedMs;
    private double _userMs;
    private double _systemMs;
    private double _excludedMs;
    private double _idleMs;
    private double _lastIdle;
    private volatile float _share;
    private volatile float _ran;
    private double _ranMs;
    private double _kernelPart = 0.5;

    /// <summary>To be constructed on the thread that it measures.</summary>
    internal LoopLoad() => Begin(Environment.TickCount64);

    /// <summary>The fraction of the last window, 0 to 1, in which the thread ran or could have run.</summary>
    internal float Share => _share;

    /// <summary>
    /// The fraction of the last window in which it did run: less than <see cref="Share"/> where processors are scarce.
    /// </summary>
    internal float Ran => _ran;

    /// <summary>Whether the thread recently had to wait for a processor to run on.</summary>
    internal bool IsKeptWaiting => _share - _ran > 0.05f;

    /// <summary>Whether the last window is long past, because the thread has not taken a sample since.</summary>
    internal bool IsStale => Environment.TickCount64 - Volatile.Read(ref _startMs) > StaleMs;

    /// <summary>Whether lately more time went into the kernel's part (sockets) than into ours (commands).</summary>
    internal bool IsMostlyKernel => _kernelPart > 0.5;

    /// <summary>
    /// How many processors (a fraction counts) were idle, taking all processes into account: the lower figure of the
    /// last two windows, since the window in which clients start still includes time before they did. One half if that
    /// cannot be known.
    /// </summary>
    internal double IdleProcessors { get; private set; } = 0.5;

    /// <summary>
    /// Leaves out time spent polling for work: it counts as idle, for the thread and for its processor.
    /// </summary>
    internal void Exclude(TimeSpan time) => _excludedMs += time.TotalMilliseconds;

    /// <summary>Ends the window if it has lasted long enough. True if there is a new one to look at.</summary>
    internal bool TrySample(long nowMs)
    {
        double lasted = nowMs - _startMs;
        if (lasted < WindowMs) return false;
        double wanted = _wantedMs, ranUntil = _ranMs, user = _userMs, system = _systemMs;
        double idle = _idleMs, excluded = _excludedMs;
        Begin(nowMs);
        if (lasted > StaleMs)
        {
            _kernelPart = 0.5;
            _lastIdle = 0;
            _share = _ran = 0; // the thread has slept; what it did before says nothing about now
            return false;
        }
        _share = (float)Math.Max(0, (_wantedMs - wanted - excluded) / lasted);
        _ran = (float)Math.Max(0, (_ranMs - ranUntil - excluded) / lasted);
        // Smoothed, since the kernel tells the two apart only by sampling, a few times per window.
        double both = _userMs - user + (_systemMs - system);
        if (both > 0) _kernelPart += ((_systemMs - system) / both - _kernelPart) / 4;
        if (_processors is not null)
        {
            double now = (_idleMs - idle + excluded) / lasted;
            (IdleProcessors, _lastIdle) = (Math.Min(now, _lastIdle), now);
        }
        return true;
    }

    public void Dispose()
    {
        _schedule?.Dispose();
        _processors?.Dispose();
    }

    private static SafeFileHandle? Open(string path)
    {
        try
        {
            return File.OpenHandle(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // a sandbox without it
        }
    }

    private void Begin(long nowMs)
    {
        _excludedMs = 0;
        (_userMs, _systemMs) = Libc.ThreadTimesMs();
        _wantedMs = _ranMs = _userMs + _systemMs;
        if (_schedule is not null)
        {
            (double running, double waiting) = Numbers(_schedule);
            _ranMs = running / 1e6;
            _wantedMs = (running + waiting) / 1e6;
        }
        if (_processors is not null) _idleMs = Numbers(_processors).Second * 1e3;
        Volatile.Write(ref _startMs, nowMs);
    }

    /// <summary>The first two numbers of a file.</summary>
    private static (double First, double Second) Numbers(SafeFileHandle file)
    {
        Span<byte> text = stackalloc byte[128];
        try
        {
            text = text[..RandomAccess.Read(file, text, 0)];
        }
        catch (IOException)
        {
            return default;
        }
        return Utf8Parser.TryParse(text, out double first, out int length)
            && Utf8Parser.TryParse(text[length..].TrimStart((byte)' '), out double second, out _) ? (first, second) : default;
    }
}
