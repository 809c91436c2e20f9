using System.Globalization;
using System.Text;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Persistence;

/// <summary>
/// Commands that make a data set with every type, every encoding, expiries and all 16 databases. It is the same on
/// every server that has all commands of redis-server 7.0. Words are Latin-1.
/// </summary>
internal static class RdbDataSet
{
    private static readonly string s_long = string.Concat(Enumerable.Range(0, 200).Select(i => (char)(33 + (i * i * 7 % 90))));

    /// <summary>The commands, in order.</summary>
    public static IEnumerable<string[]> Commands()
    {
        for (int database = 0; database < 16; database++)
        {
            yield return ["SELECT", database.ToString(CultureInfo.InvariantCulture)];
            foreach (string[] command in database == 0 ? Everything() : Few(database)) yield return command;
        }
        yield return ["SELECT", "0"];
    }

    private static IEnumerable<string[]> Few(int database)
    {
        yield return ["SET", $"string{database}", $"in database {database}"];
        yield return ["RPUSH", "list", "a", Text(database), s_long];
        yield return ["SET", "expiring", "x", "PXAT", Text(4102444800000L + database)];
        yield return ["SET", Text(database), Text(database)];
    }

    private static IEnumerable<string[]> Everything() => [.. Strings(), .. Lists(), .. Sets(), .. SortedSets(), .. Hashes(), .. Streams()];

    private static IEnumerable<string[]> Strings()
    {
        foreach (string value in (string[])["", "a", "embstr", s_long, "1", "-1", "127", "128", "-129", "32767", "-32769", "2147483647", "2147483648",
            "-9223372036854775808",
            "9223372036854775807", "9223372036854775808", "007", "+1", "-0", "1e5", " 1", "12345678901", new string('x', 5000), new string('y', 40_000),
            Noise(70_000), "\0\r\n\xff\x80"])
        {
            yield return ["SET", $"string:{value.Length}:{value[..Math.Min(20, value.Length)]}", value];
        }
        yield return ["SET", "", "the empty key"];
        yield return ["SET", "12345", "a key that is an integer"];
        yield return ["SET", new string('k', 300), "a long key that can be compressed"];
        yield return ["SET", Noise(40_000), "a key larger than a blob"];
        yield return ["APPEND", "appended", "ab"];
        yield return ["APPEND", "appended", "cd"];
        yield return ["SETRANGE", "zeros", "100000", "end"];
        yield return ["SET", "ms", "v", "PXAT", "4102444800123"];
        yield return ["SET", "seconds", "1234", "EXAT", "4102444800"];
        yield return ["PFADD", "hll", .. Many("e", 500)];
        yield return ["PFADD", "sparse", "a", "b"];
        yield return ["SETBIT", "bits", "1000", "1"];
    }

    private static IEnumerable<string[]> Lists()
    {
        yield return ["RPUSH", "list:small", "a", "1", "-5", "300000", "99999999999", s_long, ""];
        yield return ["RPUSH", "list:numbers", .. Numbers(50)];
        yield return ["RPUSH", "list:nodes", .. Many(s_long, 300)];
        yield return ["RPUSH", "list:large", "small", new string('p', 20_000), "small again", Noise(9000), .. Many("tail", 20)];
        yield return ["LPUSH", "list:expiring", "x", "y"];
        yield return ["PEXPIREAT", "list:expiring", "4102444800777"];
    }

    private static IEnumerable<string[]> Sets()
    {
        yield return ["SADD", "set:16", "1", "-2", "3000"];
        yield return ["SADD", "set:32", "1", "-200000", "3000"];
        yield return ["SADD", "set:64", "1", "-20000000000", "3000"];
        yield return ["SADD", "set:512", .. Numbers(512)];
        yield return ["SADD", "set:513", .. Numbers(513)];
        yield return ["SADD", "set:small", "a", "bb", "1", "ccc"];
        yield return ["SADD", "set:long", "a", s_long];
        yield return ["SADD", "set:many", .. Many("member", 1000)];
        yield return ["EXPIREAT", "set:many", "4102444800"];
    }

    private static IEnumerable<string[]> SortedSets()
    {
        yield return ["ZADD", "zset:small", "1", "one", "2.5", "two and a half", "-inf", "low", "inf", "high", "0.1", "0.1", "3", "3", "-0", "zero", "1e300",
            "e", "17179869184", "big"];
        yield return ["ZADD", "zset:long", "1", s_long, "2", "b"];
        yield return ["ZADD", "zset:same", .. Enumerable.Range(0, 100).SelectMany(i => (string[])["0", $"m{i}"])];
        yield return ["ZADD", "zset:many", .. Enumerable.Range(0, 1000).SelectMany(i => (string[])[Text(Math.Sqrt(i) * (i % 2 == 0 ? 1 : -1)), $"m{i}"])];
        yield return ["GEOADD", "zset:geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"];
        yield return ["PEXPIREAT", "zset:many", "4102444800001"];
    }

    private static IEnumerable<string[]> Hashes()
    {
        yield return ["HSET", "hash:small", "f", "v", "1", "2", "number", "-123456", "empty", "", "64", new string('v', 64)];
        yield return ["HSET", "hash:long", "f", s_long, "g", "1"];
        yield return ["HSET", "hash:512", .. Many("f", 1024)];
        yield return ["HSET", "hash:many", .. Many("f", 2000)];
        yield return ["PEXPIREAT", "hash:small", "4102444800002"];
    }

    private static IEnumerable<string[]> Streams()
    {
        for (int i = 1; i <= 250; i++) yield return ["XADD", "stream", $"{1000 + (i / 3)}-{i}", "field", $"value {i}", "n", Text(i)];
        yield return ["XADD", "stream", "2000-1", "other", "fields", "than", "the", "node's", "first"];
        yield return ["XDEL", "stream", "1001-3", "1001-4"];
        yield return ["XGROUP", "CREATE", "stream", "group", "0"];
        yield return ["XGROUP", "CREATE", "stream", "idle", "$"];
        yield return ["XGROUP", "CREATECONSUMER", "stream", "group", "nobody"];
        yield return ["XREADGROUP", "GROUP", "group", "alice", "COUNT", "10", "STREAMS", "stream", ">"];
        yield return ["XREADGROUP", "GROUP", "group", "bob", "COUNT", "5", "STREAMS", "stream", ">"];
        yield return ["XACK", "stream", "group", "1000-1", "1000-2"];
        yield return ["XADD", "stream:empty", "5-1", "a", "b"];
        yield return ["XDEL", "stream:empty", "5-1"];
        yield return ["XADD", "stream:large", "1-1", "f", new string('s', 10_000)];
    }

    private static string[] Many(string prefix, int count) => [.. Enumerable.Range(0, count).Select(i => $"{prefix}{i}")];

    private static string[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(i => Text((i * 7919) - 1000))];

    private static string Text(object value) => string.Create(CultureInfo.InvariantCulture, $"{value}");

    /// <summary>Bytes that cannot be compressed.</summary>
    private static string Noise(int length)
    {
        return Encoding.Latin1.GetString(TestSeed.Bytes(length));
    }
}
