namespace Orleans.Runtime;

/// <summary>A timer of an activation. Ticks are requests to the activation itself: they wait for their turn like any other, and the next is due one period
/// after the last has ended.</summary>
internal sealed class GrainTimer : IGrainTimer
{
    private static readonly TimeSpan Never = Timeout.InfiniteTimeSpan;
    private readonly Activation _activation;
    private readonly Func<CancellationToken, Task> _callback;
    private readonly GrainTimerCreationOptions _options;
    private readonly CancellationTokenSource _disposed = new();
    private readonly ITimer _timer;
    private readonly Lock _lock = new(); // guards the three below
    private TimeSpan _period;
    private bool _ticking;
    private bool _changed;

    public GrainTimer(Activation activation, Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        _activation = activation;
        _callback = callback;
        _options = options;
        _period = options.Period;
        // Without the creator's execution context: its request context is not the timer's.
        using (ExecutionContext.SuppressFlow())
        {
            _timer = activation.Class.Runtime.Clock.CreateTimer(static timer => ((GrainTimer)timer!).Due(), this, Never, Never);
        }

        _timer.Change(options.DueTime, Never);
    }

    public bool KeepsAlive => _options.KeepAlive;

    public void Change(TimeSpan dueTime, TimeSpan period)
    {
        lock (_lock)
        {
            _period = period;
            _changed = _ticking;
        }

        if (!_disposed.IsCancellationRequested) _timer.Change(dueTime, Never);
    }

    public void Dispose()
    {
        if (_disposed.IsCancellationRequested) return;
        _disposed.Cancel();
        _timer.Dispose();
        _activation.Remove(this);
    }

    private void Due()
    {
        if (_disposed.IsCancellationRequested) return;
        var tick = new Message { Kind = MessageKind.OneWay, Target = _activation.GrainId, Sender = _activation.GrainId, Work = Tick, ForceInterleave = _options.Interleave, IsTimerTick = !_options.KeepAlive };
        _activation.TryReceive(tick);
    }

    private async Task Tick()
    {
        if (_disposed.IsCancellationRequested) return;
        lock (_lock)
        {
            _ticking = true;
            _changed = false;
        }

        try
        {
            await _callback(_disposed.Token);
        }
        catch (OperationCanceledException) when (_disposed.IsCancellationRequested)
        {
            // It was disposed of while it ran, as it was told.
        }
        catch (Exception exception)
        {
            _activation.Class.Runtime.TimerFailed(exception, _activation.GrainId);
        }
        finally
        {
            TimeSpan next;
            lock (_lock)
            {
                _ticking = false;
                next = _changed ? Never : _period;
            }

            if (!_disposed.IsCancellationRequested && next != Never) _timer.Change(next, Never);
        }
    }
}
