namespace OrleansRedis.Engine;

/// <summary>
/// A log that makes effects durable, and that replies may have to wait for: Redis's append-only file, or a shared store.
/// <para>
/// With appendfsync always a connection runs what has come in, reads <see cref="Appended"/>, and sends no reply, not even to a read, before <see cref="Committed"/> has
/// reached that: nobody may see what could still be lost. One commit serves all who wait.
/// </para>
/// </summary>
public interface IDurability
{
    /// <summary>Whether replies wait: appendfsync always.</summary>
    bool RepliesWait { get; }

    /// <summary>The position after everything appended so far; only grows.</summary>
    long Appended { get; }

    /// <summary>The position up to which everything is durable.</summary>
    long Committed { get; }

    /// <summary>
    /// Completes when <see cref="Committed"/> has reached a position. If that will never be, it fails: whether the effects survive is not known then,
    /// and the connection is to be closed without its replies.
    /// </summary>
    Task WhenCommitted(long position);

    /// <summary>The error with which writes are refused while the log cannot be written ("MISCONF …"); null while it can.</summary>
    string? WriteError { get; }
}
