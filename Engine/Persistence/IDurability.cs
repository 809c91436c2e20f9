namespace OrleansRedis.Engine;

/// <summary>
/// A log that makes effects durable, and that replies may have to wait for: Redis's append-only file, or a shared
/// store.
/// <para>
/// With appendfsync always a connection reads <see cref="Appended"/>, runs the commands that have come in, and reads it
/// again. It sends no reply, not even to a read, before <see cref="Committed"/> has reached the second reading, because
/// no client may see what could still be lost. One commit serves all waiting replies.
/// </para>
/// <para>
/// With everysec and no, an append-only file is committed as far as the operating system has been handed it, which the
/// end of this process cannot take back. While it <see cref="IsBehind"/>, no reply at all is sent.
/// </para>
/// </summary>
public interface IDurability
{
    /// <summary>Whether replies have to wait, which is so with appendfsync always.</summary>
    bool RepliesWait { get; }

    /// <summary>The position after everything appended so far. It only grows.</summary>
    long Appended { get; }

    /// <summary>
    /// The position up to which everything is durable. Once it has reached the second reading, the replies may be sent;
    /// until then, see <see cref="WhenCommitted"/>.
    /// </summary>
    long Committed { get; }

    /// <summary>
    /// Completes when everything up to a position is durable. It fails if anything since the first reading will never
    /// become durable, because a shared store has refused it: the slot belongs to another silo by now. Then the
    /// connection must be closed without sending its replies.
    /// </summary>
    /// <param name="since">The position before the commands ran.</param>
    /// <param name="position">The position after they ran.</param>
    Task WhenCommitted(long since, long position);

    /// <summary>
    /// Whether replies have to wait for the operating system to be handed what has been appended: so with appendfsync
    /// everysec and no, as long as that has not happened and is possible.
    /// </summary>
    bool IsBehind => false;

    /// <summary>
    /// Completes when there is room for more after <see cref="Restrictions.LogIsFull"/>. Then the caller tries again.
    /// </summary>
    Task WhenRoom();

    /// <summary>
    /// The error with which writes are refused while the log cannot be written ("MISCONF …"); null while it can be.
    /// Used while <see cref="Restrictions.LogFails"/> is set.
    /// </summary>
    string? WriteError { get; }

    /// <summary>
    /// Whether reads are refused too, with <see cref="WriteError"/>: they would see what cannot be made durable now, so
    /// their replies would have to wait until the log can be written again, which may be never.
    /// </summary>
    bool RefusesReads => false;

    /// <summary>
    /// Called when the server is about to stop: makes everything durable, and returns why that is impossible, or null.
    /// No commands run meanwhile.
    /// </summary>
    Task<string?> SettleAsync() => Task.FromResult<string?>(null);

    /// <summary>Fields of INFO persistence in addition to Redis's own.</summary>
    IEnumerable<(string Name, string Value)> Statistics => [];
}

/// <summary>
/// A log on the silo's own disk. Sooner or later it makes everything durable, and it never refuses anything, so that
/// one thread can wait for the replies of many connections at once.
/// </summary>
public interface ICommittingLog : IDurability
{
    /// <summary>
    /// Commits everything appended so far: on the calling thread if that takes negligible time, otherwise the task
    /// completes later, or when the log turns out not to be writable.
    /// </summary>
    Task WhenCommitted()
    {
        long position = Appended;
        return TryCommit(position) ? Task.CompletedTask : TryWhenCommitted(position);
    }

    /// <summary>
    /// Makes everything up to a position durable on the calling thread, which has nothing better to do, provided that
    /// it takes negligible time. False if it may take longer, or if it failed.
    /// </summary>
    bool TryCommit(long position);

    /// <summary>
    /// Calls <paramref name="then"/> when everything up to a position is durable: immediately if it already is,
    /// otherwise on the log's own thread, which must not be blocked.
    /// </summary>
    /// <param name="position">The position.</param>
    /// <param name="then">What to do then.</param>
    /// <param name="failed">Called before that, at most once and under the same rules, if the log cannot be written at
    /// present: for those who would rather give up than wait until it can be.</param>
    void OnCommitted(long position, Action then, Action? failed);

    /// <summary>
    /// Completes with true when everything up to a position is durable, or with false as soon as the log cannot be
    /// written.
    /// </summary>
    Task<bool> TryWhenCommitted(long position)
    {
        var source = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        OnCommitted(position, () => source.TrySetResult(true), () => source.TrySetResult(false));
        return source.Task;
    }
}
