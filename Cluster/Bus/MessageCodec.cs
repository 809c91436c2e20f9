namespace OrleansRedis.Cluster;

/// <summary>
/// What silos say to each other about views and maps, as bytes. Whatever is wrong with what is read is an
/// <see cref="InvalidDataException"/>.
/// </summary>
public static class MessageCodec
{
    private const string HeartbeatKind = "ORSH", MessageKind = "ORSC";
    private const byte Format = 1;

    private enum Type : byte
    {
        JoinRequest = 1,
        ViewRequest,
        ViewUpdate,
        MapRequest,
        MapUpdate,
        SlotOffer,
        MoveRequest,
        LeaveRequest,
    }

    /// <summary>A heartbeat as bytes.</summary>
    public static byte[] Encode(in Heartbeat heartbeat)
    {
        var writer = new DocumentWriter(HeartbeatKind, Format);
        writer.Silo(heartbeat.From);
        writer.Number(heartbeat.Stamp);
        writer.Number(heartbeat.EchoFor);
        writer.Number(heartbeat.Echo);
        writer.Number(heartbeat.ViewVersion);
        writer.Number(heartbeat.MapVersion);
        writer.Number(heartbeat.QuietFor);
        writer.Number(heartbeat.Suspects.Count);
        foreach (long node in heartbeat.Suspects) writer.Node(node);
        return writer.Finish();
    }

    /// <summary>Reads what <see cref="Encode(in Heartbeat)"/> has written.</summary>
    public static Heartbeat DecodeHeartbeat(ReadOnlySpan<byte> bytes)
    {
        var reader = new DocumentReader(bytes, HeartbeatKind, Format);
        SiloId from = reader.Silo();
        long stamp = reader.Number();
        int echoFor = reader.Number(int.MaxValue);
        long echo = reader.Number(), view = reader.Number(), map = reader.Number(), quiet = reader.Number();
        long[] suspects = new long[reader.Count()];
        for (int i = 0; i < suspects.Length; i++) suspects[i] = reader.Node();
        reader.End();
        return new(from, stamp, echoFor, echo, view, map, quiet, suspects);
    }

    /// <summary>A message as bytes; null if it is of a kind that is not sent in this form.</summary>
    public static byte[]? Encode(ClusterMessage message)
    {
        var writer = new DocumentWriter(MessageKind, Format);
        switch (message)
        {
            case JoinRequest join:
                Begin(writer, Type.JoinRequest, join.From);
                writer.Member(join.Member);
                writer.Number(join.ViewVersion);
                break;
            case ViewRequest request:
                Begin(writer, Type.ViewRequest, request.From);
                writer.Number(request.Version);
                break;
            case ViewUpdate update:
                Begin(writer, Type.ViewUpdate, update.From);
                writer.Bytes(update.View.Encode());
                break;
            case MapRequest request:
                Begin(writer, Type.MapRequest, request.From);
                writer.Number(request.Version);
                break;
            case MapUpdate update:
                Begin(writer, Type.MapUpdate, update.From);
                writer.Bytes(SlotMapCodec.Encode(update.Map));
                break;
            case SlotOffer offer:
                Begin(writer, Type.SlotOffer, offer.From);
                writer.Number(offer.Slot);
                writer.Number(offer.Epoch);
                writer.Number(offer.Move);
                break;
            case MoveRequest request:
                Begin(writer, Type.MoveRequest, request.From);
                writer.Number(request.First);
                writer.Number(request.Last);
                writer.Silo(request.To);
                break;
            case LeaveRequest request:
                Begin(writer, Type.LeaveRequest, request.From);
                writer.Silo(request.Silo);
                writer.Byte(request.IsLeaving ? (byte)1 : (byte)0);
                break;
            default:
                return null;
        }
        return writer.Finish();
    }

    /// <summary>Reads what <see cref="Encode(ClusterMessage)"/> has written.</summary>
    public static ClusterMessage DecodeMessage(ReadOnlySpan<byte> bytes)
    {
        var reader = new DocumentReader(bytes, MessageKind, Format);
        var type = (Type)reader.Byte();
        SiloId from = reader.Silo();
        ClusterMessage message = type switch
        {
            Type.JoinRequest => new JoinRequest(from, reader.Member(), reader.Number()),
            Type.ViewRequest => new ViewRequest(from, reader.Number()),
            Type.ViewUpdate => new ViewUpdate(from, ClusterView.Decode(reader.Bytes())),
            Type.MapRequest => new MapRequest(from, reader.Number()),
            Type.MapUpdate => new MapUpdate(from, SlotMapCodec.Decode(reader.Bytes())),
            Type.SlotOffer => new SlotOffer(from, reader.Number(SlotMap.RedisSlots - 1), reader.Number(), reader.Number()),
            Type.MoveRequest => Move(ref reader, from),
            Type.LeaveRequest => new LeaveRequest(from, reader.Silo(), reader.Byte() != 0),
            _ => throw reader.Wrong($"is of type {(byte)type}, which this version does not know"),
        };
        reader.End();
        return message;
    }

    private static MoveRequest Move(ref DocumentReader reader, SiloId from)
    {
        int last = SlotMap.RedisSlots - 1, first = reader.Number(last);
        last = reader.Number(last);
        if (first > last) throw reader.Wrong("names slots in the wrong order");
        return new(from, first, last, reader.Silo());
    }

    private static void Begin(DocumentWriter writer, Type type, SiloId from)
    {
        writer.Byte((byte)type);
        writer.Silo(from);
    }
}
