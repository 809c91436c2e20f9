using System.Globalization;
using System.Text;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Differential;

/// <summary>
/// Sends the same random commands to Redis and to the server under test, in episodes that start with an empty database
/// and end with a look at every key. A seed determines an episode. An episode with a difference is shrunk to the few
/// commands needed to show it.
/// </summary>
internal sealed class DifferentialRun : IAsyncDisposable
{
    public const int EpisodeCommands = 250;
    private const int SpoiledPerCent = 8;

    private readonly RedisProcess redisProcess, oursProcess;
    private readonly Family family;
    private readonly bool dumps;
    private RespConnection redis, ours;

    private DifferentialRun(RedisProcess redisProcess, RedisProcess oursProcess, RespConnection redis, RespConnection ours, Family family, bool dumps)
    {
        (this.redisProcess, this.oursProcess, this.redis, this.ours, this.family, this.dumps) = (redisProcess, oursProcess, redis, ours, family, dumps);
    }

    public static async Task<DifferentialRun> StartAsync(RedisProcess redisProcess, RedisProcess oursProcess, Family family)
    {
        RespConnection redis = await redisProcess.ConnectAsync(), ours = await oursProcess.ConnectAsync();
        HashSet<string> known = [];
        foreach (string name in (string[])["SET", "LPUSH", "SADD", "HSET", "ZADD", "XADD", "DUMP"])
        {
            RespValue info = await ours.CallAsync("COMMAND", "INFO", name);
            if (!info.IsError && !info[0].IsNull)
                known.Add(name);
        }

        family.Meet(known.Contains);
        return new DifferentialRun(redisProcess, oursProcess, redis, ours, family, known.Contains("DUMP"));
    }

    /// <summary>Runs one episode; returns null, or the report of a difference.</summary>
    public async Task<string?> EpisodeAsync(int seed)
    {
        Random random = new(seed);
        int protocol = random.Next(2) == 0 ? 2 : 3;
        List<Step> steps = Generate(random);
        Difference? difference = await TryAsync(steps, protocol);
        if (difference is null)
            return null;

        if (difference.Step >= 0)
            steps.RemoveRange(difference.Step + 1, steps.Count - difference.Step - 1);
        for (int chunk = Math.Max(1, steps.Count / 2); chunk >= 1; chunk = chunk == 1 ? 0 : (chunk + 1) / 2)
        {
            for (int begin = 0; begin < steps.Count;)
            {
                List<Step> fewer = [.. steps.Take(begin), .. steps.Skip(begin + chunk)];
                if (await TryAsync(fewer, protocol) is { } still)
                    (steps, difference) = (fewer, still);
                else
                    begin += chunk;
            }
        }

        StringBuilder report = new();
        report.Append(CultureInfo.InvariantCulture,
            $"{family.Name}: a difference in the episode with TEST_SEED={seed}, RESP{protocol}. The commands that it takes:\n");
        foreach (Step step in steps)
            report.Append("  ").AppendJoin(' ', step.Command.Select(argument => argument.ToString())).Append('\n');
        return report.Append("redis: ").Append(difference.Redis).Append("\nours:  ").Append(difference.Ours).ToString();
    }

    public async ValueTask DisposeAsync()
    {
        await redis.DisposeAsync();
        await ours.DisposeAsync();
    }

    private List<Step> Generate(Random random)
    {
        Arguments arguments = new(random, DateTimeOffset.UtcNow);
        List<Step> steps = [];
        while (steps.Count < EpisodeCommands)
        {
            CommandPattern pattern = family.Pick(random);
            List<RespArgument> command = pattern.Generate(arguments);
            // A lost count, or a huge one of random elements, would leave nothing to compare.
            bool picksAtRandom = Encoding.Latin1.GetString(command[0].Bytes) is "SPOP" or "SRANDMEMBER" or "HRANDFIELD" or "ZRANDMEMBER";
            // Ranges by member are only defined among members of one score. The members of the key LEX have only one,
            // as long as its commands are not spoiled.
            bool isLex = command.Any(argument => argument.Bytes.AsSpan().SequenceEqual("LEX"u8));
            Leeway leeway = pattern.Leeway;
            if (!picksAtRandom && !isLex && random.Next(100) < SpoiledPerCent)
            {
                arguments.Spoil(command, pattern.Expires);
                if (Encoding.Latin1.GetString(command[0].Bytes).EndsWith("SCAN", StringComparison.OrdinalIgnoreCase))
                    leeway |= Leeway.Shape; // what an invented cursor finds is not defined
            }

            if (family.Name == "sort")
                leeway |= KeepToWhatSortDefines(command);
            steps.Add(new Step([.. command], leeway));
        }

        return steps;
    }

    /// <summary>
    /// Redis's SORT has three oddities. It turns a sorted set into a skiplist, which keeps a negative zero. It reports
    /// an error for any score whose text is a number below the smallest normal double. And it returns a set that is not
    /// sorted in no particular order.
    /// </summary>
    private static Leeway KeepToWhatSortDefines(List<RespArgument> command)
    {
        string[] words = [.. command.Select(argument => Encoding.Latin1.GetString(argument.Bytes).ToUpperInvariant())];
        if (words[0] == "ZADD")
        {
            for (int i = 1; i < words.Length; i++)
            {
                if (words[i] is "-0" or "5E-324")
                    command[i] = "0";
            }
        }

        int by = Array.LastIndexOf(words, "BY");
        return words[0].StartsWith("SORT", StringComparison.Ordinal)
            && by > 0 && by + 1 < words.Length && !words[by + 1].Contains('*', StringComparison.Ordinal)
            ? Leeway.Shape
            : Leeway.None;
    }

    private async Task<Difference?> TryAsync(List<Step> steps, int protocol)
    {
        RespValue[] expected, actual;
        try
        {
            expected = await PlayAsync(redis, steps, protocol);
        }
        catch (RespException)
        {
            // A command that makes Redis itself close the connection ends the comparison without a verdict.
            await ReconnectAsync();
            return null;
        }

        try
        {
            actual = await PlayAsync(ours, steps, protocol);
            for (int i = 0; i < steps.Count; i++)
            {
                if (Comparison.Diverges(steps[i].Command, expected[i], actual[i]))
                    return await TryAsync([.. steps.Take(i), .. steps.Skip(i + 1)], protocol);
                if (!Comparison.Same(steps[i].Command, expected[i], actual[i], steps[i].Leeway))
                    return new Difference(i, expected[i].ToString(), actual[i].ToString());
            }

            return await CompareKeysAsync(steps);
        }
        catch (RespException e)
        {
            await ReconnectAsync();
            return new Difference(-1, "answers", e.Message);
        }
    }

    private static async Task<RespValue[]> PlayAsync(RespConnection server, List<Step> steps, int protocol)
    {
        await server.PipelineAsync([["RESET"], ["HELLO", protocol], ["FLUSHALL"]]);
        return await server.PipelineAsync([.. steps.Select(step => step.Command)]);
    }

    private async Task<Difference?> CompareKeysAsync(List<Step> steps)
    {
        // Since 7.4 an element larger than a node may be gets a node of its own, which separates its neighbours too. So
        // the nodes of such a list differ.
        bool comparesNodes = !steps.Any(step => step.Command.Any(argument => argument.Bytes.Length > 8000));
        for (int database = 0; database < 3; database++)
        {
            await redis.CallAsync("SELECT", database);
            await ours.CallAsync("SELECT", database);
            string[] keys = await KeysAsync(redis), others = await KeysAsync(ours);
            if (!keys.SequenceEqual(others))
                return new Difference(-1, $"KEYS of database {database}: {string.Join(' ', keys)}", $"KEYS: {string.Join(' ', others)}");
            foreach (string key in keys)
            {
                string type = (await redis.CallAsync("TYPE", key)).Text, otherType = (await ours.CallAsync("TYPE", key)).Text;
                string encoding = (await redis.CallAsync("OBJECT", "ENCODING", key)).Text,
                    otherEncoding = (await ours.CallAsync("OBJECT", "ENCODING", key)).Text;
                // In Redis SORT turns every sorted set that it reads into a skiplist; we do not.
                bool sortedByRedis = family.Name == "sort" && type == "zset";
                if (type != otherType || (!sortedByRedis && !Comparison.SameEncoding(type, encoding, otherEncoding)))
                    return new Difference(-1, $"{key}: {type}, {encoding}", $"{otherType}, {otherEncoding}");
                RespValue ttl = await redis.CallAsync("PTTL", key), otherTtl = await ours.CallAsync("PTTL", key);
                if (!Comparison.SameTime(ttl.Integer, otherTtl.Integer))
                    return new Difference(-1, $"{key}: PTTL {ttl}", $"PTTL {otherTtl}");
                // A list that 7.2 calls a listpack is dumped as what it was before, a quicklist of one node.
                bool comparable = dumps && (type == "list" ? comparesNodes : encoding == otherEncoding);
                string content = await Comparison.ReadOutAsync(redis, key, type, encoding, comparable),
                    otherContent = await Comparison.ReadOutAsync(ours, key, type, encoding, comparable);
                if (content != otherContent)
                    return new Difference(-1, $"{key}: {type}, {encoding}: {content}", Tail(content, otherContent));
            }
        }

        return null;
    }

    /// <summary>The second of two texts, without most of the beginning that they share.</summary>
    private static string Tail(string one, string other)
    {
        int shared = one.Zip(other).TakeWhile(pair => pair.First == pair.Second).Count();
        return shared < 100
            ? other
            : string.Create(CultureInfo.InvariantCulture, $"the same for {shared} characters, then {other[shared..]} instead of {one[shared..]}");
    }

    private static async Task<string[]> KeysAsync(RespConnection server) =>
        [.. (await server.CallAsync("KEYS", "*")).Items.Select(key => key.Text).Order(StringComparer.Ordinal)];

    private async Task ReconnectAsync()
    {
        await DisposeAsync();
        redis = await redisProcess.ConnectAsync();
        ours = await oursProcess.ConnectAsync();
    }

    private sealed record Step(RespArgument[] Command, Leeway Leeway);

    /// <param name="Step">The command whose replies differ; -1 if the remaining keys differ.</param>
    /// <param name="Redis">What Redis says.</param>
    /// <param name="Ours">What the server under test says.</param>
    private sealed record Difference(int Step, string Redis, string Ours);
}
