using System.Reflection;
using Orleans.Serialization.Invocation;

namespace Orleans.Runtime;

/// <summary>A call on its way through the incoming filters to its grain.</summary>
internal sealed class IncomingCall(IIncomingGrainCallFilter[] filters, Message request, Activation activation) : IIncomingGrainCallContext
{
    private int _next;

    public IInvokable Request => request;

    public object Grain => activation.GrainInstance!;

    public GrainId? SourceId => request.Sender;

    public GrainId TargetId => request.Target;

    public GrainInterfaceType InterfaceType => request.Method!.Interface.InterfaceType;

    public string InterfaceName => request.Method!.Interface.Name;

    public string MethodName => request.Method!.Info.Name;

    public MethodInfo InterfaceMethod => request.Method!.Info;

    public IGrainContext TargetContext => activation;

    public MethodInfo ImplementationMethod
    {
        get
        {
            InterfaceMapping map = activation.Class.Type.GetInterfaceMap(InterfaceMethod.DeclaringType!);
            return map.TargetMethods[Array.IndexOf(map.InterfaceMethods, InterfaceMethod)];
        }
    }

    public object? Result { get; set; }

    public async Task Invoke()
    {
        if (_next < filters.Length)
        {
            await filters[_next++].Invoke(this);
            return;
        }

        // The grain itself is the last filter, if it is one.
        if (_next++ == filters.Length && Grain is IIncomingGrainCallFilter own)
        {
            await own.Invoke(this);
            return;
        }

        Task task = request.Method!.Returns.AsTask(request.Method.Invoke(Grain, request.Arguments));
        await task;
        Result = request.Method.Returns.ResultOf(task);
    }
}
