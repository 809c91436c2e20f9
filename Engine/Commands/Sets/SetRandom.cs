namespace OrleansRedis.Engine;

/// <summary>Random members of a set: SPOP and SRANDMEMBER.</summary>
internal static class SetRandom
{
    /// <summary>The most members in one SREM effect, so that effects do not grow without bound.</summary>
    private const int MembersPerEffect = 1024;

    /// <summary>SPOP key [count]</summary>
    [Command("SPOP", -2, CommandFlags.Write | CommandFlags.Fast, Category.Set, Keys = "RW ACCESS DELETE 1", Since = "1.0.0",
        Complexity = "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
        Summary = "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped.",
        Syntax = "key [count] @3.2.0",
        Tips = "nondeterministic_output",
        History = "3.2.0: Added the `count` argument.")]
    internal static void Spop(ref CommandContext call)
    {
        if (call.Count > 3)
        {
            call.SyntaxError();
            return;
        }
        bool many = call.Count == 3;
        long count = 1;
        if (many && (!Numbers.TryParseInt64(call[2], out count) || count < 0))
        {
            call.Reply.Error("ERR value is out of range, must be positive"u8);
            return;
        }
        if (!call.TryWrite(1, ValueType.Set, out Entry entry)) return;
        if (entry.IsMissing || count == 0)
        {
            if (many) call.Reply.Set(0);
            else call.Reply.Null();
            return;
        }
        int size = SetEntry.Count(entry.Found);
        if (many && count >= size) PopAll(ref call, entry);
        else Pop(ref call, entry, (int)count, many);
    }

    private static void PopAll(ref CommandContext call, in Entry entry)
    {
        ReadOnlySpan<byte> key = call[1];
        Keyspace keyspace = entry.Keyspace;
        Sets.ReplyAll(ref call, entry.Found);
        call.Modified(keyspace, key, KeyEvents.Set, "spop"u8, SetEntry.Count(entry.Found));
        keyspace.Remove(key);
        call.Event(keyspace, key, KeyEvents.Generic, "del"u8);
        call.Effect(keyspace, "DEL"u8, key);
    }

    private static void Pop(ref CommandContext call, in Entry entry, int count, bool many)
    {
        ReadOnlySpan<byte> key = call[1];
        Keyspace keyspace = entry.Keyspace;
        RespWriter reply = call.Reply;
        if (many) reply.Set(count);
        KeyEntry set = entry.Found;
        int left = count;
        Span<byte> scratch = stackalloc byte[SetMember.ScratchLength];
        while (left > 0)
        {
            int batch = Math.Min(left, MembersPerEffect);
            left -= batch;
            RespWriter? effect = call.BeginEffect(2 + batch);
            effect?.BulkString("SREM"u8);
            effect?.BulkString(key);
            if (batch > 1 && set.TryBlob(out Blob blob) && blob.Kind == BlobKind.SetListpack)
            {
                set = PopFromListpack(blob, batch, reply, effect);
            }
            else
            {
                for (int i = 0; i < batch; i++)
                {
                    ReadOnlySpan<byte> member = Any(set).AsSpan(scratch);
                    reply.BulkString(member);
                    effect?.BulkString(member);
                    set = SetEntry.Remove(set, member, out _);
                }
            }
            if (effect is not null) call.EndEffect(keyspace);
        }
        Sets.Removed(ref call, entry, set, key, count, "spop"u8);
    }

    /// <summary>Pops several members of a listpack in one walk.</summary>
    private static KeyEntry PopFromListpack(Blob blob, int count, RespWriter reply, RespWriter? effect)
    {
        Listpack listpack = Listpack.In(blob);
        int[] positions = new int[count];
        int taken = 0, left = listpack.Count;
        for (int at = listpack.First; taken < count; at = listpack.Next(at))
        {
            if (Random.Shared.Next(left--) >= count - taken) continue;
            positions[taken++] = at;
            listpack[at].WriteTo(reply);
            if (effect is not null) listpack[at].WriteTo(effect);
        }
        listpack.Delete(positions);
        return listpack.Blob;
    }

    /// <summary>SRANDMEMBER key [count]</summary>
    [Command("SRANDMEMBER", -2, CommandFlags.ReadOnly, Category.Set, Keys = "1", Since = "1.0.0",
        Complexity = "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
        Summary = "Get one or multiple random members from a set",
        Syntax = "key [count] @2.6.0",
        Tips = "nondeterministic_output",
        History = "2.6.0: Added the optional `count` argument.")]
    internal static void Srandmember(ref CommandContext call)
    {
        if (call.Count > 3)
        {
            call.SyntaxError();
            return;
        }
        long count = 1;
        bool many = call.Count == 3;
        if (many && !call.TryNegatable(2, out count)) return;
        if (!call.TryRead(1, ValueType.Set, out Entry entry)) return;
        RespWriter reply = call.Reply;
        if (!many)
        {
            if (entry.IsMissing) reply.Null();
            else Any(entry.Found).WriteTo(reply);
            return;
        }
        if (entry.IsMissing || count == 0)
        {
            reply.Array(0);
            return;
        }
        KeyEntry set = entry.Found;
        int size = SetEntry.Count(set);
        if (count < 0) ReplyWithRepetition(reply, set, -count);
        else if (count >= size || count * 3 > size || set.IsBlob) ReplySelection(reply, set, size, (int)Math.Min(count, size));
        else ReplyFew(reply, set.As<SetValue>(), (int)count);
    }

    /// <summary>
    /// Whether to reply with this many elements, drawn with repetition. A reply too large for any client is not even
    /// begun; Redis would write until it runs out of memory.
    /// </summary>
    internal static bool TryAnnounce(RespWriter reply, long count)
    {
        const int leastElement = 6; // "$0\r\n\r\n"
        return reply.TryAnnounce(Math.Min(count, long.MaxValue / (2 * leastElement)) * leastElement);
    }

    /// <summary>A random member. The set must not be empty.</summary>
    internal static SetMember Any(KeyEntry set)
    {
        if (!set.TryBlob(out Blob blob)) return new(set.As<SetValue>().Members.Random(Random.Shared).Key);
        if (blob.Kind == BlobKind.SetIntset)
        {
            Intset intset = Intset.In(blob);
            return new(intset[Random.Shared.Next(intset.Count)]);
        }
        Listpack listpack = Listpack.In(blob);
        return SetEntry.MemberAt(blob, listpack.Seek(Random.Shared.Next(listpack.Count)));
    }

    private static void ReplyWithRepetition(RespWriter reply, KeyEntry set, long count)
    {
        if (!TryAnnounce(reply, count)) return;
        reply.Array(count);
        if (set.TryBlob(out Blob blob) && blob.Kind == BlobKind.SetListpack && count > 1)
        {
            // Finds all of them in one walk, instead of walking once for each.
            Listpack listpack = Listpack.In(blob);
            int[] positions = new int[listpack.Count];
            int found = 0;
            for (int at = listpack.First; at >= 0; at = listpack.Next(at)) positions[found++] = at;
            for (; count > 0 && !reply.HasOverflowed; count--) listpack[positions[Random.Shared.Next(found)]].WriteTo(reply);
            return;
        }
        for (; count > 0 && !reply.HasOverflowed; count--) Any(set).WriteTo(reply);
    }

    /// <summary>
    /// Walks the set once, and takes each member with the probability that makes every selection equally likely
    /// (Knuth's algorithm S).
    /// </summary>
    private static void ReplySelection(RespWriter reply, KeyEntry set, int size, int count)
    {
        reply.Array(count);
        foreach (SetMember member in new SetMembers(set))
        {
            if (count == 0) break;
            if (Random.Shared.Next(size--) >= count) continue;
            member.WriteTo(reply);
            count--;
        }
    }

    /// <summary>For a few members of many: draws until there are enough different ones.</summary>
    private static unsafe void ReplyFew(RespWriter reply, SetValue set, int count)
    {
        reply.Array(count);
        var drawn = new HashSet<nint>(count);
        while (drawn.Count < count)
        {
            StoredMember member = set.Members.Random(Random.Shared);
            if (drawn.Add((nint)member.Block)) reply.BulkString(member.Key);
        }
    }
}
