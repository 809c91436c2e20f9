using System.Net;

namespace OrleansRedis.Engine;

/// <summary>Where a slot is, seen from this silo.</summary>
public enum SlotPlace : byte
{
    /// <summary>No silo serves it, as far as is known.</summary>
    Nowhere,

    /// <summary>On this silo.</summary>
    Here,

    /// <summary>On another silo.</summary>
    Elsewhere,
}

/// <summary>The way to a slot.</summary>
/// <param name="Place">Where it is.</param>
/// <param name="Silo">The name of the silo that owns it, if one does.</param>
/// <param name="EndPoint">Where that silo answers clients.</param>
/// <param name="Epoch">The epoch in which it owns the slot.</param>
public readonly record struct SlotRoute(SlotPlace Place, string? Silo = null, EndPoint? EndPoint = null, long Epoch = 0);

/// <summary>Knows which silo owns a slot.</summary>
public interface ISlotRouter
{
    /// <summary>Where a slot is, from the cached slot map; never waits.</summary>
    SlotRoute Locate(int slot);

    /// <summary>
    /// To be called after a command has met a slot that is not here. Waits while the slot is being opened here.
    /// </summary>
    ValueTask<SlotRoute> ResolveAsync(int slot, CancellationToken cancellation);
}
