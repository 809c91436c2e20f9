using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// A node of a <see cref="Quicklist"/>: a listpack of elements, or a single large ("plain") element; either may be
/// compressed. A listpack has its spare room after it, before it, or both, so that pushes and pops at either end move
/// nothing.
/// </summary>
/// <remarks>These 40 bytes are a block of the <see cref="Heap"/>, and what they describe is another one.</remarks>
internal unsafe struct QuicklistNode
{
    public QuicklistNode* Previous, Next;

    /// <summary>
    /// The block of the listpack, which begins at <see cref="Start"/>; of the plain element, which begins at 0; or of
    /// either as compressed by LZF, which also begins at 0.
    /// </summary>
    public byte* Block;

    private int _startOrCompressedLength;

    /// <summary>The length of the uncompressed listpack, or of the plain element.</summary>
    public int Length;

    /// <summary>How many elements there are.</summary>
    public int Count;

    /// <summary>Whether it holds one large element instead of a listpack.</summary>
    public bool IsPlain;

    /// <summary>Whether the block is compressed.</summary>
    public bool IsCompressed { get; private set; }

    /// <summary>Where in the block the content begins.</summary>
    public int Start
    {
        readonly get => IsCompressed ? 0 : _startOrCompressedLength;
        set => _startOrCompressedLength = value;
    }

    /// <summary>The bytes that are in the block, without spare room; compressed ones as they are.</summary>
    public readonly ReadOnlySpan<byte> Stored => IsCompressed ? new(Block, _startOrCompressedLength) : Content;

    /// <summary>
    /// The listpack of a node that is not compressed. Any node can be read with a <see cref="QuicklistReader"/>.
    /// </summary>
    public readonly Listpack Listpack
    {
        get
        {
            Debug.Assert(!IsCompressed && !IsPlain);
            return new(Block, Start);
        }
    }

    /// <summary>
    /// The listpack's or the plain element's bytes, if the node is not compressed: what an RDB file holds.
    /// </summary>
    public readonly ReadOnlySpan<byte> Content
    {
        get
        {
            Debug.Assert(!IsCompressed);
            return new(Block + Start, Length);
        }
    }

    /// <summary>Notes that the block is now this many compressed bytes.</summary>
    public void SetCompressed(int compressedLength)
    {
        IsCompressed = true;
        _startOrCompressedLength = compressedLength;
    }

    /// <summary>Notes that the block is now the content, from its first byte on.</summary>
    public void SetDecompressed()
    {
        IsCompressed = false;
        _startOrCompressedLength = 0;
    }

    /// <summary>Decompresses the content into a block that has room for it.</summary>
    public readonly void DecompressTo(byte* block)
    {
        if (!Lzf.TryDecompress(Stored, new(block, Length))) throw new InvalidDataException("A compressed node of a list is damaged.");
    }

    /// <summary>Writes the listpack's header from the fields.</summary>
    public readonly void WriteHeader()
    {
        *(int*)(Block + Start) = Length;
        *(ushort*)(Block + Start + 4) = (ushort)Math.Min(Count, ushort.MaxValue);
    }

    /// <summary>Adds an element after the last one; there is room for its <paramref name="size"/> bytes.</summary>
    public void Append(ReadOnlySpan<byte> value, int size)
    {
        byte* end = Block + Start + Length - 1;
        Engine.Listpack.Encode(value, new(end, size));
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
        Engine.Listpack.Encode(value, new(Block + Start + Engine.Listpack.HeaderLength, size));
        Length += size;
        Count++;
        WriteHeader();
    }

    /// <summary>Removes the first element; its space becomes room before the listpack.</summary>
    public void RemoveFirst()
    {
        int size = Engine.Listpack.SizeAt(Block + Start + Engine.Listpack.HeaderLength);
        Start += size;
        Length -= size;
        Count--;
        WriteHeader();
    }

    /// <summary>Removes the last element.</summary>
    public void RemoveLast() => CutFrom(Listpack.Last, Count - 1);

    /// <summary>Removes everything from a position on, leaving <paramref name="count"/> elements.</summary>
    public void CutFrom(int position, int count)
    {
        Block[position] = 0xff;
        Length = position + 1 - Start;
        Count = count;
        WriteHeader();
    }
}
