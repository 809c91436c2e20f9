using System.Globalization;
using System.Text;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Differential;

/// <summary>
/// Whether two replies are the same, within the leeway of the command and apart from the known and intended differences
/// between Redis 7.0 and 7.4.
/// </summary>
internal static class Comparison
{
    private const string SmallerThanDeleted = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    private const int ShortestWithExponent = 7; // digits after the point, from which on 7.2 may write an exponent
    private const long ClockToleranceMs = 5000, ClockToleranceSeconds = 5;

    public static bool Same(RespArgument[] command, RespValue redis, RespValue ours, Leeway leeway)
    {
        string name = Encoding.Latin1.GetString(command[0].Bytes).ToUpperInvariant();
        if (IsNewerBehaviour(name, command, redis, ours))
            return true;
        // Redis's SORT compares texts up to a zero byte, where a C string ends. Texts that are equal up to there come
        // in any order.
        if (name is "SORT" or "SORT_RO" && (HoldsZero(redis) || HoldsZero(ours)))
            leeway |= Leeway.Shape;
        if (name == "XINFO")
            (redis, ours) = (WithoutNewerCounts(redis), WithoutNewerCounts(ours));
        // Redis, being C, cuts what it quotes in an error at a zero byte; that is not worth imitating.
        if (redis.IsError && ours.IsError && command.Any(argument => argument.Bytes.Contains((byte)0))
            && redis.Text[..Math.Min(10, redis.Text.Length)] == ours.Text[..Math.Min(10, ours.Text.Length)])
            return true;
        if (redis.IsError || ours.IsError)
            return redis.Equals(ours) || IsRankWithScore(redis, ours) || IsOddCursor(redis, ours);
        redis = WithShortDoubles(redis);
        ours = WithShortDoubles(ours);
        if (leeway.HasFlag(Leeway.Shape))
            return redis.Kind == ours.Kind && redis.Items.Count == ours.Items.Count;
        if (leeway.HasFlag(Leeway.Time) && redis.Kind == RespKind.Integer && ours.Kind == RespKind.Integer)
            return SameTime(redis.Integer, ours.Integer);
        if (leeway.HasFlag(Leeway.UnorderedPairs))
            return Pairs(redis).Equals(Pairs(ours));
        return leeway.HasFlag(Leeway.Unordered) ? Sorted(redis).Equals(Sorted(ours)) : redis.Equals(ours);
    }

    /// <summary>
    /// Replies of Redis 7.4, whose behaviour we follow, that differ from those of the 7.0 that we are compared with.
    /// </summary>
    private static bool IsNewerBehaviour(string name, RespArgument[] command, RespValue redis, RespValue ours) => name switch
    {
        // 7.2 names the command that it complains about, and 7.4 takes "+" for the last entry, though not in a group.
        "XREAD" or "XREADGROUP" => redis.IsError
            && ((redis.Text.StartsWith("ERR Unbalanced XREAD list", StringComparison.Ordinal)
                && ours.Text.StartsWith($"ERR Unbalanced '{name.ToLowerInvariant()}' list", StringComparison.Ordinal))
            || (redis.Text.StartsWith("ERR Invalid stream ID", StringComparison.Ordinal) && command.Any(argument => argument.Bytes is [(byte)'+']))),
        // 7.2 checks the largest deleted ID first.
        "XSETID" => redis.IsError && ours.IsError && ours.Text == SmallerThanDeleted,
        // Since 7.2 claiming creates the consumer even if there is nothing to claim.
        "XGROUP" => redis is { Kind: RespKind.Integer, Integer: 1 } && ours is { Kind: RespKind.Integer, Integer: 0 } && command.Length == 5,
        // As in Valkey 8, a start alone is enough.
        "BITCOUNT" when command.Length == 3 && redis.IsError && redis.Text.StartsWith("ERR syntax error", StringComparison.Ordinal) => true,
        // As in Valkey 8, a type that does not exist is an error.
        "SCAN" => ours.IsError && ours.Text.StartsWith("ERR unknown type name", StringComparison.Ordinal),
        // Since 7.2 the arguments are checked before the key.
        "BITCOUNT" or "BITPOS" => ours.IsError && (redis.Kind == RespKind.Integer || redis.Text.StartsWith("WRONGTYPE", StringComparison.Ordinal)),
        // -2^63 cannot be negated, so 7.2 and later refuse it as a rank, and 7.4 as a count.
        "LPOS" or "LREM" => IsNotNegatable(ours),
        "OBJECT" => ours.Text == "listpack" && redis.Text is ("quicklist" or "hashtable"),
        _ => false,
    };

    /// <summary>
    /// Whether the two servers' data may differ from here on, for a reason that is known and intended. Whatever follows
    /// would prove nothing, so the command is to be left out.
    /// </summary>
    public static bool Diverges(RespArgument[] command, RespValue redis, RespValue ours) =>
        !redis.IsError && ours.IsError && Encoding.Latin1.GetString(command[0].Bytes).ToUpperInvariant() switch
        {
            // Since 7.2 the last ID cannot be set below the largest deleted one.
            "XSETID" => ours.Text == SmallerThanDeleted,
            "LREM" => IsNotNegatable(ours),
            _ => false,
        };

    private static bool IsNotNegatable(RespValue reply) =>
        reply.IsError && reply.Text.StartsWith("ERR value is out of range, value must between -9223372036854775807", StringComparison.Ordinal);

    /// <summary>
    /// XINFO's reply without three counts. Consumers: 7.2 creates one for every claim, even of nothing. Entries read
    /// and the lag: 7.4 knows them for more groups, and more exactly, where entries were deleted.
    /// </summary>
    private static RespValue WithoutNewerCounts(RespValue reply)
    {
        if (!reply.IsAggregate)
            return reply;
        RespValue[] items = [.. reply.Items.Select(WithoutNewerCounts)];
        for (int i = 0; i + 1 < items.Length; i += 2)
        {
            if (items[i].Kind == RespKind.BulkString && items[i].Text is "consumers" or "lag" or "entries-read")
                items[i + 1] = RespValue.Scalar(RespKind.BulkString, "?"u8);
        }

        return RespValue.Aggregate(reply.Kind, items);
    }

    /// <summary>
    /// OBJECT ENCODING of a key. Redis 7.2 keeps small lists and small sets as listpacks; 7.0 did not.
    /// </summary>
    public static bool SameEncoding(string type, string redis, string ours) =>
        redis == ours || (ours == "listpack" && ((type, redis) is ("list", "quicklist") or ("set", "hashtable")));

    /// <summary>Times to live, in ms or in s. -1 and -2 have meanings of their own and must be equal.</summary>
    public static bool SameTime(long redis, long ours) =>
        redis < 0 || ours < 0 ? redis == ours : Math.Abs(redis - ours) <= (Math.Max(redis, ours) >= 100_000 ? ClockToleranceMs : ClockToleranceSeconds);

    /// <summary>
    /// Redis 7.2 and later refuse a negative cursor, which 7.0 took for a huge positive one, and accept one after a
    /// blank, which 7.0 refused.
    /// </summary>
    private static bool IsOddCursor(RespValue redis, RespValue ours) =>
        (redis is { IsError: true, Text: "ERR invalid cursor" } && (ours.IsError || (ours.Kind == RespKind.Array && ours.Items.Count == 2)))
        || ours is { IsError: true, Text: "ERR invalid cursor" } && (redis.IsError || (redis.Kind == RespKind.Array && redis.Items.Count == 2));

    /// <summary>
    /// ZRANK and ZREVRANK take WITHSCORE since 7.2, so a third argument that is wrong gives another error.
    /// </summary>
    private static bool IsRankWithScore(RespValue redis, RespValue ours) =>
        ours is { IsError: true, Text: "ERR syntax error" } && redis.IsError
        && redis.Text.StartsWith("ERR wrong number of arguments for 'z", StringComparison.Ordinal)
        && redis.Text.EndsWith("rank' command", StringComparison.Ordinal);

    /// <summary>
    /// The reply with doubles as Redis 7.2 and later write them: with as few digits as possible, where 7.0 writes 17,
    /// and with a rule of its own for when to use an exponent. Only what must be a double is changed: text with many
    /// digits or with an exponent.
    /// </summary>
    public static RespValue WithShortDoubles(RespValue reply)
    {
        if (reply.IsAggregate)
            return RespValue.Aggregate(reply.Kind, [.. reply.Items.Select(WithShortDoubles)]);
        if (reply.Kind is not (RespKind.BulkString or RespKind.Double) || reply.Bytes.Length is < 5 or > 40)
            return reply;
        string text = reply.Text;
        int point = text.IndexOf('.', StringComparison.Ordinal);
        bool meant = text.Contains('e', StringComparison.Ordinal) || (point >= 0 && text.Length - point > ShortestWithExponent);
        if (!meant || !double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value))
            return reply;
        Span<byte> spelled = stackalloc byte[Engine.Numbers.LongestDouble];
        return RespValue.Scalar(reply.Kind, spelled[..Engine.Numbers.FormatDouble(value, spelled)]);
    }

    /// <summary>The reply with the elements of its aggregates sorted by their rendering.</summary>
    private static RespValue Sorted(RespValue reply)
    {
        if (reply.Kind == RespKind.Map)
            return Pairs(reply);
        return reply.IsAggregate
            ? RespValue.Aggregate(reply.Kind, [.. reply.Items.Select(Sorted).OrderBy(item => item.ToString(), StringComparer.Ordinal)])
            : reply;
    }

    private static RespValue Pairs(RespValue reply)
    {
        if (!reply.IsAggregate || reply.Items.Count % 2 != 0)
            return reply;
        // HSCAN and ZSCAN: a cursor, then the pairs.
        if (reply.Kind == RespKind.Array && reply.Items.Count == 2 && reply[1].IsAggregate)
            return RespValue.Aggregate(reply.Kind, [reply[0], Pairs(reply[1])]);
        return RespValue.Aggregate(reply.Kind, [.. reply.Items.Chunk(2).OrderBy(pair => pair[0].ToString(), StringComparer.Ordinal).SelectMany(pair => pair)]);
    }

    /// <summary>
    /// What a key holds, in a comparable form: its elements, its DEBUG DIGEST-VALUE and, unless its encoding has an
    /// order that two servers need not share, its DUMP without the last ten bytes, which are the RDB version and a
    /// checksum over it.
    /// </summary>
    public static async Task<string> ReadOutAsync(RespConnection server, RespArgument key, string type, string encoding, bool dumps)
    {
        RespArgument[] read = type switch
        {
            "string" => ["GET", key],
            "list" => ["LRANGE", key, 0, -1],
            "set" => ["SMEMBERS", key],
            "zset" => ["ZRANGE", key, 0, -1, "WITHSCORES"],
            "hash" => ["HGETALL", key],
            "stream" => ["XRANGE", key, "-", "+"],
            _ => ["TYPE", key],
        };
        RespValue content = await server.CallAsync(read);
        if (type == "zset")
            content = WithShortDoubles(content);
        string text = type switch { "set" => Sorted(content).ToString(), "hash" => Pairs(content).ToString(), _ => content.ToString() };
        if (type == "string" && content.Bytes.Length > 200)
            text += Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(content.Bytes));
        if (type == "stream")
        {
            RespValue groups = WithoutNewerCounts(await server.CallAsync("XINFO", "GROUPS", key));
            text += $"; {groups}; {await server.CallAsync("XINFO", "STREAM", key)}";
            foreach (RespValue group in groups.Items)
                text += $"; {await server.CallAsync("XPENDING", key, group["name"].Bytes)}";
            dumps &= groups.Items.Count == 0; // consumers hold the times at which they were seen
        }

        // Listpacks and digests hold a score as it is written, and the two servers write scores that are not small
        // whole numbers differently.
        bool fractions = type == "zset" && Scores(content).Any(score => score.Length > 15 || score.AsSpan().ContainsAny(".e"));
        if (fractions)
            return text;
        text += $"; DIGEST {await server.CallAsync("DEBUG", "DIGEST-VALUE", key)}";
        if (!dumps || encoding == "hashtable")
            return text;
        RespValue dump = await server.CallAsync("DUMP", key);
        return string.Create(CultureInfo.InvariantCulture,
            $"{text}; DUMP {(dump.Bytes.Length > 10 ? Convert.ToHexString(dump.Bytes[..^10]) : dump.ToString())}");
    }

    private static bool HoldsZero(RespValue reply) => reply.IsAggregate ? reply.Items.Any(HoldsZero) : reply.Bytes.Contains((byte)0);

    /// <summary>
    /// The scores of a ZRANGE WITHSCORES: every second element, or in RESP3 the second of every pair.
    /// </summary>
    private static IEnumerable<string> Scores(RespValue content) =>
        content.Items.Count > 0 && content[0].IsAggregate
            ? content.Items.Select(pair => pair[1].Text)
            : content.Items.Where((_, i) => i % 2 == 1).Select(score => score.Text);
}
