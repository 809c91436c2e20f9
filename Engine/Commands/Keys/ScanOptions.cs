namespace OrleansRedis.Engine;

/// <summary>
/// The options that SCAN, HSCAN, SSCAN and ZSCAN share: [MATCH pattern] [COUNT count], TYPE for SCAN, NOVALUES for
/// HSCAN, NOSCORES for ZSCAN.
/// </summary>
internal ref struct ScanOptions
{
    /// <summary>Which of the commands it is: SCAN, HSCAN and ZSCAN each take an option of their own.</summary>
    public enum Of
    {
        Keys,
        Hash,
        Set,
        SortedSet,
    }

    /// <summary>Whether names are filtered by <see cref="Pattern"/>.</summary>
    public bool HasPattern { get; private set; }

    public ReadOnlySpan<byte> Pattern { get; private set; }

    /// <summary>The minimum number of elements to look at, from 1 to 2^31-1.</summary>
    public int Count { get; private set; }

    /// <summary>The type of the keys that are wanted; None for any.</summary>
    public ValueType Type { get; private set; }

    /// <summary>NOVALUES or NOSCORES: only fields, or members.</summary>
    public bool NoValues { get; private set; }

    /// <summary>
    /// Reads what HSCAN, SSCAN and ZSCAN begin with: key, cursor and options. False if there is nothing to scan or
    /// something is wrong; then the reply has been written.
    /// </summary>
    public static bool TryOpen(ref CommandContext call, ValueType type, Of what, out Entry entry, out ulong cursor, out ScanOptions options)
    {
        options = default;
        entry = default;
        if (!TryReadCursor(ref call, 2, out cursor) || !call.TryRead(1, type, out entry)) return false;
        // If the key is missing, the options are not read.
        if (!entry.IsMissing) return TryRead(ref call, 3, what, out options);
        call.Reply.Finish(BeginReply(call.Reply, 0), Aggregate.Array, 0);
        return false;
    }

    /// <summary>
    /// Begins a reply with the next cursor, 0 for the end. Returns the mark with which the array of elements must be
    /// finished.
    /// </summary>
    public static int BeginReply(RespWriter reply, uint next)
    {
        reply.Array(2);
        reply.BulkInteger(next);
        return reply.Begin();
    }

    /// <summary>
    /// Reads the options from argument <paramref name="first"/> on. If one is wrong, the error is in the reply.
    /// </summary>
    public static bool TryRead(ref CommandContext call, int first, Of what, out ScanOptions options)
    {
        options = new() { Count = 10 };
        for (int i = first; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            bool valued = i + 1 < call.Count;
            if (word.Is("COUNT"u8) && valued)
            {
                if (!call.TryInt64(++i, out long count)) return false;
                if (count < 1)
                {
                    call.SyntaxError();
                    return false;
                }
                options.Count = (int)Math.Min(count, int.MaxValue);
            }
            else if (word.Is("MATCH"u8) && valued)
            {
                options.Pattern = call[++i];
                options.HasPattern = !GlobPattern.IsAll(options.Pattern);
            }
            else if (word.Is("TYPE"u8) && valued && what == Of.Keys)
            {
                options.Type = TypeNamed(call[++i]);
                if (options.Type == ValueType.None)
                {
                    call.Reply.Error((ReadOnlySpan<byte>)[.. "ERR unknown type name '"u8, .. call[i], .. "'"u8]);
                    return false;
                }
            }
            else if (word.Is("NOVALUES"u8))
            {
                if (what != Of.Hash)
                {
                    call.Reply.Error("ERR NOVALUES option can only be used in HSCAN"u8);
                    return false;
                }
                options.NoValues = true;
            }
            else if (word.Is("NOSCORES"u8))
            {
                if (what != Of.SortedSet)
                {
                    call.Reply.Error("ERR NOSCORES option can only be used in ZSCAN"u8);
                    return false;
                }
                options.NoValues = true;
            }
            else
            {
                call.SyntaxError();
                return false;
            }
        }
        return true;
    }

    private static ValueType TypeNamed(ReadOnlySpan<byte> name)
    {
        for (ValueType type = ValueType.String; type <= ValueType.Stream; type++)
        {
            if (name.Is(OrleansRedis.Engine.Keys.NameOf(type))) return type;
        }
        return ValueType.None;
    }

    /// <summary>Reads a cursor, an unsigned 64-bit number. If it is not one, the error is in the reply.</summary>
    public static bool TryReadCursor(ref CommandContext call, int index, out ulong cursor)
    {
        ReadOnlySpan<byte> text = call[index];
        // Redis's parser is based on strtoull, which also accepts leading whitespace, zeros and a plus sign.
        ReadOnlySpan<byte> digits = text.TrimStart(" \t\n\v\f\r"u8);
        if (!digits.IsEmpty && digits[0] == '+') digits = digits[1..];
        if (System.Buffers.Text.Utf8Parser.TryParse(digits, out cursor, out int used) && used == digits.Length && digits[0] != '+') return true;
        call.Reply.Error("ERR invalid cursor"u8);
        return false;
    }

    /// <summary>Whether a name matches the MATCH option.</summary>
    public readonly bool Wants(ReadOnlySpan<byte> name) => !HasPattern || GlobPattern.IsMatch(Pattern, name);
}
