using Microsoft.Extensions.DependencyInjection;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>Adds the slots to a silo.</summary>
public static class SiloBuilderExtensions
{
    /// <summary>Registers what slot grains need: the store that they publish their slots in, and their placement.</summary>
    public static ISiloBuilder AddHashSlots(this ISiloBuilder silo, Store store) => silo.ConfigureServices(services =>
    {
        services.AddSingleton(store);
        services.AddSingleton(new CommandTable(typeof(Store).Assembly));
        services.AddSingleton<CommandRunner>();
        services.AddSingleton<ISlotEpochs, InProcessSlotEpochs>();
        services.AddPlacementDirector<SlotPlacementStrategy, SlotPlacementDirector>();
    });
}
