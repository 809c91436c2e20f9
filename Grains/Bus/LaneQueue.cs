using System.Buffers.Binary;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Bus;

/// <summary>
/// What waits to be sent in one lane: messages one after another, each with its kind (1 byte) and its length (4) before
/// it. Under the connection's lock.
/// </summary>
/// <param name="mostBytes">With so many bytes waiting no further message is taken.</param>
internal sealed class LaneQueue(int mostBytes)
{
    public const int HeaderBytes = 5;

    /// <summary>A buffer that has grown beyond this is given up once it is empty.</summary>
    private const int MostIdleBytes = 256 * 1024;

    private byte[] _bytes = [];
    private int _start, _end;
    private TaskCompletionSource? _room;

    public int Length => _end - _start;

    private bool HasRoom => Length < mostBytes;

    /// <summary>Adds a message; false if too much waits already.</summary>
    public bool TryAdd(byte kind, ReadOnlySpan<byte> payload)
    {
        if (!HasRoom) return false;
        int needed = HeaderBytes + payload.Length;
        if (_end + needed > _bytes.Length)
        {
            int length = Length;
            byte[] into = length + needed <= _bytes.Length ? _bytes : new byte[Math.Max(4096, Math.Max(length + needed, _bytes.Length * 2))];
            _bytes.AsSpan(_start, length).CopyTo(into);
            (_bytes, _start, _end) = (into, 0, length);
        }
        _bytes[_end] = kind;
        BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(_end + 1), payload.Length);
        payload.CopyTo(_bytes.AsSpan(_end + HeaderBytes));
        _end += needed;
        return true;
    }

    /// <summary>Moves bytes to where they are sent from; returns how many.</summary>
    public int Take(Span<byte> into)
    {
        int count = Math.Min(Length, into.Length);
        _bytes.AsSpan(_start, count).CopyTo(into);
        _start += count;
        if (_start == _end)
        {
            _start = _end = 0;
            if (_bytes.Length > MostIdleBytes) _bytes = [];
        }
        if (_room is not null && Length < mostBytes / 2)
        {
            _room.TrySetResult();
            _room = null;
        }
        return count;
    }

    /// <summary>Completes when there is room.</summary>
    public Task WhenRoom() =>
        HasRoom ? Task.CompletedTask : (_room ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>The connection is gone: whoever waits for room looks again.</summary>
    public void Close() => _room?.TrySetResult();

    /// <summary>The queues of all lanes.</summary>
    public static LaneQueue[] ForAll() => [new(8 << 20), new(16 << 20), new(2 << 20)];

    /// <summary>How many bytes of a lane are sent before others have their turn.</summary>
    public static int MostAtOnce(BusLane lane) => lane == BusLane.Bulk ? 64 * 1024 : 256 * 1024;
}
