using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>A set of slots. Not for several threads at once while it changes.</summary>
public sealed class SlotSet
{
    private readonly ulong[] _bits = new ulong[KeySlot.Count / 64];

    /// <summary>All slots.</summary>
    public static SlotSet All()
    {
        var all = new SlotSet();
        Array.Fill(all._bits, ulong.MaxValue);
        return all;
    }

    /// <summary>The set that <see cref="Bytes"/> shows.</summary>
    public static SlotSet Of(ReadOnlySpan<byte> bytes)
    {
        var set = new SlotSet();
        bytes.CopyTo(MemoryMarshal.AsBytes(set._bits.AsSpan()));
        return set;
    }

    /// <summary>The set in its memory: a bit for each slot.</summary>
    public ReadOnlySpan<byte> Bytes => MemoryMarshal.AsBytes(_bits.AsSpan());

    public bool IsEmpty => !_bits.AsSpan().ContainsAnyExcept(0UL);

    public bool Contains(int slot) => (_bits[slot / 64] >> (slot % 64) & 1) != 0;

    public void Add(int slot) => _bits[slot / 64] |= 1UL << (slot % 64);

    /// <summary>Takes away what is in another set.</summary>
    public void Remove(SlotSet other)
    {
        for (int i = 0; i < _bits.Length; i++) _bits[i] &= ~other._bits[i];
    }

    /// <summary>The first slot from this one on; negative if there is none.</summary>
    public int Next(int slot)
    {
        for (int i = slot / 64; i < _bits.Length; i++)
        {
            ulong rest = i == slot / 64 ? _bits[i] & (ulong.MaxValue << (slot % 64)) : _bits[i];
            if (rest != 0) return (i * 64) + BitOperations.TrailingZeroCount(rest);
        }
        return -1;
    }
}
