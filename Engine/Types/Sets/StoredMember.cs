using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A member of a <see cref="SetValue"/> in a block of its own: 1 byte of length, or 255 and 4 bytes of length, then the
/// member's bytes.
/// </summary>
internal readonly unsafe struct StoredMember : ITableEntry
{
    private readonly byte* _block;

    private StoredMember(byte* block)
    {
        _block = block;
    }

    public bool IsNone
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _block == null;
    }

    /// <summary>Where it lies.</summary>
    public byte* Block => _block;

    public ReadOnlySpan<byte> Key
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => *_block != byte.MaxValue ? new(_block + 1, *_block) : new(_block + 5, *(int*)(_block + 1));
    }

    public int AllocatedBytes => Heap.AllocatedBytes(_block);

    public static StoredMember Create(ReadOnlySpan<byte> member)
    {
        int start = member.Length < byte.MaxValue ? 1 : 5;
        byte* block = Heap.Allocate(checked(start + member.Length));
        *block = (byte)Math.Min(member.Length, byte.MaxValue);
        if (start == 5) *(int*)(block + 1) = member.Length;
        member.CopyTo(new(block + start, member.Length));
        return new(block);
    }

    public void Retire() => Retirement.Retire(_block);

    public void Free() => Heap.Free(_block);
}
