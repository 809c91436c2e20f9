using System.Buffers;
using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>A program in Lua 5.1 that does not compile; the message is Lua's own ("user_script:1: …").</summary>
internal sealed class LuaSyntaxException(string message) : Exception(message);

internal enum LuaToken
{
    End,
    Name,
    Number,
    String,

    /// <summary>An operator or a punctuation mark; <see cref="LuaLexer.Text"/> says which.</summary>
    Mark,

    /// <summary>A reserved word of Lua 5.1; <see cref="LuaLexer.Text"/> says which.</summary>
    Word,
}

/// <summary>
/// The tokens of Lua 5.1 (https://www.lua.org/manual/5.1/manual.html#2.1), with one token of lookahead. Text is Latin-1:
/// one character stands for one byte.
/// </summary>
internal sealed class LuaLexer
{
    private static readonly HashSet<string> s_words =
    [
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in",
        "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
    ];

    private static readonly SearchValues<char> s_decimal = SearchValues.Create("0123456789.eE+-");

    private readonly string _source;
    private readonly string _chunk;
    private readonly StringBuilder _string = new();
    private int _at;
    private int _line = 1;
    private (LuaToken Kind, string Text, double Number, int Line)? _ahead;

    /// <param name="source">The program.</param>
    /// <param name="chunk">What messages call it.</param>
    public LuaLexer(string source, string chunk)
    {
        (_source, _chunk) = (source, chunk);
        if (source.StartsWith('#'))
        {
            // As the reference implementation does for files; Redis strips the line of its own flags beforehand.
            throw Unexpected("#");
        }
        Next();
    }

    public LuaToken Kind { get; private set; }

    /// <summary>The word, mark or name; what a string stands for; a number as it is written.</summary>
    public string Text { get; private set; } = "";

    public double Number { get; private set; }

    /// <summary>The line on which the token ends.</summary>
    public int Line { get; private set; } = 1;

    /// <summary>The line of the token before it.</summary>
    public int FormerLine { get; private set; } = 1;

    /// <summary>Whether the token is this mark or reserved word.</summary>
    public bool Is(string text) => Kind is LuaToken.Mark or LuaToken.Word && Text == text;

    /// <summary>Goes to the next token.</summary>
    public void Next()
    {
        FormerLine = Line;
        if (_ahead is { } ahead)
        {
            (Kind, Text, Number, Line) = ahead;
            _ahead = null;
            return;
        }
        Read();
    }

    /// <summary>Whether the token after this one is this mark.</summary>
    public bool IsFollowedBy(string mark)
    {
        if (_ahead is null)
        {
            (LuaToken, string, double, int) now = (Kind, Text, Number, Line);
            Read();
            _ahead = (Kind, Text, Number, Line);
            (Kind, Text, Number, Line) = now;
        }
        return _ahead is { Kind: LuaToken.Mark } ahead && ahead.Text == mark;
    }

    /// <summary>An error at the current token.</summary>
    public LuaSyntaxException Error(string message) => ErrorNear(message, Kind switch
    {
        LuaToken.End => "<eof>",
        LuaToken.String => _source[_tokenStart.._at],
        _ => Text,
    });

    /// <summary>An error at a token: "chunk:line: message near 'token'".</summary>
    private LuaSyntaxException ErrorNear(string message, string token) => Plain($"{message} near '{token}'");

    /// <summary>An error about more than one token.</summary>
    public LuaSyntaxException Plain(string message) => new($"{_chunk}:{_line}: {message}");

    private LuaSyntaxException Unexpected(string token) => ErrorNear("unexpected symbol", token);

    private int _tokenStart;

    private void Read()
    {
        while (true)
        {
            SkipBlanks();
            _tokenStart = _at;
            if (_at == _source.Length)
            {
                Set(LuaToken.End, "");
                return;
            }
            char c = _source[_at];
            if (c == '-' && Peek(1) == '-')
            {
                SkipComment();
                continue;
            }
            if (c == '[' && LongBracketLevel(_at) is >= 0 and int level)
            {
                string text = ReadLong(level, isComment: false);
                Set(LuaToken.String, text);
                return;
            }
            if (c is '"' or '\'')
            {
                ReadString(c);
                return;
            }
            if (char.IsAsciiDigit(c) || (c == '.' && char.IsAsciiDigit(Peek(1))))
            {
                ReadNumber();
                return;
            }
            if (char.IsAsciiLetter(c) || c == '_')
            {
                int start = _at;
                while (_at < _source.Length && (char.IsAsciiLetterOrDigit(_source[_at]) || _source[_at] == '_')) _at++;
                string name = _source[start.._at];
                Set(s_words.Contains(name) ? LuaToken.Word : LuaToken.Name, name);
                return;
            }
            ReadMark(c);
            return;
        }
    }

    private void Set(LuaToken kind, string text) => (Kind, Text, Line) = (kind, text, _line);

    private char Peek(int offset) => _at + offset < _source.Length ? _source[_at + offset] : '\0';

    private void SkipBlanks()
    {
        while (_at < _source.Length)
        {
            char c = _source[_at];
            if (c is '\n' or '\r') SkipLineEnd();
            else if (c is ' ' or '\t' or '\v' or '\f') _at++;
            else return;
        }
    }

    private void SkipLineEnd()
    {
        char first = _source[_at++];
        if (_at < _source.Length && _source[_at] is '\n' or '\r' && _at < _source.Length && _source[_at] != first) _at++;
        _line++;
    }

    private void SkipComment()
    {
        _at += 2;
        if (Peek(0) == '[' && _at < _source.Length && LongBracketLevel(_at) is >= 0 and int level)
        {
            ReadLong(level, isComment: true);
            return;
        }
        while (_at < _source.Length && _source[_at] is not ('\n' or '\r')) _at++;
    }

    /// <summary>How many '=' there are between the two brackets that begin here; negative if they do not.</summary>
    private int LongBracketLevel(int at)
    {
        int end = at + 1;
        while (end < _source.Length && _source[end] == '=') end++;
        if (end < _source.Length && _source[end] == '[') return end - at - 1;
        return end == at + 1 || _source[at..].StartsWith("--", StringComparison.Ordinal) ? -1 : -2;
    }

    private string ReadLong(int level, bool isComment)
    {
        _at += level + 2;
        if (_at < _source.Length && _source[_at] is '\n' or '\r' && _at < _source.Length) SkipLineEnd();
        _string.Clear();
        while (true)
        {
            if (_at >= _source.Length) throw ErrorNear(isComment ? "unfinished long comment" : "unfinished long string", "<eof>");
            char c = _source[_at];
            if (c == ']' && IsClosing(level))
            {
                _at += level + 2;
                return _string.ToString();
            }
            if (c is '\n' or '\r')
            {
                SkipLineEnd();
                _string.Append('\n');
            }
            else
            {
                _string.Append(c);
                _at++;
            }
        }
    }

    private bool IsClosing(int level)
    {
        for (int i = 1; i <= level; i++)
        {
            if (Peek(i) != '=') return false;
        }
        return Peek(level + 1) == ']';
    }

    private void ReadString(char quote)
    {
        int start = _at++;
        _string.Clear();
        while (true)
        {
            if (_at >= _source.Length) throw ErrorNear("unfinished string", "<eof>");
            char c = _source[_at];
            if (c == quote)
            {
                _at++;
                Set(LuaToken.String, _string.ToString());
                return;
            }
            if (c is '\n' or '\r') throw ErrorNear("unfinished string", _source[start.._at]);
            if (c != '\\')
            {
                _string.Append(c);
                _at++;
                continue;
            }
            _at++;
            if (_at >= _source.Length) continue; // "unfinished" in the next round
            c = _source[_at];
            if (c is '\n' or '\r')
            {
                SkipLineEnd();
                _string.Append('\n');
            }
            else if (char.IsAsciiDigit(c))
            {
                int code = 0;
                for (int i = 0; i < 3 && char.IsAsciiDigit(Peek(0)); i++) code = (code * 10) + (_source[_at++] - '0');
                if (code > 255) throw ErrorNear("escape sequence too large", _source[start.._at]);
                _string.Append((char)code);
            }
            else
            {
                _at++;
                _string.Append(c switch
                {
                    'a' => '\a',
                    'b' => '\b',
                    'f' => '\f',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\v',
                    _ => c,
                });
            }
        }
    }

    private void ReadNumber()
    {
        int start = _at;
        while (char.IsAsciiDigit(Peek(0)) || Peek(0) == '.') _at++;
        if (Peek(0) is 'e' or 'E')
        {
            _at++;
            if (Peek(0) is '+' or '-') _at++;
        }
        while (char.IsAsciiLetterOrDigit(Peek(0)) || Peek(0) == '_') _at++;
        string text = _source[start.._at];
        if (!TryParseNumber(text, out double number)) throw ErrorNear("malformed number", text);
        Number = number;
        Set(LuaToken.Number, text);
    }

    /// <summary>Reads a number as strtod does for Lua 5.1: decimal, or hexadecimal after 0x.</summary>
    internal static bool TryParseNumber(string text, out double number)
    {
        number = 0;
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)) return TryParseHexadecimal(text.AsSpan(2), out number);
        return text.Length != 0 && text.AsSpan().IndexOfAnyExcept(s_decimal) < 0
            && double.TryParse(text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out number);
    }

    private static bool TryParseHexadecimal(ReadOnlySpan<char> digits, out double number)
    {
        number = 0;
        int exponent = 0, count = 0;
        bool inFraction = false;
        int i = 0;
        for (; i < digits.Length; i++)
        {
            if (digits[i] == '.' && !inFraction)
            {
                inFraction = true;
                continue;
            }
            if (!char.IsAsciiHexDigit(digits[i])) break;
            count++;
            number = (number * 16) + Convert.ToInt32(digits[i].ToString(), 16);
            if (inFraction) exponent -= 4;
        }
        if (count == 0) return false;
        if (i < digits.Length)
        {
            if (digits[i] is not ('p' or 'P')) return false;
            if (!int.TryParse(digits[(i + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int power)) return false;
            exponent += power;
        }
        number = Math.ScaleB(number, exponent);
        return true;
    }

    private void ReadMark(char c)
    {
        string mark = c switch
        {
            '=' when Peek(1) == '=' => "==",
            '<' when Peek(1) == '=' => "<=",
            '>' when Peek(1) == '=' => ">=",
            '~' when Peek(1) == '=' => "~=",
            '.' when Peek(1) == '.' => Peek(2) == '.' ? "..." : "..",
            '+' or '-' or '*' or '/' or '%' or '^' or '#' or '<' or '>' or '=' or '(' or ')' or '{' or '}' or '[' or ']' or ';' or ':' or ',' or '.'
                => c.ToString(),
            _ => throw Unexpected(char.IsControl(c) ? $"char({(int)c})" : c.ToString()),
        };
        _at += mark.Length;
        Set(LuaToken.Mark, mark);
    }
}
