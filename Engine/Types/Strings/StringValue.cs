namespace OrleansRedis.Engine;

/// <summary>A string too large for a blob, or one that grows in place: bytes followed by spare room.</summary>
internal sealed class StringValue(byte[] key, byte[] bytes, int length) : Value(key)
{
    private byte[] _bytes = bytes;

    /// <summary>The length of the string.</summary>
    public int Length { get; private set; } = length;

    /// <summary>A command has modified it in place, or it is too long for embstr: raw either way.</summary>
    public override string Encoding => "raw";

    public override ValueType Type => ValueType.String;

    public override long Bytes => Blob.AllocatedBytes(Key.Length) + Blob.AllocatedBytes(_bytes.Length) + 72;

    public override long ElementCount => 1;

    public override long FreeEffort => 1;

    public Span<byte> Span => _bytes.AsSpan(0, Length);

    public override Value Clone(byte[] key) => new StringValue(key, Span.ToArray(), Length) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };

    /// <summary>
    /// Makes the string at least this long, with new bytes being zero, and returns all of it. It grows by doubling up
    /// to 1 MB, then by 1 MB, as Redis's strings do.
    /// </summary>
    public Span<byte> Extend(int length)
    {
        if (length <= Length) return Span;
        if (length > _bytes.Length)
        {
            int room = (int)Math.Min(Array.MaxLength, length + (long)Math.Min(length, 1024 * 1024));
            byte[] larger = GC.AllocateUninitializedArray<byte>(room);
            Span.CopyTo(larger);
            _bytes = larger;
        }
        _bytes.AsSpan(Length, length - Length).Clear();
        Length = length;
        return Span;
    }
}
