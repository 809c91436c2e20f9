namespace OrleansRedis.Engine;

/// <summary>A key that may be evicted, as it was when it was sampled.</summary>
internal readonly record struct EvictionCandidate(long Score, int Slot, int Database, byte[] Key);

/// <summary>
/// The best candidates for eviction found so far, over several rounds of sampling. They make a few samples per round
/// come close to looking at all keys (see "evictionPoolEntry" in Redis's evict.c). Sorted by score; the highest is
/// evicted first.
/// </summary>
internal sealed class EvictionPool
{
    private const int Capacity = 16;
    private readonly EvictionCandidate[] _candidates = new EvictionCandidate[Capacity];
    private int _count;

    /// <summary>Whether a candidate with this score would be accepted.</summary>
    public bool Wants(long score) => _count < Capacity || score > _candidates[0].Score;

    /// <summary>Puts a candidate in its place; the worst one drops out if there is no room.</summary>
    public void Add(in EvictionCandidate candidate)
    {
        Span<EvictionCandidate> present = _candidates.AsSpan(0, _count);
        foreach (ref EvictionCandidate other in present)
        {
            if (other.Slot == candidate.Slot && other.Database == candidate.Database && other.Key.AsSpan().SequenceEqual(candidate.Key)) return;
        }
        int place = 0;
        while (place < _count && present[place].Score < candidate.Score) place++;
        if (_count < Capacity)
        {
            Array.Copy(_candidates, place, _candidates, place + 1, _count - place);
            _count++;
        }
        else
        {
            place--;
            Array.Copy(_candidates, 1, _candidates, 0, place);
        }
        _candidates[place] = candidate;
    }

    /// <summary>Removes and returns the best candidate.</summary>
    public bool TryTake(out EvictionCandidate candidate)
    {
        candidate = default;
        if (_count == 0) return false;
        candidate = _candidates[--_count];
        _candidates[_count] = default;
        return true;
    }

    /// <summary>Forgets all candidates: the meaning of scores has changed.</summary>
    public void Clear()
    {
        Array.Clear(_candidates);
        _count = 0;
    }
}
