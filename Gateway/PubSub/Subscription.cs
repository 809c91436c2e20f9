namespace OrleansRedis.Gateway;

/// <summary>That a client has subscribed to a channel or a pattern.</summary>
internal sealed class Subscription(ClientConnection client, Channel channel)
{
    public ClientConnection Client { get; } = client;

    public Channel Channel { get; } = channel;

    /// <summary>Its place among those of the channel. Under the lock of the channel's table.</summary>
    public int Index { get; set; }
}

/// <summary>A channel or a pattern that somebody has subscribed to.</summary>
internal sealed class Channel(byte[] name)
{
    private Subscription[] _subscriptions = new Subscription[4];
    private int _count;

    public byte[] Name { get; } = name;

    /// <summary>Its subscriptions, in no particular order. Under the lock of the channel's table.</summary>
    public ReadOnlySpan<Subscription> Subscriptions => _subscriptions.AsSpan(0, _count);

    /// <summary>Gives all subscribers a push. Under the lock of the channel's table.</summary>
    public void Deliver(in Push push)
    {
        foreach (Subscription subscription in Subscriptions) subscription.Client.Push(push);
    }

    public void Add(Subscription subscription)
    {
        if (_count == _subscriptions.Length) Array.Resize(ref _subscriptions, _count * 2);
        subscription.Index = _count;
        _subscriptions[_count++] = subscription;
    }

    public void Remove(Subscription subscription)
    {
        Subscription last = _subscriptions[--_count];
        _subscriptions[subscription.Index] = last;
        last.Index = subscription.Index;
        _subscriptions[_count] = null!;
    }
}
