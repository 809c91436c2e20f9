namespace OrleansRedis.Engine;

/// <summary>LCS: the longest common subsequence of two strings, found by dynamic programming.</summary>
internal static class Lcs
{
    private struct Options
    {
        public bool Length;
        public bool Ranges;
        public bool WithMatchLength;
        public long ShortestMatch;
    }

    /// <summary>LCS key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]</summary>
    [Command("LCS", -3, CommandFlags.ReadOnly, Category.String, Keys = "RO ACCESS 1..2", Effort = Effort.LengthByLength, Since = "7.0.0",
        Complexity = "O(N*M) where N and M are the lengths of s1 and s2, respectively", Summary = "Finds the longest common substring.",
        Syntax = "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]")]
    internal static void LongestCommon(ref CommandContext call)
    {
        // Looking up the second key may remove it, which would invalidate the first key's Entry, but not the object
        // found through it.
        Entry entry = call.Read(1);
        KeyEntry first = entry.IsMissing ? default : entry.Found;
        entry = call.Read(2);
        KeyEntry second = entry.IsMissing ? default : entry.Found;
        if ((!first.IsNone && first.Type != ValueType.String) || (!second.IsNone && second.Type != ValueType.String))
        {
            call.Reply.Error("ERR The specified keys must contain string values"u8);
            return;
        }
        if (!TryReadOptions(ref call, out Options options)) return;

        Span<byte> scratchA = stackalloc byte[StringEntry.ScratchLength], scratchB = stackalloc byte[StringEntry.ScratchLength];
        ReadOnlySpan<byte> a = first.IsNone ? [] : StringEntry.Read(first, scratchA), b = second.IsNone ? [] : StringEntry.Read(second, scratchB);
        long cells = (a.Length + 1L) * (b.Length + 1L);
        if (cells * sizeof(uint) > call.Store.Options.ProtoMaxBulkLength || cells > Array.MaxLength)
        {
            call.Reply.Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"u8);
            return;
        }
        uint[] table = Fill(a, b);
        uint length = table[^1];
        if (options.Ranges) ReplyRanges(call.Reply, a, b, table, options);
        else if (options.Length) call.Reply.Integer(length);
        else call.Reply.BulkString(Common(a, b, table));
    }

    private static bool TryReadOptions(ref CommandContext call, out Options options)
    {
        options = default;
        for (int i = 3; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            if (word.Is("IDX"u8)) options.Ranges = true;
            else if (word.Is("LEN"u8)) options.Length = true;
            else if (word.Is("WITHMATCHLEN"u8)) options.WithMatchLength = true;
            else if (word.Is("MINMATCHLEN"u8) && i + 1 < call.Count)
            {
                if (!call.TryInt64(++i, out options.ShortestMatch)) return false;
            }
            else
            {
                call.SyntaxError();
                return false;
            }
        }
        if (!options.Length || !options.Ranges) return true;
        call.Reply.Error("ERR If you want both the length and indexes, please just use IDX."u8);
        return false;
    }

    /// <summary>
    /// Fills the table. Row i, column j is the length for the first i bytes of a and the first j bytes of b.
    /// </summary>
    private static uint[] Fill(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        int width = b.Length + 1;
        var table = new uint[(a.Length + 1) * width];
        for (int i = 1; i <= a.Length; i++)
        {
            ReadOnlySpan<uint> above = table.AsSpan((i - 1) * width, width);
            Span<uint> row = table.AsSpan(i * width, width);
            for (int j = 1; j < row.Length; j++) row[j] = a[i - 1] == b[j - 1] ? above[j - 1] + 1 : Math.Max(above[j], row[j - 1]);
        }
        return table;
    }

    private static byte[] Common(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, uint[] table)
    {
        int width = b.Length + 1, i = a.Length, j = b.Length;
        var common = new byte[table[^1]];
        for (int at = common.Length; at > 0;)
        {
            if (a[i - 1] == b[j - 1])
            {
                common[--at] = a[i - 1];
                i--;
                j--;
            }
            else if (table[((i - 1) * width) + j] > table[(i * width) + j - 1]) i--;
            else j--;
        }
        return common;
    }

    /// <summary>
    /// Replies with the common runs of bytes, from the last to the first, as [[a start, a end], [b start, b end],
    /// length].
    /// </summary>
    private static void ReplyRanges(RespWriter reply, ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, uint[] table, in Options options)
    {
        reply.Map(2);
        reply.BulkString("matches"u8);
        int begin = reply.Begin(), count = 0, width = b.Length + 1, i = a.Length, j = b.Length, run = 0;
        while (true)
        {
            bool match = i > 0 && j > 0 && a[i - 1] == b[j - 1];
            if (match)
            {
                run++;
                i--;
                j--;
                continue;
            }
            // The run of matches that began here has ended: it covers a[i..i+run) and b[j..j+run).
            if (run > 0 && run >= options.ShortestMatch)
            {
                WriteRange(reply, i, j, run, options.WithMatchLength);
                count++;
            }
            run = 0;
            if (i == 0 || j == 0) break;
            if (table[((i - 1) * width) + j] > table[(i * width) + j - 1]) i--;
            else j--;
        }
        reply.Finish(begin, Aggregate.Array, count);
        reply.BulkString("len"u8);
        reply.Integer(table[^1]);
    }

    private static void WriteRange(RespWriter reply, int a, int b, int length, bool withLength)
    {
        reply.Array(withLength ? 3 : 2);
        reply.Array(2);
        reply.Integer(a);
        reply.Integer(a + length - 1);
        reply.Array(2);
        reply.Integer(b);
        reply.Integer(b + length - 1);
        if (withLength) reply.Integer(length);
    }
}
