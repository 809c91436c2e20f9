using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>
/// A node of a <see cref="Quicklist"/>: a listpack of elements, possibly compressed, or a single large ("plain")
/// element. A listpack has its spare room after it, before it, or both, so that pushes and pops at either end move
/// nothing.
/// </summary>
internal sealed class QuicklistNode
{
    /// <summary>What the runtime allocates for this object.</summary>
    public const int ObjectBytes = 64;

    public QuicklistNode? Previous;
    public QuicklistNode? Next;

    /// <summary>
    /// The listpack (from <see cref="Start"/> on), the plain element (the whole array), or the listpack compressed by
    /// LZF (the whole array).
    /// </summary>
    public byte[] Array = [];

    /// <summary>Where in the array the listpack begins.</summary>
    public int Start;

    /// <summary>The length of the uncompressed listpack, or of the plain element.</summary>
    public int Length;

    /// <summary>How many elements there are.</summary>
    public int Count;

    /// <summary>Whether it holds one large element instead of a listpack.</summary>
    public bool IsPlain;

    public bool IsCompressed;

    /// <summary>The listpack. For a compressed node it is a copy, for reading only.</summary>
    public Listpack Listpack => IsCompressed ? new(Decompressed(), 0) : new(Array, Start);

    /// <summary>The listpack's or the plain element's bytes, uncompressed: what an RDB file holds.</summary>
    public ReadOnlySpan<byte> Content => IsCompressed ? Decompressed() : Array.AsSpan(Start, Length);

    public byte[] Decompressed()
    {
        byte[] content = GC.AllocateUninitializedArray<byte>(Length);
        if (!Lzf.TryDecompress(Array, content)) throw new InvalidDataException("A compressed node of a list is damaged.");
        return content;
    }

    /// <summary>Writes the listpack's header from the fields.</summary>
    public void WriteHeader()
    {
        BinaryPrimitives.WriteInt32LittleEndian(Array.AsSpan(Start), Length);
        BinaryPrimitives.WriteUInt16LittleEndian(Array.AsSpan(Start + 4), (ushort)Math.Min(Count, ushort.MaxValue));
    }

    /// <summary>Adds an element after the last one; there is room for its <paramref name="size"/> bytes.</summary>
    public void Append(ReadOnlySpan<byte> value, int size)
    {
        Span<byte> end = Array.AsSpan(Start + Length - 1);
        Engine.Listpack.Encode(value, end);
        end[size] = 0xff;
        Length += size;
        Count++;
        WriteHeader();
    }

    /// <summary>
    /// Adds an element before the first one; there is room for its <paramref name="size"/> bytes before the listpack.
    /// </summary>
    public void Prepend(ReadOnlySpan<byte> value, int size)
    {
        Start -= size;
        Engine.Listpack.Encode(value, Array.AsSpan(Start + Engine.Listpack.HeaderLength));
        Length += size;
        Count++;
        WriteHeader();
    }

    /// <summary>Removes the first element; its space becomes room before the listpack.</summary>
    public void RemoveFirst()
    {
        int size = Engine.Listpack.SizeAt(Array, Start + Engine.Listpack.HeaderLength);
        Start += size;
        Length -= size;
        Count--;
        WriteHeader();
    }

    /// <summary>Removes the last element.</summary>
    public void RemoveLast() => CutFrom(new Listpack(Array, Start).Last, Count - 1);

    /// <summary>Removes everything from a position on, leaving <paramref name="count"/> elements.</summary>
    public void CutFrom(int position, int count)
    {
        Array[position] = 0xff;
        Length = position + 1 - Start;
        Count = count;
        WriteHeader();
    }
}
