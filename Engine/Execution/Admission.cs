using System.Runtime.CompilerServices;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>What happens to a request before it runs.</summary>
public enum Verdict : byte
{
    /// <summary>It may run now.</summary>
    Admitted,

    /// <summary>It is refused; the error is in the reply, and counted.</summary>
    Refused,

    /// <summary>It came between MULTI and EXEC and is queued; the reply says so.</summary>
    Queued,

    /// <summary>It must wait, and asks for admission again afterwards.</summary>
    Waits,

    /// <summary>
    /// Its slot is on its way to another node of Redis Cluster or from one. It may run if its keys are here, which is to be
    /// found out under the slot's gate, before it runs: <see cref="Outcome.Guarded"/>.
    /// </summary>
    Guarded,

    /// <summary>The server is about to stop: there is no reply, and the connection is closed.</summary>
    Closed,

    /// <summary>
    /// A slot that it needs is not here, and nothing has happened: whoever asked for it takes it to another silo
    /// (<see cref="Session.GoesElsewhere"/>). There is no reply.
    /// </summary>
    Elsewhere,
}

/// <summary>
/// Everything that may stop a command before it runs, in one list, for every way of running one. The caller holds the
/// silo gate and no slot's gate.
/// </summary>
public sealed class Admission(Store store, ClientPause pause, CommandObserver observer)
{
    /// <summary>The flags of commands that run scripts, which a script that does not write does without.</summary>
    private const CommandFlags Writing = CommandFlags.Write | CommandFlags.MayReplicate;

    // Who calls a grain, until it is known who that is.
    private readonly Session _caller = new() { User = store.Acl.Default, IsAuthenticated = false, IsOneCall = true };

    /// <summary>
    /// Whether nothing stands in a request's way: the usual case, and cheap to check. If this is false,
    /// <see cref="Admit"/> decides. Only for a client's connection.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsOpenTo(CommandInfo? command, in CommandContext call, Session session) =>
        command is { Method: not null } && command.AcceptsCount(call.Count)
        && (store.Restrictions == Restrictions.None || IsPlainInCluster(command, call)) && (store.Options.MaxMemory == 0 || !store.Eviction.IsOver)
        && session.Transaction is not { IsOpen: true } && !session.IsInPubSub
        && (session.IsUnrestricted || IsPermitted(command, call, session));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool IsPlainInCluster(CommandInfo command, in CommandContext call) =>
        store.Restrictions == Restrictions.Clustered && store.Cluster!.IsPlain(command, call);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool IsPermitted(CommandInfo command, in CommandContext call, Session session) =>
        session.IsVouchedFor || (session.IsAuthenticated && session.User.Rules.Check(command, call.Request).IsAllowed);

    /// <summary>Decides what happens to a request.</summary>
    /// <param name="command">The command it names; null if there is none by that name.</param>
    /// <param name="request">The request.</param>
    /// <param name="session">The session that wants it run.</param>
    /// <param name="reply">Where an error goes, or "QUEUED".</param>
    /// <param name="wait">If not null, to be awaited with no gate held: before the request asks for admission again, or
    /// else before the session's next request.</param>
    public Verdict Admit(CommandInfo? command, in Request request, Session session, RespWriter reply, out Func<Task>? wait)
    {
        wait = null;
        if (Unfit(command, request) is { } unfit) return Refuse(command, session, unfit, reply, ref wait);
        if (!IsAuthenticated(command!, session)) return Refuse(command, session, Errors.NotAuthenticated, reply, ref wait);
        Transaction? transaction = session.Transaction is { IsOpen: true } open ? open : null;
        if (transaction is not null && command!.Is(CommandFlags.NoMulti))
            return Refuse(command, session, "ERR Command not allowed inside a transaction", reply, ref wait);
        if (!session.IsVouchedFor
            && store.Acl.Denies(session, command!, request, transaction is null ? AclContext.Toplevel : AclContext.Multi, out AclVerdict verdict))
            return Refuse(command, session, $"NOPERM {verdict.Message(session.User.Name, command!)}", reply, ref wait);
        if (session.IsOneCall && IsAboutSession(command!)) return Refuse(command, session, $"ERR '{command!.Name}' needs a connection", reply, ref wait);
        Restrictions restrictions = store.Restrictions;
        ClusterVerdict where = default;
        if ((restrictions & Restrictions.Clustered) != 0 && !session.IsOneCall)
        {
            where = store.Cluster!.Judge(command!, request, session);
            if (where.IsRefused) return RefuseElsewhere(command!, session, where, reply, ref wait);
        }
        if ((restrictions & Restrictions.Stopping) != 0)
            return session.IsOneCall ? Refuse(command, session, "ERR Server is shutting down", reply, ref wait) : Verdict.Closed;
        // A script may take long while a log with it is loaded; that there is loading comes first.
        if ((restrictions & Restrictions.Busy) != 0 && !command!.Is(CommandFlags.AllowBusy) && !WaitsForData(restrictions, command, session))
            return Refuse(command, session, Errors.Busy(store.Scripts is { IsBusyWithFunction: true }), reply, ref wait);
        if ((restrictions & Restrictions.Paused) != 0 && pause.Holds(command!, session, IsReadOnlyScript(command!, request), out Task over))
        {
            wait = AfterPause(session, over);
            return Verdict.Waits;
        }
        if (store.Eviction.Refuses(command!, session))
            return Refuse(command, session, "OOM command not allowed when used memory > 'maxmemory'.", reply, ref wait);
        if ((restrictions & Restrictions.LogIsFull) != 0 && (session.FlagsOf(command!) & CommandFlags.Write) != 0)
        {
            wait = AfterRoom(session);
            return Verdict.Waits;
        }
        if (session.IsInPubSub && !command!.Is(CommandFlags.AllowedInPubSub))
            return Refuse(command, session, Errors.InPubSub(command.Name), reply, ref wait);
        if (Restricted(restrictions, command!, session) is { } restricted) return Refuse(command, session, restricted, reply, ref wait);
        if (transaction is null || command!.Is(CommandFlags.NotQueued)) return where.DependsOnKeys ? Verdict.Guarded : Verdict.Admitted;
        transaction.Enqueue(command!, request, IsReadOnlyScript(command!, request) ? command!.Flags & ~Writing : command!.Flags);
        reply.SimpleString("QUEUED"u8);
        return Verdict.Queued;
    }

    // Methods of their own, so that Admit makes no closure: where memory is full, it decides about every write.

    private Func<Task> AfterPause(Session session, Task over) => () => session.HoldAsync(pause, over);

    private Func<Task> AfterRoom(Session session) => () => session.WaitForRoomAsync(store.Durability?.WhenRoom() ?? Task.CompletedTask);

    /// <summary>
    /// The user that a grain call is made as; null if it is refused, whatever it wants. A grain call is a session of its
    /// own, so it brings its user and password along.
    /// </summary>
    /// <param name="name">The user's name; null if it brings none.</param>
    /// <param name="password">The user's password.</param>
    /// <param name="origin">Where the call comes from, as <see cref="Session.Origin"/> has it.</param>
    /// <param name="error">Why it is refused.</param>
    public AclUser? CallerOf(byte[]? name, byte[]? password, string origin, out string error)
    {
        AclUser? user;
        if (name is not null)
        {
            user = store.Acl.AuthenticateFrom(origin, name, password, _caller, "grain call"u8, out error);
        }
        else
        {
            user = store.Acl.IsOpen ? store.Acl.Default : null;
            error = Errors.NotAuthenticated;
        }
        if (user is null) observer.Refused(null, Encoding.ASCII.GetBytes($"-{error}\r\n"));
        return user;
    }

    /// <summary>Why a request can never run as it is; null if it can.</summary>
    private static string? Unfit(CommandInfo? command, in Request request)
    {
        if (command is null) return UnknownCommand(request);
        // A container: with no subcommand it lacks arguments; with an unknown one the error says so.
        if (command.Method is null) return request.Count < 2 ? Errors.WrongArity(command) : Errors.UnknownSubcommand(command.Name, request);
        return command.AcceptsCount(request.Count) ? null : Errors.WrongArity(command);
    }

    /// <summary>Whether a command makes sense only where others precede or follow it.</summary>
    private static bool IsAboutSession(CommandInfo command) =>
        command.Is(CommandFlags.NeedsConnection) || (command.Categories & (Category.Connection | Category.Transaction)) != 0;

    /// <summary>Whether a request runs a script that says that it does not write.</summary>
    private bool IsReadOnlyScript(CommandInfo command, in Request request) =>
        command.Is(CommandFlags.RunsScript) && store.Scripts?.Find(command, request) is { IsReadOnly: true };

    private static string UnknownCommand(in Request request)
    {
        var text = new StringBuilder("ERR unknown command '").Append(Errors.Quoted(request[0])).Append("', with args beginning with: ");
        int start = text.Length;
        for (int i = 1, room; i < request.Count && (room = 128 - (text.Length - start)) > 0; i++)
            text.Append('\'').Append(Errors.Quoted(request[i], room)).Append("' ");
        return text.ToString();
    }

    private bool IsAuthenticated(CommandInfo command, Session session) =>
        session.IsAuthenticated || session.IsVouchedFor || command.Is(CommandFlags.NoAuth) || store.Acl.IsOpen;

    /// <summary>Why a command is refused while something is wrong on this silo; null if it is not refused.</summary>
    private string? Restricted(Restrictions restrictions, CommandInfo command, Session session)
    {
        if (restrictions == Restrictions.None) return null;
        bool mayWrite = (session.FlagsOf(command) & CommandFlags.Write) != 0;
        if (mayWrite || command.Name == "ping")
        {
            if ((restrictions & Restrictions.SnapshotFails) != 0) return Errors.SnapshotFails;
            if ((restrictions & Restrictions.LogFails) != 0 && store.Durability?.WriteError is { } writeError) return writeError;
            if (mayWrite && (restrictions & Restrictions.TooFewReplicas) != 0) return Errors.TooFewReplicas;
        }
        if ((restrictions & Restrictions.LogFails) != 0 && session.ConcernsData(command)
            && store.Durability is { RefusesReads: true, WriteError: { } readError }) return readError;
        if ((restrictions & Restrictions.Unassigned) != 0 && session.ConcernsData(command)) return Errors.Unassigned;
        if ((restrictions & Restrictions.WithoutLease) != 0 && session.ConcernsData(command)) return Errors.WithoutLease;
        return WaitsForData(restrictions, command, session) ? Errors.Loading : null;
    }

    /// <summary>Whether a command cannot run because the data are being loaded.</summary>
    private static bool WaitsForData(Restrictions restrictions, CommandInfo command, Session session) =>
        (restrictions & Restrictions.Loading) != 0 && !session.HasThroughout(command, CommandFlags.Loading);

    /// <summary>
    /// Replies where in Redis Cluster a request belongs, or why nowhere. It spoils an open transaction, or ends it if the
    /// command is EXEC.
    /// </summary>
    internal Verdict RefuseElsewhere(CommandInfo command, Session session, in ClusterVerdict where, RespWriter reply, ref Func<Task>? wait)
    {
        int mark = reply.Length;
        reply.Error(store.Cluster!.Error(where, session));
        if (!command.Is(CommandFlags.RunsQueue)) session.Transaction?.Poison();
        else if (session.Transaction is { } transaction) wait = () => transaction.CloseAsync(store);
        observer.Refused(command, reply.WrittenSince(mark));
        return Verdict.Refused;
    }

    /// <summary>Replies with an error. It spoils an open transaction, or ends it if the command is EXEC.</summary>
    private Verdict Refuse(CommandInfo? command, Session session, string error, RespWriter reply, ref Func<Task>? wait)
    {
        int mark = reply.Length;
        if (command?.Is(CommandFlags.RunsQueue) == true)
        {
            string reason = error.StartsWith("ERR ", StringComparison.Ordinal) ? error[4..] : error;
            reply.Error($"EXECABORT Transaction discarded because of: {reason}");
            if (session.Transaction is { } transaction) wait = () => transaction.CloseAsync(store);
        }
        else
        {
            session.Transaction?.Poison();
            reply.Error(error);
        }
        observer.Refused(command, reply.WrittenSince(mark));
        return Verdict.Refused;
    }
}
