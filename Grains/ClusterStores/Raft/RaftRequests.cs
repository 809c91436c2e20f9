using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Text;

namespace OrleansRedis.Grains.ClusterStores.Raft;

/// <summary>What one machine asks another, beside Raft's own messages.</summary>
internal enum RaftRequest : byte
{
    /// <summary>Who are you, and what do you know? Answered by anyone, at any time.</summary>
    Hello = 1,

    /// <summary>Here is a command for the log. For the leader.</summary>
    Write = 2,

    /// <summary>What is in this document? For the leader.</summary>
    Read = 3,

    /// <summary>This machine, which may have been a member, has lost its disk: it is none any more. For the leader.</summary>
    Forget = 4,

    /// <summary>This machine is to be a member. For the leader.</summary>
    Join = 5,
}

internal enum RaftReply : byte
{
    /// <summary>Done; what follows depends on the request.</summary>
    Ok = 1,

    /// <summary>Ask the leader: his address follows, or nothing if he is not known.</summary>
    NotLeader = 2,

    /// <summary>It could not be done now, and has not been. A message follows.</summary>
    Failed = 3,

    /// <summary>It may have been done. A message follows.</summary>
    Unknown = 4,
}

/// <summary>What a machine says of itself.</summary>
/// <param name="Cluster">Which cluster it belongs to; empty if it does not know.</param>
/// <param name="HasLog">Whether there is anything in its log.</param>
/// <param name="Leader">Whom it takes for the leader.</param>
/// <param name="Members">Who votes, as far as it knows; empty if it belongs to no cluster.</param>
/// <param name="Seeds">The machines that it has been told to begin with.</param>
internal sealed record RaftHello(Guid Cluster, bool HasLog, IPEndPoint? Leader, IReadOnlyList<IPEndPoint> Members, IReadOnlyList<IPEndPoint> Seeds)
{
    public byte[] Encode()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(Cluster.ToByteArray());
        writer.Write(HasLog);
        writer.Write(Leader?.ToString() ?? "");
        writer.Write(Join(Members));
        writer.Write(Join(Seeds));
        writer.Flush();
        return stream.ToArray();
    }

    public static RaftHello Decode(byte[] bytes)
    {
        using var reader = new BinaryReader(new MemoryStream(bytes, writable: false));
        var cluster = new Guid(reader.ReadBytes(16));
        bool hasLog = reader.ReadBoolean();
        string leader = reader.ReadString();
        return new(cluster, hasLog, leader.Length == 0 ? null : IPEndPoint.Parse(leader), Split(reader.ReadString()), Split(reader.ReadString()));
    }

    private static string Join(IEnumerable<IPEndPoint> endpoints) => string.Join(' ', endpoints);

    private static IPEndPoint[] Split(string endpoints) =>
        [.. endpoints.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(IPEndPoint.Parse)];
}

/// <summary>
/// Requests to other machines and their answers: 4 bytes with the length of the rest, 1 byte with the kind, and the body.
/// A connection has one request under way at a time, and is kept for the next one.
/// </summary>
internal sealed class RaftRequests(RaftPort port) : IDisposable
{
    /// <summary>The longest message. A document is far smaller.</summary>
    private const int MaxBytes = 64 * 1024 * 1024;

    private readonly ConcurrentDictionary<IPEndPoint, ConcurrentBag<Stream>> _idle = new();

    /// <summary>Asks, and waits for the answer.</summary>
    /// <exception cref="RaftUnsentException">It could not be asked, so nothing has happened.</exception>
    /// <exception cref="IOException">The answer has not come: it may have happened.</exception>
    public async Task<(RaftReply Reply, byte[] Body)> AskAsync(IPEndPoint peer, RaftRequest request, ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        ConcurrentBag<Stream> idle = _idle.GetOrAdd(peer, static _ => []);
        // One that has been idle may have been closed by the other side meanwhile. Nothing says so before an answer is
        // missing, and then the request may have been carried out; so it is asked whether it has something to read.
        while (idle.TryTake(out Stream? kept))
        {
            if (IsOpen(kept)) return await AskAsync(kept, idle, request, body, cancellation).ConfigureAwait(false);
            await kept.DisposeAsync().ConfigureAwait(false);
        }
        Stream stream;
        try
        {
            stream = await port.OpenAsync(peer, RaftPurpose.Requests, cancellation).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            throw new RaftUnsentException(e.Message, e);
        }
        return await AskAsync(stream, idle, request, body, cancellation).ConfigureAwait(false);
    }

    /// <summary>Answers what comes over a connection, until it ends.</summary>
    public static async Task ServeAsync(
        Stream stream, Func<RaftRequest, byte[], CancellationToken, Task<(RaftReply Reply, byte[] Body)>> answer, CancellationToken cancellation)
    {
        while (true)
        {
            (byte kind, byte[] body) = await ReadAsync(stream, cancellation).ConfigureAwait(false);
            (RaftReply reply, byte[] answered) = await answer((RaftRequest)kind, body, cancellation).ConfigureAwait(false);
            await WriteAsync(stream, (byte)reply, answered, cancellation).ConfigureAwait(false);
        }
    }

    public static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);

    public static string Text(byte[] bytes) => Encoding.UTF8.GetString(bytes);

    public void Dispose()
    {
        foreach (ConcurrentBag<Stream> idle in _idle.Values)
        {
            while (idle.TryTake(out Stream? stream)) stream.Dispose();
        }
    }

    private static bool IsOpen(Stream stream)
    {
        try
        {
            // Readable while nothing is expected: it has been closed.
            return !((System.Net.Sockets.NetworkStream)stream).Socket.Poll(0, System.Net.Sockets.SelectMode.SelectRead);
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    private static async Task<(RaftReply Reply, byte[] Body)> AskAsync(
        Stream stream, ConcurrentBag<Stream> idle, RaftRequest request, ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        try
        {
            await WriteAsync(stream, (byte)request, body, cancellation).ConfigureAwait(false);
            (byte reply, byte[] answer) = await ReadAsync(stream, cancellation).ConfigureAwait(false);
            idle.Add(stream);
            return ((RaftReply)reply, answer);
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static async Task WriteAsync(Stream stream, byte kind, ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        byte[] message = new byte[5 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, 1 + body.Length);
        message[4] = kind;
        body.CopyTo(message.AsMemory(5));
        await stream.WriteAsync(message, cancellation).ConfigureAwait(false);
    }

    private static async Task<(byte Kind, byte[] Body)> ReadAsync(Stream stream, CancellationToken cancellation)
    {
        byte[] header = new byte[5];
        await stream.ReadExactlyAsync(header, cancellation).ConfigureAwait(false);
        int length = BinaryPrimitives.ReadInt32LittleEndian(header);
        if (length is < 1 or > MaxBytes) throw new IOException($"A message of {length} bytes is not one of the cluster's store.");
        byte[] body = new byte[length - 1];
        await stream.ReadExactlyAsync(body, cancellation).ConfigureAwait(false);
        return (header[4], body);
    }
}

/// <summary>A request could not be sent, so nothing has happened.</summary>
internal sealed class RaftUnsentException(string message, Exception cause) : IOException(message, cause);
