using Orleans.Serialization;

namespace Orleans.Runtime.Messaging;

/// <summary>Messages as bytes: kind, number, addresses, what else is there by a flag each, and last the body, after its length, so that a body that cannot be read
/// spoils its own message only.</summary>
internal static class MessageWire
{
    [Flags]
    private enum Has : byte
    {
        None = 0,
        Method = 1,
        Context = 2,
        Deadline = 4,
        NewPlacement = 8,
        Moved = 16,
    }

    private static Codec<Dictionary<string, object>> ContextCodec => CodecProvider.Get<Dictionary<string, object>>();

    private static Codec<GrainAddress> AddressCodec => CodecProvider.Get<GrainAddress>();

    /// <exception cref="SerializerException">An argument or the result cannot be serialized; nothing has been written.</exception>
    public static void Write(WireWriter writer, Message message, TimeProvider clock)
    {
        int start = writer.Length;
        try
        {
            WriteFrame(writer, message, clock);
        }
        catch
        {
            writer.Truncate(start);
            writer.Depth = 0;
            throw;
        }
    }

    private static void WriteFrame(WireWriter writer, Message message, TimeProvider clock)
    {
        int frame = writer.BeginLength();
        Has has = Has.None;
        if (message.Method is not null) has |= Has.Method;
        if (message.Context is { Count: > 0 }) has |= Has.Context;
        if (message.Deadline != 0) has |= Has.Deadline;
        if (message.IsNewPlacement) has |= Has.NewPlacement;
        if (message.MovedTo is not null) has |= Has.Moved;
        writer.Byte((byte)message.Kind);
        writer.Byte((byte)has);
        writer.VarInt(message.Id);
        writer.Byte((byte)message.ForwardCount);
        PrimitiveCodecs.WriteGrainId(writer, message.Target);
        PrimitiveCodecs.WriteSilo(writer, message.TargetSilo);
        PrimitiveCodecs.WriteGrainId(writer, message.Sender);
        PrimitiveCodecs.WriteSilo(writer, message.SenderSilo);
        if (message.Method is { } method)
        {
            writer.String(method.Interface.Name);
            writer.Fixed32(method.Id);
        }

        if ((has & Has.Deadline) != 0)
        {
            // Clocks differ between nodes, so what is left is sent.
            double left = (double)(message.Deadline - clock.GetTimestamp()) / clock.TimestampFrequency;
            writer.VarInt((long)(left * 1000));
        }

        if ((has & Has.Context) != 0) ContextCodec.Write(writer, message.Context!);
        if ((has & Has.Moved) != 0) AddressCodec.Write(writer, message.MovedTo!);
        int body = writer.BeginLength();
        switch (message.Kind)
        {
            case MessageKind.Request or MessageKind.OneWay:
                message.Method!.WriteArguments(writer, message.Arguments);
                break;
            case MessageKind.Response:
                message.Method!.WriteResult(writer, message.Result);
                break;
            case MessageKind.Error or MessageKind.Rejection:
                CodecProvider.Get<Exception>().Write(writer, message.Error!);
                break;
        }

        writer.EndLength(body);
        writer.EndLength(frame);
    }

    /// <summary>Reads a message without its frame's length. When only its body cannot be read, <see cref="Message.Error"/> of a request says why.</summary>
    public static Message Read(ReadOnlyMemory<byte> frame, NodeRuntime runtime)
    {
        var reader = new WireReader(frame, runtime);
        var message = new Message { Kind = (MessageKind)reader.Byte() };
        var has = (Has)reader.Byte();
        message.Id = reader.VarInt();
        message.ForwardCount = reader.Byte();
        message.Target = PrimitiveCodecs.ReadGrainId(reader);
        message.TargetSilo = PrimitiveCodecs.ReadSilo(reader);
        message.Sender = PrimitiveCodecs.ReadGrainId(reader);
        message.SenderSilo = PrimitiveCodecs.ReadSilo(reader);
        message.IsNewPlacement = (has & Has.NewPlacement) != 0;
        string? interfaceName = null;
        if ((has & Has.Method) != 0)
        {
            interfaceName = reader.String();
            message.Method = InterfaceDescriptor.Find(interfaceName)?.Method(reader.Fixed32());
        }

        if ((has & Has.Deadline) != 0) message.Deadline = runtime.Clock.GetTimestamp() + (reader.VarInt() * runtime.Clock.TimestampFrequency / 1000);
        if ((has & Has.Context) != 0) message.Context = ContextCodec.Read(reader);
        if ((has & Has.Moved) != 0) message.MovedTo = AddressCodec.Read(reader);
        reader.Fixed32();
        try
        {
            ReadBody(reader, message, interfaceName);
        }
        catch (Exception exception)
        {
            // A response that cannot be read fails its call; a request is answered with the error.
            message.Error = exception;
            if (message.Kind == MessageKind.Response) message.Kind = MessageKind.Error;
        }

        return message;
    }

    private static void ReadBody(WireReader reader, Message message, string? interfaceName)
    {
        switch (message.Kind)
        {
            case MessageKind.Request or MessageKind.OneWay:
                if (message.Method is null) throw new OrleansException($"There is no such method of an interface {interfaceName} here");
                message.Arguments = message.Method.ReadArguments(reader);
                break;
            case MessageKind.Response:
                message.Result = message.Method!.ReadResult(reader);
                break;
            case MessageKind.Error or MessageKind.Rejection:
                message.Error = CodecProvider.Get<Exception>().Read(reader);
                break;
        }
    }
}
