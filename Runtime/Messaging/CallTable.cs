using System.Collections.Concurrent;

namespace Orleans.Runtime;

/// <summary>The calls of this node that wait for responses. One timer looks for those whose time is up. Any thread.</summary>
internal sealed class CallTable : IDisposable
{
    private readonly ConcurrentDictionary<long, PendingCall> _calls = new();
    private readonly NodeRuntime _runtime;
    private readonly ITimer _sweep;
    private long _lastId;

    public CallTable(NodeRuntime runtime, TimeSpan responseTimeout)
    {
        _runtime = runtime;
        TimeSpan period = TimeSpan.FromTicks(Math.Clamp(responseTimeout.Ticks / 10, TimeSpan.TicksPerMillisecond * 10, TimeSpan.TicksPerSecond));
        _sweep = runtime.Clock.CreateTimer(static state => ((CallTable)state!).Sweep(), this, period, period);
    }

    public int Count => _calls.Count;

    public ICollection<PendingCall> All => _calls.Values;

    public void Add(PendingCall call)
    {
        Message message = call.Message!;
        message.Id = Interlocked.Increment(ref _lastId);
        call.Deadline = _runtime.Clock.GetTimestamp() + (long)(call.Timeout.TotalSeconds * _runtime.Clock.TimestampFrequency);
        message.Deadline = call.Deadline;
        _calls[message.Id] = call;
    }

    public void Remove(long id) => _calls.TryRemove(id, out _);

    public PendingCall? Find(long id) => _calls.GetValueOrDefault(id);

    public void Dispose() => _sweep.Dispose();

    private void Sweep()
    {
        if (_calls.IsEmpty) return;
        long now = _runtime.Clock.GetTimestamp();
        foreach ((_, PendingCall call) in _calls)
        {
            if (call.Deadline > now) continue;
            if (_runtime.MessagingOptions.CancelRequestOnTimeout && call.Message!.Method!.CancellationIndex >= 0) _runtime.SendCancel(call.Message);
            call.Fail(new TimeoutException($"Response did not arrive on time in {call.Timeout} for message: {call.Message}"));
        }
    }
}
