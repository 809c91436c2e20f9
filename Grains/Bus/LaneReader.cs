using System.Buffers.Binary;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Bus;

/// <summary>Puts the messages of one lane together again, from the pieces in which they arrive.</summary>
internal sealed class LaneReader(BusLane lane)
{
    private const int MostIdleBytes = 256 * 1024;

    private byte[] _bytes = [];
    private int _length;

    /// <summary>Takes up what has arrived, and hands over the messages that are complete.</summary>
    /// <exception cref="InvalidDataException">That is no message.</exception>
    public void Receive(ReadOnlySpan<byte> received, MessageTaker take)
    {
        if (_length > 0)
        {
            // Only as much as the message needs that has begun, so that what follows it need not be copied.
            while (_length > 0 && !received.IsEmpty)
            {
                int needed = _length < LaneQueue.HeaderBytes ? LaneQueue.HeaderBytes : LaneQueue.HeaderBytes + LengthOf(_bytes);
                int count = Math.Min(needed - _length, received.Length);
                Keep(received[..count], needed);
                received = received[count..];
                if (_length < LaneQueue.HeaderBytes || _length < LaneQueue.HeaderBytes + LengthOf(_bytes)) continue;
                take(_bytes[0], _bytes.AsSpan(LaneQueue.HeaderBytes, _length - LaneQueue.HeaderBytes));
                _length = 0;
                if (_bytes.Length > MostIdleBytes) _bytes = [];
            }
        }
        while (received.Length >= LaneQueue.HeaderBytes)
        {
            int whole = LaneQueue.HeaderBytes + LengthOf(received);
            if (received.Length < whole) break;
            take(received[0], received[LaneQueue.HeaderBytes..whole]);
            received = received[whole..];
        }
        if (!received.IsEmpty) Keep(received, received.Length);
    }

    private int LengthOf(ReadOnlySpan<byte> header)
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(header[1..]);
        if ((uint)length > BusKinds.MostBytes) throw new InvalidDataException($"a message of {(uint)length} bytes");
        if (BusKinds.LaneOf(header[0]) != lane) throw new InvalidDataException($"a message of kind {header[0]} in the lane {lane}");
        return length;
    }

    private void Keep(ReadOnlySpan<byte> bytes, int needed)
    {
        if (needed > _bytes.Length) Array.Resize(ref _bytes, Math.Max(needed, 1024));
        bytes.CopyTo(_bytes.AsSpan(_length));
        _length += bytes.Length;
    }

    public delegate void MessageTaker(byte kind, ReadOnlySpan<byte> payload);
}
