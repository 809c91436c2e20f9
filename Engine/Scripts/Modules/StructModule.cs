using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>
/// struct, as in Redis: packing values into bytes by a format (http://www.inf.puc-rio.br/~roberto/struct/), with the
/// sizes of C on 64-bit Linux.
/// </summary>
internal sealed class StructModule(LuaState state) : LuaModule(state)
{
    private const int LargestInteger = 32;

    public void Register(Dictionary<string, LuaFunction> functions)
    {
        functions["struct_pack"] = Pack;
        functions["struct_unpack"] = Unpack;
        functions["struct_size"] = Size;
    }

    /// <summary>Where we are in a format, and what it has said about the order of bytes and about alignment.</summary>
    private ref struct Format(ReadOnlySpan<byte> text)
    {
        private readonly ReadOnlySpan<byte> _text = text;
        private int _at;

        public bool IsLittleEndian { get; private set; } = BitConverter.IsLittleEndian;

        public int Align { get; private set; } = 1;

        public readonly bool IsAtEnd => _at == _text.Length;

        /// <summary>The next option, and how many bytes it takes.</summary>
        public byte Next(out int size)
        {
            byte option = _text[_at++];
            size = option switch
            {
                (byte)'B' or (byte)'b' or (byte)'x' => 1,
                (byte)'H' or (byte)'h' => 2,
                (byte)'L' or (byte)'l' or (byte)'T' or (byte)'d' => 8,
                (byte)'f' => 4,
                (byte)'c' => Number(1),
                (byte)'I' or (byte)'i' => Number(4),
                _ => 0,
            };
            if (option is (byte)'I' or (byte)'i' && size > LargestInteger)
                throw new LuaArgumentException($"integral size {size} is larger than limit of {LargestInteger}");
            return option;
        }

        private int Number(int otherwise)
        {
            if (IsAtEnd || !char.IsAsciiDigit((char)_text[_at])) return otherwise;
            long number = 0;
            while (!IsAtEnd && char.IsAsciiDigit((char)_text[_at]))
            {
                number = (number * 10) + (_text[_at++] - '0');
                if (number > int.MaxValue) throw new LuaArgumentException("integral size overflow");
            }
            return (int)number;
        }

        /// <summary>How many bytes are skipped before a value.</summary>
        public readonly int Padding(long position, byte option, int size)
        {
            if (size == 0 || option == 'c') return 0;
            int align = Math.Min(size, Align);
            return align > 1 ? (int)((align - (position & (align - 1))) & (align - 1)) : 0;
        }

        /// <summary>An option that stands for no value.</summary>
        public void Control(byte option)
        {
            switch (option)
            {
                case (byte)' ':
                    return;
                case (byte)'>':
                    IsLittleEndian = false;
                    return;
                case (byte)'<':
                    IsLittleEndian = true;
                    return;
                case (byte)'!':
                    int align = Number(8);
                    if (align <= 0 || (align & (align - 1)) != 0) throw new LuaArgumentException($"alignment {align} is not a power of 2");
                    Align = align;
                    return;
                default:
                    throw new LuaArgumentException($"invalid format option '{(char)option}'");
            }
        }
    }

    private int Pack(nint lua)
    {
        var format = new Format(Text(lua, 1, "pack"));
        int argument = 2;
        BeginOutput();
        Span<byte> number = stackalloc byte[LargestInteger];
        while (!format.IsAtEnd)
        {
            byte option = format.Next(out int size);
            for (int padding = format.Padding(OutputLength, option, size); padding > 0; padding--) Write((byte)0);
            switch (option)
            {
                case (byte)'b' or (byte)'B' or (byte)'h' or (byte)'H' or (byte)'l' or (byte)'L' or (byte)'T' or (byte)'i' or (byte)'I':
                    Span<byte> bytes = number[..size];
                    PutInteger(Number(lua, argument++, "pack"), bytes, format.IsLittleEndian);
                    Write(bytes);
                    break;
                case (byte)'x':
                    Write((byte)0);
                    break;
                case (byte)'f':
                    float single = (float)Number(lua, argument++, "pack");
                    if (format.IsLittleEndian) BinaryPrimitives.WriteSingleLittleEndian(number, single);
                    else BinaryPrimitives.WriteSingleBigEndian(number, single);
                    Write(number[..4]);
                    break;
                case (byte)'d':
                    double value = Number(lua, argument++, "pack");
                    if (format.IsLittleEndian) BinaryPrimitives.WriteDoubleLittleEndian(number, value);
                    else BinaryPrimitives.WriteDoubleBigEndian(number, value);
                    Write(number[..8]);
                    break;
                case (byte)'c' or (byte)'s':
                    ReadOnlySpan<byte> text = Text(lua, argument++, "pack");
                    if (size == 0) size = text.Length;
                    if (text.Length < size) throw BadArgument(argument, "pack", "string too short");
                    Write(text[..size]);
                    if (option == 's') Write((byte)0);
                    break;
                default:
                    format.Control(option);
                    break;
            }
            Check(lua);
        }
        return PushOutput(lua);
    }

    private static void PutInteger(double number, Span<byte> bytes, bool isLittleEndian)
    {
        // What C's casts do on x64 with numbers that do not fit.
        ulong value = number < 0 ? (number > -9.3e18 ? (ulong)(long)number : 1UL << 63) : number < 1.8446744073709552e19 ? (ulong)number : 0;
        if (double.IsNaN(number)) value = 1UL << 63;
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[isLittleEndian ? i : bytes.Length - 1 - i] = (byte)value;
            value >>= 8;
        }
    }

    private int Unpack(nint lua)
    {
        var format = new Format(Text(lua, 1, "unpack"));
        ReadOnlySpan<byte> data = Text(lua, 2, "unpack");
        long start = Integer(lua, 3, "unpack", 1);
        if (start < 1) throw BadArgument(3, "unpack", "offset must be 1 or greater");
        LuaApi.SetTop(lua, 3);
        long position = start - 1;
        int results = 0;
        while (!format.IsAtEnd)
        {
            byte option = format.Next(out int size);
            position += format.Padding(position, option, size);
            if (size > data.Length || position > data.Length - size) throw BadArgument(2, "unpack", "data string too short");
            if (LuaApi.CheckStack(lua, 3) == 0) throw new LuaArgumentException("stack overflow (too many results)");
            int at = (int)position;
            switch (option)
            {
                case (byte)'b' or (byte)'B' or (byte)'h' or (byte)'H' or (byte)'l' or (byte)'L' or (byte)'T' or (byte)'i' or (byte)'I':
                    LuaApi.PushNumber(lua, GetInteger(data.Slice(at, size), format.IsLittleEndian, char.IsAsciiLetterLower((char)option)));
                    results++;
                    break;
                case (byte)'x':
                    break;
                case (byte)'f':
                    ReadOnlySpan<byte> bytes = data.Slice(at, 4);
                    LuaApi.PushNumber(
                        lua, format.IsLittleEndian ? BinaryPrimitives.ReadSingleLittleEndian(bytes) : BinaryPrimitives.ReadSingleBigEndian(bytes));
                    results++;
                    break;
                case (byte)'d':
                    bytes = data.Slice(at, 8);
                    LuaApi.PushNumber(
                        lua, format.IsLittleEndian ? BinaryPrimitives.ReadDoubleLittleEndian(bytes) : BinaryPrimitives.ReadDoubleBigEndian(bytes));
                    results++;
                    break;
                case (byte)'c':
                    if (size == 0)
                    {
                        size = PopSize(lua, results, data.Length - at);
                        results--;
                    }
                    LuaApi.Push(lua, data.Slice(at, size));
                    results++;
                    break;
                case (byte)'s':
                    int length = data[at..].IndexOf((byte)0);
                    if (length < 0) throw new LuaArgumentException("unfinished string in data");
                    LuaApi.Push(lua, data.Slice(at, length));
                    size = length + 1;
                    results++;
                    break;
                default:
                    format.Control(option);
                    break;
            }
            position += size;
        }
        LuaApi.PushNumber(lua, position + 1);
        return results + 1;
    }

    /// <summary>For "c0": takes the number before it as the length.</summary>
    private static unsafe int PopSize(nint lua, int results, int most)
    {
        if (results == 0 || LuaApi.Type(lua, -1) != LuaType.Number) throw new LuaArgumentException("format 'c0' needs a previous size");
        double size = LuaApi.ToNumber(lua, -1, null);
        LuaApi.Pop(lua, 1);
        return size >= 0 && size <= most ? (int)size : throw BadArgument(2, "unpack", "data string too short");
    }

    private static double GetInteger(ReadOnlySpan<byte> bytes, bool isLittleEndian, bool isSigned)
    {
        ulong value = 0;
        for (int i = 0; i < bytes.Length; i++) value = (value << 8) | bytes[isLittleEndian ? bytes.Length - 1 - i : i];
        if (!isSigned) return value;
        if (bytes.Length is 0 or >= 8) return (long)value;
        int shift = 64 - (bytes.Length * 8);
        return (long)(value << shift) >> shift;
    }

    private int Size(nint lua)
    {
        var format = new Format(Text(lua, 1, "size"));
        long position = 0;
        while (!format.IsAtEnd)
        {
            byte option = format.Next(out int size);
            position += format.Padding(position, option, size);
            if (option == 's') throw BadArgument(1, "size", "variable-size format in method 'size'");
            if (option == 'c' && size == 0) throw BadArgument(1, "size", "variable-length format in method 'size'");
            if (!char.IsAsciiLetterOrDigit((char)option)) format.Control(option);
            position += size;
            if (position > int.MaxValue) throw BadArgument(1, "size", "format result too large");
        }
        LuaApi.PushNumber(lua, position);
        return 1;
    }
}
