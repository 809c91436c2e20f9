using System.Collections.Concurrent;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Sends messages in pieces that are too large to be sent at once, so that the messages of others get in between, and
/// puts them together.
/// </summary>
internal sealed class Pieces
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<SiloId, Dictionary<(byte Kind, long Number), Partial>> _partial = [];

    /// <summary>
    /// Sends a message. False if not all of it could be sent; then it is not taken up. If the connection breaks on the way,
    /// it is not taken up either, though this may not be noticed here.
    /// </summary>
    public static async Task<bool> SendAsync(ISiloBus bus, SiloId to, byte kind, long number, byte[] message)
    {
        using var piece = new MessageWriter();
        for (int at = 0; at < message.Length; at += RouteKinds.PieceBytes)
        {
            piece.Clear();
            piece.Byte(kind);
            piece.Int64(number);
            piece.Int32(message.Length);
            piece.Int32(at);
            piece.Raw(message.AsSpan(at, Math.Min(RouteKinds.PieceBytes, message.Length - at)));
            while (!bus.TrySend(to, RouteKinds.Piece, piece.Written))
            {
                try
                {
                    await bus.WhenReady(to, BusLane.Commands).WaitAsync(s_patience).ConfigureAwait(false);
                }
                catch (TimeoutException)
                {
                    return false;
                }
            }
        }
        return true;
    }

    /// <summary>A piece has come: calls <paramref name="handle"/> if it was the last one of its message.</summary>
    public void Take(SiloId from, ReadOnlySpan<byte> payload, Action<SiloId, byte, ReadOnlyMemory<byte>> handle)
    {
        var message = new MessageReader(payload);
        (byte Kind, long Number) key = (message.Byte(), message.Int64());
        int length = message.Int32(), at = message.Int32();
        Dictionary<(byte, long), Partial> partial = _partial.GetOrAdd(from, static _ => []);
        if (at == 0) partial[key] = new(LargeBuffers.Rent(length), length);
        // Without the pieces before it, it belongs to a message that has broken off.
        if (!partial.TryGetValue(key, out Partial? whole) || whole.Has != at) return;
        message.Rest.CopyTo(whole.Bytes.AsSpan(at));
        whole.Has += message.Rest.Length;
        if (whole.Has < whole.Length) return;
        partial.Remove(key);
        handle(from, key.Kind, whole.Bytes.AsMemory(0, whole.Length));
        LargeBuffers.Return(whole.Bytes);
    }

    /// <summary>The connection has broken: what is not complete never will be.</summary>
    public void Forget(SiloId silo)
    {
        if (_partial.TryGetValue(silo, out Dictionary<(byte, long), Partial>? partial)) partial.Clear();
    }

    private sealed class Partial(byte[] bytes, int length)
    {
        public byte[] Bytes { get; } = bytes;

        public int Length { get; } = length;

        public int Has { get; set; }
    }
}
