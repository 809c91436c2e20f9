namespace OrleansRedis.Tests.Runtime;

/// <summary>A clock that stands still until it is told to advance; timers fire on the thread that advances it, in the order in which they are due. Any thread.</summary>
public sealed class VirtualClock : TimeProvider
{
    private readonly Lock _lock = new();
    private readonly PriorityQueue<(Timer Timer, int Version), (long Due, long Order)> _due = new();
    private readonly DateTimeOffset _epoch = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private long _now = TimeSpan.TicksPerHour;
    private long _order;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Volatile.Read(ref _now);

    public override DateTimeOffset GetUtcNow() => _epoch.AddTicks(Volatile.Read(ref _now));

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    public void Advance(TimeSpan time)
    {
        long end = Volatile.Read(ref _now) + time.Ticks;
        while (true)
        {
            Timer fired;
            lock (_lock)
            {
                if (!_due.TryPeek(out (Timer Timer, int Version) next, out (long Due, long Order) when) || when.Due > end)
                {
                    _now = end;
                    return;
                }

                _due.Dequeue();
                if (next.Version != next.Timer.Version) continue;
                _now = Math.Max(_now, when.Due);
                fired = next.Timer;
                if (fired.Period > TimeSpan.Zero) Schedule(fired, fired.Period);
            }

            fired.Fire();
        }
    }

    private void Schedule(Timer timer, TimeSpan dueTime) => _due.Enqueue((timer, timer.Version), (_now + dueTime.Ticks, _order++));

    private sealed class Timer(VirtualClock clock, TimerCallback callback, object? state) : ITimer
    {
        private readonly ExecutionContext? _context = ExecutionContext.Capture();

        /// <summary>Grows with each change, so that what was due before it is not any more. Under the clock's lock, as Period is.</summary>
        public int Version { get; private set; }

        public TimeSpan Period { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock._lock)
            {
                Version++;
                Period = period;
                if (dueTime >= TimeSpan.Zero) clock.Schedule(this, dueTime);
                return true;
            }
        }

        public void Fire()
        {
            if (_context is null) callback(state);
            else ExecutionContext.Run(_context, static timer => ((Timer)timer!).Call(), this);
        }

        public void Dispose() => Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Call() => callback(state);
    }
}
