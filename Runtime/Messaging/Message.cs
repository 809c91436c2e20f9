using System.Diagnostics;
using System.Reflection;
using Orleans.Serialization.Invocation;

namespace Orleans.Runtime;

internal enum MessageKind : byte
{
    /// <summary>A request whose sender waits.</summary>
    Request,

    /// <summary>A request whose sender doesn't wait.</summary>
    OneWay,

    /// <summary>The result of a request.</summary>
    Response,

    /// <summary>The exception of a request.</summary>
    Error,

    /// <summary>The request was not delivered, so it may be sent again.</summary>
    Rejection,

    /// <summary>The sender of the request with this number has cancelled it.</summary>
    Cancel,
}

/// <summary>What goes between grains, clients and silos. It has one owner at a time: the sender, then the connection or the activation that it was handed to.</summary>
internal sealed class Message : ITurn, IInvokable
{
    public MessageKind Kind { get; set; }

    /// <summary>The request's number, unique in the node that sent it; a response has the request's.</summary>
    public long Id { get; set; }

    public GrainId Target { get; set; }

    public SiloAddress? TargetSilo { get; set; }

    public GrainId Sender { get; set; }

    public SiloAddress? SenderSilo { get; set; }

    public MethodDescriptor? Method { get; set; }

    public object?[] Arguments { get; set; } = [];

    public Dictionary<string, object>? Context { get; set; }

    /// <summary>How often a silo has passed the request on to another.</summary>
    public int ForwardCount { get; set; }

    /// <summary>The target silo was picked for a new activation; it is not from the directory.</summary>
    public bool IsNewPlacement { get; set; }

    /// <summary>The clock's timestamp from which nobody waits any more; 0 for none.</summary>
    public long Deadline { get; set; }

    public object? Result { get; set; }

    public Exception? Error { get; set; }

    /// <summary>In responses to requests that had to be forwarded: where the grain really is.</summary>
    public GrainAddress? MovedTo { get; set; }

    /// <summary>The caller, when it is in this process's node; a response then needs no message.</summary>
    public PendingCall? Call { get; set; }

    /// <summary>What was to be a timer's tick or some other work of the activation's own, run with the admission rules of requests.</summary>
    public Func<Task>? Work { get; set; }

    /// <summary>Set on requests that interleave whatever their method says.</summary>
    public bool ForceInterleave { get; set; }

    /// <summary>A timer's tick that does not keep its grain active.</summary>
    public bool IsTimerTick { get; set; }

    public bool IsRequest => Kind is MessageKind.Request or MessageKind.OneWay;

    public bool IsAlwaysInterleave => ForceInterleave || (Method?.IsAlwaysInterleave ?? false);

    public bool IsReadOnly => Method?.IsReadOnly ?? false;

    /// <summary>The activation that runs, or will run, the request.</summary>
    public Activation? Executor { get; set; }

    /// <summary>Cancels the request's token in the callee.</summary>
    public CancellationTokenSource? Cancellation { get; set; }

    void ITurn.Run() => Executor!.Run(this);

    int IInvokable.GetArgumentCount() => Arguments.Length;

    object? IInvokable.GetArgument(int index) => Arguments[index];

    void IInvokable.SetArgument(int index, object value) => Arguments[index] = value;

    string IInvokable.GetMethodName() => Method!.Info.Name;

    string IInvokable.GetInterfaceName() => Method!.Interface.Name;

    Type IInvokable.GetInterfaceType() => Method!.Interface.Type;

    MethodInfo IInvokable.GetMethod() => Method!.Info;

    object? IInvokable.GetTarget() => Executor?.GrainInstance;

    void IDisposable.Dispose() { }

    public Message CreateResponse(object? result)
    {
        Debug.Assert(IsRequest, "Only requests have responses");
        return Reply(MessageKind.Response, result, null);
    }

    public Message CreateError(Exception error) => Reply(MessageKind.Error, null, error);

    public Message CreateRejection(string reason) => Reply(MessageKind.Rejection, null, new OrleansMessageRejectionException(reason));

    public override string ToString() => $"{Kind} {Id} {(Method is null ? "" : $"{Method.Interface.Type.Name}.{Method.Info.Name} ")}from {Sender} at {SenderSilo} to {Target} at {TargetSilo}{(ForwardCount > 0 ? $" forwarded {ForwardCount} times" : "")}";

    private Message Reply(MessageKind kind, object? result, Exception? error) => new()
    {
        Kind = kind,
        Id = Id,
        Target = Sender,
        TargetSilo = SenderSilo,
        Sender = Target,
        SenderSilo = TargetSilo,
        Method = Method,
        Result = result,
        Error = error,
        MovedTo = ForwardCount > 0 ? Executor?.Address : null,
    };
}
