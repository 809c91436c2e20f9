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
/// A key that is too large, or too structured, for a <see cref="Blob"/>. There is one subclass per structure (a raw
/// string with room to grow, a quicklist, a hash table…). Only the thread that holds the slot's gate may touch it.
/// </summary>
/// <remarks>
/// Its elements are in native memory, which <see cref="Free"/> gives back: whoever makes a value sees to it that it is
/// put into a keyspace or freed.
/// </remarks>
internal abstract class Value(byte[] key) : IFreeable
{
    private int _number = -1;

    /// <summary>The key that this value is stored under.</summary>
    public byte[] Key = key;

    /// <summary>When the key expires, as Unix time in ms, or <see cref="Expiry.Never"/>.</summary>
    public long ExpiresAtMs = Expiry.Never;

    /// <summary>The bytes that the keyspace has counted for this value; see <see cref="Keyspace.Recount"/>.</summary>
    public long CountedBytes;

    /// <summary>24 bits that tell when, or how often, the key was used; see <see cref="Access"/>.</summary>
    public uint AccessClock;

    /// <summary>Whether the keyspace has counted this among its hashes with expiring fields.</summary>
    public bool IsCountedForFields;

    /// <summary>Its number in <see cref="ValueTable"/>; it gets one when first asked.</summary>
    public int Number => _number >= 0 ? _number : _number = ValueTable.Add(this);

    /// <summary>The bytes that the runtime allocates for the key.</summary>
    protected long KeyBytes => (24L + Key.Length + 7) & ~7;

    public abstract ValueType Type { get; }

    /// <summary>The name that OBJECT ENCODING reports.</summary>
    public abstract string Encoding { get; }

    /// <summary>
    /// The bytes allocated for this value, including its key and this object. The structure keeps this up to date, so
    /// reading it is cheap.
    /// </summary>
    public abstract long Bytes { get; }

    /// <summary>The number of elements, which decides how long most commands on the whole value take.</summary>
    public abstract long ElementCount { get; }

    /// <summary>
    /// How many allocations are given back when it is freed, which decides whether UNLINK leaves that to the
    /// background.
    /// </summary>
    public abstract long FreeEffort { get; }

    /// <summary>
    /// Touches the cell where a search for an element of this hash begins. See
    /// <see cref="ByteTable{TKeyOf}.ForeseeHome"/>, also for the rule about the gate.
    /// </summary>
    public virtual uint ForeseeHome(uint hash) => 0;

    /// <summary>
    /// The element that the search will most probably end at; see <see cref="ByteTable{TKeyOf}.Foresee"/>.
    /// </summary>
    public virtual unsafe byte* ForeseeElement(uint hash) => null;

    /// <summary>A deep copy under another key, with the same expiry.</summary>
    public abstract Value Clone(byte[] key);

    /// <summary>The earliest expiry of anything inside (a hash's fields), or <see cref="Expiry.Never"/>.</summary>
    public virtual long InnerExpiresAtMs => Expiry.Never;

    /// <summary>
    /// Moves blocks that lie where memory is to become free, from where the last call has stopped, until the mover has
    /// enough. Returns where to continue, or null at the end. Whatever happens to the value between two calls, nothing
    /// goes wrong, and what is there all the time is met, with few exceptions.
    /// </summary>
    /// <param name="mover">Moves them.</param>
    /// <param name="from">What the last call has returned; null at first.</param>
    public abstract object? Defragment(BlockMover mover, object? from);

    /// <summary>Gives back all its memory. Nothing may look at it any more.</summary>
    public void Free()
    {
        FreeElements();
        if (_number >= 0) ValueTable.Remove(_number);
        _number = -1;
    }

    /// <summary>The same for a table: where to continue, as an object.</summary>
    protected static object? Defragment<TEntry>(ByteTable<TEntry> table, BlockMover mover, object? from) where TEntry : unmanaged, ITableEntry
    {
        if (from is null) table.DefragmentCells(mover);
        uint cursor = table.Defragment(from is uint at ? at : 0, mover);
        return cursor == 0 ? null : cursor;
    }

    /// <summary>Gives back the memory of its elements and tables.</summary>
    protected abstract void FreeElements();
}
