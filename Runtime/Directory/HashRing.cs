namespace Orleans.Runtime;

/// <summary>Consistent hashing: each silo has points on the ring of 32-bit hashes, and owns the stretch before each of its points. Immutable.
/// A silo that comes takes stretches from others, one that goes leaves its own to others; nothing else changes hands.</summary>
internal sealed class HashRing
{
    private const int PointsPerSilo = 30;
    private readonly uint[] _points;
    private readonly SiloAddress[] _owners;

    public HashRing(IEnumerable<SiloAddress> silos)
    {
        // Two silos with a point in common: the smaller address has it, on every silo.
        (uint Point, SiloAddress Silo)[] points = [.. silos
            .SelectMany(silo => silo.GetUniformHashCodes(PointsPerSilo).Select(point => (point, silo)))
            .OrderBy(pair => pair.point).ThenBy(pair => pair.silo)
            .DistinctBy(pair => pair.point)];
        _points = [.. points.Select(pair => pair.Point)];
        _owners = [.. points.Select(pair => pair.Silo)];
    }

    public bool IsEmpty => _points.Length == 0;

    public SiloAddress? OwnerOf(uint hash)
    {
        if (_points.Length == 0) return null;
        int index = Array.BinarySearch(_points, hash);
        if (index < 0) index = ~index;
        return _owners[index == _points.Length ? 0 : index];
    }

    /// <summary>The stretches that <paramref name="silo"/> owns here and, unless <paramref name="isGain"/> says otherwise of their last hash, did not own before.</summary>
    public List<HashRange> OwnedBy(SiloAddress silo, HashRing before, Func<uint, bool> isGain)
    {
        uint[] points = [.. _points.Concat(before._points).Order().Distinct()];
        var ranges = new List<HashRange>();
        for (int i = 0; i < points.Length; i++)
        {
            uint end = points[i];
            if (silo.Equals(OwnerOf(end)) && (!silo.Equals(before.OwnerOf(end)) || isGain(end)))
                ranges.Add(new HashRange(points[i == 0 ? points.Length - 1 : i - 1], end));
        }

        return ranges;
    }
}

/// <summary>The hashes after <paramref name="After"/> up to and including <paramref name="Last"/>, around the ring's end if need be; all of them when the two are equal.</summary>
[GenerateSerializer, Immutable]
internal readonly record struct HashRange([property: Id(0)] uint After, [property: Id(1)] uint Last)
{
    public bool Contains(uint hash) => After < Last ? hash > After && hash <= Last : hash > After || hash <= Last;
}
