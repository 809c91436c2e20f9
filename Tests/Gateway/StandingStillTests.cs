using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// Nobody waits for ever, and nobody waits for a long command who need not. In the tests a thread that waits for a gate
/// while it holds another gets an exception (<see cref="GateRule"/>), so a deadlock shows as an internal error even when
/// it does not happen.
/// </summary>
public sealed class StandingStillTests
{
    /// <summary>
    /// Commands that would end the connection or the server, or that the transaction itself consists of; and MONITOR, which
    /// would send all that goes on to a client that reads one reply for each command.
    /// </summary>
    private static readonly string[] s_leftOut = ["shutdown", "quit", "reset", "multi", "exec", "discard", "debug", "monitor"];

    /// <summary>Arguments that make a command do something, where ones and keys would not.</summary>
    private static readonly Dictionary<string, string> s_arguments = new()
    {
        ["bitop"] = "AND k1 k2 k3",
        ["blmove"] = "l1 l2 LEFT LEFT 0.01",
        ["blmpop"] = "0.01 2 l1 l2 LEFT",
        ["blpop"] = "l1 l2 0.01",
        ["brpop"] = "l1 l2 0.01",
        ["brpoplpush"] = "l1 l2 0.01",
        ["bzmpop"] = "0.01 2 z1 z2 MIN",
        ["bzpopmax"] = "z1 z2 0.01",
        ["bzpopmin"] = "z1 z2 0.01",
        ["client|kill"] = "ID 0",
        ["client|no-evict"] = "OFF",
        ["client|no-touch"] = "OFF",
        ["client|reply"] = "ON",
        ["config|get"] = "*",
        ["config|set"] = "timeout 0",
        ["copy"] = "k1 k2 REPLACE",
        ["linsert"] = "l1 BEFORE 1 1",
        ["lmove"] = "l1 l2 LEFT LEFT",
        ["lmpop"] = "2 l1 l2 LEFT",
        ["scan"] = "0",
        ["sort"] = "l1 BY k* GET k* STORE l2",
        ["sort_ro"] = "l1 BY k* GET k*",
        ["swapdb"] = "0 0",
        ["xadd"] = "x1 * a 1",
        ["xgroup|create"] = "x1 g 0 MKSTREAM",
        ["xread"] = "STREAMS x1 x2 0 0",
        ["xreadgroup"] = "GROUP g c STREAMS x1 >",
        ["zmpop"] = "2 z1 z2 MIN",
        ["zrangestore"] = "z2 z1 0 1",
        ["zunionstore"] = "z2 2 z1 z2",
    };

    private static readonly string[] s_debug =
    [
        "DEBUG OBJECT k1", "DEBUG DIGEST", "DEBUG DIGEST-VALUE k1 l1", "DEBUG POPULATE 3", "DEBUG SLEEP 0", "DEBUG RELOAD", "DEBUG SET-ACTIVE-EXPIRE 1",
        "DEBUG LOG hello", "DEBUG PROTOCOL string",
    ];

    /// <summary>Commands of every kind of hold, each of which is combined with every command.</summary>
    private static readonly string[] s_kinds =
    [
        "CONFIG RESETSTAT", "DEBUG OBJECT k1", "DEBUG DIGEST", "KEYS *", "SORT l1 BY k* STORE l2", "SET k2 1", "RPUSH l1 1", "FLUSHDB", "SDIFFSTORE s2 s1 s3",
    ];

    [Fact]
    public async Task A_transaction_that_resets_the_statistics_ends()
    {
        await using InProcessServer server = await StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        RespValue[] replies = await redis.PipelineAsync(["MULTI"], ["SET", "a", "1"], ["CONFIG", "RESETSTAT"], ["EXEC"]);
        Assert.Equal("[+OK, +OK]", replies[^1].ToString());
        Assert.Equal("+OK", (await redis.LineAsync("FLUSHALL")).ToString());
    }

    /// <summary>
    /// Every command of the table, in a transaction with one of every kind and with some at random, and on its own, by
    /// several clients at once, while others keep all kinds of gates busy.
    /// </summary>
    [Fact]
    public async Task Every_command_in_every_company_comes_to_an_end()
    {
        await using InProcessServer server = await StartAsync();
        string[] lines = [.. Commands(server.Server.Commands).Select(LineOf), .. s_debug];
        bool isOver = false;
        Task[] load = [.. Load().Select(pipeline => Task.Run(async () =>
        {
            await using RespConnection redis = await server.ConnectAsync();
            while (!Volatile.Read(ref isOver)) await RunAsync(redis, pipeline);
        }))];
        await Task.WhenAll(Enumerable.Range(0, 3).Select(number => Task.Run(async () =>
        {
            var random = TestSeed.Random(number);
            await using RespConnection redis = await server.ConnectAsync();
            for (int i = number; i < lines.Length; i += 3)
            {
                string[] company = [.. s_kinds, lines[random.Next(lines.Length)], lines[random.Next(lines.Length)]];
                foreach (string other in company)
                {
                    (string first, string second) = random.Next(2) == 0 ? (lines[i], other) : (other, lines[i]);
                    await RunAsync(redis, ["MULTI", "SET k3 1", first, second, "EXEC"]);
                }
                await RunAsync(redis, [lines[i]]);
            }
        })));
        Volatile.Write(ref isOver, true);
        await Task.WhenAll(load);
        await using RespConnection last = await server.ConnectAsync();
        await RunAsync(last, ["CLIENT UNPAUSE", "FLUSHALL", "PING"]);
        await Eventually.TrueAsync(() => !server.Files.Dump.IsSaving, () => "the snapshot does not end"); // it writes into the server's directory
    }

    [Theory]
    [InlineData("CONFIG RESETSTAT", true)]
    [InlineData("INFO", true)]
    [InlineData("DEBUG OBJECT k", false)]
    [InlineData("DEBUG DIGEST-VALUE other k", false)]
    [InlineData("DEBUG DIGEST", false)]
    [InlineData("KEYS *", false)]
    public async Task What_looks_into_every_slot_holds_nobody_up_behind_a_long_command(string line, bool needsNoGate)
    {
        await using InProcessServer server = await StartAsync(options => options.IoThreads = 1);
        await using RespConnection redis = await server.ConnectAsync(), other = await server.ConnectAsync();
        await redis.LineAsync("SET k 1");
        Task<RespValue> reply;
        using (new HeldGate(server.Store.Slots[KeySlot.Of("k"u8)]!))
        {
            reply = redis.LineAsync(line);
            if (needsNoGate) await reply;
            for (int i = 0; i < 10; i++) Assert.Equal("+OK", (await other.LineAsync("SET elsewhere 1")).ToString());
            Assert.Equal(needsNoGate, reply.IsCompleted);
        }
        Assert.False((await reply).IsError);
    }

    [Fact]
    public async Task A_client_that_leaves_while_it_watches_or_waits_for_a_key_holds_nobody_up()
    {
        await using InProcessServer server = await StartAsync(options => options.IoThreads = 1);
        await using RespConnection other = await server.ConnectAsync();
        RespConnection watching = await server.ConnectAsync(), waiting = await server.ConnectAsync();
        await watching.LineAsync("WATCH k");
        ClientConnection blocked = server.Server.Clients.Find((await waiting.LineAsync("CLIENT ID")).Integer)!;
        await waiting.SendAsync("BLPOP", "k", "0");
        await server.BlockedAsync(1);
        using (new HeldGate(server.Store.Slots[KeySlot.Of("k"u8)]!))
        {
            await watching.DisposeAsync();
            await waiting.DisposeAsync();
            await Eventually.TrueAsync(() => server.Server.Clients.Count == 2 && blocked.Blocked is null, () => "they are still there");
            for (int i = 0; i < 10; i++) Assert.Equal("+OK", (await other.LineAsync("SET elsewhere 1")).ToString());
        }
        await Eventually.TrueAsync(() => server.NobodyWatches, () => "they still watch");
    }

    private static Task<InProcessServer> StartAsync(Action<ServerOptions>? configure = null) => InProcessServer.StartAsync(options =>
    {
        options.EnableDebugCommand = LocalAccess.Yes;
        configure?.Invoke(options);
    });

    private static IEnumerable<CommandInfo> Commands(CommandTable table) =>
        table.Commands.SelectMany(command => command.Subcommands?.Values.Append(command) ?? [command])
            .Where(command => command.Method is not null && !s_leftOut.Contains(command.Name));

    private static string LineOf(CommandInfo command)
    {
        string name = command.Name.Replace('|', ' ');
        if (s_arguments.TryGetValue(command.Name, out string? arguments)) return $"{name} {arguments}";
        List<string> words = [.. name.Split(' ')];
        while (words.Count < Math.Abs(command.Arity)) words.Add("1");
        var positions = new List<int>();
        command.LocateKeys(OwnedRequest.Of([.. words.Select(word => (ReadOnlyMemory<byte>)Encoding.ASCII.GetBytes(word))]).Request, positions);
        Category kinds = command.Categories;
        char kind = (kinds & Category.List) != 0 ? 'l' : (kinds & Category.Set) != 0 ? 's' : (kinds & (Category.SortedSet | Category.Geo)) != 0 ? 'z'
            : (kinds & Category.Hash) != 0 ? 'h' : (kinds & Category.Stream) != 0 ? 'x' : 'k';
        for (int i = 0; i < positions.Count; i++) words[positions[i]] = $"{kind}{i + 1}";
        return string.Join(' ', words);
    }

    /// <summary>Clients that keep gates busy: several at once, roaming, for long, exclusively, and waiting.</summary>
    private static string[][] Load() =>
    [
        ["MSET k1 1 k2 2 k3 3", "WATCH k1", "MULTI", "MGET k1 k2 k3", "INCR k1", "EXEC", "RPUSH l1 1 2", "ZADD z1 1 a 2 b"],
        ["RPUSH l1 3 4", "SORT l1 BY k* GET k*", "KEYS *", "BLMOVE l1 l2 LEFT LEFT 0.01", "SCAN 0"],
        ["SETRANGE long 7000000 x", "BITOP NOT longer long", "CONFIG RESETSTAT", "DEBUG DIGEST"],
        ["BGSAVE", "FLUSHALL", "SADD s1 1 2 3", "BLPOP l2 0.01", "XREAD BLOCK 5 STREAMS x1 $", "SUNIONSTORE s2 s1 s3"],
    ];

    private static async Task RunAsync(RespConnection redis, string[] lines)
    {
        RespValue[] replies = await redis.PipelineAsync([.. lines.Select(line => line.Split(' ').Select(word => (RespArgument)word).ToArray())]);
        foreach (RespValue reply in replies)
        {
            string text = reply.ToString();
            Assert.False(text.Contains("internal error", StringComparison.Ordinal), $"{string.Join("; ", lines)}: {text}");
        }
    }
}
