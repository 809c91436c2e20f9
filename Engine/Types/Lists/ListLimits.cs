namespace OrleansRedis.Engine;

/// <summary>
/// The meaning of list-max-listpack-size: -1 to -5 are sizes (4, 8, 16, 32, 64 kB), other values a number of elements.
/// </summary>
public static class ListLimits
{
    /// <summary>The largest node in bytes, if the directive gives a number of elements.</summary>
    private const int SafetyBytes = 8192;

    /// <summary>
    /// DEBUG QUICKLIST-PACKED-THRESHOLD: elements of this length or more get a node of their own; 0 means as the
    /// directive implies.
    /// </summary>
    public static long PackedThreshold { get; set; }

    /// <summary>How many bytes a node may have.</summary>
    internal static int Bytes(int fill) => fill >= 0 ? SafetyBytes : 4096 << (Math.Min(-fill, 5) - 1);

    /// <summary>
    /// Whether a listpack of this size is too large for a node, or for a list that is a single listpack.
    /// </summary>
    internal static bool Exceeds(int fill, long bytes, long count) =>
        bytes > Bytes(fill) || (fill >= 0 && count > Math.Max(1, fill));

    /// <summary>
    /// Whether a list that has shrunk to one node of this size becomes a single listpack again: at half of what would
    /// make it a quicklist.
    /// </summary>
    internal static bool FitsAfterShrinking(int fill, long bytes, long count) =>
        fill >= 0 ? count <= Math.Max(1, fill) / 2 : bytes <= Bytes(fill) / 2;

    /// <summary>Whether a quicklist of one node of this size, newly created, becomes a single listpack.</summary>
    internal static bool Fits(int fill, long bytes, long count) => fill >= 0 ? count <= Math.Max(1, fill) : bytes <= Bytes(fill);

    /// <summary>Whether an element of this length gets a node of its own.</summary>
    internal static bool IsLarge(int fill, int length) => PackedThreshold != 0 ? length >= PackedThreshold : length > Bytes(fill);
}
