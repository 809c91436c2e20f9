using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A member of a large sorted set in a block of its own: 8 bytes of score, the member's length (1 byte, or 255 and 4
/// bytes), then the member's bytes. The dictionary and the order of the set share it.
/// </summary>
internal readonly unsafe struct ScoredMember : ITableEntry
{
    private const int Head = sizeof(double);

    private readonly byte* _block;

    private ScoredMember(byte* block)
    {
        _block = block;
    }

    public bool IsNone
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _block == null;
    }

    /// <summary>The one in this block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ScoredMember At(byte* block) => new(block);

    /// <summary>Where it lies.</summary>
    public byte* Block => _block;

    /// <summary>The member's bytes.</summary>
    public ReadOnlySpan<byte> Key
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _block[Head] != byte.MaxValue ? new(_block + Head + 1, _block[Head]) : new(_block + Head + 5, *(int*)(_block + Head + 1));
    }

    public double Score => *(double*)_block;

    public int AllocatedBytes => Heap.AllocatedBytes(_block);

    public static ScoredMember Create(double score, ReadOnlySpan<byte> member)
    {
        int start = Head + (member.Length < byte.MaxValue ? 1 : 5);
        byte* block = Heap.Allocate(checked(start + member.Length));
        *(double*)block = score;
        block[Head] = (byte)Math.Min(member.Length, byte.MaxValue);
        if (start == Head + 5) *(int*)(block + Head + 1) = member.Length;
        member.CopyTo(new(block + start, member.Length));
        return new(block);
    }

    public void SetScore(double score) => *(double*)_block = score;

    /// <summary>Gives these back once the command has ended.</summary>
    public static void Retire(ReadOnlySpan<ScoredMember> entries)
    {
        foreach (ScoredMember entry in entries) entry.Retire();
    }

    public void Retire() => Retirement.Retire(_block);

    public void Free() => Heap.Free(_block);
}
