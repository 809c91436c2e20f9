namespace OrleansRedis.Engine;

/// <summary>What stands in the way of clients' commands on this silo.</summary>
[Flags]
public enum Restrictions
{
    None = 0,

    /// <summary>The data is being loaded: only commands with <see cref="CommandFlags.Loading"/> run.</summary>
    Loading = 1 << 0,

    /// <summary>Snapshots fail and stop-writes-on-bgsave-error is on: commands that may write are refused.</summary>
    SnapshotFails = 1 << 1,

    /// <summary>The append log cannot be written: commands that may write are refused, and nothing expires meanwhile.</summary>
    LogFails = 1 << 2,

    /// <summary>More is waiting to be written to the append log than may be: commands that may write wait.</summary>
    LogIsFull = 1 << 3,

    /// <summary>The server is about to end, its data saved: nothing runs any more, and connections are closed.</summary>
    Stopping = 1 << 4,

    /// <summary>
    /// CLIENT PAUSE: commands wait, all or those that may write, and nothing expires meanwhile, since that is a change
    /// too.
    /// </summary>
    Paused = 1 << 5,
}

/// <summary>What is wrong at present; <see cref="Admission"/> says which commands are stopped for it.</summary>
public sealed partial class Store
{
    private int _restrictions;

    /// <summary>What is in force now. One plain read where it is looked at before each command.</summary>
    public Restrictions Restrictions => (Restrictions)Volatile.Read(ref _restrictions);

    /// <summary>
    /// While clients are paused, or changes cannot be logged, expired keys are missing but not deleted, since that is a change too.
    /// </summary>
    public bool KeepsExpired => (Restrictions & (Restrictions.LogFails | Restrictions.Loading | Restrictions.Stopping | Restrictions.Paused)) != 0;

    /// <summary>Something is wrong from now on. For failing logs <see cref="IDurability.WriteError"/> says what.</summary>
    public void Restrict(Restrictions restriction) => Interlocked.Or(ref _restrictions, (int)restriction);

    /// <summary>It is over.</summary>
    public void Lift(Restrictions restriction) => Interlocked.And(ref _restrictions, ~(int)restriction);
}
