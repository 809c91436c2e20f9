using System.Buffers;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The bytes that a connection has received but not used up yet: an incomplete request, or requests that wait for an
/// earlier one. Contiguous, so that requests can be read from it as one span.
/// </summary>
internal sealed class InputBuffer
{
    /// <summary>An empty buffer that is not larger than this is kept until <see cref="Shrink"/>.</summary>
    private const int LargestKept = 64 * 1024;

    private byte[] _bytes = [];
    private int _start;

    public int Length { get; private set; }

    public int Capacity => _bytes.Length;

    public ReadOnlySpan<byte> Span => _bytes.AsSpan(_start, Length);

    /// <summary>
    /// Adds bytes. If the length to come is known, makes room for <paramref name="expectedLength"/> bytes in all.
    /// </summary>
    public void Append(ReadOnlySpan<byte> bytes, long expectedLength = 0)
    {
        if (bytes.IsEmpty) return;
        Reserve(bytes.Length, expectedLength);
        bytes.CopyTo(_bytes.AsSpan(_start + Length));
        Length += bytes.Length;
    }

    /// <inheritdoc cref="Append(ReadOnlySpan{byte}, long)"/>
    public void Append(in ReadOnlySequence<byte> bytes, long expectedLength = 0)
    {
        Reserve(checked((int)bytes.Length), expectedLength);
        bytes.CopyTo(_bytes.AsSpan(_start + Length));
        Length += (int)bytes.Length;
    }

    /// <summary>Drops bytes at the front.</summary>
    public void Consume(int count)
    {
        _start += count;
        Length -= count;
        if (Length != 0) return;
        _start = 0;
        if (_bytes.Length > LargestKept) Shrink();
    }

    /// <summary>Gives the buffer back, if it is empty.</summary>
    public void Shrink()
    {
        if (Length == 0) Discard();
    }

    /// <summary>Gives the buffer back with all that is in it.</summary>
    public void Discard()
    {
        if (_bytes.Length != 0) LargeBuffers.Return(_bytes);
        _bytes = [];
        _start = Length = 0;
    }

    private void Reserve(int more, long expectedLength)
    {
        if (_bytes.Length - _start - Length >= more) return;
        long needed = (long)Length + more;
        // Grow towards a large announced length by doubling: a client that announces much and sends nothing costs
        // nothing.
        long room = Math.Max(needed, Math.Min(Math.Max(expectedLength, 4096), needed * 2));
        if (room <= _bytes.Length)
        {
            Span.CopyTo(_bytes);
        }
        else
        {
            byte[] larger = LargeBuffers.Rent((int)Math.Min(Array.MaxLength, room));
            Span.CopyTo(larger);
            if (_bytes.Length != 0) LargeBuffers.Return(_bytes);
            _bytes = larger;
        }
        _start = 0;
    }
}
