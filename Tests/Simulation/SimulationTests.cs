using OrleansRedis.Cluster;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// Simulated clusters, each from a seed that a failure prints: new Simulation(seed, silos, steps).Run() is the same
/// again. With ORLEANSREDIS_SIMULATIONS=10000 in the environment there are so many of each kind.
/// </summary>
public sealed class SimulationTests
{
    private const int Steps = 10_000;

    /// <summary>Of a hundred silos each sends hundreds of heartbeats a second; they need no more than that.</summary>
    private static readonly ClusterSettings s_large = new() { HeartbeatInterval = 500 };

    private static int Count(int usual)
    {
        if (int.TryParse(Environment.GetEnvironmentVariable("ORLEANSREDIS_SIMULATIONS"), out int count)) return count;
        return Environment.GetEnvironmentVariable("TEST_QUICK") is null ? usual : usual / 10;
    }

    [Fact]
    [Trait("Needs", "time")]
    public void Clusters_of_a_hundred_silos_keep_their_promises() => Run(200, i => new(SeedOf(i), 100, Steps, s_large));

    /// <summary>Here each fault hits a larger part of the cluster.</summary>
    [Fact]
    public void Clusters_of_a_few_silos_keep_their_promises() => Run(500, i => new(SeedOf(i), 1 + (i % 7), Steps));

    /// <summary>
    /// What each check is there for: without it, one of the first few hundred seeds finds a broken promise.
    /// </summary>
    [Theory]
    [InlineData(nameof(Guards.Lease))]
    [InlineData(nameof(Guards.Epoch))]
    [InlineData(nameof(Guards.Majority))]
    [InlineData(nameof(Guards.Decision))]
    [InlineData(nameof(Guards.Identity))]
    public void Without_a_guard_a_promise_is_broken(string guard)
    {
        var options = new ClusterSettings { Guards = Guards.All & ~Enum.Parse<Guards>(guard) };
        for (int i = 0; i < 1000; i++)
        {
            // An append of a former owner does harm only if it is late.
            var simulation = new Simulation(SeedOf(i), 3 + (i % 5), Steps, options) { LateAppendsPerMillion = 200_000 };
            Exception? thrown = Record.Exception(simulation.Run);
            if (thrown is null) continue;
            Assert.IsType<InvariantException>(thrown.InnerException);
            return;
        }
        Assert.Fail($"Nothing is broken without {guard}.");
    }

    /// <summary>The same late appends, with everything checked.</summary>
    [Fact]
    public void Late_appends_do_no_harm() =>
        Run(100, i => new Simulation(SeedOf(i), 3 + (i % 5), Steps) { LateAppendsPerMillion = 200_000 });

    private static void Run(int usual, Func<int, Simulation> simulation) => Parallel.For(
        0, Count(usual), new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, i => simulation(i).Run());

    private static ulong SeedOf(int number) => ((ulong)number << 32) + (uint)TestSeed.Value;
}
