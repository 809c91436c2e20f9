using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>A function for scripts. Its arguments are on the stack of <paramref name="lua"/>, which may be that of a coroutine;
/// it returns how many results it has pushed there.</summary>
internal delegate int LuaFunction(nint lua);

/// <summary>What a function for scripts has to say against its arguments.</summary>
internal sealed class LuaArgumentException(string message) : Exception(message);

/// <summary>
/// A Lua state with the sandbox in it (prelude.lua). One thread uses it at a time.
/// <para>
/// Three things that Lua does with longjmp or by calling back are kept off managed frames. Errors: a function in C#
/// returns its error, and Lua code raises it. Lack of memory: the allocator refuses only what Lua code itself allocates
/// (<see cref="LuaMemory"/>). Interruption: the hook, which is managed, only puts lua_error itself in its place, and it
/// is that which ends the script with the next instruction, as often as the script catches it.
/// </para>
/// </summary>
internal sealed unsafe class LuaState : IDisposable
{
    /// <summary>How many instructions there are between two looks at the clock: about 0.2 ms.</summary>
    private const int HookInterval = 20_000;

    private static readonly byte[] s_prelude = Read("prelude.lua");

    [ThreadStatic]
    private static LuaState? t_running;

    private readonly LuaMemory* _memory;
    private readonly List<LuaFunction> _functions = [];
    private readonly int _onError;
    private readonly int _compile;
    private readonly int _loadLibrary;
    private readonly int _abandonLibrary;
    private readonly int _globals;
    private readonly int _debuggerParts;
    private readonly int _setDebugger;
    private Debugger? _debugger;
    private bool _isDebugging;
    private bool _isInterrupted;

    /// <param name="mostBytes">How much memory scripts may take.</param>
    /// <param name="functions">The functions that the prelude expects, by name.</param>
    public LuaState(long mostBytes, Action<LuaState, Dictionary<string, LuaFunction>> functions)
    {
        _memory = LuaMemory.Create(mostBytes);
        _memory->Unlimited = 1;
        Handle = LuaApi.NewState(LuaMemory.Allocator, _memory);
        if (Handle == 0) throw new InsufficientMemoryException("There is no memory for a Lua state.");
        var byName = new Dictionary<string, LuaFunction>();
        functions(this, byName);
        LuaApi.OpenLibraries(Handle);
        fixed (byte* prelude = s_prelude)
        fixed (byte* name = "=redis\0"u8)
        fixed (byte* mode = "t\0"u8)
        {
            if (LuaApi.Load(Handle, prelude, (nuint)s_prelude.Length, name, mode) != LuaApi.Ok) throw new InvalidOperationException(TopText());
        }
        LuaApi.CreateTable(Handle, 0, byName.Count + 4);
        foreach ((string function, LuaFunction method) in byName) SetField(function, () => Push(method));
        SetField("failed", () => LuaApi.PushLightUserData(Handle, Failed));
        SetField("null", () => LuaApi.PushLightUserData(Handle, 0));
        SetField("version", () => LuaApi.Push(Handle, Encoding.ASCII.GetBytes(ServerVersion.Redis)));
        SetField("version_number", () => LuaApi.PushNumber(Handle, ServerVersion.RedisNumber));
        if (LuaApi.ProtectedCall(Handle, 1, 1, 0) != LuaApi.Ok) throw new InvalidOperationException(TopText());
        _onError = TakeField("on_error");
        _compile = TakeField("compile");
        _loadLibrary = TakeField("load_library");
        _abandonLibrary = TakeField("abandon_library");
        _globals = TakeField("globals");
        _debuggerParts = TakeField("debugger_parts");
        _setDebugger = TakeField("set_debugger");
        LuaApi.SetTop(Handle, 0);
        _memory->Unlimited = 0;
    }

    ~LuaState() => Free();

    /// <summary>The main thread's lua_State.</summary>
    public nint Handle { get; private set; }

    /// <summary>The first result of a function that has failed; the second is the message.</summary>
    public static nint Failed { get; } = 1;

    /// <summary>Bytes that it takes.</summary>
    public long UsedBytes => _memory->Used;

    /// <summary>
    /// Called while a script runs, every some 0.1 ms; true if the script must end now. It may be called on the stack of
    /// the script, and so must not touch the Lua state.
    /// </summary>
    public Func<bool>? Watch { get; set; }

    /// <summary>The longest string that a function in C# makes.</summary>
    public long MostStringBytes => Math.Min(_memory->Most, 512 << 20);

    /// <summary>For what takes long in C#: as the hook does, ends the run if it must.</summary>
    public void WatchWithin(nint lua)
    {
        if (!_isInterrupted && Watch?.Invoke() != true) return;
        Interrupt(lua);
        throw new LuaArgumentException("interrupted");
    }

    /// <summary>The short words among the string literals of what was compiled last, in lower case.</summary>
    public IReadOnlySet<string> Words { get; set; } = new HashSet<string>();

    /// <summary>Whether the run has been interrupted.</summary>
    public bool IsInterrupted => _isInterrupted;

    /// <summary>
    /// Compiles a script, and returns its number in the registry. If it is not correct, returns a negative number and
    /// the message.
    /// </summary>
    public int Compile(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name, out string message)
    {
        message = "";
        LuaState? outer = Enter();
        try
        {
            PushRegistered(_compile);
            LuaApi.Push(Handle, text);
            LuaApi.Push(Handle, name);
            if (LuaApi.ProtectedCall(Handle, 2, 2, 0) != LuaApi.Ok || LuaApi.Type(Handle, -2) != LuaType.Function)
            {
                message = TopText();
                return -1;
            }
            LuaApi.Pop(Handle, 1);
            return LuaApi.Reference(Handle, LuaApi.RegistryIndex);
        }
        finally
        {
            Exit(outer);
        }
    }

    /// <summary>
    /// Runs the text of a library, and returns its functions' numbers in the registry by name. If it fails, returns null
    /// and the error.
    /// </summary>
    public Dictionary<string, int>? LoadLibrary(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name, out LuaError error)
    {
        error = default;
        LuaState? outer = Enter();
        try
        {
            PushRegistered(_onError);
            PushRegistered(_loadLibrary);
            LuaApi.Push(Handle, text);
            LuaApi.Push(Handle, name);
            if (Call(2, handler: 1) != LuaApi.Ok)
            {
                error = TopError();
                LuaApi.SetTop(Handle, 0);
                PushRegistered(_abandonLibrary);
                _ = LuaApi.ProtectedCall(Handle, 0, 0, 0);
                return null;
            }
            var functions = new Dictionary<string, int>();
            LuaApi.PushNil(Handle);
            while (LuaApi.Next(Handle, -2) != 0)
            {
                string function = Encoding.Latin1.GetString(LuaApi.StringAt(Handle, -2));
                functions[function] = LuaApi.Reference(Handle, LuaApi.RegistryIndex);
            }
            return functions;
        }
        finally
        {
            Exit(outer);
        }
    }

    /// <summary>Forgets something in the registry.</summary>
    public void Forget(int reference) => LuaApi.Release(Handle, LuaApi.RegistryIndex, reference);

    /// <summary>
    /// Begins a run: to be followed by pushing KEYS and ARGV, then <see cref="Run"/>, and in any case by
    /// <see cref="Exit"/>. Returns what <see cref="Exit"/> needs.
    /// </summary>
    public LuaState? Enter()
    {
        LuaState? outer = t_running;
        t_running = this;
        _memory->Unlimited = 1;
        _isInterrupted = false;
        LuaApi.SetTop(Handle, 0);
        return outer;
    }

    /// <summary>Ends what <see cref="Enter"/> began.</summary>
    public void Exit(LuaState? outer)
    {
        LuaApi.SetHook(Handle, 0, 0, 0);
        LuaApi.SetTop(Handle, 0);
        t_running = outer;
    }

    /// <summary>Pushes the handler of errors and a function; what follows are the function's arguments.</summary>
    public void Begin(int function)
    {
        PushRegistered(_onError);
        PushRegistered(function);
    }

    /// <summary>Makes the table on the top a global variable of this name.</summary>
    public void SetGlobal(ReadOnlySpan<byte> name)
    {
        PushRegistered(_globals);
        LuaApi.Push(Handle, name);
        LuaApi.Rotate(Handle, -3, -1);  // globals, name, value
        LuaApi.RawSet(Handle, -3);
        LuaApi.Pop(Handle, 1);
    }

    /// <summary>
    /// Calls the function that <see cref="Begin"/> pushed, with as many arguments. Its result is on the top, or else the
    /// error (<see cref="TopError"/>).
    /// </summary>
    public int Run(int arguments) => Call(arguments, handler: 1);

    private int Call(int arguments, int handler)
    {
        if (_isDebugging)
        {
            LuaApi.SetHook(Handle, (nint)(delegate* unmanaged[Cdecl]<nint, nint, void>)&DebugHook, LuaApi.MaskLine | LuaApi.MaskCount, HookInterval);
        }
        else if (Watch is not null)
        {
            LuaApi.SetHook(Handle, (nint)(delegate* unmanaged[Cdecl]<nint, nint, void>)&Hook, LuaApi.MaskCount, HookInterval);
        }
        _memory->Unlimited = 0;
        int status = LuaApi.ProtectedCall(Handle, arguments, 1, handler);
        _memory->Unlimited = 1;
        LuaApi.SetHook(Handle, 0, 0, 0);
        return status;
    }

    /// <summary>
    /// Ends the run: from the next instruction on, every one raises an error, however often the script catches it.
    /// </summary>
    /// <param name="lua">The stack that is running.</param>
    public void Interrupt(nint lua)
    {
        _isInterrupted = true;
        LuaApi.SetHook(lua, LuaApi.ErrorFunction, LuaApi.MaskCount, 1);
    }

    // Debugging

    /// <summary>The functions of debugger.lua, in the registry.</summary>
    private sealed record Debugger(int Begin, int OnLine, int LogTrimmed, int All);

    /// <summary>Asked now and then while a script is debugged: true if it is to stop because it has run for so long.</summary>
    public Func<bool>? IsLate { get; set; }

    /// <summary>Whether the debugger wants to know of each line: false while it has no reason to stop.</summary>
    public bool SeesLines { get; set; }

    /// <summary>What is begun now runs in the debugger. The function to be run and its arguments are on the stack.</summary>
    /// <param name="lines">The script's lines.</param>
    public void BeginDebugging(string[] lines)
    {
        _debugger ??= LoadDebugger();
        PushRegistered(_debugger.Begin);
        LuaApi.CreateTable(Handle, lines.Length, 0);
        for (int i = 0; i < lines.Length; i++)
        {
            LuaApi.Push(Handle, Encoding.Latin1.GetBytes(lines[i]));
            LuaApi.RawSetAt(Handle, -2, i + 1);
        }
        if (LuaApi.ProtectedCall(Handle, 1, 0, 0) != LuaApi.Ok) throw new InvalidOperationException(TopText());
        SetDebugger(_debugger.All);
        _isDebugging = SeesLines = true;
    }

    /// <summary>The end of <see cref="BeginDebugging"/>.</summary>
    public void EndDebugging()
    {
        _isDebugging = false;
        SetDebugger(0);
    }

    /// <summary>Shows a line in the debugger, cut to the length that its user wants.</summary>
    public void LogForDebugger(nint lua, ReadOnlySpan<byte> line)
    {
        LuaApi.RawGetAt(lua, LuaApi.RegistryIndex, _debugger!.LogTrimmed);
        LuaApi.Push(lua, line);
        if (LuaApi.ProtectedCall(lua, 1, 0, 0) != LuaApi.Ok) LuaApi.Pop(lua, 1);
    }

    private Debugger LoadDebugger()
    {
        byte[] text = Read("debugger.lua");
        fixed (byte* at = text)
        fixed (byte* name = "=redis\0"u8)
        fixed (byte* mode = "t\0"u8)
        {
            if (LuaApi.Load(Handle, at, (nuint)text.Length, name, mode) != LuaApi.Ok) throw new InvalidOperationException(TopText());
        }
        PushRegistered(_debuggerParts);
        if (LuaApi.ProtectedCall(Handle, 1, 1, 0) != LuaApi.Ok) throw new InvalidOperationException(TopText());
        var debugger = new Debugger(TakeField("begin"), TakeField("on_line"), TakeField("log_trimmed"), LuaApi.Reference(Handle, LuaApi.RegistryIndex));
        return debugger;
    }

    private void SetDebugger(int reference)
    {
        PushRegistered(_setDebugger);
        if (reference == 0) LuaApi.PushNil(Handle);
        else PushRegistered(reference);
        if (LuaApi.ProtectedCall(Handle, 1, 0, 0) != LuaApi.Ok) throw new InvalidOperationException(TopText());
    }

    /// <summary>Before each line, and now and then.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void DebugHook(nint lua, nint activation)
    {
        LuaState state = t_running!;
        bool mustEnd = state._isInterrupted, isLate = false;
        state._memory->Unlimited++;
        try
        {
            // Not only when an event comes by number: most instructions are those of on_line, whose events go nowhere.
            mustEnd |= state.Watch?.Invoke() == true;
            isLate = state.IsLate?.Invoke() == true;
            if (!mustEnd && !isLate && (!state.SeesLines || *(int*)activation == LuaApi.EventCount)) return;
            if (!mustEnd && LuaApi.CheckStack(lua, 4) != 0)
            {
                LuaApi.RawGetAt(lua, LuaApi.RegistryIndex, state._debugger!.OnLine);
                LuaApi.PushBoolean(lua, isLate ? 1 : 0);
                if (LuaApi.ProtectedCall(lua, 1, 0, 0) != LuaApi.Ok) LuaApi.Pop(lua, 1);
            }
        }
        catch (Exception)
        {
            mustEnd = true;
        }
        finally
        {
            state._memory->Unlimited--;
        }
        if (mustEnd) state.Interrupt(lua);
    }

    /// <summary>The error on the top, as the prelude's handler made it.</summary>
    public LuaError TopError()
    {
        nint lua = Handle;
        switch (LuaApi.Type(lua, -1))
        {
            case LuaType.String:
                return new(LuaApi.StringAt(lua, -1).ToArray());
            case LuaType.Table:
                return new(StringField("err"u8) ?? [], StringField("source"u8), StringField("line"u8))
                {
                    IsCounted = HasField("ignore_error_stats_update"u8),
                    IsTable = true,
                };
            default:
                return new([]);
        }
    }

    private byte[]? StringField(ReadOnlySpan<byte> name)
    {
        LuaApi.Push(Handle, name);
        byte[]? value = LuaApi.RawGet(Handle, -2) == LuaType.String ? LuaApi.StringAt(Handle, -1).ToArray() : null;
        LuaApi.Pop(Handle, 1);
        return value;
    }

    private bool HasField(ReadOnlySpan<byte> name)
    {
        LuaApi.Push(Handle, name);
        bool has = LuaApi.RawGet(Handle, -2) == LuaType.Boolean && LuaApi.ToBoolean(Handle, -1) != 0;
        LuaApi.Pop(Handle, 1);
        return has;
    }

    /// <summary>
    /// Whether scripts have more memory than they may, garbage aside: to be asked by what makes much in C#, where the
    /// allocator refuses nothing.
    /// </summary>
    public bool HasTooMuch(nint lua)
    {
        if (_memory->Used <= _memory->Most) return false;
        _ = LuaApi.Collect(lua, LuaApi.GcCollect, 0);
        return _memory->Used > _memory->Most;
    }

    /// <summary>Collects garbage for a while; between two runs.</summary>
    public void CollectStep()
    {
        _memory->Unlimited = 1;
        _ = LuaApi.Collect(Handle, LuaApi.GcStep, 50);
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (Handle == 0) return;
        _memory->Unlimited = 1;
        LuaApi.Close(Handle);
        LuaMemory.Free(_memory);
        Handle = 0;
    }

    private void PushRegistered(int reference) => LuaApi.RawGetAt(Handle, LuaApi.RegistryIndex, reference);

    private void SetField(string name, Action push)
    {
        LuaApi.Push(Handle, Encoding.ASCII.GetBytes(name));
        push();
        LuaApi.RawSet(Handle, -3);
    }

    private int TakeField(string name)
    {
        LuaApi.Push(Handle, Encoding.ASCII.GetBytes(name));
        if (LuaApi.RawGet(Handle, -2) == LuaType.Nil) throw new InvalidOperationException($"The prelude has no '{name}'.");
        return LuaApi.Reference(Handle, LuaApi.RegistryIndex);
    }

    private string TopText() =>
        LuaApi.Type(Handle, -1) == LuaType.String ? Encoding.Latin1.GetString(LuaApi.StringAt(Handle, -1)) : LuaApi.Type(Handle, -1).ToString();

    /// <summary>Pushes a function for scripts.</summary>
    private void Push(LuaFunction function)
    {
        LuaApi.PushLightUserData(Handle, _functions.Count);
        _functions.Add(function);
        LuaApi.PushFunction(Handle, (nint)(delegate* unmanaged[Cdecl]<nint, int>)&Dispatch, 1);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Dispatch(nint lua)
    {
        LuaState state = t_running!;
        LuaMemory* memory = state._memory;
        memory->Unlimited++;
        try
        {
            return state._functions[(int)LuaApi.ToPointer(lua, LuaApi.RegistryIndex - 1)](lua);
        }
        catch (Exception e)
        {
            if (LuaApi.CheckStack(lua, 2) == 0) LuaApi.SetTop(lua, 0);
            LuaApi.PushLightUserData(lua, Failed);
            LuaApi.Push(lua, Encoding.Latin1.GetBytes(e is LuaArgumentException or InsufficientMemoryException ? e.Message : $"internal error: {e.Message}"));
            return 2;
        }
        finally
        {
            memory->Unlimited--;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Hook(nint lua, nint activation)
    {
        LuaState state = t_running!;
        if (state._isInterrupted)
        {
            state.Interrupt(lua); // the coroutine has ended, and now its caller must
            return;
        }
        bool mustEnd;
        try
        {
            mustEnd = state.Watch?.Invoke() == true;
        }
        catch (Exception)
        {
            mustEnd = true;
        }
        if (mustEnd) state.Interrupt(lua);
    }

    private static byte[] Read(string resource)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(resource)
            ?? throw new InvalidOperationException($"{resource} is missing.");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}

/// <summary>How a run failed.</summary>
/// <param name="Message">What the script, or Lua, says.</param>
/// <param name="Source">Where: "@user_script"; null if that is not known.</param>
/// <param name="Line">On which line.</param>
internal readonly record struct LuaError(byte[] Message, byte[]? Source = null, byte[]? Line = null)
{
    /// <summary>Whether it is the error of a command, which has been counted when that failed.</summary>
    public bool IsCounted { get; init; }

    /// <summary>Whether the error is a table, as those of Redis are. Only a lack of memory is not.</summary>
    public bool IsTable { get; init; }
}
