namespace OrleansRedis.Engine;

/// <summary>
/// SORT and SORT_RO: sort the elements of a list, set or sorted set, by themselves or by the values of other keys.
/// </summary>
internal static class Sort
{
    /// <summary>
    /// SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE
    /// destination]
    /// </summary>
    [Command("SORT", -2, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.MovableKeys | CommandFlags.UndeclaredKeys,
        Category.Set | Category.SortedSet | Category.List | Category.Dangerous, Keys = "RO ACCESS 1; RO ACCESS ?; OW UPDATE ?STORE",
        Effort = Effort.AllElements, Group = "generic", Since = "1.0.0",
        Complexity = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the "
            + "elements are not sorted, complexity is O(N).",
        Summary = "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
        KeyNotes = ";For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we "
            + "sort;For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument "
            + "array",
        Syntax = "key [by-pattern=BY pattern] [LIMIT offset count] [get-pattern=GET pattern [GET pattern ...]] [ASC | DESC] [sorting=ALPHA] [STORE "
            + "destination]")]
    internal static void SortKey(ref CommandContext call) => Run(ref call, mayStore: true);

    /// <summary>
    /// SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]
    /// </summary>
    [Command("SORT_RO", -2, CommandFlags.ReadOnly | CommandFlags.MovableKeys | CommandFlags.UndeclaredKeys,
        Category.Set | Category.SortedSet | Category.List | Category.Dangerous, Keys = "RO ACCESS 1; RO ACCESS ?",
        Effort = Effort.AllElements, Group = "generic", Since = "7.0.0",
        Complexity = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the "
            + "elements are not sorted, complexity is O(N).",
        Summary = "Returns the sorted elements of a list, a set, or a sorted set.",
        KeyNotes = ";For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we "
            + "sort",
        Syntax = "key [by-pattern=BY pattern] [LIMIT offset count] [get-pattern=GET pattern [GET pattern ...]] [ASC | DESC] [sorting=ALPHA]")]
    internal static void SortRo(ref CommandContext call) => Run(ref call, mayStore: false);

    private static void Run(ref CommandContext call, bool mayStore)
    {
        if (!SortOptions.TryParse(ref call, mayStore, out SortOptions options)) return;
        if (call.Store.Cluster is not null && !StaysInSlot(ref call, options)) return;
        if ((options.HasPattern || options.GetArguments.Count != 0) && !MayReadAllKeys(ref call, options)) return;
        Entry entry = call.Read(1);
        ValueType type = entry.IsMissing ? ValueType.List : entry.Type;
        if (type is not (ValueType.List or ValueType.Set or ValueType.SortedSet))
        {
            call.Reply.Error(Errors.WrongType);
            return;
        }
        bool sorts = options.ByArgument == 0 || options.HasPattern;
        bool alpha = options.Alpha;
        int by = options.HasPattern ? options.ByArgument : 0;
        if (!sorts && type == ValueType.Set && (options.StoreArgument != 0 || call.IsInScript))
        {
            // A set has no order of its own, but what is stored must be the same on every copy, and a script should do
            // the same each time.
            sorts = alpha = true;
        }
        SortedElement[] elements = entry.IsMissing ? [] : Elements(entry.Found, type, reversed: !sorts && options.Descending && type != ValueType.Set);
        if (sorts)
        {
            if (!TryWeigh(ref call, elements, by, alpha)) return;
            if (call.MissingSlot >= 0) return;
            var order = new Order(alpha, by != 0, options.Descending);
            // Stable, so that elements of equal weight always come in the same order.
            elements = [.. elements.Order(order)];
        }
        (int start, int end) = Limits(options, elements.Length);
        ReadOnlySpan<SortedElement> chosen = start <= end ? elements.AsSpan(start, end - start + 1) : [];
        if (options.StoreArgument != 0) Store(ref call, chosen, options);
        else Reply(ref call, chosen, options);
    }

    /// <summary>
    /// Whether the user may read all keys: which ones BY and GET look up follows from the data. If not, the error is in
    /// the reply.
    /// </summary>
    private static bool MayReadAllKeys(ref CommandContext call, in SortOptions options)
    {
        AclUser user = call.Session.User;
        if (user.IsUnrestricted || user.Rules.AllowAllKeys(call.Command, call.Request, KeyAccess.Read)) return true;
        bool isBy = options.HasPattern && (options.GetArguments.Count == 0 || options.ByArgument < options.GetArguments[0]);
        call.Reply.Error($"ERR {(isBy ? "BY" : "GET")} option of SORT denied due to insufficient ACL permissions.");
        return false;
    }

    /// <summary>
    /// With Redis Cluster's protocol: whether the keys that BY and GET look up are certainly in the slot of the key that is
    /// sorted. If not, the error is in the reply.
    /// </summary>
    private static bool StaysInSlot(ref CommandContext call, in SortOptions options)
    {
        int slot = KeySlot.Of(call[1]);
        if (options.HasPattern && GlobPattern.SlotOf(call[options.ByArgument]) != slot) return Deny(ref call, "BY");
        foreach (int get in options.GetArguments)
        {
            if (!call[get].SequenceEqual("#"u8) && GlobPattern.SlotOf(call[get]) != slot) return Deny(ref call, "GET");
        }
        return true;

        static bool Deny(ref CommandContext call, string option)
        {
            call.Reply.Error($"ERR {option} option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.");
            return false;
        }
    }

    private static (int Start, int End) Limits(in SortOptions options, int length)
    {
        int start = (int)Math.Min(Math.Max(options.LimitOffset, 0), length);
        int count = (int)Math.Min(Math.Max(options.LimitCount, -1), length);
        return (start, Math.Min(count < 0 ? length - 1 : start + count - 1, length - 1));
    }

    private static SortedElement[] Elements(KeyEntry entry, ValueType type, bool reversed)
    {
        var elements = new List<SortedElement>();
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        switch (type)
        {
            case ValueType.List:
                long count = ListEntry.Count(entry);
                if (count == 0) break;
                var list = new ListCursor(entry, reversed ? count - 1 : 0, forward: !reversed);
                while (list.MoveNext()) elements.Add(new(list.Current.ToArray()));
                break;
            case ValueType.Set:
                foreach (SetMember member in new SetMembers(entry)) elements.Add(new(member.AsSpan(scratch).ToArray()));
                break;
            case ValueType.SortedSet:
                var view = new SortedSetView(entry);
                SortedSetView.Walker walker = view.Walk(new RankRange(0, view.Count), reversed, scratch);
                while (walker.MoveNext()) elements.Add(new(walker.Member.ToArray()));
                break;
        }
        return [.. elements];
    }

    /// <summary>
    /// Finds the weight by which each element is sorted. If a weight must be a number and is not, the error is in the
    /// reply.
    /// </summary>
    private static bool TryWeigh(ref CommandContext call, SortedElement[] elements, int by, bool alpha)
    {
        foreach (ref SortedElement element in elements.AsSpan())
        {
            byte[]? weight = element.Bytes;
            if (by != 0) TryLookUp(ref call, call[by], element.Bytes, out weight);
            if (call.MissingSlot >= 0) return true;
            if (alpha)
            {
                element.Weight = weight;
                continue;
            }
            if (weight is null || TryNumber(weight, out element.Score)) continue;
            call.Reply.Error("ERR One or more scores can't be converted into double"u8);
            return false;
        }
        return true;
    }

    /// <summary>Parses a number like strtod: up to a zero byte, and 0 if there is nothing.</summary>
    private static bool TryNumber(ReadOnlySpan<byte> text, out double number)
    {
        int zero = text.IndexOf((byte)0);
        if (zero >= 0) text = text[..zero];
        return Numbers.TryParseDoubleLeniently(text, out number) && !IsOutOfRange(text, number);
    }

    /// <summary>
    /// Whether strtod would report ERANGE: the number is too large, or too small for a double's full precision. "inf"
    /// itself is in range.
    /// </summary>
    private static bool IsOutOfRange(ReadOnlySpan<byte> text, double number)
    {
        if (double.IsInfinity(number)) return text.IndexOfAnyInRange((byte)'0', (byte)'9') >= 0;
        if (number != 0) return double.IsSubnormal(number);
        int exponent = text.IndexOfAny("eEpP"u8);
        return text[..(exponent < 0 ? text.Length : exponent)].IndexOfAnyInRange((byte)'1', (byte)'9') >= 0;
    }

    /// <summary>
    /// The value that a pattern yields for an element: for "#" the element itself, for "prefix*suffix" the string at
    /// that key, for "prefix*suffix->field" the field of the hash at that key.
    /// </summary>
    private static bool TryLookUp(ref CommandContext call, ReadOnlySpan<byte> pattern, byte[] element, out byte[]? value)
    {
        value = null;
        if (pattern is [(byte)'#'])
        {
            value = element;
            return true;
        }
        int star = pattern.IndexOf((byte)'*');
        if (star < 0) return false;
        int arrow = pattern[(star + 1)..].IndexOf("->"u8);
        ReadOnlySpan<byte> suffix = pattern[(star + 1)..], field = default;
        if (arrow >= 0 && arrow + 2 < suffix.Length)
        {
            field = suffix[(arrow + 2)..];
            suffix = suffix[..arrow];
        }
        byte[] key = [.. pattern[..star], .. element, .. suffix];
        if (!call.TryReach(key)) return false;
        Entry entry = call.Read(key);
        if (entry.IsMissing) return false;
        if (field.IsEmpty)
        {
            if (entry.Type != ValueType.String) return false;
            Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
            value = StringEntry.Read(entry.Found, scratch).ToArray();
            return true;
        }
        if (entry.Type != ValueType.Hash || !HashEntry.TryGet(entry.Found, field, out HashItem item) || item.ExpiresAtMs <= call.NowMs) return false;
        value = item.Value.ToArray();
        return true;
    }

    private static void Reply(ref CommandContext call, ReadOnlySpan<SortedElement> elements, in SortOptions options)
    {
        call.Reply.Array(elements.Length * Math.Max(1, options.GetArguments.Count));
        foreach (SortedElement element in elements)
        {
            if (options.GetArguments.Count == 0) call.Reply.BulkString(element.Bytes);
            foreach (int get in options.GetArguments)
            {
                if (TryLookUp(ref call, call[get], element.Bytes, out byte[]? value)) call.Reply.BulkString(value);
                else if (call.MissingSlot >= 0) return;
                else call.Reply.Null();
            }
        }
    }

    private static void Store(ref CommandContext call, ReadOnlySpan<SortedElement> elements, in SortOptions options)
    {
        ServerOptions server = call.Store.Options;
        var list = new Quicklist(server.ListMaxListpackSize, server.ListCompressDepth);
        foreach (SortedElement element in elements)
        {
            if (options.GetArguments.Count == 0) list.PushTail(element.Bytes);
            foreach (int get in options.GetArguments)
            {
                TryLookUp(ref call, call[get], element.Bytes, out byte[]? value);
                if (call.MissingSlot >= 0)
                {
                    list.Free();
                    return;
                }
                list.PushTail(value); // an element without a value is stored as an empty string
            }
        }
        ReadOnlySpan<byte> key = call[options.StoreArgument];
        Entry entry = call.Write(key);
        Keyspace keyspace = entry.Keyspace;
        long count = list.Count;
        if (count == 0)
        {
            if (keyspace.Remove(key))
            {
                call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
                call.Effect(keyspace, "DEL"u8, key);
            }
            call.Reply.Integer(0);
            return;
        }
        KeyEntry made = ListEntry.Compact(server, new ListValue(key.ToArray(), list));
        EntryEffects.Recreate(ref call, keyspace, key, made);
        if (entry.IsMissing) call.Add(keyspace, made);
        else Replace(entry, made);
        call.Modified(keyspace, key, KeyEvents.List, "sortstore"u8, count);
        call.Reply.Integer(count);
    }

    /// <summary>As in Redis, a key that is overwritten is not a new one; it keeps its access clock.</summary>
    private static void Replace(in Entry entry, KeyEntry made)
    {
        made.SetAccessClock(entry.Found.AccessClock);
        entry.Overwrite(made);
    }

    /// <summary>An element, and the weight by which it is sorted.</summary>
    private struct SortedElement(byte[] bytes)
    {
        public readonly byte[] Bytes = bytes;
        public byte[]? Weight;
        public double Score;
    }

    private sealed class Order(bool alpha, bool byPattern, bool descending) : IComparer<SortedElement>
    {
        public int Compare(SortedElement x, SortedElement y)
        {
            int order = alpha ? CompareText(x.Weight, y.Weight) : x.Score.CompareTo(y.Score);
            // Equal numbers are ordered by the elements. Equal text of other keys is not, as in Redis.
            if (order == 0 && !(alpha && byPattern)) order = CompareText(x.Bytes, y.Bytes);
            return descending ? -order : order;
        }

        /// <summary>A missing weight comes first.</summary>
        private static int CompareText(byte[]? x, byte[]? y) =>
            x is null ? y is null ? 0 : -1 : y is null ? 1 : x.AsSpan().SequenceCompareTo(y);
    }

    /// <summary>The options. Arguments are given by their index, 0 for none.</summary>
    private readonly record struct SortOptions(
        bool Descending, bool Alpha, long LimitOffset, long LimitCount, int ByArgument, bool HasPattern, List<int> GetArguments, int StoreArgument)
    {
        public static bool TryParse(ref CommandContext call, bool mayStore, out SortOptions options)
        {
            options = default;
            bool descending = false, alpha = false;
            long offset = 0, count = -1;
            int by = 0, store = 0;
            var gets = new List<int>();
            for (int i = 2; i < call.Count; i++)
            {
                ReadOnlySpan<byte> word = call[i];
                int more = call.Count - i - 1;
                if (word.Is("ASC"u8))
                {
                    descending = false;
                }
                else if (word.Is("DESC"u8))
                {
                    descending = true;
                }
                else if (word.Is("ALPHA"u8))
                {
                    alpha = true;
                }
                else if (more >= 2 && word.Is("LIMIT"u8))
                {
                    if (!call.TryInt64(i + 1, out offset) || !call.TryInt64(i + 2, out count)) return false;
                    i += 2;
                }
                else if (more >= 1 && mayStore && word.Is("STORE"u8))
                {
                    store = ++i;
                }
                else if (more >= 1 && word.Is("BY"u8))
                {
                    by = ++i;
                }
                else if (more >= 1 && word.Is("GET"u8))
                {
                    gets.Add(++i);
                }
                else
                {
                    call.SyntaxError();
                    return false;
                }
            }
            // A pattern without '*' yields no key, and means that nothing is to be sorted.
            bool hasPattern = by != 0 && call[by].Contains((byte)'*');
            options = new(descending, alpha, offset, count, by, hasPattern, gets, store);
            return true;
        }
    }
}
