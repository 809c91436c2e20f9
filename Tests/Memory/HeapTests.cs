using System.Collections.Concurrent;
using System.Globalization;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public sealed unsafe class HeapTests
{
    private const int Threads = 4, Steps = 1_000_000;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(128)]
    [InlineData(129)]
    [InlineData(SizeClasses.LargestSmall)]
    [InlineData(SizeClasses.LargestSmall + 1)]
    [InlineData(65536)]
    [InlineData(65537)]
    [InlineData(10_000_000)]
    [InlineData(Heap.LargestBlock)]
    public void A_block_has_the_size_that_was_announced(int length)
    {
        if (HeapChecks.AreOn && length > 1 << 30) return; // it would be filled
        byte* block = Heap.Allocate(length);
        Assert.True(Heap.SizeOf(block) >= length);
        Assert.Equal(Heap.SizeFor(length), Heap.SizeOf(block));
        Assert.Equal(Heap.SizeOf(block) + HeapChecks.Overhead, Heap.AllocatedBytes(block));
        Assert.Equal(0, (nint)block % 8);
        Assert.True(Heap.IsBlock(block));
        Assert.True(Granules.IsMapped(block));
        Assert.True(Granules.IsMapped(block + Heap.SizeOf(block) - 1));
        block[0] = block[Heap.SizeOf(block) - 1] = 1;
        Heap.Free(block);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    [InlineData(Heap.LargestBlock + 1)]
    [InlineData(int.MaxValue)]
    public void What_no_block_can_have_is_refused(int length)
    {
        if (HeapChecks.AreOn) return;
        Assert.Throws<ArgumentOutOfRangeException>(() => { Heap.Allocate(length); });
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(40_000)]
    [InlineData(1_000_000)]
    public void Zeroed_blocks_are_zero_whatever_was_there_before(int length)
    {
        for (int i = 0; i < 20; i++)
        {
            byte* block = Heap.AllocateZeroed(length);
            Assert.False(new ReadOnlySpan<byte>(block, length).ContainsAnyExcept((byte)0));
            new Span<byte>(block, length).Fill(0xff);
            Heap.Free(block);
            if (i % 5 == 4) Heap.Trim(0);
        }
    }

    [Fact]
    public Task Threads_that_free_each_others_blocks_never_find_them_changed_while_memory_is_given_back() => OwnProcess.RunAsync(Churn);

    [Fact]
    public Task The_same_with_checks() => OwnProcess.RunAsync(ChurnWithChecks, "ORLEANSREDIS_HEAP_CHECKS=1");

    [Fact]
    public void Addresses_that_were_never_used_are_not_mapped()
    {
        byte* block = Heap.Allocate(100);
        foreach (long address in (long[])[0, 1, -1, long.MinValue, long.MaxValue, 0xffff]) Assert.False(Granules.IsMapped((void*)address));
        Assert.False(Granules.IsMapped(&block));
        for (int i = 1; i < 100; i++) Assert.False(Granules.IsMapped(Granules.AddressOf(0) - i));
        Random random = TestSeed.Random();
        int found = 0;
        for (int i = 0; i < 100_000; i++)
        {
            // Near the heap, and anywhere. Whatever is said to be mapped can be read.
            byte* address = (byte*)(i % 2 == 0 ? (nint)block + random.NextInt64(-1L << 41, 1L << 41) : (nint)random.NextInt64(long.MinValue, long.MaxValue));
            if (i % 10 == 0) address = block + random.Next(-1 << 28, 1 << 28);
            if (!Granules.IsMapped(address)) continue;
            found++;
            _ = Volatile.Read(ref *address);
            _ = Volatile.Read(ref *(address + Granules.Size - 1));
        }
        Assert.True(found > 0);
        Heap.Free(block);
    }

    [Fact]
    public Task Behind_the_last_address_that_is_mapped_a_granule_can_be_read() => OwnProcess.RunAsync(ReadAtTheEnd);

    [Fact]
    public Task Freed_memory_goes_back_to_the_system() => OwnProcess.RunAsync(FreeEverything);

    [Fact]
    public Task The_keeper_gives_back_what_stays_free() => OwnProcess.RunAsync(WaitForTheKeeper);

    [Fact]
    public Task Large_blocks_of_many_sizes_take_no_more_than_they_need() => OwnProcess.RunAsync(OverwriteLargeBlocks);

    [Fact]
    public Task Caches_of_threads_that_have_ended_are_emptied() => OwnProcess.RunAsync(EndThreads);

    [Fact]
    public Task Defragmentation_empties_spans() => OwnProcess.RunAsync(Defragment);

    private static void ChurnWithChecks()
    {
        Assert.True(HeapChecks.AreOn);
        Churn();
        HeapChecks.ReleaseAll();
    }

    /// <summary>
    /// Every block is filled with a byte of its own, and looked at before it is freed or passed on. Memory is trimmed, and
    /// passes of defragmentation begin and end, all the time.
    /// </summary>
    private static void Churn()
    {
        Random seeds = TestSeed.Random();
        var passedOn = new ConcurrentQueue<Block>();
        using var isOver = new CancellationTokenSource();
        var workers = new Task[Threads];
        for (int i = 0; i < Threads; i++)
        {
            var random = new Random(seeds.Next());
            workers[i] = Task.Factory.StartNew(() => Work(random, passedOn), TaskCreationOptions.LongRunning);
        }
        Task trimmer = Task.Factory.StartNew(
            () =>
            {
                for (int i = 0; !isOver.IsCancellationRequested; i++)
                {
                    if (i % 3 == 0) Defragmentation.Begin();
                    else if (i % 3 == 1) Defragmentation.End();
                    Heap.Trim(i % 2);
                    Thread.Yield();
                }
                Defragmentation.End();
            },
            TaskCreationOptions.LongRunning);
        try
        {
            Task.WaitAll(workers);
        }
        finally
        {
            isOver.Cancel();
            trimmer.Wait();
        }
        while (passedOn.TryDequeue(out Block block)) block.Free();
    }

    private static void Work(Random random, ConcurrentQueue<Block> passedOn)
    {
        var own = new List<Block>();
        for (int step = 0; step < Steps; step++)
        {
            int what = random.Next(100);
            if (what < 45)
            {
                int bits = random.Next(random.Next(100) == 0 ? 20 : 12);
                own.Add(Block.Make(random.Next(1 << bits), (byte)random.Next(256), isZeroed: what < 5));
            }
            else if (own.Count > 0)
            {
                int at = random.Next(own.Count);
                Block block = own[at];
                if (what < 55)
                {
                    own[at] = block.Move();
                    continue;
                }
                (own[at], own[^1]) = (own[^1], own[at]);
                own.RemoveAt(own.Count - 1);
                if (what < 70) block.Free();
                else passedOn.Enqueue(block);
            }
            if (what % 2 == 0 && passedOn.TryDequeue(out Block other)) other.Free();
        }
        foreach (Block block in own) block.Free();
    }

    private static void ReadAtTheEnd()
    {
        Heap.Free(Heap.Allocate(1));
        long mapped = 0, beyond = 1L << 41;
        while (beyond - mapped > 1)
        {
            long between = (mapped + beyond) / 2;
            if (Granules.IsMapped(Granules.AddressOf(0) + between)) mapped = between;
            else beyond = between;
        }
        Assert.Equal(0, beyond % Granules.Size);
        _ = Volatile.Read(ref *(Granules.AddressOf(0) + mapped + Granules.Size));
    }

    private static void FreeEverything()
    {
        Heap.Free(Heap.Allocate(1));
        long before = ResidentBytes();
        var queue = new ConcurrentQueue<nint>();
        Task filler = Task.Factory.StartNew(
            () =>
            {
                Random random = new(1);
                for (long bytes = 0; bytes < 300 << 20;)
                {
                    int length = 1 << random.Next(4, random.Next(100) == 0 ? 21 : 13);
                    byte* block = Heap.Allocate(length);
                    new Span<byte>(block, length).Fill(1);
                    queue.Enqueue((nint)block);
                    bytes += length;
                }
            },
            TaskCreationOptions.LongRunning);
        filler.Wait();
        long full = ResidentBytes();
        Assert.True(full - before > 250 << 20, $"{full - before:N0} bytes more");
        while (queue.TryDequeue(out nint block)) Heap.Free((byte*)block);
        Heap.Trim(0);
        HeapStatistics heap = Heap.Statistics();
        Assert.Equal(new HeapStatistics(0, 0, 0, 0), heap);
        long after = ResidentBytes();
        Assert.True(after - before < 60 << 20, $"{after - before:N0} bytes are left");
    }

    private static void WaitForTheKeeper()
    {
        var keeper = new HeapKeeper();
        nint[] blocks = [.. Enumerable.Range(0, 1_000_000).Select(i => (nint)Heap.AllocateZeroed(i % 200))];
        keeper.Run(Environment.TickCount64);
        foreach (nint block in blocks) Heap.Free((byte*)block);
        Eventually.TrueAsync(
            () =>
            {
                keeper.Run(Environment.TickCount64);
                return Heap.Statistics() == default;
            },
            () => $"{Heap.Statistics()}").Wait();
    }

    private static void OverwriteLargeBlocks()
    {
        Random random = new(1);
        long before = ResidentBytes(), live = 0;
        var blocks = new nint[2000];
        for (int i = 0; i < 8000; i++)
        {
            ref nint block = ref blocks[i % blocks.Length];
            if (block != 0)
            {
                live -= Heap.SizeOf((byte*)block);
                Heap.Free((byte*)block);
            }
            int length = random.Next(33_000, 150_000);
            block = (nint)Heap.Allocate(length);
            live += Heap.SizeOf((byte*)block);
            new Span<byte>((void*)block, length).Fill(1);
        }
        Heap.Trim(0);
        HeapStatistics heap = Heap.Statistics();
        Assert.Equal(live, heap.LiveBytes);
        Assert.True(heap.ResidentBytes < live * 1.01, $"{live:N0} bytes live; {heap}");
        Assert.True(ResidentBytes() - before < live * 1.2, $"{live:N0} bytes live, {ResidentBytes() - before:N0} resident");
    }

    private static void EndThreads()
    {
        for (int i = 0; i < 20; i++)
        {
            var thread = new Thread(() =>
            {
                for (int size = 0; size < 32_000; size += 100) Heap.Free(Heap.Allocate(size));
            });
            thread.Start();
            thread.Join();
        }
        Assert.NotEqual(0, Heap.Statistics().LiveBytes);
        Heap.Trim(0);
        Assert.Equal(new HeapStatistics(0, 0, 0, 0), Heap.Statistics());
    }

    private static void Defragment()
    {
        Random random = new(1);
        var blocks = new List<Block>();
        for (int i = 0; i < 400_000; i++) blocks.Add(Block.Make(random.Next(300), (byte)i, isZeroed: false));
        random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(blocks));
        foreach (Block block in blocks[40_000..]) block.Free();
        blocks.RemoveRange(40_000, blocks.Count - 40_000);
        Heap.Trim(0);
        HeapStatistics before = Heap.Statistics();
        var effort = new DefragmentationEffort(IgnoreBytes: 1 << 20, ThresholdLower: 10, ThresholdUpper: 100, CycleMin: 1, CycleMax: 25);
        Assert.Equal(25, effort.PercentOfTime(before, 0));
        Assert.True(Defragmentation.Begin() > before.SpanBytes / 2);
        for (int i = 0; i < blocks.Count; i++) blocks[i] = blocks[i].Move();
        Defragmentation.End();
        Assert.False(Defragmentation.IsUnderWay);
        HeapStatistics after = Heap.Statistics();
        Assert.True(after.LiveBytes == before.LiveBytes, $"{before} {after}");
        Assert.True(after.SpanBytes < before.SpanBytes / 4, $"{before} {after}");
        Assert.True(after.FragmentationPercent < 60, $"{before} {after}");
        Assert.InRange(Defragmentation.MovedBlocks, 10_000, 40_000);
        foreach (Block block in blocks) block.Free();
        Heap.Trim(0);
        Assert.Equal(new HeapStatistics(0, 0, 0, 0), Heap.Statistics());
    }

    private static long ResidentBytes() =>
        long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize;

    private readonly record struct Block(nint Address, int Length, byte Filler)
    {
        public static Block Make(int length, byte filler, bool isZeroed)
        {
            byte* address = isZeroed ? Heap.AllocateZeroed(length) : Heap.Allocate(length);
            if (isZeroed) Assert.False(new ReadOnlySpan<byte>(address, length).ContainsAnyExcept((byte)0));
            new Span<byte>(address, length).Fill(filler);
            return new((nint)address, length, filler);
        }

        public Block Move()
        {
            Check();
            return Defragmentation.ShouldMove((byte*)Address) ? this with { Address = (nint)Defragmentation.Move((byte*)Address) } : this;
        }

        public void Free()
        {
            Check();
            Heap.Free((byte*)Address);
        }

        private void Check() => Assert.False(new ReadOnlySpan<byte>((void*)Address, Length).ContainsAnyExcept(Filler), "A block has changed.");
    }
}
