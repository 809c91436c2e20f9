using System.Buffers.Text;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>Replies of commands as values of Lua, and the other way round, as Redis converts them
/// (https://redis.io/docs/latest/develop/programmability/lua-api/#data-type-conversion).</summary>
internal static class ScriptReply
{
    /// <summary>How deep tables may nest that become a reply; in Redis, about as many fit on Lua's stack.</summary>
    private const int MostLevels = 4000;

    /// <summary>Pushes a reply, which this server wrote itself. Returns how many bytes it took.</summary>
    public static int Push(nint lua, ReadOnlySpan<byte> reply)
    {
        if (LuaApi.CheckStack(lua, 6) == 0) throw new LuaArgumentException("stack overflow");
        int end = reply.IndexOf((byte)'\r');
        ReadOnlySpan<byte> line = reply[1..end];
        int used = end + 2;
        switch (reply[0])
        {
            case (byte)':':
                LuaApi.PushNumber(lua, Integer(line));
                return used;
            case (byte)'$':
                int length = (int)Integer(line);
                if (length < 0)
                {
                    LuaApi.PushBoolean(lua, 0);
                    return used;
                }
                LuaApi.Push(lua, reply.Slice(used, length));
                return used + length + 2;
            case (byte)'+':
                PushField(lua, "ok"u8, line);
                return used;
            case (byte)'-':
                PushError(lua, line, isCounted: true);
                return used;
            case (byte)'*':
                int count = (int)Integer(line);
                if (count < 0)
                {
                    LuaApi.PushBoolean(lua, 0);
                    return used;
                }
                LuaApi.CreateTable(lua, count, 0);
                for (int i = 1; i <= count; i++)
                {
                    used += Push(lua, reply[used..]);
                    LuaApi.RawSetAt(lua, -2, i);
                }
                return used;
            case (byte)'%':
                LuaApi.CreateTable(lua, 0, 1);
                LuaApi.Push(lua, "map"u8);
                count = (int)Integer(line);
                LuaApi.CreateTable(lua, 0, count);
                for (int i = 0; i < count; i++)
                {
                    used += Push(lua, reply[used..]);
                    used += Push(lua, reply[used..]);
                    SetUnlessNil(lua);
                }
                LuaApi.RawSet(lua, -3);
                return used;
            case (byte)'~':
                LuaApi.CreateTable(lua, 0, 1);
                LuaApi.Push(lua, "set"u8);
                count = (int)Integer(line);
                LuaApi.CreateTable(lua, 0, count);
                for (int i = 0; i < count; i++)
                {
                    used += Push(lua, reply[used..]);
                    LuaApi.PushBoolean(lua, 1);
                    SetUnlessNil(lua);
                }
                LuaApi.RawSet(lua, -3);
                return used;
            case (byte)'_':
                LuaApi.PushNil(lua);
                return used;
            case (byte)'#':
                LuaApi.PushBoolean(lua, line[0] == 't' ? 1 : 0);
                return used;
            case (byte)',':
                LuaApi.CreateTable(lua, 0, 1);
                LuaApi.Push(lua, "double"u8);
                LuaApi.PushNumber(lua, Double(line));
                LuaApi.RawSet(lua, -3);
                return used;
            case (byte)'(':
                PushField(lua, "big_number"u8, line);
                return used;
            case (byte)'=':
                length = (int)Integer(line);
                ReadOnlySpan<byte> text = reply.Slice(used, length);
                LuaApi.CreateTable(lua, 0, 1);
                LuaApi.Push(lua, "verbatim_string"u8);
                LuaApi.CreateTable(lua, 0, 2);
                SetField(lua, "string"u8, text[4..]);
                SetField(lua, "format"u8, text[..3]);
                LuaApi.RawSet(lua, -3);
                return used + length + 2;
            case (byte)'|':
                count = (int)Integer(line) * 2;
                for (int i = 0; i < count; i++)
                {
                    used += Push(lua, reply[used..]);
                    LuaApi.Pop(lua, 1);
                }
                return used + Push(lua, reply[used..]);
            default:
                throw new LuaArgumentException($"A reply of the unknown type '{(char)reply[0]}'.");
        }
    }

    /// <summary>
    /// Pushes the table that stands for an error, {err = "CODE text"}. Text without a code gets "ERR".
    /// </summary>
    /// <param name="lua">The stack.</param>
    /// <param name="error">The error, with its code.</param>
    /// <param name="isCounted">Whether the error statistics have it already.</param>
    public static void PushError(nint lua, ReadOnlySpan<byte> error, bool isCounted = false)
    {
        LuaApi.CreateTable(lua, 0, 2);
        error = error.TrimEnd("\r\n"u8);
        SetField(lua, "err"u8, error.Contains((byte)' ') ? error : [.. "ERR "u8, .. error]);
        if (!isCounted) return;
        LuaApi.Push(lua, "ignore_error_stats_update"u8);
        LuaApi.PushBoolean(lua, 1);
        LuaApi.RawSet(lua, -3);
    }

    /// <summary>The same, for a text without a code, which becomes "ERR".</summary>
    public static void PushError(nint lua, string text, bool isCounted = false) =>
        PushError(lua, Encoding.Latin1.GetBytes("ERR " + text), isCounted);

    /// <summary>Pushes a table with one field.</summary>
    public static void PushField(nint lua, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        LuaApi.CreateTable(lua, 0, 1);
        SetField(lua, name, value);
    }

    private static void SetField(nint lua, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        LuaApi.Push(lua, name);
        LuaApi.Push(lua, value);
        LuaApi.RawSet(lua, -3);
    }

    /// <summary>Sets a field, unless its name is one that Lua refuses.</summary>
    private static unsafe void SetUnlessNil(nint lua)
    {
        LuaType type = LuaApi.Type(lua, -2);
        if (type == LuaType.Nil || (type == LuaType.Number && double.IsNaN(LuaApi.ToNumber(lua, -2, null)))) LuaApi.Pop(lua, 2);
        else LuaApi.RawSet(lua, -3);
    }

    private static long Integer(ReadOnlySpan<byte> digits) => Utf8Parser.TryParse(digits, out long value, out _) ? value : 0;

    private static double Double(ReadOnlySpan<byte> text) => Numbers.TryParseDouble(text, out double value) ? value : double.NaN;

    /// <summary>Writes the value on the top as a reply, and pops it.</summary>
    /// <param name="lua">The stack.</param>
    /// <param name="reply">Where the reply goes, in the client's protocol.</param>
    /// <param name="isResp3">Whether the script has chosen RESP3.</param>
    /// <param name="level">How deep the value is nested.</param>
    public static unsafe void Pop(nint lua, RespWriter reply, bool isResp3, int level = 0)
    {
        if (level > MostLevels || LuaApi.CheckStack(lua, 8) == 0)
        {
            reply.Error("ERR reached lua stack limit"u8);
            LuaApi.Pop(lua, 1);
            return;
        }
        switch (LuaApi.Type(lua, -1))
        {
            case LuaType.String:
                reply.BulkString(LuaApi.StringAt(lua, -1));
                break;
            case LuaType.Boolean:
                bool value = LuaApi.ToBoolean(lua, -1) != 0;
                if (isResp3) reply.Boolean(value);
                else if (value) reply.Integer(1);
                else reply.Null();
                break;
            case LuaType.Number:
                reply.Integer(ToInteger(LuaApi.ToNumber(lua, -1, null)));
                break;
            case LuaType.Table:
                WriteTable(lua, reply, isResp3, level);
                break;
            default:
                reply.Null();
                break;
        }
        LuaApi.Pop(lua, 1);
    }

    /// <summary>Whether the value on the top is the error of a command, which the error statistics have already.</summary>
    public static bool IsCountedError(nint lua)
    {
        if (LuaApi.Type(lua, -1) != LuaType.Table || !TryField(lua, "ignore_error_stats_update"u8, LuaType.Boolean)) return false;
        bool isCounted = LuaApi.ToBoolean(lua, -1) != 0;
        LuaApi.Pop(lua, 1);
        return isCounted;
    }

    /// <summary>A C cast on x64, where what does not fit becomes the least integer.</summary>
    private static long ToInteger(double number) => number is > -9.3e18 and < 9.2233720368547758e18 ? (long)number : long.MinValue;

    private static unsafe void WriteTable(nint lua, RespWriter reply, bool isResp3, int level)
    {
        if (TryString(lua, "err"u8))
        {
            reply.Error(LuaApi.StringAt(lua, -1));
            LuaApi.Pop(lua, 1);
            return;
        }
        if (TryString(lua, "ok"u8))
        {
            reply.SimpleString(OneLine(LuaApi.StringAt(lua, -1)));
            LuaApi.Pop(lua, 1);
            return;
        }
        if (TryField(lua, "double"u8, LuaType.Number))
        {
            reply.Double(LuaApi.ToNumber(lua, -1, null));
            LuaApi.Pop(lua, 1);
            return;
        }
        if (TryString(lua, "big_number"u8))
        {
            reply.BigNumber(OneLine(LuaApi.StringAt(lua, -1)));
            LuaApi.Pop(lua, 1);
            return;
        }
        if (TryField(lua, "verbatim_string"u8, LuaType.Table))
        {
            if (TryString(lua, "format"u8))
            {
                byte[] format = LuaApi.StringAt(lua, -1).ToArray();
                LuaApi.Pop(lua, 1);
                if (TryString(lua, "string"u8))
                {
                    Array.Resize(ref format, 3);
                    reply.Verbatim(format, LuaApi.StringAt(lua, -1));
                    LuaApi.Pop(lua, 2);
                    return;
                }
            }
            LuaApi.Pop(lua, 1);
        }
        bool isMap = TryField(lua, "map"u8, LuaType.Table);
        if (isMap || TryField(lua, "set"u8, LuaType.Table))
        {
            int begin = reply.Begin(), count = 0;
            LuaApi.PushNil(lua);
            while (LuaApi.Next(lua, -2) != 0)
            {
                if (!isMap) LuaApi.Pop(lua, 1);
                LuaApi.PushValue(lua, isMap ? -2 : -1);
                Pop(lua, reply, isResp3, level + 1);
                if (isMap) Pop(lua, reply, isResp3, level + 1);
                count++;
            }
            reply.Finish(begin, isMap ? Aggregate.Map : Aggregate.Set, count);
            LuaApi.Pop(lua, 1);
            return;
        }
        int start = reply.Begin(), elements = 0;
        while (LuaApi.RawGetAt(lua, -1, elements + 1) != LuaType.Nil)
        {
            Pop(lua, reply, isResp3, level + 1);
            elements++;
            if (reply.HasOverflowed)
            {
                LuaApi.PushNil(lua);
                break;
            }
        }
        LuaApi.Pop(lua, 1);
        reply.Finish(start, Aggregate.Array, elements);
    }

    private static bool TryString(nint lua, ReadOnlySpan<byte> name) => TryField(lua, name, LuaType.String);

    private static bool TryField(nint lua, ReadOnlySpan<byte> name, LuaType type)
    {
        LuaApi.Push(lua, name);
        if (LuaApi.RawGet(lua, -2) == type) return true;
        LuaApi.Pop(lua, 1);
        return false;
    }

    private static ReadOnlySpan<byte> OneLine(ReadOnlySpan<byte> text)
    {
        if (text.IndexOfAny((byte)'\r', (byte)'\n') < 0) return text;
        byte[] line = text.ToArray();
        line.AsSpan().Replace((byte)'\r', (byte)' ');
        line.AsSpan().Replace((byte)'\n', (byte)' ');
        return line;
    }
}
