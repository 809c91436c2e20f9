using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests;

/// <summary>
/// Holds a slot's gate until disposed, as a command that takes long does: on a thread of its own, since a gate belongs
/// to the thread that has taken it.
/// </summary>
internal sealed class HeldGate : IDisposable
{
    private readonly ManualResetEventSlim _isHeld = new(initialState: false), _isOver = new(initialState: false);
    private readonly Thread _thread;

    public HeldGate(Slot slot)
    {
        _thread = new Thread(() =>
        {
            slot.Gate.Enter();
            _isHeld.Set();
            _isOver.Wait(Eventually.Deadline);
            slot.Gate.Exit();
        });
        _thread.Start();
        _isHeld.Wait(Eventually.Deadline);
    }

    public void Dispose()
    {
        _isOver.Set();
        _thread.Join();
        _isHeld.Dispose();
        _isOver.Dispose();
    }
}
