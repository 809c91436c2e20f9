using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Simulation;

/// <summary>Moves of slots in a cluster in which nothing else goes wrong.</summary>
public sealed class MoveTests
{
    private const int Silos = 4, First = 3, Last = 9, Begin = 800, MoveSteps = 60;

    [Fact]
    public void A_slot_that_moves_is_served_all_the_time_but_for_a_fifth_of_a_second()
    {
        for (int i = 0; i < 20; i++)
        {
            (Simulation simulation, SimulatedSilo target, _) = BeginMove(i);
            int pause = 0, longest = 0;
            while (simulation.Network.Step < Begin + 1000)
            {
                simulation.RunSteps(1);
                pause = simulation.Silos.Any(silo => silo?.Logic.MayServe(First) == true) ? 0 : pause + 1;
                longest = Math.Max(longest, pause);
            }
            Assert.All(Enumerable.Range(First, Last - First + 1), slot => Assert.True(target.Logic.MayServe(slot)));
            Assert.InRange(longest * SimulatedClock.TicksPerStep / 1000, 0, 200);
            simulation.Run();
        }
    }

    /// <summary>At every step of the move; each silo comes back after a while.</summary>
    [Theory]
    [InlineData("source")]
    [InlineData("target")]
    [InlineData("keeper")]
    public void A_crash_during_a_move_loses_nothing(string who)
    {
        Parallel.For(0, MoveSteps, i =>
        {
            (Simulation simulation, SimulatedSilo target, SimulatedSilo source) = BeginMove(i);
            simulation.RunSteps(i);
            SimulatedSilo victim = who switch
            {
                "source" => source,
                "target" => target,
                _ => simulation.Silos.First(silo => silo!.Logic.Membership.IsKeeper(silo.Now))!,
            };
            simulation.Crash(victim.Place, losesDisk: false);
            simulation.Network.After(i % 2 == 0 ? 100 : 900, () => simulation.Start(victim.Place));
            simulation.Run();
        });
    }

    /// <summary>Brings a cluster to rest, and wishes some slots of one silo to be at another.</summary>
    private static (Simulation Simulation, SimulatedSilo Target, SimulatedSilo Source) BeginMove(int number)
    {
        var simulation = new Simulation(((ulong)number << 32) + (uint)TestSeed.Value, Silos, 4000, hasFaults: false);
        simulation.RunSteps(Begin);
        SimulatedSilo Owner(int slot) => simulation.Silos.First(silo => silo?.Id == simulation.Silos[0]!.Logic.Map[slot].Owner)!;
        SimulatedSilo source = Owner(First), target = simulation.Silos.First(silo => silo is not null && silo != source && silo != Owner(Last))!;
        source.Logic.RequestMove(First, Last, target.Id, source.Now);
        return (simulation, target, source);
    }
}
