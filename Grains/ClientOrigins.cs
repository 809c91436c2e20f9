using System.Text;

namespace OrleansRedis.Grains;

/// <summary>
/// Where the Orleans clients are that are connected to this silo, so that whoever guesses passwords by grain calls is held
/// back as by connections: by address, whatever the client calls itself. Safe for any thread.
/// </summary>
public sealed class ClientOrigins
{
    private static readonly GrainType s_clientType = GrainType.Create("sys.client");

    private readonly Lock _lock = new();
    private readonly Dictionary<IdSpan, Entry> _clients = [];

    /// <summary>A client has connected, perhaps not for the first time; it is known until the result is disposed.</summary>
    /// <param name="key">The key of the client's grain id.</param>
    /// <param name="origin">Its address without a port.</param>
    public IDisposable Connected(byte[] key, string origin)
    {
        var client = new IdSpan(key);
        lock (_lock)
        {
            int before = _clients.TryGetValue(client, out Entry known) ? known.Connections : 0;
            _clients[client] = new(origin, before + 1);
        }
        return new Connection(this, client);
    }

    /// <summary>
    /// Where a call comes from: a client's address or, if it is connected to another silo, its name; empty for what runs in
    /// a silo itself.
    /// </summary>
    public string Of(GrainId? source)
    {
        if (source is not { } client || client.Type != s_clientType || client.Key.AsSpan().StartsWith("hosted-"u8)) return "";
        lock (_lock)
        {
            if (_clients.TryGetValue(client.Key, out Entry known)) return known.Origin;
        }
        return "client " + Encoding.Latin1.GetString(client.Key.AsSpan());
    }

    private void Disconnected(IdSpan client)
    {
        lock (_lock)
        {
            Entry known = _clients[client];
            if (known.Connections == 1) _clients.Remove(client);
            else _clients[client] = known with { Connections = known.Connections - 1 };
        }
    }

    /// <summary>The address of a client's latest connection, and how many connections it has.</summary>
    private readonly record struct Entry(string Origin, int Connections);

    private sealed class Connection(ClientOrigins origins, IdSpan client) : IDisposable
    {
        public void Dispose() => origins.Disconnected(client);
    }
}
