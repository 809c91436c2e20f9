using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The one gate through which a slot's keys are reached. Held for the length of one command; nobody awaits inside.
/// Free, it costs one interlocked operation and one plain store.
/// </summary>
internal struct SlotGate
{
    /// <summary>Spinning this often takes some 20 µs, longer than almost every command holds a gate.</summary>
    private const int Spins = 400;

    private int _held;
    private TaskCompletionSource? _released;

    /// <summary>Takes the gate if it is free.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryEnter() => _held == 0 && Interlocked.CompareExchange(ref _held, 1, 0) == 0;

    /// <summary>Takes the gate if it is free or becomes so within some microseconds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryEnterSpinning() => TryEnter() || SpinEnter();

    /// <summary>
    /// Takes the gate however long it lasts. Only for a thread whose holders never wait for it in turn:
    /// the one that roams, background jobs and grain turns.
    /// </summary>
    public void Enter()
    {
        if (TryEnter()) return;
        var wait = default(SpinWait);
        while (!SpinEnter()) wait.SpinOnce(sleep1Threshold: 50);
    }

    /// <summary>Gives the gate back and wakes those who wait in <see cref="WhenReleased"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Exit()
    {
        Volatile.Write(ref _held, 0);
        if (_released is not null) Wake();
    }

    /// <summary>Completes at a later release of the gate, or at once if it is free by now; then try again.</summary>
    public Task WhenReleased()
    {
        TaskCompletionSource source = Volatile.Read(ref _released) ?? Register();
        // Exit writes _held and then reads _released with no fence between. This one, on every core, stands in for it:
        // either that Exit saw our registration, or we see the gate free.
        Interlocked.MemoryBarrierProcessWide();
        if (Volatile.Read(ref _held) == 0) Wake();
        return source.Task;
    }

    private TaskCompletionSource Register()
    {
        var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return Interlocked.CompareExchange(ref _released, source, null) ?? source;
    }

    private void Wake() => Interlocked.Exchange(ref _released, null)?.TrySetResult();

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool SpinEnter()
    {
        for (int i = 0; i < Spins; i++)
        {
            Thread.SpinWait(4);
            if (TryEnter()) return true;
        }
        return false;
    }
}
