using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class HousekeepingTests
{
    [Fact]
    public Task What_stays_free_goes_back_to_the_system_though_nobody_asks_for_it() => OwnProcess.RunAsync(FreeAndWait);

    [Fact]
    public Task Garbage_is_collected_when_nobody_uses_the_server() => OwnProcess.RunAsync(StartAndWait);

    private static void StartAndWait()
    {
        InProcessServer server = InProcessServer.StartAsync().GetAwaiter().GetResult();
        int collections = GC.CollectionCount(GC.MaxGeneration);
        byte[][] garbage = [.. Enumerable.Range(0, 100).Select(_ => new byte[40_000])];
        GC.KeepAlive(garbage);
        Eventually.TrueAsync(() => GC.CollectionCount(GC.MaxGeneration) > collections).GetAwaiter().GetResult();
        server.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private static void FreeAndWait()
    {
        InProcessServer server = InProcessServer.StartAsync().GetAwaiter().GetResult();
        HeapStatistics atRest = Heap.Statistics();
        AllocateAndFree();
        Assert.True(Heap.Statistics().ResidentBytes > atRest.ResidentBytes);
        Eventually.TrueAsync(() => Granules.DirtyBytes == 0 && Heap.Statistics().SpanBytes <= atRest.SpanBytes, () => $"{Heap.Statistics()}")
            .GetAwaiter().GetResult();
        server.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private static unsafe void AllocateAndFree()
    {
        nint[] blocks = [.. Enumerable.Range(0, 100_000).Select(i => (nint)Heap.AllocateZeroed(1 + (i % 1000)))];
        foreach (nint block in blocks) Heap.Free((byte*)block);
    }
}
