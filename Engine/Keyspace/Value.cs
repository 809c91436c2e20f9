namespace OrleansRedis.Engine;

/// <summary>The types a key can have, as TYPE names them.</summary>
public enum ValueType : byte
{
    None,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
}

/// <summary>
/// A key that is too large, or too structured, for a <see cref="Blob"/>. One subclass per real structure
/// (a raw string with room to grow, a quicklist, a hash table…).
/// Whoever holds the slot's gate may touch it.
/// </summary>
internal abstract class Value(byte[] key)
{
    /// <summary>The key this value is stored under.</summary>
    public byte[] Key = key;

    /// <summary>When the key expires, as Unix time in ms, or <see cref="Expiry.Never"/>.</summary>
    public long ExpiresAtMs = Expiry.Never;

    /// <summary>What the keyspace has counted this value as; see <see cref="Keyspace.Recount"/>.</summary>
    public long CountedBytes;

    /// <summary>24 bits that tell when, or how often, the key was used; see <see cref="Access"/>.</summary>
    public uint AccessClock;

    public abstract ValueType Type { get; }

    /// <summary>The name that OBJECT ENCODING gives.</summary>
    public abstract string Encoding { get; }

    /// <summary>Bytes allocated for this value, its key and this object included. Kept up to date by the structure, so reading it is cheap.</summary>
    public abstract long Bytes { get; }

    /// <summary>How many elements it has, which is what most commands on all of it take time for.</summary>
    public abstract long ElementCount { get; }

    /// <summary>How many allocations freeing it gives back, which decides whether UNLINK leaves it to the background.</summary>
    public abstract long FreeEffort { get; }

    /// <summary>Looks where a search for an element of this hash begins; see <see cref="ByteTable{TKeyOf}.ForeseeHome"/>, also for who may ask.</summary>
    public virtual uint ForeseeHome(uint hash) => 0;

    /// <summary>The element that it will most probably end at; see <see cref="ByteTable{TKeyOf}.Foresee"/>.</summary>
    public virtual object? ForeseeElement(uint hash) => null;

    /// <summary>A deep copy under another key, with the same expiry.</summary>
    public abstract Value Clone(byte[] key);

    /// <summary>The earliest expiry of anything inside (a hash's fields), or <see cref="Expiry.Never"/>.</summary>
    public virtual long InnerExpiresAtMs => Expiry.Never;
}
