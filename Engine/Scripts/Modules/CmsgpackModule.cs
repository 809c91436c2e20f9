using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>
/// cmsgpack, as in Redis: MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), with the choices of
/// lua-cmsgpack 0.4.
/// </summary>
internal sealed class CmsgpackModule(LuaState state) : LuaModule(state)
{
    /// <summary>What is nested deeper becomes nil (LUACMSGPACK_MAX_NESTING).</summary>
    private const int MostPacked = 16;

    /// <summary>How deep data may nest that is read.</summary>
    private const int MostUnpacked = 2000;


    public void Register(Dictionary<string, LuaFunction> functions)
    {
        functions["cmsgpack_pack"] = Pack;
        functions["cmsgpack_unpack"] = lua => Unpack(lua, "unpack", 0, 0);
        functions["cmsgpack_unpack_one"] = lua => Unpack(lua, "unpack_one", 1, Integer(lua, 2, "unpack_one", 0));
        functions["cmsgpack_unpack_limit"] = UnpackLimit;
    }

    private int Pack(nint lua)
    {
        int count = LuaApi.Top(lua);
        if (count == 0) throw BadArgument(0, "pack", "MessagePack pack needs input.");
        if (LuaApi.CheckStack(lua, 4 * (MostPacked + 2)) == 0) throw BadArgument(0, "pack", "Too many arguments for MessagePack pack.");
        BeginOutput();
        for (int i = 1; i <= count; i++)
        {
            LuaApi.PushValue(lua, i);
            Append(lua, 0);
            LuaApi.Pop(lua, 1);
        }
        return PushOutput(lua);
    }

    /// <summary>Writes the value on the top.</summary>
    private unsafe void Append(nint lua, int level)
    {
        CountElement(lua);
        switch (LuaApi.Type(lua, -1))
        {
            case LuaType.String:
                ReadOnlySpan<byte> text = LuaApi.StringAt(lua, -1);
                if (text.Length < 32) Write((byte)(0xa0 | text.Length));
                else if (text.Length <= 0xff) Write([0xd9, (byte)text.Length]);
                else AppendLength(text.Length, 0xda, 0xdb);
                Write(text);
                CountText(lua, text.Length);
                break;
            case LuaType.Boolean:
                Write(LuaApi.ToBoolean(lua, -1) != 0 ? (byte)0xc3 : (byte)0xc2);
                break;
            case LuaType.Number:
                AppendNumber(LuaApi.ToNumber(lua, -1, null));
                break;
            case LuaType.Table when level < MostPacked:
                AppendTable(lua, level + 1);
                break;
            default:
                Write((byte)0xc0);
                break;
        }
    }

    private void AppendLength(int length, byte code16, byte code32)
    {
        Span<byte> bytes = stackalloc byte[5];
        if (length <= 0xffff)
        {
            bytes[0] = code16;
            BinaryPrimitives.WriteUInt16BigEndian(bytes[1..], (ushort)length);
            Write(bytes[..3]);
        }
        else
        {
            bytes[0] = code32;
            BinaryPrimitives.WriteInt32BigEndian(bytes[1..], length);
            Write(bytes);
        }
    }

    private void AppendNumber(double number)
    {
        Span<byte> bytes = stackalloc byte[9];
        if (number is >= -9223372036854775808.0 and < 9223372036854775808.0 && Math.Floor(number) == number)
        {
            AppendInteger((long)number);
        }
        else if ((float)number == number || double.IsNaN(number))
        {
            bytes[0] = 0xca;
            BinaryPrimitives.WriteSingleBigEndian(bytes[1..], (float)number);
            Write(double.IsNaN(number) ? DoubleBytes(number, bytes) : bytes[..5]);
        }
        else
        {
            Write(DoubleBytes(number, bytes));
        }
    }

    private static ReadOnlySpan<byte> DoubleBytes(double number, Span<byte> bytes)
    {
        bytes[0] = 0xcb;
        BinaryPrimitives.WriteDoubleBigEndian(bytes[1..], number);
        return bytes;
    }

    private void AppendInteger(long number)
    {
        Span<byte> bytes = stackalloc byte[9];
        int length;
        if (number is >= -32 and <= 127)
        {
            bytes[0] = (byte)number;
            length = 1;
        }
        else if (number is >= sbyte.MinValue and <= byte.MaxValue)
        {
            bytes[0] = number < 0 ? (byte)0xd0 : (byte)0xcc;
            bytes[1] = (byte)number;
            length = 2;
        }
        else if (number is >= short.MinValue and <= ushort.MaxValue)
        {
            bytes[0] = number < 0 ? (byte)0xd1 : (byte)0xcd;
            BinaryPrimitives.WriteUInt16BigEndian(bytes[1..], (ushort)number);
            length = 3;
        }
        else if (number is >= int.MinValue and <= uint.MaxValue)
        {
            bytes[0] = number < 0 ? (byte)0xd2 : (byte)0xce;
            BinaryPrimitives.WriteUInt32BigEndian(bytes[1..], (uint)number);
            length = 5;
        }
        else
        {
            bytes[0] = number < 0 ? (byte)0xd3 : (byte)0xcf;
            BinaryPrimitives.WriteInt64BigEndian(bytes[1..], number);
            length = 9;
        }
        Write(bytes[..length]);
    }

    private void AppendTable(nint lua, int level)
    {
        int count = Count(lua, out bool isArray);
        if (count < 16) Write((byte)((isArray ? 0x90 : 0x80) | count));
        else if (isArray) AppendLength(count, 0xdc, 0xdd);
        else AppendLength(count, 0xde, 0xdf);
        if (isArray)
        {
            for (int i = 1; i <= count; i++)
            {
                LuaApi.RawGetAt(lua, -1, i);
                Append(lua, level);
                LuaApi.Pop(lua, 1);
            }
            return;
        }
        if (TableKeys.TryAdd(lua, out int start, out int end))
        {
            for (int key = start; key < end; key++)
            {
                TableKeys.Push(lua, key);
                Append(lua, level);
                LuaApi.Pop(lua, 1);
                TableKeys.PushValue(lua, key);
                Append(lua, level);
                LuaApi.Pop(lua, 1);
            }
            TableKeys.RemoveFrom(start);
            return;
        }
        LuaApi.PushNil(lua);
        while (LuaApi.Next(lua, -2) != 0)
        {
            LuaApi.PushValue(lua, -2);
            Append(lua, level);
            LuaApi.Pop(lua, 1);
            Append(lua, level);
            LuaApi.Pop(lua, 1);
        }
    }

    /// <summary>How many elements a table has, and whether they are those of an array without gaps.</summary>
    private static unsafe int Count(nint lua, out bool isArray)
    {
        int count = 0;
        double greatest = 0;
        isArray = true;
        LuaApi.PushNil(lua);
        while (LuaApi.Next(lua, -2) != 0)
        {
            LuaApi.Pop(lua, 1);
            count++;
            double key = LuaApi.Type(lua, -1) == LuaType.Number ? LuaApi.ToNumber(lua, -1, null) : 0;
            if (!(key > 0 && Math.Floor(key) == key)) isArray = false;
            greatest = Math.Max(greatest, key);
        }
        isArray &= greatest == count;
        return count;
    }

    private int UnpackLimit(nint lua)
    {
        int limit = (int)Number(lua, 2, "unpack_limit"), offset = Integer(lua, 3, "unpack_limit", 0);
        return Unpack(lua, "unpack_limit", limit, offset);
    }

    /// <summary>
    /// Reads values from an offset on, at most so many; without limit and offset, all. Then the first result is the
    /// offset from which to go on, or -1 at the end.
    /// </summary>
    private int Unpack(nint lua, string function, int limit, int offset)
    {
        ReadOnlySpan<byte> data = Text(lua, 1, function);
        bool isAll = limit == 0 && offset == 0;
        if (offset < 0 || limit < 0) throw new LuaArgumentException($"Invalid request to unpack with offset of {offset} and limit of {data.Length}.");
        if (offset > data.Length) throw new LuaArgumentException($"Start offset {offset} greater than input length {data.Length}.");
        LuaApi.SetTop(lua, 1);
        if (isAll) limit = int.MaxValue;
        int at = offset, count = 0;
        for (; at < data.Length && count < limit; count++) Push(lua, data, ref at, 0);
        if (isAll) return count;
        LuaApi.PushNumber(lua, at == data.Length ? -1 : at);
        LuaApi.Rotate(lua, 2, 1);
        return count + 1;
    }

    private static ReadOnlySpan<byte> Take(ReadOnlySpan<byte> data, ref int at, long length)
    {
        if (length > data.Length - at) throw new LuaArgumentException("Missing bytes in input.");
        ReadOnlySpan<byte> taken = data.Slice(at, (int)length);
        at += (int)length;
        return taken;
    }

    /// <summary>Pushes the next value.</summary>
    private void Push(nint lua, ReadOnlySpan<byte> data, ref int at, int level)
    {
        CountElement(lua);
        if (level > MostUnpacked || LuaApi.CheckStack(lua, 4) == 0)
            throw new LuaArgumentException("too many return values at once; use unpack_one or unpack_limit instead.");
        byte code = Take(data, ref at, 1)[0];
        switch (code)
        {
            case <= 0x7f:
                LuaApi.PushNumber(lua, code);
                break;
            case >= 0xe0:
                LuaApi.PushNumber(lua, (sbyte)code);
                break;
            case >= 0x80 and <= 0x8f:
                PushMap(lua, data, ref at, code & 0xf, level);
                break;
            case >= 0x90 and <= 0x9f:
                PushArray(lua, data, ref at, code & 0xf, level);
                break;
            case >= 0xa0 and <= 0xbf:
                LuaApi.Push(lua, Take(data, ref at, code & 0x1f));
                break;
            case 0xc0:
                LuaApi.PushNil(lua);
                break;
            case 0xc2 or 0xc3:
                LuaApi.PushBoolean(lua, code & 1);
                break;
            case 0xc4 or 0xd9:
                LuaApi.Push(lua, Take(data, ref at, Take(data, ref at, 1)[0]));
                break;
            case 0xc5 or 0xda:
                LuaApi.Push(lua, Take(data, ref at, BinaryPrimitives.ReadUInt16BigEndian(Take(data, ref at, 2))));
                break;
            case 0xc6 or 0xdb:
                LuaApi.Push(lua, Take(data, ref at, BinaryPrimitives.ReadUInt32BigEndian(Take(data, ref at, 4))));
                break;
            case 0xca:
                LuaApi.PushNumber(lua, BinaryPrimitives.ReadSingleBigEndian(Take(data, ref at, 4)));
                break;
            case 0xcb:
                LuaApi.PushNumber(lua, BinaryPrimitives.ReadDoubleBigEndian(Take(data, ref at, 8)));
                break;
            case 0xcc:
                LuaApi.PushNumber(lua, Take(data, ref at, 1)[0]);
                break;
            case 0xcd:
                LuaApi.PushNumber(lua, BinaryPrimitives.ReadUInt16BigEndian(Take(data, ref at, 2)));
                break;
            case 0xce:
                LuaApi.PushNumber(lua, BinaryPrimitives.ReadUInt32BigEndian(Take(data, ref at, 4)));
                break;
            case 0xcf:
                LuaApi.PushNumber(lua, BinaryPrimitives.ReadUInt64BigEndian(Take(data, ref at, 8)));
                break;
            case 0xd0:
                LuaApi.PushNumber(lua, (sbyte)Take(data, ref at, 1)[0]);
                break;
            case 0xd1:
                LuaApi.PushNumber(lua, BinaryPrimitives.ReadInt16BigEndian(Take(data, ref at, 2)));
                break;
            case 0xd2:
                LuaApi.PushNumber(lua, BinaryPrimitives.ReadInt32BigEndian(Take(data, ref at, 4)));
                break;
            case 0xd3:
                LuaApi.PushNumber(lua, BinaryPrimitives.ReadInt64BigEndian(Take(data, ref at, 8)));
                break;
            case 0xdc:
                PushArray(lua, data, ref at, BinaryPrimitives.ReadUInt16BigEndian(Take(data, ref at, 2)), level);
                break;
            case 0xdd:
                PushArray(lua, data, ref at, BinaryPrimitives.ReadUInt32BigEndian(Take(data, ref at, 4)), level);
                break;
            case 0xde:
                PushMap(lua, data, ref at, BinaryPrimitives.ReadUInt16BigEndian(Take(data, ref at, 2)), level);
                break;
            case 0xdf:
                PushMap(lua, data, ref at, BinaryPrimitives.ReadUInt32BigEndian(Take(data, ref at, 4)), level);
                break;
            default:
                throw new LuaArgumentException("Bad data format in input.");
        }
    }

    private void PushArray(nint lua, ReadOnlySpan<byte> data, ref int at, long length, int level)
    {
        LuaApi.CreateTable(lua, 0, 0);
        for (long i = 1; i <= length; i++)
        {
            Push(lua, data, ref at, level + 1);
            LuaApi.RawSetAt(lua, -2, i);
        }
    }

    private unsafe void PushMap(nint lua, ReadOnlySpan<byte> data, ref int at, long length, int level)
    {
        LuaApi.CreateTable(lua, 0, 0);
        for (long i = 0; i < length; i++)
        {
            Push(lua, data, ref at, level + 1);
            if (LuaApi.Type(lua, -1) == LuaType.Nil) throw new LuaArgumentException("table index is nil");
            if (LuaApi.Type(lua, -1) == LuaType.Number && double.IsNaN(LuaApi.ToNumber(lua, -1, null)))
                throw new LuaArgumentException("table index is NaN");
            Push(lua, data, ref at, level + 1);
            LuaApi.RawSet(lua, -3);
        }
    }
}
