using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Orleans.Runtime.Hosting;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>Adds the slots' grains to a silo.</summary>
public static class SiloBuilderExtensions
{
    /// <summary>
    /// Registers the grains through which Orleans clients reach the slots. The container must have a
    /// <see cref="SlotHost"/>, which opens the slots, and a <see cref="CommandRunner"/>. Unless this silo owns every
    /// slot, it must have an <see cref="ISlotMap"/> too.
    /// </summary>
    public static ISiloBuilder AddHashSlots(this ISiloBuilder silo) => silo.ConfigureServices(services =>
    {
        services.TryAddSingleton<ISlotMap, SoleSlotMap>();
        services.AddGrainDirectory(SlotDirectory.Name, static (provider, _) => new SlotDirectory(provider.GetRequiredService<ISlotMap>()));
        services.AddSingleton<ClientOrigins>();
        services.AddSingleton<IIncomingGrainCallFilter, CallerFilter>();
        services.AddPlacementDirector<SlotPlacementStrategy, SlotPlacementDirector>();
    });
}
