namespace OrleansRedis.Engine;

/// <summary>Reading and writing parts of strings, and appending.</summary>
internal static class StringRanges
{
    /// <summary>APPEND key value</summary>
    [Command("APPEND", 3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.String, Keys = "RW INSERT 1", Since = "2.0.0",
        Complexity = "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, "
            + "since the dynamic string library used by Redis will double the free space available on every reallocation.",
        Summary = "Appends a string to the value of a key. Creates the key if it doesn't exist.", Syntax = "key value")]
    internal static void Append(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.String, out Entry entry)) return;
        ReadOnlySpan<byte> key = call[1], suffix = call[2];
        int length = suffix.Length;
        if (entry.IsMissing)
        {
            call.Add(entry.Keyspace, StringEntry.Create(key, suffix, Expiry.Never));
        }
        else
        {
            int before = StringEntry.Length(entry.Found);
            if (!FitsIn(ref call, before, suffix.Length)) return;
            length += before;
            suffix.CopyTo(StringWrites.Open(ref call, entry, key, length)[before..]);
        }
        call.Modified(entry.Keyspace, key, KeyEvents.String, "append"u8);
        call.Reply.Integer(length);
    }

    /// <summary>STRLEN key</summary>
    [Command("STRLEN", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.String, Keys = "RO 1", Since = "2.2.0", Complexity = "O(1)",
        Summary = "Returns the length of a string value.", Syntax = "key")]
    internal static void Strlen(ref CommandContext call)
    {
        if (call.TryRead(1, ValueType.String, out Entry entry)) call.Reply.Integer(entry.IsMissing ? 0 : StringEntry.Length(entry.Found));
    }

    /// <summary>SETRANGE key offset value — Any gap between the old end and the offset is filled with zeros.</summary>
    [Command("SETRANGE", 4, CommandFlags.Write | CommandFlags.DenyOom, Category.String, Keys = "RW UPDATE 1", Since = "2.2.0",
        Complexity = "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized "
            + "complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.",
        Summary = "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.", Syntax = "key offset value")]
    internal static void Setrange(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long offset)) return;
        if (offset < 0)
        {
            call.Reply.Error("ERR offset is out of range"u8);
            return;
        }
        if (!call.TryWrite(1, ValueType.String, out Entry entry)) return;
        ReadOnlySpan<byte> key = call[1], part = call[3];
        int length = entry.IsMissing ? 0 : StringEntry.Length(entry.Found);
        if (!part.IsEmpty)
        {
            if (!FitsIn(ref call, offset, part.Length)) return;
            length = Math.Max(length, (int)offset + part.Length);
            part.CopyTo(StringWrites.Open(ref call, entry, key, length)[(int)offset..]);
            call.Modified(entry.Keyspace, key, KeyEvents.String, "setrange"u8);
        }
        call.Reply.Integer(length);
    }

    /// <summary>GETRANGE key start end — Both offsets are inclusive, and count from the end if negative.</summary>
    [Command("GETRANGE", 4, CommandFlags.ReadOnly, Category.String, Keys = "RO ACCESS 1", Since = "2.4.0",
        Complexity = "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because "
            + "creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
        Summary = "Returns a substring of the string stored at a key.", Syntax = "key start end")]
    internal static void Getrange(ref CommandContext call) => Part(ref call);

    /// <summary>SUBSTR key start end — The old name of GETRANGE.</summary>
    [Command("SUBSTR", 4, CommandFlags.ReadOnly, Category.String, Keys = "RO ACCESS 1", Since = "1.0.0",
        Complexity = "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because "
            + "creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
        Summary = "Returns a substring from a string value.", Syntax = "key start end", Deprecated = "2.0.0: `GETRANGE`")]
    internal static void Substr(ref CommandContext call) => Part(ref call);

    private static void Part(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long start) || !call.TryInt64(3, out long end) || !call.TryRead(1, ValueType.String, out Entry entry)) return;
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        ReadOnlySpan<byte> content = entry.IsMissing ? [] : StringEntry.Read(entry.Found, scratch);
        // Two negative offsets in the wrong order give nothing, even where both would be clamped to the first byte.
        bool backwards = start < 0 && end < 0 && start > end;
        if (start < 0) start = Math.Max(0, start + content.Length);
        if (end < 0) end = Math.Max(0, end + content.Length);
        end = Math.Min(end, content.Length - 1);
        call.Reply.BulkString(backwards || start > end ? [] : content.Slice((int)start, (int)(end - start + 1)));
    }

    /// <summary>
    /// Whether a string may grow from <paramref name="length"/> bytes by <paramref name="more"/>. If not, the error is
    /// in the reply.
    /// </summary>
    private static bool FitsIn(ref CommandContext call, long length, long more)
    {
        if (length <= Array.MaxLength - more && length + more <= call.Store.Options.ProtoMaxBulkLength) return true;
        call.Reply.Error(Errors.StringTooLong);
        return false;
    }
}
