namespace OrleansRedis.Cluster;

/// <summary>What <see cref="SlotOwnership"/> asks of the part of a silo that holds the data of slots.</summary>
public interface ISlotHost
{
    /// <summary>
    /// Makes a slot ready to be served under an epoch: claims it in the store, which from then on refuses lower ones,
    /// and recovers it. Then <see cref="SlotOwnership.OnOpened"/> says so. If the claim is refused, nothing is said: a
    /// newer map will come.
    /// </summary>
    void Open(int slot, long epoch);

    /// <summary>The slot is not this silo's any more, or was not opened in time: drops it.</summary>
    void Close(int slot);

    /// <summary>
    /// Copies an open slot to another silo while it is served, and goes on with what changes. When little is missing
    /// there, <see cref="SlotOwnership.OnCopyNear"/> is called; when everything is there, durably where that matters,
    /// after the slot has stopped, <see cref="SlotOwnership.OnCopied"/>.
    /// </summary>
    void StartCopy(int slot, SiloId target, long move);

    /// <summary>A copy is not needed any more.</summary>
    void StopCopy(int slot);
}
