namespace OrleansRedis.Engine;

/// <summary>Reasons why clients' commands are held back or refused on this silo.</summary>
[Flags]
public enum Restrictions
{
    None = 0,

    /// <summary>The data is being loaded: only commands with the flag Loading run.</summary>
    Loading = 1 << 0,

    /// <summary>Snapshots fail and stop-writes-on-bgsave-error is on: commands that may write are refused.</summary>
    SnapshotFails = 1 << 1,

    /// <summary>The append log cannot be written: commands that may write are refused, and nothing expires.</summary>
    LogFails = 1 << 2,

    /// <summary>Too much is waiting to be written to the append log: commands that may write have to wait.</summary>
    LogIsFull = 1 << 3,

    /// <summary>
    /// The server is about to stop, and its data has been saved: nothing runs any more, and connections are closed.
    /// </summary>
    Stopping = 1 << 4,

    /// <summary>
    /// CLIENT PAUSE: commands wait, either all of them or those that may write. Nothing expires meanwhile, because that
    /// is a change too.
    /// </summary>
    Paused = 1 << 5,

    /// <summary>
    /// A script has run for longer than busy-reply-threshold: only commands with the flag AllowBusy run.
    /// </summary>
    Busy = 1 << 6,

    /// <summary>
    /// The silo is one of several, and nobody has said yet which slots are its own: commands that need data are refused.
    /// </summary>
    Unassigned = 1 << 7,

    /// <summary>
    /// Nothing is wrong, but Redis Cluster's protocol is spoken: what becomes of a request depends on its slot. It is here
    /// so that without that protocol nobody has to ask.
    /// </summary>
    Clustered = 1 << 8,

    /// <summary>There are fewer replicas than min-replicas-to-write demands: commands that may write are refused.</summary>
    TooFewReplicas = 1 << 9,

    /// <summary>
    /// The silo is one of several, and may not answer for its slots at present, since too few of the others hear it:
    /// commands that need data are refused. Whoever finds the lease over sets it; the cluster's driver lifts it.
    /// </summary>
    WithoutLease = 1 << 10,
}
