using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>Reads sorted sets.</summary>
internal readonly ref partial struct RdbObjectReader
{
    /// <summary>Reads alternating members and scores.</summary>
    private object? ReadScores(RdbType type)
    {
        long count = _reader.Count();
        if (count == 0) return null;
        var members = new List<byte[]>(_reader.Plausible(count, 2));
        int longest = 0;
        for (long left = count; left > 0; left--)
        {
            byte[] member = ScoredMember.Create(0, _reader.StringSpan());
            double score = type == RdbType.ZSet2 ? _reader.Double() : _reader.TextDouble();
            if (double.IsNaN(score)) throw new RdbFormatException("Zset with NAN score detected");
            ScoredMember.SetScore(member, score);
            members.Add(member);
            longest = Math.Max(longest, member.Length - sizeof(double));
        }
        return FromMembers(CollectionsMarshal.AsSpan(members), longest, "Duplicate zset fields detected");
    }

    private object FromMembers(Span<byte[]> members, int longest, string failure)
    {
        // Redis writes large sorted sets from last to first.
        if (members.Length > 1 && IsInOrder(members[^1], members[0])) members.Reverse();
        for (int i = 1; i < members.Length; i++)
        {
            if (IsInOrder(members[i - 1], members[i])) continue;
            SortedSetEntry.Sort(members);
            break;
        }
        if (members.Length > _options.ZsetMaxListpackEntries || longest > _options.ZsetMaxListpackValue)
        {
            var value = new SortedSetValue(_key.ToArray(), members.Length);
            foreach (byte[] member in members)
            {
                if (value.Find(ScoredMember.MemberOf(member)) is not null) throw new RdbFormatException(failure);
                value.Add(member);
            }
            return value;
        }
        var seen = new ByteTable<ScoredMember>(members.Length);
        foreach (byte[] member in members)
        {
            if (seen.Get(ScoredMember.MemberOf(member)) is not null) throw new RdbFormatException(failure);
            seen.Add(member);
        }
        return SortedSetEntry.Create(_options, _key, members);
    }

    private static bool IsInOrder(byte[] first, byte[] second)
    {
        double a = BinaryPrimitives.ReadDoubleLittleEndian(first), b = BinaryPrimitives.ReadDoubleLittleEndian(second);
        return a < b || (a == b && ScoredMember.MemberOf(first).SequenceCompareTo(ScoredMember.MemberOf(second)) < 0);
    }

    /// <summary>Reads a listpack of alternating members and scores, in order.</summary>
    private object? ReadScoreListpack(ReadOnlySpan<byte> bytes, string what)
    {
        string failure = $"{what} integrity check failed.";
        if (!ListpackCheck.IsValid(bytes, out int count, out bool isCanonical) || (count & 1) != 0) throw new RdbFormatException(failure);
        if (count == 0) return null;
        byte[] blob = Blob.Create(BlobKind.ZSetListpack, _key, bytes, _expiresAtMs);
        Listpack listpack = Listpack.In(blob);
        CheckDoubles(listpack, 2, failure);
        bool inOrder = true, fits = count / 2 <= _options.ZsetMaxListpackEntries;
        double before = double.NegativeInfinity;
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            at = listpack.Next(at);
            double score = ScoreOf(listpack[at], failure);
            inOrder &= score >= before;
            before = score;
        }
        if (fits && inOrder && isCanonical) return blob;
        var members = new List<byte[]>(count / 2);
        int longest = 0;
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            ReadOnlySpan<byte> member = listpack[at].AsSpan(scratch);
            longest = Math.Max(longest, member.Length);
            at = listpack.Next(at);
            members.Add(ScoredMember.Create(ScoreOf(listpack[at], failure), member));
        }
        return FromMembers(CollectionsMarshal.AsSpan(members), longest, failure);
    }

    private static double ScoreOf(in ListpackElement element, string failure)
    {
        double score = element.Integer;
        return element.IsInteger || Numbers.TryParseDouble(element.Text, out score) ? score : throw new RdbFormatException(failure);
    }
}
