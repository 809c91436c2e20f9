using System.Reflection;
using Orleans.Runtime;
using Orleans.Serialization.Invocation;

namespace Orleans.Serialization.Invocation
{
    /// <summary>A request: a method of a grain interface and its arguments.</summary>
    public interface IInvokable : IDisposable
    {
        /// <summary>How many arguments there are.</summary>
        int GetArgumentCount();

        /// <summary>An argument.</summary>
        object? GetArgument(int index);

        /// <summary>Replaces an argument.</summary>
        void SetArgument(int index, object value);

        /// <summary>The method's name.</summary>
        string GetMethodName();

        /// <summary>The interface's name.</summary>
        string GetInterfaceName();

        /// <summary>The interface.</summary>
        Type GetInterfaceType();

        /// <summary>The method.</summary>
        MethodInfo GetMethod();

        /// <summary>The object that the request is made to.</summary>
        object? GetTarget();
    }
}

namespace Orleans
{
    /// <summary>A call on its way.</summary>
    public interface IGrainCallContext
    {
        /// <summary>The request.</summary>
        IInvokable Request { get; }

        /// <summary>The grain object for incoming calls, the reference for outgoing ones.</summary>
        object Grain { get; }

        /// <summary>Who calls, if known.</summary>
        GrainId? SourceId { get; }

        /// <summary>Who is called.</summary>
        GrainId TargetId { get; }

        /// <summary>The interface called.</summary>
        GrainInterfaceType InterfaceType { get; }

        /// <summary>The interface's name.</summary>
        string InterfaceName { get; }

        /// <summary>The method's name.</summary>
        string MethodName { get; }

        /// <summary>The interface's method.</summary>
        MethodInfo InterfaceMethod { get; }

        /// <summary>The result, once there; a filter may replace it.</summary>
        object? Result { get; set; }

        /// <summary>Goes on with the call.</summary>
        Task Invoke();
    }

    /// <summary>A call that has arrived.</summary>
    public interface IIncomingGrainCallContext : IGrainCallContext
    {
        /// <summary>The activation.</summary>
        IGrainContext TargetContext { get; }

        /// <summary>The class's method.</summary>
        MethodInfo ImplementationMethod { get; }
    }

    /// <summary>A call that is about to leave.</summary>
    public interface IOutgoingGrainCallContext : IGrainCallContext
    {
        /// <summary>The activation that calls, if one does.</summary>
        IGrainContext? SourceContext { get; }
    }

    /// <summary>Sees, and may change, calls that arrive. Grain classes may implement it for their own calls.</summary>
    public interface IIncomingGrainCallFilter
    {
        /// <summary>Sees a call; it must call <see cref="IGrainCallContext.Invoke"/> for the call to go on.</summary>
        Task Invoke(IIncomingGrainCallContext context);
    }

    /// <summary>Sees, and may change, calls that leave.</summary>
    public interface IOutgoingGrainCallFilter
    {
        /// <summary>Sees a call; it must call <see cref="IGrainCallContext.Invoke"/> for the call to go on.</summary>
        Task Invoke(IOutgoingGrainCallContext context);
    }

    /// <summary>An <see cref="IIncomingGrainCallFilter"/> as a delegate.</summary>
    public delegate Task IncomingGrainCallFilterDelegate(IIncomingGrainCallContext context);

    /// <summary>An <see cref="IOutgoingGrainCallFilter"/> as a delegate.</summary>
    public delegate Task OutgoingGrainCallFilterDelegate(IOutgoingGrainCallContext context);
}
