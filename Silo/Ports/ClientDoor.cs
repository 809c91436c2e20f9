using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using OrleansRedis.Engine;
using OrleansRedis.Grains;

namespace OrleansRedis.Silo;

/// <summary>
/// Stands before Orleans's gateway. Orleans believes what it is sent: it tells its cluster's name to whoever asks, and
/// its deserializer calls itself for every value within another, until the stack is used up and the process ends. So
/// the first message, by which a client introduces itself, is read here before Orleans answers it, and each later one
/// (<see cref="ClientInput"/>) before Orleans reads it.
/// </summary>
internal sealed partial class ClientDoor(
    CommandRunner runner, AllowedCalls allowed, ClientOrigins origins, IOptions<ClusterOptions> cluster, IOptions<SiloMessagingOptions> messaging,
    ILogger<ClientDoor> logger)
{
    /// <summary>A client that says nothing for so long is gone.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    /// <summary>As in Orleans.</summary>
    private const int MaxIntroductionBytes = 1024;

    private readonly byte[] _clusterId = Encoding.UTF8.GetBytes(cluster.Value.ClusterId);

    /// <summary>A connection passes through here, and is Orleans's for the rest of its life.</summary>
    public async Task PassAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        ClientIdentity client;
        long length;
        try
        {
            using var patience = new CancellationTokenSource(s_patience);
            (client, length) = await ReadIntroductionAsync(connection.Transport.Input, patience.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is RefusedException or OperationCanceledException)
        {
            LogRefused(logger, connection.RemoteEndPoint, e is RefusedException ? e.Message : "it has not said who it is");
            connection.Abort();
            return;
        }
        IDuplexPipe transport = connection.Transport;
        connection.Transport = new Guarded(
            new ClientInput(
                transport.Input, length, client, allowed, runner.Store.Acl, messaging.Value.MaxMessageBodySize,
                reason => LogRefused(logger, connection.RemoteEndPoint, reason)),
            transport.Output);
        using (origins.Connected(client.Key, AuthThrottle.OriginOf(connection.RemoteEndPoint))) await next(connection).ConfigureAwait(false);
    }

    /// <summary>Looks at a client's introduction, and leaves it for Orleans to read.</summary>
    private async Task<(ClientIdentity Client, long Length)> ReadIntroductionAsync(PipeReader input, CancellationToken cancellation)
    {
        while (true)
        {
            ReadResult read = await input.ReadAsync(cancellation).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = read.Buffer;
            long length = buffer.Length < sizeof(int) ? 0 : ReadLength(buffer);
            if (length is < 0 or > MaxIntroductionBytes) throw new RefusedException("its introduction is too long");
            if (length != 0 && buffer.Length >= sizeof(int) + length)
            {
                ClientIdentity client = ParseIntroduction(buffer.Slice(sizeof(int), length));
                input.AdvanceTo(buffer.Start);
                return (client, sizeof(int) + length);
            }
            if (read.IsCompleted || read.IsCanceled) throw new RefusedException("it has gone before it has said who it is");
            input.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    /// <summary>
    /// An Orleans.Runtime.Messaging.ConnectionPreamble: field 1 is the client's grain id, which is a type and a key;
    /// field 3 is the cluster's id.
    /// </summary>
    private ClientIdentity ParseIntroduction(ReadOnlySequence<byte> introduction)
    {
        var reader = new WireReader(introduction, allowed);
        if (reader.ReadField().Kind != WireKind.Object) throw new RefusedException("it does not introduce itself");
        byte[]? type = null, key = null;
        ReadOnlySequence<byte> clusterId = default;
        uint number = 0;
        for (int depth = 1; depth > 0;)
        {
            WireField field = reader.ReadField();
            if (field.Kind == WireKind.End)
            {
                depth -= field.IsEndOfObject ? 1 : 0;
                continue;
            }
            if (depth == 1) number += field.Delta;
            if (field.Kind == WireKind.Object)
            {
                depth = WireReader.Deeper(depth);
                continue;
            }
            ReadOnlySequence<byte> value = reader.ReadSimple(field.Kind);
            if (field.Kind != WireKind.LengthPrefixed) continue;
            if (depth == 1 && number == 3) clusterId = value;
            else if (number == 1 && type is null) type = value.ToArray();
            else if (number == 1) key ??= value.ToArray();
        }
        if (!clusterId.Holds(_clusterId)) throw new RefusedException("it asks for another cluster");
        if (type is null || key is null || !type.AsSpan().SequenceEqual("sys.client"u8)) throw new RefusedException("it is not a client");
        // Orleans calls by such a name what runs in a silo itself.
        if (key.AsSpan().StartsWith("hosted-"u8)) throw new RefusedException("it has the name of a silo");
        return new(type, key);
    }

    private static int ReadLength(in ReadOnlySequence<byte> buffer)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        buffer.Slice(0, sizeof(int)).CopyTo(length);
        return BinaryPrimitives.ReadInt32LittleEndian(length);
    }

    [LoggerMessage(LogLevel.Debug, "The Orleans client {Peer} is disconnected: {Reason}")]
    private static partial void LogRefused(ILogger logger, EndPoint? peer, string reason);

    private sealed record Guarded(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}

/// <summary>Who a client says it is: the type and key of its grain id.</summary>
internal sealed record ClientIdentity(byte[] Type, byte[] Key);
