using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The subscribers of this silo, and the way of a message to them. A message is encoded once; every subscriber's
/// connection is given a reference to it (<see cref="ClientConnection.Push"/>), and copies it into its output on its own
/// thread. A publisher therefore never waits for a subscriber, and of all publishers only those wait for each other that
/// publish to channels of one stripe (<see cref="ChannelTable"/>).
/// </summary>
public sealed class PubSub : IPubSub
{
    private readonly ChannelTable _channels = new();
    private readonly ChannelTable _shardChannels = new();
    private readonly PatternTable _patterns = new();

    /// <summary>Where the messages published here go besides; null if this silo is the only one.</summary>
    public IMessageRelay? Relay { get; set; }

    /// <inheritdoc/>
    public int Publish(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool isSharded) => Spread(channel, message, isSharded, Relay);

    /// <summary>Gives this silo's subscribers a message that was published at another one.</summary>
    public void Deliver(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool isSharded) => Spread(channel, message, isSharded, relay: null);

    /// <inheritdoc/>
    public List<byte[]> Channels(bool isSharded) => TableOf(isSharded).Names();

    /// <inheritdoc/>
    public int CountChannels(bool isSharded) => TableOf(isSharded).Count;

    /// <inheritdoc/>
    public int CountSubscribers(ReadOnlySpan<byte> channel, bool isSharded) => TableOf(isSharded).CountSubscribers(channel);

    /// <inheritdoc/>
    public void EndShardSubscriptions(Predicate<int> isLost)
    {
        if (_shardChannels.Count == 0) return;
        foreach (ClientConnection client in _shardChannels.Subscriptions()
            .Where(subscription => isLost(KeySlot.Of(subscription.Channel.Name))).Select(static subscription => subscription.Client).Distinct())
        {
            client.Post(client => client.EndShardSubscriptions(isLost));
        }
    }

    /// <inheritdoc/>
    public int CountPatterns() => _patterns.All.Length;

    /// <summary>
    /// Disconnects every client that has a subscription which it may no longer have. The one that asks still gets its
    /// reply.
    /// </summary>
    /// <param name="concerns">Which clients are concerned.</param>
    /// <param name="allows">What these may subscribe to.</param>
    /// <param name="asking">The client on whose behalf this happens, if there is one.</param>
    public void Disconnect(Func<ClientConnection, bool> concerns, SubscriptionRule allows, ClientConnection? asking)
    {
        foreach (Subscription subscription in _channels.Subscriptions()) Check(subscription.Client, subscription.Channel.Name, isPattern: false);
        foreach (Subscription subscription in _shardChannels.Subscriptions()) Check(subscription.Client, subscription.Channel.Name, isPattern: false);
        foreach (PatternTable.Pattern pattern in _patterns.All)
        {
            foreach (ClientConnection client in pattern.Clients) Check(client, pattern.Name, isPattern: true);
        }

        void Check(ClientConnection client, byte[] name, bool isPattern)
        {
            if (!concerns(client) || allows(name, isPattern)) return;
            if (client == asking) client.CloseAfterReply = true;
            else client.Kill();
        }
    }

    internal Subscription Subscribe(ClientConnection client, byte[] channel, bool isSharded) => TableOf(isSharded).Add(client, channel);

    /// <summary>Once this returns, the client is given no message of the channel any more.</summary>
    internal void Unsubscribe(Subscription subscription, bool isSharded) => TableOf(isSharded).Remove(subscription);

    internal void SubscribeToPattern(ClientConnection client, byte[] pattern) => _patterns.Add(client, pattern);

    /// <summary>Once this returns, the client is given no message because of the pattern any more.</summary>
    internal void UnsubscribeFromPattern(ClientConnection client, byte[] pattern)
    {
        _patterns.Remove(client, pattern);
        _channels.WaitForPublishers();
    }

    private ChannelTable TableOf(bool isSharded) => isSharded ? _shardChannels : _channels;

    private int Spread(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool isSharded, IMessageRelay? relay)
    {
        ChannelTable table = TableOf(isSharded);
        PatternTable.Pattern[] patterns = isSharded ? [] : _patterns.All;
        if (table.Count == 0 && patterns.Length == 0 && relay is null) return 0;
        if (PushWakes.GathersMessages)
        {
            if (patterns.Length == 0 && relay is null) return Gather(table, channel, message, isSharded);
            MessageBatch.Deliver();
        }
        int receivers = 0;
        ChannelTable.Stripe stripe = table.StripeOf(channel);
        lock (stripe.Sync)
        {
            if (stripe.Find(channel) is { } found)
            {
                found.Deliver(new(PushKind.Message, MessageFrame.Of(KindOf(isSharded), channel, message)));
                receivers = found.Subscriptions.Length;
            }
            // Looked at again, now that whoever ends a subscription waits for us.
            if (!isSharded) patterns = _patterns.All;
            foreach (PatternTable.Pattern pattern in patterns)
            {
                if (!GlobPattern.IsMatch(pattern.Name, channel)) continue;
                var push = new Push(PushKind.Message, MessageFrame.OfPattern(pattern.Name, channel, message));
                foreach (ClientConnection client in pattern.Clients) client.Push(push);
                receivers += pattern.Clients.Length;
            }
            relay?.Relay(channel, message, isSharded);
        }
        return receivers;
    }

    /// <summary>Has the message delivered together with those that follow it.</summary>
    private static int Gather(ChannelTable table, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool isSharded)
    {
        ChannelTable.Stripe stripe = table.StripeOf(channel);
        byte[] name;
        int receivers;
        lock (stripe.Sync)
        {
            if (stripe.Find(channel) is not { } found) return 0;
            (name, receivers) = (found.Name, found.Subscriptions.Length);
        }
        MessageBatch.Add(table, name, KindOf(isSharded), message);
        return receivers;
    }

    private static ReadOnlySpan<byte> KindOf(bool isSharded) => isSharded ? "smessage"u8 : "message"u8;
}

/// <summary>Whether a client may be subscribed to a channel or a pattern.</summary>
public delegate bool SubscriptionRule(ReadOnlySpan<byte> name, bool isPattern);
