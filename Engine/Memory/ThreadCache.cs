using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The blocks of each size class that one thread has at hand, so that it seldom meets others. Only that thread uses it,
/// unless someone empties it (<see cref="Flush"/>): then the thread stands aside for a moment.
/// </summary>
internal sealed unsafe class ThreadCache
{
    /// <summary>A bin holds about so many bytes, and at least and at most so many blocks.</summary>
    private const int BinBytes = 16 * 1024, LeastBlocks = 2, MostBlocks = 128;

    /// <summary>Whoever empties a cache waits about so long for its owner, which may have lost the processor.</summary>
    private const int MostSpins = 100;

    /// <summary>Empty bins, to exchange for those of the next cache that is emptied. Under the lock of Flush's caller.</summary>
    private static Bin* s_spare;

    private readonly Thread _owner = Thread.CurrentThread;
    private Bin* _bins = MakeBins();

    // Odd while the owner is at work. Only the owner writes it, without a fence; see Flush.
    private volatile int _turn;
    private volatile bool _isWanted;
    private int _flushedAtTurn;
#pragma warning disable CS0169, CA1823, IDE0051 // what the next object writes is not to be in the same line of the processor's cache
    private readonly Line _padding;
#pragma warning restore CS0169, CA1823, IDE0051

    /// <summary>Whether the thread has ended, so that nobody will use this again.</summary>
    public bool IsOrphan => !_owner.IsAlive;

    /// <summary>Whether it was used since it was emptied.</summary>
    public bool WasUsed => _turn != _flushedAtTurn;

    public byte* Take(int sizeClass)
    {
        int turn = Enter();
        Bin* bin = _bins + sizeClass;
        int count = bin->Count;
        if (count == 0) count = Refill(sizeClass, bin, turn);
        byte* block = (byte*)bin->Blocks[--count];
        bin->Count = count;
        _turn = turn + 2;
        return block;
    }

    public void Return(byte* block, int sizeClass)
    {
        int turn = Enter();
        Bin* bin = _bins + sizeClass;
        int count = bin->Count;
        if (count == bin->Limit) count = Spill(sizeClass, bin);
        bin->Blocks[count] = (nint)block;
        bin->Count = count + 1;
        _turn = turn + 2;
    }

    /// <summary>
    /// Empties a cache, whosever it is. What it holds pins the spans that it lies in, so this goes before giving memory back
    /// to the system. One call at a time. False if its owner is in the middle of something and stays there, which is
    /// unlikely; then nothing has happened.
    /// </summary>
    public bool Flush()
    {
        if (!WasUsed) return true;
        Bin* empty = s_spare == null ? MakeBins() : s_spare, full = _bins;
        _isWanted = true;
        // The owner writes _turn and then reads _isWanted with no fence between. This one, on every core, stands in for it:
        // either the owner sees that the cache is wanted, or we see that it is at work.
        Interlocked.MemoryBarrierProcessWide();
        var wait = default(SpinWait);
        int turn = _turn;
        for (int spins = 0; (turn & 1) != 0 && spins < MostSpins; spins++)
        {
            wait.SpinOnce(sleep1Threshold: -1);
            turn = _turn;
        }
        bool isOurs = (turn & 1) == 0;
        if (isOurs)
        {
            _bins = empty;
            _flushedAtTurn = turn;
        }
        _isWanted = false;
        s_spare = empty;
        if (!isOurs) return false;
        ReturnAll(full);
        s_spare = full;
        return true;
    }

    /// <summary>Gives up the cache of a thread that has ended, after a <see cref="Flush"/>.</summary>
    public void Release()
    {
        NativeMemory.AlignedFree(_bins);
        _bins = null;
    }

    private static Bin* MakeBins()
    {
        nuint blocks = 0;
        for (int i = 1; i <= SizeClasses.Count; i++) blocks += (nuint)LimitOf(i);
        const nuint BinsBytes = (SizeClasses.Count + 1) * 16;
        var bins = (Bin*)NativeMemory.AlignedAlloc(BinsBytes + (blocks * (nuint)sizeof(nint)), Line.Bytes);
        nint* next = (nint*)(bins + SizeClasses.Count + 1);
        bins[0] = default;
        for (int i = 1; i <= SizeClasses.Count; i++)
        {
            bins[i] = new() { Blocks = next, Limit = LimitOf(i) };
            next += LimitOf(i);
        }
        return bins;
    }

    private static int LimitOf(int sizeClass) => Math.Clamp(BinBytes / SizeClasses.SizeOf(sizeClass), LeastBlocks, MostBlocks);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Enter()
    {
        int turn = _turn;
        _turn = turn + 1;
        if (_isWanted) StandAside(turn);
        return turn;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void StandAside(int turn)
    {
        var wait = default(SpinWait);
        do
        {
            _turn = turn;
            while (_isWanted) wait.SpinOnce(sleep1Threshold: -1);
            _turn = turn + 1;
        }
        while (_isWanted);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int Refill(int sizeClass, Bin* bin, int turn)
    {
        try
        {
            return Heap.SpansOf(sizeClass).Take(bin->Blocks, Math.Max(1, bin->Limit / 2));
        }
        catch
        {
            _turn = turn;
            throw;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Spill(int sizeClass, Bin* bin)
    {
        // The oldest go: the others are more likely to be in the processor's cache.
        int count = bin->Limit / 2, rest = bin->Count - count;
        Heap.SpansOf(sizeClass).Return(bin->Blocks, count);
        new ReadOnlySpan<nint>(bin->Blocks + count, rest).CopyTo(new(bin->Blocks, rest));
        return rest;
    }

    private static void ReturnAll(Bin* bins)
    {
        for (int i = 1; i <= SizeClasses.Count; i++)
        {
            if (bins[i].Count == 0) continue;
            Heap.SpansOf(i).Return(bins[i].Blocks, bins[i].Count);
            bins[i].Count = 0;
        }
    }

    private struct Bin
    {
        public nint* Blocks;
        public int Count;
        public int Limit;
    }

    [InlineArray(Bytes)]
    private struct Line
    {
        public const int Bytes = 128;

        private byte _first;
    }
}
