using System.Collections.Concurrent;
using System.Threading.Channels;

namespace Orleans.Runtime;

/// <summary>The clients connected to this silo's gateway, and where others are. Any thread.</summary>
internal sealed class ClientRoutes(SiloRuntime runtime)
{
    private readonly ConcurrentDictionary<GrainId, ChannelWriter<Message>> _connected = new();
    private readonly ConcurrentDictionary<GrainId, SiloAddress> _elsewhere = new(); // may be out of date

    public int Count => _connected.Count;

    public bool IsConnected(GrainId client) => _connected.ContainsKey(client);

    public void Connected(GrainId client, ChannelWriter<Message> connection) => _connected[client] = connection;

    public void Disconnected(GrainId client, ChannelWriter<Message> connection)
    {
        connection.TryComplete();
        _connected.TryRemove(new KeyValuePair<GrainId, ChannelWriter<Message>>(client, connection));
    }

    /// <summary>Sends a message to a client, or to an observer of one, wherever it is connected.</summary>
    public void Send(Message message)
    {
        GrainId client = WellKnownIds.ClientOf(message.Target);
        if (_connected.TryGetValue(client, out ChannelWriter<Message>? connection) && connection.TryWrite(message)) return;
        SiloAddress? gateway = WellKnownIds.HostOf(client) ?? message.TargetSilo;
        if (gateway is not null && !gateway.Equals(runtime.Silo))
        {
            runtime.SendTo(gateway, message);
            return;
        }

        // Responses and cancellations for a client that has left this gateway are lost, as its calls are.
        if (message.IsRequest) _ = SendElsewhere(client, message);
    }

    private async Task SendElsewhere(GrainId client, Message message)
    {
        try
        {
            if (message.ForwardCount++ == 0 && await Find(client).ConfigureAwait(false) is { } silo)
            {
                runtime.SendTo(silo, message);
                return;
            }

            _elsewhere.TryRemove(client, out _);
            Requests.Fail(runtime, message, new ClientNotAvailableException(message.Target));
        }
        catch (Exception exception)
        {
            Requests.Fail(runtime, message, exception);
        }
    }

    private async Task<SiloAddress?> Find(GrainId client)
    {
        if (_elsewhere.TryGetValue(client, out SiloAddress? known) && runtime.Placement.ActiveSilos.Contains(known) && await Has(known, client).ConfigureAwait(false)) return known;
        SiloAddress[] others = [.. runtime.Placement.ActiveSilos.Where(silo => !silo.Equals(runtime.Silo))];
        bool[] answers = await Task.WhenAll(others.Select(silo => Has(silo, client))).ConfigureAwait(false);
        int index = Array.IndexOf(answers, true);
        return index < 0 ? null : _elsewhere[client] = others[index];
    }

    private async Task<bool> Has(SiloAddress silo, GrainId client)
    {
        try
        {
            return await runtime.SystemTarget<ISiloControl>(silo).HasClient(client).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            return false;
        }
    }
}
