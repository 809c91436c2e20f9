using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Messaging;
using Orleans.Runtime.Messaging;

namespace Orleans.Runtime;

/// <summary>A client of a cluster: keeps a connection to each gateway that it hears of, and spreads grains over them. Any thread.</summary>
internal sealed partial class ClientRuntime : NodeRuntime
{
    private readonly Lazy<IGatewayListProvider> _gateways;
    private readonly GatewayOptions _options;
    private readonly Lock _lock = new(); // guards the writing of _links
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private GatewayLink[] _links = []; // replaced as a whole
    private readonly ILogger _logger;
    private Exception? _lastProblem;

    public ClientRuntime(IServiceProvider services)
        : base(services, services.GetRequiredService<IOptions<ClientMessagingOptions>>().Value)
    {
        _logger = Logger;
        NodeId = WellKnownIds.NewClient();
        _gateways = new(services.GetRequiredService<IGatewayListProvider>);
        _options = services.GetRequiredService<IOptions<GatewayOptions>>().Value;
        ConnectionOptions = services.GetRequiredService<IOptions<ConnectionOptions>>().Value;
        ClusterId = services.GetRequiredService<IOptions<ClusterOptions>>().Value.ClusterId;
        Transport = services.GetRequiredService<ITransport>();
    }

    public override GrainId NodeId { get; }

    public override SiloAddress? Silo => null;

    public ITransport Transport { get; }

    public ConnectionOptions ConnectionOptions { get; }

    public string ClusterId { get; }

    /// <summary>How many gateways are connected.</summary>
    public int ConnectedGateways => Volatile.Read(ref _links).Count(link => link.IsConnected);

    /// <summary>Connects to the first gateway that answers, and in the background to the others.</summary>
    public async Task Start(CancellationToken cancellation)
    {
        await _gateways.Value.InitializeGatewayListProvider().WaitAsync(cancellation).ConfigureAwait(false);
        IClientConnectionRetryFilter? filter = Services.GetService<IClientConnectionRetryFilter>();
        _ = RefreshRepeatedly();
        while (true)
        {
            await RefreshGateways().ConfigureAwait(false);
            TimeSpan patience = ConnectionOptions.OpenConnectionTimeout;
            await Task.WhenAny(_connected.Task, Task.WhenAll(_links.Select(link => link.FirstAttempt)).WaitAsync(patience, Clock, cancellation)).ConfigureAwait(false);
            if (_connected.Task.IsCompleted) return;
            cancellation.ThrowIfCancellationRequested();
            var problem = new SiloUnavailableException($"Could not connect to any gateway of {string.Join(", ", _links.Select(link => link.Endpoint.ToString()))}", _lastProblem!);
            if (filter is null || !await filter.ShouldRetryConnectionAttempt(problem, cancellation).ConfigureAwait(false)) throw problem;
            foreach (GatewayLink link in _links) link.TryAgain();
        }
    }

    public async Task Stop()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        foreach (GatewayLink link in Volatile.Read(ref _links)) link.Close();
        foreach (PendingCall call in Calls.All) call.Fail(new OrleansException("The client has been stopped"));
    }

    public override void Send(Message message)
    {
        GatewayLink[] links = Volatile.Read(ref _links);
        uint offset = message.Target.GetUniformHashCode();
        for (uint i = 0; i < links.Length; i++)
        {
            // The same grain goes by the same gateway as long as that is connected, so that its requests keep their order.
            if (links[(offset + i) % (uint)links.Length] is { IsConnected: true } link && link.TryPost(message)) return;
        }

        if (message.Call is { } call) Undelivered(call, new SiloUnavailableException("No gateway is connected", _lastProblem!));
    }

    public override void ForgetLocation(GrainId grainId) { }

    public void LinkConnected(Welcome welcome)
    {
        GrainTypes.Add(welcome.GrainTypes);
        _connected.TrySetResult();
    }

    public void LinkFailed(Exception problem) => _lastProblem = problem;

    /// <summary>Fails the calls that went by a connection that broke: whether they were executed is not known.</summary>
    public void LinkBroken(GatewayLink link)
    {
        LogBroken(link.Endpoint);
        foreach (PendingCall call in Calls.All)
        {
            if (ReferenceEquals(call.Via, link)) call.Fail(new SiloUnavailableException($"The connection to the gateway {link.Endpoint} was lost while the call was under way"));
        }
    }

    public void Receive(Message message, GatewayLink link)
    {
        if (!message.IsRequest && message.Kind != MessageKind.Cancel)
        {
            Complete(message);
            return;
        }

        if (message.Error is not null) link.TryPost(message.CreateError(message.Error));
        else if (!Observers.TryReceive(message) && message.Kind == MessageKind.Request) link.TryPost(message.CreateError(new ClientNotAvailableException(message.Target)));
    }

    public override void Dispose()
    {
        _stopping.Cancel();
        foreach (GatewayLink link in Volatile.Read(ref _links)) link.Close();
        base.Dispose();
    }

    private async Task RefreshRepeatedly()
    {
        while (!_stopping.IsCancellationRequested)
        {
            await Task.Delay(_options.GatewayListRefreshPeriod, Clock, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_stopping.IsCancellationRequested) return;
            await RefreshGateways().ConfigureAwait(false);
        }
    }

    private async Task RefreshGateways()
    {
        try
        {
            IList<Uri> uris = await _gateways.Value.GetGateways().ConfigureAwait(false);
            IPEndPoint[] endpoints = [.. uris.Select(uri => new IPEndPoint(IPAddress.Parse(uri.Host), uri.Port)).Distinct()];
            lock (_lock)
            {
                if (_stopping.IsCancellationRequested) return;
                foreach (GatewayLink gone in _links.Where(link => !endpoints.Contains(link.Endpoint))) gone.Close();
                _links = [.. endpoints.Select(endpoint => Array.Find(_links, link => link.Endpoint.Equals(endpoint)) ?? new GatewayLink(this, endpoint))];
            }
        }
        catch (Exception exception)
        {
            _lastProblem = exception;
            LogNoList(exception);
        }
    }

    [LoggerMessage(1301, LogLevel.Warning, "The connection to gateway {Gateway} was lost")]
    private partial void LogBroken(IPEndPoint gateway);

    [LoggerMessage(1302, LogLevel.Warning, "The list of gateways could not be read")]
    private partial void LogNoList(Exception exception);
}
