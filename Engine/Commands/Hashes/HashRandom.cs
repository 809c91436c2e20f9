namespace OrleansRedis.Engine;

/// <summary>Random fields of a hash: HRANDFIELD.</summary>
internal static class HashRandom
{
    /// <summary>HRANDFIELD key [count [WITHVALUES]]</summary>
    [Command("HRANDFIELD", -2, CommandFlags.ReadOnly, Category.Hash, Keys = "1", Since = "6.2.0",
        Complexity = "O(N) where N is the number of fields returned",
        Summary = "Returns one or more random fields from a hash.",
        Syntax = "key options=[count [WITHVALUES]]",
        Tips = "nondeterministic_output")]
    internal static void Hrandfield(ref CommandContext call)
    {
        long count = 1;
        bool many = call.Count > 2, values = call.Count == 4;
        if (many && !call.TryNegatable(2, out count)) return;
        if (call.Count > 4 || (values && !call[3].Is("WITHVALUES"u8)))
        {
            call.SyntaxError();
            return;
        }
        if (values && count is < -long.MaxValue / 2 or > long.MaxValue / 2)
        {
            call.Reply.Error("ERR value is out of range"u8);
            return;
        }
        if (!call.TryRead(1, ValueType.Hash, out Entry entry)) return;
        RespWriter reply = call.Reply;
        if (!many)
        {
            if (entry.IsMissing) reply.Null();
            else Any(entry.Found).Field.WriteTo(reply);
            return;
        }
        if (entry.IsMissing || count == 0)
        {
            reply.Array(0);
            return;
        }
        KeyEntry hash = entry.Found;
        int size = HashEntry.Count(hash);
        if (count < 0) ReplyWithRepetition(reply, hash, -count, values);
        else if (count >= size || count * 3 > size || hash.IsBlob) ReplySelection(reply, hash, size, (int)Math.Min(count, size), values);
        else ReplyFew(reply, hash.As<HashValue>(), (int)count, values);
    }

    private static HashItem Any(KeyEntry hash)
    {
        if (!hash.TryBlob(out Blob blob)) return HashItem.Of(hash.As<HashValue>().Fields.Random(Random.Shared));
        Listpack listpack = Listpack.In(blob);
        int step = HashEntry.Step(blob);
        return HashItem.At(listpack, listpack.Seek(Random.Shared.Next(listpack.Count / step) * step), step == 3);
    }

    /// <summary>
    /// Begins the reply: RESP3 has a pair for each field and its value, RESP2 has them one after the other.
    /// </summary>
    private static void Begin(RespWriter reply, long count, bool values) => reply.Array(values && !reply.Resp3 ? count * 2 : count);

    private static void Write(RespWriter reply, in HashItem item, bool values)
    {
        if (values && reply.Resp3) reply.Array(2);
        item.Field.WriteTo(reply);
        if (values) item.Value.WriteTo(reply);
    }

    private static void ReplyWithRepetition(RespWriter reply, KeyEntry hash, long count, bool values)
    {
        if (!SetRandom.TryAnnounce(reply, count)) return;
        Begin(reply, count, values);
        if (hash.TryBlob(out Blob blob) && count > 1)
        {
            // Finds all of them in one walk, instead of walking once for each.
            Listpack listpack = Listpack.In(blob);
            int step = HashEntry.Step(blob), found = 0, index = 0;
            int[] positions = new int[listpack.Count / step];
            for (int at = listpack.First; at >= 0; at = listpack.Next(at))
            {
                if (index++ % step == 0) positions[found++] = at;
            }
            for (; count > 0 && !reply.HasOverflowed; count--) Write(reply, HashItem.At(listpack, positions[Random.Shared.Next(found)], step == 3), values);
            return;
        }
        for (; count > 0 && !reply.HasOverflowed; count--) Write(reply, Any(hash), values);
    }

    /// <summary>
    /// Walks the hash once, and takes each field with the probability that makes every selection equally likely
    /// (Knuth's algorithm S).
    /// </summary>
    private static void ReplySelection(RespWriter reply, KeyEntry hash, int size, int count, bool values)
    {
        Begin(reply, count, values);
        foreach (HashItem item in new HashItems(hash))
        {
            if (count == 0) break;
            if (Random.Shared.Next(size--) >= count) continue;
            Write(reply, item, values);
            count--;
        }
    }

    /// <summary>For a few fields of many: draws until there are enough different ones.</summary>
    private static unsafe void ReplyFew(RespWriter reply, HashValue hash, int count, bool values)
    {
        Begin(reply, count, values);
        var drawn = new HashSet<nint>(count);
        while (drawn.Count < count)
        {
            HashField field = hash.Fields.Random(Random.Shared);
            if (drawn.Add((nint)field.Block)) Write(reply, HashItem.Of(field), values);
        }
    }
}
