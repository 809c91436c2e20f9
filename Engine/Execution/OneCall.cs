namespace OrleansRedis.Engine;

/// <summary>
/// The session of a single call from outside a connection (a grain call). Its caller does not wait for ever: once the
/// call is over, nothing may happen in its name any more, since nobody would get what a command takes.
/// </summary>
internal sealed class OneCall : Session, IDisposable
{
    private readonly TimeProvider _time;
    private readonly TimeSpan? _limit;
    private readonly CancellationToken _caller;
    private readonly long _started;
    private CancellationTokenSource? _limitPassed;
    private CancellationTokenSource? _over;

    /// <param name="time">Where the time comes from.</param>
    /// <param name="limit">How long the call may take until its command runs; null for as long as it takes.</param>
    /// <param name="caller">Cancelled if the caller gives up.</param>
    public OneCall(TimeProvider time, TimeSpan? limit, CancellationToken caller)
    {
        _time = time;
        _limit = limit;
        _caller = caller;
        _started = limit is null ? 0 : time.GetTimestamp();
        IsOneCall = true;
    }

    /// <summary>
    /// Cancelled when the call is over. Made when it is first asked for, because most calls never wait.
    /// </summary>
    public CancellationToken Over
    {
        get
        {
            if (_over is not null) return _over.Token;
            if (_limit is not { } limit) return _caller;
            TimeSpan left = limit - _time.GetElapsedTime(_started);
            _limitPassed = new(left > TimeSpan.Zero ? left : TimeSpan.Zero, _time);
            _over = CancellationTokenSource.CreateLinkedTokenSource(_caller, _limitPassed.Token);
            return _over.Token;
        }
    }

    /// <summary>Whether the call is over.</summary>
    public bool IsOver => _caller.IsCancellationRequested || (_limit is { } limit && _time.GetElapsedTime(_started) >= limit);

    public void Dispose()
    {
        _over?.Dispose();
        _limitPassed?.Dispose();
    }

    /// <inheritdoc/>
    /// <exception cref="OperationCanceledException">The call is over, so its command must not run.</exception>
    protected internal override void BeginTurn()
    {
        if (IsOver) throw new OperationCanceledException();
    }

    /// <inheritdoc/>
    protected internal override Task HoldAsync(ClientPause pause, Task over) => pause.HoldAsync(over, Over);

    /// <inheritdoc/>
    protected internal override Task WaitForRoomAsync(Task room) => room.WaitAsync(Over);
}
