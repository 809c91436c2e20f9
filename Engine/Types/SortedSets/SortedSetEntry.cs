namespace OrleansRedis.Engine;

/// <summary>How a member is to be added: the options of ZADD.</summary>
[Flags]
internal enum AddOptions : byte
{
    None = 0,
    IfMissing = 1,
    IfPresent = 2,
    IfGreater = 4,
    IfLess = 8,
    Increment = 16,
}

/// <summary>The result of adding a member.</summary>
internal enum AddOutcome : byte
{
    /// <summary>The member already has the score.</summary>
    Same,

    Added,

    Updated,

    /// <summary>An option forbade it.</summary>
    Refused,

    /// <summary>The sum of inf and -inf; nothing is changed.</summary>
    NotANumber,
}

/// <summary>
/// Creates and changes sorted sets in their encodings: a blob of kind ZSetListpack while small, then a
/// <see cref="SortedSetValue"/>. Methods that move a set to another block or encoding retire the old one.
/// </summary>
internal static class SortedSetEntry
{
    /// <summary>Creates an empty sorted set suited to this many members, the first of them of this length.</summary>
    public static KeyEntry Create(ServerOptions options, ReadOnlySpan<byte> key, long count, int memberLength, int roomBytes = 0)
    {
        if (count > options.ZsetMaxListpackEntries || memberLength > options.ZsetMaxListpackValue)
            return new SortedSetValue(key.ToArray(), (int)Math.Min(count, 1 << 20));
        return CreateListpack(key, roomBytes).Blob;
    }

    /// <summary>
    /// Creates a sorted set whose members are all known; they must be distinct, and in order (see <see cref="Sort"/>).
    /// They belong to the set from now on, or are retired.
    /// </summary>
    public static KeyEntry Create(ServerOptions options, ReadOnlySpan<byte> key, ReadOnlySpan<ScoredMember> entries)
    {
        int longest = 0, room = 0;
        foreach (ScoredMember entry in entries)
        {
            longest = Math.Max(longest, entry.Key.Length);
            room += entry.Key.Length + 16;
        }
        if (entries.Length > options.ZsetMaxListpackEntries || longest > options.ZsetMaxListpackValue)
        {
            var value = new SortedSetValue(key.ToArray(), entries.Length);
            foreach (ScoredMember entry in entries) value.Add(entry);
            return value;
        }
        Listpack listpack = CreateListpack(key, room);
        foreach (ScoredMember entry in entries) SortedSetListpack.Append(ref listpack, entry.Score, entry.Key);
        ScoredMember.Retire(entries);
        listpack.TrimToSize();
        return listpack.Blob;
    }

    /// <summary>Sorts by score, then by member.</summary>
    public static void Sort(Span<ScoredMember> entries) => entries.Sort(static (a, b) =>
    {
        double x = a.Score, y = b.Score;
        return x < y ? -1 : x > y ? 1 : a.Key.SequenceCompareTo(b.Key);
    });

    /// <summary>
    /// Adds a member or changes its score. <paramref name="set"/> becomes another entry if it outgrows its block or
    /// its encoding.
    /// </summary>
    public static AddOutcome Add(ServerOptions options, ref KeyEntry set, double score, ReadOnlySpan<byte> member, AddOptions how, out double newScore)
    {
        if (set.TryBlob(out Blob blob))
        {
            Listpack listpack = Listpack.In(blob);
            int at = SortedSetListpack.Find(listpack, member);
            if (at >= 0)
            {
                double current = SortedSetListpack.ScoreOf(listpack, at);
                AddOutcome outcome = Decide(current, score, how, out newScore);
                if (outcome != AddOutcome.Updated) return outcome;
                listpack.Delete(at, 2);
                SortedSetListpack.Insert(ref listpack, newScore, member);
                set = listpack.Blob;
                return AddOutcome.Updated;
            }
            newScore = score;
            if ((how & AddOptions.IfPresent) != 0) return AddOutcome.Refused;
            if (SortedSetListpack.CountOf(listpack) < options.ZsetMaxListpackEntries && member.Length <= options.ZsetMaxListpackValue)
            {
                SortedSetListpack.Insert(ref listpack, score, member);
                set = listpack.Blob;
                return AddOutcome.Added;
            }
            set = Convert(blob, 1);
        }
        SortedSetValue value = set.As<SortedSetValue>();
        ScoredMember entry = value.Find(member);
        if (!entry.IsNone)
        {
            AddOutcome outcome = Decide(entry.Score, score, how, out newScore);
            if (outcome == AddOutcome.Updated) value.SetScore(entry, newScore);
            return outcome;
        }
        newScore = score;
        if ((how & AddOptions.IfPresent) != 0) return AddOutcome.Refused;
        value.Add(score, member);
        return AddOutcome.Added;
    }

    /// <summary>Removes a member; false if it is not there. The set may be empty afterwards.</summary>
    public static bool Remove(ref KeyEntry set, ReadOnlySpan<byte> member)
    {
        if (!set.TryBlob(out Blob blob)) return set.As<SortedSetValue>().Remove(member);
        Listpack listpack = Listpack.In(blob);
        int at = SortedSetListpack.Find(listpack, member);
        if (at < 0) return false;
        listpack.Delete(at, 2);
        set = listpack.Blob;
        return true;
    }

    /// <summary>Removes the members with these ranks.</summary>
    public static void RemoveRange(ref KeyEntry set, RankRange ranks)
    {
        if (!set.TryBlob(out Blob blob))
        {
            set.As<SortedSetValue>().RemoveRange(ranks.From, ranks.Count);
            return;
        }
        Listpack listpack = Listpack.In(blob);
        listpack.DeleteRange(ranks.From * 2, ranks.Count * 2);
        set = listpack.Blob;
    }

    /// <summary>
    /// A small sorted set in the large encoding, with room for <paramref name="more"/> more members. The blob is retired.
    /// </summary>
    public static SortedSetValue Convert(Blob blob, int more)
    {
        var view = new SortedSetView(blob);
        var value = new SortedSetValue(blob.Key.ToArray(), view.Count + more)
        {
            ExpiresAtMs = blob.ExpiresAtMs,
            AccessClock = blob.AccessClock,
        };
        SortedSetView.Walker walker = view.Walk(stackalloc byte[ListpackElement.ScratchLength]);
        while (walker.MoveNext())
        {
            // A payload that was not checked for it may have a member twice; the dictionary and the order would then
            // disagree about which of the two is which.
            if (value.Find(walker.Member).IsNone) value.Add(walker.Score, walker.Member);
        }
        blob.Retire();
        return value;
    }

    private static Listpack CreateListpack(ReadOnlySpan<byte> key, int roomBytes)
    {
        Listpack listpack = Listpack.In(Blob.Create(BlobKind.ZSetListpack, key, Listpack.EmptyLength + roomBytes, Expiry.Never));
        listpack.Clear();
        return listpack;
    }

    private static AddOutcome Decide(double current, double score, AddOptions how, out double newScore)
    {
        newScore = score;
        if ((how & AddOptions.IfMissing) != 0) return AddOutcome.Refused;
        if ((how & AddOptions.Increment) != 0)
        {
            newScore += current;
            if (double.IsNaN(newScore)) return AddOutcome.NotANumber;
        }
        if ((how & AddOptions.IfLess) != 0 && newScore >= current) return AddOutcome.Refused;
        if ((how & AddOptions.IfGreater) != 0 && newScore <= current) return AddOutcome.Refused;
        return newScore == current ? AddOutcome.Same : AddOutcome.Updated;
    }
}
