using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>What one client has subscribed to. Belongs to the client's session; the counts may be read by anyone.</summary>
internal sealed class Subscriptions(ClientConnection client, PubSub pubSub)
{
    private readonly Dictionary<byte[], Subscription> _channels = new(ByteStrings.Comparer);
    private readonly Dictionary<byte[], Subscription> _shardChannels = new(ByteStrings.Comparer);
    private readonly HashSet<byte[]> _patterns = new(ByteStrings.Comparer);

    public int ChannelCount => _channels.Count;

    public int ShardChannelCount => _shardChannels.Count;

    public int PatternCount => _patterns.Count;

    public bool IsEmpty => ChannelCount + ShardChannelCount + PatternCount == 0;

    /// <summary>The number in the reply to a subscription: shard channels are counted on their own.</summary>
    public int CountBeside(SubscriptionKind kind) => kind == SubscriptionKind.ShardChannel ? ShardChannelCount : ChannelCount + PatternCount;

    /// <summary>What there is of a kind, as it is now.</summary>
    public byte[][] Names(SubscriptionKind kind) => kind == SubscriptionKind.Pattern ? [.. _patterns] : [.. TableOf(kind).Keys];

    public void Add(SubscriptionKind kind, ReadOnlySpan<byte> name)
    {
        byte[] kept = name.ToArray();
        if (kind == SubscriptionKind.Pattern)
        {
            if (_patterns.Add(kept)) pubSub.SubscribeToPattern(client, kept);
            return;
        }
        Dictionary<byte[], Subscription> table = TableOf(kind);
        if (!table.ContainsKey(kept)) table.Add(kept, pubSub.Subscribe(client, kept, kind == SubscriptionKind.ShardChannel));
    }

    /// <summary>Once this returns, the client is given nothing any more because of this subscription.</summary>
    public void Remove(SubscriptionKind kind, ReadOnlySpan<byte> name)
    {
        byte[] key = name.ToArray();
        if (kind == SubscriptionKind.Pattern)
        {
            if (_patterns.Remove(key)) pubSub.UnsubscribeFromPattern(client, key);
        }
        else if (TableOf(kind).Remove(key, out Subscription? subscription))
        {
            pubSub.Unsubscribe(subscription, kind == SubscriptionKind.ShardChannel);
        }
    }

    /// <summary>Ends all of them without a word to the client.</summary>
    public void Clear()
    {
        foreach (Subscription subscription in _channels.Values) pubSub.Unsubscribe(subscription, isSharded: false);
        foreach (Subscription subscription in _shardChannels.Values) pubSub.Unsubscribe(subscription, isSharded: true);
        foreach (byte[] pattern in _patterns) pubSub.UnsubscribeFromPattern(client, pattern);
        _channels.Clear();
        _shardChannels.Clear();
        _patterns.Clear();
    }

    private Dictionary<byte[], Subscription> TableOf(SubscriptionKind kind) => kind == SubscriptionKind.ShardChannel ? _shardChannels : _channels;
}

/// <summary>What a client can subscribe to.</summary>
internal enum SubscriptionKind
{
    Channel,
    Pattern,
    ShardChannel,
}
