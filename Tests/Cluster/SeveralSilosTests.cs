using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Clustering;

/// <summary>Several real processes that share the slots.</summary>
[Trait("Needs", "servers")]
public sealed class SeveralSilosTests
{
    private const int Keys = 300;

    [Fact]
    public async Task Three_silos_share_the_slots_and_find_everything_again_after_they_were_killed()
    {
        await using var cluster = new SiloProcesses(3, "--appendonly", "yes", "--appendfsync", "always");
        await cluster.StartAsync();
        await cluster.ShareSlotsAsync();
        await FillAsync(cluster);
        for (int silo = 0; silo < 3; silo++) await cluster.KillAsync(silo);
        await cluster.StartAsync();
        await cluster.ShareSlotsAsync();
        await CheckAsync(cluster);
    }

    [Fact]
    public async Task Slots_move_with_what_is_in_them_while_they_are_written_and_survive_a_restart()
    {
        await using var cluster = new SiloProcesses(2, "--appendonly", "yes");
        await cluster.StartAsync();
        await cluster.ShareSlotsAsync();
        await FillAsync(cluster);

        // A third one joins, and takes its share, while counters are counted and a list grows.
        int third = cluster.AddPlace();
        using var enough = new CancellationTokenSource();
        Task<int> writing = WriteAsync(cluster, enough.Token);
        await cluster.StartAsync(third, "--orleans-weight", "200");
        await cluster.ShareSlotsAsync(100, 100, 200);
        await enough.CancelAsync();
        int rounds = await writing;
        await CheckAsync(cluster);
        await CheckWrittenAsync(cluster, rounds);

        // It gives everything away again.
        await using (RespConnection redis = await cluster[0].ConnectAsync())
            Assert.Equal("OK", (await redis.CallAsync("SILO", "DRAIN", $"127.0.0.1:{cluster[third].Port}")).Text);
        await cluster.ShareSlotsAsync(100, 100, 0);
        await CheckAsync(cluster);
        await CheckWrittenAsync(cluster, rounds);

        // What has come and gone is in the silos' own files.
        for (int silo = 0; silo < 3; silo++) await cluster.StopAsync(silo);
        await cluster.StartAsync(0);
        await cluster.StartAsync(1);
        await cluster.StartAsync(third, "--orleans-weight", "0");
        await cluster.ShareSlotsAsync(100, 100, 0);
        await CheckAsync(cluster);
        await CheckWrittenAsync(cluster, rounds);
    }

    private static async Task FillAsync(SiloProcesses cluster)
    {
        for (int i = 0; i < Keys; i++)
        {
            string key = $"key:{i}";
            switch (i % 4)
            {
                case 0:
                    await cluster.CallAsync("SET", key, Value(i));
                    break;
                case 1:
                    await cluster.CallAsync("RPUSH", key, "a", Value(i), "b");
                    break;
                case 2:
                    await cluster.CallAsync("HSET", key, "field", Value(i), "other", "x");
                    break;
                default:
                    await cluster.CallAsync("SET", key, Value(i), "EX", "100000");
                    break;
            }
        }
    }

    private static async Task CheckAsync(SiloProcesses cluster)
    {
        for (int i = 0; i < Keys; i++)
        {
            string key = $"key:{i}";
            RespValue value = (i % 4) switch
            {
                1 => await cluster.CallAsync("LINDEX", key, "1"),
                2 => await cluster.CallAsync("HGET", key, "field"),
                _ => await cluster.CallAsync("GET", key),
            };
            Assert.Equal($"{key} {Value(i)}", $"{key} {value.Text}");
            if (i % 4 == 3) Assert.InRange((await cluster.CallAsync("TTL", key)).Integer, 90_000, 100_000);
        }
    }

    /// <summary>Counts, and appends to lists, in turns over some keys; returns how many turns there were.</summary>
    private static async Task<int> WriteAsync(SiloProcesses cluster, CancellationToken enough)
    {
        int rounds = 0;
        while (!enough.IsCancellationRequested)
        {
            for (int i = 0; i < 40; i++)
            {
                await cluster.CallAsync("INCR", $"counter:{i}");
                await cluster.CallAsync("RPUSH", $"list:{i}", rounds.ToString(CultureInfo.InvariantCulture));
            }
            rounds++;
        }
        return rounds;
    }

    private static async Task CheckWrittenAsync(SiloProcesses cluster, int rounds)
    {
        Assert.True(rounds > 0);
        string list = string.Join(' ', Enumerable.Range(0, rounds));
        for (int i = 0; i < 40; i++)
        {
            Assert.Equal(rounds.ToString(CultureInfo.InvariantCulture), (await cluster.CallAsync("GET", $"counter:{i}")).Text);
            Assert.Equal(list, string.Join(' ', (await cluster.CallAsync("LRANGE", $"list:{i}", "0", "-1")).Items.Select(item => item.Text)));
        }
    }

    private static string Value(int i) => $"value {i}";
}
