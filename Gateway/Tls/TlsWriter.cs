using System.IO.Pipelines;
using System.Net.Security;

namespace OrleansRedis.Gateway;

/// <summary>
/// What a TLS client is sent. It is encrypted at once, on the thread of the connection's code, and all records of it are
/// given to the transport's writer together. That keeps what the socket does not take, so what is given to
/// <see cref="WriteAsync"/> is not needed any more when that returns.
/// </summary>
internal sealed class TlsWriter(PipeWriter output, SslStream tls) : PipeWriter
{
    // A send that was abandoned may be under way when the connection ends.
    private readonly Lock _encrypting = new();
    private byte[] _gathered = [];
    private int _length;

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _length + output.UnflushedBytes;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        int needed = _length + Math.Max(sizeHint, 1);
        if (needed > _gathered.Length) Array.Resize(ref _gathered, Math.Max(needed, 2 * _gathered.Length));
        return _gathered.AsMemory(_length);
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes) => _length += bytes;

    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        if (_length != 0) EncryptGathered();
        Encrypt(source);
        return output.FlushAsync(cancellationToken);
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        EncryptGathered();
        return output.FlushAsync(cancellationToken);
    }

    public override void CancelPendingFlush() => output.CancelPendingFlush();

    public override void Complete(Exception? exception = null)
    {
        output.Complete(exception);
        tls.Dispose();
    }

    public override async ValueTask CompleteAsync(Exception? exception = null)
    {
        try
        {
            if (exception is null) await SayGoodbye().ConfigureAwait(false);
        }
        catch (Exception)
        {
            // The client cannot be told, after what has become of the connection.
        }
        await output.CompleteAsync(exception).ConfigureAwait(false);
        await tls.DisposeAsync().ConfigureAwait(false);
    }

    private void EncryptGathered()
    {
        Encrypt(_gathered.AsMemory(0, _length));
        _length = 0;
    }

    private void Encrypt(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        lock (_encrypting)
        {
            // It is over when it returns: the wire takes everything at once.
            tls.WriteAsync(bytes, CancellationToken.None).AsTask().GetAwaiter().GetResult();
        }
    }

    private Task SayGoodbye()
    {
        lock (_encrypting) return tls.ShutdownAsync();
    }
}
