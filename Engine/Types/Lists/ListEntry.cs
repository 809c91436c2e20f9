namespace OrleansRedis.Engine;

/// <summary>
/// What the list commands do to a key in either representation: a blob that is one listpack, or a
/// <see cref="ListValue"/>.
/// </summary>
internal static unsafe class ListEntry
{
    /// <summary>How many elements a list has; 0 if the key is missing.</summary>
    public static long Count(in Entry entry) => entry.IsMissing ? 0 : Count(entry.Found);

    /// <inheritdoc cref="Count(in Entry)"/>
    public static long Count(KeyEntry entry) => entry.TryBlob(out Blob blob) ? Listpack.In(blob).Count : ElementsOf(entry).Count;

    /// <summary>The quicklist of an entry that is a <see cref="ListValue"/>.</summary>
    public static Quicklist ElementsOf(KeyEntry entry) => entry.As<ListValue>().Elements;

    /// <summary>Pushes one element to an existing list.</summary>
    public static void Push(ServerOptions options, in Entry entry, ReadOnlySpan<byte> element, bool atHead)
    {
        MakeRoomFor(options, entry, element.Length, 1);
        if (entry.IsBlob)
        {
            Listpack listpack = Listpack.In(entry.Blob);
            Push(ref listpack, element, atHead);
            entry.Replace(listpack.Blob);
            return;
        }
        Push(ElementsOf(entry.Found), element, atHead);
    }

    /// <summary>
    /// Turns a listpack that would become too large into a quicklist, before elements of this many bytes are added.
    /// </summary>
    public static void MakeRoomFor(ServerOptions options, in Entry entry, long bytes, int count)
    {
        if (!entry.IsBlob) return;
        Listpack listpack = Listpack.In(entry.Blob);
        if (!ListLimits.Exceeds(options.ListMaxListpackSize, listpack.Length + bytes, listpack.Count + count)) return;
        var list = new Quicklist(options.ListMaxListpackSize, options.ListCompressDepth);
        list.AppendListpack(listpack.Bytes, listpack.Count);
        entry.Overwrite(new ListValue(entry.Key.ToArray(), list) { ExpiresAtMs = entry.ExpiresAtMs, AccessClock = entry.Blob.AccessClock });
    }

    /// <summary>
    /// After elements were removed: turns a quicklist of one node that is no more than half full into a listpack.
    /// </summary>
    public static void ShrinkIfSmall(ServerOptions options, in Entry entry)
    {
        if (entry.IsBlob) return;
        QuicklistNode* only = ElementsOf(entry.Found).OnlyListpack;
        if (only == null || !ListLimits.FitsAfterShrinking(options.ListMaxListpackSize, only->Length, only->Count)) return;
        entry.Overwrite(ToBlob(entry.Value, only));
    }

    /// <summary>
    /// The smallest representation of a list created elsewhere (by RESTORE, SORT STORE, from a file): the value itself,
    /// or a blob, for which the value is freed.
    /// </summary>
    public static KeyEntry Compact(ServerOptions options, ListValue value)
    {
        QuicklistNode* only = value.Elements.OnlyListpack;
        if (only == null || !ListLimits.Fits(options.ListMaxListpackSize, only->Length, only->Count)) return value;
        Blob blob = ToBlob(value, only);
        value.Free();
        return blob;
    }

    /// <summary>The first or last element; valid until the list changes.</summary>
    public static ListpackElement Peek(KeyEntry entry, bool atHead)
    {
        if (entry.TryBlob(out Blob blob))
        {
            Listpack listpack = Listpack.In(blob);
            return listpack[atHead ? listpack.First : listpack.Last];
        }
        // The nodes at the ends are never compressed.
        QuicklistNode* node = atHead ? ElementsOf(entry).Head : ElementsOf(entry).Tail;
        if (node->IsPlain) return ListpackElement.Of(node->Content);
        Listpack elements = node->Listpack;
        return elements[atHead ? elements.First : elements.Last];
    }

    /// <summary>
    /// Removes <paramref name="count"/> elements, no more than there are, from one end. The list may be empty
    /// afterwards.
    /// </summary>
    public static void Remove(in Entry entry, bool atHead, long count)
    {
        if (!entry.IsBlob)
        {
            Quicklist list = ElementsOf(entry.Found);
            if (count > 1) list.RemoveRange(atHead ? 0 : list.Count - count, count);
            else if (atHead) list.RemoveFirst();
            else list.RemoveLast();
            return;
        }
        Listpack listpack = Listpack.In(entry.Blob);
        listpack.DeleteRange(atHead ? 0 : (int)-count, (int)count);
        entry.Replace(listpack.Blob);
    }

    private static Blob ToBlob(Value value, QuicklistNode* only)
    {
        Blob blob = Blob.CreatePacked(BlobKind.ListListpack, value.Key, only->Content, value.ExpiresAtMs);
        blob.SetAccessClock(value.AccessClock);
        return blob;
    }

    internal static void Push(Quicklist list, ReadOnlySpan<byte> element, bool atHead)
    {
        if (atHead) list.PushHead(element);
        else list.PushTail(element);
    }

    internal static void Push(ref Listpack listpack, ReadOnlySpan<byte> element, bool atHead)
    {
        if (atHead) listpack.Prepend(element);
        else listpack.Append(element);
    }
}
