using System.Collections.Concurrent;

namespace Orleans.Runtime;

/// <summary>The observers that live on this node. Requests to one observer run one after the other, on the thread pool. Any thread.</summary>
internal sealed class ObserverTable(NodeRuntime runtime)
{
    private readonly ConcurrentDictionary<string, Observer> _observers = new();

    public object Create(IGrainObserver observer, Type interfaceType)
    {
        ArgumentNullException.ThrowIfNull(observer);
        if (observer is GrainReference) throw new ArgumentException("Argument is already a grain reference", nameof(observer));
        if (observer is IGrainBase) throw new ArgumentException("Argument is a grain; use AsReference to get a reference to it", nameof(observer));
        string key = Guid.NewGuid().ToString("N");
        _observers[key] = new Observer(observer, runtime);
        return runtime.CreateReference(WellKnownIds.Observer(runtime.NodeId, key), interfaceType);
    }

    public void Delete(IGrainObserver reference)
    {
        if (reference is not GrainReference { } known) throw new ArgumentException("Argument reference is not a grain reference", nameof(reference));
        if (WellKnownIds.ObserverKeyOf(known.GrainId) is not { } key || !_observers.TryRemove(key, out _))
            throw new ArgumentException($"{known.GrainId} is not an observer of this client", nameof(reference));
    }

    /// <summary>Takes a request to an observer; false when there is no such observer (any more).</summary>
    public bool TryReceive(Message request)
    {
        if (request.Kind == MessageKind.Cancel) return true;
        if (WellKnownIds.ObserverKeyOf(request.Target) is not { } key || !_observers.TryGetValue(key, out Observer? observer)) return false;
        if (observer.TryReceive(request)) return true;
        _observers.TryRemove(key, out _);
        return false;
    }

    private sealed class Observer(IGrainObserver target, NodeRuntime runtime)
    {
        private readonly WeakReference<IGrainObserver> _target = new(target);
        private readonly Queue<Message> _queue = new(); // under its own lock
        private bool _running; // under the lock of _queue

        public bool TryReceive(Message request)
        {
            if (!_target.TryGetTarget(out _)) return false;
            lock (_queue)
            {
                _queue.Enqueue(request);
                if (_running) return true;
                _running = true;
            }

            ThreadPool.UnsafeQueueUserWorkItem(static observer => _ = observer.Drain(), this, preferLocal: false);
            return true;
        }

        private async Task Drain()
        {
            while (true)
            {
                Message? request;
                lock (_queue)
                {
                    if (!_queue.TryDequeue(out request))
                    {
                        _running = false;
                        return;
                    }
                }

                if (_target.TryGetTarget(out IGrainObserver? target)) await Requests.Execute(runtime, request, target).ConfigureAwait(false);
            }
        }
    }
}
