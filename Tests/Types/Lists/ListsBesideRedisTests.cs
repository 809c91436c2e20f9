using System.Globalization;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.Lists;

/// <summary>
/// List commands here and on a real redis-server: the same replies and, where both have a quicklist, the same nodes.
/// </summary>
[Trait("Needs", "servers")]
public class ListsBesideRedisTests
{
    [Theory]
    [InlineData(1, -2, 0)]
    [InlineData(2, 3, 0)]
    [InlineData(3, 1, 1)]
    [InlineData(4, -1, 1)]
    [InlineData(5, 16, 2)]
    public async Task Random_commands_get_the_same_replies_and_make_the_same_nodes(int seed, int fill, int depth)
    {
        await using SideBySide both = await SideBySide.StartAsync(
            options => (options.ListMaxListpackSize, options.ListCompressDepth) = (fill, depth),
            "--list-max-listpack-size", fill.ToString(CultureInfo.InvariantCulture), "--list-compress-depth", depth.ToString(CultureInfo.InvariantCulture));
        var random = TestSeed.Random(seed);
        for (int i = 0; i < 4000; i++)
        {
            both.Same(Command(random));
            // With limits by size the nodes differ a little: from 7.2 on, a list that is one listpack may grow beyond
            // the point at which Redis 7.0 begins a new node.
            if (i % 10 == 0 && fill > 0) SameNodes(both, "k1");
        }
        for (int i = 1; i <= 3; i++) both.Same("LRANGE", $"k{i}", "0", "-1");
    }

    private static unsafe void SameNodes(SideBySide both, string key)
    {
        byte[] name = System.Text.Encoding.ASCII.GetBytes(key);
        Entry entry = both.Ours.Store.Slots[KeySlot.Of(name)]!.Keyspace(0).Find(name);
        if (entry.IsMissing || entry.IsBlob) return;
        Quicklist list = ListEntry.ElementsOf(entry.Found);
        string debug = both.Theirs("DEBUG", "OBJECT", key);
        int size = 0;
        for (QuicklistNode* node = list.Head; node != null; node = node->Next) size += node->Length;
        Assert.Contains($"ql_nodes:{list.NodeCount} ", debug);
        Assert.Contains($"ql_uncompressed_size:{size}", debug);
    }

    private static string[] Command(Random random)
    {
        string key = $"k{(random.Next(4) == 0 ? random.Next(1, 4) : 1)}", other = $"k{random.Next(1, 4)}", element = Element(random);
        string index = random.Next(-15, 15).ToString(CultureInfo.InvariantCulture), second = random.Next(-15, 15).ToString(CultureInfo.InvariantCulture);
        string end = random.Next(2) == 0 ? "LEFT" : "right";
        return random.Next(30) switch
        {
            0 or 1 or 2 or 3 => ["RPUSH", key, element, .. Enumerable.Repeat(Element(random), random.Next(8))],
            4 or 5 or 6 => ["LPUSH", key, element, .. Enumerable.Repeat(Element(random), random.Next(8))],
            7 => ["LPOP", key],
            8 => ["RPOP", key, random.Next(-1, 9).ToString(CultureInfo.InvariantCulture)],
            9 or 10 or 11 => ["LINSERT", key, random.Next(2) == 0 ? "BEFORE" : "AFTER", Element(random), element],
            12 or 13 => ["LSET", key, index, element],
            14 => ["LREM", key, random.Next(-2, 3).ToString(CultureInfo.InvariantCulture), element],
            15 => ["LRANGE", key, index, second],
            16 => ["LINDEX", key, index],
            17 => ["LPOS", key, element, "RANK", index, "COUNT", random.Next(4).ToString(CultureInfo.InvariantCulture)],
            18 => ["LPOS", key, element, "MAXLEN", random.Next(20).ToString(CultureInfo.InvariantCulture)],
            19 => ["LMOVE", key, other, end, random.Next(2) == 0 ? "LEFT" : "RIGHT"],
            20 => ["RPOPLPUSH", key, other],
            21 => ["LMPOP", "2", other, key, end, "COUNT", random.Next(0, 5).ToString(CultureInfo.InvariantCulture)],
            22 => ["LLEN", key],
            23 => random.Next(4) == 0 ? ["LTRIM", key, random.Next(3).ToString(CultureInfo.InvariantCulture), "-3"] : ["LTRIM", key, "1", "-1"],
            24 => ["LPUSHX", other, element],
            25 => ["RPUSHX", other, element, "x"],
            26 => ["BLMPOP", "-1", "1", key, end],
            27 => ["LRANGE", key, element, index],
            28 => ["SET", "s", "x"],
            _ => random.Next(5) == 0 ? ["LPUSH", "s", element] : ["BRPOP", other, key, "x"],
        };
    }

    // Elements larger than a node are left out: from 7.2 on they are nodes of their own.
    private static string Element(Random random) => random.Next(10) switch
    {
        < 4 => random.Next(-5, 5).ToString(CultureInfo.InvariantCulture),
        4 => (random.NextInt64() >> random.Next(64)).ToString(CultureInfo.InvariantCulture),
        < 9 => new string('x', random.Next(20)),
        _ => new string('y', random.Next(40, 700)),
    };
}
