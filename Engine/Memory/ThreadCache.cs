using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The blocks of each size class that one thread has at hand, so that it seldom meets others. Only that thread uses it,
/// unless someone empties it (<see cref="Flush"/>): then the thread stands aside for that long.
/// </summary>
internal sealed unsafe class ThreadCache
{
    /// <summary>A bin holds about so many bytes, and at least and at most so many blocks.</summary>
    private const int BinBytes = 16 * 1024, LeastBlocks = 4, MostBlocks = 128;

    private readonly Bin* _bins = (Bin*)NativeMemory.AllocZeroed(SizeClasses.Count + 1, (nuint)sizeof(Bin));
    private readonly Thread _owner = Thread.CurrentThread;
    private volatile bool _isBusy;
    private volatile bool _isWanted;

    public ThreadCache()
    {
        for (int i = 1; i <= SizeClasses.Count; i++)
        {
            _bins[i].Limit = Math.Clamp(BinBytes / SizeClasses.SizeOf(i), LeastBlocks, MostBlocks);
            _bins[i].Blocks = (nint*)NativeMemory.Alloc((nuint)_bins[i].Limit, (nuint)sizeof(nint));
        }
    }

    /// <summary>Whether the thread has ended, so that nobody will use this again.</summary>
    public bool IsOrphan => !_owner.IsAlive;

    public byte* Take(int sizeClass)
    {
        Enter();
        Bin* bin = _bins + sizeClass;
        if (bin->Count == 0) Refill(sizeClass, bin);
        byte* block = (byte*)bin->Blocks[--bin->Count];
        _isBusy = false;
        return block;
    }

    public void Return(byte* block, int sizeClass)
    {
        Enter();
        Bin* bin = _bins + sizeClass;
        if (bin->Count == bin->Limit) Spill(sizeClass, bin);
        bin->Blocks[bin->Count++] = (nint)block;
        _isBusy = false;
    }

    /// <summary>
    /// Empties caches of other threads. What they hold pins the spans that it lies in, so this goes before giving memory
    /// back to the system.
    /// </summary>
    public static void Flush(IReadOnlyList<ThreadCache> caches)
    {
        foreach (ThreadCache cache in caches) cache._isWanted = true;
        // The owner writes _isBusy and then reads _isWanted with no fence between. This one, on every core, stands in
        // for it: either the owner sees that the cache is wanted, or we see that it is busy.
        Interlocked.MemoryBarrierProcessWide();
        foreach (ThreadCache cache in caches)
        {
            var wait = default(SpinWait);
            while (cache._isBusy) wait.SpinOnce();
            cache.ReturnAll();
            cache._isWanted = false;
        }
    }

    /// <summary>Gives up the cache of a thread that has ended, after a <see cref="Flush"/>.</summary>
    public void Release()
    {
        for (int i = 1; i <= SizeClasses.Count; i++) NativeMemory.Free(_bins[i].Blocks);
        NativeMemory.Free(_bins);
    }

    private void Enter()
    {
        _isBusy = true;
        if (_isWanted) StandAside();
    }

    private void StandAside()
    {
        var wait = default(SpinWait);
        do
        {
            _isBusy = false;
            while (_isWanted) wait.SpinOnce();
            _isBusy = true;
        }
        while (_isWanted);
    }

    private static void Refill(int sizeClass, Bin* bin)
    {
        int count = Math.Max(1, bin->Limit / 2);
        Heap.SpansOf(sizeClass).Take(bin->Blocks, count);
        bin->Count = count;
    }

    private static void Spill(int sizeClass, Bin* bin)
    {
        // The oldest go: the others are more likely to be in the processor's cache.
        int count = bin->Limit / 2, rest = bin->Count - count;
        Heap.SpansOf(sizeClass).Return(bin->Blocks, count);
        new ReadOnlySpan<nint>(bin->Blocks + count, rest).CopyTo(new(bin->Blocks, rest));
        bin->Count = rest;
    }

    private void ReturnAll()
    {
        for (int i = 1; i <= SizeClasses.Count; i++)
        {
            if (_bins[i].Count == 0) continue;
            Heap.SpansOf(i).Return(_bins[i].Blocks, _bins[i].Count);
            _bins[i].Count = 0;
        }
    }

    private struct Bin
    {
        public nint* Blocks;
        public int Count;
        public int Limit;
    }
}
