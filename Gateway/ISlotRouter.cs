namespace OrleansRedis.Gateway;

/// <summary>Finds slots that are not on this silo. The gateway asks only when a command has met one.</summary>
public interface ISlotRouter
{
    /// <summary>
    /// Completes with true when the slot is published here (it may have been activated for this), and with false
    /// when it lives on another silo, to which the command must be sent.
    /// </summary>
    ValueTask<bool> EnsureHereAsync(int slot, CancellationToken cancellation);
}
