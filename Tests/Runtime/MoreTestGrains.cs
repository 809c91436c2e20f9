using Orleans.Concurrency;

namespace OrleansRedis.Tests.Runtime;

public interface IReentrantGrain : IGrainWithIntegerKey
{
    Task<int> Work();

    Task Meet(int expected);

    Task<int> OverlappingTurns();

    Task<string> CallBack(IChainGrain grain);
}

[Reentrant]
public sealed class ReentrantGrain : Grain, IReentrantGrain
{
    private readonly TaskCompletionSource _allMet = new();
    private int _met;
    private int _requests;
    private int _turns;
    private int _overlaps;

    public async Task<int> Work()
    {
        int most = ++_requests;
        for (int i = 0; i < 5; i++)
        {
            if (Interlocked.Increment(ref _turns) != 1) Interlocked.Increment(ref _overlaps);
            Thread.SpinWait(50);
            Interlocked.Decrement(ref _turns);
            await Task.Yield();
            most = Math.Max(most, _requests);
        }

        _requests--;
        return most;
    }

    public Task Meet(int expected)
    {
        if (++_met == expected) _allMet.SetResult();
        return _allMet.Task;
    }

    public Task<int> OverlappingTurns() => Task.FromResult(_overlaps);

    public Task<string> CallBack(IChainGrain grain) => grain.Inner();
}

public interface IChainGrain : IGrainWithIntegerKey
{
    Task<string> Outer(IReentrantGrain helper);

    Task<string> Inner();

    Task Take(object value);
}

public sealed class ChainGrain : Grain, IChainGrain
{
    public async Task<string> Outer(IReentrantGrain helper)
    {
        using RequestContext.ReentrancySection section = RequestContext.AllowCallChainReentrancy();
        return await helper.CallBack(this.AsReference<IChainGrain>());
    }

    public Task<string> Inner() => Task.FromResult("inner");

    public Task Take(object value) => Task.CompletedTask;
}

public interface IStoredGrain : IGrainWithIntegerKey
{
    Task Write(string name);

    Task<string> Read();

    Task Leave();
}

public sealed class StoredGrain([PersistentState("parcel")] IPersistentState<Parcel> parcel) : Grain, IStoredGrain
{
    public Task Write(string name)
    {
        parcel.State.Name = name;
        return parcel.WriteStateAsync();
    }

    public Task<string> Read() => Task.FromResult(parcel.State.Name);

    public Task Leave()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }
}
