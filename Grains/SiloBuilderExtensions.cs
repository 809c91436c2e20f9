using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Grains;

/// <summary>Adds the slots to a silo.</summary>
public static class SiloBuilderExtensions
{
    /// <summary>
    /// Registers what slot grains need: the store that they publish their slots in, where those are stored, and their placement. <see cref="StoredSlots"/> is to
    /// be started before the silo and stopped after it.
    /// </summary>
    public static ISiloBuilder AddHashSlots(this ISiloBuilder silo, Store store, ISlotStorage storage) => silo.ConfigureServices(services =>
    {
        services.AddSingleton(store);
        services.AddSingleton(store.Commands);
        services.AddSingleton(storage);
        services.AddSingleton<StoredSlots>();
        // A slot with very much data takes longer to be recovered, or its last changes to be stored by a database in trouble, than Orleans would wait.
        services.Configure<GrainCollectionOptions>(grains => grains.ActivationTimeout = grains.DeactivationTimeout = TimeSpan.FromMinutes(10));
        services.AddPlacementDirector<SlotPlacementStrategy, SlotPlacementDirector>();
    });
}
