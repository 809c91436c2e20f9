using System.Buffers;
using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>What the prelude's string and math libraries leave to C#.</summary>
internal static class LuaStrings
{
    /// <summary>Of bytes, between two looks at whether the script must end: some ms.</summary>
    private const int MostComparisons = 1 << 26;

    /// <summary>
    /// The longest program that a script may compile in its turn. What is made of it takes some ten times as much memory,
    /// which is not counted before it is there.
    /// </summary>
    private const int LongestProgram = 4 * 1024 * 1024;

    private static readonly SearchValues<byte> s_special = SearchValues.Create("^$*+?.([%-"u8);

    public static void Register(LuaState state, Dictionary<string, LuaFunction> functions)
    {
        functions["find"] = lua => Find(state, lua);
        functions["match"] = lua => Match(state, lua);
        functions["next_match"] = lua => NextMatch(state, lua);
        functions["match_from"] = lua => MatchFrom(state, lua);
        functions["gsub"] = lua => Replace(state, lua);
        functions["tonumber"] = ToNumber;
        functions["math"] = Math;
        functions["userdata"] = UserData;
        functions["interrupted"] = lua =>
        {
            LuaApi.PushBoolean(lua, state.IsInterrupted ? 1 : 0);
            return 1;
        };
        functions["compile"] = lua => Compile(state, lua, int.MaxValue);
        functions["compile_within"] = lua => Compile(state, lua, LongestProgram);
    }

    private static LuaPattern PatternOf(LuaState state, nint lua) =>
        new(LuaApi.StringAt(lua, 1), LuaApi.StringAt(lua, 2), () => state.WatchWithin(lua));

    private static unsafe int Integer(nint lua, int index)
    {
        double number = LuaApi.ToNumber(lua, index, null);
        return number >= int.MaxValue ? int.MaxValue : number <= -int.MaxValue ? -int.MaxValue : (int)number;
    }

    /// <summary>Where a search begins, from the position that a script gives.</summary>
    private static int Start(nint lua, int length)
    {
        int init = Integer(lua, 3);
        if (init < 0) init = System.Math.Max(0, length + init);
        else if (init > 0) init--;
        return System.Math.Min(init, length);
    }

    /// <summary>string.find(s, pattern, init, plain)</summary>
    private static int Find(LuaState state, nint lua)
    {
        ReadOnlySpan<byte> source = LuaApi.StringAt(lua, 1), pattern = LuaApi.StringAt(lua, 2);
        int from = Start(lua, source.Length);
        if (LuaApi.ToBoolean(lua, 4) != 0 || pattern.IndexOfAny(s_special) < 0)
        {
            int at = IndexOf(state, lua, source, pattern, from);
            if (at < 0)
            {
                LuaApi.PushNil(lua);
                return 1;
            }
            LuaApi.PushNumber(lua, at + 1);
            LuaApi.PushNumber(lua, at + pattern.Length);
            return 2;
        }
        LuaPattern matcher = PatternOf(state, lua);
        if (!Search(ref matcher, pattern, source.Length, from, out int start, out int end))
        {
            LuaApi.PushNil(lua);
            return 1;
        }
        LuaApi.PushNumber(lua, start + 1);
        LuaApi.PushNumber(lua, end);
        return 2 + (matcher.Captures == 0 ? 0 : PushCaptures(lua, ref matcher, start, end));
    }

    /// <summary>
    /// Where a text is found. At worst that takes time in proportion to the product of the two lengths, so it is done in
    /// pieces, between which the script can be ended.
    /// </summary>
    private static int IndexOf(LuaState state, nint lua, ReadOnlySpan<byte> source, ReadOnlySpan<byte> text, int from)
    {
        int starts = System.Math.Max(1, MostComparisons / System.Math.Max(1, text.Length));
        while (true)
        {
            int length = (int)System.Math.Min(source.Length - from, (long)starts + text.Length - 1);
            int at = source.Slice(from, length).IndexOf(text);
            if (at >= 0) return from + at;
            if (from + length == source.Length) return -1;
            from += starts;
            state.WatchWithin(lua);
        }
    }

    /// <summary>string.match(s, pattern, init)</summary>
    private static int Match(LuaState state, nint lua)
    {
        int length = LuaApi.StringAt(lua, 1).Length;
        LuaPattern matcher = PatternOf(state, lua);
        if (Search(ref matcher, LuaApi.StringAt(lua, 2), length, Start(lua, length), out int start, out int end))
            return PushCaptures(lua, ref matcher, start, end);
        LuaApi.PushNil(lua);
        return 1;
    }

    private static bool Search(ref LuaPattern matcher, ReadOnlySpan<byte> pattern, int length, int from, out int start, out int end)
    {
        bool isAnchored = !pattern.IsEmpty && pattern[0] == '^';
        start = from;
        do
        {
            end = matcher.MatchAt(start);
            if (end >= 0) return true;
        }
        while (++start <= length && !isAnchored);
        return false;
    }

    /// <summary>
    /// The next match for gmatch, from an offset on: the offset from which to go on, and the captures; nil if there is
    /// none. In gmatch of 5.1, "^" is no anchor but matches itself.
    /// </summary>
    private static int NextMatch(LuaState state, nint lua)
    {
        ReadOnlySpan<byte> source = LuaApi.StringAt(lua, 1), pattern = LuaApi.StringAt(lua, 2);
        bool isCaret = !pattern.IsEmpty && pattern[0] == '^';
        // So that the matcher does not take it for an anchor.
        ReadOnlySpan<byte> literal = isCaret ? (byte[])[(byte)'%', .. pattern] : pattern;
        var matcher = new LuaPattern(source, literal, () => state.WatchWithin(lua));
        for (int start = Integer(lua, 3); start <= source.Length; start++)
        {
            int end = matcher.MatchAt(start);
            if (end < 0) continue;
            LuaApi.PushNumber(lua, end == start ? end + 1 : end);
            return 1 + PushCaptures(lua, ref matcher, start, end);
        }
        LuaApi.PushNil(lua);
        return 1;
    }

    /// <summary>
    /// The next match for gsub, from an offset on: its start and end, and the captures; nil if there is none.
    /// </summary>
    private static int MatchFrom(LuaState state, nint lua)
    {
        ReadOnlySpan<byte> source = LuaApi.StringAt(lua, 1);
        LuaPattern matcher = PatternOf(state, lua);
        if (!Search(ref matcher, LuaApi.StringAt(lua, 2), source.Length, Integer(lua, 3), out int start, out int end))
        {
            LuaApi.PushNil(lua);
            return 1;
        }
        LuaApi.PushNumber(lua, start);
        LuaApi.PushNumber(lua, end);
        return 2 + PushCaptures(lua, ref matcher, start, end);
    }

    private static int PushCaptures(nint lua, ref LuaPattern matcher, int start, int end)
    {
        int count = System.Math.Max(1, matcher.Captures);
        if (LuaApi.CheckStack(lua, count) == 0) throw new LuaArgumentException("too many captures");
        ReadOnlySpan<byte> source = LuaApi.StringAt(lua, 1);
        for (int i = 0; i < count; i++)
        {
            (int at, int length) = matcher.Capture(i, start, end);
            if (length < 0) LuaApi.PushNumber(lua, at + 1);
            else LuaApi.Push(lua, source.Slice(at, length));
        }
        return count;
    }

    /// <summary>string.gsub(s, pattern, replacement, most), where the replacement is a string.</summary>
    private static int Replace(LuaState state, nint lua)
    {
        ReadOnlySpan<byte> source = LuaApi.StringAt(lua, 1), pattern = LuaApi.StringAt(lua, 2), replacement = LuaApi.StringAt(lua, 3);
        int most = Integer(lua, 4), matches = 0, at = 0;
        bool isAnchored = !pattern.IsEmpty && pattern[0] == '^';
        LuaPattern matcher = PatternOf(state, lua);
        var result = new ArrayBufferWriter<byte>(source.Length + 16);
        while (matches < most)
        {
            int end = matcher.MatchAt(at);
            if (end >= 0)
            {
                matches++;
                AddReplacement(result, ref matcher, source, replacement, at, end);
            }
            if (end > at) at = end;
            else if (at < source.Length) result.Write(source.Slice(at++, 1));
            else break;
            if (isAnchored) break;
            if (result.WrittenCount > state.MostStringBytes) throw new LuaArgumentException("not enough memory");
        }
        if (at < source.Length) result.Write(source[at..]);
        LuaApi.Push(lua, result.WrittenSpan);
        LuaApi.PushNumber(lua, matches);
        return 2;
    }

    private static void AddReplacement(
        ArrayBufferWriter<byte> result, ref LuaPattern matcher, ReadOnlySpan<byte> source, ReadOnlySpan<byte> replacement, int start, int end)
    {
        for (int i = 0; i < replacement.Length; i++)
        {
            byte c = replacement[i];
            if (c == '%')
            {
                c = ++i < replacement.Length ? replacement[i] : (byte)0;
                if (c == '0')
                {
                    result.Write(source[start..end]);
                    continue;
                }
                if (c is >= (byte)'1' and <= (byte)'9')
                {
                    (int at, int length) = matcher.Capture(c - '1', start, end);
                    if (length >= 0) result.Write(source.Slice(at, length));
                    else result.Write(Encoding.ASCII.GetBytes((at + 1).ToString(CultureInfo.InvariantCulture)));
                    continue;
                }
            }
            result.Write([c]);
        }
    }

    /// <summary>A string as a number, as far as Lua 5.4 does not read it as strtod does; nil if it is none.</summary>
    private static int ToNumber(nint lua)
    {
        if (TryParse(LuaApi.StringAt(lua, 1), out double number)) LuaApi.PushNumber(lua, number);
        else LuaApi.PushNil(lua);
        return 1;
    }

    /// <summary>Reads what strtod reads as a number and Lua 5.4 does not.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out double number)
    {
        ReadOnlySpan<char> text = Encoding.Latin1.GetString(bytes).AsSpan().Trim(" \t\n\v\f\r");
        bool isNegative = text.StartsWith("-");
        if (isNegative || text.StartsWith("+")) text = text[1..];
        if (text.Equals("inf", StringComparison.OrdinalIgnoreCase) || text.Equals("infinity", StringComparison.OrdinalIgnoreCase))
            number = double.PositiveInfinity;
        else if (text.Equals("nan", StringComparison.OrdinalIgnoreCase))
            number = BitConverter.UInt64BitsToDouble(0x7ff8_0000_0000_0000); // .NET's has the other sign
        else if (!text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) || !LuaLexer.TryParseNumber(text.ToString(), out number))
            return Fails(out number);
        if (isNegative) number = -number;
        return true;
    }

    private static bool Fails(out double number)
    {
        number = 0;
        return false;
    }

    /// <summary>math(name, x, y)</summary>
    private static unsafe int Math(nint lua)
    {
        ReadOnlySpan<byte> name = LuaApi.StringAt(lua, 1);
        double x = LuaApi.ToNumber(lua, 2, null);
        if (name.SequenceEqual("frexp"u8))
        {
            int exponent = x == 0 || !double.IsFinite(x) ? 0 : System.Math.ILogB(x) + 1;
            LuaApi.PushNumber(lua, System.Math.ScaleB(x, -exponent));
            LuaApi.PushNumber(lua, exponent);
            return 2;
        }
        LuaApi.PushNumber(lua, name switch
        {
            _ when name.SequenceEqual("sinh"u8) => System.Math.Sinh(x),
            _ when name.SequenceEqual("cosh"u8) => System.Math.Cosh(x),
            _ when name.SequenceEqual("tanh"u8) => System.Math.Tanh(x),
            _ => System.Math.ScaleB(x, Integer(lua, 3)), // ldexp
        });
        return 1;
    }

    private static unsafe int UserData(nint lua)
    {
        LuaApi.NewUserData(lua, 0, 0);
        return 1;
    }

    /// <summary>
    /// compile(text, name): a function that makes the program, which the prelude calls, and whether it may assign to
    /// the sandbox's own variables; nil and a message if the program is not correct.
    /// </summary>
    private static unsafe int Compile(LuaState state, nint lua, int longest)
    {
        if (LuaApi.StringAt(lua, 1).Length > longest) throw new LuaArgumentException("not enough memory");
        string source = Encoding.Latin1.GetString(LuaApi.StringAt(lua, 1)), name = Encoding.Latin1.GetString(LuaApi.StringAt(lua, 2));
        string translated;
        bool assignsGlobal;
        try
        {
            translated = LuaTranslator.Translate(source, Shown(name), out IReadOnlySet<string> words, out assignsGlobal);
            state.Words = words;
        }
        catch (LuaSyntaxException e)
        {
            LuaApi.PushNil(lua);
            LuaApi.Push(lua, Encoding.Latin1.GetBytes(e.Message));
            return 2;
        }
        byte[] text = Encoding.Latin1.GetBytes(translated), chunk = [.. Encoding.Latin1.GetBytes(name.Replace('\0', '?')), 0];
        int status;
        fixed (byte* at = text)
        fixed (byte* chunkAt = chunk)
        fixed (byte* mode = "t\0"u8)
        {
            status = LuaApi.Load(lua, at, (nuint)text.Length, chunkAt, mode);
        }
        if (status == LuaApi.Ok)
        {
            LuaApi.PushBoolean(lua, assignsGlobal ? 1 : 0);
            return 2;
        }
        LuaApi.PushNil(lua);
        LuaApi.Rotate(lua, -2, 1);
        return 2;
    }

    /// <summary>How messages call a chunk (luaO_chunkid).</summary>
    private static string Shown(string name)
    {
        if (name.Length != 0 && name[0] is '@' or '=') return name[1..];
        int end = name.AsSpan().IndexOfAny("\r\n");
        string line = end < 0 ? name : name[..end];
        const int Most = 60 - 17;
        return end >= 0 || line.Length > Most ? $"[string \"{line[..System.Math.Min(line.Length, Most)]}...\"]" : $"[string \"{line}\"]";
    }
}
