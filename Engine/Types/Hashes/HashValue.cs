using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A hash in a table, with one byte array per field (<see cref="HashField"/>) and a queue of the fields that expire.
/// </summary>
internal sealed class HashValue(byte[] key, int expectedCount) : Value(key)
{
    private const int ObjectBytes = 176; // this object and the table's, without the arrays
    private const int QueueItemBytes = 24; // 16, and some for the queue's spare room and stale items

    private readonly ByteTable<HashField> _fields = new(expectedCount);
    private long _fieldBytes;
    private int _expiringCount;

    // The fields that expire, soonest first. An item is stale if its entry is no longer the field's, or now has another
    // expiry time. A stale item is dropped when it reaches the front, or when stale items outnumber the others.
    private PriorityQueue<byte[], long>? _queue;

    public override ValueType Type => ValueType.Hash;

    public override string Encoding => "hashtable";

    public override long Bytes => ObjectBytes + Blob.AllocatedBytes(Key.Length) + _fields.ArrayBytes + _fieldBytes + (_expiringCount * (long)QueueItemBytes);

    public override long ElementCount => _fields.Count;

    public override long FreeEffort => _fields.Count;

    public override long InnerExpiresAtMs => _queue is null ? Expiry.Never : EarliestExpiry();

    /// <summary>The fields; each entry is a byte[] (<see cref="HashField"/>).</summary>
    public ByteTable<HashField> Fields => _fields;

    public int Count => _fields.Count;

    /// <summary>How many fields have an expiry time.</summary>
    public int ExpiringCount => _expiringCount;

    public override uint ForeseeHome(uint hash) => _fields.ForeseeHome(hash);

    public override object? ForeseeElement(uint hash) => _fields.Foresee(hash);

    public override Value Clone(byte[] key)
    {
        var copy = new HashValue(key, Count) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };
        // Entries are changed in place, so they cannot be shared.
        foreach (byte[] entry in _fields) copy.AddNew((byte[])entry.Clone(), HashField.ExpiresAtMs(entry));
        return copy;
    }

    /// <summary>The entry of a field, or null.</summary>
    public byte[]? Find(ReadOnlySpan<byte> field) => Unsafe.As<byte[]?>(_fields.Get(field));

    /// <summary>Sets a field's value and expiry; true if the field is new.</summary>
    public bool Set(ReadOnlySpan<byte> field, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        ref object? cell = ref _fields.Find(field, KeyHash.Of(field));
        if (Unsafe.IsNullRef(ref cell))
        {
            AddNew(HashField.Create(field, value, expiresAtMs), expiresAtMs);
            return true;
        }
        byte[] old = Unsafe.As<byte[]>(cell!);
        long before = HashField.ExpiresAtMs(old);
        byte[] entry = old;
        if (!HashField.TryOverwrite(old, value, expiresAtMs))
        {
            entry = HashField.Create(field, value, expiresAtMs);
            cell = entry;
            _fieldBytes += Blob.AllocatedBytes(entry.Length) - Blob.AllocatedBytes(old.Length);
        }
        if (before != Expiry.Never) _expiringCount--;
        if (expiresAtMs != Expiry.Never)
        {
            _expiringCount++;
            if (before != expiresAtMs || !ReferenceEquals(old, entry)) Enqueue(entry, expiresAtMs);
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
        if (_fields.Remove(field) is not byte[] removed) return false;
        _fieldBytes -= Blob.AllocatedBytes(removed.Length);
        if (HashField.ExpiresAtMs(removed) == Expiry.Never) return true;
        _expiringCount--;
        DropStale();
        return true;
    }

    /// <summary>Removes an expired field, if there is one.</summary>
    public bool TryExpireOne(long nowMs, [NotNullWhen(true)] out byte[]? entry)
    {
        entry = null;
        if (InnerExpiresAtMs > nowMs) return false;
        entry = _queue!.Peek(); // not stale: InnerExpiresAtMs made sure of that
        Remove(HashField.KeyOf(entry));
        return true;
    }

    private void AddNew(byte[] entry, long expiresAtMs)
    {
        _fields.Add(entry);
        _fieldBytes += Blob.AllocatedBytes(entry.Length);
        if (expiresAtMs == Expiry.Never) return;
        _expiringCount++;
        Enqueue(entry, expiresAtMs);
    }

    private void Enqueue(byte[] entry, long expiresAtMs)
    {
        (_queue ??= new()).Enqueue(entry, expiresAtMs);
        DropStale();
    }

    private void DropStale()
    {
        if (_queue is null) return;
        if (_expiringCount == 0)
        {
            _queue = null;
            return;
        }
        if (_queue.Count <= (2L * _expiringCount) + 32) return;
        _queue.Clear();
        foreach (byte[] entry in _fields)
        {
            long expiresAtMs = HashField.ExpiresAtMs(entry);
            if (expiresAtMs != Expiry.Never) _queue.Enqueue(entry, expiresAtMs);
        }
    }

    private long EarliestExpiry()
    {
        while (_queue!.TryPeek(out byte[]? entry, out long expiresAtMs))
        {
            if (HashField.ExpiresAtMs(entry) == expiresAtMs && ReferenceEquals(Find(HashField.KeyOf(entry)), entry)) return expiresAtMs;
            _queue.Dequeue();
        }
        return Expiry.Never;
    }
}
