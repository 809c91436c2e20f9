using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Net.Security;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// What a TLS client sends, decrypted. Bytes are received by the transport's reader and decrypted on the thread that it
/// continues on, which is the connection's event loop. Like the transport's, the buffer is rented only while its
/// bytes are used, so that an idle client has none.
/// </summary>
internal sealed class TlsReader(PipeReader input, TlsWire wire, SslStream tls, ILogger logger) : PipeReader
{
    private const int BufferBytes = 32 * 1024;

    // A read from SslStream that was not over at once. Usually one of no bytes, which ends when there are some to be had,
    // or the end of them: that costs no buffer meanwhile.
    private ValueTask<int> _pending;
    private bool _isPending;
    private bool _isIntoBuffer;         // it is not one of no bytes
    private bool _mayHoldMore = true;   // SslStream may have something that it was fed before
    private byte[]? _buffer;
    private int _start;
    private int _end;
    private bool _unexamined;
    private bool _isEnded;
    private volatile bool _isReceiving;

    private ReadOnlySequence<byte> Buffered => _buffer is null ? default : new(_buffer, _start, _end - _start);

    public override bool TryRead(out ReadResult result)
    {
        result = _unexamined ? new(Buffered, isCanceled: false, isCompleted: _isEnded) : default;
        return _unexamined;
    }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) =>
        TryRead(out ReadResult result) ? new(result) : ReceiveAsync(cancellationToken);

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        if (_buffer is null) return;
        _start = consumed.GetInteger();
        _unexamined = examined.GetInteger() < _end;
        if (_start == _end && !_isIntoBuffer) ReturnBuffer();
    }

    public override void CancelPendingRead() => input.CancelPendingRead();

    public override void Complete(Exception? exception = null)
    {
        // A read that was abandoned may go on at any time, on its own thread: what it uses is left to the collector.
        if (!_isReceiving)
        {
            if (_isPending) wire.Feed(default, isEnd: true); // so that SslStream gives its buffer back
            if (!_isIntoBuffer) ReturnBuffer();
        }
        input.Complete(exception);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<ReadResult> ReceiveAsync(CancellationToken cancellation)
    {
        _isReceiving = true;
        try
        {
            bool isDecrypted = _mayHoldMore && TryDecrypt(atOnce: false);
            while (!isDecrypted)
            {
                ReadResult read = await input.ReadAsync(cancellation).ConfigureAwait(false);
                if (read.IsCanceled)
                {
                    input.AdvanceTo(read.Buffer.Start);
                    return new(Buffered, isCanceled: true, isCompleted: false);
                }
                bool isOneRecord = IsOneRecord(read.Buffer);
                wire.Feed(read.Buffer, read.IsCompleted);
                isDecrypted = TryDecrypt(atOnce: isOneRecord && !_mayHoldMore);
                _mayHoldMore = !isOneRecord || !isDecrypted || _end == _buffer?.Length;
                input.AdvanceTo(wire.Unread);
                wire.Forget();
            }
            return new(Buffered, isCanceled: false, isCompleted: _isEnded);
        }
        finally
        {
            _isReceiving = false;
        }
    }

    /// <summary>Whether this is exactly one record of data, after which SslStream has nothing left.</summary>
    private static bool IsOneRecord(in ReadOnlySequence<byte> bytes)
    {
        const int HeaderBytes = 5, Data = 23;
        ReadOnlySpan<byte> record = bytes.FirstSpan;
        return record.Length > HeaderBytes && record[0] == Data
            && bytes.Length == HeaderBytes + BinaryPrimitives.ReadUInt16BigEndian(record[(HeaderBytes - 2)..]);
    }

    /// <summary>
    /// Decrypts what is at hand. False if there is nothing yet. At the end of the stream that is true, with nothing.
    /// </summary>
    /// <param name="atOnce">Whether there is surely something, so that there is no need to look first.</param>
    private bool TryDecrypt(bool atOnce)
    {
        if (_isEnded) return true;
        try
        {
            if (!atOnce)
            {
                if (!_isPending) Begin(tls.ReadAsync(Memory<byte>.Empty, CancellationToken.None), isIntoBuffer: false);
                if (!_pending.IsCompleted) return false;
                _isPending = false;
                int had = _pending.Result;
                if (_isIntoBuffer) return Decrypted(had);
            }
            MakeRoom();
            Begin(tls.ReadAsync(_buffer.AsMemory(_end), CancellationToken.None), isIntoBuffer: true);
            if (!_pending.IsCompleted) return false; // a record without data
            _isPending = false;
            return Decrypted(_pending.Result);
        }
        catch (Exception e)
        {
            Log.ReadingFailed(logger, e.GetBaseException().Message);
            throw new IOException("What the client sends cannot be decrypted.", e);
        }
    }

    private void Begin(ValueTask<int> reading, bool isIntoBuffer)
    {
        _pending = reading;
        _isPending = true;
        _isIntoBuffer = isIntoBuffer;
    }

    private bool Decrypted(int count)
    {
        _isIntoBuffer = false;
        _end += count;
        _isEnded = count == 0;
        if (_start == _end) ReturnBuffer();
        return true;
    }

    private void MakeRoom()
    {
        if (_buffer is null)
        {
            _buffer = LargeBuffers.Rent(BufferBytes);
            _start = _end = 0;
        }
        else if (_end == _buffer.Length)
        {
            int kept = _end - _start;
            byte[] target = kept > _buffer.Length / 2 ? LargeBuffers.Rent(_buffer.Length * 2) : _buffer;
            Buffer.BlockCopy(_buffer, _start, target, 0, kept);
            if (target != _buffer) LargeBuffers.Return(_buffer);
            (_buffer, _start, _end) = (target, 0, kept);
        }
    }

    private void ReturnBuffer()
    {
        if (_buffer is not null) LargeBuffers.Return(_buffer);
        _buffer = null;
        _start = _end = 0;
        _unexamined = false;
    }
}
