using System.Buffers.Binary;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Clustering;

/// <summary>What is said about the copy of a slot.</summary>
internal enum MoveKind : byte
{
    /// <summary>A copy begins. The first number is the epoch in which its owner has it.</summary>
    Begin = BusKinds.FirstBulk,

    /// <summary>A piece of the snapshot (<see cref="Engine.SlotSnapshots"/>).</summary>
    Piece,

    /// <summary>The snapshot is complete; it reaches up to the effect with the first number.</summary>
    SnapshotEnd,

    /// <summary>Effects that follow (<see cref="Engine.SlotRecord"/>), from the first number to the second.</summary>
    Record,

    /// <summary>The copy is complete, up to the effect with the first number.</summary>
    End,

    /// <summary>
    /// To the owner: so many bytes of the copy are dealt with (the first number). The second is 0, or 1 if it has to
    /// begin anew.
    /// </summary>
    Credit,
}

/// <summary>
/// A message about the copy of a slot: the slot (2 bytes), the move, the number of the attempt, and two numbers (8 each),
/// and then whatever belongs to it.
/// </summary>
internal readonly record struct MoveMessage(MoveKind Kind, int Slot, long Move, long Attempt, long First, long Second, ReadOnlyMemory<byte> Bytes)
{
    private const int HeaderBytes = 34;

    /// <summary>What it counts for.</summary>
    public int Cost => HeaderBytes + Bytes.Length;

    public byte[] Encode()
    {
        byte[] encoded = GC.AllocateUninitializedArray<byte>(HeaderBytes + Bytes.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(encoded, (ushort)Slot);
        BinaryPrimitives.WriteInt64LittleEndian(encoded.AsSpan(2), Move);
        BinaryPrimitives.WriteInt64LittleEndian(encoded.AsSpan(10), Attempt);
        BinaryPrimitives.WriteInt64LittleEndian(encoded.AsSpan(18), First);
        BinaryPrimitives.WriteInt64LittleEndian(encoded.AsSpan(26), Second);
        Bytes.Span.CopyTo(encoded.AsSpan(HeaderBytes));
        return encoded;
    }

    /// <exception cref="InvalidDataException">That is no message about a copy.</exception>
    public static MoveMessage Decode(MoveKind kind, ReadOnlySpan<byte> encoded)
    {
        if (encoded.Length < HeaderBytes) throw new InvalidDataException("a message about a copy that is cut off");
        int slot = BinaryPrimitives.ReadUInt16LittleEndian(encoded);
        if (slot >= SlotMap.RedisSlots) throw new InvalidDataException($"a copy of slot {slot}");
        return new(
            kind, slot, BinaryPrimitives.ReadInt64LittleEndian(encoded[2..]), BinaryPrimitives.ReadInt64LittleEndian(encoded[10..]),
            BinaryPrimitives.ReadInt64LittleEndian(encoded[18..]), BinaryPrimitives.ReadInt64LittleEndian(encoded[26..]), encoded[HeaderBytes..].ToArray());
    }
}
