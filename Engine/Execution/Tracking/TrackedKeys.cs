namespace OrleansRedis.Engine;

/// <summary>
/// Which clients have read which keys and may hold them in a cache of their own (tracking's default mode). Keys of one
/// name in several databases are one key here, as in Redis. Both remembering and forgetting a key happen under its slot's
/// gate, so that a change of the key comes after what was read before it, or before what is read after it. Besides, a
/// key may be forgotten at any time for lack of room, which its clients are told as if it had changed.
/// </summary>
internal sealed class TrackedKeys
{
    private const int StripeCount = 64;

    private readonly Stripe[] _stripes = [.. Enumerable.Range(0, StripeCount).Select(_ => new Stripe())];
    private long _keys;
    private long _items;

    /// <summary>How many keys there are.</summary>
    public long Count => Volatile.Read(ref _keys);

    /// <summary>How many pairs of a key and a client.</summary>
    public long Items => Volatile.Read(ref _items);

    /// <summary>Notes that a client has read a key.</summary>
    public void Add(ReadOnlySpan<byte> key, ClientTracking client)
    {
        Stripe stripe = _stripes[KeyHash.Of(key) % StripeCount];
        lock (stripe.Sync)
        {
            if (!stripe.BySpan.TryGetValue(key, out Tracked? tracked))
            {
                stripe.Add(tracked = new(key.ToArray()));
                Interlocked.Increment(ref _keys);
            }
            if (tracked.TryAdd(client)) Interlocked.Increment(ref _items);
        }
    }

    /// <summary>Forgets a key, which has changed. Null if nobody has read it.</summary>
    public Tracked? Take(ReadOnlySpan<byte> key)
    {
        if (Count == 0) return null;
        Stripe stripe = _stripes[KeyHash.Of(key) % StripeCount];
        lock (stripe.Sync)
        {
            if (!stripe.BySpan.TryGetValue(key, out Tracked? tracked)) return null;
            Remove(stripe, tracked);
            return tracked;
        }
    }

    /// <summary>Forgets some key, chosen at random. Null if there is none.</summary>
    public Tracked? TakeAny()
    {
        int first = Random.Shared.Next(StripeCount);
        for (int i = 0; i < StripeCount; i++)
        {
            Stripe stripe = _stripes[(first + i) % StripeCount];
            lock (stripe.Sync)
            {
                if (stripe.Order.Count == 0) continue;
                Tracked tracked = stripe.Order[Random.Shared.Next(stripe.Order.Count)];
                Remove(stripe, tracked);
                return tracked;
            }
        }
        return null;
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        foreach (Stripe stripe in _stripes)
        {
            lock (stripe.Sync)
            {
                foreach (Tracked tracked in stripe.Order) Interlocked.Add(ref _items, -tracked.ClientCount);
                Interlocked.Add(ref _keys, -stripe.Order.Count);
                stripe.Clear();
            }
        }
    }

    private void Remove(Stripe stripe, Tracked tracked)
    {
        stripe.Remove(tracked);
        Interlocked.Decrement(ref _keys);
        Interlocked.Add(ref _items, -tracked.ClientCount);
    }

    /// <summary>A key and the clients that have read it. Once it is taken it belongs to whoever took it.</summary>
    internal sealed class Tracked(byte[] key)
    {
        private ClientTracking? _only; // most keys have one
        private HashSet<ClientTracking>? _clients;

        public byte[] Key { get; } = key;

        /// <summary>Its place in the stripe's order.</summary>
        public int Index { get; set; }

        public int ClientCount => _clients?.Count ?? 1;

        public bool TryAdd(ClientTracking client)
        {
            if (_clients is not null) return _clients.Add(client);
            if (_only == client) return false;
            if (_only is null) _only = client;
            else (_clients, _only) = ([_only, client], null);
            return true;
        }

        /// <summary>Tells those whom it concerns.</summary>
        /// <param name="by">Who has changed the key; null if no client has, or if it is not known.</param>
        public void Tell(ClientTracking? by)
        {
            if (_clients is null)
            {
                Tell(_only!, by);
                return;
            }
            foreach (ClientTracking client in _clients) Tell(client, by);
        }

        private void Tell(ClientTracking client, ClientTracking? by)
        {
            if (!client.IsOn || (client.Modes & TrackingModes.Broadcast) != 0) return;
            if (client != by || (client.Modes & TrackingModes.NoLoop) == 0) client.Tell(Key, prefix: null);
        }
    }

    private sealed class Stripe
    {
        private readonly Dictionary<byte[], Tracked> _keys = new(ByteStrings.Comparer);

        public Stripe() => BySpan = _keys.GetAlternateLookup<ReadOnlySpan<byte>>();

        public Lock Sync { get; } = new();

        public Dictionary<byte[], Tracked>.AlternateLookup<ReadOnlySpan<byte>> BySpan { get; }

        /// <summary>All of them, so that one can be drawn.</summary>
        public List<Tracked> Order { get; } = [];

        public void Add(Tracked tracked)
        {
            _keys.Add(tracked.Key, tracked);
            tracked.Index = Order.Count;
            Order.Add(tracked);
        }

        public void Remove(Tracked tracked)
        {
            _keys.Remove(tracked.Key);
            Tracked last = Order[^1];
            Order[tracked.Index] = last;
            last.Index = tracked.Index;
            Order.RemoveAt(Order.Count - 1);
        }

        public void Clear()
        {
            _keys.Clear();
            _keys.TrimExcess();
            Order.Clear();
            Order.TrimExcess();
        }
    }
}
