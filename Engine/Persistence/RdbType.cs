namespace OrleansRedis.Engine;

/// <summary>The value types of the RDB format (rdb.h of Redis): a type and its encoding in one number.</summary>
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

    /// <summary>With the entries ever added, the largest deleted ID, and what groups have read.</summary>
    StreamListpacks2 = 19,

    // From version 11, Redis 7.2.
    SetListpack = 20,

    /// <summary>With the times at which consumers were last given something.</summary>
    StreamListpacks3 = 21,

    // From version 12, Redis 7.4. The first two are of release candidates.
    HashMetadataPreGa = 22,
    HashListpackExPreGa = 23,

    /// <summary>Fields with times of expiry.</summary>
    HashMetadata = 24,

    HashListpackEx = 25,
}

/// <summary>Versions of the RDB format.</summary>
internal static class RdbVersion
{
    /// <summary>The oldest that can hold what we write, but for <see cref="RdbType.HashMetadata"/> and its like; that of Redis 7.0.</summary>
    public const int Usual = 10;

    /// <summary>That of Redis 7.4, the newest that is read.</summary>
    public const int Newest = 12;

    /// <summary>Whether it is a value's type at all.</summary>
    public static bool IsKnown(RdbType type) => type is <= RdbType.Module2 or (>= RdbType.HashZipmap and <= RdbType.HashListpackEx);

    /// <summary>The version that a type came with.</summary>
    public static int Of(RdbType type) => type switch
    {
        >= RdbType.HashMetadataPreGa => 12,
        >= RdbType.SetListpack => 11,
        _ => Usual,
    };
}

/// <summary>Bytes that are not what the RDB format allows.</summary>
public class RdbFormatException(string message) : Exception(message);

/// <summary>Bytes that end before what they began.</summary>
public sealed class RdbTruncatedException() : RdbFormatException("Unexpected EOF reading RDB file");
