namespace OrleansRedis.Engine;

/// <summary>
/// How commands change a key that holds a list, in either of the representations of <see cref="ListEntry"/>.
/// </summary>
internal static class ListWrites
{
    /// <summary>
    /// Adds a key, known to be missing. Its list consists of the arguments from <paramref name="first"/> on, each
    /// pushed at the same end.
    /// </summary>
    public static void Create(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key, int first, bool atHead)
    {
        int size = Listpack.EmptyLength;
        long bytes = Listpack.EmptyLength;
        for (int i = first; i < call.Count; i++)
        {
            bytes += call[i].Length;
            size += Listpack.SizeOf(call[i]);
        }
        ServerOptions options = call.Store.Options;
        if (ListLimits.Exceeds(options.ListMaxListpackSize, bytes, call.Count - first))
        {
            var list = new Quicklist(options.ListMaxListpackSize, options.ListCompressDepth);
            for (int i = first; i < call.Count; i++) ListEntry.Push(list, call[i], atHead);
            call.Add(keyspace, new ListValue(key.ToArray(), list));
            return;
        }
        Blob blob = Blob.Create(BlobKind.ListListpack, key, size, Expiry.Never);
        Listpack listpack = Listpack.In(blob);
        listpack.Clear();
        for (int i = first; i < call.Count; i++) ListEntry.Push(ref listpack, call[i], atHead);
        call.Add(keyspace, listpack.Blob);
    }

    /// <summary>Adds a key, known to be missing. Its list has one element.</summary>
    public static void Create(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key, ReadOnlySpan<byte> element)
    {
        ServerOptions options = call.Store.Options;
        if (ListLimits.Exceeds(options.ListMaxListpackSize, Listpack.EmptyLength + element.Length, 1))
        {
            var list = new Quicklist(options.ListMaxListpackSize, options.ListCompressDepth);
            list.PushTail(element);
            call.Add(keyspace, new ListValue(key.ToArray(), list));
            return;
        }
        Blob blob = Blob.Create(BlobKind.ListListpack, key, Listpack.EmptyLength + Listpack.SizeOf(element), Expiry.Never);
        Listpack listpack = Listpack.In(blob);
        listpack.Clear();
        listpack.Append(element);
        call.Add(keyspace, listpack.Blob);
    }

    /// <summary>Pushes the arguments from <paramref name="first"/> on to an existing list.</summary>
    public static void Push(ref CommandContext call, in Entry entry, int first, bool atHead)
    {
        if (entry.IsBlob)
        {
            long bytes = 0;
            for (int i = first; i < call.Count; i++) bytes += call[i].Length;
            ListEntry.MakeRoomFor(call.Store.Options, entry, bytes, call.Count - first);
        }
        if (entry.IsBlob)
        {
            Listpack listpack = Listpack.In(entry.Blob);
            for (int i = first; i < call.Count; i++) ListEntry.Push(ref listpack, call[i], atHead);
            entry.Replace(listpack.Blob);
            return;
        }
        Quicklist list = ListEntry.ElementsOf(entry.Found);
        for (int i = first; i < call.Count; i++) ListEntry.Push(list, call[i], atHead);
    }

    /// <summary>
    /// To be called after elements were removed from a list: counts so many changes and publishes them, removes an
    /// empty list, and turns a small one into a listpack. If the list was empty, the entry is no longer valid.
    /// </summary>
    public static void Removed(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> key, ReadOnlySpan<byte> eventName, long changes)
    {
        Keyspace keyspace = entry.Keyspace;
        if (ListEntry.Count(entry.Found) == 0)
        {
            call.Modified(keyspace, key, KeyEvents.List, eventName, changes);
            keyspace.Remove(key);
            call.Event(keyspace, key, KeyEvents.Generic, "del"u8);
            return;
        }
        ListEntry.ShrinkIfSmall(call.Store.Options, entry);
        call.Modified(entry, KeyEvents.List, eventName, changes);
    }
}
