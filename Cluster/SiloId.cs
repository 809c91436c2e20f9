using System.Globalization;

namespace OrleansRedis.Cluster;

/// <summary>One life of a node: what the cluster's documents call a silo.</summary>
/// <param name="Node">
/// The number of the place with a disk (<c>dir</c>) in which it lives; kept there, and drawn at random at its first
/// start. Not 0.
/// </param>
/// <param name="Incarnation">
/// The number of the life, counted in <c>dir</c>. A node runs one silo at a time, so a higher number proves that the
/// lower ones are over.
/// </param>
public readonly record struct SiloId(long Node, int Incarnation) : IComparable<SiloId>
{
    /// <summary>Nobody.</summary>
    public static SiloId None => default;

    public bool IsNone => Node == 0;

    public int CompareTo(SiloId other) => Node != other.Node ? Node.CompareTo(other.Node) : Incarnation.CompareTo(other.Incarnation);

    public static bool operator <(SiloId left, SiloId right) => left.CompareTo(right) < 0;

    public static bool operator >(SiloId left, SiloId right) => left.CompareTo(right) > 0;

    public static bool operator <=(SiloId left, SiloId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(SiloId left, SiloId right) => left.CompareTo(right) >= 0;

    public override string ToString() => IsNone ? "nobody" : string.Create(CultureInfo.InvariantCulture, $"{Node:x}.{Incarnation}");
}
