using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// cjson, as in Redis: the behaviour and the messages of lua-cjson 2.1
/// (https://www.kyne.com.au/~mark/software/lua-cjson-manual.html). Its settings last until the end of the script.
/// </summary>
internal sealed class CjsonModule(LuaState state) : LuaModule(state)
{
    private const int TextBetweenChecks = 4096;

    private Settings _settings = new();

    private sealed record Settings
    {
        public bool ConvertsSparse { get; set; }

        public int SparseRatio { get; set; } = 2;

        public int SparseSafe { get; set; } = 10;

        public int EncodeDepth { get; set; } = 1000;

        public int DecodeDepth { get; set; } = 1000;

        public int Precision { get; set; } = 14;

        public bool KeepsBuffer { get; set; } = true;

        /// <summary>0 no, 1 yes, 2 as null.</summary>
        public int EncodeInvalid { get; set; }

        public bool DecodeInvalid { get; set; } = true;
    }

    public void Register(Dictionary<string, LuaFunction> functions)
    {
        functions["cjson_encode"] = Encode;
        functions["cjson_decode"] = Decode;
        functions["cjson_encode_sparse_array"] = EncodeSparseArray;
        functions["cjson_encode_max_depth"] =
            lua => IntegerOption(lua, "encode_max_depth", 1, int.MaxValue, _settings.EncodeDepth, value => _settings.EncodeDepth = value);
        functions["cjson_decode_max_depth"] =
            lua => IntegerOption(lua, "decode_max_depth", 1, int.MaxValue, _settings.DecodeDepth, value => _settings.DecodeDepth = value);
        functions["cjson_encode_number_precision"] =
            lua => IntegerOption(lua, "encode_number_precision", 1, 14, _settings.Precision, value => _settings.Precision = value);
        functions["cjson_encode_keep_buffer"] =
            lua => BooleanOption(lua, "encode_keep_buffer", _settings.KeepsBuffer, value => _settings.KeepsBuffer = value);
        functions["cjson_decode_invalid_numbers"] =
            lua => BooleanOption(lua, "decode_invalid_numbers", _settings.DecodeInvalid, value => _settings.DecodeInvalid = value);
        functions["cjson_encode_invalid_numbers"] = EncodeInvalidNumbers;
    }

    /// <summary>Forgets what a script has set.</summary>
    public void Reset()
    {
        if (_isChanged) _settings = new();
        _isChanged = false;
    }

    private bool _isChanged;

    // Options

    private int IntegerOption(nint lua, string function, int least, int most, int present, Action<int> set)
    {
        CheckCount(lua, function, 1);
        present = ReadInteger(lua, 1, function, least, most, present, set);
        LuaApi.PushNumber(lua, present);
        return 1;
    }

    private int ReadInteger(nint lua, int index, string function, int least, int most, int present, Action<int> set)
    {
        if (LuaApi.Type(lua, index) is LuaType.None or LuaType.Nil) return present;
        double value = Number(lua, index, function);
        if (!(value >= least && value <= most)) throw BadArgument(index, function, $"expected integer between {least} and {most}");
        set((int)value);
        _isChanged = true;
        return (int)value;
    }

    private int BooleanOption(nint lua, string function, bool present, Action<bool> set)
    {
        CheckCount(lua, function, 1);
        present = ReadBoolean(lua, 1, function, present, set);
        LuaApi.PushBoolean(lua, present ? 1 : 0);
        return 1;
    }

    private bool ReadBoolean(nint lua, int index, string function, bool present, Action<bool> set)
    {
        bool value;
        switch (LuaApi.Type(lua, index))
        {
            case LuaType.None or LuaType.Nil:
                return present;
            case LuaType.Boolean:
                value = LuaApi.ToBoolean(lua, index) != 0;
                break;
            default:
                string word = Encoding.Latin1.GetString(Text(lua, index, function));
                value = word switch
                {
                    "on" => true,
                    "off" => false,
                    _ => throw BadArgument(index, function, $"invalid option '{word}'"),
                };
                break;
        }
        set(value);
        _isChanged = true;
        return value;
    }

    private int EncodeSparseArray(nint lua)
    {
        const string Function = "encode_sparse_array";
        CheckCount(lua, Function, 3);
        LuaApi.PushBoolean(lua, ReadBoolean(lua, 1, Function, _settings.ConvertsSparse, value => _settings.ConvertsSparse = value) ? 1 : 0);
        LuaApi.PushNumber(lua, ReadInteger(lua, 2, Function, 0, int.MaxValue, _settings.SparseRatio, value => _settings.SparseRatio = value));
        LuaApi.PushNumber(lua, ReadInteger(lua, 3, Function, 0, int.MaxValue, _settings.SparseSafe, value => _settings.SparseSafe = value));
        return 3;
    }

    private int EncodeInvalidNumbers(nint lua)
    {
        const string Function = "encode_invalid_numbers";
        CheckCount(lua, Function, 1);
        if (LuaApi.Type(lua, 1) == LuaType.String && LuaApi.StringAt(lua, 1).SequenceEqual("null"u8))
        {
            _settings.EncodeInvalid = 2;
            _isChanged = true;
        }
        else
        {
            ReadBoolean(lua, 1, Function, false, value => _settings.EncodeInvalid = value ? 1 : 0);
        }
        if (_settings.EncodeInvalid == 2) LuaApi.Push(lua, "null"u8);
        else LuaApi.PushBoolean(lua, _settings.EncodeInvalid);
        return 1;
    }

    /// <summary>At most so many arguments; the missing ones become nil, so that results do not take their place.</summary>
    private static void CheckCount(nint lua, string function, int most)
    {
        int count = LuaApi.Top(lua);
        if (count > most) throw BadArgument(most + 1, function, "found too many arguments");
        for (; count < most; count++) LuaApi.PushNil(lua);
    }

    // Encoding

    private int Encode(nint lua)
    {
        if (LuaApi.Top(lua) != 1) throw BadArgument(1, "encode", "expected 1 argument");
        BeginOutput();
        Append(lua, 0);
        return PushOutput(lua);
    }

    /// <summary>Writes the value on the top.</summary>
    private unsafe void Append(nint lua, int depth)
    {
        CountElement(lua);
        switch (LuaApi.Type(lua, -1))
        {
            case LuaType.String:
                AppendString(lua, LuaApi.StringAt(lua, -1));
                break;
            case LuaType.Number:
                AppendNumber(LuaApi.ToNumber(lua, -1, null));
                break;
            case LuaType.Boolean:
                Write(LuaApi.ToBoolean(lua, -1) != 0 ? "true"u8 : "false"u8);
                break;
            case LuaType.Table:
                AppendTable(lua, depth + 1);
                break;
            case LuaType.Nil:
            case LuaType.LightUserData when LuaApi.ToPointer(lua, -1) == 0:
                Write("null"u8);
                break;
            default:
                throw Cannot(LuaApi.Type(lua, -1), "type not supported");
        }
    }

    private static LuaArgumentException Cannot(LuaType type, string reason) => new($"Cannot serialise {TypeName(type)}: {reason}");

    private void AppendTable(nint lua, int depth)
    {
        if (depth > _settings.EncodeDepth || LuaApi.CheckStack(lua, 3) == 0 || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new LuaArgumentException($"Cannot serialise, excessive depth ({depth})");
        long length = ArrayLength(lua);
        if (length > 0) AppendArray(lua, depth, length);
        else AppendObject(lua, depth);
    }

    /// <summary>The greatest index of a table that has nothing but indices; otherwise negative.</summary>
    private unsafe long ArrayLength(nint lua)
    {
        long greatest = 0, count = 0;
        LuaApi.PushNil(lua);
        while (LuaApi.Next(lua, -2) != 0)
        {
            double key = LuaApi.Type(lua, -2) == LuaType.Number ? LuaApi.ToNumber(lua, -2, null) : 0;
            if (!(key >= 1 && Math.Floor(key) == key && key < 1L << 53))
            {
                LuaApi.Pop(lua, 2);
                return -1;
            }
            greatest = Math.Max(greatest, (long)key);
            count++;
            LuaApi.Pop(lua, 1);
        }
        if (_settings.SparseRatio > 0 && greatest > count * _settings.SparseRatio && greatest > _settings.SparseSafe)
            return _settings.ConvertsSparse ? -1 : throw Cannot(LuaType.Table, "excessively sparse array");
        return greatest;
    }

    private void AppendArray(nint lua, int depth, long length)
    {
        Write((byte)'[');
        for (long i = 1; i <= length; i++)
        {
            if (i != 1) Write((byte)',');
            LuaApi.RawGetAt(lua, -1, i);
            Append(lua, depth);
            LuaApi.Pop(lua, 1);
        }
        Write((byte)']');
    }

    private void AppendObject(nint lua, int depth)
    {
        Write((byte)'{');
        if (!TableKeys.TryAdd(lua, out int start, out int end)) throw Cannot(TableKeys.Refused, "table key must be a number or string");
        for (int key = start; key < end; key++)
        {
            if (key != start) Write((byte)',');
            if (TableKeys.IsString(key))
            {
                AppendString(lua, TableKeys.TextAt(key));
                Write((byte)':');
            }
            else
            {
                Write((byte)'"');
                AppendNumber(TableKeys.NumberAt(key));
                Write("\":"u8);
            }
            TableKeys.PushValue(lua, key);
            Append(lua, depth);
            LuaApi.Pop(lua, 1);
        }
        TableKeys.RemoveFrom(start);
        Write((byte)'}');
    }

    private void AppendNumber(double number)
    {
        if (!double.IsFinite(number))
        {
            if (_settings.EncodeInvalid == 0) throw Cannot(LuaType.Number, "must not be NaN or Inf");
            if (_settings.EncodeInvalid == 2)
            {
                Write("null"u8);
                return;
            }
        }
        if (_settings.Precision == 14 && Math.Abs(number) < 1e14 && Math.Floor(number) == number && (number != 0 || !double.IsNegative(number)))
        {
            Span<byte> digits = stackalloc byte[20];
            Write(digits[..Numbers.FormatInt64((long)number, digits)]);
            return;
        }
        Write(LuaNumbers.Format(number, _settings.Precision));
    }

    private void AppendString(nint lua, ReadOnlySpan<byte> text)
    {
        Write((byte)'"');
        while (text.Length > TextBetweenChecks)
        {
            AppendEscaped(text[..TextBetweenChecks]);
            text = text[TextBetweenChecks..];
            CountText(lua, TextBetweenChecks);
        }
        AppendEscaped(text);
        Write((byte)'"');
    }

    private void AppendEscaped(ReadOnlySpan<byte> text)
    {
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            byte c = text[i];
            if (c is >= 32 and not ((byte)'"' or (byte)'\\' or (byte)'/' or 127)) continue;
            Write(text[start..i]);
            start = i + 1;
            Write(c switch
            {
                (byte)'"' => "\\\""u8,
                (byte)'\\' => "\\\\"u8,
                (byte)'/' => "\\/"u8,
                (byte)'\b' => "\\b"u8,
                (byte)'\t' => "\\t"u8,
                (byte)'\n' => "\\n"u8,
                (byte)'\f' => "\\f"u8,
                (byte)'\r' => "\\r"u8,
                _ => [(byte)'\\', (byte)'u', (byte)'0', (byte)'0', (byte)('0' + (c >> 4)), HexDigit(c & 15)],
            });
        }
        Write(text[start..]);
    }

    private static byte HexDigit(int value) => (byte)(value < 10 ? '0' + value : 'a' + value - 10);

    // Decoding

    private enum Token
    {
        ObjectBegin,
        ObjectEnd,
        ArrayBegin,
        ArrayEnd,
        String,
        Number,
        Boolean,
        Null,
        Colon,
        Comma,
        End,
        Error,
    }

    private ref struct Reader(ReadOnlySpan<byte> text)
    {
        public readonly ReadOnlySpan<byte> Text = text;
        public int At;
        public Token Token;

        /// <summary>Where the token begins.</summary>
        public int Start;

        public double Number;
        public bool Boolean;

        /// <summary>What is wrong.</summary>
        public string Error = "";

        public int Depth;
    }

    private int Decode(nint lua)
    {
        if (LuaApi.Top(lua) != 1) throw BadArgument(1, "decode", "expected 1 argument");
        var reader = new Reader(Text(lua, 1, "decode"));
        if (reader.Text.Length >= 2 && (reader.Text[0] == 0 || reader.Text[1] == 0))
            throw new LuaArgumentException("JSON parser does not support UTF-16 or UTF-32");
        Next(ref reader);
        PushValue(lua, ref reader);
        Next(ref reader);
        return reader.Token == Token.End ? 1 : throw Unexpected(reader, "the end");
    }

    private static LuaArgumentException Unexpected(in Reader reader, string expected)
    {
        string found = reader.Token switch
        {
            Token.ObjectBegin => "T_OBJ_BEGIN",
            Token.ObjectEnd => "T_OBJ_END",
            Token.ArrayBegin => "T_ARR_BEGIN",
            Token.ArrayEnd => "T_ARR_END",
            Token.Error => reader.Error,
            _ => "T_" + reader.Token.ToString().ToUpperInvariant(),
        };
        return new($"Expected {expected} but found {found} at character {reader.Start + 1}");
    }

    private void PushValue(nint lua, ref Reader reader)
    {
        CountElement(lua);
        switch (reader.Token)
        {
            case Token.String:
                PushOutput(lua);
                break;
            case Token.Number:
                LuaApi.PushNumber(lua, reader.Number);
                break;
            case Token.Boolean:
                LuaApi.PushBoolean(lua, reader.Boolean ? 1 : 0);
                break;
            case Token.Null:
                LuaApi.PushLightUserData(lua, 0);
                break;
            case Token.ObjectBegin:
                PushObject(lua, ref reader);
                break;
            case Token.ArrayBegin:
                PushArray(lua, ref reader);
                break;
            default:
                throw Unexpected(reader, "value");
        }
    }

    private void Descend(nint lua, ref Reader reader)
    {
        reader.Depth++;
        if (reader.Depth <= _settings.DecodeDepth && LuaApi.CheckStack(lua, 3) != 0
            && RuntimeHelpers.TryEnsureSufficientExecutionStack()) return;
        throw new LuaArgumentException($"Found too many nested data structures ({reader.Depth})");
    }

    private void PushObject(nint lua, ref Reader reader)
    {
        Descend(lua, ref reader);
        LuaApi.CreateTable(lua, 0, 0);
        Next(ref reader);
        if (reader.Token == Token.ObjectEnd)
        {
            reader.Depth--;
            return;
        }
        while (true)
        {
            if (reader.Token != Token.String) throw Unexpected(reader, "object key string");
            PushOutput(lua);
            Next(ref reader);
            if (reader.Token != Token.Colon) throw Unexpected(reader, "colon");
            Next(ref reader);
            PushValue(lua, ref reader);
            LuaApi.RawSet(lua, -3);
            Next(ref reader);
            if (reader.Token == Token.ObjectEnd)
            {
                reader.Depth--;
                return;
            }
            if (reader.Token != Token.Comma) throw Unexpected(reader, "comma or object end");
            Next(ref reader);
        }
    }

    private void PushArray(nint lua, ref Reader reader)
    {
        Descend(lua, ref reader);
        LuaApi.CreateTable(lua, 0, 0);
        Next(ref reader);
        if (reader.Token == Token.ArrayEnd)
        {
            reader.Depth--;
            return;
        }
        for (int i = 1; ; i++)
        {
            PushValue(lua, ref reader);
            LuaApi.RawSetAt(lua, -2, i);
            Next(ref reader);
            if (reader.Token == Token.ArrayEnd)
            {
                reader.Depth--;
                return;
            }
            if (reader.Token != Token.Comma) throw Unexpected(reader, "comma or array end");
            Next(ref reader);
        }
    }

    private static byte Peek(in Reader reader, int offset = 0) => reader.At + offset < reader.Text.Length ? reader.Text[reader.At + offset] : (byte)0;

    /// <summary>Reads a token. A string is left in the output.</summary>
    private void Next(ref Reader reader)
    {
        while (Peek(reader) is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\r') reader.At++;
        reader.Start = reader.At;
        if (reader.At == reader.Text.Length)
        {
            reader.Token = Token.End;
            return;
        }
        byte c = reader.Text[reader.At];
        Token? mark = c switch
        {
            (byte)'{' => Token.ObjectBegin,
            (byte)'}' => Token.ObjectEnd,
            (byte)'[' => Token.ArrayBegin,
            (byte)']' => Token.ArrayEnd,
            (byte)':' => Token.Colon,
            (byte)',' => Token.Comma,
            _ => null,
        };
        ReadOnlySpan<byte> rest = reader.Text[reader.At..];
        if (mark is { } token)
        {
            reader.At++;
            reader.Token = token;
        }
        else if (c == '"')
        {
            ReadString(ref reader);
        }
        else if (c == '-' || char.IsAsciiDigit((char)c))
        {
            if (!_settings.DecodeInvalid && IsInvalidNumber(rest)) Fail(ref reader, "invalid number");
            else ReadNumber(ref reader);
        }
        else if (rest.StartsWith("true"u8) || rest.StartsWith("false"u8))
        {
            reader.Token = Token.Boolean;
            reader.Boolean = c == 't';
            reader.At += c == 't' ? 4 : 5;
        }
        else if (rest.StartsWith("null"u8))
        {
            reader.Token = Token.Null;
            reader.At += 4;
        }
        else if (_settings.DecodeInvalid && IsInvalidNumber(rest))
        {
            ReadNumber(ref reader);
        }
        else
        {
            Fail(ref reader, "invalid token");
        }
    }

    private static void Fail(ref Reader reader, string error)
    {
        reader.Token = Token.Error;
        reader.Error = error;
        reader.Start = reader.At;
    }

    /// <summary>Whether a number is none of JSON's: hexadecimal, infinite, with a plus sign or a zero in front.</summary>
    private static bool IsInvalidNumber(ReadOnlySpan<byte> text)
    {
        if (text[0] == '+') return true;
        if (text[0] == '-') text = text[1..];
        if (text.IsEmpty) return false;
        if (text[0] == '0') return text.Length > 1 && (text[1] is (byte)'x' or (byte)'X' || char.IsAsciiDigit((char)text[1]));
        return !char.IsAsciiDigit((char)text[0]) && text.Length >= 3
            && (Ascii.EqualsWord(text[..3], "INF") || Ascii.EqualsWord(text[..3], "NAN"));
    }

    private static void ReadNumber(ref Reader reader)
    {
        ReadOnlySpan<byte> rest = reader.Text[reader.At..];
        int length = NumberLength(rest, out double number);
        if (length == 0)
        {
            Fail(ref reader, "invalid number");
            return;
        }
        reader.Token = Token.Number;
        reader.Number = number;
        reader.At += length;
    }

    /// <summary>How much of a text strtod reads as a number; 0 if nothing.</summary>
    private static int NumberLength(ReadOnlySpan<byte> text, out double number)
    {
        number = 0;
        int i = text[0] is (byte)'-' or (byte)'+' ? 1 : 0;
        double sign = text[0] == '-' ? -1 : 1;
        ReadOnlySpan<byte> rest = text[i..];
        foreach (string word in (ReadOnlySpan<string>)["INFINITY", "INF", "NAN"])
        {
            if (rest.Length < word.Length || !Ascii.EqualsWord(rest[..word.Length], word)) continue;
            number = word == "NAN" ? double.NaN : sign * double.PositiveInfinity;
            return i + word.Length;
        }
        if (rest.Length > 2 && rest[0] == '0' && rest[1] is (byte)'x' or (byte)'X' && rest.Length > 2 && char.IsAsciiHexDigit((char)rest[2]))
        {
            int end = 2;
            while (end < rest.Length && (char.IsAsciiHexDigit((char)rest[end]) || rest[end] == '.')) end++;
            if (!LuaLexer.TryParseNumber(Encoding.ASCII.GetString(rest[..end]), out number)) return 0;
            number *= sign;
            return i + end;
        }
        int at = 0, digits = 0;
        while (at < rest.Length && char.IsAsciiDigit((char)rest[at]))
        {
            at++;
            digits++;
        }
        if (at < rest.Length && rest[at] == '.')
        {
            at++;
            while (at < rest.Length && char.IsAsciiDigit((char)rest[at]))
            {
                at++;
                digits++;
            }
        }
        if (digits == 0) return 0;
        if (at < rest.Length && rest[at] is (byte)'e' or (byte)'E' && at < rest.Length)
        {
            int exponent = at + 1;
            if (exponent < rest.Length && rest[exponent] is (byte)'+' or (byte)'-' && exponent < rest.Length) exponent++;
            if (exponent < rest.Length && char.IsAsciiDigit((char)rest[exponent]))
            {
                at = exponent;
                while (at < rest.Length && char.IsAsciiDigit((char)rest[at])) at++;
            }
        }
        number = sign * double.Parse(rest[..at], NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture);
        return i + at;
    }

    private void ReadString(ref Reader reader)
    {
        BeginOutput();
        reader.At++;
        while (true)
        {
            ReadOnlySpan<byte> rest = reader.Text[reader.At..];
            int plain = rest.IndexOfAny((byte)'"', (byte)'\\', (byte)0);
            if (plain < 0 || rest[plain] == 0)
            {
                reader.At += plain < 0 ? rest.Length : plain;
                Fail(ref reader, "unexpected end of string");
                return;
            }
            Write(rest[..plain]);
            reader.At += plain;
            if (rest[plain] == '"')
            {
                reader.At++;
                reader.Token = Token.String;
                return;
            }
            if (Peek(reader, 1) == 'u')
            {
                if (TryReadUnicode(ref reader)) continue;
                Fail(ref reader, "invalid unicode escape code");
                return;
            }
            byte escaped = Peek(reader, 1) switch
            {
                (byte)'"' => (byte)'"',
                (byte)'\\' => (byte)'\\',
                (byte)'/' => (byte)'/',
                (byte)'b' => (byte)'\b',
                (byte)'f' => (byte)'\f',
                (byte)'n' => (byte)'\n',
                (byte)'r' => (byte)'\r',
                (byte)'t' => (byte)'\t',
                _ => 0,
            };
            if (escaped == 0)
            {
                Fail(ref reader, "invalid escape code");
                return;
            }
            Write(escaped);
            reader.At += 2;
        }
    }

    private bool TryReadUnicode(ref Reader reader)
    {
        int code = Hexadecimal(reader.Text, reader.At + 2);
        if (code < 0) return false;
        int length = 6;
        if ((code & 0xF800) == 0xD800)
        {
            if ((code & 0x400) != 0 || Peek(reader, 6) != '\\' || Peek(reader, 7) != 'u') return false;
            int low = Hexadecimal(reader.Text, reader.At + 8);
            if (low < 0 || (low & 0xFC00) != 0xDC00) return false;
            code = ((((code & 0x3FF) << 10) | (low & 0x3FF)) + 0x10000);
            length = 12;
        }
        Span<byte> utf8 = stackalloc byte[4];
        Write(utf8[..new Rune(code).EncodeToUtf8(utf8)]);
        reader.At += length;
        return true;
    }

    private static int Hexadecimal(ReadOnlySpan<byte> text, int at)
    {
        if (at + 4 > text.Length) return -1;
        int code = 0;
        foreach (byte digit in text.Slice(at, 4))
        {
            if (!char.IsAsciiHexDigit((char)digit)) return -1;
            code = (code << 4) | Convert.ToInt32(((char)digit).ToString(), 16);
        }
        return code;
    }
}
