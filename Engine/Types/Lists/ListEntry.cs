using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// What the list commands do to a key in either representation: a blob that is one listpack, or a
/// <see cref="ListValue"/>.
/// </summary>
internal static class ListEntry
{
    /// <summary>How many elements a list has; 0 if the key is missing.</summary>
    public static long Count(in Entry entry) => entry.IsMissing ? 0 : Count(entry.Object);

    /// <inheritdoc cref="Count(in Entry)"/>
    public static long Count(object entry) =>
        entry is byte[] blob ? Listpack.In(blob).Count : Unsafe.As<ListValue>(entry).Elements.Count;

    /// <summary>Pushes one element to an existing list.</summary>
    public static void Push(ServerOptions options, in Entry entry, ReadOnlySpan<byte> element, bool atHead)
    {
        MakeRoomFor(options, entry, element.Length, 1);
        if (entry.IsBlob)
        {
            Listpack listpack = Listpack.In(entry.Blob);
            Push(ref listpack, element, atHead);
            entry.Replace(listpack.Array);
            return;
        }
        Push(Unsafe.As<ListValue>(entry.Value).Elements, element, atHead);
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
        list.AppendListpack(listpack.Bytes.ToArray(), 0, listpack.Length, listpack.Count);
        entry.Replace(new ListValue(entry.Key.ToArray(), list) { ExpiresAtMs = entry.ExpiresAtMs, AccessClock = KeyEntry.AccessClock(entry.Object) });
    }

    /// <summary>
    /// After elements were removed: turns a quicklist of one node that is no more than half full into a listpack.
    /// </summary>
    public static void ShrinkIfSmall(ServerOptions options, in Entry entry)
    {
        if (entry.Object is not ListValue { Elements: { NodeCount: 1, Head: { IsPlain: false } only } }) return;
        if (!ListLimits.FitsAfterShrinking(options.ListMaxListpackSize, only.Length, only.Count)) return;
        entry.Replace(ToBlob(Unsafe.As<ListValue>(entry.Value), only));
    }

    /// <summary>
    /// The smallest representation of a list created elsewhere (by RESTORE, SORT STORE, from a file): the value itself,
    /// or a blob.
    /// </summary>
    public static object Compact(ServerOptions options, ListValue value) =>
        value.Elements is { NodeCount: 1, Head: { IsPlain: false } only } && ListLimits.Fits(options.ListMaxListpackSize, only.Length, only.Count)
            ? ToBlob(value, only)
            : value;

    /// <summary>The first or last element; valid until the list changes.</summary>
    public static ListpackElement Peek(object entry, bool atHead)
    {
        if (entry is byte[] blob)
        {
            Listpack listpack = Listpack.In(blob);
            return listpack[atHead ? listpack.First : listpack.Last];
        }
        Quicklist list = Unsafe.As<ListValue>(entry).Elements;
        QuicklistNode node = atHead ? list.Head! : list.Tail!;
        if (node.IsPlain) return ListpackElement.Of(node.Content);
        Listpack elements = node.Listpack;
        return elements[atHead ? elements.First : elements.Last];
    }

    /// <summary>
    /// Removes <paramref name="count"/> elements, no more than there are, from one end. The list may be empty
    /// afterwards.
    /// </summary>
    public static void Remove(in Entry entry, bool atHead, long count)
    {
        if (entry.Object is ListValue value)
        {
            if (count > 1) value.Elements.RemoveRange(atHead ? 0 : value.Elements.Count - count, count);
            else if (atHead) value.Elements.RemoveFirst();
            else value.Elements.RemoveLast();
            return;
        }
        Listpack listpack = Listpack.In(entry.Blob);
        listpack.DeleteRange(atHead ? 0 : (int)-count, (int)count);
        entry.Replace(listpack.Array);
    }

    private static byte[] ToBlob(ListValue value, QuicklistNode only)
    {
        byte[] blob = Blob.Create(BlobKind.ListListpack, value.Key, only.Content, value.ExpiresAtMs);
        Blob.SetAccessClock(blob, value.AccessClock);
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
