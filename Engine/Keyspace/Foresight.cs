using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>A key that a request further down the pipeline will look up.</summary>
public struct ForeseenKey
{
    /// <summary>Its slot; negative if the request has no single key.</summary>
    public int Slot { get; set; }

    /// <summary>Its hash.</summary>
    public uint Hash { get; set; }

    /// <summary>Whether the request looks up an element in the key's value.</summary>
    public bool HasElement { get; set; }

    /// <summary>The hash of that element.</summary>
    public uint ElementHash { get; set; }
}

/// <summary>
/// Brings what a pipeline's next commands will need into the processor's cache. A look-up follows four pointers (slot,
/// keyspace, cell, entry). With many keys each is a cache miss of up to 100 ns, one after the other; a large set, hash
/// or sorted set adds another two. Following the pointers of many keys side by side, step by step, lets the processor
/// wait for all of them at once.
/// </summary>
internal static unsafe class Foresight
{
    /// <summary>The most keys that are followed at once.</summary>
    public const int Most = 32;

    /// <summary>
    /// Follows the pointers without taking the gates. Everything read here may be changing meanwhile, and none of it is
    /// used.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static int Follow(SlotTable slots, int database, ReadOnlySpan<ForeseenKey> keys)
    {
        var found = default(Objects);
        var entries = default(Entries);
        int touched = 0;
        for (int i = 0; i < keys.Length; i++)
        {
            Slot? slot = keys[i].Slot < 0 ? null : slots[keys[i].Slot];
            found[i] = slot;
            if (slot is not null) touched += slot.Number;
        }
        for (int i = 0; i < keys.Length; i++)
        {
            Keyspace? keyspace = Unsafe.As<Slot?>(found[i])?.KeyspaceIfAny(database);
            found[i] = keyspace;
            if (keyspace is not null) touched += keyspace.Count;
        }
        for (int i = 0; i < keys.Length; i++) touched += (int)(Unsafe.As<Keyspace?>(found[i])?.ForeseeHome(keys[i].Hash) ?? 0);
        for (int i = 0; i < keys.Length; i++) entries[i] = Unsafe.As<Keyspace?>(found[i])?.Foresee(keys[i].Hash) ?? default;
        bool hasElements = false;
        for (int i = 0; i < keys.Length; i++)
        {
            // A small entry seldom lies within one cache line.
            byte* block = entries[i].Block;
            if (Granules.IsMapped(block)) touched += block[0] + block[63];
            else hasElements |= keys[i].HasElement;
        }
        if (!hasElements) return touched;
        for (int i = 0; i < keys.Length; i++)
        {
            Value? value = keys[i].HasElement && !entries[i].IsNone ? entries[i].Foreseen : null;
            found[i] = value;
            if (value is not null) touched += (int)value.ForeseeHome(keys[i].ElementHash);
        }
        for (int i = 0; i < keys.Length; i++)
        {
            byte* element = Unsafe.As<Value?>(found[i]) is { } value ? value.ForeseeElement(keys[i].ElementHash) : null;
            if (Granules.IsMapped(element)) touched += element[0];
        }
        return touched;
    }

    [InlineArray(Most)]
    private struct Objects
    {
        private object? _first;
    }

    [InlineArray(Most)]
    private struct Entries
    {
        private KeyEntry _first;
    }
}
