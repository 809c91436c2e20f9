using System.Net;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Finds slots by the cluster's slot map. A command that meets a slot which is just being opened here, or which has
/// stopped for a move, waits until it is known who serves it.
/// </summary>
public sealed class ClusterSlotRouter : ISlotRouter
{
    private readonly IClusterState _cluster;
    private readonly SlotHost _slots;
    private readonly SlotTable _table;
    private readonly TimeSpan _patience;
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="cluster">The cluster.</param>
    /// <param name="slots">This silo's slots.</param>
    /// <param name="table">Those that are open.</param>
    /// <param name="patience">How long a command waits for a slot of this silo.</param>
    public ClusterSlotRouter(IClusterState cluster, SlotHost slots, SlotTable table, TimeSpan patience)
    {
        _cluster = cluster;
        _slots = slots;
        _table = table;
        _patience = patience;
        cluster.Changed += () => Interlocked.Exchange(ref _changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    /// <inheritdoc/>
    public SlotRoute Locate(int slot)
    {
        SlotEntry entry = _cluster.Map[slot];
        if (entry.Owner.IsNone) return default;
        if (entry.Owner == _cluster.Self) return new(SlotPlace.Here, Epoch: entry.Epoch);
        // Without a view that has it, the slot waits for its owner.
        if (_cluster.View.MemberOf(entry.Owner.Node) is not { } member || member.Id != entry.Owner) return new(SlotPlace.Nowhere, entry.Owner.ToString());
        IPEndPoint? redis = SiloEndpoints.Parse(member.Endpoint)?.Redis;
        return new(SlotPlace.Elsewhere, entry.Owner.ToString(), redis, entry.Epoch);
    }

    /// <inheritdoc/>
    public async ValueTask<SlotRoute> ResolveAsync(int slot, CancellationToken cancellation)
    {
        long giveUpAtMs = Environment.TickCount64 + (long)_patience.TotalMilliseconds;
        while (true)
        {
            Task changed = Volatile.Read(ref _changed).Task;
            SlotRoute route = Locate(slot);
            if (route.Place != SlotPlace.Here || _table[slot] is { IsServed: true }) return route;
            long leftMs = giveUpAtMs - Environment.TickCount64;
            if (leftMs <= 0) return default;
            // A slot that another silo has claimed in the shared store by mistake is claimed again.
            if (_table[slot] is null && _slots.Owns(slot)) changed = Task.WhenAny(changed, _slots.OpenAsync(slot));
            // What was opened or resumed by another thread is not told of: look now and then.
            await Task.WhenAny(changed, Task.Delay((int)Math.Min(leftMs, 10), cancellation)).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
        }
    }
}
