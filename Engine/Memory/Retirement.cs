using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>Something whose memory is freed as a whole.</summary>
internal interface IFreeable
{
    /// <summary>About how many blocks it gives back; decides whether that is left to the background.</summary>
    long FreeEffort { get; }

    /// <summary>Gives all its memory back. Nothing may look at it any more.</summary>
    void Free();
}

/// <summary>
/// Blocks that nothing leads to any more, but which the command that runs may still look at: what it has replaced or
/// removed. They are given back by <see cref="Sweep"/>, when the command has ended and the thread has left its last gate.
/// So whatever a command has found stays readable to its end, and no command needs to know what its own changes may have
/// moved.
/// </summary>
internal static unsafe class Retirement
{
    /// <summary>What takes more effort than this is freed in the background.</summary>
    private const int MostEffort = 64;

    [ThreadStatic]
    private static bool t_hasAny;

    [ThreadStatic]
    private static Retired? t_retired;

    /// <summary>
    /// Gives back what this thread has retired. To be called wherever nothing that was found before is looked at any
    /// more: when a thread has left its last gate, between the commands of a transaction or a script, and by a thread
    /// that passes no gates (it fills a slot that nobody else sees).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Sweep()
    {
        if (t_hasAny) FreeAll();
    }

    /// <summary>
    /// A command has thrown. What it has retired may still be in its place, so that memory is lost instead.
    /// </summary>
    public static void Forget()
    {
        t_hasAny = false;
        t_retired?.Forget();
    }

    /// <summary>Gives a block back once the command has ended.</summary>
    public static void Retire(byte* block)
    {
        t_hasAny = true;
        (t_retired ??= new()).Add(block);
    }

    /// <inheritdoc cref="Retire(byte*)"/>
    public static void Retire(IFreeable item)
    {
        t_hasAny = true;
        (t_retired ??= new()).Items.Add(item);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void FreeAll()
    {
        t_hasAny = false;
        t_retired!.FreeAll();
    }

    private sealed class Retired
    {
        private const int KeptCapacity = 1024;

        private nint[] _blocks = new nint[64];
        private int _count;

        public List<IFreeable> Items { get; } = [];

        public void Add(byte* block)
        {
            if (_count == _blocks.Length) Array.Resize(ref _blocks, _blocks.Length * 2);
            _blocks[_count++] = (nint)block;
        }

        public void Forget()
        {
            _count = 0;
            Items.Clear();
        }

        public void FreeAll()
        {
            for (int i = 0; i < _count; i++) Heap.Free((byte*)_blocks[i]);
            _count = 0;
            if (_blocks.Length > KeptCapacity) _blocks = new nint[64];
            if (Items.Count == 0) return;
            // By number: to free one may be to retire another.
            for (int i = 0; i < Items.Count; i++)
            {
                IFreeable item = Items[i];
                if (item.FreeEffort > MostEffort) LazyFree.Add(item);
                else item.Free();
            }
            Items.Clear();
            if (Items.Capacity > KeptCapacity) Items.Capacity = 4;
            if (_count > 0) FreeAll();
        }
    }
}
