
namespace Orleans
{
    /// <summary>Something that starts and stops.</summary>
    public interface ILifecycleObserver
    {
        /// <summary>Starts.</summary>
        Task OnStart(CancellationToken cancellationToken = default);

        /// <summary>Stops.</summary>
        Task OnStop(CancellationToken cancellationToken = default);
    }

    /// <summary>Stages that observers take part in.</summary>
    public interface ILifecycleObservable
    {
        /// <summary>Takes part in <paramref name="stage"/>: started in ascending order of stages, stopped in descending order.</summary>
        IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer);
    }

    /// <summary>A lifecycle that can be driven.</summary>
    public interface ILifecycleSubject : ILifecycleObservable, ILifecycleObserver;

    /// <summary>Something that subscribes itself to a lifecycle.</summary>
    public interface ILifecycleParticipant<TLifecycleObservable> where TLifecycleObservable : ILifecycleObservable
    {
        /// <summary>Subscribes.</summary>
        void Participate(TLifecycleObservable lifecycle);
    }

    /// <summary>The lifecycle of a client.</summary>
    public interface IClusterClientLifecycle : ILifecycleObservable;

    /// <summary>The stages of silos and clients.</summary>
    public static class ServiceLifecycleStage
    {
        /// <summary>Before all.</summary>
        public const int First = int.MinValue;

        /// <summary>The runtime is put together.</summary>
        public const int RuntimeInitialize = 2000;

        /// <summary>The runtime's services run.</summary>
        public const int RuntimeServices = 4000;

        /// <summary>The runtime's storage runs.</summary>
        public const int RuntimeStorageServices = 6000;

        /// <summary>The silo can run grains.</summary>
        public const int RuntimeGrainServices = 8000;

        /// <summary>After grain services.</summary>
        public const int AfterRuntimeGrainServices = 8100;

        /// <summary>The application's services run.</summary>
        public const int ApplicationServices = 10000;

        /// <summary>Other silos have been reached.</summary>
        public const int ValidateInitialConnectivity = 19900;

        /// <summary>On the way down, the directory is handed over.</summary>
        public const int GrainDirectoryShutdown = 19997;

        /// <summary>On the way down, grains are deactivated.</summary>
        public const int GrainDeactivation = 19998;

        /// <summary>The silo joins.</summary>
        public const int BecomeActive = 19999;

        /// <summary>The silo is part of the cluster.</summary>
        public const int Active = 20000;

        /// <summary>After all.</summary>
        public const int Last = int.MaxValue;
    }

    /// <summary>Shorter ways to subscribe.</summary>
    public static class LifecycleExtensions
    {
        private static readonly Func<CancellationToken, Task> Nothing = _ => Task.CompletedTask;

        /// <summary>Takes part in a stage.</summary>
        public static IDisposable Subscribe(this ILifecycleObservable observable, string observerName, int stage, Func<CancellationToken, Task> onStart, Func<CancellationToken, Task>? onStop) =>
            observable.Subscribe(observerName, stage, new Observer(onStart, onStop ?? Nothing));

        /// <summary>Takes part in the start of a stage.</summary>
        public static IDisposable Subscribe(this ILifecycleObservable observable, string observerName, int stage, Func<CancellationToken, Task> onStart) =>
            observable.Subscribe(observerName, stage, onStart, null);

        /// <summary>Takes part in a stage under the name of <typeparamref name="TObserver"/>.</summary>
        public static IDisposable Subscribe<TObserver>(this ILifecycleObservable observable, int stage, ILifecycleObserver observer) =>
            observable.Subscribe(typeof(TObserver).FullName!, stage, observer);

        /// <summary>Takes part in a stage under the name of <typeparamref name="TObserver"/>.</summary>
        public static IDisposable Subscribe<TObserver>(this ILifecycleObservable observable, int stage, Func<CancellationToken, Task> onStart, Func<CancellationToken, Task>? onStop) =>
            observable.Subscribe(typeof(TObserver).FullName!, stage, onStart, onStop);

        /// <summary>Takes part in the start of a stage under the name of <typeparamref name="TObserver"/>.</summary>
        public static IDisposable Subscribe<TObserver>(this ILifecycleObservable observable, int stage, Func<CancellationToken, Task> onStart) =>
            observable.Subscribe<TObserver>(stage, onStart, null);

        /// <summary>Takes part in a stage under the name of the observer's type.</summary>
        public static IDisposable Subscribe(this ILifecycleObservable observable, int stage, ILifecycleObserver observer) =>
            observable.Subscribe(observer.GetType().FullName!, stage, observer);

        private sealed class Observer(Func<CancellationToken, Task> onStart, Func<CancellationToken, Task> onStop) : ILifecycleObserver
        {
            public Task OnStart(CancellationToken cancellationToken) => onStart(cancellationToken);

            public Task OnStop(CancellationToken cancellationToken) => onStop(cancellationToken);
        }
    }
}

namespace Orleans.Runtime
{
    /// <summary>The lifecycle of a silo.</summary>
    public interface ISiloLifecycle : ILifecycleObservable
    {
        /// <summary>The highest stage that has started.</summary>
        int HighestCompletedStage { get; }

        /// <summary>The lowest stage that has stopped.</summary>
        int LowestStoppedStage { get; }
    }

    /// <summary>The lifecycle of a silo, for whoever drives it.</summary>
    public interface ISiloLifecycleSubject : ISiloLifecycle, ILifecycleObserver;

    /// <summary>The lifecycle of an activation.</summary>
    public interface IGrainLifecycle : ILifecycleObservable
    {
        /// <summary>Lets something take part in migrations of the activation.</summary>
        void AddMigrationParticipant(IGrainMigrationParticipant participant);

        /// <summary>Ends that.</summary>
        void RemoveMigrationParticipant(IGrainMigrationParticipant participant);
    }

    /// <summary>The stages of activations.</summary>
    public static class GrainLifecycleStage
    {
        /// <summary>Before all.</summary>
        public const int First = int.MinValue;

        /// <summary>State is read.</summary>
        public const int SetupState = 1000;

        /// <summary><see cref="IGrainBase.OnActivateAsync"/> and <see cref="IGrainBase.OnDeactivateAsync"/> run.</summary>
        public const int Activate = 2000;

        /// <summary>After all.</summary>
        public const int Last = int.MaxValue;
    }

    /// <summary>Something to run when the silo has become active.</summary>
    public interface IStartupTask
    {
        /// <summary>Runs; the silo fails to start when it throws.</summary>
        Task Execute(CancellationToken cancellationToken);
    }

    /// <summary>Decides what a fatal error, such as being declared dead, does to the process.</summary>
    public interface IFatalErrorHandler
    {
        /// <summary>Whether <paramref name="exception"/> is fatal.</summary>
        bool IsUnexpected(Exception exception);

        /// <summary>Called on a fatal error.</summary>
        void OnFatalException(object? sender = null, string? context = null, Exception? exception = null);
    }
}
