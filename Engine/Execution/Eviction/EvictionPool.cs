namespace OrleansRedis.Engine;

/// <summary>
/// A key that may be evicted, as it was when it was sampled. The key lies in a buffer that is used again for a later one:
/// for one that was taken out of the pool, after the next <see cref="EvictionPool.Add"/>.
/// </summary>
internal readonly record struct EvictionCandidate(long Score, int Slot, int Database, byte[] Buffer, int Length)
{
    public ReadOnlySpan<byte> Key => Buffer.AsSpan(0, Length);
}

/// <summary>
/// The best candidates for eviction found so far, over several rounds of sampling. They make a few samples per round
/// come close to looking at all keys (see "evictionPoolEntry" in Redis's evict.c). Sorted by score; the highest is
/// evicted first.
/// </summary>
internal sealed class EvictionPool
{
    private const int Capacity = 16;

    /// <summary>Buffers of this size are used again and again: evicting a key allocates nothing. Longer keys get their own.</summary>
    private const int BufferBytes = 256;

    private readonly EvictionCandidate[] _candidates = new EvictionCandidate[Capacity];
    private byte[]? _spare;
    private int _count;

    /// <summary>Whether a candidate with this score would be accepted.</summary>
    public bool Wants(long score) => _count < Capacity || score > _candidates[0].Score;

    /// <summary>Puts a candidate, which is wanted, in its place; the worst one drops out if there is no room.</summary>
    public void Add(long score, int slot, int database, ReadOnlySpan<byte> key)
    {
        Span<EvictionCandidate> present = _candidates.AsSpan(0, _count);
        foreach (ref EvictionCandidate other in present)
        {
            if (other.Slot == slot && other.Database == database && other.Key.SequenceEqual(key)) return;
        }
        int place = 0;
        while (place < _count && present[place].Score < score) place++;
        if (_count < Capacity)
        {
            Array.Copy(_candidates, place, _candidates, place + 1, _count - place);
            _count++;
        }
        else
        {
            Recycle(_candidates[0].Buffer);
            place--;
            Array.Copy(_candidates, 1, _candidates, 0, place);
        }
        byte[] buffer = key.Length > BufferBytes ? new byte[key.Length] : _spare ?? new byte[BufferBytes];
        if (buffer == _spare) _spare = null;
        key.CopyTo(buffer);
        _candidates[place] = new(score, slot, database, buffer, key.Length);
    }

    /// <summary>Removes and returns the best candidate.</summary>
    public bool TryTake(out EvictionCandidate candidate)
    {
        candidate = default;
        if (_count == 0) return false;
        candidate = _candidates[--_count];
        _candidates[_count] = default;
        Recycle(candidate.Buffer);
        return true;
    }

    /// <summary>Forgets all candidates: the meaning of scores has changed.</summary>
    public void Clear()
    {
        Array.Clear(_candidates);
        _count = 0;
    }

    private void Recycle(byte[] buffer)
    {
        if (buffer.Length == BufferBytes) _spare = buffer;
    }
}
