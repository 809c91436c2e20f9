namespace OrleansRedis.Engine;

/// <summary>
/// A stretch of the <see cref="ReplicationLog"/>'s bytes, as one of its readers holds them, to be read by position.
/// </summary>
public sealed class LogBytes
{
    private readonly List<ReadOnlyMemory<byte>> _pieces = [];
    private long _start;
    private long _pieceStart; // of the piece last read
    private int _piece;

    /// <summary>Takes the bytes between two positions, in place of the previous ones.</summary>
    public void Collect(LogReader reader, long from, long to)
    {
        reader.Collect(from, to, _pieces);
        _start = _pieceStart = from;
        _piece = 0;
    }

    /// <summary>Forgets the bytes.</summary>
    public void Clear() => _pieces.Clear();

    /// <summary>Copies the bytes from a position on. Fast if the position is close behind the previous one.</summary>
    public void CopyTo(long position, Span<byte> into)
    {
        if (position < _pieceStart)
        {
            _pieceStart = _start;
            _piece = 0;
        }
        while (!into.IsEmpty)
        {
            ReadOnlySpan<byte> piece = _pieces[_piece].Span;
            long skip = position - _pieceStart;
            if (skip >= piece.Length)
            {
                _pieceStart += piece.Length;
                _piece++;
                continue;
            }
            piece = piece[(int)skip..];
            if (piece.Length > into.Length) piece = piece[..into.Length];
            piece.CopyTo(into);
            into = into[piece.Length..];
            position += piece.Length;
        }
    }
}
