using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// A connection's output. It is sent at once, on the thread of the connection's code, and straight from the caller's
/// own memory if it comes by <see cref="WriteAsync"/>. Only what the socket does not take is copied; then the flush is
/// pending, and the loop sends the rest as the client takes it. As with a pipe, a flush to a connection that is gone
/// does not throw but returns a result that says completed.
/// </summary>
internal sealed class EpollWriter(EpollConnection connection) : PipeWriter, IValueTaskSource<FlushResult>
{
    private const int LeastBytes = 4 * 1024;

    /// <summary>If more than this is held back, the flush is pending.</summary>
    private const int MostHeld = 64 * 1024;

    private readonly Lock _lock = connection.Sync; // guards everything below, and is held while sending
    private byte[]? _buffer;
    private int _start;
    private int _end;
    private ManualResetValueTaskSourceCore<FlushResult> _source;
    private volatile bool _waiting;
    private volatile bool _lingers; // the flush is over, but the socket did not take what had been held back
    private int _holds;
    private bool _canceled;
    private bool _completed;
    private bool _ended;

    /// <summary>Whether something waits for the socket to take more.</summary>
    public bool IsWaiting => _waiting || _lingers;

    /// <summary>Whether something is held back. For the loop alone.</summary>
    public bool IsHeld => _holds != 0;

    /// <summary>The last round of the loop that has held it back. For the loop alone.</summary>
    internal DeferredReplies.Round? LastRound { get; set; }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _end - _start;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        lock (_lock)
        {
            if (_waiting) throw new InvalidOperationException("A flush is under way.");
            MakeRoom(Math.Max(sizeHint, 1));
            return _buffer.AsMemory(_end);
        }
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        lock (_lock)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)((_buffer?.Length ?? 0) - _end));
            _end += bytes;
        }
    }

    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            if (_waiting) throw new InvalidOperationException("A flush is under way.");
            if (_ended || _completed) return new(new FlushResult(isCanceled: false, isCompleted: true));
            ReadOnlySpan<byte> rest = source.Span;
            if (_holds == 0 && _start == _end && !rest.IsEmpty) rest = rest[connection.Send(rest)..];
            if (_start == _end && rest.IsEmpty) return new(default(FlushResult));
            MakeRoom(rest.Length);
            rest.CopyTo(_buffer.AsSpan(_end));
            _end += rest.Length;
            return _holds != 0 && _end - _start <= MostHeld ? default : Flush();
        }
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            if (_waiting) throw new InvalidOperationException("A flush is under way.");
            return _holds != 0 && _end - _start <= MostHeld ? default : Flush();
        }
    }

    /// <summary>Adds bytes to what the next flush sends, even while one is under way.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (_ended || _completed) return;
            MakeRoom(bytes.Length);
            bytes.CopyTo(_buffer.AsSpan(_end));
            _end += bytes.Length;
        }
    }

    public override void CancelPendingFlush()
    {
        lock (_lock) _canceled = true;
        connection.Post();
    }

    public override void Complete(Exception? exception = null)
    {
        lock (_lock)
        {
            _completed = true;
            if (!_waiting) ReturnBuffer();
        }
    }

    public override async ValueTask CompleteAsync(Exception? exception = null)
    {
        ValueTask<FlushResult> flush;
        lock (_lock)
        {
            // A flush left behind by a send that was abandoned may still be waiting, perhaps because the client was
            // killed. It ends with the connection.
            flush = _waiting || exception is not null ? default : Flush();
            _completed = true;
        }
        await flush.ConfigureAwait(false);
        Complete(exception);
    }

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<FlushResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    /// <summary>The loop: what is written from now on stays here until <see cref="LetGo"/>.</summary>
    internal void Hold()
    {
        lock (_lock) _holds++;
    }

    /// <summary>The loop: sends what has been held back, unless it is held back for something else as well.</summary>
    internal void LetGo()
    {
        lock (_lock)
        {
            if (--_holds != 0) return;
            _lingers = !_waiting && !TrySendBuffered();
        }
        if (_lingers) connection.Post(); // only the loop can have epoll watch for room
        GoOn();
    }

    /// <summary>The loop: continues sending if something waits for it.</summary>
    internal void GoOn()
    {
        if (!IsWaiting) return;
        FlushResult result;
        lock (_lock)
        {
            bool isSent = (_holds == 0 || _ended) && TrySendBuffered();
            if (isSent) _lingers = false;
            if (!_waiting || !(isSent || _canceled)) return;
            result = new(_canceled, _ended);
            _canceled = false;
            _waiting = false;
        }
        _source.SetResult(result);
    }

    /// <summary>The loop: nothing can be sent any more.</summary>
    internal void End()
    {
        lock (_lock) _ended = true;
        GoOn();
    }

    private ValueTask<FlushResult> Flush()
    {
        if (_holds == 0 && TrySendBuffered()) return new(new FlushResult(isCanceled: false, isCompleted: _ended));
        if (_canceled)
        {
            _canceled = false;
            return new(new FlushResult(isCanceled: true, isCompleted: false));
        }
        _source.Reset();
        _waiting = true;
        connection.Post(); // only the loop can have epoll watch for room
        return new(this, _source.Version);
    }

    /// <summary>False if the socket does not take all of it now.</summary>
    private bool TrySendBuffered()
    {
        while (!_ended && _start != _end)
        {
            int sent = connection.Send(_buffer.AsSpan(_start, _end - _start));
            if (sent == 0) return false;
            _start += sent;
        }
        ReturnBuffer();
        return true;
    }

    private void MakeRoom(int bytes)
    {
        if (_buffer is not null && _buffer.Length - _end >= bytes) return;
        int kept = _end - _start;
        byte[] larger = LargeBuffers.Rent(Math.Max(LeastBytes, kept + Math.Max(bytes, kept)));
        if (_buffer is not null)
        {
            Buffer.BlockCopy(_buffer, _start, larger, 0, kept);
            LargeBuffers.Return(_buffer);
        }
        (_buffer, _start, _end) = (larger, 0, kept);
    }

    private void ReturnBuffer()
    {
        if (_buffer is not null) LargeBuffers.Return(_buffer);
        _buffer = null;
        _start = _end = 0;
    }
}
