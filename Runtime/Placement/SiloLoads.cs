using System.Collections.Concurrent;

namespace Orleans.Runtime;

/// <summary>How many activations each silo has, as it last said in its answers to probes, and what was placed there since. Any thread.</summary>
internal sealed class SiloLoads
{
    private readonly ConcurrentDictionary<SiloAddress, int> _activations = new();

    public int Of(SiloAddress silo) => _activations.GetValueOrDefault(silo);

    public void Said(SiloAddress silo, int activations) => _activations[silo] = activations;

    public void Placed(SiloAddress silo) => _activations.AddOrUpdate(silo, 1, static (_, count) => count + 1);
}
