using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;

namespace OrleansRedis.Gateway;

/// <summary>
/// The encrypted side of a TLS connection, as <see cref="System.Net.Security.SslStream"/> sees it. During the handshake
/// it receives on its own, and the computing is done on the thread pool, when it is its turn. After that it has what
/// <see cref="Feed"/> gives it, on the thread that gives it, so that nothing is awaited where bytes are at hand.
/// Whatever is written stays with the connection's writer until that is flushed.
/// </summary>
internal sealed class TlsWire(PipeReader input, PipeWriter output, SemaphoreSlim turns) : Stream, IValueTaskSource<int>
{
    private ManualResetValueTaskSourceCore<int> _source;
    private ReadOnlySequence<byte> _fed;
    private Memory<byte> _wanted;
    private bool _isWanted;     // a read waits to be fed
    private bool _isEnded;
    private bool _isHandshake = true;
    private bool _hasTurn;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>
    /// Gives the reader bytes from the peer, or the end of them. What it does not take now stays
    /// <see cref="Unread"/> until <see cref="Forget"/>.
    /// </summary>
    public void Feed(in ReadOnlySequence<byte> bytes, bool isEnd)
    {
        _fed = bytes;
        _isEnded |= isEnd;
        if (!_isWanted || (bytes.IsEmpty && !isEnd)) return;
        _isWanted = false;
        _source.SetResult(Take(_wanted.Span));
    }

    /// <summary>How far the reader has read what it was fed.</summary>
    public SequencePosition Unread => _fed.Start;

    /// <summary>Takes back what has not been read.</summary>
    public void Forget() => _fed = default;

    /// <summary>The handshake is over, well or not: from now on the wire reads only what it is fed.</summary>
    public void EndHandshake()
    {
        _isHandshake = false;
        EndTurn();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_isHandshake) return ReceiveAsync(buffer, cancellationToken);
        if (!_fed.IsEmpty || _isEnded) return new(Take(buffer.Span));
        Debug.Assert(!_isWanted);
        _source.Reset();
        _wanted = buffer;
        _isWanted = true;
        return new(this, _source.Version);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return _isHandshake ? SendAsync() : default;
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (output is EpollWriter writer)
        {
            writer.Append(buffer);
            return;
        }
        buffer.CopyTo(output.GetSpan(buffer.Length));
        output.Advance(buffer.Length);
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Nothing waits on a thread here.");

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    int IValueTaskSource<int>.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    private int Take(Span<byte> target)
    {
        int count = (int)Math.Min(_fed.Length, target.Length);
        _fed.Slice(0, count).CopyTo(target);
        _fed = _fed.Slice(count);
        return count;
    }

    private async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        EndTurn();
        ReadResult read = await input.ReadAsync(cancellation).ConfigureAwait(false);
        Feed(read.Buffer, read.IsCompleted);
        int count = Take(buffer.Span);
        input.AdvanceTo(Unread);
        Forget();
        // Away from the event loop: what comes now may take a millisecond, and there are other clients.
        await turns.WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        _hasTurn = true;
        return count;
    }

    private async ValueTask SendAsync() => await output.FlushAsync().ConfigureAwait(false);

    private void EndTurn()
    {
        if (!_hasTurn) return;
        _hasTurn = false;
        turns.Release();
    }
}
