using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// An element of a <see cref="Listpack"/>: a string where it lies, or an integer. Valid until the listpack changes.
/// </summary>
internal readonly ref struct ListpackElement
{
    /// <summary>The scratch bytes needed for an integer's digits.</summary>
    public const int ScratchLength = 20;

    internal ListpackElement(ReadOnlySpan<byte> text)
    {
        Text = text;
    }

    internal ListpackElement(long integer)
    {
        Integer = integer;
        IsInteger = true;
    }

    /// <summary>Wraps a string that lies elsewhere, to be treated like an element of a listpack.</summary>
    public static ListpackElement Of(ReadOnlySpan<byte> text) => new(text);

    /// <summary>Whether the element is kept as an integer.</summary>
    public bool IsInteger { get; }

    /// <summary>The integer, if it is kept as one.</summary>
    public long Integer { get; }

    /// <summary>The string's bytes, if it is not an integer; see <see cref="AsSpan"/> for either.</summary>
    public ReadOnlySpan<byte> Text { get; }

    /// <summary>Its length as a string.</summary>
    public int Length
    {
        get
        {
            if (!IsInteger) return Text.Length;
            Span<byte> digits = stackalloc byte[ScratchLength];
            return Numbers.FormatInt64(Integer, digits);
        }
    }

    /// <summary>
    /// Its bytes as a string: where they lie, or an integer's digits written into <paramref name="scratch"/>
    /// (<see cref="ScratchLength"/> bytes).
    /// </summary>
    public ReadOnlySpan<byte> AsSpan(Span<byte> scratch) => IsInteger ? scratch[..Numbers.FormatInt64(Integer, scratch)] : Text;

    /// <summary>Its bytes as a string, in an array of their own.</summary>
    public byte[] ToArray()
    {
        Span<byte> scratch = stackalloc byte[ScratchLength];
        return AsSpan(scratch).ToArray();
    }

    /// <summary>Whether it has these bytes.</summary>
    public bool Equals(ReadOnlySpan<byte> value)
    {
        if (!IsInteger) return Text.SequenceEqual(value);
        return Numbers.TryParseInt64(value, out long number) && number == Integer;
    }

    /// <summary>Writes it as a bulk string.</summary>
    public void WriteTo(RespWriter reply)
    {
        if (IsInteger) reply.BulkInteger(Integer);
        else reply.BulkString(Text);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe ListpackElement At(byte* element)
    {
        byte marker = *element;
        if (marker < 0x80) return new(marker);
        if (marker < 0xc0) return new(new ReadOnlySpan<byte>(element + 1, marker & 63));
        return AtSlowly(element + 1, marker);
    }

    private static unsafe ListpackElement AtSlowly(byte* data, byte marker)
    {
        if (marker < 0xe0) return new(((((marker & 31) << 8) | data[0]) << 19) >> 19); // 13 bits, sign-extended
        if (marker < 0xf0) return new(new ReadOnlySpan<byte>(data + 1, ((marker & 15) << 8) | data[0]));
        return marker switch
        {
            0xf0 => new(new ReadOnlySpan<byte>(data + 4, *(int*)data)),
            0xf1 => new(*(short*)data),
            0xf2 => new(data[0] | (data[1] << 8) | ((sbyte)data[2] << 16)),
            0xf3 => new(*(int*)data),
            0xf4 => new(*(long*)data),
            _ => throw new InvalidDataException($"A listpack with an element marked {marker}."),
        };
    }
}
