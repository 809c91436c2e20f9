using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Builds RDB files by hand, of any version and with any content. Text is Latin-1.</summary>
internal sealed class RdbFileBuilder
{
    private readonly List<byte> _bytes = [];
    private readonly int _version;

    public RdbFileBuilder(int version)
    {
        _version = version;
        Add(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"REDIS{version:D4}")));
    }

    public RdbFileBuilder Add(params ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public RdbFileBuilder Opcode(RdbOpcode opcode) => Add((byte)opcode);

    /// <summary>A length below 16,384.</summary>
    public RdbFileBuilder Length(int length) => length < 64 ? Add((byte)length) : Add((byte)(0x40 | (length >> 8)), (byte)length);

    public RdbFileBuilder Text(string text) => Text(Encoding.Latin1.GetBytes(text));

    public RdbFileBuilder Text(byte[] bytes) => Length(bytes.Length).Add(bytes);

    /// <summary>The type and name of a key, up to where its value begins.</summary>
    public RdbFileBuilder Key(RdbType type, string key) => Add((byte)type).Text(key);

    public RdbFileBuilder Milliseconds(long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return Add(bytes);
    }

    public RdbFileBuilder Seconds(int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return Add(bytes);
    }

    public RdbFileBuilder Double(double value) => Milliseconds(BitConverter.DoubleToInt64Bits(value));

    /// <summary>A double as the oldest versions wrote it.</summary>
    public RdbFileBuilder TextDouble(string text) => Add((byte)text.Length).Add(Encoding.ASCII.GetBytes(text));

    /// <summary>The whole file, with its end and, if the version has one, the CRC.</summary>
    public byte[] Build(ulong? checksum = null)
    {
        Opcode(RdbOpcode.Eof);
        byte[] bytes = [.. _bytes];
        if (_version < 5) return bytes;
        Array.Resize(ref bytes, bytes.Length + 8);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(^8), checksum ?? Crc64.Append(0, bytes.AsSpan(..^8)));
        return bytes;
    }

    /// <summary>
    /// A ziplist of these elements. Each is a string, or an integer with its encoding: "int8", "int16", "int24",
    /// "int32", "int64", "int4".
    /// </summary>
    public static byte[] Ziplist(params object[] elements)
    {
        var body = new List<byte>();
        int before = 0, last = 10;
        foreach (object element in elements)
        {
            last = 10 + body.Count;
            int start = body.Count;
            if (before < 254) body.Add((byte)before);
            else body.AddRange([0xfe, .. Int(before)]);
            switch (element)
            {
                case string text when text.Length < 64:
                    body.AddRange([(byte)text.Length, .. Encoding.Latin1.GetBytes(text)]);
                    break;
                case string text when text.Length < 16384:
                    body.AddRange([(byte)(0x40 | (text.Length >> 8)), (byte)text.Length, .. Encoding.Latin1.GetBytes(text)]);
                    break;
                case string text:
                    body.AddRange([0x80, .. Int(text.Length).Reverse(), .. Encoding.Latin1.GetBytes(text)]);
                    break;
                case ("int4", long value):
                    body.Add((byte)(0xf1 + value));
                    break;
                case ("int8", long value):
                    body.AddRange([0xfe, (byte)value]);
                    break;
                case ("int16", long value):
                    body.AddRange([0xc0, .. Int((int)value)[..2]]);
                    break;
                case ("int24", long value):
                    body.AddRange([0xf0, .. Int((int)value)[..3]]);
                    break;
                case ("int32", long value):
                    body.AddRange([0xd0, .. Int((int)value)]);
                    break;
                case ("int64", long value):
                    body.AddRange([0xe0, .. BitConverter.GetBytes(value)]);
                    break;
                default:
                    throw new ArgumentException($"{element} is no element.", nameof(elements));
            }
            before = body.Count - start;
        }
        return [.. Int(11 + body.Count), .. Int(last), (byte)elements.Length, (byte)(elements.Length >> 8), .. body, 0xff];
    }

    /// <summary>A zipmap of fields and values, with this many free bytes after each value.</summary>
    public static byte[] Zipmap(int free, params string[] words)
    {
        var bytes = new List<byte> { (byte)Math.Min(254, words.Length / 2) };
        for (int i = 0; i < words.Length; i++)
        {
            if (words[i].Length < 254) bytes.Add((byte)words[i].Length);
            else bytes.AddRange([254, .. Int(words[i].Length)]);
            if (i % 2 == 1) bytes.Add((byte)free);
            bytes.AddRange(Encoding.Latin1.GetBytes(words[i]));
            if (i % 2 == 1) bytes.AddRange(new byte[free]);
        }
        return [.. bytes, 0xff];
    }

    /// <summary>An intset of integers of this width, given in ascending order.</summary>
    public static byte[] Intset(int width, params long[] values) =>
        [.. Int(width), .. Int(values.Length), .. values.SelectMany(value => BitConverter.GetBytes(value)[..width])];

    /// <summary>A listpack of these elements.</summary>
    public static byte[] Listpack(params string[] elements)
    {
        Listpack listpack = Engine.Listpack.Create();
        foreach (string element in elements) listpack.Append(Encoding.Latin1.GetBytes(element));
        return listpack.Bytes.ToArray();
    }

    private static byte[] Int(int value) => BitConverter.GetBytes(value);
}
