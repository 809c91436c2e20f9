namespace OrleansRedis.Engine;

/// <summary>
/// Sets in their representations: an intset or a listpack in a blob, or a <see cref="SetValue"/>. Methods that change a
/// set take the entry and return the one to put in its place (the same, a grown blob, another representation), with the
/// same key, expiry and access clock. If it is another one, the old one is retired.
/// </summary>
internal static class SetEntry
{
    public static int Count(KeyEntry set)
    {
        if (!set.TryBlob(out Blob blob)) return set.As<SetValue>().Count;
        return blob.Kind == BlobKind.SetIntset ? Intset.In(blob).Count : Listpack.In(blob).Count;
    }

    public static bool Contains(KeyEntry set, ReadOnlySpan<byte> member)
    {
        if (!set.TryBlob(out Blob blob)) return set.As<SetValue>().Contains(member);
        if (blob.Kind == BlobKind.SetIntset) return Numbers.TryParseInt64(member, out long number) && Intset.In(blob).Contains(number);
        Listpack listpack = Listpack.In(blob);
        return listpack.Find(listpack.First, member) >= 0;
    }

    /// <summary>The same for a member of another set, using what is already known about it.</summary>
    public static bool Contains(KeyEntry set, in SetMember member)
    {
        if (!set.TryBlob(out Blob blob))
        {
            var value = set.As<SetValue>();
            if (member.IsHashed) return value.Contains(member.Text, member.Hash);
            return value.Contains(member.AsSpan(stackalloc byte[SetMember.ScratchLength]));
        }
        if (blob.Kind == BlobKind.SetIntset) return member.TryInteger(out long number) && Intset.In(blob).Contains(number);
        Listpack listpack = Listpack.In(blob);
        return listpack.Find(listpack.First, member.AsSpan(stackalloc byte[SetMember.ScratchLength])) >= 0;
    }

    /// <summary>
    /// Creates an empty set in the representation suited to about this many members, given the first of them.
    /// </summary>
    public static KeyEntry Create(ReadOnlySpan<byte> key, ReadOnlySpan<byte> first, int expectedCount, int expectedBytes, ServerOptions options)
    {
        if (expectedCount <= options.SetMaxIntsetEntries && Numbers.TryParseInt64(first, out _)) return CreateIntset(key, 0);
        if (expectedCount <= options.SetMaxListpackEntries) return CreateListpack(key, expectedBytes);
        return new SetValue(key.ToArray(), expectedCount);
    }

    public static Blob CreateIntset(ReadOnlySpan<byte> key, int memberBytes)
    {
        var blob = Blob.Create(BlobKind.SetIntset, key, Intset.HeaderLength + memberBytes, Expiry.Never);
        Intset.In(blob).Clear();
        return blob;
    }

    public static Blob CreateListpack(ReadOnlySpan<byte> key, int memberBytes)
    {
        var blob = Blob.Create(BlobKind.SetListpack, key, Listpack.EmptyLength + memberBytes, Expiry.Never);
        Listpack.In(blob).Clear();
        return blob;
    }

    /// <summary>Adds a member.</summary>
    public static KeyEntry Add(KeyEntry set, ReadOnlySpan<byte> member, ServerOptions options, out bool added)
    {
        if (!set.TryBlob(out Blob blob))
        {
            added = set.As<SetValue>().Add(member);
            return set;
        }
        return blob.Kind == BlobKind.SetIntset ? AddToIntset(blob, member, options, out added) : AddToListpack(blob, member, options, out added);
    }

    /// <summary>Adds a member of another set.</summary>
    public static KeyEntry Add(KeyEntry set, in SetMember member, ServerOptions options)
    {
        if (member.IsHashed && !set.IsBlob)
        {
            set.As<SetValue>().Add(member.Text, member.Hash);
            return set;
        }
        return Add(set, member.AsSpan(stackalloc byte[SetMember.ScratchLength]), options, out _);
    }

    /// <summary>Removes a member. The set may be empty afterwards.</summary>
    public static KeyEntry Remove(KeyEntry set, ReadOnlySpan<byte> member, out bool removed)
    {
        if (!set.TryBlob(out Blob blob))
        {
            removed = set.As<SetValue>().Remove(member);
            return set;
        }
        if (blob.Kind == BlobKind.SetIntset)
        {
            Intset intset = Intset.In(blob);
            removed = Numbers.TryParseInt64(member, out long number) && intset.Remove(number);
            return intset.Blob;
        }
        Listpack listpack = Listpack.In(blob);
        int position = listpack.Find(listpack.First, member);
        removed = position >= 0;
        if (removed) listpack.Delete(position);
        return listpack.Blob;
    }

    /// <summary>The member at a position of a listpack.</summary>
    public static SetMember MemberAt(Blob blob, int position)
    {
        ListpackElement element = Listpack.In(blob)[position];
        return element.IsInteger ? new(element.Integer) : new(element.Text);
    }

    /// <summary>Releases the spare room of a blob.</summary>
    public static KeyEntry Trim(KeyEntry set)
    {
        if (!set.TryBlob(out Blob blob)) return set;
        if (blob.Kind == BlobKind.SetIntset)
        {
            Intset intset = Intset.In(blob);
            intset.TrimToSize();
            return intset.Blob;
        }
        Listpack listpack = Listpack.In(blob);
        listpack.TrimToSize();
        return listpack.Blob;
    }

    /// <summary>A table for the same key, with the same members and room for more; a blob is retired.</summary>
    public static SetValue ToTable(KeyEntry set, int expectedCount)
    {
        if (!set.TryBlob(out Blob blob)) return set.As<SetValue>();
        SetValue table = CopyToTable(blob, blob.Key, expectedCount);
        table.ExpiresAtMs = blob.ExpiresAtMs;
        table.AccessClock = blob.AccessClock;
        blob.Retire();
        return table;
    }

    /// <summary>A table with copies of a set's members, and room for more, under a key of its own, without expiry.</summary>
    public static SetValue CopyToTable(KeyEntry set, ReadOnlySpan<byte> key, int expectedCount = 0)
    {
        if (!set.IsBlob) return set.As<SetValue>().CopyMembers(key.ToArray());
        var table = new SetValue(key.ToArray(), Math.Max(expectedCount, Count(set)));
        Span<byte> scratch = stackalloc byte[SetMember.ScratchLength];
        foreach (SetMember member in new SetMembers(set)) table.Add(member.AsSpan(scratch));
        return table;
    }

    /// <summary>
    /// The representation that the same members would have if they had been added one by one. A result that was
    /// gathered in a table may be small enough for a blob; the table is then retired.
    /// </summary>
    public static KeyEntry Compact(SetValue table, ServerOptions options)
    {
        bool intset = table.Count <= options.SetMaxIntsetEntries, listpack = table.Count <= options.SetMaxListpackEntries;
        if (!intset && !listpack) return table;
        int width = 2, bytes = 0;
        foreach (StoredMember stored in table.Members)
        {
            ReadOnlySpan<byte> member = stored.Key;
            if (Numbers.TryParseInt64(member, out long number)) width = Math.Max(width, Intset.WidthOf(number));
            else intset = false;
            if (member.Length > options.SetMaxListpackValue) listpack = false;
            if (!intset && !listpack) return table;
            bytes += Listpack.SizeOf(member);
        }
        if (!intset)
        {
            Listpack packed = Listpack.In(CreateListpack(table.Key, bytes));
            foreach (StoredMember member in table.Members) packed.Append(member.Key);
            Retirement.Retire(table);
            return packed.Blob;
        }
        long[] numbers = new long[table.Count];
        int count = 0;
        foreach (StoredMember member in table.Members) _ = Numbers.TryParseInt64(member.Key, out numbers[count++]);
        Array.Sort(numbers);
        Intset sorted = Intset.In(CreateIntset(table.Key, count * width));
        sorted.Clear(width);
        foreach (long number in numbers) sorted.Add(number);
        Retirement.Retire(table);
        return sorted.Blob;
    }

    private static KeyEntry AddToIntset(Blob blob, ReadOnlySpan<byte> member, ServerOptions options, out bool added)
    {
        Intset intset = Intset.In(blob);
        if (Numbers.TryParseInt64(member, out long number))
        {
            added = intset.Add(number);
            return added && intset.Count > options.SetMaxIntsetEntries ? ToTable(intset.Blob, 0) : intset.Blob;
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
        Listpack listpack = Listpack.In(blob.WithRoom(BlobKind.SetListpack, Listpack.EmptyLength + bytes));
        listpack.Clear();
        for (int i = 0; i < count; i++) listpack.Append(intset[i]);
        listpack.Append(member);
        blob.Retire();
        return listpack.Blob;
    }

    private static KeyEntry AddToListpack(Blob blob, ReadOnlySpan<byte> member, ServerOptions options, out bool added)
    {
        Listpack listpack = Listpack.In(blob);
        added = listpack.Find(listpack.First, member) < 0;
        if (!added) return blob;
        int count = listpack.Count;
        if (count < options.SetMaxListpackEntries && member.Length <= options.SetMaxListpackValue)
        {
            listpack.Append(member);
            return listpack.Blob;
        }
        SetValue table = ToTable(blob, count + 1);
        table.Add(member);
        return table;
    }
}
