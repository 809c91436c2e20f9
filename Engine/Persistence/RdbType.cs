namespace OrleansRedis.Engine;

/// <summary>
/// The value types of the RDB format (rdb.h of Redis). One number stands for a type and its encoding.
/// </summary>
internal enum RdbType : byte
{
    String = 0,
    List = 1,
    Set = 2,

    /// <summary>Scores as decimal text.</summary>
    ZSet = 3,

    Hash = 4,

    /// <summary>Scores as doubles.</summary>
    ZSet2 = 5,

    ModulePreGa = 6,
    Module2 = 7,
    HashZipmap = 9,
    ListZiplist = 10,
    SetIntset = 11,
    ZSetZiplist = 12,
    HashZiplist = 13,

    /// <summary>A list of ziplists.</summary>
    ListQuicklist = 14,

    StreamListpacks = 15,

    // From version 10, Redis 7.0.
    HashListpack = 16,
    ZSetListpack = 17,

    /// <summary>A list of listpacks and single large elements.</summary>
    ListQuicklist2 = 18,

    /// <summary>With the number of entries ever added, the largest deleted ID, and what groups have read.</summary>
    StreamListpacks2 = 19,

    // From version 11, Redis 7.2.
    SetListpack = 20,

    /// <summary>With the times at which consumers were last given an entry.</summary>
    StreamListpacks3 = 21,

    // From version 12, Redis 7.4. The first two come from release candidates.
    HashMetadataPreGa = 22,
    HashListpackExPreGa = 23,

    /// <summary>Fields with expiries.</summary>
    HashMetadata = 24,

    HashListpackEx = 25,
}

/// <summary>Versions of the RDB format.</summary>
internal static class RdbVersion
{
    /// <summary>
    /// The oldest version that can hold what we write, except for <see cref="RdbType.HashMetadata"/> and the like. It
    /// is that of Redis 7.0.
    /// </summary>
    public const int Usual = 10;

    /// <summary>The newest version that can be read: that of Redis 7.4.</summary>
    public const int Newest = 12;

    /// <summary>Whether a number is the type of a value at all.</summary>
    public static bool IsKnown(RdbType type) => type is <= RdbType.Module2 or (>= RdbType.HashZipmap and <= RdbType.HashListpackEx);

    /// <summary>The version that introduced a type.</summary>
    public static int Of(RdbType type) => type switch
    {
        >= RdbType.HashMetadataPreGa => 12,
        >= RdbType.SetListpack => 11,
        _ => Usual,
    };
}

/// <summary>The bytes are not valid in the RDB format.</summary>
public class RdbFormatException(string message) : Exception(message);

/// <summary>The bytes end too soon.</summary>
public sealed class RdbTruncatedException() : RdbFormatException("Unexpected EOF reading RDB file");
