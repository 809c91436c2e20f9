namespace OrleansRedis.Engine;

/// <summary>
/// CLIENT PAUSE: for a while, clients' commands are held back instead of run: all of them, or only those that may
/// change something.
/// </summary>
public sealed class ClientPause(Store store) : IDisposable
{
    private readonly Lock _changing = new();
    private volatile State? _state;
    private ITimer? _timer;

    private int _held;

    /// <summary>
    /// How many clients wait for the pause to end; INFO counts them among the blocked ones. None once it has ended,
    /// even if some have not gone on yet.
    /// </summary>
    public int HeldCount => _state is null ? 0 : Volatile.Read(ref _held);

    /// <summary>Whether this command must wait, and for what.</summary>
    /// <param name="command">The command.</param>
    /// <param name="session">The session that wants it run.</param>
    /// <param name="isReadOnly">Whether the request does not write, though the command may (a script that says so).</param>
    /// <param name="over">What to wait for.</param>
    public bool Holds(CommandInfo command, Session session, bool isReadOnly, out Task over)
    {
        State? state = _state;
        if (state is null || (!state.All && (isReadOnly || (session.FlagsOf(command) & (CommandFlags.Write | CommandFlags.MayReplicate)) == 0)))
        {
            over = Task.CompletedTask;
            return false;
        }
        over = state.Over.Task;
        return true;
    }

    /// <summary>
    /// Completes when the pause ends or the client leaves. Until then it counts the client as waiting.
    /// </summary>
    public async Task HoldAsync(Task over, CancellationToken leaving)
    {
        Interlocked.Increment(ref _held);
        try
        {
            await over.WaitAsync(leaving).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _held);
        }
    }

    /// <summary>Pauses until a given time; a pause that is already on can only become longer and stricter.</summary>
    public void Begin(long untilMs, bool all)
    {
        lock (_changing)
        {
            State state = _state is { } old
                ? new(Math.Max(old.UntilMs, untilMs), old.All || all, old.Over)
                : new(untilMs, all, new(TaskCreationOptions.RunContinuationsAsynchronously));
            _state = state;
            store.Restrict(Restrictions.Paused);
            Schedule(state.UntilMs);
        }
    }

    /// <summary>Ends the pause, if there is one; the waiting clients go on.</summary>
    public void End()
    {
        State? ended;
        lock (_changing)
        {
            ended = _state;
            _state = null;
            store.Lift(Restrictions.Paused);
            _timer?.Dispose();
            _timer = null;
        }
        ended?.Over.SetResult();
    }

    public void Dispose() => End();

    private void Schedule(long untilMs)
    {
        _timer?.Dispose();
        long wait = Math.Clamp(untilMs - store.Clock.NowMs, 0, uint.MaxValue - 1);
        _timer = store.Clock.Time.CreateTimer(_ => EndIfDue(), null, TimeSpan.FromMilliseconds(wait), Timeout.InfiniteTimeSpan);
    }

    private void EndIfDue()
    {
        lock (_changing)
        {
            if (_state is not { } state) return;
            if (state.UntilMs > store.Clock.NowMs)
            {
                Schedule(state.UntilMs);
                return;
            }
        }
        End();
    }

    private sealed record State(long UntilMs, bool All, TaskCompletionSource Over);
}
