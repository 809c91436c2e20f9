using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>What the checks are there to find ends the process, with a message that says what it was.</summary>
public sealed unsafe class HeapChecksTests
{
    [Fact]
    public Task Writing_behind_a_block() => FailsAsync(Overrun, "Something was written behind a block");

    [Fact]
    public Task Freeing_a_block_twice() => FailsAsync(DoubleFree, "A block was freed twice");

    [Fact]
    public Task Writing_to_a_block_after_it_was_freed() => FailsAsync(WriteAfterFree, "A block was written to after it was freed");

    [Fact]
    public Task Freeing_what_is_no_block() => FailsAsync(FreeOfAnythingElse, "Something was freed that is no block");

    [Fact]
    public Task Freeing_the_middle_of_a_block() => FailsAsync(FreeOfTheMiddle, "Something was freed that is no block");

    [Fact]
    public Task Right_use_is_no_error() => OwnProcess.RunAsync(RightUse, "ORLEANSREDIS_HEAP_CHECKS=1");

    private static Task FailsAsync(Action method, string message) => OwnProcess.EndsBadlyAsync(method, message, "ORLEANSREDIS_HEAP_CHECKS=1");

    private static void Overrun()
    {
        byte* block = Heap.Allocate(100);
        block[Heap.SizeOf(block)] = 0;
        Heap.Free(block);
    }

    private static void DoubleFree()
    {
        byte* block = Heap.Allocate(100);
        Heap.Free(block);
        Heap.Free(block);
    }

    private static void WriteAfterFree()
    {
        byte* block = Heap.Allocate(100);
        Heap.Free(block);
        block[50] = 0;
        // It is kept aside until enough others have been freed.
        for (int i = 0; i < 200; i++) Heap.Free(Heap.Allocate(1 << 20));
    }

    private static void FreeOfAnythingElse()
    {
        long local = 0;
        Heap.Free((byte*)&local);
    }

    private static void FreeOfTheMiddle() => Heap.Free(Heap.Allocate(1000) + 8);

    private static void RightUse()
    {
        foreach (int length in (int[])[0, 1, 100, 32 * 1024 - 16, 32 * 1024 - 15, 32 * 1024, 100_000, 100_000_000])
        {
            byte* block = Heap.Allocate(length);
            Assert.True(Heap.SizeOf(block) >= length);
            block[Heap.SizeOf(block) - 1] = 1;
            Heap.Free(block);
        }
        HeapChecks.ReleaseAll();
    }
}
