using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// A session of the step debugger (SCRIPT DEBUG). The script runs on a thread of its own, which waits for the client's
/// commands where the script stops. debugger.lua knows the commands; this hands over what is said.
/// <para>
/// With SYNC the script runs alone on the data. Otherwise Redis forks; here it runs in a store of its own, and each key is
/// copied there from the real one when a command first names it. Commands that concern more than the keys they name are
/// refused.
/// </para>
/// </summary>
#pragma warning disable CA1001 // the copies are freed when the script has ended; what else that store has is the real one's
internal sealed class ScriptDebugger : IDebuggedScript
#pragma warning restore CA1001
{
    private const int PollMs = 50;

    /// <summary>How many arguments of a command are shown.</summary>
    private const int MostShown = 10;

    [ThreadStatic]
    private static ScriptDebugger? t_mine;

    private readonly Store _store;
    private readonly Session _session;
    private readonly CommandInfo _command;
    private readonly OwnedRequest _request;
    private readonly Store? _copies;
    private readonly HashSet<(int Database, string Key)> _copied = [];
    private readonly RespWriter _result = new();
    private readonly List<byte[]> _log = [];
    private readonly object _changing = new();
    private OwnedRequest? _next;                    // guarded by _changing, and so are the next three
    private TaskCompletionSource<byte[]>? _awaited;
    private bool _isAbandoned;
    private bool _isOver;

    private ScriptDebugger(in CommandContext call, bool onCopies)
    {
        (_store, _session, _command, _request) = (call.Store, call.Session, call.Command, call.Request.ToOwned());
        _result.Resp3 = call.Reply.Resp3;
        if (onCopies) _copies = new(_store.Options, _store.Clock.Time, _store.Commands) { Scripts = _store.Scripts };
    }

    /// <summary>The session in which the calling thread runs a script; null if it runs none.</summary>
    public static ScriptDebugger? Mine => t_mine;

    public bool IsOver
    {
        get
        {
            lock (_changing) return _isOver;
        }
    }

    /// <summary>Whether it works on copies.</summary>
    public bool IsOnCopies => _copies is not null;

    /// <summary>Whether commands and their replies are shown.</summary>
    public bool IsStepping { get; set; }

    /// <summary>The script, as it was written, by lines.</summary>
    public string[] Lines => Encoding.Latin1.GetString(_request.Request[1]).TrimEnd('\r', '\n').Split('\n');

    /// <summary>EVAL in a session that debugs: the script begins, and stops at its first line.</summary>
    public static void Begin(ref CommandContext call, bool onCopies)
    {
        _ = ScriptHost.Of(call.Store);
        var debugger = new ScriptDebugger(call, onCopies);
        call.Session.Debugged = debugger;
        call.Continuation = debugger.StartAsync;
    }

    private async Task StartAsync(RespWriter reply)
    {
        if (!IsOnCopies) await _store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        Task<byte[]> stop = Expect();
        new Thread(Run) { IsBackground = true, Name = "script debugger" }.Start();
        reply.Raw(await stop.ConfigureAwait(false));
    }

    public async Task ObeyAsync(OwnedRequest request, RespWriter reply)
    {
        Task<byte[]> stop = Expect();
        lock (_changing)
        {
            _next = request;
            Monitor.Pulse(_changing);
        }
        reply.Raw(await stop.ConfigureAwait(false));
    }

    public void Abandon()
    {
        lock (_changing)
        {
            _isAbandoned = true;
            Monitor.Pulse(_changing);
        }
    }

    private Task<byte[]> Expect()
    {
        var awaited = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_changing)
        {
            // Once its client has left, it may end between two commands of a pipeline.
            if (_isOver) awaited.SetResult([]);
            else _awaited = awaited;
        }
        return awaited.Task;
    }

    private void Run()
    {
        t_mine = this;
        Store store = _copies ?? _store;
        if (_copies is not null)
        {
            var keys = new List<int>();
            _command.LocateKeys(_request.Request, keys);
            foreach (int key in keys) Open(_copies, KeySlot.Of(_request.Request[key]));
        }
        var call = new CommandContext(store, _session, _result) { Command = _command, Request = _request.Request, NowMs = store.Clock.NowMs };
        try
        {
            store.ExecuteExclusively(ref call);
        }
        catch (Exception e)
        {
            _store.Log.Warning($"A script that was being debugged failed; please report this. {e}");
            _result.Clear();
            _result.Error($"ERR internal error in '{_command.Name}': {e.Message}");
        }
        finally
        {
            _store.Scripts!.Leave();
            if (_copies is null) _store.SiloGate.ExitExclusive();
            else Free(_copies);
        }
        Log("<endsession>"u8);
        byte[] end = [.. Written(), .. _result.Written];
        lock (_changing)
        {
            _isOver = true;
            _awaited?.TrySetResult(end);
        }
    }

    private static void Free(Store copies)
    {
        copies.Scripts = null;
        copies.Slots.Free();
        copies.Dispose();
    }

    /// <summary>Adds a line to what the client is told with the next stop.</summary>
    public void Log(ReadOnlySpan<byte> line) => _log.Add(line.ToArray());

    private byte[] Written()
    {
        var reply = new RespWriter();
        reply.Array(_log.Count);
        foreach (byte[] line in _log)
        {
            line.AsSpan().Replace((byte)'\r', (byte)' ');
            line.AsSpan().Replace((byte)'\n', (byte)' ');
            reply.SimpleString(line);
        }
        _log.Clear();
        return reply.Written.ToArray();
    }

    /// <summary>
    /// The script has stopped: tells the client, and waits for its next command. Null if the client has left, or if
    /// <paramref name="mustEnd"/> says that the script must end.
    /// </summary>
    public OwnedRequest? Next(Func<bool> mustEnd)
    {
        lock (_changing)
        {
            _awaited?.TrySetResult(Written());
            _awaited = null;
            while (_next is null && !_isAbandoned)
            {
                if (mustEnd()) return null;
                Monitor.Wait(_changing, PollMs);
            }
            OwnedRequest? next = _next;
            _next = null;
            return next;
        }
    }

    /// <summary>Whether the client has left.</summary>
    public bool IsAbandoned
    {
        get
        {
            lock (_changing) return _isAbandoned;
        }
    }

    // Copies

    /// <summary>
    /// Makes sure that the keys of a command have been copied, where it works on copies. Returns why the command cannot run
    /// there; null if it can.
    /// </summary>
    public string? Reach(CommandInfo command, in Request request)
    {
        if (_copies is null) return null;
        bool isConfined = !command.Is(CommandFlags.Exclusive | CommandFlags.WholeKeyspace | CommandFlags.MayReplicate) && command.Effort != Effort.AllKeys
            && (command.Keys.Count != 0 || !command.Is(CommandFlags.Write | CommandFlags.ReadOnly))
            && !(command.Is(CommandFlags.UndeclaredKeys) && Store.NamesPattern(request));
        if (!isConfined)
        {
            return $"ERR '{command.Name}' concerns more than the keys that it names, of which this debugging session has copies. Use SCRIPT DEBUG SYNC, "
                + "or redis-cli --ldb-sync-mode";
        }
        var positions = new List<int>();
        command.LocateKeys(request, positions);
        foreach (int position in positions)
        {
            ReadOnlySpan<byte> key = request[position];
            if (_copied.Add((_session.Database, Encoding.Latin1.GetString(key))) && !TryCopy(_copies, key.ToArray()))
                return Encoding.Latin1.GetString(Errors.SlotNotServed);
        }
        return null;
    }

    private bool TryCopy(Store copies, byte[] key)
    {
        var reader = new Session { Database = _session.Database, NoTouch = true };
        var reply = new RespWriter();
        if (!TryRun(reader, reply, "DUMP"u8.ToArray(), key)) return false;
        Open(copies, KeySlot.Of(key));
        ReadOnlySpan<byte> dumped = reply.Written;
        if (dumped[0] != '$' || dumped[1] == '-') return true; // there is no such key
        int from = dumped.IndexOf((byte)'\n') + 1;
        byte[] payload = dumped[from..^2].ToArray();
        reply.Clear();
        if (!TryRun(reader, reply, "PEXPIRETIME"u8.ToArray(), key)) return false;
        long expiresAtMs = long.Parse(reply.Written[1..^2], CultureInfo.InvariantCulture);
        if (expiresAtMs == -2) return true; // it has expired since
        byte[] time = Encoding.ASCII.GetBytes(Math.Max(0, expiresAtMs).ToString(CultureInfo.InvariantCulture));
        OwnedRequest restore = OwnedRequest.Of("RESTORE"u8.ToArray(), key, time, payload, "ABSTTL"u8.ToArray());
        reply.Clear();
        var call = new CommandContext(copies, reader, reply)
        {
            Command = copies.Commands.Resolve(restore.Request)!,
            Request = restore.Request,
            NowMs = copies.Clock.NowMs,
            MayBlock = false,
        };
        copies.ExecuteExclusively(ref call);
        return true;
    }

    private static void Open(Store copies, int slot)
    {
        if (copies.Slots[slot] is null) copies.Slots.Publish(copies.Slots.Create(slot, epoch: 1));
    }

    /// <summary>Runs a command on the data, waiting for its gate. False if its slot is not here, or the client has left.</summary>
    private bool TryRun(Session reader, RespWriter reply, params ReadOnlySpan<ReadOnlyMemory<byte>> words)
    {
        OwnedRequest request = OwnedRequest.Of(words);
        while (true)
        {
            int stripe = _store.SiloGate.EnterShared();
            Attempt attempt;
            try
            {
                var call = new CommandContext(_store, reader, reply)
                {
                    Command = _store.Commands.Resolve(request.Request)!,
                    Request = request.Request,
                    NowMs = _store.Clock.NowMs,
                    MayBlock = false,
                };
                attempt = _store.Execute(ref call);
                if (attempt.Outcome == Outcome.Long) attempt = _store.ExecuteLong(ref call);
            }
            finally
            {
                _store.SiloGate.ExitShared(stripe);
            }
            if (attempt.Outcome != Outcome.Busy) return attempt.Outcome == Outcome.Done;
            // Whoever holds the gate may do so for long, and only the client waits for this.
            Task free = _store.WhenFree(attempt);
            while (!free.Wait(PollMs))
            {
                if (IsAbandoned) return false;
            }
        }
    }

    // What is shown of commands

    /// <summary>Shows a command before it runs.</summary>
    public void LogCommand(in Request request)
    {
        var line = new StringBuilder("<redis>");
        for (int i = 0; i < request.Count; i++)
        {
            if (i == MostShown)
            {
                line.Append(CultureInfo.InvariantCulture, $" ... ({request.Count - i - 1} more)");
                break;
            }
            line.Append(' ').Append(Encoding.Latin1.GetString(request[i]));
        }
        Log(Encoding.Latin1.GetBytes(line.ToString()));
    }

    /// <summary>A reply as the debugger shows it.</summary>
    public static byte[] Shown(ReadOnlySpan<byte> reply)
    {
        var text = new StringBuilder("<reply> ");
        Show(text, reply);
        return Encoding.Latin1.GetBytes(text.ToString());
    }

    /// <summary>Returns how many bytes it took.</summary>
    private static int Show(StringBuilder text, ReadOnlySpan<byte> reply)
    {
        int end = reply.IndexOf((byte)'\r');
        ReadOnlySpan<byte> line = reply[1..end];
        int used = end + 2;
        switch (reply[0])
        {
            case (byte)':':
                text.Append(Encoding.Latin1.GetString(line));
                return used;
            case (byte)',':
                text.Append("(double) ").Append(Encoding.Latin1.GetString(line));
                return used;
            case (byte)'#':
                text.Append(line[0] == 't' ? "#true" : "#false");
                return used;
            case (byte)'_':
                text.Append("(null)");
                return used;
            case (byte)'$' or (byte)'=':
                int length = int.Parse(line, CultureInfo.InvariantCulture);
                if (length < 0)
                {
                    text.Append("NULL");
                    return used;
                }
                text.Append(QuotedWords.Quote(reply.Slice(used, length)));
                return used + length + 2;
            case (byte)'*':
                return ShowAll(text, reply, int.Parse(line, CultureInfo.InvariantCulture), used, "[", "]");
            case (byte)'~':
                return ShowAll(text, reply, int.Parse(line, CultureInfo.InvariantCulture), used, "~(", ")");
            case (byte)'%':
                int pairs = int.Parse(line, CultureInfo.InvariantCulture);
                text.Append('{');
                for (int i = 0; i < pairs; i++)
                {
                    if (i != 0) text.Append(',');
                    used += Show(text, reply[used..]);
                    text.Append(" => ");
                    used += Show(text, reply[used..]);
                }
                text.Append('}');
                return used;
            default:
                text.Append(QuotedWords.Quote(reply[..end]));
                return used;
        }
    }

    private static int ShowAll(StringBuilder text, ReadOnlySpan<byte> reply, int count, int used, string open, string close)
    {
        if (count < 0)
        {
            text.Append("NULL");
            return used;
        }
        text.Append(open);
        for (int i = 0; i < count; i++)
        {
            if (i != 0) text.Append(',');
            used += Show(text, reply[used..]);
        }
        text.Append(close);
        return used;
    }
}
