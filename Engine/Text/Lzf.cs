namespace OrleansRedis.Engine;

/// <summary>
/// The LZF format of Marc Lehmann's liblzf (http://oldhome.schmorp.de/marc/liblzf.html), which Redis uses for strings
/// in RDB files and for the inner nodes of lists:
/// <code>
/// 000LLLLL                     L + 1 literal bytes follow (1 to 32)
/// LLLooooo oooooooo            copy L + 2 bytes (L 1 to 6) from o + 1 bytes back
/// 111ooooo LLLLLLLL oooooooo   copy L + 9 bytes from o + 1 bytes back
/// </code>
/// </summary>
internal static class Lzf
{
    private const int HashBits = 14;
    private const int LongestLiteral = 32;
    private const int LongestMatch = 264;
    private const int FarthestBack = 8192;

    [ThreadStatic]
    private static int[]? t_seen;

    // Entries below this were left by earlier calls and are ignored. Clearing the table instead took longer than
    // compressing a short string.
    [ThreadStatic]
    private static int t_origin;

    /// <summary>
    /// Compresses into <paramref name="output"/>. Returns the number of bytes written, or 0 if the result did not fit.
    /// </summary>
    public static int Compress(ReadOnlySpan<byte> input, Span<byte> output)
    {
        if (input.Length == 0) return 0;
        // For each hash of three bytes: where it was last seen, plus one, counted from this call's origin.
        int[] seen = t_seen ??= new int[1 << HashBits];
        if (t_origin > int.MaxValue - input.Length - 1)
        {
            seen.AsSpan().Clear();
            t_origin = 0;
        }
        int origin = t_origin;
        t_origin += input.Length + 1;
        int from = 0, to = 0, literalStart = 0;
        while (from + 2 < input.Length)
        {
            uint three = (uint)((input[from] << 16) | (input[from + 1] << 8) | input[from + 2]);
            ref int last = ref seen[(three * 0x9E3779B1) >> (32 - HashBits)];
            int candidate = last - 1 - origin;
            last = origin + from + 1;
            if (candidate < 0 || from - candidate > FarthestBack
                || input[candidate] != input[from] || input[candidate + 1] != input[from + 1] || input[candidate + 2] != input[from + 2])
            {
                from++;
                continue;
            }
            int longest = Math.Min(LongestMatch, input.Length - from);
            int length = 3 + input[(candidate + 3)..].CommonPrefixLength(input.Slice(from + 3, longest - 3));
            if (!TryPutLiterals(input[literalStart..from], output, ref to)) return 0;
            if (output.Length - to < 3) return 0;
            int back = from - candidate - 1;
            if (length < 9)
            {
                output[to++] = (byte)(((length - 2) << 5) | (back >> 8));
            }
            else
            {
                output[to++] = (byte)(0xe0 | (back >> 8));
                output[to++] = (byte)(length - 9);
            }
            output[to++] = (byte)back;
            from += length;
            literalStart = from;
        }
        return TryPutLiterals(input[literalStart..], output, ref to) ? to : 0;
    }

    /// <summary>
    /// Restores what <see cref="Compress"/> made. False unless the result fills <paramref name="output"/> exactly.
    /// </summary>
    public static bool TryDecompress(ReadOnlySpan<byte> input, Span<byte> output)
    {
        int from = 0, to = 0;
        while (from < input.Length)
        {
            int control = input[from++];
            if (control < 32)
            {
                int count = control + 1;
                if (input.Length - from < count || output.Length - to < count) return false;
                input.Slice(from, count).CopyTo(output[to..]);
                from += count;
                to += count;
                continue;
            }
            int length = control >> 5;
            if (length == 7)
            {
                if (from >= input.Length) return false;
                length += input[from++];
            }
            if (from >= input.Length) return false;
            length += 2;
            int start = to - (((control & 31) << 8) | input[from++]) - 1;
            if (start < 0 || output.Length - to < length) return false;
            if (start + length <= to)
            {
                output.Slice(start, length).CopyTo(output[to..]);
                to += length;
            }
            else
            {
                // The copy overlaps its source: it repeats bytes that it has just written.
                for (int end = to + length; to < end; to++, start++) output[to] = output[start];
            }
        }
        return to == output.Length;
    }

    private static bool TryPutLiterals(ReadOnlySpan<byte> literals, Span<byte> output, ref int to)
    {
        while (literals.Length > 0)
        {
            int count = Math.Min(LongestLiteral, literals.Length);
            if (output.Length - to < count + 1) return false;
            output[to++] = (byte)(count - 1);
            literals[..count].CopyTo(output[to..]);
            to += count;
            literals = literals[count..];
        }
        return true;
    }
}
