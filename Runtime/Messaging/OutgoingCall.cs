using System.Reflection;
using Orleans.Serialization.Invocation;

namespace Orleans.Runtime;

/// <summary>A call on its way through the outgoing filters.</summary>
internal sealed class OutgoingCall : IOutgoingGrainCallContext
{
    private readonly IOutgoingGrainCallFilter[] _filters;
    private readonly GrainReference _reference;
    private readonly MethodDescriptor _method;
    private readonly Message _request;
    private int _next;

    private OutgoingCall(IOutgoingGrainCallFilter[] filters, GrainReference reference, MethodDescriptor method, object?[] arguments)
    {
        _filters = filters;
        _reference = reference;
        _method = method;
        _request = new Message { Method = method, Arguments = arguments, Target = reference.GrainId };
        SourceContext = RuntimeContext.Current;
    }

    public IGrainContext? SourceContext { get; }

    public IInvokable Request => _request;

    public object Grain => _reference;

    public GrainId? SourceId => SourceContext?.GrainId;

    public GrainId TargetId => _reference.GrainId;

    public GrainInterfaceType InterfaceType => _method.Interface.InterfaceType;

    public string InterfaceName => _method.Interface.Name;

    public string MethodName => _method.Info.Name;

    public MethodInfo InterfaceMethod => _method.Info;

    public object? Result { get; set; }

    public static async Task<object?> Run(IOutgoingGrainCallFilter[] filters, GrainReference reference, MethodDescriptor method, object?[] arguments)
    {
        var call = new OutgoingCall(filters, reference, method, arguments);
        await call.Invoke();
        return call.Result;
    }

    public async Task Invoke()
    {
        if (_next < _filters.Length)
        {
            await _filters[_next++].Invoke(this);
            return;
        }

        object? returned = _reference.Runtime.Send(_reference, _method, _request.Arguments, RequestContext.Snapshot(), out _);
        Task task = _method.Returns.AsTask(returned);
        await task;
        Result = _method.Returns.ResultOf(task);
    }
}
