using System.Collections.Concurrent;

namespace OrleansRedis.Engine;

/// <summary>The scripts and functions of a silo: the cache of scripts, the libraries, and who is running one.</summary>
internal sealed partial class ScriptHost : IScripts
{
    /// <summary>How long a library may take to load, as in Redis.</summary>
    public const int LoadTimeoutMs = 500;

    /// <summary>How many scripts that EVAL has brought are kept, as in Redis.</summary>
    private const int MostEvaluated = 500;

    private readonly Store _store;
    private readonly ConcurrentStack<ScriptThread> _idle = new();
    private readonly List<WeakReference<ScriptThread>> _threads = []; // guarded by itself
    private readonly ConcurrentDictionary<ScriptDigest, Script> _scripts = new();
    private readonly LinkedList<Script> _evaluated = new();     // guarded by itself; the one used last at the end
    private readonly List<ScriptRun> _busy = [];                // guarded by itself
    private int _version;
    private long _evictedCount;

    [ThreadStatic]
    private static ScriptThread? t_thread;

    private ScriptHost(Store store) => _store = store;

    /// <summary>Those of a store.</summary>
    public static ScriptHost Of(Store store)
    {
        if (store.Scripts is ScriptHost host) return host;
        lock (store.Commands)
        {
            if (store.Scripts is ScriptHost meanwhile) return meanwhile;
            host = new(store);
            store.Scripts = host;
            return host;
        }
    }

    /// <summary>How much memory the scripts of one thread may take.</summary>
    public long MostBytes => _store.Options.OrleansScriptMemory;

    public ServerLog Log => _store.Log;

    /// <summary>Whether the store is being disposed of.</summary>
    public bool IsStopping { get; private set; }

    /// <summary>Changes whenever a script or a library is removed.</summary>
    public int Version => Volatile.Read(ref _version);

    /// <summary>What the calling thread runs scripts with, until it leaves it to others (<see cref="Leave"/>) or ends.</summary>
    public ScriptThread Thread => t_thread is { } mine && mine.Host == this ? mine : Take();

    private ScriptThread Take()
    {
        t_thread?.Host.Leave();
        if (!_idle.TryPop(out ScriptThread? thread))
        {
            thread = new(this);
            lock (_threads)
            {
                _threads.RemoveAll(static former => !former.TryGetTarget(out _));
                _threads.Add(new(thread));
            }
        }
        return t_thread = thread;
    }

    public void Leave()
    {
        if (t_thread is not { } mine || mine.Host != this || mine.Run.IsRunning) return;
        t_thread = null;
        _idle.Push(mine);
    }

    private ScriptThread[] Threads
    {
        get
        {
            lock (_threads) return [.. _threads.Select(static thread => thread.TryGetTarget(out ScriptThread? known) ? known : null).OfType<ScriptThread>()];
        }
    }

    public ScriptStatistics Statistics
    {
        get
        {
            Script[] scripts = [.. _scripts.Values.Where(static script => script.IsLoaded)];
            FunctionSet functions = Functions;
            return new(
                scripts.Length, scripts.Sum(static script => script.Body.LongLength), functions.Count, functions.Libraries.Count,
                functions.Libraries.Sum(static library => library.Code.LongLength), Threads.Sum(static thread => thread.State.UsedBytes),
                Interlocked.Read(ref _evictedCount));
        }
    }

    public ICallable? Find(CommandInfo command, in Request request)
    {
        string name = command.Name;
        if (name[0] == 'f') return FindFunction(request[1]);
        return name.StartsWith("evalsha", StringComparison.Ordinal) ? Find(request[1]) : Known(request[1], out _);
    }

    /// <summary>The loaded script with this SHA-1 in hexadecimal; null if there is none.</summary>
    public Script? Find(ReadOnlySpan<byte> digest) =>
        ScriptDigest.TryParse(digest, out ScriptDigest parsed) && _scripts.TryGetValue(parsed, out Script? script) && script.IsLoaded ? script : null;

    public byte[]? BodyOf(ReadOnlySpan<byte> digest) => Find(digest)?.Body;

    /// <summary>
    /// The script with this body. A new one counts as loaded only after <see cref="Loaded"/>. Null if its first line is
    /// wrong, with the error.
    /// </summary>
    public Script? Known(ReadOnlySpan<byte> body, out string? error)
    {
        error = null;
        ScriptDigest digest = ScriptDigest.Of(body);
        if (_scripts.TryGetValue(digest, out Script? script)) return script;
        error = Shebang.Parse(body, out ScriptFlags flags, out int length);
        if (error is not null) return null;
        return _scripts.GetOrAdd(digest, new Script(digest, body.ToArray(), flags, length));
    }

    /// <summary>
    /// Whether a program names a command that runs alone (FLUSHALL): after a write it would be too late to find that
    /// out.
    /// </summary>
    public bool NamesExclusive(IEnumerable<string> words) =>
        words.Any(word => _store.Commands.Find(System.Text.Encoding.ASCII.GetBytes(word))?.Is(CommandFlags.Exclusive) == true);

    /// <summary>A script has compiled.</summary>
    public void Loaded(Script script, bool byEval)
    {
        lock (_evaluated)
        {
            if (byEval && (!script.IsLoaded || script.Place is not null))
            {
                script.Place ??= new(script);
                if (script.Place.List is not null) _evaluated.Remove(script.Place);
                _evaluated.AddLast(script.Place);
                while (_evaluated.Count > MostEvaluated)
                {
                    Remove(_evaluated.First!.Value);
                    _evaluated.RemoveFirst();
                    Interlocked.Increment(ref _evictedCount);
                }
            }
            else if (!byEval && script.Place is { } place)
            {
                // As in Redis since 7.4.1, SCRIPT LOAD keeps a script that EVAL has brought.
                if (place.List is not null) _evaluated.Remove(place);
                script.Place = null;
            }
            script.IsLoaded = true;
        }
    }

    /// <summary>A script that EVAL has brought has been used.</summary>
    public void Used(Script script)
    {
        if (script.Place is not { } place || place.Next is null) return; // the last one stays the last one
        lock (_evaluated)
        {
            if (place.List is null) return;
            _evaluated.Remove(place);
            _evaluated.AddLast(place);
        }
    }

    /// <summary>A script does not compile: it is forgotten.</summary>
    public void Drop(Script script)
    {
        if (!script.IsLoaded) Remove(script);
    }

    private void Remove(Script script)
    {
        script.IsGone = true;
        _scripts.TryRemove(new(script.Digest, script));
        Interlocked.Increment(ref _version);
    }

    /// <summary>SCRIPT FLUSH</summary>
    public void Flush()
    {
        lock (_evaluated)
        {
            foreach (Script script in _scripts.Values) Remove(script);
            _evaluated.Clear();
        }
    }

    // Running

    public bool IsBusyWithFunction
    {
        get
        {
            lock (_busy) return _busy.Count != 0 && _busy[0].IsFunction;
        }
    }

    /// <summary>A script has run for longer than busy-reply-threshold.</summary>
    public void Busy(ScriptRun run)
    {
        lock (_busy)
        {
            _busy.Add(run);
            _store.BeginBusy(run.Hold);
        }
    }

    /// <summary>Such a script has ended.</summary>
    public void NoLongerBusy(ScriptRun run)
    {
        lock (_busy)
        {
            _busy.Remove(run);
            if (_busy.Count != 0) return;
            _store.EndBusy();
        }
    }

    /// <summary>SCRIPT KILL and FUNCTION KILL; null if a script will end, or else the error.</summary>
    public string? Kill(bool isFunction)
    {
        lock (_busy)
        {
            if (_busy.Count == 0) return "NOTBUSY No scripts in execution right now.";
            if (_busy.All(static run => run.HasWritten))
            {
                return "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script "
                    + "termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
            }
            bool any = false;
            foreach (ScriptRun run in _busy)
            {
                if (run.IsFunction == isFunction) any |= run.TryKill();
            }
            return any ? null : Errors.Busy(isFunction: !isFunction);
        }
    }

    /// <summary>The script that has been running the longest of those that are busy; null if there is none.</summary>
    public ScriptRun? Running
    {
        get
        {
            lock (_busy) return _busy.Count == 0 ? null : _busy[0];
        }
    }

    public void Dispose()
    {
        IsStopping = true;
        foreach (ScriptThread thread in Threads)
        {
            if (!thread.Run.IsRunning) thread.Dispose();
        }
    }
}
