namespace OrleansRedis.Engine;

/// <summary>Fields that are numbers: HINCRBY and HINCRBYFLOAT. Both leave the field's expiry unchanged.</summary>
internal static class HashCounters
{
    /// <summary>HINCRBY key field increment</summary>
    [Command("HINCRBY", 4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Hash, Keys = "RW ACCESS UPDATE 1", Element = 2,
        Since = "2.0.0", Complexity = "O(1)",
        Summary = "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
        Syntax = "key field increment")]
    internal static void Hincrby(ref CommandContext call)
    {
        if (!call.TryInt64(3, out long increment) || !call.TryWrite(1, ValueType.Hash, out Entry entry)) return;
        long number = 0;
        if (!entry.IsMissing && HashEntry.TryGet(entry.Found, call[2], out HashItem item))
        {
            if (item.Value.IsInteger)
            {
                number = item.Value.Integer;
            }
            else if (!Numbers.TryParseInt64(item.Value.Text, out number))
            {
                call.Reply.Error("ERR hash value is not an integer"u8);
                return;
            }
        }
        if (increment < 0 ? number < long.MinValue - increment : number > long.MaxValue - increment)
        {
            call.Reply.Error(Errors.Overflow);
            return;
        }
        number += increment;
        Span<byte> digits = stackalloc byte[20];
        Assign(ref call, entry, digits[..Numbers.FormatInt64(number, digits)]);
        call.Modified(entry.Keyspace, call[1], KeyEvents.Hash, "hincrby"u8);
        call.Reply.Integer(number);
    }

    /// <summary>HINCRBYFLOAT key field increment</summary>
    [Command("HINCRBYFLOAT", 4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Hash, Keys = "RW ACCESS UPDATE 1", Element = 2,
        Since = "2.6.0", Complexity = "O(1)",
        Summary = "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
        Syntax = "key field increment:double")]
    internal static void Hincrbyfloat(ref CommandContext call)
    {
        if (!LongDouble.TryParse(call[3], out LongDouble increment))
        {
            call.Reply.Error(Errors.NotFloat);
            return;
        }
        if (increment.IsInfinite)
        {
            call.Reply.Error("ERR value is NaN or Infinity"u8);
            return;
        }
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry)) return;
        LongDouble number = default;
        long expiresAtMs = Expiry.Never;
        if (!entry.IsMissing && HashEntry.TryGet(entry.Found, call[2], out HashItem item))
        {
            expiresAtMs = item.ExpiresAtMs;
            if (!LongDouble.TryParse(item.Value.AsSpan(stackalloc byte[ListpackElement.ScratchLength]), out number))
            {
                call.Reply.Error("ERR hash value is not a float"u8);
                return;
            }
        }
        number += increment;
        if (number.IsInfinite)
        {
            call.Reply.Error("ERR increment would produce NaN or Infinity"u8);
            return;
        }
        byte[] text = number.Format();
        Assign(ref call, entry, text);
        call.Modified(entry.Keyspace, call[1], KeyEvents.Hash, "hincrbyfloat"u8);
        GiveEffects(ref call, entry.Keyspace, text, expiresAtMs);
        call.Reply.BulkString(text);
    }

    /// <summary>
    /// Gives an HSET with the result as the effect, so that no copy has to compute it again, and restores the expiry
    /// that HSET clears.
    /// </summary>
    private static void GiveEffects(ref CommandContext call, Keyspace keyspace, byte[] text, long expiresAtMs)
    {
        call.Effect(keyspace, "HSET"u8, call[1], call[2], text);
        if (expiresAtMs == Expiry.Never || call.BeginEffect(6) is not { } effect) return;
        effect.BulkString("HPEXPIREAT"u8);
        effect.BulkString(call[1]);
        effect.BulkInteger(expiresAtMs);
        effect.BulkString("FIELDS"u8);
        effect.BulkString("1"u8);
        effect.BulkString(call[2]);
        call.EndEffect(keyspace);
    }

    /// <summary>Gives the field, argument 2, a new value, and keeps its expiry.</summary>
    private static void Assign(ref CommandContext call, in Entry entry, scoped ReadOnlySpan<byte> value)
    {
        ReadOnlySpan<byte> key = call[1], field = call[2];
        ServerOptions options = call.Store.Options;
        bool fits = field.Length <= options.HashMaxListpackValue && value.Length <= options.HashMaxListpackValue;
        KeyEntry hash;
        if (!entry.IsMissing) hash = fits ? entry.Found : HashEntry.ToTable(entry.Found, 0);
        else if (!fits || options.HashMaxListpackEntries == 0) hash = new HashValue(key.ToArray(), 1);
        else hash = HashEntry.CreateListpack(key, Listpack.SizeOf(field) + Listpack.SizeOf(value));
        Hashes.Put(ref call, entry, HashEntry.Set(hash, field, value, HashEntry.KeepExpiry, options, out _));
    }
}
