namespace OrleansRedis.Engine;

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
