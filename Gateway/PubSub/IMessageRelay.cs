namespace OrleansRedis.Gateway;

/// <summary>Takes messages to the subscribers at the other silos.</summary>
public interface IMessageRelay
{
    /// <summary>
    /// A message has been published at this silo. Called in the order in which this silo's own subscribers get the
    /// channel's messages, and under a lock: must be quick, copy what it keeps, and not call back. The other silos give
    /// it to theirs with <see cref="PubSub.Deliver"/>.
    /// </summary>
    void Relay(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool isSharded);
}
