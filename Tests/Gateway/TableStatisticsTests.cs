using System.Globalization;
using System.Text.RegularExpressions;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>DEBUG HTSTATS and HTSTATS-KEY.</summary>
public sealed class TableStatisticsTests : GatewayTest
{
    private const string NoTable = "-ERR The value stored at the specified key is not represented using an hash table";

    [Theory]
    [InlineData("DEBUG HTSTATS", "-ERR unknown subcommand or wrong number of arguments for 'HTSTATS'. Try DEBUG HELP.")]
    [InlineData("DEBUG HTSTATS x", "-ERR value is not an integer or out of range")]
    [InlineData("DEBUG HTSTATS 16", "-ERR Out of range database")]
    [InlineData("DEBUG HTSTATS -1", "-ERR Out of range database")]
    [InlineData("DEBUG HTSTATS-KEY missing", "-ERR no such key")]
    [InlineData("DEBUG HTSTATS-KEY text", NoTable)]
    [InlineData("DEBUG HTSTATS-KEY small full", NoTable)]
    [InlineData("DEBUG HTSTATS-KEY list", NoTable)]
    public async Task What_is_no_table_is_an_error(string line, string reply)
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        await Line("SET text value");
        await Line("SADD small a b");
        await Call(["RPUSH", "list", .. Enumerable.Range(0, 5000).Select(i => (RespArgument)$"element:{i}")]);
        Assert.Equal(reply, await Line(line));
        await Line("MULTI");
        await Line(line);
        Assert.Equal($"[{reply}]", await Line("EXEC"));
    }

    [Fact]
    public async Task A_database_is_its_tables_together()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        Assert.StartsWith(
            "[Dictionary HT]\nHash table 0 stats (main hash table):\nNo stats available for empty dictionaries\n[Expires HT]\n",
            await TellAsync("HTSTATS 0"), StringComparison.Ordinal);
        await Line("DEBUG POPULATE 5000");
        for (int i = 0; i < 7; i++) await Line($"EXPIRE key:{i} 1000");
        string told = await TellAsync("HTSTATS 0");
        Assert.Matches(@"^\[Dictionary HT\]\nHash table 0 stats \(main hash table\):\n table size: \d+\n number of elements: 5000\n"
            + @"\[Expires HT\]\n.*\n number of elements: 7\n$", told);
        string full = await TellAsync("HTSTATS 0 FULL");
        AssertAddsUp(full, 5000);
        // In the midst of a transaction, too, where nobody else has a gate.
        await Line("MULTI");
        await Line("DEBUG HTSTATS 0 full");
        Assert.Equal(full, (await Redis.LineAsync("EXEC"))[0].Text);
        Assert.DoesNotContain("table size", await TellAsync("HTSTATS 1"), StringComparison.Ordinal);
        await Redis.HelloAsync();
        Assert.Equal(RespKind.VerbatimString, (await Redis.LineAsync("DEBUG HTSTATS 0")).Kind);
    }

    [Theory]
    [InlineData("SADD")]
    [InlineData("HSET")]
    [InlineData("ZADD")]
    public async Task A_value_with_a_table_tells_of_it(string command)
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        await Call([command, "key", .. Enumerable.Range(0, 1000).SelectMany(i =>
            (RespArgument[])(command == "SADD" ? [$"member:{i}"] : command == "HSET" ? [$"field:{i}", i] : [i, $"member:{i}"]))]);
        Assert.Matches(@"^Hash table 0 stats \(main hash table\):\n table size: \d+\n number of elements: 1000\n$", await TellAsync("HTSTATS-KEY key"));
        AssertAddsUp(await TellAsync("HTSTATS-KEY key full"), 1000);
    }

    /// <summary>A large table is resized step by step: then there are two.</summary>
    [Fact]
    public async Task A_resize_under_way_is_a_second_table()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        int count = 0;
        string told;
        do
        {
            await Call(["SADD", "key", .. Enumerable.Range(count, 400).Select(i => (RespArgument)i.ToString("x8", CultureInfo.InvariantCulture))]);
            count += 400;
            told = await TellAsync("HTSTATS-KEY key full");
        }
        while (!told.Contains("Hash table 1", StringComparison.Ordinal) && count < 200_000);
        Match parts = Regex.Match(told,
            @"^Hash table 0 stats \(main hash table\):\n table size: (\d+)\n number of elements: (\d+)\n(?s:.*)"
            + @"Hash table 1 stats \(rehashing target\):\n table size: (\d+)\n number of elements: (\d+)\n different slots: ");
        Assert.True(parts.Success, told);
        Assert.Equal(count, Number(parts.Groups[2]) + Number(parts.Groups[4]));
        Assert.True(Number(parts.Groups[1]) < Number(parts.Groups[3]));
    }

    private async Task<string> TellAsync(string line) => (await Redis.LineAsync($"DEBUG {line}")).Text;

    private static void AssertAddsUp(string told, int elements)
    {
        Match head = Regex.Match(told,
            @"Hash table 0 stats \(main hash table\):\n table size: (\d+)\n number of elements: (\d+)\n"
            + @" different slots: (\d+)\n max chain length: (\d+)\n avg chain length \(counted\): \d+\.\d\d\n"
            + @" avg chain length \(computed\): \d+\.\d\d\n Chain length distribution:\n(   \d+: \d+ \([\d.]+%\)\n)+");
        Assert.True(head.Success, told);
        Assert.Equal(elements, Number(head.Groups[2]));
        (int Length, int Count)[] chains = [.. Regex.Matches(told, @"   (\d+): (\d+) \(").Select(match => (Number(match.Groups[1]), Number(match.Groups[2])))];
        Assert.Equal(Number(head.Groups[1]), chains.Sum(chain => chain.Count));
        Assert.Equal(Number(head.Groups[3]), chains.Where(chain => chain.Length != 0).Sum(chain => chain.Count));
        Assert.Equal(Number(head.Groups[4]), chains[^1].Length);
    }

    private static int Number(Group group) => int.Parse(group.Value, CultureInfo.InvariantCulture);
}
