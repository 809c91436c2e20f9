using System.Globalization;
using System.Text;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Clients;

/// <summary>docs/recipes.md, block by block: what redis-cli is shown to say it says, and the programs do what they promise.</summary>
public sealed class RecipeTests : IDisposable
{
    private readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("orleansredis-test-");

    [Theory]
    [InlineData("A cache and nothing else")]
    [InlineData("Autocompletion")]
    public async Task Redis_cli_says_what_is_shown(string section)
    {
        await using RedisProcess server = await RedisProcess.StartAsync();
        foreach (string session in Blocks(section).Where(block => block.StartsWith("> ", StringComparison.Ordinal)))
        {
            string[] lines = session.Split('\n');
            await using ClientProgram cli = ClientProgram.Start("redis-cli", "-p", Text(server.Port), "--no-raw");
            // Its input and output are Latin-1 here, the file is UTF-8.
            string commands = string.Concat(lines.Where(line => line.StartsWith("> ", StringComparison.Ordinal)).Select(line => line[2..] + "\n"));
            await cli.WriteAsync(Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(commands)));
            cli.CloseInput();
            Assert.Equal(0, await cli.WaitForExitAsync());
            Assert.Equal(lines.Where(line => !line.StartsWith("> ", StringComparison.Ordinal)), cli.Output.TrimEnd('\n').Split('\n'));
        }
    }

    [Fact]
    public async Task A_cache_forgets_what_is_not_used_and_goes_on()
    {
        string[] lines = Blocks("A cache and nothing else")[0].Split('\n');
        string[] directives = [.. lines.SelectMany(line => $"--{line}".Split(' ', 2)).Select(word => word.Trim('"'))];
        await using RedisProcess server = await RedisProcess.StartAsync(directives);
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("104857600", (await redis.LineAsync("CONFIG GET maxmemory"))[1].Text);
        await redis.LineAsync("CONFIG SET maxmemory 10mb");
        string page = new('x', 1000);
        RespArgument[][] pages = [.. Enumerable.Range(0, 30_000).Select(i => (RespArgument[])["SET", $"page:{i}", page, "EX", 60])];
        RespValue[] replies = await redis.PipelineAsync(pages);
        Assert.All(replies, reply => Assert.Equal("+OK", reply.ToString()));
        Assert.True(await redis.InfoAsync("evicted_keys") > 10_000);
    }

    [Fact]
    public async Task On_the_market_nobody_pays_twice_or_for_what_is_gone()
    {
        await using RedisProcess server = await RedisProcess.StartAsync();
        await RunAsync("A marketplace", $$"""
            from concurrent.futures import ThreadPoolExecutor

            r = redis.Redis(port={{Text(server.Port)}}, decode_responses=True)
            items = [f"item{i}" for i in range(20)]
            buyers = [f"buyer{i}" for i in range(6)]
            r.sadd("inventory:seller", *items)
            r.hset("user:seller", "funds", 0)
            for buyer in buyers:
                r.hset(f"user:{buyer}", "funds", 50)
            assert not sell(r, "buyer0", "item0", 10)
            assert not buy(r, "buyer0", "item0", "seller", 10)
            with ThreadPoolExecutor(12) as pool:
                sold = [pool.submit(sell, r, "seller", item, 10) for item in items + items]
                assert sum(s.result() for s in sold) == len(items)
                bought = [pool.submit(buy, r, buyer, item, "seller", 10) for item in items for buyer in buyers]
                assert sum(b.result() for b in bought) == len(items)
            assert not buy(r, "buyer0", "item0", "seller", 10) and r.zcard("market") == 0
            assert int(r.hget("user:seller", "funds")) == 10 * len(items)
            funds = [int(r.hget(f"user:{buyer}", "funds")) for buyer in buyers]
            assert min(funds) >= 0 and sum(funds) == 50 * len(buyers) - 10 * len(items)
            owned = [item for buyer in buyers for item in r.smembers(f"inventory:{buyer}")]
            assert sorted(owned) == sorted(items)
            assert [50 - 10 * r.scard(f"inventory:{buyer}") for buyer in buyers] == funds
            """);
    }

    [SkippableFact]
    public async Task Whoever_listens_is_told_when_a_key_expires()
    {
        await using RedisProcess server = await RedisProcess.StartAsync();
        await Requires.CommandsAsync(server, "SUBSCRIBE");
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("+OK", (await redis.LineAsync("CONFIG SET notify-keyspace-events Ex")).ToString());
        await RunAsync("Being told when a key expires", $$"""
            r = redis.Redis(port={{Text(server.Port)}}, decode_responses=True)
            expired = expirations(r)
            for number, seconds in ((1, 0.3), (2, 0.1), (3, 3600), (4, 0.2)):
                order(r, number, {"item": "book"}, seconds)
            assert sorted(next(expired) for _ in range(3)) == ["timer:order:1", "timer:order:2", "timer:order:4"]
            assert r.hget("order:1", "item") == "book" and r.exists("timer:order:3") == 1
            """);
    }

    [Fact]
    public async Task A_lock_over_three_servers_holds_while_two_of_them_live()
    {
        await using RedisProcess a = await RedisProcess.StartAsync(), b = await RedisProcess.StartAsync(), c = await RedisProcess.StartAsync();
        string ports = $"[{Text(a.Port)}, {Text(b.Port)}, {Text(c.Port)}]";
        await RunAsync("A lock over three servers", $$"""
            from concurrent.futures import ThreadPoolExecutor

            inside = total = 0

            def add(_):
                global inside, total
                lock = Redlock(connect({{ports}}), "lock", seconds=60)
                for _ in range(5):
                    assert lock.acquire(patience=100)
                    inside += 1
                    assert inside == 1
                    before = total
                    time.sleep(0.001)
                    total = before + 1
                    inside -= 1
                    lock.release()

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(add, range(4)))
            assert total == 20
            """);

        await c.KillAsync();
        await RunAsync("A lock over three servers", $$"""
            mine, other = Redlock(connect({{ports}}), "lock", seconds=60), Redlock(connect({{ports}}), "lock", seconds=60)
            assert mine.acquire(patience=100)
            assert other.acquire(patience=0.5) is None
            mine.release()
            assert other.acquire(patience=100)
            other.release()
            """);

        await b.KillAsync();
        await RunAsync("A lock over three servers", $"""assert Redlock(connect({ports}), "lock").acquire(patience=0.5) is None""");
    }

    public void Dispose() => directory.Delete(recursive: true);

    /// <summary>Runs the program of a section, and after it what is to be true of it.</summary>
    private async Task RunAsync(string section, string then)
    {
        string path = Path.Combine(directory.FullName, "recipe.py");
        string program = Blocks(section).Single(block => block.StartsWith("import ", StringComparison.Ordinal));
        await File.WriteAllTextAsync(path, $"{program}\n\n{then}");
        await ClientProgram.RunAsync("/usr/bin/python3", "-B", path);
    }

    /// <summary>The blocks of code in a section.</summary>
    private static List<string> Blocks(string section)
    {
        string text = File.ReadAllText(Path.Combine(RedisProcess.RepositoryRoot, "docs", "recipes.md"));
        string body = text.Split("\n## ").Single(part => part.StartsWith(section + "\n", StringComparison.Ordinal));
        string[] parts = body.Split("\n```");
        return [.. parts.Where((_, i) => i % 2 == 1).Select(part => part[(part.IndexOf('\n') + 1)..])];
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
