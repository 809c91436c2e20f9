using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using Microsoft.AspNetCore.Connections;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// A connection's input. Bytes are received only on the loop's thread, only while the connection waits for them, and
/// once per readiness: a receive that leaves room in the buffer has emptied the socket, and epoll (edge-triggered)
/// reports when there is more. A connection that does not read leaves its bytes in the kernel, which slows the client
/// down. The buffer is rented between a receive and <see cref="AdvanceTo(SequencePosition)"/>, so
/// an idle connection has none.
/// </summary>
internal sealed class EpollReader(EpollConnection connection) : PipeReader, IValueTaskSource<ReadResult>
{
    private const int BufferBytes = 64 * 1024;
    private const int LeastRoom = 4 * 1024;

    // Who may touch what: while _parked is set, the loop's thread owns the fields from _buffer to _unexamined and the
    // source; otherwise the connection's code does. _readable, _hungUp, _ended and _error are written by the loop's
    // thread only.
    private byte[]? _buffer;
    private int _start;
    private int _end;
    private bool _unexamined;
    private ManualResetValueTaskSourceCore<ReadResult> _source;
    private CancellationTokenRegistration _registration;
    private CancellationToken _cancellation;
    private int _parked;
    private volatile bool _canceled;
    private volatile bool _readable;
    private volatile bool _ended;
    private bool _hungUp;
    private Exception? _error;

    /// <summary>Whether the connection's code waits for input.</summary>
    public bool IsParked => Volatile.Read(ref _parked) != 0;

    public override bool TryRead(out ReadResult result)
    {
        if (_canceled)
        {
            _canceled = false;
            result = new(Buffered, isCanceled: true, isCompleted: false);
            return true;
        }
        if (_ended)
        {
            if (_error is not null) throw _error;
            result = new(Buffered, isCanceled: false, isCompleted: true);
            return true;
        }
        result = _unexamined ? new(Buffered, isCanceled: false, isCompleted: false) : default;
        return _unexamined;
    }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        if (TryRead(out ReadResult result)) return new(result);
        _source.Reset();
        if (cancellationToken.CanBeCanceled)
        {
            _cancellation = cancellationToken;
            _registration = cancellationToken.UnsafeRegister(static reader => ((EpollReader)reader!).Post(), this);
        }
        return new(this, _source.Version);
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        if (_buffer is null) return;
        _start = consumed.GetInteger();
        _unexamined = examined.GetInteger() < _end;
        if (_start == _end) ReturnBuffer();
    }

    public override void CancelPendingRead()
    {
        _canceled = true;
        connection.Post();
    }

    public override void Complete(Exception? exception = null)
    {
        if (!IsParked) ReturnBuffer();
    }

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<ReadResult>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<ReadResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        _source.OnCompleted(continuation, state, token, flags);
        Park();
    }

    /// <summary>
    /// The connection's code waits for input. Only once it is known what goes on with it: otherwise a read that is over by
    /// then would go on where it began, perhaps on another thread, while the loop serves requests that came later.
    /// </summary>
    private void Park()
    {
        if (connection.IsOnLoop)
        {
            // Whatever else wants this reader to go on posts to this thread, after the fact: no fence needed.
            Volatile.Write(ref _parked, 1);
            if (_readable) connection.Post();
        }
        else
        {
            CancellationToken cancellation = _cancellation; // the loop's, once it is parked
            Interlocked.Exchange(ref _parked, 1);
            // The loop sets these, then checks whether we are parked. So one of the two sees the other.
            if (_readable || _canceled || _ended || cancellation.IsCancellationRequested) connection.Post();
        }
    }

    private void Post() => connection.Post();

    private ReadOnlySequence<byte> Buffered => _buffer is null ? default : new(_buffer, _start, _end - _start);

    /// <summary>
    /// The loop: epoll reports that there is something to receive, or that the peer has closed its side.
    /// </summary>
    internal void OnReadable(bool hungUp)
    {
        _hungUp |= hungUp;
        _readable = true;
        if (!IsParked) Interlocked.MemoryBarrier(); // _readable is seen before we look again
        GoOn();
    }

    /// <summary>
    /// The loop: goes on as far as possible. Does nothing if the connection's code does not wait for input.
    /// </summary>
    internal void GoOn()
    {
        if (!IsParked)
        {
            // The code is busy elsewhere, perhaps waiting in a blocking command, which ends when its client is gone.
            if (_hungUp) connection.FireClosed();
        }
        else if (_readable && !_ended && !_cancellation.IsCancellationRequested)
        {
            Receive(); // first: what came before the input of connections further down is not to be served after it
        }
        else if (_canceled)
        {
            ResumeCanceled();
        }
        else if (_cancellation.IsCancellationRequested)
        {
            Fail(new OperationCanceledException(_cancellation));
        }
        else if (_ended)
        {
            ResumeEnded();
        }
    }

    /// <summary>
    /// The loop: there will be no more input, because of <paramref name="error"/> or, if that is null, because the peer
    /// closed its side.
    /// </summary>
    internal void End(Exception? error)
    {
        if (_ended) return;
        _error = error;
        _readable = false;
        _ended = true;
        Interlocked.MemoryBarrier(); // _ended is seen before we look whether it is parked
        if (IsParked) ResumeEnded();
    }

    private unsafe void Receive()
    {
        MakeRoom();
        int room = _buffer!.Length - _end;
        nint received;
        fixed (byte* buffer = _buffer) received = connection.Receive(buffer + _end, room);
        if (received > 0)
        {
            _end += (int)received;
            // After a hang-up, one more receive is due: the end of the stream.
            _readable = received == room || _hungUp;
            bool canceled = _canceled;
            _canceled = false;
            Resume(new(Buffered, canceled, isCompleted: false));
            if (_hungUp && !IsParked) connection.FireClosed();
            return;
        }
        _readable = false;
        if (_start == _end) ReturnBuffer();
        if (received == 0)
        {
            connection.FireClosed();
            End(null);
        }
        else if (received != -Libc.TryAgain)
        {
            connection.Abandon(new ConnectionResetException($"Receiving failed with error {-received}."));
        }
        else if (_canceled)
        {
            ResumeCanceled();
        }
    }

    private void MakeRoom()
    {
        if (_buffer is null)
        {
            _buffer = LargeBuffers.Rent(BufferBytes);
            _start = _end = 0;
        }
        else if (_buffer.Length - _end < LeastRoom)
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
        if (_buffer is null) return;
        LargeBuffers.Return(_buffer);
        _buffer = null;
        _start = _end = 0;
        _unexamined = false;
    }

    private void ResumeCanceled()
    {
        _canceled = false;
        Resume(new(Buffered, isCanceled: true, isCompleted: _ended));
    }

    private void ResumeEnded()
    {
        if (_error is null) Resume(new(Buffered, isCanceled: false, isCompleted: true));
        else Fail(_error);
    }

    private void Resume(in ReadResult result)
    {
        Unpark();
        EventLoop.Resume(ref _source, result);
    }

    private void Fail(Exception error)
    {
        Unpark();
        _source.SetException(error);
    }

    private void Unpark()
    {
        Debug.Assert(IsParked);
        if (_cancellation.CanBeCanceled)
        {
            _registration.Dispose();
            _cancellation = default;
        }
        Volatile.Write(ref _parked, 0);
    }
}
