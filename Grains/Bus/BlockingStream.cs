using System.Net.Sockets;

namespace OrleansRedis.Grains.Bus;

/// <summary>
/// A socket as a stream whose asynchronous calls are synchronous ones: after a really asynchronous call, a socket would
/// pass every later one through the runtime's epoll thread.
/// </summary>
internal sealed class BlockingStream(Socket socket) : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer) => Try(buffer, static (socket, buffer) => socket.Receive(buffer));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty) buffer = buffer[Try(buffer, static (socket, buffer) => socket.Send(buffer))..];
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return default;
    }

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private int Try<T>(T buffer, Func<Socket, T, int> call)
        where T : allows ref struct
    {
        try
        {
            return call(socket, buffer);
        }
        catch (SocketException e)
        {
            throw new IOException(e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock ? "it says nothing" : e.Message, e);
        }
        catch (ObjectDisposedException e)
        {
            throw new IOException("the connection has been closed", e);
        }
    }
}
