using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// While memory is fragmented, a thread goes through the keys and moves what keeps sparsely filled memory from going back
/// to the system. What is worth it, and how much of a processor's time, is what activedefrag and its directives say. Even
/// without it this is done when more than half of the memory that data lie in is free: the heap would otherwise stay as
/// large as it ever was, since a few blocks that live on are enough to keep it. There is no such thread while there is
/// nothing to win.
/// </summary>
public sealed class ActiveDefragmentation
{
    /// <summary>How often it is looked whether more of the processor's time is called for.</summary>
    private const long LookAgainMs = 100;

    /// <summary>After so many attempts to enter a gate, one for each millisecond, what is behind it is left out.</summary>
    private const int MostAttempts = 500;

    /// <summary>A pass that leaves more than this part of what there was to win was of little use.</summary>
    private const double LittleUse = 0.75;

    /// <summary>By so much of itself has what is free to change before the next pass, if the last one was of little use.</summary>
    private const double LeastChange = 0.125;

    // The heap is the whole process's, and so is a pass.
    private static int s_isUnderWay;

    private readonly Store _store;
    private readonly Lock _beginning = new();
    private TaskCompletionSource? _pass; // null while there is none
    private volatile bool _isStopped;
    private bool _isHousekeeping; // whether the pass would take place without activedefrag, too
    private int _percent;
    private long _began;
    private double _freeBytesLeft = -1; // by a pass that was of little use; otherwise negative

    internal ActiveDefragmentation(Store store)
    {
        _store = store;
    }

    /// <summary>active_defrag_running: percent of a processor's time; 0 if there is no pass under way.</summary>
    public int Percent => Volatile.Read(ref _percent);

    /// <summary>For how long the present pass has been under way.</summary>
    public TimeSpan CurrentTime => Volatile.Read(ref _began) is var began and not 0 ? Stopwatch.GetElapsedTime(began) : TimeSpan.Zero;

    private DefragmentationEffort Effort => _isHousekeeping ? DefragmentationEffort.Housekeeping : Directives;

    private DefragmentationEffort Directives
    {
        get
        {
            ServerOptions options = _store.Options;
            return new(
                options.ActiveDefragIgnoreBytes, options.ActiveDefragThresholdLower, options.ActiveDefragThresholdUpper,
                options.ActiveDefragCycleMin, options.ActiveDefragCycleMax);
        }
    }

    /// <summary>
    /// Begins a pass in the background if there is something to win; false if there is not. To be called about once a
    /// second.
    /// </summary>
    public bool Look()
    {
        if (Percent != 0) return false;
        HeapStatistics heap = HeapStatistics.Now;
        int percent = _store.Options.ActiveDefrag ? Directives.PercentOfTime(heap, 0) : 0;
        bool isHousekeeping = percent == 0;
        if (isHousekeeping) percent = DefragmentationEffort.Housekeeping.PercentOfTime(heap, 0);
        if (percent == 0 || (_freeBytesLeft >= 0 && Math.Abs(heap.FreeBytes - _freeBytesLeft) < _freeBytesLeft * LeastChange)) return false;
        lock (_beginning)
        {
            if (_isStopped || _pass is not null || Interlocked.Exchange(ref s_isUnderWay, 1) != 0) return false;
            _pass = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _isHousekeeping = isHousekeeping;
            Volatile.Write(ref _began, Stopwatch.GetTimestamp());
            Volatile.Write(ref _percent, percent);
        }
        BackgroundThread.Start("defragmentation", Run);
        return true;
    }

    /// <summary>Ends the pass that is under way, and begins no more.</summary>
    public void Stop()
    {
        Task? pass;
        lock (_beginning)
        {
            _isStopped = true;
            pass = _pass?.Task;
        }
        pass?.Wait();
    }

    private void Run()
    {
        long before = HeapStatistics.Now.FreeBytes;
        try
        {
            if (Defragmentation.Begin() == 0 || TryWalk()) Learn(before);
        }
        catch (Exception failure)
        {
            Learn(before);
            _store.Log.Warning($"Active defragmentation has failed: {failure}");
        }
        finally
        {
            Defragmentation.End();
            Volatile.Write(ref s_isUnderWay, 0);
            lock (_beginning)
            {
                _store.Statistics.CountDefragmentationTime(CurrentTime);
                Volatile.Write(ref _began, 0);
                Volatile.Write(ref _percent, 0);
                _pass!.SetResult();
                _pass = null;
            }
        }
    }

    /// <summary>Goes through everything; false if that is no longer wanted.</summary>
    private bool TryWalk()
    {
        var pass = new DefragmentationPass(_store);
        var turns = new BackgroundThread.Turns();
        long looked = Environment.TickCount64;
        int attempts = 0;
        while (!_isStopped && (_isHousekeeping || _store.Options.ActiveDefrag))
        {
            long began = _store.Latency.Begin();
            DefragmentationProgress progress = pass.Step();
            _store.Latency.End("active-defrag-cycle", began);
            switch (progress)
            {
                case DefragmentationProgress.Finished:
                    return true;
                case DefragmentationProgress.Stepped:
                    attempts = 0;
                    turns.Pause(_percent);
                    break;
                default:
                    Thread.Sleep(1);
                    if (++attempts % MostAttempts == 0) pass.Leave();
                    break;
            }
            if (Environment.TickCount64 - looked < LookAgainMs) continue;
            looked = Environment.TickCount64;
            Volatile.Write(ref _percent, Effort.PercentOfTime(HeapStatistics.Now, _percent));
        }
        return false;
    }

    private void Learn(long freeBytesBefore)
    {
        long left = HeapStatistics.Now.FreeBytes;
        _freeBytesLeft = left > freeBytesBefore * LittleUse ? left : -1;
    }
}
