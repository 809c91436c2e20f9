using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A hash in a table, with one block per field (<see cref="HashField"/>) and a queue of the fields that expire.
/// </summary>
internal sealed unsafe class HashValue(byte[] key, int expectedCount) : Value(key)
{
    private const int ObjectBytes = 192; // this object and the table's

    private readonly ByteTable<HashField> _fields = new(expectedCount);
    private long _fieldBytes;
    private int _expiringCount;

    // An item is stale if no field with its hash has its time. A stale item is dropped when it reaches the front, or
    // when stale items outnumber the others.
    private FieldQueue _queue;

    public override ValueType Type => ValueType.Hash;

    public override string Encoding => "hashtable";

    public override long Bytes => ObjectBytes + KeyBytes + _fields.CellBytes + _fieldBytes + _queue.AllocatedBytes;

    public override long ElementCount => _fields.Count;

    public override long FreeEffort => _fields.Count;

    public override long InnerExpiresAtMs => _queue.Count == 0 ? Expiry.Never : EarliestExpiry();

    public ByteTable<HashField> Fields => _fields;

    public int Count => _fields.Count;

    /// <summary>How many fields have an expiry time.</summary>
    public int ExpiringCount => _expiringCount;

    public override uint ForeseeHome(uint hash) => _fields.ForeseeHome(hash);

    public override byte* ForeseeElement(uint hash) => _fields.Foresee(hash).Block;

    public override Value Clone(byte[] key)
    {
        var copy = new HashValue(key, Count) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };
        foreach (HashField field in _fields) copy.AddNew(field.Key, field.Value, field.ExpiresAtMs, KeyHash.Of(field.Key));
        return copy;
    }

    /// <summary>A field with its value; none if it is not there.</summary>
    public HashField Find(ReadOnlySpan<byte> field) => _fields.Get(field);

    /// <summary>Sets a field's value and expiry; true if the field is new.</summary>
    public bool Set(ReadOnlySpan<byte> field, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        uint hash = KeyHash.Of(field);
        ref HashField cell = ref _fields.Find(field, hash);
        if (Unsafe.IsNullRef(ref cell))
        {
            AddNew(field, value, expiresAtMs, hash);
            return true;
        }
        HashField old = cell;
        long before = old.ExpiresAtMs;
        if (!old.TryOverwrite(value, expiresAtMs))
        {
            cell = HashField.Create(field, value, expiresAtMs);
            _fieldBytes += cell.AllocatedBytes - old.AllocatedBytes;
            old.Retire();
        }
        if (before != Expiry.Never) _expiringCount--;
        if (expiresAtMs != Expiry.Never)
        {
            _expiringCount++;
            if (before != expiresAtMs) Enqueue(expiresAtMs, hash);
        }
        else if (before != Expiry.Never)
        {
            DropStale();
        }
        return false;
    }

    /// <summary>Removes a field; false if there is none.</summary>
    public bool Remove(ReadOnlySpan<byte> field)
    {
        HashField removed = _fields.Remove(field);
        if (removed.IsNone) return false;
        _fieldBytes -= removed.AllocatedBytes;
        removed.Retire();
        if (removed.ExpiresAtMs == Expiry.Never) return true;
        _expiringCount--;
        DropStale();
        return true;
    }

    /// <summary>Removes an expired field, if there is one. It can be read until the command ends.</summary>
    public bool TryExpireOne(long nowMs, out HashField field)
    {
        field = default;
        if (InnerExpiresAtMs > nowMs) return false;
        field = FieldOf(_queue.First); // not stale: InnerExpiresAtMs made sure of that
        Remove(field.Key);
        return true;
    }

    public override object? Defragment(BlockMover mover, object? from)
    {
        if (from is null) _queue.Defragment(mover);
        return Defragment(_fields, mover, from);
    }

    protected override void FreeElements()
    {
        _fields.Free();
        _queue.Clear();
    }

    private void AddNew(ReadOnlySpan<byte> field, ReadOnlySpan<byte> value, long expiresAtMs, uint hash)
    {
        HashField made = HashField.Create(field, value, expiresAtMs);
        _fields.Add(made, hash);
        _fieldBytes += made.AllocatedBytes;
        if (expiresAtMs == Expiry.Never) return;
        _expiringCount++;
        Enqueue(expiresAtMs, hash);
    }

    private void Enqueue(long expiresAtMs, uint hash)
    {
        _queue.Add(expiresAtMs, hash);
        DropStale();
    }

    private void DropStale()
    {
        if (_expiringCount == 0)
        {
            _queue.Clear();
            return;
        }
        if (_queue.Count <= (2L * _expiringCount) + 32) return;
        _queue.Clear();
        foreach (HashField field in _fields)
        {
            if (field.ExpiresAtMs != Expiry.Never) _queue.Add(field.ExpiresAtMs, KeyHash.Of(field.Key));
        }
    }

    private long EarliestExpiry()
    {
        while (_queue.Count != 0)
        {
            if (!FieldOf(_queue.First).IsNone) return _queue.First.ExpiresAtMs;
            _queue.RemoveFirst();
        }
        return Expiry.Never;
    }

    /// <summary>The field that an item of the queue stands for; none if it is stale.</summary>
    private HashField FieldOf((long ExpiresAtMs, uint Hash) item)
    {
        int place = 0;
        HashField field;
        do field = _fields.NextWithHash(item.Hash, ref place);
        while (!field.IsNone && field.ExpiresAtMs != item.ExpiresAtMs);
        return field;
    }
}
