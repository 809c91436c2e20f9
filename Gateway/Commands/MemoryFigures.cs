using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>What INFO, MEMORY STATS and MEMORY DOCTOR say about memory, all of it as it is at one moment.</summary>
/// <param name="Used">
/// Bytes that the slots take, with their keys, and, if there is a maxmemory, what waits for clients: what maxmemory limits.
/// </param>
/// <param name="Peak">The most that they ever took.</param>
/// <param name="Startup">Bytes that they take without keys.</param>
/// <param name="Dataset">Bytes of the keys.</param>
/// <param name="Resident">Bytes of the process that are in memory.</param>
/// <param name="Heap">The memory that the data live in.</param>
/// <param name="ManagedBytes">
/// What the runtime's collector has taken from the system, as of its last run, or has in use now if that is more.
/// </param>
/// <param name="ClientBytes">Bytes that the clients take: their buffers, most of all.</param>
/// <param name="Clients">Number of clients.</param>
internal sealed record MemoryFigures(
    long Used, long Peak, long Startup, long Dataset, long Resident, HeapStatistics Heap, long ManagedBytes, long ClientBytes, int Clients)
{
    /// <summary>The name of the allocator that keys and values live in.</summary>
    public const string Allocator = "orleansredis-heap";

    /// <summary>Of what was allocated, how much more is taken for want of defragmentation.</summary>
    public double FragmentationRatio => Ratio(Heap.LiveBytes + Heap.FreeBytes, Heap.LiveBytes);

    /// <summary>Resident memory of the allocator, by what is active: more than 1 while free memory is kept.</summary>
    public double AllocatorResidentRatio => Ratio(Heap.ResidentBytes, Heap.SpanBytes);

    public long AllocatorResidentBytes => Heap.ResidentBytes - Heap.SpanBytes;

    /// <summary>Resident memory of the process, by that of the allocator: the program itself, the collector's heap, buffers.</summary>
    public double OverheadRatio => Ratio(Resident, Heap.ResidentBytes);

    public long OverheadBytes => Resident - Heap.ResidentBytes;

    /// <summary>Resident memory, by what is used.</summary>
    public double ResidentRatio => Ratio(Resident, Used);

    public long ResidentBytesBeyondUsed => Resident - Used;

    /// <summary>Bytes that the data take, with everything that is there for them, beyond what an empty server takes.</summary>
    public long Net => Math.Max(0, Used - Startup);

    public double DatasetPercent => Net == 0 ? 0 : Math.Min(100, Dataset * 100.0 / Net);

    public double PeakPercent => Peak == 0 ? 0 : Used * 100.0 / Peak;

    public static MemoryFigures Of(RedisServer server)
    {
        Store store = server.Store;
        ClientConnection[] clients = [.. server.Clients.All];
        long used = store.UsedMemory + store.WaitingBytes;
        long managed = Math.Max(GC.GetGCMemoryInfo(GCKind.Any).TotalCommittedBytes, GC.GetTotalMemory(forceFullCollection: false));
        return new(used, Math.Max(used, store.PeakMemory), store.Slots.EmptyBytes, store.Slots.CountBytes(), Environment.WorkingSet, HeapStatistics.Now,
            managed, clients.Sum(client => client.MemoryBytes), clients.Length);
    }

    private static double Ratio(long part, long whole) => whole == 0 ? 0 : (double)part / whole;
}
