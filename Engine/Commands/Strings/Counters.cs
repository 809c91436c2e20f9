namespace OrleansRedis.Engine;

/// <summary>Strings that hold numbers.</summary>
internal static class Counters
{
    /// <summary>INCR key</summary>
    [Command("INCR", 2, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.String, Keys = "RW ACCESS UPDATE 1", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.", Syntax = "key")]
    internal static void Incr(ref CommandContext call) => Add(ref call, 1);

    /// <summary>DECR key</summary>
    [Command("DECR", 2, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.String, Keys = "RW ACCESS UPDATE 1", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.", Syntax = "key")]
    internal static void Decr(ref CommandContext call) => Add(ref call, -1);

    /// <summary>INCRBY key increment</summary>
    [Command("INCRBY", 3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.String, Keys = "RW ACCESS UPDATE 1", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        Syntax = "key increment")]
    internal static void Incrby(ref CommandContext call)
    {
        if (call.TryInt64(2, out long increment)) Add(ref call, increment);
    }

    /// <summary>DECRBY key decrement</summary>
    [Command("DECRBY", 3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.String, Keys = "RW ACCESS UPDATE 1", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
        Syntax = "key decrement")]
    internal static void Decrby(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long decrement)) return;
        if (decrement == long.MinValue) call.Reply.Error("ERR decrement would overflow"u8);
        else Add(ref call, -decrement);
    }

    /// <summary>INCRBYFLOAT key increment — Computes in extended precision, as Redis does.</summary>
    [Command("INCRBYFLOAT", 3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.String, Keys = "RW ACCESS UPDATE 1",
        Since = "2.6.0", Complexity = "O(1)",
        Summary = "Increment the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        Syntax = "key increment:double")]
    internal static void Incrbyfloat(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.String, out Entry entry)) return;
        ReadOnlySpan<byte> key = call[1];
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        LongDouble number = default;
        if ((!entry.IsMissing && !LongDouble.TryParse(StringEntry.Read(entry.Found, scratch), out number)) ||
            !LongDouble.TryParse(call[2], out LongDouble increment))
        {
            call.Reply.Error(Errors.NotFloat);
            return;
        }
        number += increment;
        if (number.IsInfinite)
        {
            call.Reply.Error("ERR increment would produce NaN or Infinity"u8);
            return;
        }
        byte[] text = number.Format();
        if (entry.IsMissing)
        {
            call.Add(entry.Keyspace, StringEntry.CreateText(key, text, Expiry.Never));
        }
        else
        {
            KeyEntry made = StringEntry.CreateText(key, text, entry.ExpiresAtMs);
            made.SetAccessClock(entry.Found.AccessClock);
            entry.Overwrite(made);
        }
        call.Modified(entry.Keyspace, key, KeyEvents.String, "incrbyfloat"u8);
        call.Effect(entry.Keyspace, "SET"u8, key, text, "KEEPTTL"u8);
        call.Reply.BulkString(text);
    }

    private static void Add(ref CommandContext call, long increment)
    {
        if (!call.TryWrite(1, ValueType.String, out Entry entry)) return;
        ReadOnlySpan<byte> key = call[1];
        long number = 0;
        bool stored = false;
        if (!entry.IsMissing)
        {
            stored = entry.IsBlob && entry.Kind == BlobKind.Integer;
            if (stored)
            {
                number = entry.Blob.Integer;
            }
            else if (!Numbers.TryParseInt64(StringEntry.Read(entry.Found, default), out number))
            {
                call.Reply.Error(Errors.NotInteger);
                return;
            }
        }
        if (increment < 0 ? number < long.MinValue - increment : number > long.MaxValue - increment)
        {
            call.Reply.Error(Errors.Overflow);
            return;
        }
        number += increment;
        if (stored)
        {
            entry.Blob.SetInteger(number);
        }
        else if (entry.IsMissing)
        {
            call.Add(entry.Keyspace, Blob.CreateInteger(key, number, Expiry.Never));
        }
        else
        {
            var made = Blob.CreateInteger(key, number, entry.ExpiresAtMs);
            made.SetAccessClock(entry.Found.AccessClock);
            entry.Overwrite(made);
        }
        call.Modified(entry.Keyspace, key, KeyEvents.String, "incrby"u8);
        call.Reply.Integer(number);
    }
}
