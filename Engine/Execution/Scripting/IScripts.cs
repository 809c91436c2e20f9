namespace OrleansRedis.Engine;

/// <summary>The scripts of a silo, as far as the running of commands must know of them.</summary>
public interface IScripts : IDisposable
{
    /// <summary>
    /// What is known of the script that a request is to run; null if there is no such script, which the command itself
    /// will report.
    /// </summary>
    ICallable? Find(CommandInfo command, in Request request);

    /// <summary>The text of the loaded script with this SHA-1 in hexadecimal; null if there is none.</summary>
    byte[]? BodyOf(ReadOnlySpan<byte> digest);

    /// <summary>The calling thread will run no more of them: what it has needed for that may serve another one.</summary>
    void Leave();

    /// <summary>What INFO says about them.</summary>
    ScriptStatistics Statistics { get; }

    /// <summary>Whether a script runs that has run for longer than busy-reply-threshold, and is a function.</summary>
    bool IsBusyWithFunction { get; }
}

/// <summary>What INFO says about scripts.</summary>
/// <param name="Scripts">How many scripts are in the cache.</param>
/// <param name="ScriptBytes">How long they are together.</param>
/// <param name="Functions">How many functions there are.</param>
/// <param name="Libraries">In how many libraries.</param>
/// <param name="LibraryBytes">How long these are together.</param>
/// <param name="StateBytes">What the Lua states of all threads take.</param>
/// <param name="Evicted">How many scripts have been evicted from the cache.</param>
public readonly record struct ScriptStatistics(
    int Scripts, long ScriptBytes, int Functions, int Libraries, long LibraryBytes, long StateBytes, long Evicted);

/// <summary>A script or a function.</summary>
public interface ICallable
{
    /// <summary>What is known about its gates.</summary>
    ScriptTraits Traits { get; }

    /// <summary>Whether it says that it does not write.</summary>
    bool IsReadOnly { get; }
}

/// <summary>
/// What earlier runs of a script have shown about how to begin the next one. These are hints: a run that turns out to
/// need more begins anew. Threads may write them at once.
/// </summary>
public sealed class ScriptTraits
{
    /// <summary>It has run once, so that the other hints mean something.</summary>
    public bool HasRun { get; set; }

    /// <summary>It reaches keys that it has not declared.</summary>
    public bool Reaches { get; set; }

    /// <summary>It calls commands that need the whole silo.</summary>
    public bool RunsAlone { get; set; }

    /// <summary>The last run took too long for an I/O thread.</summary>
    public bool IsSlow { get; set; }

    /// <summary>Whether it is to roam from the beginning. One that has not run yet roams, so its gates cannot make it
    /// fail.</summary>
    public bool Roams => Reaches || !HasRun;
}

/// <summary>
/// A script's hold on the data while it runs: which gates its commands find held, and what they have done so far.
/// </summary>
public abstract class ScriptScope
{
    /// <summary>Where it runs.</summary>
    public Store Store { get; private set; } = null!;

    /// <summary>On whose behalf.</summary>
    public Session Session { get; private set; } = null!;

    /// <summary>The time, which stands still for a script.</summary>
    public long NowMs { get; private set; }

    /// <summary>Which gates are held.</summary>
    public Hold Hold { get; private set; }

    /// <summary>Whether it has a thread of its own to run on, as long commands have, and does not hold the silo gate.</summary>
    public bool IsAside { get; private set; }

    /// <summary>What it has changed, as Redis counts.</summary>
    public long Changes { get; internal set; }

    /// <summary>Whether a command that may write has been called, so that the script cannot begin anew.</summary>
    public bool HasWritten { get; protected set; }

    /// <summary>
    /// Whether what its commands do is logged; redis.set_repl says otherwise. Then it is lost with the process, and is not
    /// in any other one.
    /// </summary>
    public bool IsLogged { get; protected set; } = true;

    /// <summary>Whether it has been ended in the middle because the server ends.</summary>
    public bool IsBrokenOff { get; protected set; }

    /// <summary>
    /// Why the script must begin anew: <see cref="Outcome.Busy"/> for roaming, <see cref="Outcome.NeedsExclusive"/> for
    /// running alone, <see cref="Outcome.SlotNotHere"/>; <see cref="Outcome.Done"/> if it need not.
    /// </summary>
    public Outcome Restart { get; protected set; }

    /// <summary>The slot that is not here.</summary>
    public int MissingSlot { get; protected set; } = -1;

    /// <summary>Begins a run inside the gates of a command.</summary>
    protected void Begin(in CommandContext call)
    {
        (Store, Session, NowMs, Hold, IsAside) = (call.Store, call.Session, call.NowMs, call.Hold, call.IsPatient);
        Changes = 0;
        HasWritten = IsBrokenOff = false;
        IsLogged = true;
        Restart = Outcome.Done;
        MissingSlot = -1;
    }
}
