using System.Net;
using Orleans.Runtime;

namespace Orleans.Serialization;

/// <summary>The codecs of types that have one built in and cannot change.</summary>
internal static class PrimitiveCodecs
{
    public static Dictionary<Type, Codec> All { get; } = new()
    {
        [typeof(bool)] = new ValueCodec<bool>((w, v) => w.Bool(v), r => r.Bool()),
        [typeof(byte)] = new ValueCodec<byte>((w, v) => w.Byte(v), r => r.Byte()),
        [typeof(sbyte)] = new ValueCodec<sbyte>((w, v) => w.Byte((byte)v), r => (sbyte)r.Byte()),
        [typeof(short)] = new ValueCodec<short>((w, v) => w.VarInt(v), r => checked((short)r.VarInt())),
        [typeof(ushort)] = new ValueCodec<ushort>((w, v) => w.VarUInt(v), r => checked((ushort)r.VarUInt())),
        [typeof(int)] = new ValueCodec<int>((w, v) => w.VarInt(v), r => checked((int)r.VarInt())),
        [typeof(uint)] = new ValueCodec<uint>((w, v) => w.VarUInt(v), r => checked((uint)r.VarUInt())),
        [typeof(long)] = new ValueCodec<long>((w, v) => w.VarInt(v), r => r.VarInt()),
        [typeof(ulong)] = new ValueCodec<ulong>((w, v) => w.VarUInt(v), r => r.VarUInt()),
        [typeof(char)] = new ValueCodec<char>((w, v) => w.VarUInt(v), r => checked((char)r.VarUInt())),
        [typeof(float)] = new ValueCodec<float>((w, v) => w.Fixed32(BitConverter.SingleToUInt32Bits(v)), r => BitConverter.UInt32BitsToSingle(r.Fixed32())),
        [typeof(double)] = new ValueCodec<double>((w, v) => w.Fixed64(BitConverter.DoubleToUInt64Bits(v)), r => BitConverter.UInt64BitsToDouble(r.Fixed64())),
        [typeof(decimal)] = new ValueCodec<decimal>(WriteDecimal, ReadDecimal),
        [typeof(Int128)] = new ValueCodec<Int128>((w, v) => { w.Fixed64((ulong)v); w.Fixed64((ulong)(v >> 64)); }, r => { ulong low = r.Fixed64(); return new Int128(r.Fixed64(), low); }),
        [typeof(string)] = new ValueCodec<string?>((w, v) => w.String(v), r => r.String()),
        [typeof(Guid)] = new ValueCodec<Guid>(WriteGuid, r => new Guid(r.Raw(16))),
        [typeof(DateTime)] = new ValueCodec<DateTime>((w, v) => w.Fixed64((ulong)v.ToBinary()), r => DateTime.FromBinary((long)r.Fixed64())),
        [typeof(DateTimeOffset)] = new ValueCodec<DateTimeOffset>(
            (w, v) => { w.VarInt(v.Ticks); w.VarInt(v.Offset.Ticks); },
            r => new DateTimeOffset(r.VarInt(), new TimeSpan(r.VarInt()))),
        [typeof(DateOnly)] = new ValueCodec<DateOnly>((w, v) => w.VarInt(v.DayNumber), r => DateOnly.FromDayNumber((int)r.VarInt())),
        [typeof(TimeOnly)] = new ValueCodec<TimeOnly>((w, v) => w.VarInt(v.Ticks), r => new TimeOnly(r.VarInt())),
        [typeof(TimeSpan)] = new ValueCodec<TimeSpan>((w, v) => w.VarInt(v.Ticks), r => new TimeSpan(r.VarInt())),
        [typeof(Uri)] = new ValueCodec<Uri?>((w, v) => w.String(v?.OriginalString), r => r.String() is { } text ? new Uri(text, UriKind.RelativeOrAbsolute) : null),
        [typeof(Version)] = new ValueCodec<Version?>((w, v) => w.String(v?.ToString()), r => r.String() is { } text ? Version.Parse(text) : null),
        [typeof(IPAddress)] = new ValueCodec<IPAddress?>((w, v) => w.Bytes(v is null ? [] : v.GetAddressBytes()), r => r.Bytes() is { Length: > 0 } bytes ? new IPAddress(bytes) : null),
        [typeof(IPEndPoint)] = new ValueCodec<IPEndPoint?>((w, v) => w.String(v?.ToString()), r => r.String() is { } text ? IPEndPoint.Parse(text) : null),
        [typeof(IdSpan)] = new ValueCodec<IdSpan>((w, v) => w.Bytes(v.AsSpan()), ReadIdSpan),
        [typeof(GrainType)] = new ValueCodec<GrainType>((w, v) => w.Bytes(v.AsSpan()), r => new GrainType(ReadIdSpan(r))),
        [typeof(GrainInterfaceType)] = new ValueCodec<GrainInterfaceType>((w, v) => w.Bytes(v.Value.AsSpan()), r => new GrainInterfaceType(ReadIdSpan(r))),
        [typeof(GrainId)] = new ValueCodec<GrainId>(WriteGrainId, ReadGrainId),
        [typeof(ActivationId)] = new ValueCodec<ActivationId>((w, v) => WriteGuid(w, v.Key), r => new ActivationId(new Guid(r.Raw(16)))),
        [typeof(MembershipVersion)] = new ValueCodec<MembershipVersion>((w, v) => w.VarInt(v.Value), r => new MembershipVersion(r.VarInt())),
        [typeof(SiloAddress)] = new ValueCodec<SiloAddress?>(WriteSilo, ReadSilo),
        // A token in an argument stands for the caller's; the callee gets its own, which the runtime cancels by message.
        [typeof(CancellationToken)] = new ValueCodec<CancellationToken>((_, _) => { }, _ => default),
    };

    public static void WriteGrainId(WireWriter writer, GrainId value)
    {
        writer.Bytes(value.Type.AsSpan());
        writer.Bytes(value.Key.AsSpan());
    }

    public static GrainId ReadGrainId(WireReader reader) => new(new GrainType(ReadIdSpan(reader)), ReadIdSpan(reader));

    public static void WriteSilo(WireWriter writer, SiloAddress? value)
    {
        if (value is null)
        {
            writer.Byte(0);
            return;
        }

        Span<byte> address = stackalloc byte[16];
        value.Endpoint.Address.TryWriteBytes(address, out int length);
        writer.Bytes(address[..length]);
        writer.VarUInt((uint)value.Endpoint.Port);
        writer.VarInt(value.Generation);
    }

    public static SiloAddress? ReadSilo(WireReader reader)
    {
        int length = reader.Count();
        return length == 0 ? null : SiloAddress.New(new IPEndPoint(new IPAddress(reader.Raw(length)), (int)reader.VarUInt()), (int)reader.VarInt());
    }

    private static IdSpan ReadIdSpan(WireReader reader)
    {
        int length = reader.Count();
        return length == 0 ? default : new IdSpan(reader.Raw(length).ToArray());
    }

    private static void WriteGuid(WireWriter writer, Guid value)
    {
        value.TryWriteBytes(writer.GetSpan(16));
        writer.Advance(16);
    }

    private static void WriteDecimal(WireWriter writer, decimal value)
    {
        Span<int> bits = stackalloc int[4];
        decimal.GetBits(value, bits);
        foreach (int part in bits) writer.Fixed32((uint)part);
    }

    private static decimal ReadDecimal(WireReader reader) =>
        new([(int)reader.Fixed32(), (int)reader.Fixed32(), (int)reader.Fixed32(), (int)reader.Fixed32()]);
}
