using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Translates a program from Lua 5.1, which scripts are written in, to Lua 5.4, which runs them. What it writes has
/// every token on the line that it had before, so that errors name the right line.
/// <para>
/// The main difference is numbers. In 5.1 they are doubles; 5.4 has integers, too, and prints a double without a
/// fraction as "3.0". So no integer may ever get to a script: literals become doubles here (<c>3</c> → <c>3.0</c>),
/// lengths are converted (<c>#t</c> → <c>(#t+0.0)</c>), and the functions that scripts can call return doubles. Operands
/// of ".." that may be numbers go through a function that prints them as 5.1 does.
/// </para>
/// </summary>
internal sealed class LuaTranslator
{
    /// <summary>How deep constructs may nest (LUAI_MAXCCALLS).</summary>
    private const int MostLevels = 195;
    private const int UnaryPriority = 8;

    /// <summary>
    /// The global variables that exist in the sandbox (a test compares). Lua 5.4 has no read-only tables; whoever
    /// assigns to one of these gets a stand-in of the globals, which refuses it and is a little slower to read.
    /// </summary>
    internal static readonly HashSet<string> Globals =
    [
        "ARGV", "KEYS", "_G", "_VERSION", "__redis__err__handler", "assert", "bit", "cjson", "cmsgpack", "collectgarbage", "coroutine", "error", "gcinfo",
        "getfenv", "getmetatable", "ipairs", "load", "loadstring", "math", "newproxy", "next", "os", "pairs", "pcall", "rawequal", "rawget", "rawset",
        "redis", "select", "setfenv", "setmetatable", "string", "struct", "table", "tonumber", "tostring", "type", "unpack", "xpcall",
    ];

    /// <summary>The tables among <see cref="Globals"/>, with the library's functions in them (a test compares).</summary>
    internal static readonly HashSet<string> Libraries = ["bit", "cjson", "cmsgpack", "coroutine", "math", "os", "redis", "string", "struct", "table"];

    /// <summary>The functions that strings have as their methods (a test compares).</summary>
    internal static readonly HashSet<string> StringMethods =
        ["byte", "char", "dump", "find", "format", "gfind", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub", "upper"];

    private readonly LuaLexer _lexer;
    private readonly StringBuilder _output = new();
    private readonly HashSet<string> _aliases = [];
    private readonly string _prefix;
    private Function _function = new(null, isVararg: true);
    private int _outputLine = 1;
    private int _levels;
    private int _loops;
    private (int Start, int End) _libraryFunction, _libraryCall;

    private LuaTranslator(string source, string chunk)
    {
        _lexer = new(source, chunk);
        _prefix = "lua51";
        for (int i = 0; source.Contains(_prefix, StringComparison.Ordinal); i++) _prefix = $"lua51_{i}_";
    }

    /// <summary>
    /// The short words among the program's string literals, in lower case: among them are the names of nearly all
    /// commands that it will call.
    /// </summary>
    private HashSet<string> Words { get; } = [];

    /// <summary>Whether it assigns to a variable that has the name of one of <see cref="Globals"/>.</summary>
    private bool AssignsGlobal { get; set; }

    /// <summary>Translates a program.</summary>
    /// <param name="source">The program; one character stands for one byte, as in the result.</param>
    /// <param name="chunk">What messages call it.</param>
    /// <param name="words">The short words among its string literals, in lower case.</param>
    /// <param name="assignsGlobal">Whether it may assign to one of <see cref="Globals"/>.</param>
    /// <returns>A program that returns the translated one as a function. It must be called with five functions: one
    /// that prepares an operand of "..", one that makes three values of those that a generic "for" begins with, one that
    /// makes the table "arg" of a function's arguments, one that is "%", and one that prepares what a
    /// numeric "for" begins with.</returns>
    /// <exception cref="LuaSyntaxException">The program is not correct.</exception>
    public static string Translate(string source, string chunk, out IReadOnlySet<string> words, out bool assignsGlobal)
    {
        var translator = new LuaTranslator(source, chunk);
        translator.Chunk();
        words = translator.Words;
        assignsGlobal = translator.AssignsGlobal;
        return translator._output.ToString();
    }

    private string Operand => _prefix + "s";

    private string Iterator => _prefix + "f";

    private string Arguments => _prefix + "a";

    private string Remainder => _prefix + "m";

    private string Range => _prefix + "r";

    private string Frame => _prefix + "c";

    private void Chunk()
    {
        _output.Append(CultureInfo.InvariantCulture, $"local {Operand},{Iterator},{Arguments},{Remainder},{Range}=... return function(...)");
        Block();
        if (_lexer.Kind != LuaToken.End) throw _lexer.Error("'<eof>' expected");
        _output.Append(" end");
    }

    // Output

    /// <summary>Goes to the line of the current token.</summary>
    private void Align()
    {
        for (; _outputLine < _lexer.Line; _outputLine++) _output.Append('\n');
    }

    /// <summary>Writes the current token as this text, and goes to the next one.</summary>
    private void Emit(string text)
    {
        Align();
        _output.Append(' ').Append(text);
        _lexer.Next();
    }

    /// <summary>Writes the current token as it is.</summary>
    private void Emit() => Emit(_lexer.Text);

    private int Position()
    {
        Align();
        return _output.Length;
    }

    private void Expect(string text)
    {
        if (!_lexer.Is(text)) throw _lexer.Error($"'{text}' expected");
        Emit();
    }

    private bool Accept(string text)
    {
        if (!_lexer.Is(text)) return false;
        Emit();
        return true;
    }

    private void ExpectClosing(string text, string opening, int line)
    {
        if (_lexer.Is(text)) Emit();
        else throw _lexer.Error(line == _lexer.Line ? $"'{text}' expected" : $"'{text}' expected (to close '{opening}' at line {line})");
    }

    private string Name()
    {
        if (_lexer.Kind != LuaToken.Name) throw _lexer.Error("'<name>' expected");
        string name = _lexer.Text;
        _function.Note(name);
        Emit(name is "goto" or "_ENV" ? _prefix + name : name);
        return name;
    }

    private void Enter()
    {
        if (++_levels > MostLevels) throw _lexer.Plain("chunk has too many syntax levels");
    }

    private void Leave() => _levels--;

    // Statements

    private bool IsBlockEnd => _lexer.Kind == LuaToken.End || _lexer.Is("end") || _lexer.Is("else") || _lexer.Is("elseif") || _lexer.Is("until");

    private void Block()
    {
        Enter();
        bool isLast = false;
        while (!isLast && !IsBlockEnd)
        {
            isLast = Statement();
            if (_lexer.Is(";")) Emit();
        }
        Leave();
    }

    private void LoopBody()
    {
        _loops++;
        Block();
        _loops--;
    }

    /// <summary>A statement; true if no other may follow it.</summary>
    private bool Statement()
    {
        int line = _lexer.Line;
        string text = _lexer.Kind == LuaToken.Word ? _lexer.Text : "";
        switch (text)
        {
            case "if":
                If(line);
                return false;
            case "while":
                Emit();
                Expression();
                Expect("do");
                LoopBody();
                ExpectClosing("end", "while", line);
                return false;
            case "do":
                Emit();
                Block();
                ExpectClosing("end", "do", line);
                return false;
            case "for":
                For(line);
                return false;
            case "repeat":
                Emit();
                LoopBody();
                ExpectClosing("until", "repeat", line);
                Expression();
                return false;
            case "function":
                Emit();
                string name = Name();
                if (!_lexer.Is(".") && !_lexer.Is(":")) NoteAssignment(name);
                while (_lexer.Is(".")) FieldAfterDot();
                if (_lexer.Is(":"))
                {
                    Emit();
                    if (_lexer.Kind != LuaToken.Name) throw _lexer.Error("'<name>' expected");
                    Emit();
                }
                Body(line);
                return false;
            case "local":
                Emit();
                if (Accept("function"))
                {
                    Name();
                    Body(line);
                }
                else
                {
                    Locals();
                }
                return false;
            case "return":
                Return();
                return true;
            case "break":
                if (_loops == 0) throw _lexer.Plain("no loop to break near '" + Upcoming() + "'");
                Emit();
                return true;
            default:
                ExpressionStatement();
                return false;
        }
    }

    /// <summary>The rest of "local a, b = x, y". Remembers the names of the library's functions: <c>local call = redis.call</c>.</summary>
    private void Locals()
    {
        var names = new List<string>();
        do names.Add(Name());
        while (Accept(","));
        if (!Accept("=")) return;
        int i = 0;
        do
        {
            int start = Position();
            Expression();
            if (i < names.Count && _libraryFunction == (start, _output.Length)) _aliases.Add(names[i]);
            i++;
        }
        while (Accept(","));
    }

    /// <summary>
    /// <c>return f(x)</c> is a tail call: f takes the place of its caller. In 5.1 the functions of the library are written in
    /// C, and those take nobody's place, so their errors name the line of the call. Here most are written in Lua; so what
    /// returns their results gets a variable that must be closed, which rules out a tail call and, being nil, costs nothing.
    /// </summary>
    private void Return()
    {
        int start = Position();
        Emit();
        if (IsBlockEnd || _lexer.Is(";")) return;
        int value = Position();
        Expressions();
        if (_libraryCall == (value, _output.Length)) _output.Insert(start, $" local {Frame} <close> =nil");
    }

    private string Upcoming()
    {
        _lexer.Next();
        return _lexer.Kind == LuaToken.End ? "<eof>" : _lexer.Text;
    }

    private void If(int line)
    {
        Emit();
        Expression();
        Expect("then");
        Block();
        while (Accept("elseif"))
        {
            Expression();
            Expect("then");
            Block();
        }
        if (Accept("else")) Block();
        ExpectClosing("end", "if", line);
    }

    private void For(int line)
    {
        bool isRange = false;
        int start = Position();
        Emit();
        Name();
        if (_lexer.Is("="))
        {
            isRange = TryMakeRange(start);
        }
        else if (_lexer.Is(",") || _lexer.Is("in"))
        {
            while (Accept(",")) Name();
            Expect("in");
            Align();
            // 5.4 has a fourth value, which would be closed at the end of the loop.
            _output.Append(' ').Append(Iterator).Append('(');
            Expressions();
            _output.Append(')');
        }
        else
        {
            throw _lexer.Error("'=' or 'in' expected");
        }
        Expect("do");
        LoopBody();
        ExpectClosing("end", "for", line);
        if (isRange) _output.Append(" end");
    }

    /// <summary>
    /// The values of a numeric "for". Unless they are plain whole numbers and lengths, with which 5.4 does what 5.1 does, they
    /// go through a function: <c>for i = a, b do</c> → <c>do local x, y, z = range(a, b) for i = x, y, z do</c>.
    /// </summary>
    /// <param name="start">Where the statement begins in the output.</param>
    /// <returns>Whether a block has been opened, which the caller closes.</returns>
    private bool TryMakeRange(int start)
    {
        Emit();
        int values = Position();
        bool isPlain = _lexer.Kind == LuaToken.Number && _lexer.Number == Math.Floor(_lexer.Number);
        isPlain &= Expression(isPlain);
        Expect(",");
        isPlain &= Expression(isPlain);
        if (_lexer.Is(","))
        {
            isPlain = false;
            Emit();
            Expression();
        }
        if (isPlain) return false;
        string header = _output.ToString(start, values - start), all = _output.ToString(values, _output.Length - values);
        _output.Length = start;
        _output.Append('\n', header.Count(static c => c == '\n')); // each token stays on its line
        _output.Append(CultureInfo.InvariantCulture, $" do local {_prefix}x,{_prefix}y,{_prefix}z={Range}({all})");
        _output.Append(header.Replace('\n', ' ')).Append(CultureInfo.InvariantCulture, $"{_prefix}x,{_prefix}y,{_prefix}z");
        return true;
    }

    /// <summary>An expression; true if <paramref name="isPlain"/>, and it is nothing but a number or a length.</summary>
    private bool Expression(bool isPlain)
    {
        bool isSimple = isPlain && (_lexer.Kind == LuaToken.Number || _lexer.Is("#"));
        return Binary(0) == Kind.Number && isSimple;
    }

    private void ExpressionStatement()
    {
        string first = _lexer.Text;
        bool isCall = Suffixed();
        if (_lexer.Is("=") || _lexer.Is(","))
        {
            if (isCall) throw _lexer.Error("syntax error");
            if (_isPlainName) NoteAssignment(first);
            while (Accept(","))
            {
                string next = _lexer.Text;
                if (Suffixed()) throw _lexer.Error("syntax error");
                if (_isPlainName) NoteAssignment(next);
            }
            Expect("=");
            Expressions();
        }
        else if (!isCall)
        {
            throw _lexer.Error(_lexer.Kind == LuaToken.End || !_isPlainName ? "syntax error" : "'=' expected");
        }
        // 5.4 would read "(" on the next line as the arguments of a call, which 5.1 refuses as ambiguous.
        _output.Append(';');
    }

    private void NoteAssignment(string name) => AssignsGlobal |= Globals.Contains(name);

    // Expressions

    private void Expressions()
    {
        do Expression();
        while (Accept(","));
    }

    private void Expression() => Binary(0);

    private enum Kind
    {
        Other,

        /// <summary>A string, or whatever ".." makes: no preparation for another "..".</summary>
        Text,

        Number,
    }

    private static (int Left, int Right) PriorityOf(LuaLexer lexer) => lexer.Kind is not (LuaToken.Mark or LuaToken.Word) ? default : lexer.Text switch
    {
        "+" or "-" => (6, 6),
        "*" or "/" or "%" => (7, 7),
        "^" => (10, 9),
        ".." => (5, 4),
        "==" or "~=" or "<" or "<=" or ">" or ">=" => (3, 3),
        "and" => (2, 2),
        "or" => (1, 1),
        _ => default,
    };

    private Kind Binary(int limit)
    {
        Enter();
        int start = Position();
        Kind kind = Unary();
        while (PriorityOf(_lexer) is { Left: > 0 } priority && priority.Left > limit)
        {
            bool isConcatenation = _lexer.Text == "..", isModulo = _lexer.Text == "%";
            if (isConcatenation) PrepareOperand(start, kind);
            if (isModulo) Emit(",");
            else Emit();
            int right = Position();
            Kind second = Binary(priority.Right);
            if (isConcatenation) PrepareOperand(right, second);
            if (isModulo)
            {
                // 5.4 computes it in another way.
                _output.Insert(start, $" ({Remainder}("); // in brackets, so that "return" makes no tail call of it
                _output.Append("))");
            }
            kind = isConcatenation ? Kind.Text : Kind.Other;
        }
        Leave();
        return kind;
    }

    private void PrepareOperand(int start, Kind kind)
    {
        if (kind == Kind.Text) return;
        _output.Insert(start, $" {Operand}(");
        _output.Append(')');
    }

    private Kind Unary()
    {
        if (_lexer.Is("not"))
        {
            Emit();
            Binary(UnaryPriority);
            return Kind.Other;
        }
        if (_lexer.Is("-"))
        {
            Emit();
            Binary(UnaryPriority);
            return Kind.Number;
        }
        if (_lexer.Is("#"))
        {
            int start = Position();
            Emit();
            Binary(UnaryPriority);
            _output.Insert(start, " (");
            _output.Append("+0.0)");
            return Kind.Number;
        }
        return Simple();
    }

    private Kind Simple()
    {
        switch (_lexer.Kind)
        {
            case LuaToken.Number:
                Emit(Literal(_lexer.Number));
                return Kind.Number;
            case LuaToken.String:
                EmitString();
                return Kind.Text;
        }
        if (_lexer.Kind == LuaToken.Word)
        {
            switch (_lexer.Text)
            {
                case "nil" or "true" or "false":
                    Emit();
                    return Kind.Other;
                case "function":
                    int line = _lexer.Line;
                    Emit();
                    Body(line);
                    return Kind.Other;
            }
        }
        if (_lexer.Is("..."))
        {
            if (!_function.IsVararg) throw _lexer.Error("cannot use '...' outside a vararg function");
            _function.UsesDots = true;
            Emit();
            return Kind.Other;
        }
        if (_lexer.Is("{"))
        {
            Table();
            return Kind.Other;
        }
        Suffixed();
        return Kind.Other;
    }

    private static string Literal(double number)
    {
        if (double.IsPositiveInfinity(number)) return "1e999";
        string text = number.ToString("R", CultureInfo.InvariantCulture);
        return text.AsSpan().IndexOfAny(".eE") < 0 ? text + ".0" : text;
    }

    private void EmitString()
    {
        string text = _lexer.Text;
        if (text.Length is > 2 and < 24 && text.All(char.IsAsciiLetter)) Words.Add(text.ToLowerInvariant());
        Align();
        _output.Append(" \"");
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (c is >= ' ' and <= '~' and not ('"' or '\\')) _output.Append(c);
            else _output.Append(CultureInfo.InvariantCulture, $"\\{(int)c:000}");
        }
        _output.Append('"');
        _lexer.Next();
    }

    private bool _isPlainName;

    /// <summary>A prefix expression with what follows it; true if it ends with a call.</summary>
    private bool Suffixed()
    {
        int line = _lexer.Line, start = Position();
        _isPlainName = false;
        bool isLibrary = false, isLibraryFunction = false, isCall = false;
        if (_lexer.Is("("))
        {
            Emit();
            Expression();
            ExpectClosing(")", "(", line);
        }
        else if (_lexer.Kind == LuaToken.Name)
        {
            string name = Name();
            _isPlainName = true;
            isLibrary = Libraries.Contains(name);
            isLibraryFunction = !isLibrary && (Globals.Contains(name) || _aliases.Contains(name));
        }
        else
        {
            throw _lexer.Error("unexpected symbol");
        }
        while (true)
        {
            if (_lexer.Is("."))
            {
                FieldAfterDot();
                isCall = false;
                (isLibraryFunction, isLibrary) = (isLibrary, false);
            }
            else if (_lexer.Is("["))
            {
                Emit();
                Expression();
                Expect("]");
                isCall = isLibraryFunction = isLibrary = false;
            }
            else if (_lexer.Is(":"))
            {
                Emit();
                if (_lexer.Kind != LuaToken.Name) throw _lexer.Error("'<name>' expected");
                if (_lexer.Text == "goto") throw _lexer.Plain("a method cannot be called 'goto'");
                bool isLibraryMethod = StringMethods.Contains(_lexer.Text);
                Emit();
                CallArguments();
                isCall = true;
                NoteCall(start, isLibraryMethod);
                isLibraryFunction = isLibrary = false;
            }
            else if (_lexer.Is("(") || _lexer.Is("{") || _lexer.Kind == LuaToken.String)
            {
                if (_lexer.Is("(") && _lexer.Line != _lexer.FormerLine) throw _lexer.Error("ambiguous syntax (function call x new statement)");
                CallArguments();
                isCall = true;
                NoteCall(start, isLibraryFunction);
                isLibraryFunction = isLibrary = false;
            }
            else
            {
                if (isLibraryFunction) _libraryFunction = (start, _output.Length);
                return isCall;
            }
            _isPlainName = false;
        }
    }

    private void NoteCall(int start, bool isOfLibrary)
    {
        if (isOfLibrary) _libraryCall = (start, _output.Length);
    }

    private void FieldAfterDot()
    {
        _lexer.Next();
        if (_lexer.Kind != LuaToken.Name) throw _lexer.Error("'<name>' expected");
        Emit(_lexer.Text == "goto" ? "[\"goto\"]" : "." + _lexer.Text);
    }

    private void CallArguments()
    {
        if (_lexer.Kind == LuaToken.String)
        {
            EmitString();
        }
        else if (_lexer.Is("{"))
        {
            Table();
        }
        else if (_lexer.Is("("))
        {
            int line = _lexer.Line;
            Emit();
            if (!_lexer.Is(")")) Expressions();
            ExpectClosing(")", "(", line);
        }
        else
        {
            throw _lexer.Error("function arguments expected");
        }
    }

    private void Table()
    {
        int line = _lexer.Line;
        Emit();
        while (!_lexer.Is("}"))
        {
            if (_lexer.Kind == LuaToken.Name && _lexer.IsFollowedBy("="))
            {
                Emit(_lexer.Text == "goto" ? "[\"goto\"]" : _lexer.Text);
                Emit();
                Expression();
            }
            else if (_lexer.Is("["))
            {
                Emit();
                Expression();
                Expect("]");
                Expect("=");
                Expression();
            }
            else
            {
                Expression();
            }
            if (!Accept(",") && !Accept(";")) break;
        }
        ExpectClosing("}", "{", line);
    }

    /// <summary>A function from its parameters to its end.</summary>
    private void Body(int line)
    {
        Expect("(");
        var function = new Function(_function, isVararg: false);
        (_function, int loops) = (function, _loops);
        _loops = 0;
        if (!_lexer.Is(")"))
        {
            do
            {
                if (_lexer.Is("..."))
                {
                    Emit();
                    function.IsVararg = true;
                    break;
                }
                Name();
            }
            while (Accept(","));
        }
        Expect(")");
        int start = _output.Length;
        function.UsesArg = false;
        Block();
        // What 5.1 does for functions written for 5.0.
        if (function is { IsVararg: true, UsesArg: true, UsesDots: false }) _output.Insert(start, $" local arg={Arguments}(...) ");
        _function = function.Outer!;
        _loops = loops;
        ExpectClosing("end", "function", line);
    }

    private sealed class Function(Function? outer, bool isVararg)
    {
        public Function? Outer => outer;

        public bool IsVararg { get; set; } = isVararg;

        public bool UsesDots { get; set; }

        public bool UsesArg { get; set; }

        public void Note(string name)
        {
            if (name != "arg") return;
            for (Function? function = this; function is not null; function = function.Outer) function.UsesArg = true;
        }
    }
}
