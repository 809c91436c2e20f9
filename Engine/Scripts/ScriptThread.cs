namespace OrleansRedis.Engine;

/// <summary>
/// What a thread needs to run scripts: a Lua state, and the scripts and libraries that are compiled there. One thread at a
/// time has it.
/// </summary>
internal sealed class ScriptThread : IDisposable
{
    /// <summary>After how many runs some garbage is collected, whether or not Lua itself wants to.</summary>
    private const int RunsBetweenCollections = 50;

    private readonly ScriptHost _host;
    private readonly Dictionary<Script, int> _compiled = [];
    private readonly Dictionary<FunctionLibrary, Dictionary<string, int>> _libraries = [];
    private CjsonModule _cjson = null!;     // set by the constructor of State
    private int _version;
    private int _runs;
    private bool _hasArguments;

    public ScriptThread(ScriptHost host)
    {
        _host = host;
        State = new(host.MostBytes, Register);
        Run = new(host, State);
        State.IsLate = Run.IsLateForDebugger;
        State.Watch = () => LoadDeadline is { } deadline ? deadline < Environment.TickCount64 : Run.IsRunning && Run.Watch();
    }

    public ScriptHost Host => _host;

    public LuaState State { get; }

    public ScriptRun Run { get; }

    /// <summary>While a library is being loaded: when it must have ended.</summary>
    public long? LoadDeadline { get; private set; }

    /// <summary>What the library that is being loaded has registered.</summary>
    public List<LibraryFunction> Registered { get; } = [];

    /// <summary>Where a script is in the state; negative, with a message, if it does not compile.</summary>
    public int Compile(Script script, out string message)
    {
        Forget();
        message = "";
        if (_compiled.TryGetValue(script, out int reference)) return reference;
        reference = State.Compile(script.Program, "@user_script"u8, out message);
        if (reference < 0) return reference;
        _compiled[script] = reference;
        if (!script.Traits.HasRun && _host.NamesExclusive(State.Words)) script.Traits.RunsAlone = true;
        return reference;
    }

    /// <summary>Where a function is in the state; its library is loaded if that has not been done here.</summary>
    public int Find(LibraryFunction function, out string message)
    {
        Forget();
        message = "";
        if (!_libraries.TryGetValue(function.Library, out Dictionary<string, int>? functions))
        {
            functions = Load(function.Library.Program, out message);
            if (functions is null) return -1;
            _libraries[function.Library] = functions;
        }
        return functions[function.Name];
    }

    /// <summary>
    /// Runs a library's code, for what it registers; null if that fails, with a message. The functions are left in
    /// <see cref="Registered"/>.
    /// </summary>
    public Dictionary<string, int>? Load(ReadOnlySpan<byte> program, out string message)
    {
        message = "";
        Registered.Clear();
        LoadDeadline = Environment.TickCount64 + ScriptHost.LoadTimeoutMs;
        try
        {
            if (State.LoadLibrary(program, "@user_function"u8, out LuaError error) is { } functions) return functions;
            string text = System.Text.Encoding.Latin1.GetString(error.Message);
            if (State.IsInterrupted) text = "ERR FUNCTION LOAD timeout";
            message = text.StartsWith("ERR Error compiling function", StringComparison.Ordinal) ? text[4..] : $"Error registering functions: {text}";
            return null;
        }
        finally
        {
            LoadDeadline = null;
        }
    }

    /// <summary>Keeps what <see cref="Load"/> made.</summary>
    public void Keep(FunctionLibrary library, Dictionary<string, int> functions) => _libraries[library] = functions;

    /// <summary>Begins to call a function with KEYS and ARGV: as global variables for a script.</summary>
    /// <param name="call">The command with the arguments.</param>
    /// <param name="reference">Where the function is.</param>
    /// <param name="keys">How many of the arguments are keys.</param>
    /// <param name="isFunction">Whether it gets them as its own arguments.</param>
    /// <returns>How many arguments it gets.</returns>
    public int Push(in CommandContext call, int reference, int keys, bool isFunction)
    {
        nint lua = State.Handle;
        if (isFunction)
        {
            if (_hasArguments)
            {
                LuaApi.PushNil(lua);
                State.SetGlobal("KEYS"u8);
                LuaApi.PushNil(lua);
                State.SetGlobal("ARGV"u8);
                _hasArguments = false;
            }
            State.Begin(reference);
            PushArguments(call, 3, keys);
            PushArguments(call, 3 + keys, call.Count - 3 - keys);
            return 2;
        }
        PushArguments(call, 3, keys);
        State.SetGlobal("KEYS"u8);
        PushArguments(call, 3 + keys, call.Count - 3 - keys);
        State.SetGlobal("ARGV"u8);
        _hasArguments = true;
        State.Begin(reference);
        return 0;
    }

    private void PushArguments(in CommandContext call, int first, int count)
    {
        nint lua = State.Handle;
        LuaApi.CreateTable(lua, count, 0);
        for (int i = 0; i < count; i++)
        {
            LuaApi.Push(lua, call[first + i]);
            LuaApi.RawSetAt(lua, -2, i + 1);
        }
    }

    /// <summary>To be called after each run.</summary>
    public void Tidy()
    {
        _cjson.Reset();
        if (++_runs % RunsBetweenCollections == 0) State.CollectStep();
    }

    /// <summary>Forgets scripts and libraries that are gone.</summary>
    private void Forget()
    {
        int version = _host.Version;
        if (version == _version) return;
        _version = version;
        foreach ((Script script, int reference) in _compiled.ToArray())
        {
            if (!script.IsGone) continue;
            State.Forget(reference);
            _compiled.Remove(script);
        }
        foreach ((FunctionLibrary library, Dictionary<string, int> functions) in _libraries.ToArray())
        {
            if (!library.IsGone) continue;
            foreach (int reference in functions.Values) State.Forget(reference);
            _libraries.Remove(library);
        }
    }

    public void Dispose() => State.Dispose();

    private void Register(LuaState state, Dictionary<string, LuaFunction> functions)
    {
        LuaStrings.Register(state, functions);
        _cjson = new(state);
        _cjson.Register(functions);
        new CmsgpackModule(state).Register(functions);
        new StructModule(state).Register(functions);
        functions["call"] = lua => Run.Call(lua);
        functions["log"] = lua => Run.Log(lua);
        functions["sha1hex"] = ScriptRun.Sha1Hex;
        functions["setresp"] = lua => Run.SetResp(lua);
        functions["set_repl"] = lua => Run.SetReplication(lua);
        functions["acl_check_cmd"] = lua => Run.CheckAcl(lua);
        functions["error_reply"] = ScriptRun.ErrorReply;
        functions["status_reply"] = ScriptRun.StatusReply;
        functions["replicate_commands"] = PushTrue;
        functions["ldb_log"] = lua => Run.LogForDebugger(lua);
        functions["ldb_step"] = lua => Run.StepForDebugger(lua);
        functions["ldb_sees_lines"] = lua =>
        {
            State.SeesLines = LuaApi.ToBoolean(lua, 1) != 0;
            return 0;
        };
        functions["ldb_next"] = lua => Run.NextForDebugger(lua);
        functions["ldb_abort"] = lua => Run.AbortForDebugger(lua);
        functions["random"] = lua =>
        {
            LuaApi.PushNumber(lua, _random.NextDouble());
            return 1;
        };
        functions["randomseed"] = SeedRandom;
        functions["is_flag"] = IsFlag;
        functions["register"] = RegisterFunction;
    }

    private readonly LuaRandom _random = new();

    private unsafe int SeedRandom(nint lua)
    {
        _random.Seed((int)(long)LuaApi.ToNumber(lua, 1, null));
        return 0;
    }

    private static int PushTrue(nint lua)
    {
        LuaApi.PushBoolean(lua, 1);
        return 1;
    }

    private static int IsFlag(nint lua)
    {
        string name = System.Text.Encoding.Latin1.GetString(LuaApi.StringAt(lua, 1));
        LuaApi.PushBoolean(lua, Shebang.Find(name, StringComparison.OrdinalIgnoreCase) == ScriptFlags.None ? 0 : 1);
        return 1;
    }

    /// <summary>register(name, description or false, flags)</summary>
    private int RegisterFunction(nint lua)
    {
        byte[] name = LuaApi.StringAt(lua, 1).ToArray();
        byte[]? description = LuaApi.Type(lua, 2) == LuaType.String ? LuaApi.StringAt(lua, 2).ToArray() : null;
        ScriptFlags flags = ScriptFlags.None;
        foreach (string flag in System.Text.Encoding.Latin1.GetString(LuaApi.StringAt(lua, 3)).Split(',', StringSplitOptions.RemoveEmptyEntries))
            flags |= Shebang.Find(flag, StringComparison.OrdinalIgnoreCase);
        Registered.Add(new(System.Text.Encoding.Latin1.GetString(name), description, flags));
        return 0;
    }
}
