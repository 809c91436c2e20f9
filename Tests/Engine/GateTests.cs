using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public class GateTests
{
    private static readonly TimeSpan s_patience = Eventually.Deadline;

    [Fact]
    public async Task One_at_a_time_through_a_slot_gate_and_nobody_waits_forever()
    {
        var slot = new GatedCounter();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(thread => Task.Run(async () =>
        {
            for (int i = 0; i < 20_000; i++)
            {
                while (true)
                {
                    // A third of the threads wait as connections do, leaving the thread free for others.
                    if (thread % 3 == 0)
                    {
                        if (slot.Gate.TryEnter()) break;
                        await slot.Gate.WhenReleased();
                    }
                    else if (thread % 3 == 1)
                    {
                        if (slot.Gate.TryEnterSpinning()) break;
                    }
                    else
                    {
                        slot.Gate.Enter();
                        break;
                    }
                }
                slot.Count++;
                slot.Gate.Exit();
            }
        }))).WaitAsync(s_patience);
        Assert.Equal(160_000, slot.Count);
    }

    [Fact]
    public async Task Waiting_for_a_free_gate_ends_at_once()
    {
        var slot = new GatedCounter();
        await slot.Gate.WhenReleased().WaitAsync(s_patience);
        Assert.True(slot.Gate.TryEnter());
        Task waiting = slot.Gate.WhenReleased();
        Assert.False(waiting.IsCompleted);
        Assert.False(slot.Gate.TryEnterSpinning());
        slot.Gate.Exit();
        await waiting.WaitAsync(s_patience);
    }

    [Fact]
    public void A_thread_that_holds_a_gate_cannot_wait_for_another_one()
    {
        Assert.True(GateRule.IsChecked);
        var one = new GatedCounter();
        var other = new GatedCounter();
        using var silo = new SiloGate();
        one.Gate.Enter();
        Assert.Throws<InvalidOperationException>(() => other.Gate.Enter());
        Assert.Throws<InvalidOperationException>(() => silo.EnterShared());
        Assert.True(other.Gate.TryEnter());
        other.Gate.Exit();
        one.Gate.Exit();
        other.Gate.Enter();
        other.Gate.Exit();
    }

    [Fact]
    public async Task A_shared_holder_may_ask_for_exclusive_entry_which_it_gets_once_it_has_left()
    {
        using var gate = new SiloGate();
        Assert.True(gate.TryEnterShared(out int stripe));
        Task entering = gate.EnterExclusiveAsync().AsTask();
        Assert.False(entering.IsCompleted);
        gate.ExitShared(stripe);
        await entering.WaitAsync(s_patience);
        gate.ExitExclusive();
    }

    [Fact]
    public async Task The_exclusive_holder_of_the_silo_gate_is_alone()
    {
        using var gate = new SiloGate();
        int inside = 0, exclusive = 0;
        Task[] shared = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            for (int i = 0; i < 20_000; i++)
            {
                int stripe = await gate.EnterSharedAsync();
                Interlocked.Increment(ref inside);
                Assert.Equal(0, Volatile.Read(ref exclusive));
                Interlocked.Decrement(ref inside);
                gate.ExitShared(stripe);
            }
        }))];
        Task[] alone = [.. Enumerable.Range(0, 3).Select(_ => Task.Run(async () =>
        {
            for (int i = 0; i < 300; i++)
            {
                await gate.EnterExclusiveAsync();
                Assert.Equal(1, Interlocked.Increment(ref exclusive));
                Assert.Equal(0, Volatile.Read(ref inside));
                Interlocked.Decrement(ref exclusive);
                gate.ExitExclusive();
                await Task.Yield();
            }
        }))];
        await Task.WhenAll([.. shared, .. alone]).WaitAsync(s_patience);
        Assert.True(gate.TryEnterShared(out int last));
        gate.ExitShared(last);
    }

    [Fact]
    public async Task Shared_holders_wait_until_the_exclusive_one_has_left()
    {
        using var gate = new SiloGate();
        await gate.EnterExclusiveAsync();
        Assert.False(gate.TryEnterShared(out _));
        Task waiting = gate.WhenShared();
        Assert.False(waiting.IsCompleted);
        gate.ExitExclusive();
        await waiting.WaitAsync(s_patience);
        Assert.True(gate.TryEnterShared(out int stripe));
        gate.ExitShared(stripe);
    }

    private sealed class GatedCounter
    {
        public SlotGate Gate;
        public int Count;
    }
}
