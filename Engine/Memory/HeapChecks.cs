using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Finds errors in the use of the <see cref="Heap"/>, for tests: with ORLEANSREDIS_HEAP_CHECKS=1 in the environment every
/// block is followed by guard bytes, and one that is given back is filled with poison and kept aside for a while. Who
/// writes beyond a block, frees it twice or writes to it afterwards ends the process with a message; who reads it
/// afterwards reads poison. Without that variable this costs nothing: the compiler removes it.
/// </summary>
internal static unsafe class HeapChecks
{
    public static readonly bool AreOn = Environment.GetEnvironmentVariable("ORLEANSREDIS_HEAP_CHECKS") == "1";

    private const ulong Guard = 0xfdfd_fdfd_fdfd_fdfd, InUse = 0x1ace_1ace_1ace_1ace, Freed = 0xdead_dead_dead_dead;
    private const byte Fresh = 0xcd, Poison = 0xdd;
    private const int QuarantinedBytes = 64 * 1024 * 1024, Words = 2;

    private static readonly Lock s_lock = new();
    private static readonly Queue<nint> s_quarantine = new();
    private static long s_quarantinedBytes;

    /// <summary>What the guard bytes take at the end of each block: the guard itself, and whether it is in use.</summary>
    public static int Overhead
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => AreOn ? Words * sizeof(ulong) : 0;
    }

    public static byte* Allocate(int length)
    {
        byte* block = Heap.AllocateUnchecked(length + Overhead);
        int size = Heap.SizeOf(block);
        new Span<byte>(block, size).Fill(Fresh);
        *(ulong*)(block + size) = Guard;
        *(ulong*)(block + size + sizeof(ulong)) = InUse;
        return block;
    }

    public static void Free(byte* block)
    {
        if (!Heap.IsBlock(block)) Fail("Something was freed that is no block", block, 0);
        int size = Heap.SizeOf(block);
        if (*(ulong*)(block + size) != Guard) Fail("Something was written behind a block", block, size);
        if (Interlocked.Exchange(ref *(ulong*)(block + size + sizeof(ulong)), Freed) != InUse) Fail("A block was freed twice", block, size);
        new Span<byte>(block, size).Fill(Poison);
        lock (s_lock)
        {
            s_quarantine.Enqueue((nint)block);
            s_quarantinedBytes += size;
            while (s_quarantinedBytes > QuarantinedBytes) Release((byte*)s_quarantine.Dequeue());
        }
    }

    /// <summary>Checks what was freed and is kept aside, and lets go of it.</summary>
    public static void ReleaseAll()
    {
        lock (s_lock)
        {
            while (s_quarantine.TryDequeue(out nint block)) Release((byte*)block);
        }
    }

    private static void Release(byte* block)
    {
        int size = Heap.SizeOf(block);
        s_quarantinedBytes -= size;
        if (new ReadOnlySpan<byte>(block, size).ContainsAnyExcept(Poison)
            || *(ulong*)(block + size) != Guard || *(ulong*)(block + size + sizeof(ulong)) != Freed)
            Fail("A block was written to after it was freed", block, size);
        Heap.FreeUnchecked(block);
    }

    private static void Fail(string what, byte* block, int size)
    {
        string content = Convert.ToHexString(new ReadOnlySpan<byte>(block, Math.Min(size, 64)));
        Environment.FailFast($"{what}: {size} bytes at {(nint)block:x}, beginning with {content}.");
    }
}
