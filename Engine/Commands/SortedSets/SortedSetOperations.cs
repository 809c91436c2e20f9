using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Union, intersection and difference of sorted sets, and of plain sets, whose members count as having score 1. They
/// share one helper, as in Redis.
/// </summary>
internal static class SortedSetOperations
{
    private enum Operation : byte
    {
        Union,
        Intersection,
        Difference,
    }

    private enum Aggregate : byte
    {
        Sum,
        Min,
        Max,
    }

    /// <summary>
    /// ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE &lt;SUM | MIN | MAX&gt;] [WITHSCORES]
    /// </summary>
    [Command("ZUNION", -3, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS #1", Effort = Effort.AllElements, Since = "6.2.0",
        Complexity =
            "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
        Summary = "Returns the union of multiple sorted sets.",
        Syntax = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [aggregate=AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]")]
    internal static void Zunion(ref CommandContext call) => Reply(ref call, Operation.Union);

    /// <summary>
    /// ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE &lt;SUM | MIN | MAX&gt;] [WITHSCORES]
    /// </summary>
    [Command("ZINTER", -3, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS #1", Effort = Effort.SmallestKey, Since = "6.2.0",
        Complexity = "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being "
            + "the number of elements in the resulting sorted set.",
        Summary = "Returns the intersect of multiple sorted sets.",
        Syntax = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [aggregate=AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]")]
    internal static void Zinter(ref CommandContext call) => Reply(ref call, Operation.Intersection);

    /// <summary>ZDIFF numkeys key [key ...] [WITHSCORES]</summary>
    [Command("ZDIFF", -3, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS #1", Effort = Effort.AllElements, Since = "6.2.0",
        Complexity = "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is "
            + "the size of the result set.",
        Summary = "Returns the difference between multiple sorted sets.",
        Syntax = "numkeys key [key ...] [WITHSCORES]")]
    internal static void Zdiff(ref CommandContext call) => Reply(ref call, Operation.Difference);

    /// <summary>
    /// ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE &lt;SUM | MIN | MAX&gt;]
    /// </summary>
    [Command("ZUNIONSTORE", -4, CommandFlags.Write | CommandFlags.DenyOom, Category.SortedSet, Keys = "OW UPDATE 1;RO ACCESS #2", Effort = Effort.AllElements,
        Since = "2.0.0",
        Complexity =
            "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
        Summary = "Stores the union of multiple sorted sets in a key.",
        Syntax = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [aggregate=AGGREGATE <SUM | MIN | MAX>]")]
    internal static void Zunionstore(ref CommandContext call) => Store(ref call, Operation.Union, "zunionstore"u8);

    /// <summary>
    /// ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE &lt;SUM | MIN | MAX&gt;]
    /// </summary>
    [Command("ZINTERSTORE", -4, CommandFlags.Write | CommandFlags.DenyOom, Category.SortedSet, Keys = "OW UPDATE 1;RO ACCESS #2", Effort = Effort.SmallestKey,
        Since = "2.0.0",
        Complexity = "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being "
            + "the number of elements in the resulting sorted set.",
        Summary = "Stores the intersect of multiple sorted sets in a key.",
        Syntax = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [aggregate=AGGREGATE <SUM | MIN | MAX>]")]
    internal static void Zinterstore(ref CommandContext call) => Store(ref call, Operation.Intersection, "zinterstore"u8);

    /// <summary>ZDIFFSTORE destination numkeys key [key ...]</summary>
    [Command("ZDIFFSTORE", -4, CommandFlags.Write | CommandFlags.DenyOom, Category.SortedSet, Keys = "OW UPDATE 1;RO ACCESS #2", Effort = Effort.AllElements,
        Since = "6.2.0",
        Complexity = "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is "
            + "the size of the result set.",
        Summary = "Stores the difference of multiple sorted sets in a key.",
        Syntax = "destination numkeys key [key ...]")]
    internal static void Zdiffstore(ref CommandContext call) => Store(ref call, Operation.Difference, "zdiffstore"u8);

    /// <summary>ZINTERCARD numkeys key [key ...] [LIMIT limit]</summary>
    [Command("ZINTERCARD", -3, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS #1", Effort = Effort.SmallestKey, Since = "7.0.0",
        Complexity = "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
        Summary = "Returns the number of members of the intersect of multiple sorted sets.",
        Syntax = "numkeys key [key ...] [LIMIT limit]")]
    internal static void Zintercard(ref CommandContext call)
    {
        if (!TryReadOperands(ref call, 1, out SetOperand[] operands, out int next)) return;
        long limit = 0;
        for (; next < call.Count; next += 2)
        {
            if (!call[next].Is("LIMIT"u8) || next + 1 == call.Count)
            {
                call.SyntaxError();
                return;
            }
            if (Numbers.TryParseInt64(call[next + 1], out limit) && limit >= 0) continue;
            call.Reply.Error("ERR LIMIT can't be negative"u8);
            return;
        }
        SortByCount(operands);
        long count = 0;
        SetOperand.Walker walker = operands[0].Walk(stackalloc byte[ListpackElement.ScratchLength]);
        while (walker.MoveNext())
        {
            ReadOnlySpan<byte> member = walker.Member;
            int i = 1;
            while (i < operands.Length && operands[i].TryScore(member, out _)) i++;
            if (i == operands.Length && ++count == limit) break;
        }
        call.Reply.Integer(count);
    }

    private static void Reply(ref CommandContext call, Operation operation)
    {
        if (!TryReadOperands(ref call, 1, out SetOperand[] operands, out int next)) return;
        if (!TryReadOptions(ref call, next, operation, operands, stores: false, out Aggregate aggregate, out bool withScores)) return;
        ScoredMember[] result = Compute(operation, operands, aggregate);
        bool nested = withScores && call.Reply.Resp3;
        call.Reply.Array(withScores && !nested ? result.Length * 2 : result.Length);
        foreach (ScoredMember entry in result)
        {
            if (nested) call.Reply.Array(2);
            call.Reply.BulkString(entry.Key);
            if (withScores) call.Reply.Double(entry.Score);
        }
        ScoredMember.Retire(result);
    }

    private static void Store(ref CommandContext call, Operation operation, ReadOnlySpan<byte> eventName)
    {
        if (!TryReadOperands(ref call, 2, out SetOperand[] operands, out int next)) return;
        if (!TryReadOptions(ref call, next, operation, operands, stores: true, out Aggregate aggregate, out _)) return;
        ScoredMember[] result = Compute(operation, operands, aggregate);
        SortedSetStore.Put(ref call, call[1], result, eventName);
        call.Reply.Integer(result.Length);
    }

    /// <summary>Reads numkeys key [key ...]. If they are wrong, the error is in the reply.</summary>
    private static bool TryReadOperands(ref CommandContext call, int numkeys, out SetOperand[] operands, out int next)
    {
        operands = [];
        next = 0;
        if (!call.TryInt64(numkeys, out long count)) return false;
        if (count < 1)
        {
            call.Reply.Error($"ERR at least 1 input key is needed for '{call.Command.Name}' command");
            return false;
        }
        if (count > call.Count - numkeys - 1)
        {
            call.SyntaxError();
            return false;
        }
        next = numkeys + 1 + (int)count;
        operands = new SetOperand[count];
        for (int i = 0; i < operands.Length; i++)
        {
            Entry entry = call.Read(numkeys + 1 + i);
            if (!entry.IsMissing && entry.Type is not (ValueType.SortedSet or ValueType.Set))
            {
                call.Reply.Error(Errors.WrongType);
                return false;
            }
            operands[i] = entry.IsMissing ? new(default, isSorted: false) : new(entry.Found, entry.Type == ValueType.SortedSet);
        }
        return true;
    }

    /// <summary>
    /// Reads [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]. If something is wrong, the error
    /// is in the reply.
    /// </summary>
    private static bool TryReadOptions(
        ref CommandContext call, int next, Operation operation, SetOperand[] operands, bool stores, out Aggregate aggregate, out bool withScores)
    {
        aggregate = Aggregate.Sum;
        withScores = false;
        while (next < call.Count)
        {
            ReadOnlySpan<byte> word = call[next];
            int left = call.Count - next;
            if (operation != Operation.Difference && left > operands.Length && word.Is("WEIGHTS"u8))
            {
                next++;
                foreach (ref SetOperand operand in operands.AsSpan())
                {
                    if (!Numbers.TryParseDouble(call[next++], out double weight))
                    {
                        call.Reply.Error("ERR weight value is not a float"u8);
                        return false;
                    }
                    operand = operand.Weighted(weight);
                }
                continue;
            }
            if (operation != Operation.Difference && left >= 2 && word.Is("AGGREGATE"u8))
            {
                ReadOnlySpan<byte> how = call[next + 1];
                next += 2;
                if (how.Is("SUM"u8)) aggregate = Aggregate.Sum;
                else if (how.Is("MIN"u8)) aggregate = Aggregate.Min;
                else if (how.Is("MAX"u8)) aggregate = Aggregate.Max;
                else next = int.MaxValue;
                if (next != int.MaxValue) continue;
            }
            else if (!stores && word.Is("WITHSCORES"u8))
            {
                withScores = true;
                next++;
                continue;
            }
            call.SyntaxError();
            return false;
        }
        return true;
    }

    /// <summary>The result, in order. Each member is a separate entry.</summary>
    private static ScoredMember[] Compute(Operation operation, SetOperand[] operands, Aggregate aggregate)
    {
        // From the smallest to the largest, as in Redis. This decides the order in which scores are added.
        if (operation != Operation.Difference) SortByCount(operands);
        ScoredMember[] result = operation switch
        {
            Operation.Union => Unite(operands, aggregate),
            Operation.Intersection => Intersect(operands, aggregate),
            _ => Subtract(operands),
        };
        SortedSetEntry.Sort(result);
        return result;
    }

    private static ScoredMember[] Unite(SetOperand[] operands, Aggregate aggregate)
    {
        var members = new ByteTable<ScoredMember>(operands[^1].Count);
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        foreach (ref readonly SetOperand operand in operands.AsSpan())
        {
            SetOperand.Walker walker = operand.Walk(scratch);
            while (walker.MoveNext())
            {
                ReadOnlySpan<byte> member = walker.Member;
                double score = operand.Weigh(walker.Score);
                uint hash = KeyHash.Of(member);
                ref ScoredMember found = ref members.Find(member, hash);
                if (Unsafe.IsNullRef(ref found))
                {
                    members.Add(ScoredMember.Create(score, member), hash);
                    continue;
                }
                found.SetScore(Combine(found.Score, score, aggregate));
            }
        }
        var result = new ScoredMember[members.Count];
        int count = 0;
        foreach (ScoredMember entry in members) result[count++] = entry;
        members.FreeCells();
        return result;
    }

    private static ScoredMember[] Intersect(SetOperand[] operands, Aggregate aggregate)
    {
        var result = new List<ScoredMember>();
        SetOperand.Walker walker = operands[0].Walk(stackalloc byte[ListpackElement.ScratchLength]);
        while (walker.MoveNext())
        {
            ReadOnlySpan<byte> member = walker.Member;
            double score = operands[0].Weigh(walker.Score);
            int i = 1;
            for (; i < operands.Length && operands[i].TryScore(member, out double other); i++)
                score = Combine(score, other * operands[i].Weight, aggregate);
            if (i == operands.Length) result.Add(ScoredMember.Create(score, member));
        }
        return [.. result];
    }

    private static ScoredMember[] Subtract(SetOperand[] operands)
    {
        var result = new List<ScoredMember>();
        SetOperand.Walker walker = operands[0].Walk(stackalloc byte[ListpackElement.ScratchLength]);
        while (walker.MoveNext())
        {
            ReadOnlySpan<byte> member = walker.Member;
            int i = 1;
            while (i < operands.Length && !operands[i].TryScore(member, out _)) i++;
            if (i == operands.Length) result.Add(ScoredMember.Create(walker.Score, member));
        }
        return [.. result];
    }

    private static double Combine(double score, double other, Aggregate aggregate)
    {
        switch (aggregate)
        {
            case Aggregate.Min: return other < score ? other : score;
            case Aggregate.Max: return other > score ? other : score;
            default:
                double sum = score + other;
                return double.IsNaN(sum) ? 0 : sum; // inf and -inf cancel out
        }
    }

    /// <summary>Sorts the operands by size. Those of equal size keep their order.</summary>
    private static void SortByCount(SetOperand[] operands)
    {
        for (int i = 1; i < operands.Length; i++)
        {
            SetOperand operand = operands[i];
            int at = i;
            for (; at > 0 && operands[at - 1].Count > operand.Count; at--) operands[at] = operands[at - 1];
            operands[at] = operand;
        }
    }
}

/// <summary>An operand: a sorted set, a set, or a missing key.</summary>
internal readonly struct SetOperand
{
    private readonly KeyEntry _set;
    private readonly bool _isSorted;

    public SetOperand(KeyEntry set, bool isSorted) : this(set, isSorted, 1)
    {
    }

    private SetOperand(KeyEntry set, bool isSorted, double weight)
    {
        _set = set;
        _isSorted = isSorted;
        Weight = weight;
        Count = set.IsNone ? 0 : isSorted ? new SortedSetView(set).Count : SetEntry.Count(set);
    }

    public int Count { get; }

    public double Weight { get; }

    public SetOperand Weighted(double weight) => new(_set, _isSorted, weight);

    /// <summary>A score multiplied by this operand's weight. If that is not a number, it is 0.</summary>
    public double Weigh(double score)
    {
        score *= Weight;
        return double.IsNaN(score) ? 0 : score;
    }

    public bool TryScore(ReadOnlySpan<byte> member, out double score)
    {
        score = 1;
        if (_set.IsNone) return false;
        return _isSorted ? new SortedSetView(_set).TryScore(member, out score) : SetEntry.Contains(_set, member);
    }

    /// <summary>Walks the members. Those stored as integers are formatted into <paramref name="scratch"/>.</summary>
    public Walker Walk(Span<byte> scratch) => new(_set, _isSorted, scratch);

    /// <summary>Iterates over the members.</summary>
    public ref struct Walker
    {
        private readonly Span<byte> _scratch;
        private readonly bool _isSet;
        private SortedSetView.Walker _sorted;
        private SetMembers _members;

        internal Walker(KeyEntry set, bool isSorted, Span<byte> scratch)
        {
            _scratch = scratch;
            if (set.IsNone) return;
            _isSet = !isSorted;
            if (isSorted) _sorted = new SortedSetView(set).Walk(scratch);
            else _members = new(set);
        }

        public bool MoveNext() => _isSet ? _members.MoveNext() : _sorted.MoveNext();

        public readonly ReadOnlySpan<byte> Member => _isSet ? _members.Current.AsSpan(_scratch) : _sorted.Member;

        public readonly double Score => _isSet ? 1 : _sorted.Score;
    }
}
