namespace OrleansRedis.Engine;

/// <summary>What is at a given place in a log.</summary>
internal enum AofFrame
{
    /// <summary>A complete command.</summary>
    Command,

    /// <summary>A complete line that begins with '#'.</summary>
    Annotation,

    /// <summary>The bytes end before a command or annotation is complete, or there are none.</summary>
    Incomplete,

    /// <summary>Neither a command nor an annotation.</summary>
    Malformed,
}

/// <summary>
/// Reads commands in the form the log uses: RESP arrays of bulk strings, exactly as they are written. Redis tolerates
/// more, but anything else in a log is damage.
/// </summary>
internal static class AofFrameReader
{
    /// <summary>Longer annotations are not written by us.</summary>
    private const int LongestAnnotation = 1024;

    /// <summary>Reads what is at the beginning of <paramref name="bytes"/>.</summary>
    /// <param name="bytes">Bytes of a log.</param>
    /// <param name="origin">Added to the offsets of the arguments.</param>
    /// <param name="arguments">A command's arguments are appended here.</param>
    /// <param name="length">
    /// The length of what was read. If it is incomplete, the least number of bytes needed to find out more; if it is
    /// malformed, the offset of the error.
    /// </param>
    public static AofFrame Read(ReadOnlySpan<byte> bytes, int origin, ref ArgumentList arguments, out long length)
    {
        length = 1;
        if (bytes.IsEmpty) return AofFrame.Incomplete;
        if (bytes[0] == '#') return ReadAnnotation(bytes, out length);
        int first = arguments.Count, at = 0;
        AofFrame outcome = ReadNumber(bytes, (byte)'*', ref at, out long count);
        if (outcome == AofFrame.Command && count is < 1 or > int.MaxValue) outcome = AofFrame.Malformed;
        for (long i = 0; i < count && outcome == AofFrame.Command; i++)
        {
            int start = at;
            outcome = ReadNumber(bytes, (byte)'$', ref at, out long bulk);
            if (outcome != AofFrame.Command) break;
            if (bulk > int.MaxValue - 64)
            {
                at = start;
                outcome = AofFrame.Malformed;
            }
            else if (bytes.Length - at < bulk + 2)
            {
                // A damaged command must not pass for an incomplete one: if only the last byte is missing, the one
                // before it must be CR.
                outcome = bytes.Length - at == bulk + 1 && bytes[^1] != '\r' ? AofFrame.Malformed : AofFrame.Incomplete;
                length = at + bulk + 2;
                if (outcome == AofFrame.Incomplete)
                {
                    arguments.Count = first;
                    return outcome;
                }
            }
            else if (bytes[at + (int)bulk] != '\r' || bytes[at + (int)bulk + 1] != '\n')
            {
                at += (int)bulk;
                outcome = AofFrame.Malformed;
            }
            else
            {
                arguments.Add(new(origin + at, (int)bulk));
                at += (int)bulk + 2;
            }
        }
        if (outcome != AofFrame.Command) arguments.Count = first;
        length = outcome == AofFrame.Incomplete ? bytes.Length + 1L : at;
        return outcome;
    }

    private static AofFrame ReadAnnotation(ReadOnlySpan<byte> bytes, out long length)
    {
        int end = bytes.IndexOf((byte)'\n');
        length = end + 1;
        if (end >= 0) return AofFrame.Annotation;
        length = bytes.Length > LongestAnnotation ? 0 : bytes.Length + 1;
        return bytes.Length > LongestAnnotation ? AofFrame.Malformed : AofFrame.Incomplete;
    }

    /// <summary>
    /// Reads the marker, a number and CR LF. If something else is there, <paramref name="at"/> says where.
    /// </summary>
    private static AofFrame ReadNumber(ReadOnlySpan<byte> bytes, byte marker, ref int at, out long number)
    {
        number = 0;
        int i = at;
        if (i >= bytes.Length) return AofFrame.Incomplete;
        if (bytes[i] != marker) return AofFrame.Malformed;
        int digits = ++i;
        while (i < bytes.Length && (uint)(bytes[i] - '0') <= 9 && i - digits < 12) number = (number * 10) + bytes[i++] - '0';
        if (i == bytes.Length) return AofFrame.Incomplete;
        if (i == digits || bytes[i] != '\r')
        {
            at = i;
            return AofFrame.Malformed;
        }
        if (++i == bytes.Length) return AofFrame.Incomplete;
        if (bytes[i] != '\n')
        {
            at = i;
            return AofFrame.Malformed;
        }
        at = i + 1;
        return AofFrame.Command;
    }
}

/// <summary>A growing list of arguments.</summary>
internal struct ArgumentList()
{
    private ArgumentRange[] _items = new ArgumentRange[256];

    public int Count { get; set; }

    public readonly ReadOnlySpan<ArgumentRange> Slice(int first, int count) => _items.AsSpan(first, count);

    public void Add(ArgumentRange item)
    {
        if (Count == _items.Length) Array.Resize(ref _items, _items.Length * 2);
        _items[Count++] = item;
    }

    public void Clear()
    {
        Count = 0;
        if (_items.Length > 1 << 16) _items = new ArgumentRange[256];
    }
}
