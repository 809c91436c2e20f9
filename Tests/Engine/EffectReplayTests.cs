using System.Globalization;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Differential;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// Whoever applies the effects of commands (a log that is loaded, a replica, a recovered slot) has the same data as
/// who ran the commands, after each of them.
/// </summary>
public sealed class EffectReplayTests
{
    private const int EpisodeCommands = 250;
    private const int Episodes = 8;

    /// <summary>A step that is no command: the clock moves on by so many milliseconds.</summary>
    private const string Wait = "wait";

    /// <summary>What the differential tests leave out: what cannot be compared reply by reply, or is newer.</summary>
    private static readonly Family s_others = new("others",
        "3 HSET key {field value}+", "2 HEXPIRE key ttl [NX|XX|GT|LT] FIELDS 1 field", "HPEXPIREAT key atms FIELDS 2 field field",
        "HPERSIST key FIELDS 1 field", "HGETDEL key FIELDS 1 field", "HGETEX key {EX ttl|PERSIST} FIELDS 1 field",
        "HSETEX key [FNX|FXX] [EX ttl|PXAT atms|KEEPTTL] FIELDS 1 field value", "HINCRBY key field int", "HINCRBYFLOAT key field float",
        "HDEL key field+", "HGETALL key",
        "3 SADD key member+", "2 SPOP key [few]", "SMOVE key dst member", "SORT key ALPHA STORE dst", "GEORADIUS key lon lat radius unit STORE dst",
        "GEOSEARCHSTORE dst key BYPOLYGON 4 lon lat lon lat lon lat lon lat [STOREDIST]", "2 GEOADD key {lon lat member}+",
        "2 RPUSH key value+", "BLPOP key key 3", "BLMOVE key dst LEFT RIGHT 3", "BLMPOP 3 2 key key LEFT COUNT few", "LMPOP 2 key key RIGHT COUNT few",
        "2 ZADD key {score member}+", "BZPOPMIN key key 3", "BZMPOP 3 2 key key MAX COUNT few",
        "2 XADD key [MAXLEN ~ few] * field value", "XGROUP CREATE key group 0 MKSTREAM", "2 XREADGROUP GROUP group consumer BLOCK 3000 STREAMS key >",
        "SET key value EX ttl", "GETEX key [PX ttlms|PERSIST]", "GETDEL key", "INCRBYFLOAT key float", "PFADD key member+", "PFCOUNT key key",
        "COPY key dst REPLACE", "MOVE key db", "SWAPDB db db", "SELECT db", "FLUSHALL", "DEL key", "UNLINK key+");

    /// <summary>Trims that often remove everything, with and without deleted entries and groups.</summary>
    private static readonly Family s_trims = new("trims",
        "4 XADD key newid field value", "3 XADD key 60-* field value", "2 XTRIM key {MAXLEN|MINID} [=|~] {0|2|20|60-3|61}",
        "2 XADD key [NOMKSTREAM] {MAXLEN|MINID} [=|~] {0|2|20|60-3|61} 60-* field value", "XTRIM key {MAXLEN|MINID} ~ {0|2|61} LIMIT {3|6}",
        "XDEL key {sid|60-0|60-1|60-2|60-3}+", "XGROUP CREATE key group 0 MKSTREAM", "XREADGROUP GROUP group consumer STREAMS key >", "DEL key");

    /// <summary>Deleting with regard to groups, where some entries are read, some acknowledged, some gone.</summary>
    private static readonly Family s_references = new("references",
        "12 XADD X 60-* field value", "2 XADD X [NOMKSTREAM] {KEEPREF|DELREF|ACKED} {MAXLEN|MINID} [=|~] {9|12|60-3|60-6} 60-* field value",
        "XADD X {MAXLEN|MINID} ~ {9|60-9} [LIMIT {3|6}] {DELREF|ACKED} 60-* field value", "6 XTRIM X MAXLEN [=|~] {3|5|6|7|8|9|10|11|12} ACKED",
        "XTRIM X {MAXLEN|MINID} [=|~] {9|60-3|60-6|60-9|60-15|61} {KEEPREF|DELREF|ACKED|ACKED}", "XTRIM X {MAXLEN|MINID} ~ {0|60-5} {DELREF|ACKED} LIMIT {3|6}",
        "2 XDELEX X [KEEPREF|DELREF|ACKED] IDS 3 {60-1|60-2|60-3} {60-4|60-5} {60-6|60-7|60-8}", "XDELEX X {DELREF|ACKED} IDS 1 sid",
        "2 XACKDEL X {g0|g1} [KEEPREF|DELREF|ACKED] IDS 3 {60-1|60-2|60-3} {60-4|60-5} {60-6|60-7|60-8}", "XDEL X {60-1|60-2|60-3}+",
        "3 XGROUP CREATE X {g0|g0|g1} {0|60-3|$} MKSTREAM", "6 XREADGROUP GROUP g0 consumer [COUNT few] STREAMS X >",
        "6 XREADGROUP GROUP g1 consumer NOACK STREAMS X >", "XGROUP SETID X g0 {60-2|$|$}",
        "4 XACK X g0 {60-1|60-3|60-5|60-7|60-9} {60-2|60-4|60-6|60-8} {60-10|60-11|60-12|60-13}", "XCLAIM X g0 consumer 0 60-1 60-2 FORCE",
        "2 XGROUP DESTROY {X|Y|Y|Y} {g0|g1|g1|g1}", "DEL {X|Y|Y|Y}");

    private static readonly Family[] s_families = [.. Family.All, s_others, s_trims, s_references];

    public static TheoryData<string> Families => [.. s_families.Select(family => family.Name)];

    /// <summary>As in 7.4, the effect of an approximate trim that leaves nothing names the largest of all IDs.</summary>
    [Theory]
    [InlineData("XTRIM x MINID ~ 2", "XTRIM x MINID = 18446744073709551615-18446744073709551615")]
    [InlineData("XTRIM x MAXLEN ~ 0", "XTRIM x MAXLEN = 0")]
    [InlineData("XADD x MINID ~ 9 1-9 c d", "XADD x MINID = 18446744073709551615-18446744073709551615 1-9 c d")]
    [InlineData("XADD x NOMKSTREAM MINID ~ 9 1-* c d", "XADD x NOMKSTREAM MINID = 18446744073709551615-18446744073709551615 1-2 c d")]
    public void An_approximate_trim_of_all_entries_is_one_for_whoever_replays_it(string trim, string effect)
    {
        foreach (string before in (string[])["", "XDEL x 1-1", "XGROUP CREATE x g 0"])
        {
            using var redis = new EngineHarness();
            redis.Run("XADD", "x", "1-1", "a", "b");
            if (before.Length > 0) redis.Show(before);
            if (before.StartsWith("XDEL", StringComparison.Ordinal) && trim.StartsWith("XTRIM", StringComparison.Ordinal)) redis.Show("XADD x 1-2 a b");
            redis.Show(trim);
            Assert.Equal(effect, redis.Effects[^1].ToString());
            using EngineHarness copy = redis.Replay();
            Assert.Equal(0L, redis.Run("XLEN", "x"));
            Assert.Equal(0L, copy.Run("XLEN", "x"));
        }
    }

    /// <summary>Like Redis, we keep a negative zero in a large sorted set, and not in a listpack.</summary>
    [Fact]
    public void A_negative_zero_that_was_stored_from_other_slots_stays_one()
    {
        using var redis = new EngineHarness();
        redis.Run("ZADD", "a", "1", new string('m', 65), "-0", "zero");
        redis.Run("ZUNIONSTORE", "b", "1", "a");
        using EngineHarness copy = redis.Replay();
        Assert.Equal("-0", redis.Run("ZSCORE", "b", "zero"));
        Assert.Equal("-0", copy.Run("ZSCORE", "b", "zero"));
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void The_effects_of_random_commands_make_the_same_data_after_each_of_them(string name)
    {
        Family family = s_families.Single(family => family.Name == name);
        family.Meet(_ => true);
        for (int episode = 0; episode < Episodes; episode++)
        {
            List<string[]> steps = Generate(family, TestSeed.Random((name.Sum(letter => letter) * 1000) + episode));
            if (Differs(steps, out int at) is not { } difference) continue;
            steps.RemoveRange(at + 1, steps.Count - at - 1);
            for (int chunk = Math.Max(1, steps.Count / 2); chunk >= 1; chunk = chunk == 1 ? 0 : (chunk + 1) / 2)
            {
                for (int begin = 0; begin < steps.Count;)
                {
                    List<string[]> fewer = [.. steps.Take(begin), .. steps.Skip(begin + chunk)];
                    if (Differs(fewer, out _) is { } still) (steps, difference) = (fewer, still);
                    else begin += chunk;
                }
            }
            Assert.Fail($"{string.Join('\n', steps.Select(Quoted))}\n{difference}");
        }
    }

    private static List<string[]> Generate(Family family, Random random)
    {
        var arguments = new Arguments(random, new FakeTime().GetUtcNow());
        List<string[]> steps = [];
        while (steps.Count < EpisodeCommands)
        {
            if (random.Next(6) == 0) steps.Add([Wait, random.Next(3) == 0 ? Text(random.Next(1_500_000)) : Text(random.Next(2000))]);
            if (random.Next(15) == 0) steps.Add([random.Next(2) == 0 ? "MULTI" : "EXEC"]);
            CommandPattern pattern = family.Pick(random);
            List<RespArgument> command = pattern.Generate(arguments);
            if (random.Next(20) == 0 && !pattern.StaysWhole && !pattern.Expires) arguments.Spoil(command, pattern.Expires);
            steps.Add([.. command.Select(argument => Encoding.Latin1.GetString(argument.Bytes))]);
        }
        return steps;
    }

    /// <summary>
    /// Runs the steps, and after each applies its effects to another engine. Null if the two were the same all the
    /// time; otherwise what was different, after the step with number <paramref name="at"/>.
    /// </summary>
    private static string? Differs(List<string[]> steps, out int at)
    {
        // Approximate trims remove whole nodes; an effect means the same whatever a node is.
        using var live = new EngineHarness(options => options.StreamNodeMaxEntries = 3);
        using var copy = new EngineHarness();
        List<(Task Run, Session Session)> blocked = [];
        EngineClient client = live.NewClient();
        string? difference = null;
        for (at = 0; at < steps.Count && difference is null; at++)
        {
            string[] words = steps[at];
            if (words[0] == Wait)
            {
                live.Time.Advance(long.Parse(words[1], CultureInfo.InvariantCulture));
            }
            else
            {
                Task run = client.RunAsync(words);
                while (!run.IsCompleted && client.Session.Blocked is null) Thread.Yield();
                if (!run.IsCompleted)
                {
                    // Another client goes on, so that this one may be served.
                    blocked.Add((run, client.Session));
                    int database = client.Session.Database;
                    client = live.NewClient();
                    client.Session.Database = database;
                }
            }
            difference = Compare(live, copy);
        }
        at--;
        foreach ((Task run, Session session) in blocked)
        {
            session.Blocked?.TryEnd(BlockedEnd.Unblocked); // a spoiled timeout may be for ever
            run.Wait();
        }
        return difference;
    }

    private static string? Compare(EngineHarness live, EngineHarness copy)
    {
        try
        {
            live.ReplayNewInto(copy);
        }
        catch (InvalidOperationException failure)
        {
            return failure.Message;
        }
        string digest = KeyspaceDigest.OfAll(live.Store.Slots), other = KeyspaceDigest.OfAll(copy.Store.Slots);
        string streams = Streams(live), otherStreams = Streams(copy);
        return digest == other && streams == otherStreams ? null : $"live:   {digest} {streams}\nreplay: {other} {otherStreams}";
    }

    /// <summary>What the digest of a stream leaves out: its counters and its groups.</summary>
    private static string Streams(EngineHarness redis)
    {
        redis.Store.IgnoresExpiry = true; // looking changes nothing
        var text = new StringBuilder();
        foreach (object? key in (object?[])redis.Run("KEYS", "*")!)
        {
            if (redis.Run("TYPE", (string)key!) is "stream") Append(text, redis.Run("XINFO", "STREAM", (string)key!, "FULL", "COUNT", "0"));
        }
        redis.Store.IgnoresExpiry = false;
        return text.ToString();
    }

    private static void Append(StringBuilder text, object? value)
    {
        if (value is not object?[] items)
        {
            text.Append(value ?? "null").Append(' ');
            return;
        }
        text.Append("[ ");
        for (int i = 0; i < items.Length; i++)
        {
            // How the entries are distributed over nodes is no data, and the times of a consumer are not logged, as in
            // Redis.
            if (items[i] is "radix-tree-keys" or "radix-tree-nodes" or "seen-time" or "active-time") i++;
            else Append(text, items[i]);
        }
        text.Append("] ");
    }

    private static string Quoted(string[] words) => string.Join(' ', words.Select(word => ((RespArgument)word).ToString()));

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
