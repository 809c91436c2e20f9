using System.Diagnostics;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// A script while it runs: its commands, what it has set with redis.setresp and the like, and its time. There is one for
/// each thread that runs scripts, used over and over.
/// </summary>
internal sealed class ScriptRun : ScriptScope
{
    /// <summary>A script that has run for longer is not begun on an I/O thread again.</summary>
    private static readonly TimeSpan s_slow = TimeSpan.FromMilliseconds(5);

    private readonly ScriptHost _host;
    private readonly LuaState _state;
    private readonly RespWriter _reply = new() { Overflow = static () => { } };
    private readonly List<int> _keys = [];
    private byte[] _bytes = new byte[1024];
    private ArgumentRange[] _arguments = new ArgumentRange[16];
    private long _started;
    private bool _isReadOnly;
    private bool _allowsOom;
    private bool _isOutOfMemory;
    private bool _standsStill;
    private bool _hasPublished;
    private bool _mayCrossSlots;
    private int _slot; // with cluster-enabled yes: that of its keys so far, or -1
    private int _killed;

    public ScriptRun(ScriptHost host, LuaState state) => (_host, _state) = (host, state);

    /// <summary>What it is called in errors: the script's SHA-1, or the function's name.</summary>
    public string Name { get; private set; } = "";

    /// <summary>Whether it is a function.</summary>
    public bool IsFunction { get; private set; }

    /// <summary>Whether it runs.</summary>
    public bool IsRunning { get; private set; }

    /// <summary>Whether it has run for longer than busy-reply-threshold.</summary>
    public bool IsBusy { get; private set; }

    /// <summary>Whether it has reached keys that it has not declared.</summary>
    public bool HasReached { get; private set; }

    /// <summary>The request that it runs for.</summary>
    public IReadOnlyList<byte[]> Command { get; private set; } = [];

    /// <summary>How long it has been running.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_started);

    /// <summary>Whether the script has chosen RESP3 for its commands' replies.</summary>
    public bool IsResp3 => _reply.Resp3;

    /// <summary>The session of the debugger that it runs in; null if it runs in none.</summary>
    public ScriptDebugger? Debugger { get; private set; }

    /// <summary>Whether a user has ended it in the debugger.</summary>
    public bool IsAborted { get; private set; }

    /// <summary>Whether SCRIPT KILL has ended it.</summary>
    public bool IsKilled => Volatile.Read(ref _killed) != 0;

    /// <summary>Begins a run.</summary>
    /// <param name="call">The command that runs the script.</param>
    /// <param name="name">What it is called in errors.</param>
    /// <param name="isFunction">Whether it is a function.</param>
    /// <param name="flags">What it says of itself.</param>
    /// <param name="isReadOnly">Whether the command is one of those that must not write.</param>
    public void Begin(in CommandContext call, string name, bool isFunction, ScriptFlags flags, bool isReadOnly)
    {
        Begin(call);
        Name = name;
        IsFunction = isFunction;
        // Only FUNCTION STATS wants to know, and only of functions that take long.
        if (isFunction) Command = Words(call.Request);
        HasReached = IsAborted = _hasPublished = false;
        Debugger = ScriptDebugger.Mine;
        IsRunning = true;
        _started = Stopwatch.GetTimestamp();
        _isReadOnly = isReadOnly || (flags & ScriptFlags.NoWrites) != 0;
        _allowsOom = (flags & ScriptFlags.AllowOom) != 0;
        _mayCrossSlots = (flags & (ScriptFlags.Compatible | ScriptFlags.AllowCrossSlot)) != 0;
        _slot = call.Store.Cluster is null || Session.IsOneCall ? -1 : DeclaredSlot(call);
        _isOutOfMemory = call.Store.Options.MaxMemory != 0 && call.Store.Eviction.IsOver;
        _reply.Resp3 = false;
        _killed = 0;
    }

    /// <summary>
    /// Whether it has done what others have seen, so that it cannot begin anew. One that has only published can still be
    /// killed, as in Redis.
    /// </summary>
    private bool HasActed => HasWritten || _hasPublished;

    private int DeclaredSlot(in CommandContext call)
    {
        _keys.Clear();
        call.Command.LocateKeys(call.Request, _keys);
        return _keys.Count == 0 ? -1 : KeySlot.Of(call.Request[_keys[0]]);
    }

    private static byte[][] Words(in Request request)
    {
        var words = new byte[request.Count][];
        for (int i = 0; i < words.Length; i++) words[i] = request[i].ToArray();
        return words;
    }

    /// <summary>Ends it, and returns whether it has taken too long for an I/O thread.</summary>
    public bool End()
    {
        IsRunning = false;
        if (_standsStill && !IsAside) Store.SiloGate.EndLongHold();
        _standsStill = false;
        if (IsBusy)
        {
            IsBusy = false;
            _host.NoLongerBusy(this);
        }
        if (_reply.Capacity > 256 * 1024) _reply.ShrinkTo(0);
        if (_bytes.Length > 256 * 1024) _bytes = new byte[1024];
        if (_arguments.Length > 16 * 1024) _arguments = new ArgumentRange[16];
        return Elapsed > s_slow;
    }

    /// <summary>
    /// SCRIPT KILL and FUNCTION KILL. False if it has written, and so cannot be killed.
    /// </summary>
    public bool TryKill()
    {
        if (HasWritten) return false;
        Volatile.Write(ref _killed, 1);
        return true;
    }

    /// <summary>Called by the hook while the script runs; true if it must end.</summary>
    public bool Watch()
    {
        IsBrokenOff |= (Store.Restrictions & Restrictions.Stopping) != 0 || _host.IsStopping;
        if (IsKilled || IsBrokenOff) return true;
        if (!_standsStill && Elapsed > s_slow) StandStill();
        if (Debugger is { IsOnCopies: true }) return Debugger.IsAbandoned; // nobody waits for it
        if (IsBusy || Store.Options.BusyReplyThreshold <= 0 || Elapsed.TotalMilliseconds < Store.Options.BusyReplyThreshold) return false;
        IsBusy = true;
        Store.Log.Warning(
            $"Slow script detected: still in execution after {Elapsed.TotalMilliseconds:F0} milliseconds. You can try killing the script "
            + $"using the {(IsFunction ? "FUNCTION" : "SCRIPT")} KILL command. Script name is: {Name}.");
        _host.Busy(this);
        return false;
    }

    /// <summary>It takes long: from here on nobody waits for its thread.</summary>
    private void StandStill()
    {
        if (_standsStill) return;
        _standsStill = true;
        if (!IsAside) Store.SiloGate.BeginLongHold();
        Store.Threads?.StandStill();
    }

    /// <summary>
    /// redis.call and redis.pcall: runs the command on the stack. The result is pushed, and after it true if it is an
    /// error.
    /// </summary>
    public int Call(nint lua)
    {
        if (!TryReadArguments(lua, out int count)) return 2;
        LuaApi.SetTop(lua, 0);
        var request = new Request(_bytes, _arguments.AsSpan(0, count), []);
        CommandInfo? command = Store.Commands.Resolve(request);
        ScriptDebugger? debugger = Debugger is { IsStepping: true } stepping ? stepping : null;
        debugger?.LogCommand(request);
        string? refusal = Refusal(command, request);
        if (Restart != Outcome.Done)
        {
            _state.Interrupt(lua);
            LuaApi.PushNil(lua);
            return 1;
        }
        if (refusal is not null)
        {
            _reply.Error(refusal);
            Store.Observer?.Refused(command, _reply.Written);
            _reply.Clear();
            debugger?.Log(Encoding.Latin1.GetBytes($"<error> {(refusal.StartsWith("ERR ", StringComparison.Ordinal) ? refusal[4..] : refusal)}"));
            ScriptReply.PushError(lua, Encoding.Latin1.GetBytes(refusal), isCounted: true);
            LuaApi.PushBoolean(lua, 1);
            return 2;
        }
        if (command!.Is(CommandFlags.Write)) HasWritten = true;
        if (command.Is(CommandFlags.PubSub)) _hasPublished = true;
        if (command.Is(CommandFlags.MovesKeys)) StandStill(); // it waits for another server
        return Run(lua, command, request);
    }

    private int Run(nint lua, CommandInfo command, in Request request)
    {
        long started = Stopwatch.GetTimestamp();
        // What is larger than Lua's memory need not be written to its end; the command runs to its own all the same.
        _reply.Most = _host.MostBytes > 0 ? (int)Math.Min(Array.MaxLength, _host.MostBytes) : Array.MaxLength;
        try
        {
            CommandContext.RunWithin(this, command, request, _reply);
        }
        catch (Exception e)
        {
            Store.Log.Warning($"The command '{command.Name}' failed in a script; please report this. {e}");
            _reply.Clear();
            _reply.Error($"ERR internal error in '{command.Name}': {e.Message}");
        }
        if (_reply.HasOverflowed)
        {
            _reply.Clear();
            _reply.Most = Array.MaxLength;
            _reply.Error("ERR the reply takes more memory than a script may have (orleans-script-memory)"u8);
        }
        ReadOnlySpan<byte> reply = _reply.Written;
        if (Store.Monitors.Any) Store.Monitors.ShowInScript(Session, command, request);
        Store.Observer?.RanInScript(Session, command, request, Stopwatch.GetTimestamp() - started, reply);
        if (Debugger is { IsStepping: true }) _state.LogForDebugger(lua, ScriptDebugger.Shown(reply));
        bool isError = reply[0] == '-';
        ScriptReply.Push(lua, reply);
        _reply.Clear();
        if (!isError) return 1;
        LuaApi.PushBoolean(lua, 1);
        return 2;
    }

    /// <summary>Reads the arguments on the stack; if they make no request, the error is pushed.</summary>
    private bool TryReadArguments(nint lua, out int count)
    {
        count = LuaApi.Top(lua);
        if (count == 0) return Fail(lua, "Please specify at least one argument for this redis lib call");
        if (count > _arguments.Length) Array.Resize(ref _arguments, Math.Max(count, _arguments.Length * 2));
        int at = 0;
        for (int i = 0; i < count; i++)
        {
            int length;
            switch (LuaApi.Type(lua, i + 1))
            {
                case LuaType.String:
                    ReadOnlySpan<byte> text = LuaApi.StringAt(lua, i + 1);
                    length = text.Length;
                    Reserve(at + length);
                    text.CopyTo(_bytes.AsSpan(at));
                    break;
                case LuaType.Number:
                    Reserve(at + Numbers.LongestDouble);
                    length = FormatNumber(lua, i + 1, _bytes.AsSpan(at));
                    break;
                default:
                    return Fail(lua, "Lua redis lib command arguments must be strings or integers");
            }
            _arguments[i] = new(at, length);
            at += length;
        }
        return true;
    }

    private static unsafe int FormatNumber(nint lua, int index, Span<byte> into)
    {
        double number = LuaApi.ToNumber(lua, index, null);
        return Numbers.IsWhole(number, out long whole) ? Numbers.FormatInt64(whole, into) : Numbers.FormatDouble(number, into);
    }

    private void Reserve(int length)
    {
        if (length < 0 || length > 1 << 30) throw new LuaArgumentException("a command's arguments are too long");
        if (length > _bytes.Length) Array.Resize(ref _bytes, Math.Max(length, _bytes.Length * 2));
    }

    private static bool Fail(nint lua, string error)
    {
        LuaApi.SetTop(lua, 0);
        ScriptReply.PushError(lua, error);
        LuaApi.PushBoolean(lua, 1);
        return false;
    }

    /// <summary>
    /// Why a command may not run in this script; null if it may, and then the slots of its keys are held. These are the
    /// checks of Redis's scriptCall, in its order.
    /// </summary>
    private string? Refusal(CommandInfo? command, in Request request)
    {
        const string WrongCount = "ERR Wrong number of args calling Redis command from script";
        if (command?.Method is null) return command is null || request.Count > 1 ? "ERR Unknown Redis command called from script" : WrongCount;
        if (!command.AcceptsCount(request.Count)) return WrongCount;
        // Never those that use the Lua state themselves, which is in use.
        bool isAllowed = !command.Is(CommandFlags.NoScript) || (Store.AllowsAllInScripts && (command.Categories & Category.Scripting) == 0);
        if (!isAllowed || (command.Is(CommandFlags.NeedsConnection) && Session.IsOneCall)) return "ERR This Redis command is not allowed from script";
        if (Store.Acl.Denies(Session, command, request, AclContext.Lua, out AclVerdict verdict))
            return $"NOPERM ACL failure in script: {verdict.Message(Session.User.Name, command)}";
        if (_isReadOnly && command.Is(CommandFlags.Write | CommandFlags.MayReplicate))
            return "ERR Write commands are not allowed from read-only scripts.";
        if (command.Is(CommandFlags.Write) && !HasWritten && Hindrance() is { } hindrance) return hindrance;
        if (_isOutOfMemory && !_allowsOom && !HasWritten && command.Is(CommandFlags.DenyOom))
            return "OOM command not allowed when used memory > 'maxmemory'.";
        if (Store.Cluster is { } cluster && !Session.IsOneCall) return Elsewhere(cluster, command, request);
        return Reach(command, request);
    }

    /// <summary>Why a command is not served here by the rules of Redis Cluster; null if it is, and then its slots are held.</summary>
    private string? Elsewhere(ClusterFace cluster, CommandInfo command, in Request request)
    {
        ClusterVerdict where = cluster.Judge(command, request, Session);
        if (!where.IsRefused && where.Slot >= 0 && !_mayCrossSlots && _slot >= 0 && _slot != where.Slot)
            return "ERR Script attempted to access keys that do not hash to the same slot";
        if (!where.IsRefused)
        {
            string? refusal = Reach(command, request);
            if (refusal is not null || Restart != Outcome.Done) return refusal;
            if (where.DependsOnKeys) where = cluster.JudgeByKeys(command, request, Session);
            if (where.Slot >= 0 && _slot < 0) _slot = where.Slot;
        }
        return where.IsRefused ? ClusterFace.ErrorInScript(where, command) : null;
    }

    /// <summary>Why nothing may be written at present; null if it may.</summary>
    private string? Hindrance()
    {
        Restrictions restrictions = Store.Restrictions;
        if ((restrictions & Restrictions.SnapshotFails) != 0) return Errors.SnapshotFails;
        if ((restrictions & Restrictions.LogFails) != 0 && Store.Durability?.WriteError is { } error) return error;
        return (restrictions & Restrictions.TooFewReplicas) != 0 ? Errors.TooFewReplicas : null;
    }

    /// <summary>
    /// Sees to it that the gates which a command needs are held. If they cannot be had, the script begins anew, or the
    /// command fails.
    /// </summary>
    private string? Reach(CommandInfo command, in Request request)
    {
        if (command.Is(CommandFlags.Exclusive | CommandFlags.WholeKeyspace | CommandFlags.EverySilo)
            && (Session.IsOneOfMany || (Session.IsVouchedFor && Session.Share is null)))
            return Errors.WholeKeyspaceElsewhere;
        if (Hold == Hold.Everything) return Debugger?.Reach(command, request);
        if (command.Is(CommandFlags.Exclusive)) return MustBeginAnew(Outcome.NeedsExclusive);
        if (command.Is(CommandFlags.WholeKeyspace))
        {
            if (!HasActed) return MustBeginAnew(Outcome.NeedsExclusive);
            HasReached = true;
            return Store.ReachAllForScript(Hold) == ScriptReach.Reached ? null : MustBeginAnew(Outcome.Busy);
        }
        if (command.Keys.Count == 0) return null;
        if (command.Is(CommandFlags.UndeclaredKeys) && Store.NamesPattern(request))
        {
            HasReached = true;
            if (!Store.RoamsForScript(Hold, HasActed)) return MustBeginAnew(Outcome.Busy);
        }
        if (command.SingleKey != 0)
            return command.SingleKey < request.Count ? Reach(KeySlot.Of(request[command.SingleKey])) : null;
        _keys.Clear();
        command.LocateKeys(request, _keys);
        foreach (int position in _keys)
        {
            if (Reach(KeySlot.Of(request[position])) is { } refusal) return refusal;
        }
        return null;
    }

    private string? Reach(int slot)
    {
        switch (Store.ReachForScript(slot, Hold, HasActed))
        {
            case ScriptReach.Reached:
                return null;
            case ScriptReach.Taken:
                HasReached = true;
                return null;
            case ScriptReach.NotHere when !HasActed:
                MissingSlot = slot;
                return MustBeginAnew(Outcome.SlotNotHere);
            case ScriptReach.NotHere:
                return Encoding.Latin1.GetString(Errors.SlotNotServed);
            default:
                return MustBeginAnew(Outcome.Busy);
        }
    }

    /// <summary>Begins anew, if nothing has been written yet; otherwise the error for the command.</summary>
    private string MustBeginAnew(Outcome restart)
    {
        if (HasActed)
        {
            return restart == Outcome.NeedsExclusive
                ? "ERR Script attempted to run a command on the whole data set after it had written"
                : "TRYAGAIN Script attempted to access keys that it has not declared, while another script does so";
        }
        Restart = restart;
        return "";
    }

    // What debugger.lua calls

    /// <summary>ldb_log(line)</summary>
    public int LogForDebugger(nint lua)
    {
        Debugger!.Log(LuaApi.StringAt(lua, 1));
        return 0;
    }

    /// <summary>ldb_step(whether commands and their replies are shown)</summary>
    public int StepForDebugger(nint lua)
    {
        Debugger!.IsStepping = LuaApi.ToBoolean(lua, 1) != 0;
        return 0;
    }

    /// <summary>ldb_next(): the words of the client's next command; nothing if it has left.</summary>
    public int NextForDebugger(nint lua)
    {
        OwnedRequest? next = Debugger!.Next(Watch);
        _started = Stopwatch.GetTimestamp(); // the time in which the user thinks is not the script's
        if (next is null)
        {
            if (Watch()) _state.Interrupt(lua);
            return 0;
        }
        if (LuaApi.CheckStack(lua, next.Count) == 0) return 0;
        for (int i = 0; i < next.Count; i++) LuaApi.Push(lua, next.Request[i]);
        return next.Count;
    }

    /// <summary>ldb_abort()</summary>
    public int AbortForDebugger(nint lua)
    {
        IsAborted = true;
        _state.Interrupt(lua);
        return 0;
    }

    /// <summary>Whether the debugger is to stop because the script has run for so long.</summary>
    public bool IsLateForDebugger()
    {
        int limitMs = Store.Options.BusyReplyThreshold > 0 ? (int)Math.Min(int.MaxValue, Store.Options.BusyReplyThreshold) : 5000;
        if (Debugger is not { IsAbandoned: false } || Elapsed.TotalMilliseconds < limitMs) return false;
        _started = Stopwatch.GetTimestamp();
        return true;
    }

    // The other functions of "redis"

    /// <summary>redis.log(level, …)</summary>
    public unsafe int Log(nint lua)
    {
        int count = LuaApi.Top(lua), isNumber = 0;
        if (count < 2) return Failure(lua, "redis.log() requires two arguments or more.");
        double level = LuaApi.ToNumber(lua, 1, &isNumber);
        if (isNumber == 0) return Failure(lua, "First argument must be a number (log level).");
        if (!(level >= 0 && level < 4)) return Failure(lua, "Invalid log level.");
        var line = new StringBuilder();
        for (int i = 2; i <= count; i++)
        {
            string text;
            if (LuaApi.Type(lua, i) == LuaType.String) text = Encoding.Latin1.GetString(LuaApi.StringAt(lua, i));
            else if (LuaApi.Type(lua, i) == LuaType.Number) text = LuaNumbers.Format(LuaApi.ToNumber(lua, i, null));
            else continue;
            if (i != 2) line.Append(' ');
            line.Append(text);
        }
        ServerLog log = _host.Log;
        if (level < 2) log.Verbose(line.ToString());
        else if (level < 3) log.Notice(line.ToString());
        else log.Warning(line.ToString());
        return 0;
    }

    /// <summary>redis.sha1hex(string)</summary>
    public static unsafe int Sha1Hex(nint lua)
    {
        if (LuaApi.Top(lua) != 1) return Failure(lua, "wrong number of arguments");
        ReadOnlySpan<byte> text = LuaApi.Type(lua, 1) switch
        {
            LuaType.String => LuaApi.StringAt(lua, 1),
            LuaType.Number => Encoding.ASCII.GetBytes(LuaNumbers.Format(LuaApi.ToNumber(lua, 1, null))),
            _ => [],
        };
        LuaApi.Push(lua, Encoding.ASCII.GetBytes(ScriptDigest.Of(text).ToString()));
        return 1;
    }

    /// <summary>redis.setresp(version)</summary>
    public unsafe int SetResp(nint lua)
    {
        if (LuaApi.Top(lua) != 1) return Failure(lua, "redis.setresp() requires one argument.");
        double version = LuaApi.ToNumber(lua, 1, null);
        if ((int)version is not (2 or 3)) return Failure(lua, "RESP version must be 2 or 3.");
        _reply.Resp3 = (int)version == 3;
        return 0;
    }

    /// <summary>
    /// redis.set_repl(flags). All that there is to be told of a write so far is the log, so that REPL_REPLICA alone means
    /// nobody.
    /// </summary>
    public unsafe int SetReplication(nint lua)
    {
        if (LuaApi.Top(lua) != 1) return Failure(lua, "redis.set_repl() requires one argument.");
        int flags = (int)LuaApi.ToNumber(lua, 1, null);
        if ((flags & ~3) != 0) return Failure(lua, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
        IsLogged = (flags & 1) != 0; // REPL_AOF
        return 0;
    }

    /// <summary>redis.acl_check_cmd(command, …)</summary>
    public int CheckAcl(nint lua)
    {
        if (!TryReadArguments(lua, out int count)) return 2;
        LuaApi.SetTop(lua, 0);
        var request = new Request(_bytes, _arguments.AsSpan(0, count), []);
        if (Store.Commands.Resolve(request) is not { } command || (command.Method is null && count > 1))
            return Failure(lua, "Invalid command passed to redis.acl_check_cmd()");
        LuaApi.PushBoolean(lua, Session.User.Allows(command, request) ? 1 : 0);
        return 1;
    }

    /// <summary>redis.error_reply(text)</summary>
    public static int ErrorReply(nint lua)
    {
        if (LuaApi.Top(lua) != 1 || LuaApi.Type(lua, 1) != LuaType.String) return Failure(lua, "wrong number or type of arguments");
        ReadOnlySpan<byte> error = LuaApi.StringAt(lua, 1);
        ScriptReply.PushError(lua, error.StartsWith("-"u8) ? error[1..] : error);
        return 1;
    }

    /// <summary>redis.status_reply(text)</summary>
    public static int StatusReply(nint lua)
    {
        if (LuaApi.Top(lua) != 1 || LuaApi.Type(lua, 1) != LuaType.String) return Failure(lua, "wrong number or type of arguments");
        ScriptReply.PushField(lua, "ok"u8, LuaApi.StringAt(lua, 1));
        return 1;
    }

    private static int Failure(nint lua, string error)
    {
        LuaApi.SetTop(lua, 0);
        ScriptReply.PushError(lua, error);
        LuaApi.PushBoolean(lua, 1);
        return 2;
    }
}
