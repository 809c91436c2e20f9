namespace OrleansRedis.Engine;

/// <summary>Strings as arrays of integers of 1 to 64 bits, at any bit offset, highest bit first.</summary>
internal static class Bitfields
{
    private enum Overflow
    {
        Wrap,
        Saturate,
        Fail,
    }

    private enum OperationKind
    {
        Get,
        Set,
        IncrementBy,
    }

    private readonly record struct Operation(OperationKind Kind, long Offset, int Bits, bool IsSigned, long Operand, Overflow Overflow);

    /// <summary>
    /// BITFIELD key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] SET encoding offset value | INCRBY encoding
    /// offset increment ...]
    /// </summary>
    [Command("BITFIELD", -2, CommandFlags.Write | CommandFlags.DenyOom, Category.Bitmap, Keys = "RW UPDATE ACCESS VARIABLE_FLAGS 1",
        Since = "3.2.0", Complexity = "O(1) for each subcommand specified",
        Summary = "Performs arbitrary bitfield integer operations on strings.",
        KeyNotes = "This command allows both access and modification of the key",
        Syntax = "key operation=[<get-block=GET <encoding offset> | write=<[overflow-block=OVERFLOW <WRAP | SAT | FAIL>] write-operation=<set-block=SET "
            + "<encoding offset value:integer> | incrby-block=INCRBY <encoding offset increment>>>> [GET <encoding offset> | <[OVERFLOW <WRAP | SAT | "
            + "FAIL>] <SET <encoding offset value> | INCRBY <encoding offset increment>>> ...]]")]
    internal static void Bitfield(ref CommandContext call)
    {
        if (TryParse(ref call, out List<Operation> operations, out long lastBit)) Run(ref call, operations, lastBit);
    }

    /// <summary>BITFIELD_RO key [GET encoding offset [GET encoding offset ...]]</summary>
    [Command("BITFIELD_RO", -2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Bitmap, Keys = "RO ACCESS 1",
        Since = "6.0.0", Complexity = "O(1) for each subcommand specified",
        Summary = "Performs arbitrary read-only bitfield integer operations on strings.",
        Syntax = "key [get-block=GET <encoding offset> [GET <encoding offset> ...]]")]
    internal static void BitfieldRo(ref CommandContext call)
    {
        if (!TryParse(ref call, out List<Operation> operations, out long lastBit)) return;
        if (lastBit >= 0) call.Reply.Error("ERR BITFIELD_RO only supports the GET subcommand"u8);
        else Run(ref call, operations, lastBit);
    }

    /// <summary>
    /// Parses the operations. <paramref name="lastBit"/> is the last bit that any of them writes; -1 if they all only
    /// read.
    /// </summary>
    private static bool TryParse(ref CommandContext call, out List<Operation> operations, out long lastBit)
    {
        operations = [];
        lastBit = -1;
        var overflow = Overflow.Wrap;
        for (int i = 2; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            int more = call.Count - i - 1;
            OperationKind kind;
            if (more >= 2 && word.Is("GET"u8))
            {
                kind = OperationKind.Get;
            }
            else if (more >= 3 && word.Is("SET"u8))
            {
                kind = OperationKind.Set;
            }
            else if (more >= 3 && word.Is("INCRBY"u8))
            {
                kind = OperationKind.IncrementBy;
            }
            else if (more >= 1 && word.Is("OVERFLOW"u8))
            {
                if (!TryOverflow(call[++i], out overflow))
                {
                    call.Reply.Error("ERR Invalid OVERFLOW type specified"u8);
                    return false;
                }
                continue;
            }
            else
            {
                call.SyntaxError();
                return false;
            }
            if (!TryEncoding(call[i + 1], out bool isSigned, out int bits))
            {
                call.Reply.Error("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."u8);
                return false;
            }
            if (!Bitmaps.TryOffset(ref call, i + 2, bits, out long offset)) return false;
            long operand = 0;
            i += 2;
            if (kind != OperationKind.Get)
            {
                if (!call.TryInt64(++i, out operand)) return false;
                lastBit = Math.Max(lastBit, offset + bits - 1);
            }
            operations.Add(new(kind, offset, bits, isSigned, operand, overflow));
        }
        return true;
    }

    private static bool TryOverflow(ReadOnlySpan<byte> word, out Overflow overflow)
    {
        overflow = word.Is("SAT"u8) ? Overflow.Saturate : word.Is("FAIL"u8) ? Overflow.Fail : Overflow.Wrap;
        return overflow != Overflow.Wrap || word.Is("WRAP"u8);
    }

    private static bool TryEncoding(ReadOnlySpan<byte> text, out bool isSigned, out int bits)
    {
        isSigned = text.Length > 0 && text[0] == 'i';
        bits = 0;
        if (!isSigned && (text.Length == 0 || text[0] != 'u')) return false;
        if (!Numbers.TryParseInt64(text[1..], out long number) || number < 1 || number > (isSigned ? 64 : 63)) return false;
        bits = (int)number;
        return true;
    }

    private static void Run(ref CommandContext call, List<Operation> operations, long lastBit)
    {
        bool writes = lastBit >= 0, grows = false;
        int changes = 0;
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        Span<byte> room = default;
        if (writes ? !call.TryWrite(1, ValueType.String, out Entry entry) : !call.TryRead(1, ValueType.String, out entry)) return;
        Keyspace keyspace = entry.Keyspace;
        if (writes)
        {
            int length = (int)Math.Min(Array.MaxLength, (lastBit >> 3) + 1);
            grows = entry.IsMissing || StringEntry.Length(entry.Found) < length;
            room = StringWrites.Extend(ref call, entry, call[1], length);
        }
        ReadOnlySpan<byte> bytes = writes ? room : Bitmaps.BytesOf(entry, scratch);
        call.Reply.Array(operations.Count);
        foreach (Operation operation in operations)
        {
            long old = Get(bytes, operation);
            if (operation.Kind == OperationKind.Get)
            {
                call.Reply.Integer(old);
                continue;
            }
            if (!TryCompute(operation, old, out long value))
            {
                call.Reply.Null();
                continue;
            }
            call.Reply.Integer(operation.Kind == OperationKind.Set ? old : value);
            Put(room, operation, value);
            if (grows || value != old) changes++;
        }
        // The string has grown even if every operation has failed.
        if (grows || changes > 0) Bitmaps.Changed(ref call, keyspace, Math.Max(1, changes));
    }

    /// <summary>Computes the new value of the integer; false if that overflows and OVERFLOW FAIL applies.</summary>
    private static bool TryCompute(in Operation operation, long old, out long value)
    {
        Int128 max = (Int128.One << (operation.IsSigned ? operation.Bits - 1 : operation.Bits)) - 1, min = operation.IsSigned ? -max - 1 : 0;
        // With SET, a negative number for an unsigned integer stands for its two's complement.
        Int128 wanted = operation.Kind == OperationKind.IncrementBy ? (Int128)old + operation.Operand
            : operation.IsSigned ? operation.Operand : (ulong)operation.Operand;
        value = unchecked((long)wanted);
        if (wanted >= min && wanted <= max) return true;
        // Redis computes the distance to the largest value in 64 bits. Where that wraps, a number far too small counts
        // as too large.
        bool tooLarge = wanted > max || (operation is { IsSigned: true, Kind: OperationKind.Set } && max - wanted > long.MaxValue);
        value = operation.Overflow == Overflow.Saturate ? (long)(tooLarge ? max : min) : Narrow(value, operation);
        return operation.Overflow != Overflow.Fail;
    }

    private static long Get(ReadOnlySpan<byte> bytes, in Operation operation)
    {
        long value = 0, bit = operation.Offset;
        for (int left = operation.Bits; left > 0;)
        {
            int inByte = (int)(bit & 7), take = Math.Min(8 - inByte, left);
            int content = bit >> 3 < bytes.Length ? bytes[(int)(bit >> 3)] : 0;
            value = (value << take) | (uint)((content >> (8 - inByte - take)) & ((1 << take) - 1));
            bit += take;
            left -= take;
        }
        return Narrow(value, operation);
    }

    private static void Put(Span<byte> bytes, in Operation operation, long value)
    {
        long bit = operation.Offset;
        for (int left = operation.Bits; left > 0;)
        {
            int inByte = (int)(bit & 7), take = Math.Min(8 - inByte, left), shift = 8 - inByte - take;
            int mask = ((1 << take) - 1) << shift;
            ref byte content = ref bytes[(int)(bit >> 3)];
            content = (byte)((content & ~mask) | (((int)(value >> (left - take)) << shift) & mask));
            bit += take;
            left -= take;
        }
    }

    /// <summary>The lowest bits of a number, sign-extended if the integer is signed.</summary>
    private static long Narrow(long value, in Operation operation)
    {
        int unused = 64 - operation.Bits;
        return operation.IsSigned ? value << unused >> unused : (long)((ulong)value << unused >> unused);
    }
}
