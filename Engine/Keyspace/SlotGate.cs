using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The one gate through which a slot's keys are reached. It is held for the length of one command, and never across an
/// await. If it is free, passing it costs one interlocked operation and one plain store.
/// </summary>
internal struct SlotGate
{
    /// <summary>Spinning this often takes some 20 µs, longer than almost any command holds a gate.</summary>
    private const int Spins = 400;

    private int _held;
    private TaskCompletionSource? _released;

    /// <summary>Takes the gate if it is free.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryEnter()
    {
        if (_held != 0 || Interlocked.CompareExchange(ref _held, 1, 0) != 0) return false;
        if (GateRule.IsChecked) GateRule.Entered();
        return true;
    }

    /// <summary>Takes the gate if it is free or becomes so within some microseconds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryEnterSpinning() => TryEnter() || SpinEnter();

    /// <summary>
    /// Takes the gate, waiting as long as necessary. The thread must hold no other gate (<see cref="GateRule"/>), nor
    /// have anything better to do: this is for background jobs and grain turns, not for I/O threads.
    /// </summary>
    public void Enter()
    {
        if (GateRule.IsChecked) GateRule.BeforeWaiting();
        EnterAfterOthers();
    }

    /// <summary>
    /// Takes the gate, waiting as long as necessary, although the thread may hold others. Allowed only where no holder
    /// of this gate can be waiting for the caller in turn: to the one command that roams (<see cref="HeldSlots"/>), and
    /// for the gate of the <see cref="ReplicationLog"/>, which everyone takes last.
    /// </summary>
    public void EnterAfterOthers()
    {
        if (TryEnter()) return;
        var wait = default(SpinWait);
        while (!SpinEnter()) wait.SpinOnce(sleep1Threshold: 50);
    }

    /// <summary>Gives the gate back and wakes everyone waiting in <see cref="WhenReleased"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Exit()
    {
        if (GateRule.IsChecked) GateRule.Left();
        Volatile.Write(ref _held, 0);
        if (_released is not null) Wake();
    }

    /// <summary>Completes at a later release of the gate, or at once if it is free by now. Then try again.</summary>
    public Task WhenReleased()
    {
        TaskCompletionSource source = Volatile.Read(ref _released) ?? Register();
        // Exit writes _held and then reads _released with no fence between. This fence, on every core, stands in for
        // that one: either that Exit sees our registration, or we see the gate free.
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
