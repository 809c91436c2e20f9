using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// Caches that are kept by tracking, while others write: whatever a cache still holds once the writers are done must be
/// what the server has. Replies and invalidations are taken in the order in which they arrive.
/// </summary>
public sealed class TrackingStressTests
{
    private const int Keys = 24, Caches = 3, Writers = 3, Writes = 3000;

    [Theory]
    [InlineData("", 1_000_000)]
    [InlineData("", 10)]
    [InlineData("BCAST PREFIX k", 1_000_000)]
    public async Task No_cache_keeps_what_has_changed(string options, int mostKeys)
    {
        await using InProcessServer server = await InProcessServer.StartAsync(
            configure => (configure.IoThreads, configure.TrackingTableMaxKeys) = (3, mostKeys));
        using CancellationTokenSource over = new();
        Task[] caches = [.. Enumerable.Range(0, Caches).Select(number => Task.Run(() => CacheAsync(server, options, number, over.Token)))];
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(number => Task.Run(() => WriteAsync(server, number))));
        await over.CancelAsync();
        await Task.WhenAll(caches);
        Assert.True(server.Store.KeyTracking.KeyCount <= mostKeys);
    }

    /// <summary>The reply of a command that runs on another thread must not be overtaken by what changes meanwhile.</summary>
    [Fact]
    public async Task A_command_that_takes_long_is_answered_before_changes_to_what_it_has_read()
    {
        const int Members = 60_000, Reads = 25;
        await using InProcessServer server = await InProcessServer.StartAsync(configure => configure.IoThreads = 3);
        await using RespConnection cache = await server.ConnectAsync(), writer = await server.ConnectAsync();
        for (int i = 0; i < Members; i += 1000)
            await writer.CallAsync([(RespArgument)"SADD", (RespArgument)"big", .. Enumerable.Range(i, 1000).Select(member => (RespArgument)$"m{member}")]);
        await cache.HelloAsync();
        await cache.LineAsync("CLIENT TRACKING ON");
        bool isOver = false;
        Task writing = Task.Run(async () =>
        {
            for (int i = 0; !Volatile.Read(ref isOver); i++) await writer.CallAsync("SADD", "big", $"more{i}");
        });
        int? known = null;
        for (int read = 0; read < Reads; read++)
        {
            int count = (await cache.LineAsync("SMEMBERS big")).Items.Count;
            // What was told before this reply concerns older ones.
            cache.Pushes.Clear();
            known = count;
        }
        Volatile.Write(ref isOver, true);
        await writing;
        await cache.LineAsync("PING");
        if (cache.Pushes.Count > 0) known = null;
        if (known is { } cached) Assert.Equal((await writer.LineAsync("SCARD big")).Integer, cached);
    }

    private static async Task WriteAsync(InProcessServer server, int number)
    {
        Random random = TestSeed.Random(number);
        await using RespConnection writer = await server.ConnectAsync();
        for (int i = 0; i < Writes; i++)
        {
            string key = $"k{random.Next(Keys)}";
            RespArgument[] command = random.Next(10) switch
            {
                0 => ["DEL", key],
                1 => ["RENAME", key, $"k{random.Next(Keys)}"],
                2 => ["SET", key, i, "PX", random.Next(1, 3)],
                3 => ["EVAL", "return redis.call('incr', KEYS[1])", 1, key],
                _ => ["INCR", key],
            };
            await writer.CallAsync(command);
        }
    }

    private static async Task CacheAsync(InProcessServer server, string options, int number, CancellationToken over)
    {
        Random random = TestSeed.Random(number);
        await using RespConnection client = await server.ConnectAsync();
        await client.HelloAsync();
        await client.LineAsync($"CLIENT TRACKING ON {options}");
        Dictionary<string, string> cache = [];
        while (!over.IsCancellationRequested) await ReadAsync(random.Next(1, 20));
        // The last change has happened. What is to be told of it has been told before the reply to this, except for keys
        // that are due and that nobody has looked for; they are told of when the server itself is asked for them.
        await using RespConnection asking = await server.ConnectAsync();
        Dictionary<string, string> actual = [];
        for (int i = 0; i < Keys; i++) actual[$"k{i}"] = (await asking.LineAsync($"GET k{i}")).ToString();
        await client.LineAsync("PING");
        Forget();
        foreach ((string key, string value) in cache) Assert.Equal(actual[key], value);

        async Task ReadAsync(int depth)
        {
            string[] keys = [.. Enumerable.Range(0, depth).Select(_ => "k" + random.Next(Keys).ToString(CultureInfo.InvariantCulture))];
            bool byScript = random.Next(4) == 0;
            foreach (string key in keys)
            {
                if (byScript) await client.SendAsync("EVAL_RO", "return redis.call('get', KEYS[1])", 1, key);
                else await client.SendAsync("GET", key);
            }
            foreach (string key in keys)
            {
                RespValue reply = await client.ReadAsync();
                Forget();
                if (reply.IsError) cache.Remove(key); // the key holds no string
                else cache[key] = reply.ToString();
            }
        }

        void Forget()
        {
            while (client.Pushes.TryDequeue(out RespValue? push))
            {
                Assert.Equal("invalidate", push[0].Text);
                foreach (string? key in push[1].Texts) cache.Remove(key!);
            }
        }
    }
}
