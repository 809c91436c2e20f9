using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A set of integers in ascending order, byte for byte as Redis has it (intset.c): 4 bytes with the width of the
/// integers (2, 4 or 8 bytes), 4 bytes with their number, then the integers; all little-endian. The width is that of
/// the widest member so far.
/// <para>
/// It lies in a block that may have spare room, and a change may move it to another one, as with
/// <see cref="Listpack"/>: look at <see cref="Block"/> again after every change.
/// </para>
/// </summary>
internal unsafe struct Intset
{
    /// <summary>Bytes before the first integer, and the length of an empty intset.</summary>
    public const int HeaderLength = 8;

    /// <summary>The intset that lies in a block from a position on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Intset(byte* block, int start)
    {
        Block = block;
        Start = start;
    }

    /// <summary>The intset in a blob's payload.</summary>
    public static Intset In(Blob blob) => new(blob.Block, blob.PayloadStart);

    /// <summary>The block that it lies in. Look at this again after every change.</summary>
    public byte* Block { get; private set; }

    /// <summary>The blob that it lies in.</summary>
    public readonly Blob Blob => new(Block);

    /// <summary>Where in the block it begins.</summary>
    public int Start { get; }

    /// <summary>The number of integers.</summary>
    public readonly int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => *(int*)(Block + Start + 4);
    }

    /// <summary>The bytes that each integer takes: 2, 4 or 8.</summary>
    public readonly int Width
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Block[Start];
    }

    /// <summary>The bytes that the whole intset takes.</summary>
    public readonly int Length => HeaderLength + (Count * Width);

    /// <summary>Its bytes, without spare room: what an RDB file contains.</summary>
    public readonly ReadOnlySpan<byte> Bytes => new(Block + Start, Length);

    /// <summary>The integer at an index, in ascending order.</summary>
    public readonly long this[int index]
    {
        get
        {
            int width = Width;
            return Read(new(Block + Start + HeaderLength + (index * width), width), width);
        }
    }

    /// <summary>The width that an integer needs.</summary>
    public static int WidthOf(long value) => value is >= short.MinValue and <= short.MaxValue ? 2 : value is >= int.MinValue and <= int.MaxValue ? 4 : 8;

    /// <summary>Makes fresh bytes an empty intset of this width.</summary>
    public readonly void Clear(int width = 2)
    {
        *(int*)(Block + Start) = width;
        *(int*)(Block + Start + 4) = 0;
    }

    /// <summary>Whether an integer is in the set.</summary>
    public readonly bool Contains(long value) => Find(value, out _);

    /// <summary>Whether an integer is in the set, and the index where it is or would be.</summary>
    public readonly bool Find(long value, out int index)
    {
        int width = Width, count = Count;
        ReadOnlySpan<byte> members = new(Block + Start + HeaderLength, count * width);
        if (width < WidthOf(value))
        {
            index = value < 0 ? 0 : count;
            return false;
        }
        if (BitConverter.IsLittleEndian)
        {
            index = width switch
            {
                2 => MemoryMarshal.Cast<byte, short>(members).BinarySearch((short)value),
                4 => MemoryMarshal.Cast<byte, int>(members).BinarySearch((int)value),
                _ => MemoryMarshal.Cast<byte, long>(members).BinarySearch(value),
            };
            if (index >= 0) return true;
            index = ~index;
            return false;
        }
        int low = 0, high = count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (Read(members[(middle * width)..], width) < value) low = middle + 1;
            else high = middle;
        }
        index = low;
        return low < count && Read(members[(low * width)..], width) == value;
    }

    /// <summary>Adds an integer. False if it was already in the set.</summary>
    public bool Add(long value)
    {
        int width = Width, needed = WidthOf(value), count = Count;
        if (needed > width)
        {
            Widen(needed, value);
            return true;
        }
        // Ascending additions are common and need no search.
        int index = count;
        if (count > 0 && value <= this[count - 1] && Find(value, out index)) return false;
        EnsureRoom((count + 1) * width);
        Span<byte> members = new(Block + Start + HeaderLength, (count + 1) * width);
        members[(index * width)..(count * width)].CopyTo(members[((index + 1) * width)..]);
        Write(members[(index * width)..], width, value);
        SetCount(count + 1);
        return true;
    }

    /// <summary>Removes an integer. False if it was not in the set.</summary>
    public bool Remove(long value)
    {
        if (!Find(value, out int index)) return false;
        int width = Width, count = Count;
        Span<byte> members = new(Block + Start + HeaderLength, count * width);
        members[((index + 1) * width)..(count * width)].CopyTo(members[(index * width)..]);
        SetCount(count - 1);
        int length = Start + Length, room = Heap.SizeOf(Block);
        if (room - length > 64 && room - Start > Length * 2) MoveTo(length + SpareFor(Length));
        return true;
    }

    /// <summary>Gives up spare room.</summary>
    public void TrimToSize()
    {
        int length = Start + Length;
        if (Heap.SizeFor(length) < Heap.SizeOf(Block)) MoveTo(length);
    }

    /// <summary>
    /// Whether bytes from outside are a well-formed intset with at least one integer, ascending without duplicates,
    /// that fills them exactly.
    /// </summary>
    public static bool IsValid(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length <= HeaderLength) return false;
        uint width = BinaryPrimitives.ReadUInt32LittleEndian(bytes), count = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        if (width is not (2 or 4 or 8) || HeaderLength + ((long)count * width) != bytes.Length) return false;
        long last = 0;
        for (int i = 0; i < count; i++)
        {
            long value = Read(bytes[(HeaderLength + (i * (int)width))..], (int)width);
            if (i > 0 && value <= last) return false;
            last = value;
        }
        return true;
    }

    /// <summary>Adds a value that needs a greater width, so it lies before or behind all others.</summary>
    private void Widen(int width, long value)
    {
        int before = Width, count = Count, shift = value < 0 ? 1 : 0;
        EnsureRoom((count + 1) * width);
        Span<byte> members = new(Block + Start + HeaderLength, (count + 1) * width);
        for (int i = count - 1; i >= 0; i--) Write(members[((i + shift) * width)..], width, Read(members[(i * before)..], before));
        Write(members[(shift == 1 ? 0 : count * width)..], width, value);
        *(int*)(Block + Start) = width;
        SetCount(count + 1);
    }

    private void EnsureRoom(int memberBytes)
    {
        int needed = Start + HeaderLength + memberBytes;
        if (needed > Heap.SizeOf(Block)) MoveTo(needed + SpareFor(memberBytes));
    }

    /// <summary>A quarter more.</summary>
    private static int SpareFor(int length) => length / 4;

    private void MoveTo(int blockLength)
    {
        byte* moved = Heap.Allocate(blockLength);
        new ReadOnlySpan<byte>(Block, Start + Length).CopyTo(new(moved, Start + Length));
        Retirement.Retire(Block);
        Block = moved;
    }

    private readonly void SetCount(int count) => *(int*)(Block + Start + 4) = count;

    private static long Read(ReadOnlySpan<byte> at, int width) => width switch
    {
        2 => BinaryPrimitives.ReadInt16LittleEndian(at),
        4 => BinaryPrimitives.ReadInt32LittleEndian(at),
        _ => BinaryPrimitives.ReadInt64LittleEndian(at),
    };

    private static void Write(Span<byte> at, int width, long value)
    {
        if (width == 2) BinaryPrimitives.WriteInt16LittleEndian(at, (short)value);
        else if (width == 4) BinaryPrimitives.WriteInt32LittleEndian(at, (int)value);
        else BinaryPrimitives.WriteInt64LittleEndian(at, value);
    }
}
