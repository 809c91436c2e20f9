using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>Reads sorted sets.</summary>
internal readonly ref partial struct RdbObjectReader
{
    /// <summary>Reads alternating members and scores.</summary>
    private KeyEntry ReadScores(RdbType type)
    {
        long count = _reader.Count();
        if (count == 0) return default;
        var members = new List<ScoredMember>(_reader.Plausible(count, 2));
        try
        {
            for (long left = count; left > 0; left--)
            {
                var member = ScoredMember.Create(0, _reader.StringSpan());
                members.Add(member);
                double score = type == RdbType.ZSet2 ? _reader.Double() : _reader.TextDouble();
                if (double.IsNaN(score)) throw new RdbFormatException("Zset with NAN score detected");
                member.SetScore(score);
            }
        }
        catch
        {
            ScoredMember.Retire(CollectionsMarshal.AsSpan(members));
            throw;
        }
        return FromMembers(CollectionsMarshal.AsSpan(members), "Duplicate zset fields detected");
    }

    /// <summary>Makes a sorted set of these members, which belong to it from now on, or are retired.</summary>
    private KeyEntry FromMembers(Span<ScoredMember> members, string failure)
    {
        int longest = 0;
        var seen = new ByteTable<ScoredMember>(members.Length);
        bool hasDoubles = false;
        foreach (ScoredMember member in members)
        {
            longest = Math.Max(longest, member.Key.Length);
            hasDoubles = !seen.Get(member.Key).IsNone;
            if (hasDoubles) break;
            seen.Add(member);
        }
        seen.FreeCells();
        if (hasDoubles)
        {
            ScoredMember.Retire(members);
            throw new RdbFormatException(failure);
        }
        // Redis writes large sorted sets from last to first.
        if (members.Length > 1 && IsInOrder(members[^1], members[0])) members.Reverse();
        for (int i = 1; i < members.Length; i++)
        {
            if (IsInOrder(members[i - 1], members[i])) continue;
            SortedSetEntry.Sort(members);
            break;
        }
        return SortedSetEntry.Create(_options, _key, members);
    }

    private static bool IsInOrder(ScoredMember first, ScoredMember second) =>
        first.Score < second.Score || (first.Score == second.Score && first.Key.SequenceCompareTo(second.Key) < 0);

    /// <summary>Reads a listpack of alternating members and scores, in order.</summary>
    private KeyEntry ReadScoreListpack(ReadOnlySpan<byte> bytes, string what)
    {
        string failure = $"{what} integrity check failed.";
        if (!ListpackCheck.IsValid(bytes, out int count, out bool isCanonical) || (count & 1) != 0) throw new RdbFormatException(failure);
        if (count == 0) return default;
        var blob = Blob.CreatePacked(BlobKind.ZSetListpack, _key, bytes, _expiresAtMs);
        Listpack listpack = Listpack.In(blob);
        CheckDoubles(blob, 2, failure);
        bool inOrder = true, fits = count / 2 <= _options.ZsetMaxListpackEntries;
        double before = double.NegativeInfinity;
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            at = listpack.Next(at);
            if (!TryScoreOf(listpack[at], out double score)) throw Damaged(blob, failure);
            inOrder &= score >= before;
            before = score;
        }
        if (fits && inOrder && isCanonical) return blob;
        var members = new List<ScoredMember>(count / 2);
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            ReadOnlySpan<byte> member = listpack[at].AsSpan(scratch);
            at = listpack.Next(at);
            _ = TryScoreOf(listpack[at], out double score);
            members.Add(ScoredMember.Create(score, member));
        }
        blob.Retire();
        return FromMembers(CollectionsMarshal.AsSpan(members), failure);
    }

    private static bool TryScoreOf(in ListpackElement element, out double score)
    {
        score = element.Integer;
        return element.IsInteger || Numbers.TryParseDouble(element.Text, out score);
    }
}
