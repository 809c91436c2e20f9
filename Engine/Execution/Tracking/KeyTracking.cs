namespace OrleansRedis.Engine;

/// <summary>
/// Client-side caching: tells clients which keys have changed that they may hold in a cache of their own. While no
/// client wants to know, <see cref="Store.Tracking"/> is null, and that is all that a command looks at.
/// </summary>
public sealed class KeyTracking
{
    private readonly Store _store;
    private readonly TrackedKeys _keys = new();
    private readonly Lock _changing = new();
    private readonly HashSet<ClientTracking> _clients = []; // under _changing, as the next
    private volatile TrackedPrefix[] _prefixes = [];

    internal KeyTracking(Store store)
    {
        _store = store;
        store.Slots.Leaving = SlotLeaves;
    }

    /// <summary>How many clients track keys.</summary>
    public int ClientCount
    {
        get
        {
            lock (_changing) return _clients.Count;
        }
    }

    /// <summary>How many keys are remembered.</summary>
    public long KeyCount => _keys.Count;

    /// <summary>How many pairs of a key and a client are remembered.</summary>
    public long ItemCount => _keys.Items;

    /// <summary>How many prefixes are tracked.</summary>
    public int PrefixCount => _prefixes.Length;

    /// <summary>
    /// CLIENT TRACKING ON; with BCAST, prefixes are added to those that the client has. The caller has checked that the
    /// modes agree with each other and with those in force.
    /// </summary>
    public void Enable(ClientTracking client, TrackingModes modes, long redirect, IReadOnlyList<byte[]> prefixes)
    {
        lock (_changing)
        {
            _clients.Add(client);
            client.Modes = modes;
            client.Redirect = redirect;
            client.IsRedirectBroken = false;
            if ((modes & TrackingModes.Broadcast) != 0)
            {
                foreach (byte[] prefix in prefixes.Count == 0 ? [[]] : prefixes) Enable(client, prefix);
            }
            client.IsOn = true;
            _store.Tracking = this;
        }
    }

    /// <summary>CLIENT TRACKING OFF.</summary>
    public void Disable(ClientTracking client)
    {
        lock (_changing)
        {
            client.IsOn = client.IsRedirectBroken = client.HasCachingWord = false;
            client.Modes = TrackingModes.Default;
            foreach (TrackedPrefix prefix in client.Prefixed)
            {
                prefix.Clients = [.. prefix.Clients.Where(other => other != client)];
                if (prefix.Clients.Length == 0) _prefixes = [.. _prefixes.Where(other => other != prefix)];
            }
            client.Prefixed = [];
            if (!_clients.Remove(client) || _clients.Count != 0) return;
            // Nobody is told of changes from here on, so that what is remembered would no longer be true.
            _store.Tracking = null;
            _keys.Clear();
        }
    }

    /// <summary>The client has gone.</summary>
    public void Close(ClientTracking client)
    {
        Disable(client);
        client.Forget();
    }

    /// <summary>tracking-table-max-keys has become lower: forgets as many keys as are too many.</summary>
    public void Limit()
    {
        long most = _store.Options.TrackingTableMaxKeys;
        if (most == 0) return;
        while (_keys.Count > most && _keys.TakeAny() is { } tracked) tracked.Tell(by: null);
    }

    /// <summary>Notes the keys that a command has read for its client. Under the gates of the keys.</summary>
    internal void Remember(ClientTracking client, CommandInfo command, in Request request)
    {
        if (command.SingleKey != 0)
        {
            if (command.SingleKey < request.Count) _keys.Add(request[command.SingleKey], client);
        }
        else
        {
            List<int> positions = t_positions ??= [];
            positions.Clear();
            command.LocateKeys(request, positions);
            foreach (int position in positions) _keys.Add(request[position], client);
        }
        if (_keys.Count > _store.Options.TrackingTableMaxKeys) Limit();
    }

    /// <summary>A key has changed. Under its gate.</summary>
    /// <param name="by">The session that has changed it; null if none has, or if it is not known.</param>
    /// <param name="key">The key.</param>
    internal void Changed(Session? by, ReadOnlySpan<byte> key)
    {
        ClientTracking? client = by?.Tracking;
        _keys.Take(key)?.Tell(client);
        TrackedPrefix[] prefixes = _prefixes;
        if (prefixes.Length == 0) return;
        byte[]? name = null;
        foreach (TrackedPrefix prefix in prefixes)
        {
            if (!key.StartsWith(prefix.Prefix)) continue;
            name ??= key.ToArray();
            foreach (ClientTracking other in prefix.Clients)
            {
                if (other != client || (other.Modes & TrackingModes.NoLoop) == 0) other.Tell(name, prefix);
            }
        }
    }

    /// <summary>A whole database has changed: clients do not say in which database they have read.</summary>
    internal void AllChanged()
    {
        lock (_changing)
        {
            foreach (ClientTracking client in _clients) client.TellAll();
            _keys.Clear();
        }
    }

    /// <summary>
    /// A slot leaves for another silo. Which of the keys are its own is not known, so whoever has read any forgets all.
    /// </summary>
    private void SlotLeaves()
    {
        if (_keys.Count != 0) AllChanged();
    }

    [ThreadStatic]
    private static List<int>? t_positions;

    private void Enable(ClientTracking client, byte[] name)
    {
        TrackedPrefix? prefix = Array.Find(_prefixes, known => known.Prefix.AsSpan().SequenceEqual(name));
        if (prefix is null) _prefixes = [.. _prefixes, prefix = new(name)];
        if (Array.IndexOf(prefix.Clients, client) >= 0) return;
        prefix.Clients = [.. prefix.Clients, client];
        client.Prefixed = [.. client.Prefixed, prefix];
    }
}
