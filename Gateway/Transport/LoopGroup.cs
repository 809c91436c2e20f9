using Microsoft.Extensions.Logging;

namespace OrleansRedis.Gateway;

/// <summary>
/// The event loops of a transport, and which of them serves which connection. The more sockets one epoll_wait finds
/// ready, the less each costs: without pipelining, one busy loop takes a quarter less CPU per command than two
/// half-busy ones, which are woken for every other request. So connections gather on the first loop. They are spread
/// over more loops only when a loop has more to do than it can, and another thread would help.
/// </summary>
internal sealed class LoopGroup
{
    private const float Saturated = 0.85f;
    private const float Relaxed = 0.6f;

    /// <summary>For so long two loops stay one that have kept each other waiting.</summary>
    private const long ApartMs = 2000;

    private readonly EventLoop[] _loops;
    private int _connections;
    private long _cyclesBefore; // before the last CONFIG RESETSTAT
    private long _busyTicksBefore;
    private long _joinedAtMs = -ApartMs;
    private volatile bool _stopping;

    internal LoopGroup(int threads, ILogger logger)
    {
        _loops = new EventLoop[threads];
        for (int i = 0; i < threads; i++) _loops[i] = new(i, this, logger);
        foreach (EventLoop loop in _loops) loop.Start();
    }

    internal ReadOnlySpan<EventLoop> Loops => _loops;

    /// <summary>Called by a loop's thread that another one has replaced.</summary>
    internal Action? ThreadEnds { get; set; }

    /// <summary>Whether the loops should end: the transport is stopped and the last connection is closed.</summary>
    internal bool IsOver => _stopping && Volatile.Read(ref _connections) == 0;

    /// <summary>How many rounds the loops have made, since the last reset.</summary>
    internal long Cycles => _loops.Sum(loop => loop.Cycles) - Volatile.Read(ref _cyclesBefore);

    /// <summary>Time they did not spend waiting, in Stopwatch ticks, since the last reset.</summary>
    internal long BusyTicks => _loops.Sum(loop => loop.BusyTicks) - Volatile.Read(ref _busyTicksBefore);

    /// <summary>How many loops have connections to serve.</summary>
    internal int ActiveCount => _loops.Count(loop => loop.ConnectionCount > 0);

    /// <summary>CONFIG RESETSTAT.</summary>
    internal void ResetStatistics()
    {
        Interlocked.Add(ref _cyclesBefore, Cycles);
        Interlocked.Add(ref _busyTicksBefore, BusyTicks);
    }

    /// <summary>Has the loops end once the last connection is closed.</summary>
    internal void Stop()
    {
        _stopping = true;
        foreach (EventLoop loop in _loops) loop.Ring();
    }

    /// <summary>
    /// The loop for a new connection: the first that has time to spare, otherwise the least busy, of those that are in use.
    /// Only <see cref="Consider"/> knows whether another one would help.
    /// </summary>
    internal EventLoop Enter()
    {
        Interlocked.Increment(ref _connections);
        EventLoop best = _loops[0];
        foreach (EventLoop loop in _loops)
        {
            if (best.Load < Saturated) break;
            if (loop.ConnectionCount > 0 && loop.Load < best.Load) best = loop;
        }
        return best;
    }

    /// <summary>A connection was closed.</summary>
    internal void Leave()
    {
        if (Interlocked.Decrement(ref _connections) == 0 && _stopping) Stop();
    }

    /// <summary>
    /// Decides, from a loop's load in the last window, whether it should hand over busy connections: to which loop, and
    /// what fraction of them. No loop if it should not.
    /// </summary>
    internal (EventLoop? To, float Part) Consider(EventLoop loop, LoopLoad load)
    {
        float own = load.Share;
        long nowMs = Environment.TickCount64;
        EventLoop? to = Array.Find(_loops, other => other == loop || CanTakeAll(other, load));
        if (to != loop) return (to, 1);
        to = Array.Find(_loops, other => other == loop || HoldEachOtherUp(other, load));
        if (to != loop)
        {
            Volatile.Write(ref _joinedAtMs, nowMs);
            return (to, 1);
        }
        // A second thread helps only as far as a processor is free for it. Beyond that it takes from the clients on
        // this machine the time they need to keep the first one busy. Where the kernel's part dominates, a second
        // thread also adds to that part. And a thread that seems overloaded only because it waits for a processor does
        // not need a second one next to it.
        if (nowMs - Volatile.Read(ref _joinedAtMs) < ApartMs) return default;
        if (load.Ran < Saturated || load.IdleProcessors < (load.IsMostlyKernel ? 0.75 : 0.25)) return default;
        to = _loops.MinBy(other => other.Load)!;
        float difference = own - to.Load;
        return difference < 0.2f ? default : (to, difference / own / 2);
    }

    /// <summary>
    /// Whether an earlier loop can do this one's work as well: with ease, or because processors are scarce and the two
    /// only take turns.
    /// </summary>
    private static bool CanTakeAll(EventLoop other, LoopLoad load) =>
        other.Load + load.Share < (load.IsMostlyKernel && load.IdleProcessors < 0.1 ? 2 * Relaxed : Relaxed)
        || (load.IdleProcessors < 0.5 && other.Ran + load.Ran < 0.8f);

    /// <summary>
    /// Whether both have to wait for a processor while together they do not run for longer than one could: that one would do
    /// as much, in larger rounds.
    /// </summary>
    private static bool HoldEachOtherUp(EventLoop other, LoopLoad load) =>
        load.IdleProcessors < 0.1 && load.IsKeptWaiting && other.IsKeptWaiting && other.Ran + load.Ran < 1.05f;
}
