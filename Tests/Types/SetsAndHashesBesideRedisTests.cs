using System.Globalization;
using System.Text;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types;

/// <summary>
/// Random commands on sets and hashes to this engine and to Debian's redis-server at once. Both must give the same
/// replies, up to order.
/// </summary>
[Trait("Needs", "servers")]
public sealed class SetsAndHashesBesideRedisTests
{
    private const int Commands = 20000;

    [Fact]
    public Task Sets_reply_what_redis_replies() => RunAsync(SetCommand, 77);

    [Fact]
    public Task Hashes_reply_what_redis_replies() => RunAsync(HashCommand, 78);

    private static async Task RunAsync(Func<Random, string[]> make, int seed)
    {
        string[] directives = ["--set-max-intset-entries", "20", "--hash-max-listpack-entries", "12", "--hash-max-listpack-value", "20"];
        // Redis 7.0 has no listpacks for sets; without them the representations are the same.
        await using SideBySide both = await SideBySide.StartAsync(
            options => (options.SetMaxIntsetEntries, options.SetMaxListpackEntries, options.HashMaxListpackEntries, options.HashMaxListpackValue)
                = (20, 0, 12, 20),
            directives);
        var random = TestSeed.Random(seed);
        both.Same("SET", "string", "value");
        for (int i = 0; i < Commands; i++)
        {
            string[] words = make(random);
            string theirs = Sorted(words, both.Theirs(words)), ours = Sorted(words, both.Ours.Raw(words));
            if (theirs != ours)
                Assert.Fail(string.Create(CultureInfo.InvariantCulture,
                    $"command {i} of seed {seed}: {SideBySide.Quote(words)}\nredis-server: {theirs}\nours:         {ours}"));
            if (i % 20 == 0) both.Same("OBJECT", "ENCODING", words.Length > 1 ? words[1] : "string");
        }
    }

    /// <summary>Members of tables come in no particular order.</summary>
    private static string Sorted(string[] words, string reply)
    {
        object? parsed = new Replies(Encoding.Latin1.GetBytes(reply)).Next();
        if (words[0] is "HSCAN" or "SSCAN" && parsed is object?[] scanned)
            return Replies.Show(scanned[0]) + Ordered((object?[])scanned[1]!, words[0] == "HSCAN" ? 2 : 1);
        if (parsed is not object?[] many || words[0] is "SMISMEMBER" or "HMGET") return reply;
        return Ordered(many, words[0] == "HGETALL" || words[^1] == "WITHVALUES" ? 2 : 1);
    }

    private static string Ordered(object?[] many, int together) =>
        string.Join(", ", many.Chunk(together).Select(chunk => string.Join(": ", chunk.Select(Replies.Show))).Order(StringComparer.Ordinal));

    private static string[] SetCommand(Random random)
    {
        string Key() => random.Next(40) == 0 ? "string" : $"s{random.Next(5)}";
        string[] keys = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Key())];
        string[] members = [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => Element(random))];
        return random.Next(24) switch
        {
            < 6 => ["SADD", Key(), .. members],
            6 or 7 => ["SREM", Key(), .. members],
            8 => ["SMEMBERS", Key()],
            9 => ["SISMEMBER", Key(), members[0]],
            10 => ["SMISMEMBER", Key(), .. members],
            11 => ["SCARD", Key()],
            12 => ["SMOVE", Key(), Key(), members[0]],
            13 => ["SINTER", .. keys],
            14 => ["SINTERSTORE", Key(), .. keys],
            15 => ["SINTERCARD", $"{random.Next(0, 4)}", .. keys, .. (random.Next(2) == 0 ? ["LIMIT", Count(random)] : Array.Empty<string>())],
            16 => ["SUNION", .. keys],
            17 => ["SUNIONSTORE", Key(), .. keys],
            18 => ["SDIFF", .. keys],
            19 => ["SDIFFSTORE", Key(), .. keys],
            20 => ["SSCAN", Key(), random.Next(4) == 0 ? "x" : "0", "COUNT", random.Next(8) switch { 0 => "0", 1 => "-1", 2 => "x", 3 => "", _ => "1000" }],
            21 => ["SRANDMEMBER", Key(), random.Next(3) switch { 0 => "0", 1 => "100000", _ => "-9223372036854775808" }],
            22 => ["SPOP", Key(), random.Next(8) switch { 0 => "100000", 1 => "-1", 2 => "x", _ => "0" }],
            _ => ["DEL", Key()],
        };
    }

    private static string[] HashCommand(Random random)
    {
        string Key() => random.Next(40) == 0 ? "string" : $"h{random.Next(4)}";
        string[] fields = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => Element(random))];
        string[] pairs = [.. fields.SelectMany(field => new[] { field, Element(random) })];
        return random.Next(24) switch
        {
            < 5 => ["HSET", Key(), .. pairs],
            5 => ["HMSET", Key(), .. pairs, .. (random.Next(5) == 0 ? ["odd"] : Array.Empty<string>())],
            6 => ["HSETNX", Key(), pairs[0], pairs[1]],
            7 or 8 => ["HDEL", Key(), .. fields],
            9 => ["HGET", Key(), fields[0]],
            10 => ["HMGET", Key(), .. fields],
            11 => ["HLEN", Key()],
            12 => ["HSTRLEN", Key(), fields[0]],
            13 => ["HEXISTS", Key(), fields[0]],
            14 => ["HGETALL", Key()],
            15 => ["HKEYS", Key()],
            16 => ["HVALS", Key()],
            17 or 18 => ["HINCRBY", Key(), fields[0], random.Next(3) == 0 ? Element(random) : Count(random)],
            19 or 20 =>
            [
                "HINCRBYFLOAT", Key(), fields[0],
                random.Next(3) switch
                {
                    0 => Element(random),
                    1 => Count(random),
                    _ => (random.NextDouble() * 1000).ToString(CultureInfo.InvariantCulture)
                }
            ],
            21 => ["HSCAN", Key(), "0", "COUNT", random.Next(8) switch { 0 => "0", 1 => "-1", 2 => "x", 3 => "", _ => "1000" }],
            22 =>
            [
                "HRANDFIELD", Key(), random.Next(3) switch { 0 => "0", 1 => "100000", _ => "x" },
                .. (random.Next(2) == 0 ? ["WITHVALUES"] : Array.Empty<string>())
            ],
            _ => ["DEL", Key()],
        };
    }

    private static string Count(Random random) => random.Next(8) switch
    {
        0 => "-1",
        1 => "x",
        2 => "",
        3 => "9223372036854775807",
        4 => "-9223372036854775808",
        _ => $"{random.Next(1, 20)}"
    };

    private static string Element(Random random) => random.Next(12) switch
    {
        0 => "",
        1 => random.NextInt64(long.MinValue, long.MaxValue).ToString(CultureInfo.InvariantCulture),
        2 => $"{random.Next(-70000, 70000)}",
        3 => new string('x', random.Next(15, 30)),
        4 => "0" + random.Next(3),
        5 => "\0\r\n\xff",
        < 9 => $"m{random.Next(30)}",
        _ => $"{random.Next(30)}",
    };
}
