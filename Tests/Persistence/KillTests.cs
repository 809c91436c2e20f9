using System.Globalization;
using System.Net.Sockets;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Persistence;

/// <summary>
/// The server is killed with SIGKILL at random moments, while it writes its log, rewrites it, takes snapshots, renames
/// files or loads them. Afterwards it must have what it had acknowledged. ORLEANSREDIS_KILLS says how often to kill it
/// (5). The delays are real ones, since the moments are to be random; the seed determines them, as far as the machine
/// allows.
/// </summary>
[Trait("Needs", "servers")]
[Collection("kills")] // one after the other: each keeps the machine busy
public sealed class KillTests(ITestOutputHelper output)
{
    private static readonly int kills = int.Parse(Environment.GetEnvironmentVariable("ORLEANSREDIS_KILLS") ?? "5", CultureInfo.InvariantCulture);

    [SkippableTheory]
    [InlineData("always", "yes")]
    [InlineData("always", "no")]
    [InlineData("everysec", "yes")]
    [InlineData("no", "yes")]
    public async Task What_the_log_policy_promises_survives_any_kill(string policy, string rdbPreamble)
    {
        Requires.That(policy != "everysec" || !RedisProcess.IsRedisUnderTest, "redis-server replies without having written while it syncs");
        string directory = Directory.CreateTempSubdirectory("orleansredis-kill-").FullName;
        string[] directives = ["--appendonly", "yes", "--appendfsync", policy, "--aof-use-rdb-preamble", rdbPreamble, "--auto-aof-rewrite-percentage", "0"];
        var random = TestSeed.Random(policy.Length + rdbPreamble.Length);
        AckedWriter[] writers = [.. Enumerable.Range(0, 6).Select(number => new AckedWriter(number))];
        try
        {
            for (int round = 0; round <= kills; round++)
            {
                await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.UnderTest, directory, 0, directives);
                await using RespConnection redis = await server.ConnectAsync();
                if (round == 0)
                {
                    await Requires.CommandsAsync(server, "BGREWRITEAOF", "BGSAVE");
                    await FillAsync(redis, 20_000);
                }
                else
                {
                    foreach (AckedWriter writer in writers) await writer.VerifyAsync(redis);
                }
                if (round == kills) break;
                Task[] writing = [.. writers.Select(writer => writer.RunAsync(server))];
                Task disturbing = DisturbAsync(server, random.Next());
                // Now and then long enough for everysec to sync.
                await Task.Delay(random.Next(30, round % 2 == 0 ? 500 : 2500));
                await server.KillAsync();
                await Task.WhenAll([.. writing, disturbing]);
                for (int i = random.Next(3); i > 0; i--)
                {
                    TimeSpan after = TimeSpan.FromMilliseconds(random.Next(50, 500));
                    await RedisProcess.StartAndKillAsync(ServerKind.UnderTest, directory, after, directives);
                }
            }
            output.WriteLine($"{writers.Sum(writer => writer.Acknowledged)} steps acknowledged");
            Assert.True(writers.Sum(writer => writer.Acknowledged) > kills, "hardly anything was written");
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [SkippableTheory]
    [InlineData("everysec")]
    [InlineData("no")]
    public async Task Of_many_clients_that_await_each_reply_none_misses_an_acknowledged_write(string policy)
    {
        Requires.That(policy != "everysec" || !RedisProcess.IsRedisUnderTest, "redis-server replies without having written while it syncs");
        const int Clients = 40;
        string directory = Directory.CreateTempSubdirectory("orleansredis-kill-").FullName;
        string[] directives = ["--appendonly", "yes", "--appendfsync", policy];
        var random = TestSeed.Random(policy.Length);
        long[] acknowledged = new long[Clients];
        try
        {
            for (int round = 0; round <= kills; round++)
            {
                await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.UnderTest, directory, 0, directives);
                await using RespConnection redis = await server.ConnectAsync();
                for (int i = 0; i < Clients && round > 0; i++)
                {
                    long found = long.Parse((await redis.CallAsync("GET", $"counter:{i}")).Text, CultureInfo.InvariantCulture);
                    Assert.InRange(found, acknowledged[i], acknowledged[i] + 1);
                    acknowledged[i] = found; // what was written but not answered counts from here on
                }
                if (round == kills) break;
                long[] before = [.. acknowledged];
                Task[] writing = [.. Enumerable.Range(0, Clients).Select(async i =>
                {
                    try
                    {
                        await using RespConnection client = await server.ConnectAsync();
                        while (true) acknowledged[i] = (await client.CallAsync("INCR", $"counter:{i}")).Integer;
                    }
                    catch (Exception gone) when (gone is IOException or SocketException)
                    {
                        // Killed.
                    }
                })];
                await Eventually.TrueAsync(() => acknowledged.Zip(before).All(counts => counts.First > counts.Second), () => "a client is not served");
                await Task.Delay(random.Next(0, 300));
                await server.KillAsync();
                await Task.WhenAll(writing).WaitAsync(Eventually.Deadline);
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [SkippableFact]
    public async Task A_snapshot_is_the_old_one_or_the_new_one_whole()
    {
        const int Keys = 20_000;
        string directory = Directory.CreateTempSubdirectory("orleansredis-kill-").FullName;
        var random = TestSeed.Random();
        int lastSaved = 0, saved = 0;
        try
        {
            for (int round = 0; round <= kills; round++)
            {
                await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.UnderTest, directory, 0);
                if (round == 0) await Requires.CommandsAsync(server, "BGSAVE");
                await using RespConnection redis = await server.ConnectAsync();
                int found = await GenerationAsync(redis, Keys);
                Assert.True(round == 0 || found == saved || found == lastSaved, $"generation {found} was found, not {lastSaved} or {saved}");
                lastSaved = found;
                if (round == kills) break;

                saved = lastSaved + 1;
                await WriteAsync(redis, Keys, saved);
                Assert.False((await redis.CallAsync("BGSAVE")).IsError);
                // Everything is overwritten while it is being saved.
                Task overwriting = WriteUntilGoneAsync(server, Keys, 1_000_000);
                await Task.Delay(random.Next(0, 250));
                await server.KillAsync();
                await overwriting;
                if (random.Next(2) == 0)
                    await RedisProcess.StartAndKillAsync(ServerKind.UnderTest, directory, TimeSpan.FromMilliseconds(random.Next(50, 500)));
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>Writes keys that no client changes, so that loading and rewriting take their time.</summary>
    private static async Task FillAsync(RespConnection redis, int keys)
    {
        for (int from = 0; from < keys; from += 1000)
        {
            await redis.PipelineAsync([.. Enumerable.Range(from, 1000).Select(i => (RespArgument[])["SET", $"fill:{i}", new string('x', 200)])]);
        }
    }

    /// <summary>Saves and rewrites all the time, so that a kill hits them at every stage.</summary>
    private static async Task DisturbAsync(RedisProcess server, int seed)
    {
        var random = TestSeed.Random(seed);
        try
        {
            await using RespConnection redis = await server.ConnectAsync();
            while (true)
            {
                // Errors are expected: usually one of the two is already in progress.
                await redis.CallAsync(random.Next(3) == 0 ? "BGSAVE" : "BGREWRITEAOF");
                await Task.Delay(random.Next(40));
            }
        }
        catch (Exception gone) when (gone is IOException or SocketException)
        {
            // Killed.
        }
    }

    private static async Task WriteAsync(RespConnection redis, int keys, int generation)
    {
        for (int from = 0; from < keys; from += 1000)
        {
            RespArgument[][] commands = [.. Enumerable.Range(from, 1000).Select(i => i % 10 == 0
                ? (RespArgument[])["HSET", $"gen:{i}", "generation", generation]
                : ["SET", $"gen:{i}", generation])];
            await redis.PipelineAsync(commands);
        }
    }

    private static async Task WriteUntilGoneAsync(RedisProcess server, int keys, int generation)
    {
        try
        {
            await using RespConnection redis = await server.ConnectAsync();
            while (true) await WriteAsync(redis, keys, generation++);
        }
        catch (Exception gone) when (gone is IOException or SocketException)
        {
            // Killed.
        }
    }

    /// <summary>The generation that all keys belong to; 0 if there are no keys.</summary>
    private static async Task<int> GenerationAsync(RespConnection redis, int keys)
    {
        var found = new Dictionary<string, int>();
        for (int from = 0; from < keys; from += 1000)
        {
            RespArgument[][] commands = [.. Enumerable.Range(from, 1000).Select(i => i % 10 == 0
                ? (RespArgument[])["HGET", $"gen:{i}", "generation"]
                : ["GET", $"gen:{i}"])];
            foreach (RespValue value in await redis.PipelineAsync(commands))
            {
                string generation = value.IsNull ? "0" : value.Text;
                found[generation] = found.GetValueOrDefault(generation) + 1;
            }
        }
        Assert.True(found.Count == 1, $"generations are mixed: {string.Join(", ", found.Select(pair => $"{pair.Value} keys of {pair.Key}"))}");
        return int.Parse(found.Keys.Single(), CultureInfo.InvariantCulture);
    }
}
