using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A listpack, byte for byte as Redis has it (listpack.c; https://github.com/antirez/listpack/blob/master/listpack.md):
/// a list of strings and integers in one run of bytes, to be walked from either end.
/// <code>
/// 4 bytes  total length, header and end included, little-endian
/// 2 bytes  number of elements; 65535: unknown, walk to count
/// elements, each: encoding and data, then the length of that, written so that it can be read backwards
/// 0xFF
/// </code>
/// <para>
/// It lies in a block of the <see cref="Heap"/> from <see cref="Start"/> on: 0 in a block of its own (a node of a
/// quicklist or stream), the start of the payload in a <see cref="Blob"/>. Behind it there may be spare room. A change
/// that fits is made in place. One that does not fit moves everything, including what lies before <see cref="Start"/>,
/// to a larger block, and a change that leaves much of the block empty moves it to a smaller one; the old block is then
/// retired. So look at <see cref="Block"/> again after every change. A blob that has grown remains a blob with the same
/// key, and goes into the keyspace by <c>entry.Replace(listpack.Blob)</c>.
/// </para>
/// <para>
/// An element is identified by its position: the index in <see cref="Block"/> of its first byte; -1 for none. A change
/// behind an element leaves its position valid, even if the block is another one afterwards.
/// </para>
/// <para>
/// A string that is the canonical spelling of a 64-bit integer is always kept as an integer, so equal values have equal
/// bytes.
/// </para>
/// </summary>
internal unsafe struct Listpack
{
    /// <summary>Bytes before the first element.</summary>
    public const int HeaderLength = 6;

    /// <summary>The length of a listpack without elements.</summary>
    public const int EmptyLength = HeaderLength + 1;

    private const byte End = 0xff;
    private const int UnknownCount = ushort.MaxValue;

    /// <summary>The listpack that lies in a block from a position on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Listpack(byte* block, int start)
    {
        Block = block;
        Start = start;
    }

    /// <summary>The listpack in a blob's payload.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Listpack In(Blob blob) => new(blob.Block, blob.PayloadStart);

    /// <summary>
    /// Makes an empty listpack in a block of its own, with room for elements of this many bytes (see
    /// <see cref="SizeOf(ReadOnlySpan{byte})"/>).
    /// </summary>
    public static Listpack Create(int elementBytes = 0)
    {
        var made = new Listpack(Heap.Allocate(EmptyLength + elementBytes), 0);
        made.Clear();
        return made;
    }

    /// <summary>A copy of a listpack's bytes in a block of its own.</summary>
    public static Listpack Copy(ReadOnlySpan<byte> bytes)
    {
        byte* block = Heap.Allocate(bytes.Length);
        bytes.CopyTo(new(block, bytes.Length));
        return new(block, 0);
    }

    /// <summary>The block that it lies in. Look at this again after every change.</summary>
    public byte* Block { get; private set; }

    /// <summary>The blob that it lies in, if it does.</summary>
    public readonly Blob Blob => new(Block);

    /// <summary>Where in the block it begins.</summary>
    public int Start { get; }

    /// <summary>Its length in bytes, header and end included.</summary>
    public readonly int Length
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => *(int*)(Block + Start);
    }

    /// <summary>Its bytes, without spare room: what an RDB file contains.</summary>
    public readonly ReadOnlySpan<byte> Bytes => new(Block + Start, Length);

    /// <summary>The number of elements. If there are more than 65,534, they have to be walked.</summary>
    public readonly int Count
    {
        get
        {
            int count = *(ushort*)(Block + Start + 4);
            return count != UnknownCount ? count : Walk();
        }
    }

    public readonly bool IsEmpty => Block[Start + HeaderLength] == End;

    /// <summary>
    /// The position behind the last element, where <see cref="Insert(int, ReadOnlySpan{byte})"/> appends.
    /// </summary>
    public readonly int EndPosition => Start + Length - 1;

    /// <summary>The first element, or -1.</summary>
    public readonly int First => IsEmpty ? -1 : Start + HeaderLength;

    /// <summary>The last element, or -1.</summary>
    public readonly int Last => Previous(EndPosition);

    /// <summary>Makes it empty but keeps the room. Also gives fresh bytes their header.</summary>
    public void Clear()
    {
        SetHeader(EmptyLength, 0);
        Block[Start + HeaderLength] = End;
    }

    /// <summary>The next element, or -1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int Next(int position)
    {
        position = Skip(position);
        return Block[position] == End ? -1 : position;
    }

    /// <summary>The previous element, or -1. The position may also be <see cref="EndPosition"/>.</summary>
    public readonly int Previous(int position)
    {
        if (position <= Start + HeaderLength) return -1;
        int at = position - 1, length = Block[at] & 127;
        for (int shift = 7; (Block[at] & 128) != 0; shift += 7) length |= (Block[--at] & 127) << shift;
        return at - length;
    }

    /// <summary>
    /// The element at an index, counted from the end if negative (-1 is the last); -1 if there is none.
    /// </summary>
    public readonly int Seek(int index)
    {
        int count = *(ushort*)(Block + Start + 4);
        if (count != UnknownCount)
        {
            if (index < 0) index += count;
            if ((uint)index >= (uint)count) return -1;
            // Walk from the nearer end.
            if (index > count / 2) index -= count;
        }
        int position;
        if (index >= 0)
        {
            for (position = First; index > 0 && position >= 0; index--) position = Next(position);
        }
        else
        {
            for (position = Last; index < -1 && position >= 0; index++) position = Previous(position);
        }
        return position;
    }

    /// <summary>The element at a position.</summary>
    public readonly ListpackElement this[int position] => ListpackElement.At(Block + position);

    /// <summary>Whether the element at a position has these bytes.</summary>
    public readonly bool Equals(int position, ReadOnlySpan<byte> value) => this[position].Equals(value);

    /// <summary>
    /// The first element from <paramref name="from"/> on that has these bytes, or -1. After each element that does not
    /// have them, <paramref name="skip"/> elements are skipped: 1 looks only at the keys of key, value, key, value…
    /// </summary>
    public readonly int Find(int from, ReadOnlySpan<byte> value, int skip = 0)
    {
        if (from < 0) return -1;
        byte* block = Block;
        Span<byte> head = stackalloc byte[9];
        int headLength = EncodeHead(value, head, out bool isInteger);
        int length = isInteger ? headLength : headLength + value.Length;
        byte first = head[0];
        int position = from, skipped = 0;
        while (true)
        {
            byte marker = block[position];
            if (marker == End) return -1;
            int size = DataLength(block + position, marker);
            if (skipped == 0)
            {
                if (marker == first && size == length
                    && (headLength == 1 || new ReadOnlySpan<byte>(block + position, headLength).SequenceEqual(head[..headLength]))
                    && (isInteger || new ReadOnlySpan<byte>(block + position + headLength, value.Length).SequenceEqual(value))) return position;
                skipped = skip;
            }
            else
            {
                skipped--;
            }
            position += size + BackLength(size);
        }
    }

    /// <summary>Adds an element at the end.</summary>
    public void Append(ReadOnlySpan<byte> value) => Insert(EndPosition, value);

    /// <inheritdoc cref="Append(ReadOnlySpan{byte})"/>
    public void Append(long value) => Insert(EndPosition, value);

    /// <summary>Adds an element at the beginning.</summary>
    public void Prepend(ReadOnlySpan<byte> value) => Insert(Start + HeaderLength, value);

    /// <inheritdoc cref="Prepend(ReadOnlySpan{byte})"/>
    public void Prepend(long value) => Insert(Start + HeaderLength, value);

    /// <summary>
    /// Inserts an element before the one at a position, or at <see cref="EndPosition"/>. The new element is then at
    /// that position.
    /// </summary>
    public void Insert(int position, ReadOnlySpan<byte> value) => Splice(position, 0, value, +1);

    /// <inheritdoc cref="Insert(int, ReadOnlySpan{byte})"/>
    public void Insert(int position, long value) => Splice(position, 0, value, +1);

    /// <summary>Replaces the value of the element at a position. The element stays at that position.</summary>
    public void Replace(int position, ReadOnlySpan<byte> value) => Splice(position, Skip(position) - position, value, 0);

    /// <inheritdoc cref="Replace(int, ReadOnlySpan{byte})"/>
    public void Replace(int position, long value) => Splice(position, Skip(position) - position, value, 0);

    /// <summary>
    /// Removes up to <paramref name="count"/> elements, beginning with the one at a position. What follows them, or the
    /// end, is then at that position.
    /// </summary>
    public void Delete(int position, int count = 1)
    {
        int end = position, deleted = 0;
        for (; deleted < count && Block[end] != End; deleted++) end = Skip(end);
        if (deleted != 0) Splice(position, end - position, 0, -deleted);
    }

    /// <summary>Removes elements by index, counted from the end if negative.</summary>
    public void DeleteRange(int index, int count)
    {
        int position = Seek(index);
        if (position >= 0 && count > 0) Delete(position, count);
    }

    /// <summary>Removes the elements at all these positions, which must ascend, in one pass.</summary>
    public void Delete(ReadOnlySpan<int> positions)
    {
        if (positions.Length == 0) return;
        int count = *(ushort*)(Block + Start + 4), end = EndPosition, to = positions[0];
        for (int i = 0; i < positions.Length; i++)
        {
            Debug.Assert(i == 0 || positions[i] > positions[i - 1]);
            int from = Skip(positions[i]), until = i + 1 < positions.Length ? positions[i + 1] : end;
            Move(from, to, until - from);
            to += until - from;
        }
        Block[to] = End;
        SetHeader(to + 1 - Start, count == UnknownCount ? UnknownCount : count - positions.Length);
        if (count == UnknownCount) Recount();
        ShrinkIfSparse();
    }

    /// <summary>Appends all elements of another listpack.</summary>
    public void Append(in Listpack other)
    {
        int at = EndPosition, bytes = other.Length - EmptyLength;
        ReadOnlySpan<byte> elements = other.Bytes.Slice(HeaderLength, bytes);
        MakeGap(at, 0, bytes, other.Count);
        elements.CopyTo(new(Block + at, bytes));
    }

    /// <summary>
    /// Copies the elements from one position up to, but not including, another (or <see cref="EndPosition"/>) into an
    /// block of their own.
    /// </summary>
    public readonly Listpack Copy(int from, int until)
    {
        Listpack copy = Create(until - from);
        new ReadOnlySpan<byte>(Block + from, until - from).CopyTo(new(copy.Block + HeaderLength, until - from));
        copy.Block[HeaderLength + until - from] = End;
        copy.SetHeader(EmptyLength + until - from, UnknownCount);
        copy.Recount();
        return copy;
    }

    /// <summary>Makes sure that elements of this many bytes can be added in place.</summary>
    public void EnsureRoom(int elementBytes)
    {
        int length = Length;
        if (Heap.SizeOf(Block) - Start - length < elementBytes) MoveTo(Start + length + elementBytes);
    }

    /// <summary>Gives up spare room.</summary>
    public void TrimToSize()
    {
        int length = Start + Length;
        if (Heap.SizeFor(length) < Heap.SizeOf(Block)) MoveTo(length);
    }

    /// <summary>The bytes that a value takes as an element.</summary>
    public static int SizeOf(ReadOnlySpan<byte> value)
    {
        if (Numbers.TryParseInt64(value, out long number)) return SizeOf(number);
        int length = value.Length + (value.Length < 64 ? 1 : value.Length < 4096 ? 2 : 5);
        return length + BackLength(length);
    }

    /// <inheritdoc cref="SizeOf(ReadOnlySpan{byte})"/>
    public static int SizeOf(long value)
    {
        Span<byte> head = stackalloc byte[9];
        return EncodeInteger(value, head) + 1; // none is longer than 127 bytes, so its backwards length is one byte
    }

    /// <summary>
    /// Writes a value as an element, including its backwards length. Returns the number of bytes written (see
    /// <see cref="SizeOf(ReadOnlySpan{byte})"/>).
    /// </summary>
    public static int Encode(ReadOnlySpan<byte> value, Span<byte> into)
    {
        int length = EncodeHead(value, into, out bool isInteger);
        if (!isInteger)
        {
            value.CopyTo(into[length..]);
            length += value.Length;
        }
        return length + WriteBack(length, into[length..]);
    }

    /// <summary>The bytes that the element at an address takes, including its backwards length.</summary>
    public static int SizeAt(byte* element)
    {
        int length = DataLength(element, *element);
        return length + BackLength(length);
    }

    /// <summary>Whether bytes are the backwards length of an element with this many bytes.</summary>
    internal static bool IsBackLength(int length, ReadOnlySpan<byte> bytes)
    {
        Span<byte> right = stackalloc byte[5];
        return bytes.SequenceEqual(right[..WriteBack(length, right)]);
    }

    /// <summary>The bytes that the element at an address takes before its backwards length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int DataLength(byte* element, byte marker)
    {
        if (marker < 0xe0) return DataLengthOfMarker(marker);
        if (marker < 0xf0) return 2 + (((marker & 15) << 8) | element[1]);
        if (marker == 0xf0) return 5 + *(int*)(element + 1);
        return DataLengthOfMarker(marker);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int DataLengthOfMarker(byte marker)
    {
        if (marker < 0x80) return 1;
        if (marker < 0xc0) return 1 + (marker & 63);
        if (marker < 0xe0) return 2;
        return marker switch
        {
            0xf1 => 3,
            0xf2 => 4,
            0xf3 => 5,
            0xf4 => 9,
            _ => throw new InvalidDataException($"A listpack with an element marked {marker}.")
        };
    }

    /// <summary>
    /// The bytes that the backwards length takes. The limits are Redis's; all but the first are one below what would
    /// fit.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int BackLength(int length) => length <= 127 ? 1 : length < 16383 ? 2 : length < 2097151 ? 3 : length < 268435455 ? 4 : 5;

    /// <summary>
    /// Writes seven bits a byte, the highest first. In every byte but the first, the top bit says that there are more
    /// to read towards the front.
    /// </summary>
    private static int WriteBack(int length, Span<byte> into)
    {
        int bytes = BackLength(length);
        for (int i = bytes - 1; i > 0; i--)
        {
            into[i] = (byte)((length & 127) | 128);
            length >>= 7;
        }
        into[0] = (byte)length;
        return bytes;
    }

    /// <summary>Writes what precedes a string's bytes, or all of an integer: at most 9 bytes.</summary>
    private static int EncodeHead(ReadOnlySpan<byte> value, Span<byte> into, out bool isInteger)
    {
        isInteger = Numbers.TryParseInt64(value, out long number);
        if (isInteger) return EncodeInteger(number, into);
        if (value.Length < 64)
        {
            into[0] = (byte)(0x80 | value.Length);
            return 1;
        }
        if (value.Length < 4096)
        {
            into[0] = (byte)(0xe0 | (value.Length >> 8));
            into[1] = (byte)value.Length;
            return 2;
        }
        into[0] = 0xf0;
        BinaryPrimitives.WriteInt32LittleEndian(into[1..], value.Length);
        return 5;
    }

    private static int EncodeInteger(long value, Span<byte> into)
    {
        switch (value)
        {
            case >= 0 and <= 127:
                into[0] = (byte)value;
                return 1;
            case >= -4096 and <= 4095:
                into[0] = (byte)(0xc0 | ((value >> 8) & 31));
                into[1] = (byte)value;
                return 2;
            case >= short.MinValue and <= short.MaxValue:
                into[0] = 0xf1;
                BinaryPrimitives.WriteInt16LittleEndian(into[1..], (short)value);
                return 3;
            case >= -8388608 and <= 8388607:
                into[0] = 0xf2;
                BinaryPrimitives.WriteInt16LittleEndian(into[1..], (short)value);
                into[3] = (byte)(value >> 16);
                return 4;
            case >= int.MinValue and <= int.MaxValue:
                into[0] = 0xf3;
                BinaryPrimitives.WriteInt32LittleEndian(into[1..], (int)value);
                return 5;
            default:
                into[0] = 0xf4;
                BinaryPrimitives.WriteInt64LittleEndian(into[1..], value);
                return 9;
        }
    }

    /// <summary>The position behind an element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly int Skip(int position)
    {
        int length = DataLength(Block + position, Block[position]);
        return position + length + BackLength(length);
    }

    private void Splice(int position, int removed, ReadOnlySpan<byte> value, int countDifference)
    {
        Span<byte> head = stackalloc byte[9];
        int headLength = EncodeHead(value, head, out bool isInteger);
        if (isInteger)
        {
            PutInteger(position, removed, head[..headLength], countDifference);
            return;
        }
        int length = headLength + value.Length;
        int size = length + BackLength(length);
        MakeGap(position, removed, size, countDifference);
        Span<byte> gap = new(Block + position, size);
        head[..headLength].CopyTo(gap);
        value.CopyTo(gap[headLength..]);
        WriteBack(length, gap[length..]);
    }

    private void Splice(int position, int removed, long value, int countDifference)
    {
        if (countDifference < 0)
        {
            MakeGap(position, removed, 0, countDifference);
            return;
        }
        Span<byte> head = stackalloc byte[9];
        PutInteger(position, removed, head[..EncodeInteger(value, head)], countDifference);
    }

    private void PutInteger(int position, int removed, ReadOnlySpan<byte> encoded, int countDifference)
    {
        MakeGap(position, removed, encoded.Length + 1, countDifference);
        Span<byte> gap = new(Block + position, encoded.Length + 1);
        encoded.CopyTo(gap);
        gap[encoded.Length] = (byte)encoded.Length;
    }

    /// <summary>
    /// Makes room for <paramref name="inserted"/> bytes in place of <paramref name="removed"/> bytes, and updates the
    /// header.
    /// </summary>
    private void MakeGap(int position, int removed, int inserted, int countDifference)
    {
        int length = Length, newLength = checked(length + inserted - removed);
        int tail = position + removed, tailLength = Start + length - tail;
        int noted = *(ushort*)(Block + Start + 4);
        if (Start + newLength > Heap.SizeOf(Block))
        {
            byte* larger = Heap.Allocate(checked(Start + newLength + SpareFor(newLength)));
            new ReadOnlySpan<byte>(Block, position).CopyTo(new(larger, position));
            new ReadOnlySpan<byte>(Block + tail, tailLength).CopyTo(new(larger + position + inserted, tailLength));
            Retirement.Retire(Block);
            Block = larger;
        }
        else if (removed != inserted)
        {
            Move(tail, position + inserted, tailLength);
        }
        if (noted != UnknownCount)
        {
            SetHeader(newLength, Math.Min(noted + countDifference, UnknownCount));
        }
        else
        {
            // The gap is not filled yet, so the elements cannot be counted now. A listpack this long is rare enough to
            // stay uncounted.
            SetHeader(newLength, UnknownCount);
        }
        if (removed > inserted) ShrinkIfSparse();
    }

    /// <summary>A quarter more.</summary>
    private static int SpareFor(int length) => length / 4;

    /// <summary>
    /// After removals: moves to a smaller block if more than half is empty, and that is worth having back.
    /// </summary>
    private void ShrinkIfSparse()
    {
        int length = Length, room = Heap.SizeOf(Block) - Start;
        if (room - length > 64 && room / 2 > length) MoveTo(Start + length + SpareFor(length));
    }

    private void MoveTo(int blockLength)
    {
        byte* moved = Heap.Allocate(blockLength);
        new ReadOnlySpan<byte>(Block, Start + Length).CopyTo(new(moved, Start + Length));
        Retirement.Retire(Block);
        Block = moved;
    }

    private readonly void Move(int from, int to, int length) => new ReadOnlySpan<byte>(Block + from, length).CopyTo(new(Block + to, length));

    private readonly int Walk()
    {
        int count = 0;
        for (int position = First; position >= 0; position = Next(position)) count++;
        return count;
    }

    private void Recount()
    {
        int count = Walk();
        SetHeader(Length, Math.Min(count, UnknownCount));
    }

    private readonly void SetHeader(int length, int count)
    {
        *(int*)(Block + Start) = length;
        *(ushort*)(Block + Start + 4) = (ushort)count;
    }
}
