using System.Collections.Concurrent;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;
using Microsoft.Extensions.Logging;

namespace OrleansRedis.Gateway;

/// <summary>
/// A thread with an epoll set. It waits for its connections' sockets and does their work right on the thread: receives,
/// runs the requests, sends the replies. Replies that must not leave before the log is durable wait for the end of the
/// round and are sent together.
/// </summary>
internal sealed unsafe class EventLoop
{
    private const int MaxEvents = 256;
    private const float ShortWaitUs = 30;
    private const float LongWaitUs = 100; // longer waits count as this

    private static readonly TimeSpan s_look = TimeSpan.FromMicroseconds(10);

    /// <summary>
    /// For so long at most a busy loop gathers what is pushed to clients before it sends it: the longer time if there are by
    /// then <see cref="WorthGathering"/> pushes for each of them, since then there will be more.
    /// </summary>
    private static readonly TimeSpan s_gathering = TimeSpan.FromMicroseconds(250), s_longGathering = TimeSpan.FromMilliseconds(2);

    private const int WorthGathering = 4;

    [ThreadStatic]
    private static EventLoop? t_current;

    /// <summary>Whether the thread is in a connection's code, after which only the rest of the round is left to do.</summary>
    [ThreadStatic]
    private static bool t_mayBeReplaced;

    private readonly LoopGroup _group;
    private readonly ILogger _logger;
    private readonly int _set;
    private readonly int _bell;
    private readonly string _name;
    private readonly byte[] _events = GC.AllocateArray<byte>(MaxEvents * 16, pinned: true);
    private readonly ConcurrentQueue<EpollConnection> _posted = new();
    private readonly Queue<EpollConnection> _postedHere = new();
    private readonly Queue<EpollConnection> _pushed = new();
    private long _pushedSince;
    private long _pushesBefore;
    private readonly Lock _ringing = new();
    private EpollConnection?[] _connections = new EpollConnection?[64];
    private volatile LoopLoad? _load;
    private volatile bool _isAsleep = true;
    private float _meanWaitUs = LongWaitUs;
    private int _window;
    private int _isRung;
    private long _wokeAt;
    private long _busyTicks;
    private long _cycles;
    private int _connectionCount;
    private bool _isOver;
    private volatile Thread _thread;

    // What is left of the round, for another thread that may have to go on with it.
    private int _eventCount;
    private int _nextEvent;
    private bool _hasRung;

    internal EventLoop(int number, LoopGroup group, ILogger logger)
    {
        _group = group;
        _logger = logger;
        Held = new(this);
        Deferred = new(this);
        _set = Libc.EpollCreate(Libc.CloseOnExec);
        _bell = Libc.EventDescriptor(0, Libc.CloseOnExec | Libc.NonBlocking);
        // Edge-triggered, so that the bell need never be read: each ring is an event.
        if (_set < 0 || _bell < 0 || Libc.Control(_set, Libc.Add, _bell, Libc.EpollIn | Libc.EpollEdge) < 0)
            throw new IOException($"No epoll set can be made: error {Marshal.GetLastSystemError()}.");
        _name = $"io {number}";
        _thread = new(Run) { IsBackground = true, Name = _name };
    }

    /// <summary>The replies that leave when the log is durable. For the loop alone.</summary>
    internal HeldReplies Held { get; }

    /// <summary>The connections whose replies leave when the log is written. For the loop alone.</summary>
    internal DeferredReplies Deferred { get; }

    /// <summary>Whether the caller runs on this loop's thread.</summary>
    internal bool IsCurrent => t_current == this;

    /// <summary>
    /// The fraction of recent time, 0 to 1, in which it had something to do; 1 while a single long command holds it up.
    /// </summary>
    internal float Load => _load is not { } load ? 0 : !load.IsStale ? load.Share : _isAsleep ? 0 : 1;

    /// <summary>The fraction of recent time in which it ran; <see cref="Load"/> if that is not known.</summary>
    internal float Ran => _load is { IsStale: false } load ? load.Ran : Load;

    /// <summary>Whether its thread recently had to wait for a processor to run on.</summary>
    internal bool IsKeptWaiting => _load is { IsStale: false, IsKeptWaiting: true };

    /// <summary>How many rounds it has made: waited for events and served them.</summary>
    internal long Cycles => Volatile.Read(ref _cycles);

    /// <summary>Time between waits, in <see cref="Stopwatch"/> ticks.</summary>
    internal long BusyTicks => Volatile.Read(ref _busyTicks);

    /// <summary>How many connections it serves.</summary>
    internal int ConnectionCount => Volatile.Read(ref _connectionCount);

    /// <summary>Whether its thread is still running.</summary>
    internal bool IsAlive => _thread.IsAlive;

    internal void Start() => _thread.Start();

    /// <summary>Has the loop's thread look at a connection soon. Callable from any thread.</summary>
    internal void Post(EpollConnection connection)
    {
        if (IsCurrent)
        {
            _postedHere.Enqueue(connection);
            return;
        }
        _posted.Enqueue(connection);
        Ring();
    }

    /// <summary>
    /// On the loop's thread: something is to be sent to a connection that has not asked for it. That happens once nothing
    /// else is left to do, or a moment later: a send costs as much as a command, and while others publish there is soon more
    /// to send.
    /// </summary>
    internal void PostPushed(EpollConnection connection)
    {
        if (_pushed.Count == 0) (_pushedSince, _pushesBefore) = (Stopwatch.GetTimestamp(), PushWakes.Pushes);
        _pushed.Enqueue(connection);
    }

    /// <summary>Wakes the loop. Callable from any thread.</summary>
    internal void Ring()
    {
        if (Interlocked.Exchange(ref _isRung, 1) != 0) return;
        long one = 1;
        lock (_ringing)
        {
            if (!_isOver) _ = Libc.Write(_bell, (byte*)&one, sizeof(long));
        }
    }

    /// <summary>
    /// On the loop's thread: the connection is about to be closed, which takes it out of the epoll set.
    /// </summary>
    internal void Forget(EpollConnection connection)
    {
        if (connection.IsRegistered)
        {
            _connections[connection.Descriptor] = null;
            _connectionCount--;
        }
        connection.IsRegistered = false;
        _group.Leave();
    }

    /// <summary>
    /// On the loop's thread: sets whether to watch for room to send. Setting it makes epoll check again, so nothing is
    /// missed.
    /// </summary>
    internal void AwaitRoom(EpollConnection connection, bool awaits)
    {
        connection.AwaitsRoom = awaits;
        _ = Libc.Control(_set, Libc.Modify, connection.Descriptor, Events(connection));
    }

    private static int Events(EpollConnection connection) =>
        Libc.EpollIn | Libc.EpollReadHangUp | Libc.EpollEdge | (connection.AwaitsRoom ? Libc.EpollOut : 0);

    /// <summary>Its thread, until the loop is over or another thread has taken its place.</summary>
    private void Run()
    {
        t_current = this;
        using var load = new LoopLoad();
        _load = load;
        _wokeAt = Stopwatch.GetTimestamp();
        while (!_group.IsOver)
        {
            if (MakeRound(load)) continue;
            _group.ThreadEnds?.Invoke();
            return;
        }
        End();
    }

    /// <summary>
    /// Goes round the connections that have something to do, and waits until there are others. False if another thread has
    /// taken this one's place meanwhile, and goes on where this one stopped. Not a part of <see cref="Run"/>: a method that
    /// never returns is optimised while it runs, by the thread that runs it, and with all this in it that took 5 to 10 ms in
    /// which no client was served.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool MakeRound(LoopLoad load)
    {
        while (_nextEvent < _eventCount)
        {
            byte* at = Reported + (_nextEvent++ * Libc.EventBytes);
            int descriptor = Libc.EventDescriptor(at);
            // Connections come only further down, so a descriptor means the same throughout these events.
            if (descriptor == _bell) _hasRung = true;
            else if (_connections[descriptor] is { } connection) Serve(connection, Libc.EventFlags(at));
            if (!IsCurrent) return false;
        }
        if (_hasRung)
        {
            _hasRung = false;
            EmptyPosted();
            Held.Release();
            Deferred.Release();
        }
        if (_pushed.Count != 0) SendGathered();
        for (int i = _postedHere.Count; i > 0; i--)
        {
            GoOn(_postedHere.Dequeue());
            if (!IsCurrent) return false;
        }
        if (!Held.AreNone) Held.EndRound();
        if (!Deferred.AreNone) Deferred.EndRound();
        if (_group.Loops.Length > 1 && load.TrySample(Environment.TickCount64)) Rebalance(load);
        _cycles++;
        _nextEvent = 0;
        _eventCount = _postedHere.Count == 0 && _pushed.Count == 0 && Held.AreNone && Deferred.AreNone ? Wait(load) : Poll(0);
        return true;
    }

    /// <summary>Sends what is pushed, unless there are other events and it is worth waiting for more.</summary>
    private void SendGathered()
    {
        TimeSpan time = Stopwatch.GetElapsedTime(_pushedSince);
        bool isWorthIt = PushWakes.Pushes - _pushesBefore >= WorthGathering * _pushed.Count;
        if (_eventCount != 0 && time < (isWorthIt ? s_longGathering : s_gathering)) return;
        while (_pushed.TryDequeue(out EpollConnection? connection)) connection.Input.CancelPendingRead();
    }

    private byte* Reported => (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(_events, 0);

    /// <summary>
    /// Waits for events. Waking a sleeping thread costs the thread that wakes it some microseconds, and the sleeper as
    /// many again. So where waits have lately been short, the loop first polls for about as long as a wake-up costs. It
    /// does not when processors are scarce: then it would keep one from another thread.
    /// </summary>
    private int Wait(LoopLoad load)
    {
        long began = Stopwatch.GetTimestamp();
        _busyTicks += began - _wokeAt;
        int count = 0;
        if (_meanWaitUs < ShortWaitUs && !load.IsKeptWaiting && (count = Poll(0)) == 0)
        {
            TimeSpan looked;
            do
            {
                Thread.SpinWait(10);
                count = Poll(0);
                looked = Stopwatch.GetElapsedTime(began);
            }
            while (count == 0 && looked < s_look);
            load.Exclude(looked);
        }
        if (count == 0)
        {
            _isAsleep = true;
            count = Poll(-1);
            _isAsleep = false;
        }
        _wokeAt = Stopwatch.GetTimestamp();
        float took = (float)Stopwatch.GetElapsedTime(began, _wokeAt).TotalMicroseconds;
        _meanWaitUs += (Math.Min(took, LongWaitUs) - _meanWaitUs) / 8;
        return count;
    }

    /// <summary>epoll_wait; 0 if a signal came.</summary>
    private int Poll(int timeoutMs)
    {
        int count = Libc.EpollWait(_set, Reported, MaxEvents, timeoutMs);
        if (count >= 0) return count;
        int error = Marshal.GetLastSystemError();
        return error == Libc.Interrupted ? 0 : throw new IOException($"epoll_wait failed with error {error}.");
    }

    private void End()
    {
        lock (_ringing)
        {
            _isOver = true;
            _ = Libc.Close(_bell);
        }
        _ = Libc.Close(_set);
    }

    private void Serve(EpollConnection connection, int events)
    {
        connection.LastWindow = _window;
        try
        {
            connection.OnEvents(events);
        }
        catch (Exception e)
        {
            Fail(connection, e);
        }
    }

    private void GoOn(EpollConnection connection)
    {
        try
        {
            connection.GoOn();
        }
        catch (Exception e)
        {
            Fail(connection, e);
        }
    }

    private void Fail(EpollConnection connection, Exception e)
    {
        Log.ConnectionFailed(_logger, e, 0);
        connection.Abandon(e);
    }

    private void EmptyPosted()
    {
        // Before looking: what is posted after this rings again.
        Interlocked.Exchange(ref _isRung, 0);
        while (_posted.TryDequeue(out EpollConnection? connection))
        {
            if (connection.Loop != this)
            {
                connection.Loop.Post(connection); // it has been handed over since
                continue;
            }
            if (!connection.IsRegistered) Register(connection);
            _postedHere.Enqueue(connection);
        }
    }

    private void Register(EpollConnection connection)
    {
        if (connection.IsGone) return;
        int descriptor = connection.Descriptor;
        if (descriptor >= _connections.Length)
            Array.Resize(ref _connections, Math.Max(descriptor + 1, _connections.Length * 2));
        _connections[descriptor] = connection;
        connection.IsRegistered = true;
        _connectionCount++;
        connection.LastWindow = _window;
        if (Libc.Control(_set, Libc.Add, descriptor, Events(connection)) < 0)
            connection.Abandon(new IOException($"epoll_ctl failed with error {Marshal.GetLastSystemError()}."));
    }

    private void Rebalance(LoopLoad load)
    {
        (EventLoop? to, float part) = _group.Consider(this, load);
        if (to is not null) HandOver(to, part);
        _window++;
    }

    /// <summary>
    /// To be called in the middle of a command that takes long: if this is a loop's thread, another one takes its place, so
    /// that nobody else need wait for the command. This one finishes the input that it is at, and ends.
    /// </summary>
    internal static void StandStill()
    {
        if (t_current is not { } loop || !t_mayBeReplaced) return;
        Thread former = loop._thread;
        t_current = null;
        try
        {
            loop._thread = new(loop.Run) { IsBackground = true, Name = loop._name };
            loop._thread.Start();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            (loop._thread, t_current) = (former, loop); // there can be no more threads: the others have to wait
        }
    }

    /// <summary>Whether this is a loop's thread.</summary>
    internal static bool IsAny => t_current is not null;

    /// <summary>Whether a command may take long on this thread: it is not a loop's, or another one can take its place.</summary>
    internal static bool MayStandStill => t_current is null || t_mayBeReplaced;

    /// <summary>
    /// On the loop's thread: runs a connection's code. When that returns, the thread may be the loop's no longer, so
    /// nothing but the rest of the round may follow, and <see cref="StandStill"/> is told so.
    /// </summary>
    internal static void Resume(ref ManualResetValueTaskSourceCore<ReadResult> source, in ReadResult result)
    {
        t_mayBeReplaced = true;
        source.SetResult(result);
        t_mayBeReplaced = false;
    }

    /// <summary>
    /// On the loop's thread: gives a fraction of the connections that were served in this window to another loop. Only
    /// connections that wait for input and nothing else are moved.
    /// </summary>
    internal void HandOver(EventLoop to, float part)
    {
        float due = 0;
        for (int descriptor = 0; descriptor < _connections.Length; descriptor++)
        {
            if (_connections[descriptor] is not { } connection || connection.LastWindow != _window) continue;
            due += part;
            if (due < 1 || !connection.IsIdle) continue;
            due -= 1;
            HandOver(connection, to);
        }
    }

    private void HandOver(EpollConnection connection, EventLoop to)
    {
        _connections[connection.Descriptor] = null;
        _connectionCount--;
        connection.IsRegistered = false;
        _ = Libc.Control(_set, Libc.Delete, connection.Descriptor, 0);
        // The other loop registers it, and epoll then checks the socket: no event is lost in between.
        connection.MoveTo(to);
    }
}
