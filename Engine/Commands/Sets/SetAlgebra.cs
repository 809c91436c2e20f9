namespace OrleansRedis.Engine;

/// <summary>Intersections, unions and differences of sets, replied or stored.</summary>
internal static class SetAlgebra
{
    /// <summary>The most members in one SADD effect, so that effects do not grow without bound.</summary>
    private const int MembersPerEffect = 1024;

    /// <summary>SINTER key [key ...]</summary>
    [Command("SINTER", -2, CommandFlags.ReadOnly, Category.Set, Keys = "RO ACCESS 1..-1", Effort = Effort.SmallestKey, Since = "1.0.0",
        Complexity = "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        Summary = "Returns the intersect of multiple sets.",
        Syntax = "key [key ...]",
        Tips = "nondeterministic_output_order")]
    internal static void Sinter(ref CommandContext call)
    {
        if (!TryReadSets(ref call, 1, call.Count - 1, out Span<KeyEntry> sets)) return;
        if (sets.Length == 1)
        {
            ReplySet(ref call, sets[0]);
            return;
        }
        RespWriter reply = call.Reply;
        int begin = reply.Begin(), count = 0;
        if (PrepareIntersection(sets))
        {
            foreach (SetMember member in new SetMembers(sets[0]))
            {
                if (!InAll(sets, member)) continue;
                member.WriteTo(reply);
                count++;
            }
        }
        reply.Finish(begin, Aggregate.Set, count);
    }

    /// <summary>SINTERCARD numkeys key [key ...] [LIMIT limit]</summary>
    [Command("SINTERCARD", -3, CommandFlags.ReadOnly, Category.Set, Keys = "RO ACCESS #1", Effort = Effort.SmallestKey, Since = "7.0.0",
        Complexity = "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        Summary = "Returns the number of members of the intersect of multiple sets.",
        Syntax = "numkeys key [key ...] [LIMIT limit]")]
    internal static void Sintercard(ref CommandContext call)
    {
        if (!Numbers.TryParseInt64(call[1], out long keys) || keys <= 0)
        {
            call.Reply.Error("ERR numkeys should be greater than 0"u8);
            return;
        }
        if (keys > call.Count - 2)
        {
            call.Reply.Error("ERR Number of keys can't be greater than number of args"u8);
            return;
        }
        long limit = 0;
        for (int i = 2 + (int)keys; i < call.Count; i++)
        {
            if (!call[i].Is("LIMIT"u8) || i + 1 == call.Count)
            {
                call.SyntaxError();
                return;
            }
            if (!Numbers.TryParseInt64(call[++i], out limit) || limit < 0)
            {
                call.Reply.Error("ERR LIMIT can't be negative"u8);
                return;
            }
        }
        if (!TryReadSets(ref call, 2, (int)keys, out Span<KeyEntry> sets)) return;
        int count = 0;
        if (PrepareIntersection(sets))
        {
            foreach (SetMember member in new SetMembers(sets[0]))
            {
                if (InAll(sets, member) && ++count == limit) break;
            }
        }
        call.Reply.Integer(count);
    }

    /// <summary>SINTERSTORE destination key [key ...]</summary>
    [Command("SINTERSTORE", -3, CommandFlags.Write | CommandFlags.DenyOom, Category.Set, Keys = "OW UPDATE 1; RO ACCESS 2..-1", Effort = Effort.SmallestKey,
        Since = "1.0.0", Complexity = "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        Summary = "Stores the intersect of multiple sets in a key.",
        Syntax = "destination key [key ...]")]
    internal static void Sinterstore(ref CommandContext call)
    {
        if (!TryReadSets(ref call, 2, call.Count - 2, out Span<KeyEntry> sets)) return;
        KeyEntry result = default;
        if (PrepareIntersection(sets))
        {
            ServerOptions options = call.Store.Options;
            result = CreateResult(call[1], SetEntry.Count(sets[0]), options);
            foreach (SetMember member in new SetMembers(sets[0]))
            {
                if (InAll(sets, member)) result = SetEntry.Add(result, member, options);
            }
        }
        Store(ref call, result, "sinterstore"u8);
    }

    /// <summary>SUNION key [key ...]</summary>
    [Command("SUNION", -2, CommandFlags.ReadOnly, Category.Set, Keys = "RO ACCESS 1..-1", Effort = Effort.AllElements, Since = "1.0.0",
        Complexity = "O(N) where N is the total number of elements in all given sets.",
        Summary = "Returns the union of multiple sets.",
        Syntax = "key [key ...]",
        Tips = "nondeterministic_output_order")]
    internal static void Sunion(ref CommandContext call)
    {
        if (!TryReadSets(ref call, 1, call.Count - 1, out Span<KeyEntry> sets)) return;
        LargestFirst(sets);
        if (sets.Length == 1 || sets[1].IsNone)
        {
            ReplySet(ref call, sets[0]);
            return;
        }
        // With few sets, each member is looked up in the sets before its own. With many, the union is built.
        if (sets.Length > 4)
        {
            ReplyOnce(ref call, Union(sets, [], call.Store.Options));
            return;
        }
        RespWriter reply = call.Reply;
        int begin = reply.Begin(), count = 0;
        for (int i = 0; i < sets.Length && !sets[i].IsNone; i++)
        {
            foreach (SetMember member in new SetMembers(sets[i]))
            {
                if (InAny(sets[..i], member)) continue;
                member.WriteTo(reply);
                count++;
            }
        }
        reply.Finish(begin, Aggregate.Set, count);
    }

    /// <summary>SUNIONSTORE destination key [key ...]</summary>
    [Command("SUNIONSTORE", -3, CommandFlags.Write | CommandFlags.DenyOom, Category.Set, Keys = "OW UPDATE 1; RO ACCESS 2..-1", Effort = Effort.AllElements,
        Since = "1.0.0", Complexity = "O(N) where N is the total number of elements in all given sets.",
        Summary = "Stores the union of multiple sets in a key.",
        Syntax = "destination key [key ...]")]
    internal static void Sunionstore(ref CommandContext call)
    {
        if (!TryReadSets(ref call, 2, call.Count - 2, out Span<KeyEntry> sets)) return;
        LargestFirst(sets);
        KeyEntry result = sets[0].IsNone ? default : Union(sets, call[1], call.Store.Options);
        Store(ref call, result, "sunionstore"u8);
    }

    /// <summary>SDIFF key [key ...]</summary>
    [Command("SDIFF", -2, CommandFlags.ReadOnly, Category.Set, Keys = "RO ACCESS 1..-1", Effort = Effort.AllElements, Since = "1.0.0",
        Complexity = "O(N) where N is the total number of elements in all given sets.",
        Summary = "Returns the difference of multiple sets.",
        Syntax = "key [key ...]",
        Tips = "nondeterministic_output_order")]
    internal static void Sdiff(ref CommandContext call)
    {
        if (!TryReadSets(ref call, 1, call.Count - 1, out Span<KeyEntry> sets)) return;
        KeyEntry first = sets[0];
        if (first.IsNone)
        {
            call.Reply.Set(0);
            return;
        }
        if (!LookUpEach(sets))
        {
            ReplyOnce(ref call, Subtract(sets, []));
            return;
        }
        RespWriter reply = call.Reply;
        int begin = reply.Begin(), count = 0;
        foreach (SetMember member in new SetMembers(first))
        {
            if (InAny(sets[1..], member)) continue;
            member.WriteTo(reply);
            count++;
        }
        reply.Finish(begin, Aggregate.Set, count);
    }

    /// <summary>SDIFFSTORE destination key [key ...]</summary>
    [Command("SDIFFSTORE", -3, CommandFlags.Write | CommandFlags.DenyOom, Category.Set, Keys = "OW UPDATE 1; RO ACCESS 2..-1", Effort = Effort.AllElements,
        Since = "1.0.0", Complexity = "O(N) where N is the total number of elements in all given sets.",
        Summary = "Stores the difference of multiple sets in a key.",
        Syntax = "destination key [key ...]")]
    internal static void Sdiffstore(ref CommandContext call)
    {
        if (!TryReadSets(ref call, 2, call.Count - 2, out Span<KeyEntry> sets)) return;
        KeyEntry result = default;
        KeyEntry first = sets[0];
        if (!first.IsNone)
        {
            ServerOptions options = call.Store.Options;
            if (LookUpEach(sets))
            {
                result = CreateResult(call[1], SetEntry.Count(first), options);
                foreach (SetMember member in new SetMembers(first))
                {
                    if (!InAny(sets[1..], member)) result = SetEntry.Add(result, member, options);
                }
            }
            else
            {
                result = Subtract(sets, call[1]);
            }
        }
        Store(ref call, result, "sdiffstore"u8);
    }

    /// <summary>Looks up all sources; a missing one is none. If one is not a set, the error is in the reply.</summary>
    private static bool TryReadSets(ref CommandContext call, int first, int count, out Span<KeyEntry> sets)
    {
        sets = new KeyEntry[count];
        for (int i = 0; i < count; i++)
        {
            // Keeps what the cells hold, since cells move when a look-up removes an expired key.
            if (!call.TryRead(first + i, ValueType.Set, out Entry entry)) return false;
            sets[i] = entry.IsMissing ? default : entry.Found;
        }
        return true;
    }

    /// <summary>
    /// Puts the smallest set first, and the others after it in ascending order. False if one is empty, because then the
    /// intersection is too.
    /// </summary>
    private static bool PrepareIntersection(Span<KeyEntry> sets)
    {
        foreach (KeyEntry set in sets)
        {
            if (set.IsNone) return false;
        }
        sets.Sort(static (a, b) => SetEntry.Count(a).CompareTo(SetEntry.Count(b)));
        return true;
    }

    private static void LargestFirst(Span<KeyEntry> sets) => sets.Sort(static (a, b) => CountOf(b).CompareTo(CountOf(a)));

    private static int CountOf(KeyEntry set) => set.IsNone ? 0 : SetEntry.Count(set);

    /// <summary>Whether a member of the first set is in all the others.</summary>
    private static bool InAll(ReadOnlySpan<KeyEntry> sets, in SetMember member)
    {
        for (int i = 1; i < sets.Length; i++)
        {
            if (sets[i] != sets[0] && !SetEntry.Contains(sets[i], member)) return false;
        }
        return true;
    }

    private static bool InAny(ReadOnlySpan<KeyEntry> sets, in SetMember member)
    {
        foreach (KeyEntry set in sets)
        {
            if (!set.IsNone && SetEntry.Contains(set, member)) return true;
        }
        return false;
    }

    /// <summary>
    /// Chooses the method for a difference as Redis does. Looking up each member of the first set in the others, the
    /// largest first, pays off as long as it takes at most twice the steps of removing the others' members from a copy
    /// of the first.
    /// </summary>
    private static bool LookUpEach(Span<KeyEntry> sets)
    {
        long lookups = 0, removals = 0, first = CountOf(sets[0]);
        foreach (KeyEntry set in sets)
        {
            if (set.IsNone) continue;
            lookups += first;
            removals += SetEntry.Count(set);
        }
        if (lookups / 2 > removals) return false;
        LargestFirst(sets[1..]);
        return true;
    }

    private static KeyEntry CreateResult(ReadOnlySpan<byte> key, int most, ServerOptions options) =>
        most <= Math.Max(options.SetMaxIntsetEntries, options.SetMaxListpackEntries) ? SetEntry.CreateIntset(key, 0) : new SetValue(key.ToArray(), 0);

    /// <summary>The union of sets that are sorted from the largest to the smallest.</summary>
    private static KeyEntry Union(ReadOnlySpan<KeyEntry> sets, ReadOnlySpan<byte> key, ServerOptions options)
    {
        int most = 0;
        foreach (KeyEntry set in sets) most += CountOf(set);
        SetValue? largest = sets[0].IsBlob ? null : sets[0].As<SetValue>();
        KeyEntry result = largest is null ? CreateResult(key, most, options) : largest.CopyMembers(key.ToArray());
        foreach (KeyEntry set in largest is null ? sets : sets[1..])
        {
            if (set.IsNone) continue;
            foreach (SetMember member in new SetMembers(set)) result = SetEntry.Add(result, member, options);
        }
        return result;
    }

    /// <summary>A copy of the first set without the members of the others.</summary>
    private static SetValue Subtract(ReadOnlySpan<KeyEntry> sets, ReadOnlySpan<byte> key)
    {
        SetValue rest = SetEntry.CopyToTable(sets[0], key);
        Span<byte> scratch = stackalloc byte[SetMember.ScratchLength];
        foreach (KeyEntry set in sets[1..])
        {
            if (set.IsNone) continue;
            foreach (SetMember member in new SetMembers(set))
            {
                if (rest.Count == 0) return rest;
                if (member.IsHashed) rest.Remove(member.Text, member.Hash);
                else rest.Remove(member.AsSpan(scratch));
            }
        }
        return rest;
    }

    /// <summary>Replies with a set that was made for this alone.</summary>
    private static void ReplyOnce(ref CommandContext call, KeyEntry made)
    {
        Sets.ReplyAll(ref call, made);
        made.Retire();
    }

    private static void ReplySet(ref CommandContext call, KeyEntry set)
    {
        if (set.IsNone) call.Reply.Set(0);
        else Sets.ReplyAll(ref call, set);
    }

    /// <summary>
    /// Stores a result in the destination, argument 1, replacing what it held, or removes the destination if there is
    /// no result. Replies with the size.
    /// </summary>
    private static void Store(ref CommandContext call, KeyEntry result, ReadOnlySpan<byte> eventName)
    {
        ReadOnlySpan<byte> key = call[1];
        Entry entry = call.Write(1);
        Keyspace keyspace = entry.Keyspace;
        bool ownEffects = call.Hold != Hold.Slot; // the sources may be in other slots than the destination
        bool replaced = !entry.IsMissing;
        int count = result.IsNone ? 0 : SetEntry.Count(result);
        if (count == 0)
        {
            if (!result.IsNone) result.Retire();
            if (replaced)
            {
                keyspace.Remove(key);
                call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
                if (ownEffects) call.Effect(keyspace, "DEL"u8, key);
            }
            call.Reply.Integer(0);
            return;
        }
        result = result.IsBlob ? SetEntry.Trim(result) : SetEntry.Compact(result.As<SetValue>(), call.Store.Options);
        if (replaced)
        {
            result.SetAccessClock(entry.Found.AccessClock);
            entry.Overwrite(result);
        }
        else
        {
            call.Add(keyspace, result);
        }
        call.Modified(keyspace, key, KeyEvents.Set, eventName);
        if (ownEffects) GiveEffects(ref call, keyspace, key, result, replaced);
        call.Reply.Integer(count);
    }

    private static void GiveEffects(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key, KeyEntry set, bool replaced)
    {
        if (replaced) call.Effect(keyspace, "DEL"u8, key);
        int left = SetEntry.Count(set), inBatch = 0;
        RespWriter? effect = null;
        foreach (SetMember member in new SetMembers(set))
        {
            if (inBatch == 0)
            {
                inBatch = Math.Min(left, MembersPerEffect);
                left -= inBatch;
                effect = call.BeginEffect(2 + inBatch);
                if (effect is null) return;
                effect.BulkString("SADD"u8);
                effect.BulkString(key);
            }
            member.WriteTo(effect!);
            if (--inBatch == 0) call.EndEffect(keyspace);
        }
    }
}
