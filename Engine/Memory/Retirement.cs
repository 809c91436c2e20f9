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
/// removed. They are given back when the thread has left its last gate. So whatever a command has found stays readable
/// to its end, and no command needs to know what its own changes may have moved.
/// </summary>
internal static unsafe class Retirement
{
    /// <summary>What takes more effort than this is freed in the background.</summary>
    private const int MostEffort = 64;

    [ThreadStatic]
    private static int t_gates;

    [ThreadStatic]
    private static Retired? t_retired;

    /// <summary>The thread has passed a gate.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Entered() => t_gates++;

    /// <summary>The thread has left a gate.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Left()
    {
        if (--t_gates == 0 && t_retired is { IsEmpty: false } retired) retired.FreeAll();
    }

    /// <summary>
    /// A command has ended while the thread keeps its gates for the next one (in a transaction or a script), or the
    /// thread passes no gates (it fills a slot that nobody else sees): what was found so far is no longer looked at.
    /// </summary>
    public static void CommandEnded()
    {
        if (t_retired is { IsEmpty: false } retired) retired.FreeAll();
    }

    /// <summary>
    /// A command has thrown. What it has retired may still be in its place, so that memory is lost instead.
    /// </summary>
    public static void CommandFailed() => t_retired?.Forget();

    /// <summary>Gives a block back once the command has ended.</summary>
    public static void Retire(byte* block) => (t_retired ??= new()).Add(block);

    /// <inheritdoc cref="Retire(byte*)"/>
    public static void Retire(IFreeable item) => (t_retired ??= new()).Items.Add(item);

    private sealed class Retired
    {
        private const int KeptCapacity = 1024;

        private nint[] _blocks = new nint[64];
        private int _count;

        public List<IFreeable> Items { get; } = [];

        public bool IsEmpty => _count == 0 && Items.Count == 0;

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

        [MethodImpl(MethodImplOptions.NoInlining)]
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
