namespace OrleansRedis.Cluster;

/// <summary>A copy of a slot on another silo than its owner.</summary>
/// <param name="Silo">Who keeps it.</param>
/// <param name="IsInSync">
/// Whether it has everything that was acknowledged, so that it may become the owner. The owner acknowledges nothing
/// that a replica in sync does not have, unless the map has first said that it is no longer in sync.
/// </param>
public readonly record struct Replica(SiloId Silo, bool IsInSync);

/// <summary>What the map says of a slot. Immutable; equal entries of one map are often the same object.</summary>
public sealed class SlotEntry : IEquatable<SlotEntry>
{
    /// <summary>A slot that never had an owner.</summary>
    public static SlotEntry Unowned { get; } = new(SiloId.None, 0);

    public SlotEntry(SiloId owner, long epoch, SiloId target = default, long move = 0, params ReadOnlySpan<Replica> replicas)
        : this(owner, epoch, target, move, replicas.ToArray())
    {
    }

    internal SlotEntry(SiloId owner, long epoch, SiloId target, long move, Replica[] replicas)
    {
        Owner = owner;
        Epoch = epoch;
        Target = target;
        Move = move;
        Replicas = replicas;
    }

    /// <summary>The only silo that may serve the slot.</summary>
    public SiloId Owner { get; }

    /// <summary>How many owners the slot has had, this one included.</summary>
    public long Epoch { get; }

    /// <summary>Where the slot moves; nobody, if it stays.</summary>
    public SiloId Target { get; }

    /// <summary>The number of the move: the version of the map that began it. 0 without a target.</summary>
    public long Move { get; }

    /// <summary>Its copies on other silos.</summary>
    public IReadOnlyList<Replica> Replicas { get; }

    /// <summary>Who owns the slot once what is under way is done.</summary>
    public SiloId Heir => Target.IsNone ? Owner : Target;

    /// <summary>
    /// The entry after a new owner has taken the slot. What remains of its replicas are those which the caller says
    /// have everything that it has.
    /// </summary>
    public SlotEntry OwnedBy(SiloId owner, params ReadOnlySpan<Replica> replicas) => new(owner, Epoch + 1, replicas: replicas);

    /// <summary>The entry after a move has begun, or has ended without effect (nobody).</summary>
    public SlotEntry MovingTo(SiloId target, long move) => new(Owner, Epoch, target, target.IsNone ? 0 : move, (Replica[])Replicas);

    /// <summary>The entry with other replicas.</summary>
    public SlotEntry WithReplicas(params ReadOnlySpan<Replica> replicas) => new(Owner, Epoch, Target, Move, replicas);

    public bool Equals(SlotEntry? other) =>
        ReferenceEquals(this, other) || (other is not null && Owner == other.Owner && Epoch == other.Epoch && Target == other.Target
            && Move == other.Move && ((Replica[])Replicas).AsSpan().SequenceEqual((Replica[])other.Replicas));

    public override bool Equals(object? obj) => Equals(obj as SlotEntry);

    public override int GetHashCode() => HashCode.Combine(Owner, Epoch, Target, Move, Replicas.Count);

    public override string ToString() =>
        $"{Owner} in epoch {Epoch}{(Target.IsNone ? "" : $", moving to {Target}")}{(Replicas.Count == 0 ? "" : $", replicas {string.Join(" ", Replicas)}")}";
}
