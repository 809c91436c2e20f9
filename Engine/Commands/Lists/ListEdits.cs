using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>LSET, LINSERT, LREM, LTRIM.</summary>
internal static unsafe class ListEdits
{
    /// <summary>LSET key index element</summary>
    [Command("LSET", 4, CommandFlags.Write | CommandFlags.DenyOom, Category.List, Keys = "RW UPDATE 1", Since = "1.0.0",
        Complexity = "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).",
        Summary = "Sets the value of an element in a list by its index.", Syntax = "key index element")]
    internal static void Lset(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.List, out Entry entry)) return;
        if (entry.IsMissing)
        {
            call.Reply.Error(Errors.NoSuchKey);
            return;
        }
        if (!call.TryInt64(2, out long index)) return;
        ReadOnlySpan<byte> element = call[3];
        long count = ListEntry.Count(entry.Found);
        if (index < 0) index += count;
        if (index < 0 || index >= count)
        {
            call.Reply.Error(Errors.OutOfRange);
            return;
        }
        ServerOptions options = call.Store.Options;
        ListEntry.MakeRoomFor(options, entry, element.Length, 1);
        if (!entry.IsBlob)
        {
            Quicklist list = ListEntry.ElementsOf(entry.Found);
            list.Replace(list.Seek(index, out int offset), offset, element);
            ListEntry.ShrinkIfSmall(options, entry);
        }
        else
        {
            Listpack listpack = Listpack.In(entry.Blob);
            listpack.Replace(listpack.Seek((int)index), element);
            entry.Replace(listpack.Blob);
        }
        call.Modified(entry, KeyEvents.List, "lset"u8);
        call.Reply.Ok();
    }

    /// <summary>LINSERT key BEFORE | AFTER pivot element</summary>
    [Command("LINSERT", 5, CommandFlags.Write | CommandFlags.DenyOom, Category.List, Keys = "RW INSERT 1", Since = "2.2.0",
        Complexity = "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the "
            + "left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
        Summary = "Inserts an element before or after another element in a list.", Syntax = "key where=<BEFORE | AFTER> pivot element")]
    internal static void Linsert(ref CommandContext call)
    {
        bool after = call[2].Is("AFTER"u8);
        if (!after && !call[2].Is("BEFORE"u8))
        {
            call.SyntaxError();
            return;
        }
        if (!call.TryWrite(1, ValueType.List, out Entry entry)) return;
        if (entry.IsMissing)
        {
            call.Reply.Integer(0);
            return;
        }
        ReadOnlySpan<byte> pivot = call[3], element = call[4];
        // As in Redis, this happens whether or not the pivot is found.
        ListEntry.MakeRoomFor(call.Store.Options, entry, element.Length, 1);
        bool inserted = entry.IsBlob ? TryInsert(entry, pivot, element, after) : TryInsert(ListEntry.ElementsOf(entry.Found), pivot, element, after);
        if (!inserted)
        {
            call.Reply.Integer(-1);
            return;
        }
        call.Modified(entry, KeyEvents.List, "linsert"u8);
        call.Reply.Integer(ListEntry.Count(entry.Found));
    }

    private static bool TryInsert(in Entry entry, ReadOnlySpan<byte> pivot, ReadOnlySpan<byte> element, bool after)
    {
        Listpack listpack = Listpack.In(entry.Blob);
        int at = listpack.Find(listpack.First, pivot);
        if (at < 0) return false;
        if (after) at += Listpack.SizeAt(listpack.Block + at);
        listpack.Insert(at, element);
        entry.Replace(listpack.Blob);
        return true;
    }

    private static bool TryInsert(Quicklist list, ReadOnlySpan<byte> pivot, ReadOnlySpan<byte> element, bool after)
    {
        var reader = new QuicklistReader();
        for (QuicklistNode* node = list.Head; node != null; node = node->Next)
        {
            int offset = node->IsPlain ? (reader.Content(node).SequenceEqual(pivot) ? 0 : -1) : OffsetOf(reader.Listpack(node), pivot);
            if (offset < 0) continue;
            list.Insert(node, offset, element, after);
            return true;
        }
        return false;
    }

    private static int OffsetOf(in Listpack listpack, ReadOnlySpan<byte> value)
    {
        int found = listpack.Find(listpack.First, value), offset = 0;
        if (found < 0) return -1;
        for (int at = listpack.First; at < found; at = listpack.Next(at)) offset++;
        return offset;
    }

    /// <summary>
    /// LREM key count element — removes the first matches if count is positive, the last if negative, all if 0.
    /// </summary>
    [Command("LREM", 4, CommandFlags.Write, Category.List, Keys = "RW DELETE 1", Since = "1.0.0",
        Complexity = "O(N+M) where N is the length of the list and M is the number of elements removed.",
        Summary = "Removes elements from a list. Deletes the list if the last element was removed.", Syntax = "key count element")]
    internal static void Lrem(ref CommandContext call)
    {
        if (!call.TryNegatable(2, out long count)) return;
        if (!call.TryWrite(1, ValueType.List, out Entry entry)) return;
        if (entry.IsMissing)
        {
            call.Reply.Integer(0);
            return;
        }
        bool reverse = count < 0;
        long most = count is 0 ? long.MaxValue : Math.Abs(count), removed;
        if (!entry.IsBlob)
        {
            removed = ListEntry.ElementsOf(entry.Found).RemoveEqual(call[3], most, reverse);
        }
        else
        {
            Listpack listpack = Listpack.In(entry.Blob);
            var positions = new List<int>();
            ListSearch.FindEqual(listpack, call[3], most, reverse, positions);
            removed = positions.Count;
            listpack.Delete(CollectionsMarshal.AsSpan(positions));
            entry.Replace(listpack.Blob);
        }
        if (removed > 0) ListWrites.Removed(ref call, entry, call[1], "lrem"u8, removed);
        call.Reply.Integer(removed);
    }

    /// <summary>LTRIM key start stop — keeps what LRANGE would return.</summary>
    [Command("LTRIM", 4, CommandFlags.Write, Category.List, Keys = "RW DELETE 1", Since = "1.0.0",
        Complexity = "O(N) where N is the number of elements to be removed by the operation.",
        Summary = "Removes elements from both ends a list. Deletes the list if all elements were trimmed.", Syntax = "key start stop")]
    internal static void Ltrim(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long start) || !call.TryInt64(3, out long stop)) return;
        if (!call.TryWrite(1, ValueType.List, out Entry entry)) return;
        call.Reply.Ok();
        if (entry.IsMissing) return;
        long count = ListEntry.Count(entry.Found);
        if (start < 0) start = Math.Max(0, start + count);
        if (stop < 0) stop += count;
        stop = Math.Min(stop, count - 1);
        long fromHead = count, fromTail = 0;
        if (start <= stop && start < count)
        {
            fromHead = start;
            fromTail = count - 1 - stop;
        }
        if (fromHead + fromTail == 0)
        {
            call.Event(entry.Keyspace, call[1], KeyEvents.List, "ltrim"u8);
            return;
        }
        if (fromHead > 0) ListEntry.Remove(entry, atHead: true, fromHead);
        if (fromTail > 0) ListEntry.Remove(entry, atHead: false, fromTail);
        ListWrites.Removed(ref call, entry, call[1], "ltrim"u8, fromHead + fromTail);
    }
}
