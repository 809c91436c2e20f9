using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>The grain directory as this silo uses it: finds the owner of a grain's part, asks it, and remembers where grains were. Any thread.</summary>
internal sealed class GrainDirectory
{
    private const int MaxCached = 200_000;
    private static readonly TimeSpan GiveUp = TimeSpan.FromSeconds(30);
    private readonly SiloRuntime _runtime;
    private readonly ConcurrentDictionary<SiloAddress, bool> _left = new(); // silos without activations that are not dead yet
    private readonly ConcurrentDictionary<GrainId, GrainAddress> _cache = new(); // of grains on other silos; may be out of date

    public GrainDirectory(SiloRuntime runtime, ILogger logger)
    {
        _runtime = runtime;
        Partition = new DirectoryPartition(runtime, logger);
    }

    public DirectoryPartition Partition { get; }

    public void Forget(GrainId grainId) => _cache.TryRemove(grainId, out _);

    /// <summary>Whether a silo has said that it has no activations any more, so that whoever says that a grain is there is out of date.</summary>
    public bool HasLeft(SiloAddress silo) => !_left.IsEmpty && _left.ContainsKey(silo);

    public void ForgetSilo(SiloAddress silo)
    {
        _left[silo] = true;
        foreach ((GrainId grainId, GrainAddress address) in _cache)
        {
            if (silo.Equals(address.SiloAddress)) _cache.TryRemove(grainId, out _);
        }
    }

    public void Remember(GrainAddress address)
    {
        if (_runtime.Silo.Equals(address.SiloAddress)) return;
        if (_cache.Count >= MaxCached) _cache.Clear();
        _cache[address.GrainId] = address;
    }

    public bool TryGetCached(GrainId grainId, out GrainAddress? address) => _cache.TryGetValue(grainId, out address);

    public void MembershipChanged(ClusterMembershipSnapshot before, ClusterMembershipSnapshot after)
    {
        Partition.MembershipChanged(before, after);
        foreach (SiloAddress silo in _left.Keys)
        {
            if (after.GetSiloStatus(silo) is SiloStatus.Dead or SiloStatus.None) _left.TryRemove(silo, out _);
        }

        foreach ((GrainId grainId, GrainAddress address) in _cache)
        {
            if (after.GetSiloStatus(address.SiloAddress!) == SiloStatus.Dead) _cache.TryRemove(grainId, out _);
        }
    }

    /// <summary>Registers an activation of this silo. Returns the grain's activation, which is another when the grain was active already.</summary>
    public async Task<GrainAddress> Register(Activation activation, GrainAddress? previous)
    {
        GrainAddress address = activation.Address;
        while (true)
        {
            DirectoryAnswer answer = await Ask(
                address.GrainId, (partition, seen) => partition.Register(address, previous, seen)).ConfigureAwait(false);
            if (answer.Address is null) throw new OrleansException($"{_runtime.Silo} cannot register activations: it has been declared dead");
            if (!answer.Address.Matches(address))
            {
                activation.IsRegistered = false;
                Remember(answer.Address);
                return answer.Address;
            }

            activation.IsRegistered = true;
            Interlocked.MemoryBarrier(); // the mark before the look: see DirectoryPartition
            if (Partition.View.Version == answer.Version) return address;
            if (Partition.View.Version < answer.Version) await _runtime.Membership.Refresh(answer.Version).ConfigureAwait(false);
            if (Partition.View.Version == answer.Version) return address;
        }
    }

    /// <summary>The grain's activation, asked of its owner; null when it has none.</summary>
    public async Task<GrainAddress?> Lookup(GrainId grainId)
    {
        GrainAddress? found = (await Ask(grainId, (partition, seen) => partition.Lookup(grainId, seen)).ConfigureAwait(false)).Address;
        if (found is not null) Remember(found);
        return found;
    }

    /// <summary>Removes an activation. When the last silo leaves there is no directory to remove it from.</summary>
    public Task Unregister(GrainAddress address) => Partition.View.Ring.IsEmpty ? Task.CompletedTask : Ask(address.GrainId, (partition, seen) => partition.Unregister(address, seen));

    /// <summary>Asks the owner, whoever that is by the time it answers.</summary>
    private async Task<DirectoryAnswer> Ask(GrainId grainId, Func<IDirectoryPartition, MembershipVersion, Task<DirectoryAnswer>> question)
    {
        long start = _runtime.Clock.GetTimestamp();
        for (int attempt = 1; ; attempt++)
        {
            DirectoryView view = Partition.View;
            SiloAddress? owner = view.OwnerOf(grainId);
            Exception? problem = null;
            if (owner is not null)
            {
                try
                {
                    DirectoryAnswer answer = await question(owner.Equals(_runtime.Silo) ? Partition : _runtime.SystemTarget<IDirectoryPartition>(owner), view.Version).ConfigureAwait(false);
                    if (answer.IsOwner) return answer;
                    if (answer.Version > Partition.View.Version)
                    {
                        await _runtime.Membership.Refresh(answer.Version).ConfigureAwait(false);
                        continue;
                    }
                }
                catch (Exception exception) when (exception is OrleansException or TimeoutException)
                {
                    problem = exception;
                }
            }

            if (_runtime.IsDead || (owner is null && _runtime.Membership.LocalStatus.IsTerminating()) || _runtime.Clock.GetElapsedTime(start) > GiveUp)
                throw new OrleansException($"The grain directory has no answer about {grainId}; its owner is {owner?.ToString() ?? "nobody"}", problem!);
            await Task.Delay(TimeSpan.FromMilliseconds(Math.Min(500, 10 * attempt)), _runtime.Clock).ConfigureAwait(false);
        }
    }
}
