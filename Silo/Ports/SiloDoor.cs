using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Grains.ClusterStores;

namespace OrleansRedis.Silo;

/// <summary>
/// What silos show each other before Orleans reads what they say, as it believes all of it: that they know the secret
/// (<see cref="ClusterHandshake"/>).
/// </summary>
internal sealed partial class SiloDoor(ServerOptions options, ILogger<SiloDoor> logger)
{
    /// <summary>Beside those of the cluster's store, so that no connection is taken for one of the other port.</summary>
    private const byte Purpose = 16;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private readonly Complaints _complaints = new();
    private readonly ClusterHandshake _handshake = new(options.OrleansClusterSecret, options.OrleansClusterId);

    /// <summary>A connection that another silo has opened.</summary>
    public async Task ComeInAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        try
        {
            using var patience = new CancellationTokenSource(s_patience);
            if (await _handshake.WelcomeAsync(new Both(connection.Transport), default, patience.Token).ConfigureAwait(false) != Purpose)
                throw new IOException("it wants another port");
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            LogLevel level = _complaints.NextLevel();
            LogRefused(logger, level, connection.RemoteEndPoint, e is OperationCanceledException ? "it says nothing" : e.Message);
            connection.Abort();
            return;
        }
        await next(connection).ConfigureAwait(false);
    }

    /// <summary>A connection that this silo has opened.</summary>
    public async Task GoOutAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        using (var patience = new CancellationTokenSource(s_patience))
        {
            await _handshake.IntroduceAsync(new Both(connection.Transport), connection.RemoteEndPoint, Purpose, default, patience.Token)
                .ConfigureAwait(false);
        }
        await next(connection).ConfigureAwait(false);
    }

    [LoggerMessage("A connection from {Peer} to the silo port is refused: {Reason}")]
    private static partial void LogRefused(ILogger logger, LogLevel level, System.Net.EndPoint? peer, string reason);

    /// <summary>Both directions of a connection as one stream, which takes no more from it than is read.</summary>
    private sealed class Both(IDuplexPipe transport) : Stream
    {
        private readonly Stream _input = transport.Input.AsStream(leaveOpen: true), _output = transport.Output.AsStream(leaveOpen: true);

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count) => _input.Read(buffer, offset, count);

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            _input.ReadAsync(buffer, cancellationToken);

        public override void Write(byte[] buffer, int offset, int count) => _output.Write(buffer, offset, count);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            _output.WriteAsync(buffer, cancellationToken);

        public override void Flush() => _output.Flush();

        public override Task FlushAsync(CancellationToken cancellationToken) => _output.FlushAsync(cancellationToken);

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
