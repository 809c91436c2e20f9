namespace OrleansRedis.Engine;

/// <summary>
/// The subscribers of channels, as far as commands must know of them. Everything here may be called from any thread,
/// under gates too, and never waits for a subscriber.
/// </summary>
public interface IPubSub
{
    /// <summary>
    /// Gives a message to the subscribers of a channel and, unless it is a shard channel, to those of patterns that
    /// match it. Returns how many there are. All subscribers get the messages of one channel in the same order.
    /// </summary>
    int Publish(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool isSharded);

    /// <summary>The channels with subscribers, those of patterns not included.</summary>
    List<byte[]> Channels(bool isSharded);

    /// <summary>How many channels have subscribers.</summary>
    int CountChannels(bool isSharded);

    /// <summary>How many clients have subscribed to a channel, those of patterns not included.</summary>
    int CountSubscribers(ReadOnlySpan<byte> channel, bool isSharded);

    /// <summary>
    /// Ends the subscriptions to all shard channels in some slots, and tells the subscribers so, after the messages that
    /// came before.
    /// </summary>
    void EndShardSubscriptions(Predicate<int> isLost);

    /// <summary>How many different patterns have subscribers.</summary>
    int CountPatterns();
}
