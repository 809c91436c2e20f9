namespace Orleans.Runtime;

/// <summary>The stages of one activation. Used in its turns only.</summary>
internal sealed class GrainLifecycle : IGrainLifecycle
{
    private readonly List<Subscription> _subscriptions = [];
    private readonly List<IGrainMigrationParticipant> _participants = [];
    private int _highestStarted = int.MinValue;

    public IReadOnlyList<IGrainMigrationParticipant> MigrationParticipants => _participants;

    public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
    {
        var subscription = new Subscription(this, stage, observer);
        _subscriptions.Add(subscription);
        return subscription;
    }

    public void AddMigrationParticipant(IGrainMigrationParticipant participant) => _participants.Add(participant);

    public void RemoveMigrationParticipant(IGrainMigrationParticipant participant) => _participants.Remove(participant);

    /// <summary>Starts the stages from <paramref name="from"/> up to <paramref name="to"/>, inclusive.</summary>
    public async Task Start(int from, int to, CancellationToken cancellation)
    {
        foreach (IGrouping<int, Subscription> stage in _subscriptions.Where(item => item.Stage >= from && item.Stage <= to).GroupBy(item => item.Stage).OrderBy(stage => stage.Key).ToList())
        {
            await Task.WhenAll(stage.Select(item => item.Observer.OnStart(cancellation)));
            _highestStarted = stage.Key;
        }
    }

    /// <summary>Stops what has started, the highest stage first; what fails does not keep the rest from stopping.</summary>
    public async Task Stop(Action<Exception> onError, CancellationToken cancellation)
    {
        foreach (Subscription item in _subscriptions.Where(item => item.Stage <= _highestStarted).OrderByDescending(item => item.Stage).ToList())
        {
            try
            {
                await item.Observer.OnStop(cancellation);
            }
            catch (Exception exception)
            {
                onError(exception);
            }
        }
    }

    private sealed class Subscription(GrainLifecycle owner, int stage, ILifecycleObserver observer) : IDisposable
    {
        public int Stage => stage;

        public ILifecycleObserver Observer => observer;

        public void Dispose() => owner._subscriptions.Remove(this);
    }
}
