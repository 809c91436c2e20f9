using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Strings as arrays of bits, where bit 0 is the highest bit of the first byte. Integers of several bits are in
/// Bitfields.cs.
/// </summary>
internal static class Bitmaps
{
    /// <summary>What BITOP can do.</summary>
    private enum Operation
    {
        And,
        Or,
        Xor,
        Not,

        /// <summary>The first string without the bits of the others.</summary>
        Diff,

        /// <summary>The bits of the others without those of the first string.</summary>
        Diff1,

        /// <summary>The bits of the first string that another one has, too.</summary>
        AndOr,

        /// <summary>The bits that exactly one string has.</summary>
        One,
    }

    private static ReadOnlySpan<byte> InvalidOffset => "ERR bit offset is not an integer or out of range"u8;

    /// <summary>SETBIT key offset value</summary>
    [Command("SETBIT", 4, CommandFlags.Write | CommandFlags.DenyOom, Category.Bitmap, Keys = "RW ACCESS UPDATE 1",
        Since = "2.2.0", Complexity = "O(1)",
        Summary = "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
        Syntax = "key offset value:integer")]
    internal static void Setbit(ref CommandContext call)
    {
        if (!TryOffset(ref call, 2, 0, out long offset)) return;
        if (call[3] is not [(byte)'0' or (byte)'1'])
        {
            call.Reply.Error("ERR bit is not an integer or out of range"u8);
            return;
        }
        if (!call.TryWrite(1, ValueType.String, out Entry entry)) return;
        int index = (int)(offset >> 3), former = entry.IsMissing ? -1 : StringEntry.Length(entry.Found);
        Span<byte> bytes = StringWrites.Extend(ref call, entry, call[1], index + 1);
        int mask = 0x80 >> (int)(offset & 7);
        bool was = (bytes[index] & mask) != 0, set = call[3][0] == '1';
        if (set) bytes[index] |= (byte)mask;
        else bytes[index] &= (byte)~mask;
        if (was != set || former <= index) Changed(ref call, entry.Keyspace);
        call.Reply.Integer(was ? 1 : 0);
    }

    /// <summary>GETBIT key offset</summary>
    [Command("GETBIT", 3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Bitmap, Keys = "RO ACCESS 1",
        Since = "2.2.0", Complexity = "O(1)",
        Summary = "Returns a bit value by offset.",
        Syntax = "key offset")]
    internal static void Getbit(ref CommandContext call)
    {
        if (!TryOffset(ref call, 2, 0, out long offset)) return;
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        if (!call.TryRead(1, ValueType.String, out Entry entry)) return;
        ReadOnlySpan<byte> bytes = BytesOf(entry, scratch);
        long index = offset >> 3;
        call.Reply.Integer(index < bytes.Length && (bytes[(int)index] & (0x80 >> (int)(offset & 7))) != 0 ? 1 : 0);
    }

    /// <summary>BITCOUNT key [start [end [BYTE | BIT]]]</summary>
    [Command("BITCOUNT", -2, CommandFlags.ReadOnly, Category.Bitmap, Keys = "RO ACCESS 1",
        Since = "2.6.0", Complexity = "O(N)",
        Summary = "Counts the number of set bits (population counting) in a string.",
        Syntax = "key range=[start end-unit-block=[end unit=[BYTE | BIT] @7.0.0]]",
        History = "7.0.0: Added the `BYTE|BIT` option.\n8.0.0: Made `end` optional (Valkey).")]
    internal static void Bitcount(ref CommandContext call)
    {
        long start = 0, end = -1;
        bool inBits = false;
        if (call.Count > 5)
        {
            call.SyntaxError();
            return;
        }
        if (call.Count > 2 && !call.TryInt64(2, out start)) return;
        if (call.Count > 3 && !call.TryInt64(3, out end)) return;
        if (call.Count == 5 && !TryUnit(ref call, 4, out inBits)) return;
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        if (!call.TryRead(1, ValueType.String, out Entry entry)) return;
        ReadOnlySpan<byte> bytes = BytesOf(entry, scratch);
        // Two negative offsets in the wrong order give an empty range, though clamping would turn it into one of one
        // element.
        bool crossed = start < 0 && end < 0 && start > end;
        call.Reply.Integer(!crossed && TryRange(ref start, ref end, bytes.Length, inBits) ? CountBits(bytes, start, end) : 0);
    }

    /// <summary>BITPOS key bit [start [end [BYTE | BIT]]]</summary>
    [Command("BITPOS", -3, CommandFlags.ReadOnly, Category.Bitmap, Keys = "RO ACCESS 1",
        Since = "2.8.7", Complexity = "O(N)",
        Summary = "Finds the first set (1) or clear (0) bit in a string.",
        Syntax = "key bit range=[start end-unit-block=[end unit=[BYTE | BIT] @7.0.0]]",
        History = "7.0.0: Added the `BYTE|BIT` option.")]
    internal static void Bitpos(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long bit)) return;
        if (bit is not (0 or 1))
        {
            call.Reply.Error("ERR The bit argument must be 1 or 0."u8);
            return;
        }
        if (call.Count > 6)
        {
            call.SyntaxError();
            return;
        }
        long start = 0, end = -1;
        bool inBits = false;
        if (call.Count > 3 && !call.TryInt64(3, out start)) return;
        if (call.Count == 6 && !TryUnit(ref call, 5, out inBits)) return;
        if (call.Count > 4 && !call.TryInt64(4, out end)) return;
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        if (!call.TryRead(1, ValueType.String, out Entry entry)) return;
        ReadOnlySpan<byte> bytes = BytesOf(entry, scratch);
        if (entry.IsMissing)
        {
            // A missing key counts as an endless run of zeros.
            call.Reply.Integer(bit == 1 ? -1 : 0);
            return;
        }
        long position = -1;
        if (TryRange(ref start, ref end, bytes.Length, inBits))
        {
            position = FindBit(bytes, start, end, bit == 1);
            // Without an end, the string counts as if it continued with zeros.
            if (position < 0 && bit == 0 && call.Count <= 4) position = bytes.Length * 8L;
        }
        call.Reply.Integer(position);
    }

    /// <summary>BITOP AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE destkey key [key ...]</summary>
    [Command("BITOP", -4, CommandFlags.Write | CommandFlags.DenyOom, Category.Bitmap, Keys = "OW UPDATE 2; RO ACCESS 3..-1", Effort = Effort.AllElements,
        Since = "2.6.0", Complexity = "O(N)",
        Summary = "Performs bitwise operations on multiple strings, and stores the result.",
        Syntax = "operation=<AND | OR | XOR | NOT | DIFF @8.2.0 | DIFF1 @8.2.0 | ANDOR @8.2.0 | ONE @8.2.0> destkey key [key ...]",
        History = "8.2.0: Added the `DIFF`, `DIFF1`, `ANDOR` and `ONE` operations.")]
    internal static void Bitop(ref CommandContext call)
    {
        if (!TryOperation(call[1], out Operation operation))
        {
            call.SyntaxError();
            return;
        }
        if (operation == Operation.Not && call.Count != 4)
        {
            call.Reply.Error("ERR BITOP NOT must be called with a single source key."u8);
            return;
        }
        if (operation is Operation.Diff or Operation.Diff1 or Operation.AndOr && call.Count < 5)
        {
            call.Reply.Error($"ERR BITOP {NameOf(operation)} must be called with at least two source keys.");
            return;
        }
        int length = 0;
        for (int i = 3; i < call.Count; i++)
        {
            if (!call.TryRead(i, ValueType.String, out Entry source)) return;
            if (!source.IsMissing) length = Math.Max(length, StringEntry.Length(source.Found));
        }
        byte[] result = length == 0 ? [] : Combine(ref call, operation, length);
        ReadOnlySpan<byte> key = call[2];
        Entry target = call.Write(2);
        Keyspace keyspace = target.Keyspace;
        if (length == 0)
        {
            if (keyspace.Remove(key))
            {
                call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
                call.Effect(keyspace, "DEL"u8, key);
            }
        }
        else
        {
            KeyEntry made = StringEntry.CreateRaw(key, result, Expiry.Never);
            if (target.IsMissing)
            {
                call.Add(keyspace, made);
            }
            else
            {
                made.SetAccessClock(target.Found.AccessClock);
                target.Overwrite(made);
            }
            call.Modified(keyspace, key, KeyEvents.String, "set"u8);
            // A copy may have only the destination's slot, so it gets the result. If all keys are in one slot, the
            // request itself is the shorter effect.
            if (call.Hold != Hold.Slot) call.Effect(keyspace, "SET"u8, key, result);
        }
        call.Reply.Integer(length);
    }

    /// <summary>
    /// Reads a bit offset. If <paramref name="bits"/> is not 0, "#n" means n times that many bits. If the argument is
    /// not an offset, the error is in the reply.
    /// </summary>
    internal static bool TryOffset(ref CommandContext call, int index, int bits, out long offset)
    {
        ReadOnlySpan<byte> text = call[index];
        bool counted = bits > 0 && text.Length > 0 && text[0] == '#';
        if (Numbers.TryParseInt64(counted ? text[1..] : text, out offset))
        {
            if (counted) offset = Math.BigMul(offset, bits, out long low) == low >> 63 ? low : -1;
            if (offset >= 0 && offset >> 3 < call.Store.Options.ProtoMaxBulkLength && offset >> 3 < Array.MaxLength) return true;
        }
        call.Reply.Error(InvalidOffset);
        return false;
    }

    /// <summary>
    /// The bytes of a string to be read; none if the key is missing. See <see cref="StringEntry.Read"/>.
    /// </summary>
    internal static ReadOnlySpan<byte> BytesOf(scoped in Entry entry, Span<byte> scratch) =>
        entry.IsMissing ? [] : StringEntry.Read(entry.Found, scratch);

    /// <summary>To be called after the string at argument 1 has changed, so many times.</summary>
    internal static void Changed(ref CommandContext call, Keyspace keyspace, int changes = 1)
    {
        Entry entry = keyspace.Find(call[1]);
        call.Modified(entry, KeyEvents.String, "setbit"u8, changes);
    }

    private static bool TryOperation(ReadOnlySpan<byte> word, out Operation operation)
    {
        for (operation = Operation.And; operation <= Operation.One; operation++)
        {
            if (Ascii.EqualsWord(word, NameOf(operation))) return true;
        }
        return false;
    }

    private static string NameOf(Operation operation) => operation switch
    {
        Operation.And => "AND",
        Operation.Or => "OR",
        Operation.Xor => "XOR",
        Operation.Not => "NOT",
        Operation.Diff => "DIFF",
        Operation.Diff1 => "DIFF1",
        Operation.AndOr => "ANDOR",
        _ => "ONE",
    };

    private static bool TryUnit(ref CommandContext call, int index, out bool inBits)
    {
        inBits = call[index].Is("BIT"u8);
        if (inBits || call[index].Is("BYTE"u8)) return true;
        call.SyntaxError();
        return false;
    }

    /// <summary>
    /// Resolves a range of bytes or bits whose ends count from the end of the string if negative, and clamps it to the
    /// string. False if it is empty.
    /// </summary>
    private static bool TryRange(ref long start, ref long end, int length, bool inBits)
    {
        long total = inBits ? length * 8L : length;
        start = Math.Max(0, start < 0 ? total + start : start);
        end = Math.Min(total - 1, Math.Max(0, end < 0 ? total + end : end));
        if (start > end) return false;
        if (!inBits)
        {
            start *= 8;
            end = (end * 8) + 7;
        }
        return true;
    }

    private static long CountBits(ReadOnlySpan<byte> bytes, long start, long end)
    {
        int first = (int)(start >> 3), last = (int)(end >> 3);
        int firstMask = 0xff >> (int)(start & 7), lastMask = 0xff << (7 - (int)(end & 7)) & 0xff;
        if (first == last) return BitOperations.PopCount((uint)(bytes[first] & firstMask & lastMask));
        return BitOperations.PopCount((uint)(bytes[first] & firstMask)) + BitOperations.PopCount((uint)(bytes[last] & lastMask))
            + PopCount(bytes[(first + 1)..last]);
    }

    /// <summary>
    /// Counts bits in four independent sums, which keep the processor's popcount unit busy in every cycle.
    /// </summary>
    private static long PopCount(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        long a = 0, b = 0, c = 0, d = 0;
        int i = 0;
        for (; i + 4 <= words.Length; i += 4)
        {
            a += BitOperations.PopCount(words[i]);
            b += BitOperations.PopCount(words[i + 1]);
            c += BitOperations.PopCount(words[i + 2]);
            d += BitOperations.PopCount(words[i + 3]);
        }
        for (; i < words.Length; i++) a += BitOperations.PopCount(words[i]);
        foreach (byte rest in bytes[(words.Length * 8)..]) a += BitOperations.PopCount(rest);
        return a + b + c + d;
    }

    /// <summary>The position of the first bit with this value within a range of bits; -1 if there is none.</summary>
    private static long FindBit(ReadOnlySpan<byte> bytes, long start, long end, bool set)
    {
        int first = (int)(start >> 3), last = (int)(end >> 3);
        byte none = set ? (byte)0 : (byte)0xff;
        // Bits outside the range are set to the value that is not searched for.
        int outside = ~(0xff >> (int)(start & 7)) & 0xff;
        long position = FirstIn(set ? bytes[first] & ~outside : bytes[first] | outside, set);
        if (position < 0)
        {
            int at = bytes[(first + 1)..(last + 1)].IndexOfAnyExcept(none);
            if (at < 0) return -1;
            first += 1 + at;
            position = FirstIn(bytes[first], set);
        }
        position += first * 8L;
        return position <= end ? position : -1;
    }

    private static int FirstIn(int value, bool set)
    {
        if (!set) value = ~value;
        value &= 0xff;
        return value == 0 ? -1 : BitOperations.LeadingZeroCount((uint)value) - 24;
    }

    /// <summary>The result of BITOP on the strings of the arguments from 3 on, the longest of which has this length.</summary>
    private static byte[] Combine(ref CommandContext call, Operation operation, int length)
    {
        byte[] result = new byte[length];
        byte[]? twice = operation == Operation.One ? new byte[length] : null; // the bits seen more than once
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        // The first string of these is set against the union of the others.
        bool firstApart = operation is Operation.Diff or Operation.Diff1 or Operation.AndOr;
        for (int i = firstApart ? 4 : 3; i < call.Count; i++)
        {
            ReadOnlySpan<byte> bytes = BytesOf(call.Peek(call[i]), scratch);
            if (twice is not null) CountBit(result, twice, bytes);
            else if (firstApart || operation == Operation.Or) Or(result, bytes);
            else if (i == 3) bytes.CopyTo(result);
            else if (operation == Operation.And) And(result, bytes);
            else Xor(result, bytes);
        }
        ReadOnlySpan<byte> first = BytesOf(call.Peek(call[3]), scratch);
        switch (operation)
        {
            case Operation.Not:
                Not(result);
                break;
            case Operation.Diff:
                Not(result);
                And(result, first);
                break;
            case Operation.Diff1:
                AndNot(result, first);
                break;
            case Operation.AndOr:
                And(result, first);
                break;
            case Operation.One:
                AndNot(result, twice);
                break;
        }
        return result;
    }

    /// <summary>Takes note of the bits of one more string: those seen so far, and those seen before.</summary>
    private static void CountBit(Span<byte> seen, Span<byte> twice, ReadOnlySpan<byte> other)
    {
        int i = 0;
        for (; i + Vector<byte>.Count <= other.Length; i += Vector<byte>.Count)
        {
            Vector<byte> before = new(seen[i..]), bits = new(other[i..]);
            (new Vector<byte>(twice[i..]) | (before & bits)).CopyTo(twice[i..]);
            (before | bits).CopyTo(seen[i..]);
        }
        for (; i < other.Length; i++)
        {
            twice[i] |= (byte)(seen[i] & other[i]);
            seen[i] |= other[i];
        }
    }

    private static void AndNot(Span<byte> result, ReadOnlySpan<byte> other)
    {
        int i = 0;
        for (; i + Vector<byte>.Count <= other.Length; i += Vector<byte>.Count)
            (new Vector<byte>(result[i..]) & ~new Vector<byte>(other[i..])).CopyTo(result[i..]);
        for (; i < other.Length; i++) result[i] &= (byte)~other[i];
    }

    private static void And(Span<byte> result, ReadOnlySpan<byte> other)
    {
        int i = 0;
        for (; i + Vector<byte>.Count <= other.Length; i += Vector<byte>.Count)
            (new Vector<byte>(result[i..]) & new Vector<byte>(other[i..])).CopyTo(result[i..]);
        for (; i < other.Length; i++) result[i] &= other[i];
        result[other.Length..].Clear();
    }

    private static void Or(Span<byte> result, ReadOnlySpan<byte> other)
    {
        int i = 0;
        for (; i + Vector<byte>.Count <= other.Length; i += Vector<byte>.Count)
            (new Vector<byte>(result[i..]) | new Vector<byte>(other[i..])).CopyTo(result[i..]);
        for (; i < other.Length; i++) result[i] |= other[i];
    }

    private static void Xor(Span<byte> result, ReadOnlySpan<byte> other)
    {
        int i = 0;
        for (; i + Vector<byte>.Count <= other.Length; i += Vector<byte>.Count)
            (new Vector<byte>(result[i..]) ^ new Vector<byte>(other[i..])).CopyTo(result[i..]);
        for (; i < other.Length; i++) result[i] ^= other[i];
    }

    private static void Not(Span<byte> result)
    {
        int i = 0;
        for (; i + Vector<byte>.Count <= result.Length; i += Vector<byte>.Count)
            (~new Vector<byte>(result[i..])).CopyTo(result[i..]);
        for (; i < result.Length; i++) result[i] = (byte)~result[i];
    }
}
