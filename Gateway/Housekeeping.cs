using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// What must happen to connections even when nothing happens on them: idle clients, and clients that do not take their
/// replies, are disconnected (timeout, client-output-buffer-limit). Buffers that are larger than they need be are given
/// back. Also samples the rates for INFO, has memory that stays free given back to the system, looks whether it is worth
/// defragmenting, collects garbage when nobody uses the server, and has the compiler give way to clients.
/// </summary>
public sealed class Housekeeping : IDisposable
{
    /// <summary>
    /// How often rates are sampled; how often while there is nothing to sample; and how often before that, as long as there is
    /// still something to give back.
    /// </summary>
    private static readonly TimeSpan s_period = TimeSpan.FromMilliseconds(100), s_idlePeriod = TimeSpan.FromSeconds(1),
        s_settlingPeriod = TimeSpan.FromMilliseconds(500);

    /// <summary>A client that has sent nothing for so long keeps no large buffer for its requests.</summary>
    private const long IdleBeforeTrimMs = 2000;

    /// <summary>After so long the peak of a client's replies is forgotten, as in Redis.</summary>
    internal const long DefaultReplyPeakMs = 5000;

    /// <summary>So few clients are looked at each time, not once a second: it takes no time, and Redis does so.</summary>
    private const int FewClients = 5;

    /// <summary>
    /// After so many runs in which nobody has used the server, garbage is collected, unless there is less than this. One run
    /// is not enough: a server that is starting seems idle.
    /// </summary>
    private const int IdleRunsBeforeCollection = 2, LeastGarbage = 1 << 20;

    /// <summary>
    /// In the runs after that, buffers are given back that nobody has needed for <see cref="IdleBeforeTrimMs"/>; what they
    /// were is collected once more.
    /// </summary>
    private const int IdleRunsBeforeLastCollection = IdleRunsBeforeCollection + 3;

    private readonly RedisServer _server;
    private readonly ITimer _timer;
    private readonly Lock _running = new();
    private readonly HeapKeeper _heap = new();
    private long _clientsLookedAtMs;
    private long _buffersTrimmedAtMs;
    private long _allocatedAtCollection;
    private bool _collectsAgain;
    private bool _isOver;
    private TimeSpan _period = s_period;
    private int _idleRuns;

    internal Housekeeping(RedisServer server)
    {
        _server = server;
        _timer = server.Store.Clock.Time.CreateTimer(_ => RunUnlessOver(), null, s_period, s_period);
    }

    internal Rate Commands { get; } = new();

    internal Rate InputBytes { get; } = new();

    internal Rate OutputBytes { get; } = new();

    internal Rate LoopCycles { get; } = new();

    internal Rate LoopBusyTicks { get; } = new();

    /// <summary>DEBUG REPLYBUFFER PEAK-RESET-TIME; never, if negative.</summary>
    internal long ReplyPeakMs { get; set; } = DefaultReplyPeakMs;

    /// <summary>DEBUG REPLYBUFFER RESIZING.</summary>
    internal bool ResizesReplyBuffers { get; set; } = true;

    /// <summary>Waits for a run that is under way: it uses what the server disposes of next.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        lock (_running) _isOver = true;
        _server.Store.ActiveDefragmentation.Stop();
    }

    internal void RunUnlessOver()
    {
        lock (_running)
        {
            if (!_isOver) Run();
        }
    }

    private void Run()
    {
        long nowMs = _server.Store.Clock.NowMs;
        Commands.Sample(_server.CommandStatistics.Calls, nowMs);
        InputBytes.Sample(_server.CommandStatistics.InputBytes, nowMs);
        OutputBytes.Sample(_server.CommandStatistics.OutputBytes, nowMs);
        LoopCycles.Sample(_server.Loops?.Cycles ?? 0, nowMs);
        LoopBusyTicks.Sample(_server.Loops?.BusyTicks ?? 0, nowMs);
        _ = _server.Store.PeakMemory; // looking at it notes it
        _heap.Run(Environment.TickCount64);
        bool settles = _period == s_settlingPeriod;
        if (settles || nowMs - _clientsLookedAtMs >= 1000 || _server.Clients.Count <= FewClients)
        {
            _clientsLookedAtMs = nowMs;
            LookAtClients(nowMs);
        }
        if (settles || nowMs - _buffersTrimmedAtMs >= 1000) LookAtTheRest(nowMs);
        Pace(isIdle: Commands.PerSecond == 0 && InputBytes.PerSecond == 0 && OutputBytes.PerSecond == 0);
    }

    private void LookAtTheRest(long nowMs)
    {
        _buffersTrimmedAtMs = nowMs;
        LargeBuffers.Trim();
        _server.Peers.CloseOld();
        // While data are loaded there are no clients to give way to, and what is compiled soon saves most.
        if ((_server.Store.Restrictions & Restrictions.Loading) == 0) CompilerThread.MakeNice();
        _server.Store.ActiveDefragmentation.Look();
    }

    /// <summary>A server that nobody uses is left to sleep.</summary>
    private void Pace(bool isIdle)
    {
        _idleRuns = isIdle ? _idleRuns + 1 : 0;
        if (_idleRuns == IdleRunsBeforeCollection && GC.GetTotalAllocatedBytes() - _allocatedAtCollection >= LeastGarbage)
        {
            CollectGarbage();
            _collectsAgain = true;
        }
        else if (_idleRuns == IdleRunsBeforeLastCollection && _collectsAgain)
        {
            CollectGarbage();
            _collectsAgain = false;
        }
        TimeSpan period = !isIdle ? s_period : _idleRuns < IdleRunsBeforeLastCollection ? s_settlingPeriod : s_idlePeriod;
        if (period == _period) return;
        _period = period;
        _timer.Change(period, period);
    }

    /// <summary>
    /// What commands have left on the managed heap would stay resident until the collector has a reason to run, and an idle
    /// server gives it none. The same is true of what the compiler has left on the C library's.
    /// </summary>
    private void CollectGarbage()
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        CLibrary.Trim();
        _allocatedAtCollection = GC.GetTotalAllocatedBytes();
    }

    private void LookAtClients(long nowMs)
    {
        long timeoutMs = _server.Options.Timeout * 1000L;
        _server.ClientMemory.CountAll();
        foreach (ClientConnection client in _server.Clients.All)
        {
            if (client.IsKilled) continue;
            client.EnforceOutputLimit(nowMs);
            if (nowMs - client.LastUsedMs > IdleBeforeTrimMs) client.TrimInput();
            if (ResizesReplyBuffers) client.FitReplyBuffer(nowMs, ReplyPeakMs);
            // A client that is blocked, or has subscribed to something, is waiting for us, not we for it; and other
            // servers are not clients.
            if (timeoutMs == 0 || client.IsBlocked || client.Class != ClientClass.Normal || client.IsMonitor || nowMs - client.LastUsedMs <= timeoutMs)
                continue;
            Log.ClosingIdle(_server.Logger, client.Id);
            client.Kill();
        }
    }
}
