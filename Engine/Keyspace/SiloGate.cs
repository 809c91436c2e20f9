using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The silo-wide gate for what concerns every slot at once (FLUSHALL, SWAPDB, the starting instant of a snapshot).
/// Connections hold it shared while they drain an input buffer, counted in a stripe of their own core, so that the
/// usual case costs two uncontended increments per batch. Shared holders never await, so the exclusive one gets in soon.
/// </summary>
public sealed class SiloGate : IDisposable
{
    private readonly Stripe[] _stripes = new Stripe[Math.Max(4, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount))];
    private readonly SemaphoreSlim _exclusiveOrder = new(1, 1);
    private readonly SemaphoreSlim _long = new(MostLong, MostLong);
    private volatile TaskCompletionSource? _exclusive;

    [ThreadStatic]
    private static int t_stripe;
    private static int s_nextStripe;

    /// <summary>How many commands may take long at once: one core stays for all others, if there are several.</summary>
    private static int MostLong { get; } = Math.Max(1, Environment.ProcessorCount - 1);

    /// <summary>Enters shared and says through which stripe to leave; false while someone is, or wants to be, exclusive.</summary>
    public bool TryEnterShared(out int stripe)
    {
        if (t_stripe == 0) t_stripe = Interlocked.Increment(ref s_nextStripe);
        stripe = t_stripe & (_stripes.Length - 1);
        Interlocked.Increment(ref _stripes[stripe].Holders);
        if (_exclusive is null) return true;
        Interlocked.Decrement(ref _stripes[stripe].Holders);
        return false;
    }

    /// <summary>Leaves what <see cref="TryEnterShared"/> entered.</summary>
    public void ExitShared(int stripe) => Interlocked.Decrement(ref _stripes[stripe].Holders);

    /// <summary>Completes when there is no exclusive holder any more; then try again.</summary>
    public Task WhenShared() => _exclusive?.Task ?? Task.CompletedTask;

    /// <summary>Enters shared, waiting as long as it takes. For background jobs and grain turns.</summary>
    public async ValueTask<int> EnterSharedAsync()
    {
        while (true)
        {
            if (TryEnterShared(out int stripe)) return stripe;
            await WhenShared().ConfigureAwait(false);
        }
    }

    /// <summary>Waits for the shared holders to leave and keeps new ones out until <see cref="ExitExclusive"/>.</summary>
    public async ValueTask EnterExclusiveAsync()
    {
        await _exclusiveOrder.WaitAsync().ConfigureAwait(false);
        // Those who take long are waited for before the others are kept out, who need not wait for them.
        for (int i = 0; i < MostLong; i++) await _long.WaitAsync().ConfigureAwait(false);
        _exclusive = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Interlocked.MemoryBarrier(); // the flag before the counts are read; TryEnterShared does it the other way round
        bool leftThread = false;
        for (int i = 0; i < _stripes.Length; i++)
        {
            var wait = default(SpinWait);
            while (Volatile.Read(ref _stripes[i].Holders) != 0)
            {
                if (wait.NextSpinWillYield && !leftThread)
                {
                    // The caller's own thread may be among the holders: CONFIG SET begins, inside its batch, what is to happen outside.
                    leftThread = true;
                    await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                }
                wait.SpinOnce(sleep1Threshold: 100);
            }
        }
    }

    /// <summary>
    /// Waits for the turn of something that takes long: neither an exclusive holder nor too many others like it are there until
    /// <see cref="ExitLong"/>. In place of <see cref="TryEnterShared"/>, since who holds it shared keeps the next exclusive
    /// holder, and so everybody, waiting.
    /// </summary>
    public Task EnterLongAsync() => _long.WaitAsync();

    /// <summary>Leaves what <see cref="EnterLongAsync"/> entered.</summary>
    public void ExitLong() => _long.Release();

    public void Dispose()
    {
        _exclusiveOrder.Dispose();
        _long.Dispose();
    }

    /// <summary>Lets the others in again.</summary>
    public void ExitExclusive()
    {
        TaskCompletionSource? over = _exclusive;
        _exclusive = null;
        _long.Release(MostLong);
        _exclusiveOrder.Release();
        over?.SetResult();
    }

    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Stripe
    {
        [FieldOffset(0)]
        public int Holders;
    }
}
