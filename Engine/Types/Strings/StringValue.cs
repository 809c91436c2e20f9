namespace OrleansRedis.Engine;

/// <summary>A string too large for a blob, or one that grows in place: bytes followed by spare room.</summary>
internal sealed unsafe class StringValue : Value
{
    private const int ObjectBytes = 80;

    private byte* _block;

    public StringValue(byte[] key, ReadOnlySpan<byte> content, int room = 0) : base(key)
    {
        _block = Heap.Allocate(Math.Max(content.Length, room));
        content.CopyTo(new(_block, content.Length));
        Length = content.Length;
    }

    /// <summary>The length of the string.</summary>
    public int Length { get; private set; }

    /// <summary>A command has modified it in place, or it is too long for embstr: raw either way.</summary>
    public override string Encoding => "raw";

    public override ValueType Type => ValueType.String;

    public override long Bytes => KeyBytes + Heap.AllocatedBytes(_block) + ObjectBytes;

    public override long ElementCount => 1;

    public override long FreeEffort => 1;

    public Span<byte> Span => new(_block, Length);

    public override Value Clone(byte[] key) => new StringValue(key, Span) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };

    /// <summary>
    /// Makes the string at least this long, with new bytes being zero, and returns all of it. It grows by doubling up
    /// to 1 MB, then by 1 MB, as Redis's strings do.
    /// </summary>
    public Span<byte> Extend(int length)
    {
        if (length <= Length) return Span;
        if (length > Heap.SizeOf(_block))
        {
            int room = (int)Math.Min(Heap.LargestBlock, length + (long)Math.Min(length, 1024 * 1024));
            byte* larger = Heap.Allocate(room);
            Span.CopyTo(new(larger, Length));
            Retirement.Retire(_block);
            _block = larger;
        }
        new Span<byte>(_block + Length, length - Length).Clear();
        Length = length;
        return Span;
    }

    public override object? Defragment(BlockMover mover, object? from)
    {
        _block = mover.Move(_block);
        return null;
    }

    protected override void FreeElements() => Heap.Free(_block);
}
