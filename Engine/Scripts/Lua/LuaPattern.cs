namespace OrleansRedis.Engine;

/// <summary>
/// Lua 5.1's patterns (https://www.lua.org/manual/5.1/manual.html#5.4.1). Matching is backtracking, so a hostile pattern
/// can take for ever: it calls <c>watch</c> now and then, which ends it with an exception.
/// </summary>
internal ref struct LuaPattern(ReadOnlySpan<byte> source, ReadOnlySpan<byte> pattern, Action watch)
{
    public const int MostCaptures = 32;
    private const int MostLevels = 200;
    private const long WorkBetweenWatches = 1 << 20;
    private const int Unfinished = -1, Position = -2;

    private readonly ReadOnlySpan<byte> _source = source;
    private readonly ReadOnlySpan<byte> _pattern = pattern;
    private CaptureArray _captures;
    private int _levels;
    private long _work = WorkBetweenWatches;

    [System.Runtime.CompilerServices.InlineArray(MostCaptures)]
    private struct CaptureArray
    {
        private (int Start, int Length) _first;
    }

    /// <summary>How many captures the last match made.</summary>
    public int Captures { get; private set; }

    /// <summary>Where a match that begins at <paramref name="s"/> ends; negative if there is none.</summary>
    public int MatchAt(int s)
    {
        Captures = 0;
        _levels = 0;
        return Match(s, _pattern.Length != 0 && _pattern[0] == '^' ? 1 : 0);
    }

    /// <summary>A capture; its length is negative if it is a position. Without captures, the whole match is the
    /// first.</summary>
    public readonly (int Start, int Length) Capture(int index, int matchStart, int matchEnd)
    {
        if (index >= Captures) return index == 0 ? (matchStart, matchEnd - matchStart) : throw new LuaArgumentException("invalid capture index");
        (int start, int length) = _captures[index];
        if (length == Unfinished) throw new LuaArgumentException("unfinished capture");
        return (start, length);
    }

    private int Match(int s, int p)
    {
        if (++_levels > MostLevels) throw new LuaArgumentException("pattern too complex");
        try
        {
            while (true)
            {
                Work(1);
                if (p == _pattern.Length) return s;
                switch (_pattern[p])
                {
                    case (byte)'(':
                        return p + 1 < _pattern.Length && _pattern[p + 1] == ')' ? StartCapture(s, p + 2, Position) : StartCapture(s, p + 1, Unfinished);
                    case (byte)')':
                        return EndCapture(s, p + 1);
                    case (byte)'%' when p + 1 < _pattern.Length && _pattern[p + 1] == 'b':
                        s = MatchBalance(s, p + 2);
                        if (s < 0) return -1;
                        p += 4;
                        continue;
                    case (byte)'%' when p + 1 < _pattern.Length && _pattern[p + 1] == 'f':
                        p += 2;
                        if (p >= _pattern.Length || _pattern[p] != '[') throw new LuaArgumentException("missing '[' after '%f' in pattern");
                        int setEnd = ClassEnd(p);
                        Work(setEnd - p);
                        byte before = s == 0 ? (byte)0 : _source[s - 1], here = s < _source.Length ? _source[s] : (byte)0;
                        if (MatchSet(before, p, setEnd - 1) || !MatchSet(here, p, setEnd - 1)) return -1;
                        p = setEnd;
                        continue;
                    case (byte)'%' when p + 1 < _pattern.Length && char.IsAsciiDigit((char)_pattern[p + 1]):
                        s = MatchCapture(s, _pattern[p + 1]);
                        if (s < 0) return -1;
                        p += 2;
                        continue;
                    case (byte)'$' when p + 1 == _pattern.Length:
                        return s == _source.Length ? s : -1;
                }
                int end = ClassEnd(p);
                Work(end - p);
                bool matches = s < _source.Length && MatchOne(_source[s], p, end);
                switch (end < _pattern.Length ? _pattern[end] : (byte)0)
                {
                    case (byte)'?':
                        if (matches && Match(s + 1, end + 1) is >= 0 and int after) return after;
                        p = end + 1;
                        continue;
                    case (byte)'*':
                        return MaxExpand(s, p, end);
                    case (byte)'+':
                        return matches ? MaxExpand(s + 1, p, end) : -1;
                    case (byte)'-':
                        return MinExpand(s, p, end);
                    default:
                        if (!matches) return -1;
                        s++;
                        p = end;
                        continue;
                }
            }
        }
        finally
        {
            _levels--;
        }
    }

    /// <summary>Counts what takes time in proportion to the lengths of the source and the pattern.</summary>
    private void Work(long amount)
    {
        if ((_work -= amount) > 0) return;
        _work = WorkBetweenWatches;
        watch();
    }

    private int MaxExpand(int s, int p, int end)
    {
        int count = 0;
        for (; s + count < _source.Length && MatchOne(_source[s + count], p, end); count++) Work(end - p);
        for (; count >= 0; count--)
        {
            if (Match(s + count, end + 1) is >= 0 and int after) return after;
        }
        return -1;
    }

    private int MinExpand(int s, int p, int end)
    {
        while (true)
        {
            if (Match(s, end + 1) is >= 0 and int after) return after;
            Work(end - p);
            if (s >= _source.Length || !MatchOne(_source[s], p, end)) return -1;
            s++;
        }
    }

    private int StartCapture(int s, int p, int what)
    {
        if (Captures >= MostCaptures) throw new LuaArgumentException("too many captures");
        _captures[Captures++] = (s, what);
        int after = Match(s, p);
        if (after < 0) Captures--;
        return after;
    }

    private int EndCapture(int s, int p)
    {
        int level = Captures - 1;
        while (level >= 0 && _captures[level].Length != Unfinished) level--;
        if (level < 0) throw new LuaArgumentException("invalid pattern capture");
        _captures[level].Length = s - _captures[level].Start;
        int after = Match(s, p);
        if (after < 0) _captures[level].Length = Unfinished;
        return after;
    }

    private int MatchBalance(int s, int p)
    {
        if (p + 1 >= _pattern.Length) throw new LuaArgumentException("unbalanced pattern");
        if (s >= _source.Length || _source[s] != _pattern[p]) return -1;
        byte open = _pattern[p], close = _pattern[p + 1];
        int depth = 1;
        while (++s < _source.Length)
        {
            Work(1);
            byte c = _source[s];
            if (c == close)
            {
                if (--depth == 0) return s + 1;
            }
            else if (c == open)
            {
                depth++;
            }
        }
        return -1;
    }

    private int MatchCapture(int s, byte digit)
    {
        int index = digit - '1';
        if (index < 0 || index >= Captures || _captures[index].Length == Unfinished) throw new LuaArgumentException("invalid capture index");
        (int start, int length) = _captures[index];
        if (length < 0) length = 0;
        Work(length / 16);
        return _source.Length - s >= length && _source.Slice(start, length).SequenceEqual(_source.Slice(s, length)) ? s + length : -1;
    }

    private readonly int ClassEnd(int p)
    {
        byte c = _pattern[p++];
        if (c == '%')
        {
            if (p == _pattern.Length) throw new LuaArgumentException("malformed pattern (ends with '%')");
            return p + 1;
        }
        if (c != '[') return p;
        if (p < _pattern.Length && _pattern[p] == '^') p++;
        do
        {
            if (p == _pattern.Length) throw new LuaArgumentException("malformed pattern (missing ']')");
            c = _pattern[p++];
            if (c == '%' && p < _pattern.Length) p++; // skips escapes, such as "%]"
        }
        while (p >= _pattern.Length || _pattern[p] != ']');
        return p + 1;
    }

    private readonly bool MatchOne(byte c, int p, int end) => _pattern[p] switch
    {
        (byte)'.' => true,
        (byte)'%' => MatchClass(c, _pattern[p + 1]),
        (byte)'[' => MatchSet(c, p, end - 1),
        byte literal => literal == c,
    };

    /// <summary>Whether a set, from its '[' to its ']', has the character.</summary>
    private readonly bool MatchSet(byte c, int p, int close)
    {
        bool isIn = true;
        if (_pattern[p + 1] == '^')
        {
            isIn = false;
            p++;
        }
        while (++p < close)
        {
            if (_pattern[p] == '%')
            {
                p++;
                if (MatchClass(c, _pattern[p])) return isIn;
            }
            else if (_pattern[p + 1] == '-' && p + 2 < close)
            {
                p += 2;
                if (_pattern[p - 2] <= c && c <= _pattern[p]) return isIn;
            }
            else if (_pattern[p] == c)
            {
                return isIn;
            }
        }
        return !isIn;
    }

    private static bool MatchClass(byte c, byte name)
    {
        char letter = (char)c;
        bool? matches = (char)(name | 0x20) switch
        {
            'a' => char.IsAsciiLetter(letter),
            'c' => c is < 32 or 127,
            'd' => char.IsAsciiDigit(letter),
            'l' => char.IsAsciiLetterLower(letter),
            'p' => c is > 32 and < 127 && !char.IsAsciiLetterOrDigit(letter),
            's' => c is 32 or (>= 9 and <= 13),
            'u' => char.IsAsciiLetterUpper(letter),
            'w' => char.IsAsciiLetterOrDigit(letter),
            'x' => char.IsAsciiHexDigit(letter),
            'z' => c == 0,
            _ => null,
        };
        if (matches is not { } isIn || !char.IsAsciiLetter((char)name)) return name == c;
        return char.IsAsciiLetterUpper((char)name) ? !isIn : isIn;
    }
}
