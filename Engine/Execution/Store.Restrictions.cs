namespace OrleansRedis.Engine;

/// <summary>What is wrong at present; <see cref="Admission"/> decides which commands that stops.</summary>
public sealed partial class Store
{
    private const Restrictions Keeping =
        Restrictions.LogFails | Restrictions.Loading | Restrictions.Stopping | Restrictions.Paused | Restrictions.WithoutLease;

    private int _restrictions;

    /// <summary>What is in force now. A single plain read, since it is checked before each command.</summary>
    public Restrictions Restrictions => (Restrictions)Volatile.Read(ref _restrictions);

    /// <summary>
    /// While clients are paused, the data is loading, the server is stopping, changes cannot be logged, or the silo has no
    /// lease, expired keys count as missing but are not deleted, since deleting is a change too.
    /// </summary>
    public bool KeepsExpired => (Restrictions & Keeping) != 0;

    /// <summary>
    /// Something is wrong from now on. For a failing log, <see cref="IDurability.WriteError"/> says what.
    /// </summary>
    public void Restrict(Restrictions restriction) => Interlocked.Or(ref _restrictions, (int)restriction);

    /// <summary>The restriction no longer applies.</summary>
    public void Lift(Restrictions restriction) => Interlocked.And(ref _restrictions, ~(int)restriction);
}
