using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// The one way to run a command on this silo. A connection tries each of its commands on the spot, within the batch
/// that has come in, and leaves to <see cref="FinishAsync"/> any that cannot finish there. Every other caller has
/// RunAsync do the whole.
/// </summary>
public sealed class CommandRunner : IDisposable
{
    public CommandRunner(Store store, ISlotRouter router)
    {
        Store = store;
        Router = router;
        Observer = new(store);
        Pause = new(store);
        Admission = new(store, Pause, Observer);
        store.Observer = Observer;
        store.StatisticsReset += Observer.Reset;
    }

    public Store Store { get; }

    /// <summary>Knows where the slots are that are not here.</summary>
    public ISlotRouter Router { get; }

    /// <summary>Counts the commands run.</summary>
    public CommandObserver Observer { get; }

    /// <summary>CLIENT PAUSE.</summary>
    public ClientPause Pause { get; }

    /// <summary>What may stop a command before it runs.</summary>
    public Admission Admission { get; }

    /// <summary>
    /// Runs a request, waiting for whatever stands in its way, and for the log to be durable if replies wait for that.
    /// Fails if what the command did, or has seen, turns out to be lost: the reply must then never become known.
    /// </summary>
    public Task RunAsync(Session session, OwnedRequest request, RespWriter reply, CancellationToken cancellation = default) =>
        RunAsync(session, Store.Commands.Resolve(request.Request), request, reply, cancellation);

    private async Task RunAsync(Session session, CommandInfo? command, OwnedRequest request, RespWriter reply, CancellationToken cancellation)
    {
        IDurability? log = Store.Durability;
        long since = log?.Appended ?? 0, lifts = -1;
        int mark = reply.Length;
        if (Store.Lease is { IsHeld: false } lost)
        {
            Store.Restrict(Restrictions.WithoutLease);
            lifts = lost.Lifts;
        }
        await FinishAsync(session, command, request, former: null, reply, cancellation).ConfigureAwait(false);
        // Others may serve the slot by now, so that nobody may learn what it held, or that it has changed.
        if (Store.Lease is { IsHeld: false } over && over.Lifts != lifts) throw new IOException("This silo has lost its lease.");
        if (log is null || IsError(reply, mark)) return;
        if (!log.RepliesWait)
        {
            if (log.IsBehind) await ((ICommittingLog)log).WhenCommitted().ConfigureAwait(false);
        }
        else if (log.Appended is var position && log.Committed < position)
        {
            if (log is not ICommittingLog local || command!.Is(CommandFlags.Write))
            {
                await log.WhenCommitted(since, position).ConfigureAwait(false);
            }
            else if (!await local.TryWhenCommitted(position).ConfigureAwait(false))
            {
                reply.TruncateTo(mark);
                reply.Error(log.WriteError ?? Errors.LogFailed);
            }
        }
    }

    /// <summary>
    /// Runs one command for a caller without a connection (a grain call), and returns its reply as RESP3. If the call
    /// is over before the command could run, it never runs, and the reply is <see cref="Errors.CallIsOver"/>.
    /// </summary>
    /// <param name="database">The logical database.</param>
    /// <param name="arguments">The command and its arguments.</param>
    /// <param name="limit">After which time the call is over, however long the command itself would wait for a key;
    /// null for never.</param>
    /// <param name="user">As whom the caller has authenticated (<see cref="AclUsers.Authenticate"/>); null if it has
    /// not: then it is the default user, if everybody may be.</param>
    /// <param name="cancellation">Cancelled if the caller gives up.</param>
    public async Task<byte[]> RunAsync(
        int database, ReadOnlyMemory<byte>[] arguments, TimeSpan? limit = null, AclUser? user = null, CancellationToken cancellation = default)
    {
        var reply = new RespWriter { Resp3 = true, Overflow = static () => { } };
        if (arguments.Length == 0) reply.Error("ERR no command"u8);
        else if ((uint)database >= (uint)Store.Options.Databases) reply.Error("ERR DB index is out of range"u8);
        else await RunOneAsync(database, OwnedRequest.Of(arguments), reply, limit, user, cancellation).ConfigureAwait(false);
        if (reply.HasOverflowed)
        {
            reply.Clear();
            reply.Most = Array.MaxLength;
            reply.Error("ERR the reply is too large"u8);
        }
        return reply.Written.ToArray();
    }

    private async Task RunOneAsync(
        int database, OwnedRequest request, RespWriter reply, TimeSpan? limit, AclUser? user, CancellationToken cancellation)
    {
        CommandInfo? command = Store.Commands.Resolve(request.Request);
        using var call = new OneCall(Store.Clock.Time, limit, cancellation)
        {
            Database = database,
            User = user ?? Store.Acl.Default,
            IsAuthenticated = user is not null,
        };
        // A timer is only worth it for a command that may wait for a key. Any other is held to the limit by BeginTurn.
        CancellationToken over = command?.Is(CommandFlags.Blocking) == true ? call.Over : cancellation;
        try
        {
            await RunAsync(call, command, request, reply, over).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (call.IsOver && reply.Length == 0)
        {
            // It was over before the command ran.
        }
        // A command that was waiting for a key ends without a reply, too.
        if (reply.Length == 0) reply.Error(Errors.CallIsOver);
    }

    /// <summary>
    /// Takes a request to its end, and returns how it was finally admitted. No gate is held before or after.
    /// </summary>
    /// <param name="session">The session that wants it run.</param>
    /// <param name="command">The command it names; null if there is none by that name.</param>
    /// <param name="request">The request.</param>
    /// <param name="former">How a first attempt to run it ended; null if there was none.</param>
    /// <param name="reply">Where its reply goes.</param>
    /// <param name="cancellation">Cancelled when the client is gone: a command that waits for keys then stops
    /// waiting.</param>
    public async Task<Verdict> FinishAsync(
        Session session, CommandInfo? command, OwnedRequest request, Attempt? former, RespWriter reply, CancellationToken cancellation)
    {
        // How to make the next attempt: alone, on a thread of the pool, or, with Done, like any first one.
        Outcome way = Outcome.Done;
        Attempt attempt = former ?? default;
        while (true)
        {
            switch (attempt.Outcome)
            {
                case Outcome.Busy:
                    await Task.WhenAny(Store.WhenFree(attempt), Store.RefusesWhileBusy(command)).ConfigureAwait(false);
                    break;
                case Outcome.SlotNotHere:
                    SlotRoute route = await Router.ResolveAsync(attempt.Slot, cancellation).ConfigureAwait(false);
                    if (route.Place == SlotPlace.Here) break;
                    if (session.GoesElsewhere)
                    {
                        session.MissingSlot = attempt.Slot;
                        return Verdict.Elsewhere;
                    }
                    await RefuseForSlotAsync(session, command!, reply).ConfigureAwait(false);
                    return Verdict.Refused;
                case Outcome.EverySilo:
                    session.MissingSlot = -1;
                    return Verdict.Elsewhere;
                case Outcome.NeedsExclusive or Outcome.Long or Outcome.Guarded:
                    way = attempt.Outcome;
                    break;
            }
            Step step = await StepAsync(way, session, command, request, reply).ConfigureAwait(false);
            if (step.IsTooLate) way = Outcome.Done;
            if (step.Wait is not null) await step.Wait().ConfigureAwait(false);
            attempt = step.Attempt;
            if (step.Verdict == Verdict.Waits || attempt.Outcome != Outcome.Done) continue;
            if (step.Continuation is not null)
            {
                WaitingCall? waiting = step.IsReplied ? null : new(command!, request, step.Ticks);
                if (!await ContinueAsync(session, command!, step.Continuation, waiting, reply, cancellation).ConfigureAwait(false)) return Verdict.Elsewhere;
            }
            return step.Verdict;
        }
    }

    /// <summary>
    /// Awaits what a command has left to do. Its call has already been counted.
    /// </summary>
    /// <param name="session">The session that wants it run.</param>
    /// <param name="command">The command.</param>
    /// <param name="continuation">Its <see cref="CommandContext.Continuation"/>.</param>
    /// <param name="waiting">What is known of it so far; null if its reply has been written.</param>
    /// <param name="reply">Where its reply goes.</param>
    /// <param name="cancellation">Cancelled when the client is gone: a command that waits for keys then stops waiting,
    /// and must not be given anything.</param>
    /// <returns>False if it waited for keys that have left, and is to be taken elsewhere: <see cref="Session.Moved"/>.</returns>
    public async Task<bool> ContinueAsync(
        Session session, CommandInfo command, Func<RespWriter, Task> continuation, WaitingCall? waiting, RespWriter reply, CancellationToken cancellation)
    {
        session.BeforeAttempt(command);
        int mark = reply.Length;
        BlockedCommand? blocked = session.Blocked;
        long started = Stopwatch.GetTimestamp();
        using (cancellation.UnsafeRegister(static waiting => ((Session)waiting!).Blocked?.TryEnd(BlockedEnd.Disconnected), session))
            await continuation(reply).ConfigureAwait(false);
        if (waiting is { } call)
        {
            long ran = blocked?.RunTicks ?? Stopwatch.GetTimestamp() - started;
            Observer.Continued(session, call, ran, reply.WrittenSince(mark));
        }
        if (session.Moved is null) return true;
        session.MissingSlot = -1;
        return false;
    }

    /// <summary>
    /// Runs a command as part of another one, which has been admitted and is counted itself. False if a slot that it
    /// needs is not here.
    /// </summary>
    public async Task<bool> RunPartAsync(Session session, CommandInfo command, OwnedRequest request, RespWriter reply, CancellationToken cancellation)
    {
        while (true)
        {
            int stripe = await Store.SiloGate.EnterSharedAsync().ConfigureAwait(false);
            Attempt attempt;
            try
            {
                var call = new CommandContext(Store, session, reply)
                {
                    Command = command,
                    Request = request.Request,
                    NowMs = Store.Clock.NowMs,
                    MayBlock = false,
                    IsPart = true,
                };
                attempt = Store.Execute(ref call);
            }
            finally
            {
                Store.SiloGate.ExitShared(stripe);
            }
            switch (attempt.Outcome)
            {
                case Outcome.Done:
                    return true;
                case Outcome.Busy:
                    await Store.WhenFree(attempt).ConfigureAwait(false);
                    break;
                case Outcome.SlotNotHere:
                    SlotRoute route = await Router.ResolveAsync(attempt.Slot, cancellation).ConfigureAwait(false);
                    if (route.Place == SlotPlace.Here) break;
                    return false;
                default:
                    throw new InvalidOperationException($"'{command.Name}' cannot be a part of another command: {attempt.Outcome}.");
            }
        }
    }

    /// <summary>A command has thrown, which none should: the client gets an error, and the operator is told.</summary>
    public void Fail(Exception error, CommandInfo command, RespWriter reply, int mark)
    {
        Store.Log.Warning($"The command '{command.Name}' failed. Whoever sent it got an error; please report this. {error}");
        reply.TruncateTo(mark);
        reply.Error($"ERR internal error in '{command.Name}': {error.Message}");
    }

    public void Dispose()
    {
        Store.StatisticsReset -= Observer.Reset;
        Pause.Dispose();
        Observer.Dispose();
    }

    /// <summary>One attempt, inside the gate that this way of running takes.</summary>
    private async Task<Step> StepAsync(Outcome way, Session session, CommandInfo? command, OwnedRequest request, RespWriter reply)
    {
        SiloGate gate = Store.SiloGate;
        switch (way)
        {
            case Outcome.NeedsExclusive:
                if (!await gate.EnterExclusiveAsync(Store.RefusesWhileBusy(command)).ConfigureAwait(false)) return new(Verdict.Waits, IsTooLate: true);
                try
                {
                    return Try(way, session, command, request, reply);
                }
                finally
                {
                    gate.ExitExclusive();
                }
            case Outcome.Long or Outcome.Guarded:
                // Run apart, so that neither the I/O thread's other connections nor a grain's other calls wait for it.
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                if (!await gate.EnterLongAsync(Store.RefusesWhileBusy(command)).ConfigureAwait(false)) return new(Verdict.Waits, IsTooLate: true);
                try
                {
                    return Try(way, session, command, request, reply);
                }
                finally
                {
                    gate.ExitLong();
                }
            default:
                int stripe = await gate.EnterSharedAsync().ConfigureAwait(false);
                try
                {
                    return Try(way, session, command, request, reply);
                }
                finally
                {
                    gate.ExitShared(stripe);
                }
        }
    }

    private Step Try(Outcome way, Session session, CommandInfo? command, OwnedRequest request, RespWriter reply)
    {
        session.BeginTurn();
        try
        {
            Verdict verdict = Admission.Admit(command, request.Request, session, reply, out Func<Task>? wait);
            if (verdict == Verdict.Guarded && way is not (Outcome.Guarded or Outcome.NeedsExclusive)) return new(Verdict.Admitted, new(Outcome.Guarded));
            return verdict is Verdict.Admitted or Verdict.Guarded ? Execute(way, verdict, session, command!, request, reply) : new(verdict, Wait: wait);
        }
        finally
        {
            session.EndTurn();
        }
    }

    private Step Execute(Outcome way, Verdict verdict, Session session, CommandInfo command, OwnedRequest request, RespWriter reply)
    {
        session.BeforeAttempt(command);
        int mark = reply.Length;
        long started = Stopwatch.GetTimestamp();
        var call = new CommandContext(Store, session, reply) { Command = command, Request = request.Request, NowMs = Store.Clock.NowMs };
        Attempt attempt = default;
        ClusterVerdict where = default;
        if (verdict == Verdict.Guarded && way == Outcome.NeedsExclusive) where = Store.Cluster!.JudgeByKeys(command, request.Request, session);
        try
        {
            attempt = way switch
            {
                _ when where.IsRefused => default,
                Outcome.NeedsExclusive => Store.ExecuteExclusively(ref call),
                Outcome.Long => Store.ExecuteLong(ref call),
                Outcome.Guarded => Store.ExecuteGuarded(ref call, out where),
                _ => Store.Execute(ref call),
            };
        }
        catch (Exception e)
        {
            Fail(e, command, reply, mark);
        }
        if (where.IsRefused)
        {
            Func<Task>? wait = null;
            return new(Admission.RefuseElsewhere(command, session, where, reply, ref wait), Wait: wait);
        }
        if (attempt.Outcome != Outcome.Done) return new(Verdict.Admitted, attempt);
        long ticks = Stopwatch.GetTimestamp() - started;
        bool isReplied = call.Continuation is null || reply.Length > mark;
        Observer.Ran(call, ticks, reply.WrittenSince(mark), isReplied);
        return new(Verdict.Admitted, attempt, Continuation: call.Continuation, IsReplied: isReplied, Ticks: ticks);
    }

    /// <summary>A key's slot cannot be reached. This spoils a transaction, or ends it if the command is EXEC.</summary>
    private Task RefuseForSlotAsync(Session session, CommandInfo command, RespWriter reply) =>
        RefuseAsync(session, command, Errors.SlotNotServed.ToArray(), reply);

    /// <summary>
    /// Replies with an error to a command that has been admitted and cannot run. This ends a transaction if the command is
    /// EXEC.
    /// </summary>
    public async Task RefuseAsync(Session session, CommandInfo command, byte[] error, RespWriter reply)
    {
        int mark = reply.Length;
        reply.Error(error);
        Observer.Refused(command, reply.WrittenSince(mark));
        if (session.Transaction is { } transaction && command.Is(CommandFlags.RunsQueue)) await transaction.CloseAsync(Store).ConfigureAwait(false);
    }

    private static bool IsError(RespWriter reply, int mark) => reply.Length > mark && reply.Written[mark] == '-';

    /// <summary>The result of one attempt. If it is too late, the command is refused by the next one.</summary>
    private readonly record struct Step(
        Verdict Verdict, Attempt Attempt = default, Func<Task>? Wait = null, Func<RespWriter, Task>? Continuation = null, bool IsReplied = true,
        bool IsTooLate = false, long Ticks = 0);
}
