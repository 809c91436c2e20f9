using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Sets in their representations: an intset or a listpack in a blob, or a <see cref="SetValue"/>. Methods that change a
/// set take the entry and return the one to put in its place (the same, a grown blob, another representation), with the
/// same key, expiry and access clock.
/// </summary>
internal static class SetEntry
{
    public static int Count(object set)
    {
        if (set is not byte[] blob) return Unsafe.As<SetValue>(set).Count;
        return Blob.KindOf(blob) == BlobKind.SetIntset ? Intset.In(blob).Count : Listpack.In(blob).Count;
    }

    public static bool Contains(object set, ReadOnlySpan<byte> member)
    {
        if (set is not byte[] blob) return Unsafe.As<SetValue>(set).Contains(member);
        if (Blob.KindOf(blob) == BlobKind.SetIntset) return Numbers.TryParseInt64(member, out long number) && Intset.In(blob).Contains(number);
        Listpack listpack = Listpack.In(blob);
        return listpack.Find(listpack.First, member) >= 0;
    }

    /// <summary>The same for a member of another set, using what is already known about it.</summary>
    public static bool Contains(object set, in SetMember member)
    {
        if (set is not byte[] blob)
        {
            var value = Unsafe.As<SetValue>(set);
            if (member.Shared is not null) return value.Contains(member.Shared, member.Hash);
            return value.Contains(member.AsSpan(stackalloc byte[SetMember.ScratchLength]));
        }
        if (Blob.KindOf(blob) == BlobKind.SetIntset) return member.TryInteger(out long number) && Intset.In(blob).Contains(number);
        Listpack listpack = Listpack.In(blob);
        return listpack.Find(listpack.First, member.AsSpan(stackalloc byte[SetMember.ScratchLength])) >= 0;
    }

    /// <summary>
    /// Creates an empty set in the representation suited to about this many members, given the first of them.
    /// </summary>
    public static object Create(ReadOnlySpan<byte> key, ReadOnlySpan<byte> first, int expectedCount, int expectedBytes, ServerOptions options)
    {
        if (expectedCount <= options.SetMaxIntsetEntries && Numbers.TryParseInt64(first, out _)) return CreateIntset(key, 0);
        if (expectedCount <= options.SetMaxListpackEntries) return CreateListpack(key, expectedBytes);
        return new SetValue(key.ToArray(), expectedCount);
    }

    public static byte[] CreateIntset(ReadOnlySpan<byte> key, int memberBytes)
    {
        byte[] blob = Blob.Create(BlobKind.SetIntset, key, Intset.HeaderLength + memberBytes, Expiry.Never, out _);
        Intset.In(blob).Clear();
        return blob;
    }

    public static byte[] CreateListpack(ReadOnlySpan<byte> key, int memberBytes)
    {
        byte[] blob = Blob.Create(BlobKind.SetListpack, key, Listpack.EmptyLength + memberBytes, Expiry.Never, out _);
        Listpack.In(blob).Clear();
        return blob;
    }

    /// <summary>Adds a member.</summary>
    public static object Add(object set, ReadOnlySpan<byte> member, ServerOptions options, out bool added)
    {
        if (set is not byte[] blob)
        {
            added = Unsafe.As<SetValue>(set).Add(member);
            return set;
        }
        return Blob.KindOf(blob) == BlobKind.SetIntset ? AddToIntset(blob, member, options, out added) : AddToListpack(blob, member, options, out added);
    }

    /// <summary>Adds a member of another set.</summary>
    public static object Add(object set, in SetMember member, ServerOptions options)
    {
        if (set is SetValue value && member.Shared is not null)
        {
            value.Add(member.Shared, member.Hash);
            return value;
        }
        return Add(set, member.AsSpan(stackalloc byte[SetMember.ScratchLength]), options, out _);
    }

    /// <summary>Removes a member. The set may be empty afterwards.</summary>
    public static object Remove(object set, ReadOnlySpan<byte> member, out bool removed)
    {
        if (set is not byte[] blob)
        {
            removed = Unsafe.As<SetValue>(set).Remove(member);
            return set;
        }
        if (Blob.KindOf(blob) == BlobKind.SetIntset)
        {
            Intset intset = Intset.In(blob);
            removed = Numbers.TryParseInt64(member, out long number) && intset.Remove(number);
            return intset.Array;
        }
        Listpack listpack = Listpack.In(blob);
        int position = listpack.Find(listpack.First, member);
        removed = position >= 0;
        if (removed) listpack.Delete(position);
        return listpack.Array;
    }

    /// <summary>The member at a position of a listpack.</summary>
    public static SetMember MemberAt(byte[] blob, int position)
    {
        ListpackElement element = ListpackElement.At(blob, position);
        return element.IsInteger ? new(element.Integer) : new(element.Text);
    }

    /// <summary>Releases the spare room of a blob.</summary>
    public static object Trim(object set)
    {
        if (set is not byte[] blob) return set;
        if (Blob.KindOf(blob) == BlobKind.SetIntset)
        {
            Intset intset = Intset.In(blob);
            intset.TrimToSize();
            return intset.Array;
        }
        Listpack listpack = Listpack.In(blob);
        listpack.TrimToSize();
        return listpack.Array;
    }

    /// <summary>A table for the same key, with the same members and room for more.</summary>
    public static SetValue ToTable(object set, int expectedCount)
    {
        if (set is SetValue already) return already;
        byte[] blob = Unsafe.As<byte[]>(set);
        var table = new SetValue(Blob.KeyOf(blob).ToArray(), Math.Max(expectedCount, Count(blob)))
        {
            ExpiresAtMs = Blob.ExpiresAtMs(blob),
            AccessClock = Blob.AccessClock(blob),
        };
        Span<byte> scratch = stackalloc byte[SetMember.ScratchLength];
        foreach (SetMember member in new SetMembers(blob)) table.Add(member.AsSpan(scratch));
        return table;
    }

    /// <summary>
    /// The representation that the same members would have if they had been added one by one. A result that was
    /// gathered in a table may be small enough for a blob.
    /// </summary>
    public static object Compact(SetValue table, ServerOptions options)
    {
        bool intset = table.Count <= options.SetMaxIntsetEntries, listpack = table.Count <= options.SetMaxListpackEntries;
        if (!intset && !listpack) return table;
        int width = 2, bytes = 0;
        foreach (byte[] member in table.Members)
        {
            if (Numbers.TryParseInt64(member, out long number)) width = Math.Max(width, Intset.WidthOf(number));
            else intset = false;
            if (member.Length > options.SetMaxListpackValue) listpack = false;
            if (!intset && !listpack) return table;
            bytes += Listpack.SizeOf(member);
        }
        if (!intset)
        {
            Listpack packed = Listpack.In(CreateListpack(table.Key, bytes));
            foreach (byte[] member in table.Members) packed.Append(member);
            return packed.Array;
        }
        long[] numbers = new long[table.Count];
        int count = 0;
        foreach (byte[] member in table.Members) _ = Numbers.TryParseInt64(member, out numbers[count++]);
        Array.Sort(numbers);
        Intset sorted = Intset.In(CreateIntset(table.Key, count * width));
        sorted.Clear(width);
        foreach (long number in numbers) sorted.Add(number);
        return sorted.Array;
    }

    private static object AddToIntset(byte[] blob, ReadOnlySpan<byte> member, ServerOptions options, out bool added)
    {
        Intset intset = Intset.In(blob);
        if (Numbers.TryParseInt64(member, out long number))
        {
            added = intset.Add(number);
            return added && intset.Count > options.SetMaxIntsetEntries ? ToTable(intset.Array, 0) : intset.Array;
        }
        added = true;
        int count = intset.Count;
        bool longest = count > 0 && Math.Max(new SetMember(intset[0]).AsSpan(stackalloc byte[SetMember.ScratchLength]).Length,
            new SetMember(intset[count - 1]).AsSpan(stackalloc byte[SetMember.ScratchLength]).Length) > options.SetMaxListpackValue;
        if (count >= options.SetMaxListpackEntries || member.Length > options.SetMaxListpackValue || longest)
        {
            SetValue table = ToTable(blob, count + 1);
            table.Add(member);
            return table;
        }
        int bytes = Listpack.SizeOf(member);
        for (int i = 0; i < count; i++) bytes += Listpack.SizeOf(intset[i]);
        byte[] converted = Blob.WithPayload(blob, BlobKind.SetListpack, Listpack.EmptyLength + bytes, out _);
        Listpack listpack = Listpack.In(converted);
        listpack.Clear();
        for (int i = 0; i < count; i++) listpack.Append(intset[i]);
        listpack.Append(member);
        return listpack.Array;
    }

    private static object AddToListpack(byte[] blob, ReadOnlySpan<byte> member, ServerOptions options, out bool added)
    {
        Listpack listpack = Listpack.In(blob);
        added = listpack.Find(listpack.First, member) < 0;
        if (!added) return blob;
        int count = listpack.Count;
        if (count < options.SetMaxListpackEntries && member.Length <= options.SetMaxListpackValue)
        {
            listpack.Append(member);
            return listpack.Array;
        }
        SetValue table = ToTable(blob, count + 1);
        table.Add(member);
        return table;
    }
}
