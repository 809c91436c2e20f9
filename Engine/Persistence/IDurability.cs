namespace OrleansRedis.Engine;

/// <summary>
/// A log that makes effects durable, and that replies may have to wait for: Redis's append-only file, or a shared store.
/// <para>
/// With appendfsync always a connection reads <see cref="Appended"/>, runs what has come in, reads it again, and sends no reply, not even to a read, before
/// <see cref="Committed"/> has reached that: nobody may see what could still be lost. One commit serves all who wait.
/// </para>
/// </summary>
public interface IDurability
{
    /// <summary>Whether replies wait: appendfsync always.</summary>
    bool RepliesWait { get; }

    /// <summary>The position after everything appended so far; only grows.</summary>
    long Appended { get; }

    /// <summary>The position up to which everything is durable. If it has reached the second reading, the replies may go; if not, see <see cref="WhenCommitted"/>.</summary>
    long Committed { get; }

    /// <summary>
    /// Completes when everything up to a position is durable. It fails if anything that happened since the first reading never will be: a shared store
    /// has refused it, because the slot is someone else's by now. Then the connection is to be closed without its replies.
    /// </summary>
    /// <param name="since">The position before the commands ran.</param>
    /// <param name="position">The position after they ran.</param>
    Task WhenCommitted(long since, long position);

    /// <summary>To be called before replies leave that do not wait.</summary>
    void BeforeReply()
    {
    }

    /// <summary>Completes when there is room for more after <see cref="Restrictions.LogIsFull"/>; then try again.</summary>
    Task WhenRoom();

    /// <summary>The error with which writes are refused while the log cannot be written ("MISCONF …"); null while it can. Asked for while <see cref="Restrictions.LogFails"/> is set.</summary>
    string? WriteError { get; }

    /// <summary>The server is about to end: makes everything durable, and says why that cannot be done, or null. Commands are kept out meanwhile.</summary>
    Task<string?> SettleAsync() => Task.FromResult<string?>(null);

    /// <summary>Fields of INFO persistence beside those that Redis has.</summary>
    IEnumerable<(string Name, string Value)> Statistics => [];
}

/// <summary>A log on the silo's own disk: what was appended is made durable sooner or later, and never refused, so that a thread can wait for many connections' replies at once.</summary>
public interface ICommittingLog : IDurability
{
    /// <summary>
    /// Makes everything up to a position durable on this thread, which has nothing better to do, if that takes no time worth mentioning. False if it may, or if it failed.
    /// </summary>
    bool TryCommit(long position);

    /// <summary>Has something done when everything up to a position is durable: here and now if it is, else on the log's own thread, which must not be held up.</summary>
    void OnCommitted(long position, Action then);
}
