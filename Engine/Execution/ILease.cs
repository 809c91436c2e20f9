namespace OrleansRedis.Engine;

/// <summary>
/// The right of one silo among several to answer for its slots. It is looked at before a command is run, and once more
/// before its reply leaves, since a silo may be suspended in between.
/// </summary>
public interface ILease
{
    /// <summary>Whether it is held at this moment. Any thread; never waits.</summary>
    bool IsHeld { get; }

    /// <summary>
    /// How many times <see cref="Restrictions.WithoutLease"/> has been lifted. As long as that is the same, nothing has run
    /// that needs the lease.
    /// </summary>
    long Lifts { get; }
}
