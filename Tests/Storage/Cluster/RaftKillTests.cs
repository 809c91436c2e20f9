using System.Collections.Concurrent;
using System.Net;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>Members of the store that are killed, again and again, while it is written.</summary>
[Trait("Needs", "servers")]
public sealed class RaftKillTests
{
    private const int Members = 3;

    public enum Fault
    {
        Kill,
        LoseDisk,
        Suspend,
    }

    /// <summary>
    /// The document is the list of all who have ever written it, so its end shows what took effect, how often, and in
    /// which order.
    /// </summary>
    [Theory]
    [InlineData(6, Fault.Kill)]
    [InlineData(4, Fault.LoseDisk)]
    [InlineData(4, Fault.Suspend)]
    public async Task What_was_acknowledged_outlives(int rounds, Fault fault)
    {
        bool losesDisks = fault == Fault.LoseDisk;
        Random random = TestSeed.Random((int)fault);
        string root = Directory.CreateTempSubdirectory("orleansredis-raft-").FullName;
        IPEndPoint[] addresses = [.. Enumerable.Range(0, Members).Select(_ => new IPEndPoint(IPAddress.Loopback, RedisProcess.FreePort()))];
        RaftProcess Start(int member) => RaftProcess.Start(Path.Combine(root, $"{member}"), addresses[member], addresses);
        RaftProcess[] processes = [.. Enumerable.Range(0, Members).Select(Start)];
        var written = new ConcurrentDictionary<long, string>();
        var refused = new ConcurrentBag<string>();
        int name = 0, seen = 0;
        using var stop = new CancellationTokenSource();
        try
        {
            Task[] writers = [.. Enumerable.Range(0, Members).Select(member => Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    RaftProcess process = Volatile.Read(ref processes[member]);
                    long known = written.IsEmpty ? 0 : written.Keys.Max();
                    if (await process.ReadAsync("list") is not { } now)
                    {
                        await Task.Delay(20);
                        continue;
                    }
                    // Linearizable: what was acknowledged before the read began is seen by it.
                    Assert.InRange(now.Version, known, long.MaxValue);
                    if (written.TryGetValue(now.Version, out string? writer)) Assert.EndsWith($",{writer}", now.Text, StringComparison.Ordinal);
                    string me = $"{Interlocked.Increment(ref name)}";
                    switch (await process.WriteAsync("list", now.Version, $"{now.Text},{me}"))
                    {
                        case true:
                            Assert.True(written.TryAdd(now.Version + 1, me));
                            Interlocked.Increment(ref seen);
                            break;
                        case false:
                            refused.Add(me);
                            break;
                    }
                }
            }))];
            for (int round = 0; round < rounds; round++)
            {
                int enough = Volatile.Read(ref seen) + random.Next(1, 20);
                await Eventually.TrueAsync(
                    () => Volatile.Read(ref seen) >= enough || writers.Any(writer => writer.IsFaulted),
                    () => $"no progress in round {round}:\n{string.Join("\n---\n", processes.Select(process => process.Output))}");
                if (fault == Fault.Suspend)
                {
                    // Long enough for the others to go on without it; if it led, it learns of that only afterwards.
                    RaftProcess suspended = processes[random.Next(Members)];
                    int now = Volatile.Read(ref seen);
                    await suspended.SignalAsync("STOP");
                    await Eventually.TrueAsync(() => Volatile.Read(ref seen) >= now + 5 || writers.Any(writer => writer.IsFaulted));
                    await suspended.SignalAsync("CONT");
                    continue;
                }

                // One, two, or all of them at the same moment: what any majority has acknowledged must still be there. A
                // disk is lost only when all members are there, and no one's but that.
                int[] victims = [.. Enumerable.Range(0, Members)];
                random.Shuffle(victims);
                victims = victims[..(losesDisks ? 1 : random.Next(1, Members + 1))];
                await Task.WhenAll(victims.Select(victim => processes[victim].DisposeAsync().AsTask()));
                foreach (int victim in victims)
                {
                    if (losesDisks) Directory.Delete(Path.Combine(root, $"{victim}"), recursive: true);
                    Volatile.Write(ref processes[victim], Start(victim));
                }
                if (!losesDisks) continue;
                // A kill in the middle of its coming back must do no harm.
                if (random.Next(2) == 0)
                {
                    int another = random.Next(Members);
                    await processes[another].DisposeAsync();
                    Volatile.Write(ref processes[another], Start(another));
                }
                foreach (int member in Enumerable.Range(0, Members))
                {
                    await Eventually.TrueAsync(
                        async () => await processes[member].MembersAsync() == Members,
                        () => $"{member} does not come back:\n{string.Join("\n---\n", processes.Select(process => process.Output))}");
                }
            }
            int last = Volatile.Read(ref seen);
            await Eventually.TrueAsync(() => Volatile.Read(ref seen) > last || writers.Any(writer => writer.IsFaulted));
            await stop.CancelAsync();
            await Task.WhenAll(writers);

            (long Version, string Text)? end = null;
            await Eventually.TrueAsync(async () => (end = await processes[0].ReadAsync("list")) is not null);
            string[] list = end!.Value.Text.Split(',')[1..];
            Assert.Equal(end.Value.Version, list.Length);
            Assert.Equal(list.Length, list.Distinct().Count());
            Assert.All(written, pair => Assert.Equal(pair.Value, list[pair.Key - 1]));
            Assert.Empty(list.Intersect(refused));
        }
        finally
        {
            await stop.CancelAsync();
            foreach (RaftProcess process in processes) await process.DisposeAsync();
            Directory.Delete(root, recursive: true);
        }
    }

    [Fact]
    public async Task Kills_at_any_moment_of_the_first_start_leave_nothing_that_cannot_be_started()
    {
        Random random = TestSeed.Random();
        string root = Directory.CreateTempSubdirectory("orleansredis-raft-").FullName;
        IPEndPoint[] addresses = [.. Enumerable.Range(0, Members).Select(_ => new IPEndPoint(IPAddress.Loopback, RedisProcess.FreePort()))];
        RaftProcess[] StartAll() =>
            [.. addresses.Select((address, member) => RaftProcess.Start(Path.Combine(root, $"{member}"), address, addresses))];
        RaftProcess[] processes = [];
        try
        {
            for (int round = 0; round < 5; round++)
            {
                processes = StartAll();
                await Task.Delay(random.Next(200, 2500)); // a real delay: any moment will do
                await Task.WhenAll(processes.Select(process => process.DisposeAsync().AsTask()));
            }
            processes = StartAll();
            await Eventually.TrueAsync(
                async () => await processes[random.Next(Members)].WriteAsync("list", 0, "one") is not null,
                () => string.Join("\n---\n", processes.Select(process => process.Output)));
            foreach (RaftProcess process in processes)
            {
                (long Version, string Text)? read = null;
                await Eventually.TrueAsync(async () => (read = await process.ReadAsync("list")) is not null);
                Assert.Equal((1, "one"), read!.Value);
            }
        }
        finally
        {
            foreach (RaftProcess process in processes) await process.DisposeAsync();
            Directory.Delete(root, recursive: true);
        }
    }
}
