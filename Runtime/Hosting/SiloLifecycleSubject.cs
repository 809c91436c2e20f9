using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>The stages of a silo. Observers subscribe before the start, or for later stages while it runs. The list is under its lock.</summary>
public sealed partial class SiloLifecycleSubject(ILogger<SiloLifecycleSubject> logger) : ISiloLifecycleSubject, IClusterClientLifecycle
{
    private readonly List<Subscription> _subscriptions = [];

    /// <inheritdoc/>
    public int HighestCompletedStage { get; private set; } = int.MinValue;

    /// <inheritdoc/>
    public int LowestStoppedStage { get; private set; } = int.MaxValue;

    /// <inheritdoc/>
    public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
    {
        ArgumentNullException.ThrowIfNull(observer);
        var subscription = new Subscription(this, observerName, stage, observer);
        lock (_subscriptions) _subscriptions.Add(subscription);
        return subscription;
    }

    /// <summary>Starts the stages in ascending order; those of one stage at once.</summary>
    public async Task OnStart(CancellationToken cancellationToken = default)
    {
        for (int? stage = Next(int.MinValue, inclusive: true); stage is { } current; stage = Next(current, inclusive: false))
        {
            if (cancellationToken.IsCancellationRequested) throw new OrleansLifecycleCanceledException("Lifecycle start canceled by request");
            await Task.WhenAll(Of(current).Select(item => item.Observer.OnStart(cancellationToken))).ConfigureAwait(false);
            HighestCompletedStage = current;
        }
    }

    /// <summary>Stops the started stages in descending order; what fails does not keep the rest from stopping.</summary>
    public async Task OnStop(CancellationToken cancellationToken = default)
    {
        int[] stages;
        lock (_subscriptions) stages = [.. _subscriptions.Select(item => item.Stage).Where(stage => stage <= HighestCompletedStage).Distinct().OrderDescending()];
        foreach (int stage in stages)
        {
            foreach (Subscription item in Of(stage))
            {
                try
                {
                    await item.Observer.OnStop(cancellationToken).ConfigureAwait(false);
                }
                catch (Exception exception)
                {
                    LogStopFailed(exception, item.Name, stage);
                }
            }

            LowestStoppedStage = stage;
        }
    }

    private int? Next(int after, bool inclusive)
    {
        lock (_subscriptions)
        {
            int[] later = [.. _subscriptions.Select(item => item.Stage).Where(stage => inclusive ? stage >= after : stage > after)];
            return later.Length == 0 ? null : later.Min();
        }
    }

    private Subscription[] Of(int stage)
    {
        lock (_subscriptions) return [.. _subscriptions.Where(item => item.Stage == stage)];
    }

    [LoggerMessage(1511, LogLevel.Error, "{Observer} failed to stop at stage {Stage}")]
    private partial void LogStopFailed(Exception exception, string observer, int stage);

    private sealed class Subscription(SiloLifecycleSubject owner, string name, int stage, ILifecycleObserver observer) : IDisposable
    {
        public string Name => name;

        public int Stage => stage;

        public ILifecycleObserver Observer => observer;

        public void Dispose()
        {
            lock (owner._subscriptions) owner._subscriptions.Remove(this);
        }
    }
}
