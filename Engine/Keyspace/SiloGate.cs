using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The silo-wide gate for what concerns every slot at once (FLUSHALL, SWAPDB, the starting instant of a snapshot).
/// Connections hold it shared while they drain an input buffer. Each thread counts its holds in one of several stripes,
/// so the usual case costs two interlocked operations per batch, seldom contended. Shared holders never await, so an
/// exclusive holder gets in soon.
/// </summary>
public sealed class SiloGate : IDisposable
{
    private readonly Stripe[] _stripes = new Stripe[Math.Max(4, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount))];
    private readonly SemaphoreSlim _exclusiveOrder = new(1, 1);
    private readonly SemaphoreSlim _long = new(MostLong, MostLong);
    private volatile TaskCompletionSource? _exclusive;
    private int _longHolders;

    [ThreadStatic]
    private static int t_stripe;
    private static int s_nextStripe;

    /// <summary>
    /// How many long-running commands there may be at once. On a machine with several cores, one stays free for all
    /// other commands.
    /// </summary>
    private static int MostLong { get; } = Math.Max(1, Environment.ProcessorCount - 1);

    /// <summary>
    /// Whether a shared holder takes longer than anyone should: whoever waits to enter exclusively lets the others in
    /// meanwhile, so that they can go on, and can end it.
    /// </summary>
    public bool IsHeldForLong => Volatile.Read(ref _longHolders) != 0;

    /// <summary>To be called by a shared holder that takes so long.</summary>
    public void BeginLongHold() => Interlocked.Increment(ref _longHolders);

    /// <summary>The end of that.</summary>
    public void EndLongHold() => Interlocked.Decrement(ref _longHolders);

    /// <summary>
    /// Enters shared, and returns the stripe to leave through. False while there is an exclusive holder, or one is
    /// waiting.
    /// </summary>
    public bool TryEnterShared(out int stripe)
    {
        if (t_stripe == 0) t_stripe = Interlocked.Increment(ref s_nextStripe);
        stripe = t_stripe & (_stripes.Length - 1);
        Interlocked.Increment(ref _stripes[stripe].Holders);
        if (_exclusive is null) return true;
        Interlocked.Decrement(ref _stripes[stripe].Holders);
        return false;
    }

    /// <summary>Leaves after <see cref="TryEnterShared"/>.</summary>
    public void ExitShared(int stripe) => Interlocked.Decrement(ref _stripes[stripe].Holders);

    /// <summary>Completes when there is no exclusive holder any more. Then try again.</summary>
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

    /// <summary>The same, blocking the thread: for background threads, which hold no slot's gate.</summary>
    public int EnterShared()
    {
        if (GateRule.IsChecked) GateRule.BeforeWaiting();
        int stripe;
        while (!TryEnterShared(out stripe)) WhenShared().Wait();
        return stripe;
    }

    /// <summary>
    /// Keeps new shared holders out until <see cref="ExitExclusive"/>, and waits for the present ones to leave.
    /// </summary>
    /// <param name="unless">When it completes first, the caller does not wait any longer, and has entered nothing.</param>
    /// <returns>Whether it has entered.</returns>
    public async ValueTask<bool> EnterExclusiveAsync(Task? unless = null)
    {
        if (!await TryWaitAsync(_exclusiveOrder, unless).ConfigureAwait(false)) return false;
        // Wait for the long-running commands first, and keep the others out only afterwards: they need not wait for
        // those.
        int entered = 0;
        while (entered < MostLong && await TryWaitAsync(_long, unless).ConfigureAwait(false)) entered++;
        while (entered == MostLong && !await TryKeepOthersOutAsync().ConfigureAwait(false))
        {
            LetOthersIn();
            while (IsHeldForLong && unless?.IsCompleted != true) await Task.Delay(10).ConfigureAwait(false);
            if (unless?.IsCompleted == true) break;
        }
        if (_exclusive is not null) return true;
        if (entered != 0) _long.Release(entered);
        _exclusiveOrder.Release();
        return false;
    }

    /// <summary>Waits for a turn, or until <paramref name="unless"/> completes: then whoever gets the turn gives it back.</summary>
    private static async ValueTask<bool> TryWaitAsync(SemaphoreSlim order, Task? unless)
    {
        Task turn = order.WaitAsync();
        if (turn.IsCompletedSuccessfully) return true;
        if (unless is null) await turn.ConfigureAwait(false);
        else await Task.WhenAny(turn, unless).ConfigureAwait(false);
        if (turn.IsCompletedSuccessfully) return true;
        _ = turn.ContinueWith(
            static (_, late) => ((SemaphoreSlim)late!).Release(), order, CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion,
            TaskScheduler.Default);
        return false;
    }

    private async ValueTask<bool> TryKeepOthersOutAsync()
    {
        _exclusive = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        // set the flag before reading the counts; TryEnterShared does it the other way round
        Interlocked.MemoryBarrier();
        bool leftThread = false;
        for (int i = 0; i < _stripes.Length; i++)
        {
            var wait = default(SpinWait);
            while (Volatile.Read(ref _stripes[i].Holders) != 0)
            {
                if (IsHeldForLong) return false;
                if (wait.NextSpinWillYield && !leftThread)
                {
                    // This very thread may be among the holders: inside its batch, CONFIG SET starts what is to happen
                    // outside it.
                    leftThread = true;
                    await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                }
                wait.SpinOnce(sleep1Threshold: 100);
            }
        }
        return true;
    }

    /// <summary>
    /// Waits for the turn of a long-running command: until <see cref="ExitLong"/> there is no exclusive holder, and
    /// there are not too many others like it. Used in place of <see cref="TryEnterShared"/>, because a long shared
    /// holder would keep the next exclusive holder waiting, and with it everyone else.
    /// </summary>
    /// <param name="unless">When it completes first, the caller does not wait any longer, and has no turn.</param>
    /// <returns>Whether it has its turn.</returns>
    public ValueTask<bool> EnterLongAsync(Task? unless = null) => TryWaitAsync(_long, unless);

    /// <summary>Leaves after <see cref="EnterLongAsync"/>.</summary>
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

    /// <summary>
    /// Lets the shared holders in, while it is held exclusively: only no other exclusive holder and no long-running command
    /// comes in before <see cref="ExitExclusive"/>.
    /// </summary>
    public void LetOthersIn()
    {
        TaskCompletionSource? over = _exclusive;
        _exclusive = null;
        over?.SetResult();
    }

    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Stripe
    {
        [FieldOffset(0)]
        public int Holders;
    }
}
