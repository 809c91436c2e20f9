namespace OrleansRedis.Engine;

/// <summary>Fields that are numbers: HINCRBY and HINCRBYFLOAT. Both leave the field's expiry alone.</summary>
internal static class HashCounters
{
    /// <summary>HINCRBY key field increment</summary>
    [Command("HINCRBY", 4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Hash, Keys = "RW ACCESS UPDATE 1", Since = "2.0.0",
        Complexity = "O(1)",
        Summary = "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
        Syntax = "key field increment")]
    internal static void Hincrby(ref CommandContext call)
    {
        if (!call.TryInt64(3, out long increment) || !call.TryWrite(1, ValueType.Hash, out Entry entry)) return;
        long number = 0;
        if (!entry.IsMissing && HashEntry.TryGet(entry.Object, call[2], out HashItem item))
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

    /// <summary>Gives the field, argument 2, another value, and keeps its expiry.</summary>
    private static void Assign(ref CommandContext call, in Entry entry, scoped ReadOnlySpan<byte> value)
    {
        ReadOnlySpan<byte> key = call[1], field = call[2];
        ServerOptions options = call.Store.Options;
        // As in Redis, the lengths of field and value do not matter here: they are short, or were accepted before.
        object hash = entry.IsMissing
            ? options.HashMaxListpackEntries > 0 ? HashEntry.CreateListpack(key, Listpack.SizeOf(field) + Listpack.SizeOf(value)) : new HashValue(key.ToArray(), 1)
            : entry.Object;
        Hashes.Put(ref call, entry, HashEntry.Set(hash, field, value, HashEntry.KeepExpiry, options, out _));
    }
}
