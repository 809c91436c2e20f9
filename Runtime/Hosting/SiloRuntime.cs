using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Runtime.Messaging;

namespace Orleans.Runtime;

/// <summary>A silo: routes messages between its activations, other silos and clients. Any thread.</summary>
internal sealed partial class SiloRuntime : NodeRuntime
{
    private static readonly TimeSpan AnswersUnderWay = TimeSpan.FromSeconds(5);
    private readonly ConcurrentDictionary<SiloAddress, SiloLink> _links = new();
    private readonly ConcurrentDictionary<GrainType, object> _systemTargets = new();
    private readonly SiloMessagingOptions _options;
    private readonly Lazy<IIncomingGrainCallFilter[]> _incomingFilters;
    private readonly Lazy<Catalog> _catalog;
    private readonly ILogger _logger;
    private int _dead;
    private volatile bool _isEmpty; // for good: the silo leaves and its last activation has gone
    private int _addressing; // requests whose silo is being looked for

    public SiloRuntime(IServiceProvider services)
        : base(services, services.GetRequiredService<IOptions<SiloMessagingOptions>>().Value)
    {
        _logger = Logger;
        _options = (SiloMessagingOptions)MessagingOptions;
        CollectionOptions = services.GetRequiredService<IOptions<GrainCollectionOptions>>().Value;
        ConnectionOptions = services.GetRequiredService<IOptions<ConnectionOptions>>().Value;
        Transport = services.GetRequiredService<ITransport>();
        Details = services.GetRequiredService<ILocalSiloDetails>();
        Silo = Details.SiloAddress;
        NodeId = WellKnownIds.HostedClient(Silo);
        Loads = services.GetRequiredService<SiloLoads>();
        Membership = new ClusterMembership(this);
        Directory = new GrainDirectory(this, Logger);
        Placement = new PlacementService(this);
        Clients = new ClientRoutes(this);
        _catalog = new(() => new Catalog(this));
        _incomingFilters = new(() => [.. services.GetServices<IIncomingGrainCallFilter>()]);
        Membership.Changed += Directory.MembershipChanged;
        Membership.Changed += MembershipChanged;
        AddSystemTarget<IDirectoryPartition>(Directory.Partition);
        AddSystemTarget<ISiloControl>(new SiloControl(this));
    }

    public override SiloAddress Silo { get; }

    public override GrainId NodeId { get; }

    public ILocalSiloDetails Details { get; }

    public GrainCollectionOptions CollectionOptions { get; }

    public ConnectionOptions ConnectionOptions { get; }

    public ITransport Transport { get; }

    public ClusterMembership Membership { get; }

    public GrainDirectory Directory { get; }

    public Catalog Catalog => _catalog.Value;

    public PlacementService Placement { get; }

    public ClientRoutes Clients { get; }

    public SiloLoads Loads { get; }

    public IIncomingGrainCallFilter[] IncomingFilters => _incomingFilters.Value;

    /// <summary>Whether the silo has stopped for good: it runs nothing and answers nobody.</summary>
    public bool IsDead => Volatile.Read(ref _dead) != 0;

    /// <summary>Completes when the silo is dead.</summary>
    public TaskCompletionSource Died { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void AddSystemTarget<TService>(object target) where TService : ISystemTarget => _systemTargets[WellKnownIds.SystemTarget(typeof(TService)).Type] = target;

    /// <summary>A service of the runtime on <paramref name="silo"/>; on this silo, the object itself.</summary>
    public TService SystemTarget<TService>(SiloAddress silo) where TService : class, ISystemTarget
    {
        GrainId id = WellKnownIds.SystemTarget(typeof(TService));
        return silo.Equals(Silo) ? (TService)_systemTargets[id.Type] : (TService)(object)GrainReference.Create(this, id, typeof(TService), silo);
    }

    public override void ForgetLocation(GrainId grainId) => Directory.Forget(grainId);

    public override void Send(Message message)
    {
        if (IsDead)
        {
            Requests.Fail(this, message, new SiloUnavailableException($"This silo, {Silo}, has stopped"));
            return;
        }

        if (message.Target.IsClient()) SendToClient(message);
        else if (!message.IsRequest && message.Kind != MessageKind.Cancel) SendTo(message.TargetSilo ?? Silo, message);
        else if (message.Target.IsSystemTarget()) SendTo(message.TargetSilo!, message);
        else if (Catalog.Find(message.Target) is not { } activation || !activation.TryReceive(message)) _ = Address(message);
    }

    /// <summary>Sends a message to a silo, this one perhaps.</summary>
    public void SendTo(SiloAddress silo, Message message)
    {
        message.TargetSilo = silo;
        if (silo.Equals(Silo)) Receive(message);
        else if (Membership.IsDeadSilo(silo)) Undeliverable(message, new SiloUnavailableException($"The silo {silo} is dead"));
        else if (message.IsRequest && !message.Target.IsSystemTarget() && !message.Target.IsClient() && Directory.HasLeft(silo)) Undeliverable(message, new SiloUnavailableException($"The silo {silo} is leaving"));
        else _links.GetOrAdd(silo, static (silo, runtime) => new SiloLink(runtime, silo, runtime.Logger), this).Post(message);
    }

    /// <summary>Takes a message from another silo. Requests of a silo that has been declared dead, and may not know it, are dropped; what a leaving silo still
    /// has to answer, or to pass on for others, is not.</summary>
    public void ReceiveFromSilo(Message message)
    {
        if (!message.IsRequest || message.SenderSilo is null || !Membership.IsDeadSilo(message.SenderSilo)) Receive(message);
    }

    /// <summary>Takes a message from a client of this silo's gateway.</summary>
    public void ReceiveFromClient(Message message)
    {
        message.SenderSilo = Silo;
        if (message.Error is not null && message.IsRequest)
        {
            Requests.Fail(this, message, message.Error);
            return;
        }

        Send(message);
    }

    /// <summary>Takes a message for this silo.</summary>
    public void Receive(Message message)
    {
        if (IsDead) return;
        if (message.IsRequest && message.Error is not null)
        {
            Requests.Fail(this, message, message.Error);
            return;
        }

        if (message.Target.IsClient())
        {
            SendToClient(message);
        }
        else if (!message.IsRequest && message.Kind != MessageKind.Cancel)
        {
            Complete(message);
        }
        else if (message.Target.IsSystemTarget())
        {
            if (message.Kind == MessageKind.Cancel) return;
            if (_systemTargets.TryGetValue(message.Target.Type, out object? target)) _ = Requests.Execute(this, message, target);
            else Requests.Fail(this, message, new OrleansException($"This silo, {Silo}, has no {message.Target}"));
        }
        else
        {
            ReceiveForGrain(message);
        }
    }

    /// <summary>Sends a request on to where its grain is now.</summary>
    public void Forward(Message request, GrainAddress location)
    {
        Directory.Remember(location);
        if (!Count(request)) return;
        request.IsNewPlacement = false;
        SendTo(location.SiloAddress!, request);
    }

    /// <summary>A message could not be sent to its silo.</summary>
    public void Undeliverable(Message message, Exception reason)
    {
        if (message.Kind == MessageKind.Request && message.Call is { } call)
        {
            Undelivered(call, reason);
        }
        else if (message.Kind == MessageKind.Request)
        {
            Message rejection = message.CreateRejection(reason.Message);
            rejection.Error = reason;
            Send(rejection);
        }
        else if (message.Kind == MessageKind.OneWay && !message.Target.IsSystemTarget() && !message.Target.IsClient() && message.ForwardCount++ < _options.MaxForwardCount)
        {
            ForgetLocation(message.Target);
            Send(message);
        }
    }

    /// <summary>Moves an activation's state to <paramref name="target"/>; returns the grain's activation there.</summary>
    public Task<GrainAddress> Migrate(SiloAddress target, GrainAddress from, MigrationContext state) => SystemTarget<ISiloControl>(target).AcceptMigration(from, state);

    /// <summary>The table says that this silo is dead: it stops at once, and the process is told.</summary>
    public void DeclaredDead()
    {
        LogDeclaredDead(Silo);
        Kill();
        Services.GetService<IFatalErrorHandler>()?.OnFatalException(this, $"This silo, {Silo}, has been declared dead", null);
    }

    /// <summary>Stops at once and without a word, as a crash would.</summary>
    public void Kill()
    {
        if (Interlocked.Exchange(ref _dead, 1) != 0) return;
        Membership.Die();
        CloseLinks();
        foreach (PendingCall call in Calls.All) call.Fail(new SiloUnavailableException($"This silo, {Silo}, has stopped"));
        Died.TrySetResult();
    }

    /// <summary>Tells the others that there are no activations here any more, so that by the end all requests sent here have arrived, and been passed on.</summary>
    public Task SayEmpty(TimeSpan atMost)
    {
        _isEmpty = true;
        return Task.WhenAll(Placement.ActiveSilos.Where(silo => !silo.Equals(Silo)).Select(silo => SystemTarget<ISiloControl>(silo).Emptied(Silo))).WaitAsync(atMost, Clock);
    }

    /// <summary>Sends what there is to send to other silos, for so long at most.</summary>
    public async Task DrainLinks(TimeSpan atMost)
    {
        long start = Clock.GetTimestamp();
        while (Volatile.Read(ref _addressing) > 0 && Clock.GetElapsedTime(start) < atMost) await Task.Delay(TimeSpan.FromMilliseconds(5), Clock).ConfigureAwait(false);
        await Task.WhenAll(_links.Values.Select(link => link.Drain())).WaitAsync(atMost, Clock).ConfigureAwait(false);
    }

    public void CloseLinks()
    {
        foreach (SiloLink link in _links.Values) link.Close();
    }

    public override void Dispose()
    {
        Kill();
        if (_catalog.IsValueCreated) Catalog.Dispose();
        base.Dispose();
    }

    private void SendToClient(Message message)
    {
        GrainId client = WellKnownIds.ClientOf(message.Target);
        if (client != NodeId)
        {
            Clients.Send(message);
        }
        else if (!message.IsRequest && message.Kind != MessageKind.Cancel)
        {
            Complete(message);
        }
        else if (!Observers.TryReceive(message))
        {
            Requests.Fail(this, message, new ClientNotAvailableException(message.Target));
        }
    }

    private void ReceiveForGrain(Message message)
    {
        while (true)
        {
            if (Catalog.Find(message.Target) is { } activation)
            {
                if (activation.TryReceive(message)) return;
                Thread.Yield(); // It is being removed at this moment.
                continue;
            }

            // A silo on its way out takes no new grains, even if the sender has not heard yet.
            if (!message.IsNewPlacement || message.Kind == MessageKind.Cancel || Membership.LocalStatus.IsTerminating()) break;
            try
            {
                if (Catalog.GetOrActivate(message.Target).TryReceive(message)) return;
            }
            catch (Exception exception)
            {
                Requests.Fail(this, message, exception);
                return;
            }
        }

        if (_isEmpty && message.Kind == MessageKind.Request)
        {
            // Not passed on: by the time that the directory was asked, this silo may be dead to its owner. The sender asks again itself.
            Requests.Reject(this, message, $"The silo {Silo} is leaving");
            return;
        }

        // The sender thought the grain to be here; it was, or its silo has not heard yet.
        ForgetLocation(message.Target);
        if (message.Kind == MessageKind.Cancel || !Count(message)) return;
        _ = Address(message);
    }

    /// <summary>Finds, or picks, the silo for a message to a grain, and sends it there.</summary>
    private async Task Address(Message message)
    {
        Interlocked.Increment(ref _addressing);
        try
        {
            if (Directory.TryGetCached(message.Target, out GrainAddress? address) && !Membership.IsDeadSilo(address!.SiloAddress!))
            {
                message.IsNewPlacement = false;
                SendTo(address.SiloAddress!, message);
                return;
            }

            if (message.Kind == MessageKind.Cancel)
            {
                if (message.TargetSilo is { } silo && !silo.Equals(Silo)) SendTo(silo, message);
                else if (message.TargetSilo is null && await Directory.Lookup(message.Target).ConfigureAwait(false) is { } found && !Silo.Equals(found.SiloAddress)) SendTo(found.SiloAddress!, message);
                return;
            }

            GrainClass grainClass = Catalog.ClassOf(message.Target.Type);
            if (grainClass.Placement.IsUsingGrainDirectory) address = await Directory.Lookup(message.Target).ConfigureAwait(false);
            if (address is not null && Silo.Equals(address.SiloAddress))
            {
                Activation? here = Catalog.Find(message.Target);
                if (here is not null && here.TryReceive(message)) return;
                // The directory has an activation that is no more.
                if (here?.ActivationId != address.ActivationId) await Directory.Unregister(address).ConfigureAwait(false);
                address = null;
            }

            message.IsNewPlacement = address is null;
            SiloAddress target = address?.SiloAddress ?? await Placement.Pick(grainClass, message.Target, message.Method?.Interface.InterfaceType ?? default, message.Context).ConfigureAwait(false);
            SendTo(target, message);
        }
        catch (Exception exception)
        {
            Requests.Fail(this, message, exception);
        }
        finally
        {
            Interlocked.Decrement(ref _addressing);
        }
    }

    /// <summary>Counts one more hop; rejects the request when there have been too many.</summary>
    private bool Count(Message request)
    {
        if (request.Call is null && ++request.ForwardCount > _options.MaxForwardCount)
        {
            Requests.Reject(this, request, $"{request} was forwarded too often");
            return false;
        }

        return true;
    }

    private void MembershipChanged(ClusterMembershipSnapshot before, ClusterMembershipSnapshot after)
    {
        foreach (ClusterMember change in after.CreateUpdate(before).Changes)
        {
            if (change.Status != SiloStatus.Dead || change.SiloAddress.Equals(Silo)) continue;
            _links.TryRemove(change.SiloAddress, out SiloLink? link);
            // A silo that left in order answers, passes on, or rejects what it was sent, and that may still be under way. One that was voted out does not.
            bool voted = Membership.TableData?.TryGet(change.SiloAddress)?.Item1.SuspectTimes is { Count: > 0 };
            if (!voted)
            {
                _ = BreakLater(change.SiloAddress, link);
                continue;
            }

            link?.Close();
            BreakCalls(change.SiloAddress);
        }
    }

    private async Task BreakLater(SiloAddress silo, SiloLink? link)
    {
        _ = link?.Drain();
        await Task.Delay(AnswersUnderWay, Clock).ConfigureAwait(false);
        link?.Close();
        BreakCalls(silo);
    }

    private void BreakCalls(SiloAddress silo)
    {
        foreach (PendingCall call in Calls.All)
        {
            if (silo.Equals(call.Message!.TargetSilo)) call.Fail(new SiloUnavailableException($"The silo {silo} died while the call was under way: {call.Message}"));
        }
    }
}
