namespace OrleansRedis.Engine;

/// <summary>
/// Commands on a single set. Operations on several sets are in SetAlgebra.cs, SPOP and SRANDMEMBER in SetRandom.cs.
/// </summary>
internal static class Sets
{
    /// <summary>SADD key member [member ...]</summary>
    [Command("SADD", -3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Set, Keys = "RW INSERT 1", Element = 2, Since = "1.0.0",
        Complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        Summary = "Adds one or more members to a set. Creates the key if it doesn't exist.",
        Syntax = "key member [member ...]",
        History = "2.4.0: Accepts multiple `member` arguments.")]
    internal static void Sadd(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.Set, out Entry entry)) return;
        ReadOnlySpan<byte> key = call[1];
        ServerOptions options = call.Store.Options;
        int count = call.Count - 2, added = 0;
        KeyEntry set = entry.IsMissing
            ? SetEntry.Create(key, call[2], count, RoomFor(ref call, 2), options)
            : Expect(entry.Found, count, options);
        for (int i = 2; i < call.Count; i++)
        {
            set = SetEntry.Add(set, call[i], options, out bool isNew);
            if (isNew) added++;
        }
        if (entry.IsMissing)
        {
            call.Add(entry.Keyspace, SetEntry.Trim(set));
            call.Modified(entry.Keyspace, key, KeyEvents.Set, "sadd"u8, added);
        }
        else
        {
            entry.Replace(set);
            if (added > 0) call.Modified(entry, KeyEvents.Set, "sadd"u8, added);
        }
        call.Reply.Integer(added);
    }

    /// <summary>SREM key member [member ...]</summary>
    [Command("SREM", -3, CommandFlags.Write | CommandFlags.Fast, Category.Set, Keys = "RW DELETE 1", Element = 2, Since = "1.0.0",
        Complexity = "O(N) where N is the number of members to be removed.",
        Summary = "Removes one or more members from a set. Deletes the set if the last member was removed.",
        Syntax = "key member [member ...]",
        History = "2.4.0: Accepts multiple `member` arguments.")]
    internal static void Srem(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.Set, out Entry entry)) return;
        int removed = 0;
        if (!entry.IsMissing)
        {
            KeyEntry set = entry.Found;
            for (int i = 2; i < call.Count && SetEntry.Count(set) > 0; i++)
            {
                set = SetEntry.Remove(set, call[i], out bool wasThere);
                if (wasThere) removed++;
            }
            if (removed > 0) Removed(ref call, entry, set, call[1], removed, "srem"u8);
        }
        call.Reply.Integer(removed);
    }

    /// <summary>SMEMBERS key</summary>
    [Command("SMEMBERS", 2, CommandFlags.ReadOnly, Category.Set, Keys = "1", Effort = Effort.AllElements, Since = "1.0.0",
        Complexity = "O(N) where N is the set cardinality.",
        Summary = "Returns all members of a set.",
        Syntax = "key",
        Tips = "nondeterministic_output_order")]
    internal static void Smembers(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Set, out Entry entry)) return;
        if (entry.IsMissing) call.Reply.Set(0);
        else ReplyAll(ref call, entry.Found);
    }

    /// <summary>SISMEMBER key member</summary>
    [Command("SISMEMBER", 3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Set, Keys = "RO 1", Element = 2, Since = "1.0.0",
        Complexity = "O(1)",
        Summary = "Determines whether a member belongs to a set.",
        Syntax = "key member")]
    internal static void Sismember(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Set, out Entry entry)) return;
        call.Reply.Integer(!entry.IsMissing && SetEntry.Contains(entry.Found, call[2]) ? 1 : 0);
    }

    /// <summary>SMISMEMBER key member [member ...]</summary>
    [Command("SMISMEMBER", -3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Set, Keys = "1", Since = "6.2.0",
        Complexity = "O(N) where N is the number of elements being checked for membership",
        Summary = "Determines whether multiple members belong to a set.",
        Syntax = "key member [member ...]")]
    internal static void Smismember(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Set, out Entry entry)) return;
        call.Reply.Array(call.Count - 2);
        for (int i = 2; i < call.Count; i++) call.Reply.Integer(!entry.IsMissing && SetEntry.Contains(entry.Found, call[i]) ? 1 : 0);
    }

    /// <summary>SCARD key</summary>
    [Command("SCARD", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Set, Keys = "RO 1", Since = "1.0.0",
        Complexity = "O(1)",
        Summary = "Returns the number of members in a set.",
        Syntax = "key")]
    internal static void Scard(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Set, out Entry entry)) return;
        call.Reply.Integer(entry.IsMissing ? 0 : SetEntry.Count(entry.Found));
    }

    /// <summary>SMOVE source destination member</summary>
    [Command("SMOVE", 4, CommandFlags.Write | CommandFlags.Fast, Category.Set, Keys = "RW ACCESS DELETE 1; RW INSERT 2", Since = "1.0.0",
        Complexity = "O(1)",
        Summary = "Moves a member from one set to another.",
        Syntax = "source destination member")]
    internal static void Smove(ref CommandContext call)
    {
        ReadOnlySpan<byte> source = call[1], destination = call[2], member = call[3];
        Entry from = call.Write(source);
        if (from.IsMissing)
        {
            call.Reply.Integer(0);
            return;
        }
        if (!call.IsOf(ValueType.Set, from)) return;
        Entry to = call.Write(destination);
        if (!call.IsOf(ValueType.Set, to)) return;
        from = call.Peek(source); // looking up the other key may have moved it
        if (source.SequenceEqual(destination) || !SetEntry.Contains(from.Found, member))
        {
            call.Reply.Integer(SetEntry.Contains(from.Found, member) ? 1 : 0);
            return;
        }
        KeyEntry rest = SetEntry.Remove(from.Found, member, out _);
        Removed(ref call, from, rest, source, 1, "srem"u8);
        if (call.Hold != Hold.Slot) call.Effect(call.KeyspaceOf(source), "SREM"u8, source, member);

        ServerOptions options = call.Store.Options;
        to = call.Peek(destination);
        bool added = true;
        if (to.IsMissing)
        {
            KeyEntry made = SetEntry.Create(destination, member, 1, Listpack.SizeOf(member), options);
            call.Add(to.Keyspace, SetEntry.Trim(SetEntry.Add(made, member, options, out _)));
            call.Modified(to.Keyspace, destination, KeyEvents.Set, "sadd"u8);
        }
        else
        {
            to.Replace(SetEntry.Add(to.Found, member, options, out added));
            if (added) call.Modified(to, KeyEvents.Set, "sadd"u8);
        }
        if (added && call.Hold != Hold.Slot) call.Effect(to.Keyspace, "SADD"u8, destination, member);
        call.Reply.Integer(1);
    }

    /// <summary>SSCAN key cursor [MATCH pattern] [COUNT count]</summary>
    [Command("SSCAN", -3, CommandFlags.ReadOnly, Category.Set, Keys = "1", Since = "2.8.0",
        Complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the "
            + "number of elements inside the collection.",
        Summary = "Iterates over members of a set.",
        Syntax = "key cursor [MATCH pattern] [COUNT count]",
        Tips = "nondeterministic_output")]
    internal static void Sscan(ref CommandContext call)
    {
        if (!ScanOptions.TryOpen(ref call, ValueType.Set, ScanOptions.Of.Set, out Entry entry, out ulong cursor, out ScanOptions options)) return;
        RespWriter reply = call.Reply;
        int count = 0;
        if (entry.IsBlob)
        {
            // A small set is replied in one go.
            int begin = ScanOptions.BeginReply(reply, 0);
            Span<byte> scratch = stackalloc byte[SetMember.ScratchLength];
            foreach (SetMember member in new SetMembers(entry.Found))
            {
                ReadOnlySpan<byte> text = member.AsSpan(scratch);
                if (!options.Wants(text)) continue;
                reply.BulkString(text);
                count++;
            }
            reply.Finish(begin, Aggregate.Array, count);
            return;
        }
        List<StoredMember> met = t_met ??= [];
        int start = ScanOptions.BeginReply(reply, entry.Found.As<SetValue>().Members.ScanFrom(cursor, options.Count, met));
        foreach (StoredMember member in met)
        {
            ReadOnlySpan<byte> text = member.Key;
            if (!options.Wants(text)) continue;
            reply.BulkString(text);
            count++;
        }
        reply.Finish(start, Aggregate.Array, count);
        met.Clear();
    }

    [ThreadStatic]
    private static List<StoredMember>? t_met;

    /// <summary>Replies with all members of a set.</summary>
    internal static void ReplyAll(ref CommandContext call, KeyEntry set)
    {
        RespWriter reply = call.Reply;
        reply.Set(SetEntry.Count(set));
        foreach (SetMember member in new SetMembers(set)) member.WriteTo(reply);
    }

    /// <summary>
    /// To be called after so many members were removed from a set: stores the rest, or removes the key if nothing is
    /// left, and publishes the change.
    /// </summary>
    internal static void Removed(
        ref CommandContext call, in Entry entry, KeyEntry rest, ReadOnlySpan<byte> key, int removed, ReadOnlySpan<byte> eventName)
    {
        Keyspace keyspace = entry.Keyspace;
        entry.Replace(rest);
        call.Modified(entry, KeyEvents.Set, eventName, removed);
        if (SetEntry.Count(rest) > 0) return;
        keyspace.Remove(key);
        call.Event(keyspace, key, KeyEvents.Generic, "del"u8);
    }

    /// <summary>
    /// Turns a set into a table at once, if it is about to get so many members that it cannot stay packed.
    /// </summary>
    private static KeyEntry Expect(KeyEntry set, int count, ServerOptions options)
    {
        if (!set.TryBlob(out Blob blob)) return set;
        long most = blob.Kind == BlobKind.SetIntset ? options.SetMaxIntsetEntries : options.SetMaxListpackEntries;
        return count > most ? SetEntry.ToTable(set, count) : set;
    }

    private static int RoomFor(ref CommandContext call, int from)
    {
        int bytes = 0;
        for (int i = from; i < call.Count && bytes < Blob.LargestString; i++) bytes += Listpack.SizeOf(call[i]);
        return bytes;
    }
}
