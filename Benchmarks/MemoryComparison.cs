using System.Globalization;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// How much memory the same data takes in each server: what it adds to the process five seconds after loading, what it
/// adds once MEMORY PURGE has returned what loading took, and what it adds to used_memory. This does not need a quiet
/// machine.
/// </summary>
internal sealed class MemoryComparison(ComparisonOptions options, IReadOnlyList<Peer> servers)
{
    private static readonly string value = new('x', 32);

    /// <summary>A data set.</summary>
    /// <param name="Name">Its name for <c>--only</c>.</param>
    /// <param name="What">Its name in the table.</param>
    /// <param name="Elements">Number of elements, by which the bytes are divided.</param>
    /// <param name="Commands">Number of commands that load it.</param>
    /// <param name="Command">Makes each of them.</param>
    private sealed record DataSet(string Name, string What, int Elements, int Commands, Func<int, RespArgument[]> Command);

    // So large that a megabyte of compiled code, more or less, is about a hundredth of each.
    private static readonly DataSet[] all =
    [
        new("STRINGS", "strings of 32 bytes", 1_000_000, 1_000_000, i => ["SET", $"key:{i:D12}", value]),
        new("HASHES", "hashes of 5 small fields", 1_000_000, 1_000_000, i =>
            ["HSET", $"user:{i}", "name", $"user {i}", "age", i % 90, "city", "Bergen", "visits", i % 1000, "score", i]),
        new("LIST", "elements of one list", 10_000_000, 10_000, i =>
            ["RPUSH", "list", .. Enumerable.Range(i * 1000, 1000).Select(n => (RespArgument)$"element:{n}")]),
        new("ZSET", "members of one sorted set", 1_000_000, 10_000, i =>
            ["ZADD", "zset", .. Enumerable.Range(i * 100, 100).SelectMany(n => new RespArgument[] { n, $"member:{n}" })]),
        new("INTSETS", "sets of 10 integers", 1_000_000, 1_000_000, i =>
            ["SADD", $"set:{i}", .. Enumerable.Range(0, 10).Select(n => (RespArgument)(i + (n * 7L)))]),
        new("STREAM", "entries of one stream", 4_000_000, 4_000_000, i =>
            ["XADD", "stream", "*", "sensor", i % 1000, "temperature", 19.5]),
    ];

    /// <summary>The names that <c>--only</c> takes here.</summary>
    public static IEnumerable<string> Names => all.Select(data => data.Name);

    public async Task RunAsync(FigureTable table)
    {
        table.Header("memory, bytes each");
        foreach (DataSet data in all.Where(data => options.Only.Length == 0 || options.Only.Contains(data.Name)))
        {
            Sample[][] samples = await Alternation.RunAsync(servers.Count, options.Rounds ?? 1, who => MeasureAsync(servers[who], data));
            Row("resident", sample => sample.Resident);
            Row("after MEMORY PURGE", sample => sample.Purged);
            Row("used_memory", sample => sample.Used);
            void Row(string what, Func<Sample, double> figure) =>
                table.Row($"{data.What}: {what}", [.. samples.Select(rounds => rounds.Select(figure).ToArray())], Better.Lower, "F1");
        }
    }

    private async Task<Sample> MeasureAsync(Peer peer, DataSet data)
    {
        int divisor = options.Quick ? 10 : 1;
        await using PeerProcess server = await PeerProcess.StartAsync(peer);
        await using RespConnection redis = await server.ConnectAsync();
        // What a process takes the first times it does something, above all for code that is compiled then, is not due
        // to the data. So each server first runs as many commands, but never keeps more than a tenth of the data.
        for (int i = 0; i < 10; i++)
        {
            await LoadAsync(redis, data, data.Commands / divisor / 10);
            await redis.CallAsync("FLUSHALL");
        }
        Sample before = await SettleAsync(server, redis);
        await LoadAsync(redis, data, data.Commands / divisor);
        Sample after = await SettleAsync(server, redis);
        double elements = data.Elements / divisor;
        // Before the data come there is nothing that either figure should count: that is what is left after purging.
        return new((after.Resident - before.Purged) / elements, (after.Purged - before.Purged) / elements, (after.Used - before.Used) / elements);
    }

    private static async Task LoadAsync(RespConnection redis, DataSet data, int commands)
    {
        int batchCommands = Math.Max(1, 10_000 / data.Command(0).Length);
        for (int begin = 0; begin < commands; begin += batchCommands)
        {
            RespValue[] replies = await redis.PipelineAsync(
                [.. Enumerable.Range(begin, Math.Min(batchCommands, commands - begin)).Select(data.Command)]);
            if (replies.FirstOrDefault(reply => reply.IsError) is { } error)
                throw new InvalidOperationException($"loading was answered {error}");
        }
    }

    /// <summary>The bytes of used_memory.</summary>
    public static async Task<long> UsedAsync(RespConnection redis)
    {
        string line = (await redis.CallAsync("INFO", "memory")).Text.Split("\r\n")
            .Single(line => line.StartsWith("used_memory:", StringComparison.Ordinal));
        return long.Parse(line["used_memory:".Length..], CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// What is resident five seconds later, and then the lowest figure within five seconds of MEMORY PURGE.
    /// </summary>
    private static async Task<Sample> SettleAsync(PeerProcess server, RespConnection redis)
    {
        await Task.Delay(5000);
        long resident = server.ResidentBytes;
        await redis.CallAsync("MEMORY", "PURGE");
        long least = server.ResidentBytes;
        for (int i = 0; i < 10; i++)
        {
            await Task.Delay(500);
            least = Math.Min(least, server.ResidentBytes);
        }

        return new(resident, least, await UsedAsync(redis));
    }

    private readonly record struct Sample(double Resident, double Purged, double Used);
}
