using Orleans.Serialization.Invocation;

namespace Orleans.Serialization.Invocation
{
    /// <summary>Something with components and an object that requests are made to.</summary>
    public interface ITargetHolder
    {
        /// <summary>The object that requests are made to.</summary>
        object? GetTarget();

        /// <summary>The component of that type, if there is one.</summary>
        object? GetComponent(Type componentType);
    }
}

namespace Orleans.Runtime
{
    /// <summary>One activation of a grain.</summary>
    public interface IGrainContext : ITargetHolder, IEquatable<IGrainContext>
    {
        /// <summary>A reference to the grain.</summary>
        GrainReference GrainReference { get; }

        /// <summary>The grain's identity.</summary>
        GrainId GrainId { get; }

        /// <summary>The grain object; null until it is created.</summary>
        object? GrainInstance { get; }

        /// <summary>The activation's identity.</summary>
        ActivationId ActivationId { get; }

        /// <summary>The activation's address.</summary>
        GrainAddress Address { get; }

        /// <summary>The services of the activation.</summary>
        IServiceProvider ActivationServices { get; }

        /// <summary>The stages of the activation's life.</summary>
        IGrainLifecycle ObservableLifecycle { get; }

        /// <summary>Runs work as turns of the activation.</summary>
        IWorkItemScheduler Scheduler { get; }

        /// <summary>Completes when the activation is gone.</summary>
        Task Deactivated { get; }

        /// <summary>Sets a component of the activation.</summary>
        void SetComponent<TComponent>(TComponent? value) where TComponent : class;

        /// <summary>Takes a message.</summary>
        void ReceiveMessage(object message);

        /// <summary>Starts activation.</summary>
        void Activate(Dictionary<string, object>? requestContext, CancellationToken cancellationToken = default);

        /// <summary>Starts deactivation, which waits for running requests.</summary>
        void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default);

        /// <summary>Gives the activation the state it had on another silo.</summary>
        void Rehydrate(IRehydrationContext context);

        /// <summary>Starts migration: deactivation that takes the state along to the silo which placement picks.</summary>
        void Migrate(Dictionary<string, object>? requestContext, CancellationToken cancellationToken = default);
    }

    /// <summary>The activation whose turn this is.</summary>
    public interface IGrainContextAccessor
    {
        /// <summary>The activation whose turn this is.</summary>
        IGrainContext GrainContext { get; }
    }

    /// <summary>Runs work as turns of an activation.</summary>
    public interface IWorkItemScheduler
    {
        /// <summary>Queues <paramref name="action"/> as a turn.</summary>
        void QueueAction(Action action);

        /// <summary>Queues <paramref name="action"/> as a turn.</summary>
        void QueueAction(Action<object> action, object state);

        /// <summary>Queues <paramref name="task"/> as a turn.</summary>
        void QueueTask(Task task);
    }
}
