using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Channels by name, with their subscribers. Divided into stripes with a lock each, so that publishers on several threads
/// seldom meet. Whoever publishes holds the lock of the channel's stripe until the last subscriber has got the message:
/// thus all get the messages of a channel in the same order.
/// </summary>
internal sealed class ChannelTable
{
    private const int StripeCount = 64;

    private readonly Stripe[] _stripes = [.. Enumerable.Range(0, StripeCount).Select(_ => new Stripe())];
    private int _count;

    /// <summary>How many channels have subscribers.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Where a channel is, whether or not it has subscribers.</summary>
    public Stripe StripeOf(ReadOnlySpan<byte> channel) => _stripes[KeyHash.Of(channel) % StripeCount];

    public Subscription Add(ClientConnection client, byte[] channel)
    {
        Stripe stripe = StripeOf(channel);
        lock (stripe.Sync)
        {
            if (stripe.Find(channel) is not { } found)
            {
                stripe.Add(found = new(channel));
                Interlocked.Increment(ref _count);
            }
            var subscription = new Subscription(client, found);
            found.Add(subscription);
            return subscription;
        }
    }

    /// <summary>Once this returns, nobody gives the subscriber a message of the channel any more.</summary>
    public void Remove(Subscription subscription)
    {
        Channel channel = subscription.Channel;
        Stripe stripe = StripeOf(channel.Name);
        lock (stripe.Sync)
        {
            channel.Remove(subscription);
            if (!channel.Subscriptions.IsEmpty) return;
            stripe.Remove(channel);
            Interlocked.Decrement(ref _count);
        }
    }

    /// <summary>Gives all subscribers of a channel a push; a channel without any is none.</summary>
    public void Deliver(ReadOnlySpan<byte> channel, in Push push)
    {
        Stripe stripe = StripeOf(channel);
        lock (stripe.Sync) stripe.Find(channel)?.Deliver(push);
    }

    /// <summary>Waits until everybody who is publishing now has come to an end with that.</summary>
    public void WaitForPublishers()
    {
        foreach (Stripe stripe in _stripes)
        {
            lock (stripe.Sync)
            {
                // Whoever comes later sees what has changed before.
            }
        }
    }

    public int CountSubscribers(ReadOnlySpan<byte> channel)
    {
        Stripe stripe = StripeOf(channel);
        lock (stripe.Sync) return stripe.Find(channel)?.Subscriptions.Length ?? 0;
    }

    public List<byte[]> Names()
    {
        var names = new List<byte[]>();
        foreach (Stripe stripe in _stripes)
        {
            lock (stripe.Sync) names.AddRange(stripe.Channels.Select(channel => channel.Name));
        }
        return names;
    }

    /// <summary>All subscriptions at present, gathered stripe by stripe.</summary>
    public List<Subscription> Subscriptions()
    {
        var all = new List<Subscription>();
        foreach (Stripe stripe in _stripes)
        {
            lock (stripe.Sync)
            {
                foreach (Channel channel in stripe.Channels) all.AddRange(channel.Subscriptions);
            }
        }
        return all;
    }

    internal sealed class Stripe
    {
        private readonly Dictionary<byte[], Channel> _channels = new(ByteStrings.Comparer);
        private readonly Dictionary<byte[], Channel>.AlternateLookup<ReadOnlySpan<byte>> _bySpan;

        public Stripe() => _bySpan = _channels.GetAlternateLookup<ReadOnlySpan<byte>>();

        /// <summary>Guards the channels of the stripe and their subscriptions.</summary>
        public Lock Sync { get; } = new();

        public IEnumerable<Channel> Channels => _channels.Values;

        public Channel? Find(ReadOnlySpan<byte> name) => _bySpan.TryGetValue(name, out Channel? channel) ? channel : null;

        public void Add(Channel channel) => _channels.Add(channel.Name, channel);

        public void Remove(Channel channel) => _channels.Remove(channel.Name);
    }
}
