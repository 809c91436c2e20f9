using System.Collections.Concurrent;
using Orleans.Concurrency;
using Orleans.Placement;

namespace OrleansRedis.Tests.Runtime;

[GenerateSerializer]
public sealed class Parcel
{
    [Id(0)]
    public string Name { get; set; } = "";

    [Id(1)]
    public List<int> Weights { get; set; } = [];
}

public interface ICounterGrain : IGrainWithIntegerKey
{
    Task<int> Increment();

    Task<int> Overlapping();

    Task<Parcel> Mutate(Parcel parcel);

    Task<string> Where();

    Task Fail(string message);

    Task WaitFor(CancellationToken cancellation);

    [AlwaysInterleave]
    Task<bool> SawCancellation();

    [OneWay]
    Task Forget(int amount);

    [AlwaysInterleave]
    Task<int> Peek();

    ValueTask<int> Value(int value);

    Task<bool> ResumesOnOwnScheduler();

    Task<string?> Ambient(string key);

    [ResponseTimeout("00:00:01")]
    Task Never();

    Task Leave();

    Task<int> Timed();

    Task StartTimer(TimeSpan period);
}

[PreferLocalPlacement]
public sealed class CounterGrain(ILocalSiloDetails silo) : Grain, ICounterGrain
{
    private int _count;
    private int _inside;
    private int _ticks;
    private bool _sawCancellation;

    public static ConcurrentQueue<string> Life { get; } = new();

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        Life.Enqueue($"+{this.GetPrimaryKeyLong()}");
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        Life.Enqueue($"-{this.GetPrimaryKeyLong()} {reason.ReasonCode}");
        return Task.CompletedTask;
    }

    public async Task<int> Increment()
    {
        int before = _count;
        await Task.Yield();
        return _count = before + 1;
    }

    public async Task<int> Overlapping()
    {
        int inside = ++_inside;
        await Task.Yield();
        _inside--;
        return inside;
    }

    public Task<Parcel> Mutate(Parcel parcel)
    {
        parcel.Weights.Add(1);
        parcel.Name += "!";
        return Task.FromResult(parcel);
    }

    public Task<string> Where() => Task.FromResult(silo.SiloAddress.ToParsableString());

    public Task Fail(string message) => throw new InvalidOperationException(message, new ArgumentException("inner"));

    public async Task WaitFor(CancellationToken cancellation)
    {
        try
        {
            await Task.Delay(Timeout.Infinite, cancellation);
        }
        catch (OperationCanceledException)
        {
            _sawCancellation = true;
            throw;
        }
    }

    public Task<bool> SawCancellation() => Task.FromResult(_sawCancellation);

    public Task Forget(int amount)
    {
        _count += amount;
        throw new InvalidOperationException("nobody hears of this");
    }

    public Task<int> Peek() => Task.FromResult(_count);

    public ValueTask<int> Value(int value) => new(value * 2);

    public async Task<bool> ResumesOnOwnScheduler()
    {
        TaskScheduler own = TaskScheduler.Current;
        await Task.Delay(1);
        return own != TaskScheduler.Default && ReferenceEquals(own, TaskScheduler.Current);
    }

    public Task<string?> Ambient(string key) => Task.FromResult((string?)RequestContext.Get(key));

    public Task Never() => new TaskCompletionSource().Task;

    public Task Leave()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public Task<int> Timed() => Task.FromResult(_ticks);

    public Task StartTimer(TimeSpan period)
    {
        this.RegisterGrainTimer(
            () =>
            {
                _ticks++;
                return Task.CompletedTask;
            },
            period,
            period);
        return Task.CompletedTask;
    }
}
