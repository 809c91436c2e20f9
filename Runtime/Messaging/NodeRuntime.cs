using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace Orleans.Runtime;

/// <summary>What silos and clients have in common: making references, sending requests, completing calls, and hosting observers. Any thread.</summary>
internal abstract partial class NodeRuntime : IDisposable
{
    private const int MaxResends = 6;
    private readonly Lazy<IOutgoingGrainCallFilter[]> _outgoingFilters;

    protected NodeRuntime(IServiceProvider services, MessagingOptions options)
    {
        Services = services;
        MessagingOptions = options;
        Clock = services.GetRequiredService<TimeProvider>();
        Logger = services.GetRequiredService<ILoggerFactory>().CreateLogger(GetType());
        _outgoingFilters = new(() => [.. services.GetServices<IOutgoingGrainCallFilter>()]);
        Calls = new CallTable(this, options.ResponseTimeout);
        Observers = new ObserverTable(this);
    }

    public IServiceProvider Services { get; }

    public TimeProvider Clock { get; }

    public MessagingOptions MessagingOptions { get; }

    public CallTable Calls { get; }

    public ObserverTable Observers { get; }

    /// <summary>Which grain type implements which interface.</summary>
    public GrainTypeMap GrainTypes { get; } = new();

    /// <summary>Who calls when no grain does.</summary>
    public abstract GrainId NodeId { get; }

    /// <summary>This silo; null in clients.</summary>
    public abstract SiloAddress? Silo { get; }

    public ILogger Logger { get; }

    public object CreateReference(GrainId grainId, Type interfaceType)
    {
        if (interfaceType != typeof(IAddressable) && (!interfaceType.IsInterface || !typeof(IAddressable).IsAssignableFrom(interfaceType)))
            throw new ArgumentException($"{interfaceType} is not a grain interface");
        return GrainReference.Create(this, grainId, interfaceType);
    }

    /// <summary>Sends a request and returns what its method returns. The arguments become the message's own.</summary>
    public object? Call(GrainReference reference, MethodDescriptor method, object?[] arguments)
    {
        if (_outgoingFilters.Value.Length > 0 && reference.FixedSilo is null)
            return method.Returns.ReturnedFrom(OutgoingCall.Run(_outgoingFilters.Value, reference, method, arguments));
        return Send(reference, method, arguments, RequestContext.Snapshot(), out _);
    }

    public object? Send(GrainReference reference, MethodDescriptor method, object?[] arguments, Dictionary<string, object>? context, out PendingCall? pending)
    {
        pending = null;
        CancellationToken token = method.CancellationIndex >= 0 ? (CancellationToken)arguments[method.CancellationIndex]! : default;
        token.ThrowIfCancellationRequested();
        method.CopyArguments(arguments);
        var message = new Message
        {
            Target = reference.GrainId,
            TargetSilo = reference.FixedSilo,
            Sender = RuntimeContext.Current?.GrainId ?? NodeId,
            SenderSilo = Silo,
            Method = method,
            Arguments = arguments,
            Context = context,
        };
        if (method.IsOneWay)
        {
            message.Kind = MessageKind.OneWay;
            Send(message);
            return method.Returns.ReturnedOneWay;
        }

        PendingCall call = method.Returns.CreateCall();
        call.Runtime = this;
        call.Message = message;
        call.Timeout = method.ResponseTimeout ?? MessagingOptions.ResponseTimeout;
        message.Call = call;
        Calls.Add(call);
        if (token.CanBeCanceled)
            call.Cancellation = token.UnsafeRegister(static (call, token) => ((PendingCall)call!).Cancel(token), call);
        pending = call;
        Send(message);
        return method.Returns.Returned(call);
    }

    /// <summary>Sends <paramref name="message"/> to wherever its target is.</summary>
    public abstract void Send(Message message);

    /// <summary>Forgets where <paramref name="grainId"/> was thought to be.</summary>
    public abstract void ForgetLocation(GrainId grainId);

    public void SendCancel(Message request) => Send(new Message
    {
        Kind = MessageKind.Cancel,
        Id = request.Id,
        Target = request.Target,
        TargetSilo = request.TargetSilo,
        Sender = request.Sender,
        SenderSilo = request.SenderSilo,
        Method = request.Method,
    });

    /// <summary>Gives a response to the call that waits for it; late ones are dropped.</summary>
    public void Complete(Message response)
    {
        if (Calls.Find(response.Id) is not { } call) return;
        if (response.MovedTo is not null) ForgetLocation(response.Sender);
        switch (response.Kind)
        {
            case MessageKind.Response:
                call.Complete(response.Result);
                break;
            case MessageKind.Rejection:
                Undelivered(call, response.Error!);
                break;
            default:
                call.Fail(response.Error!);
                break;
        }
    }

    /// <summary>The request was not executed: sends it again, or gives up after some attempts.</summary>
    public void Undelivered(PendingCall call, Exception reason)
    {
        Message message = call.Message!;
        ForgetLocation(message.Target);
        bool fixedTarget = message.Target.IsSystemTarget();
        if (fixedTarget || call.Resends >= MaxResends || call.Deadline <= Clock.GetTimestamp())
        {
            call.Fail(reason);
            return;
        }

        int attempt = ++call.Resends;
        message.ForwardCount = 0;
        message.IsNewPlacement = false;
        message.TargetSilo = null;
        if (attempt == 1)
        {
            Send(message);
            return;
        }

        _ = SendLater(message, TimeSpan.FromMilliseconds(25 << attempt));
    }

    public virtual void Dispose()
    {
        Calls.Dispose();
        GC.SuppressFinalize(this);
    }

    private async Task SendLater(Message message, TimeSpan delay)
    {
        await Task.Delay(delay, Clock).ConfigureAwait(false);
        Send(message);
    }
}
