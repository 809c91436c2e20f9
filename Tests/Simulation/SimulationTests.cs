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

    private static int Count(int usual) =>
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSREDIS_SIMULATIONS"), out int count) ? count : usual;

    [Fact]
    [Trait("Needs", "time")]
    public void Clusters_of_a_hundred_silos_keep_their_promises() => Parallel.For(0, Count(200), i => new Simulation(SeedOf(i), 100, Steps).Run());

    /// <summary>Here each fault hits a larger part of the cluster.</summary>
    [Fact]
    public void Clusters_of_a_few_silos_keep_their_promises() => Parallel.For(0, Count(500), i => new Simulation(SeedOf(i), 1 + (i % 7), Steps).Run());

    [Theory]
    [InlineData(nameof(Guards.Lease))]
    [InlineData(nameof(Guards.Majority))]
    public void Without_a_guard_a_promise_is_broken(string guard)
    {
        var options = new ClusterOptions { Guards = Guards.All & ~Enum.Parse<Guards>(guard) };
        for (int i = 0; i < 500; i++)
        {
            Exception? thrown = Record.Exception(() => new Simulation(SeedOf(i), 3 + (i % 5), Steps, options).Run());
            if (thrown is null) continue;
            Assert.IsType<InvariantException>(thrown.InnerException);
            return;
        }
        Assert.Fail($"Nothing is broken without {guard}.");
    }

    private static ulong SeedOf(int number) => ((ulong)number << 32) + (uint)TestSeed.Value;
}
