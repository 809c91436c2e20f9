using System.Diagnostics;
using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>Running requests: look the command up, check that it may run, run it inside its gates, count it.</summary>
public sealed partial class ClientConnection
{
    private static ReadOnlySpan<byte> SlotNotServed => "CLUSTERDOWN Hash slot not served"u8;

    /// <summary>Whether the client may run more than AUTH and HELLO.</summary>
    public bool IsAuthenticated { get; set; }

    /// <summary>CLIENT REPLY.</summary>
    public ReplyMode ReplyMode { get; set; }

    /// <summary>
    /// Runs the complete requests at the start of <paramref name="bytes"/> and returns how many bytes they took. It stops early if one must be
    /// waited for: then <paramref name="wait"/> is to be awaited, with no gate held, before the rest (that request again, perhaps).
    /// </summary>
    private int Drain(ReadOnlySpan<byte> bytes, out Func<Task>? wait)
    {
        wait = null;
        if (bytes.IsEmpty) return 0;
        SiloGate siloGate = _server.Store.SiloGate;
        if (!siloGate.TryEnterShared(out int stripe))
        {
            wait = siloGate.WhenShared;
            return 0;
        }
        int used = 0;
        try
        {
            var call = new CommandContext(_server.Store, this, _reply) { NowMs = _server.Store.Clock.NowMs };
            LastUsedMs = call.NowMs;
            _requests.LargestBulk = _server.Options.ProtoMaxBulkLength;
            while (wait is null && !CloseAfterReply && !_killed)
            {
                ReadOutcome outcome = ReadAhead(bytes, used, out int count);
                int run = RunAhead(ref call, bytes, count, ref wait);
                for (int i = 0; i < run; i++) used += t_ahead![i].Kept.Length;
                _requests.Release(startAnew: run < count || wait is not null || CloseAfterReply);
                if (outcome == ReadOutcome.Request || run < count || wait is not null || CloseAfterReply) continue;
                if (outcome == ReadOutcome.Incomplete) break;
                RefuseMalformed();
                return bytes.Length;
            }
        }
        finally
        {
            siloGate.ExitShared(stripe);
        }
        return used;
    }

    /// <summary>A request read ahead of those before it in the pipeline.</summary>
    private struct Ahead
    {
        public KeptRequest Kept;
        public CommandInfo? Command;
    }

    [ThreadStatic]
    private static Ahead[]? t_ahead;

    /// <summary>Reads the next requests of a pipeline, as many as are worth foreseeing together, without running them.</summary>
    private ReadOutcome ReadAhead(ReadOnlySpan<byte> bytes, int from, out int count)
    {
        Ahead[] ahead = t_ahead ??= new Ahead[Store.MostForeseen];
        count = 0;
        ReadOutcome outcome;
        _requests.Unauthenticated = !IsAuthenticated;
        do
        {
            outcome = _requests.Read(bytes[from..]);
            if (outcome != ReadOutcome.Request) return outcome;
            ahead[count++].Kept = _requests.Keep(from);
            from += _requests.Consumed;
        }
        while (count < ahead.Length && from < bytes.Length && IsAuthenticated && !_requests.IsInline && bytes[from] == '*');
        return outcome;
    }

    /// <summary>Runs the requests read ahead; returns how many were taken.</summary>
    [System.Runtime.CompilerServices.SkipLocalsInit]
    private int RunAhead(ref CommandContext call, ReadOnlySpan<byte> bytes, int count, ref Func<Task>? wait)
    {
        Span<Ahead> ahead = t_ahead.AsSpan(0, count);
        Span<ForeseenKey> keys = stackalloc ForeseenKey[Store.MostForeseen];
        for (int i = 0; i < count; i++)
        {
            Request request = _requests.Request(ahead[i].Kept, bytes);
            ahead[i].Command = request.Count == 0 ? null : _server.Commands.Resolve(request);
            keys[i] = count > 1 ? Store.Foresee(ahead[i].Command, request) : new() { Slot = -1 };
        }
        if (count > 1) _server.Store.Foresee(keys[..count], Database);
        _waitsFor = _server.Store.Durability is { RepliesWait: true } log ? log : null;
        CommandStatistics.Stripe statistics = _statistics;
        long ticks = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            call.Request = _requests.Request(ahead[i].Kept, bytes);
            if (call.Count == 0) continue; // an empty line
            call.SlotHint = keys[i].Slot;
            if (!Run(ref call, ahead[i].Command, statistics, ref ticks, ref wait)) return i; // not taken; it will be read again
            if (_reply.Length > ChunkBytes) Send();
            if (wait is not null || CloseAfterReply || _killed) return i + 1;
        }
        return count;
    }

    /// <summary>Runs one request. False if it was not run and must be tried again after the wait.</summary>
    private bool Run(ref CommandContext call, CommandInfo? command, CommandStatistics.Stripe statistics, ref long ticks, ref Func<Task>? wait)
    {
        int mark = _reply.Length;
        if (command is null || command.Method is null || !command.AcceptsCount(call.Count) || !IsAuthenticated)
        {
            if (!Admit(command, call.Request, statistics))
            {
                Transaction?.Poison();
                AfterReply(mark);
                return true;
            }
        }
        if (_server.Pause.IsOn && _server.Pause.Holds(command!, this, out Task over))
        {
            wait = After(over);
            return false;
        }
        if (_server.Store.RefusesForMemory(command!, this, _reply))
        {
            statistics.CountRejected(command!);
            AfterReply(mark);
            return true;
        }
        if (_server.Store.Restrictions != Restrictions.None && Restricted(command!, mark, statistics, ref wait) is { } isTaken) return isTaken;
        call.Command = command!;
        call.Continuation = null;
        LastCommand = command;
        if (Transaction is { IsOpen: true } transaction && transaction.TryQueue(command!, call.Request, _reply))
        {
            AfterReply(mark);
            return true;
        }
        if (_waitsFor is { } log) Rely(log, command);
        Attempt attempt;
        try
        {
            attempt = _server.Store.Execute(ref call);
        }
        catch (Exception e)
        {
            Fail(e, command!, mark);
            attempt = default;
        }
        switch (attempt.Outcome)
        {
            case Outcome.Done:
                long now = Stopwatch.GetTimestamp();
                statistics.CountCall(command!, now - ticks, _reply.Length > mark && _reply.Written[mark] == '-');
                ticks = now;
                if (call.Continuation is not null) wait = Continue(call.Continuation, isReplied: _reply.Length > mark);
                if (call.Continuation is null || _reply.Length > mark) AfterReply(mark);
                return true;
            case Outcome.NeedsExclusive:
                wait = RunExclusivelyLater(call.Request.ToOwned(), command!);
                return true;
            case Outcome.Long:
                wait = RunLongLater(call.Request.ToOwned(), command!);
                return true;
            case Outcome.SlotNotHere when attempt.Slot == _unreachableSlot:
                _unreachableSlot = -1;
                _reply.Error(SlotNotServed);
                AfterReply(mark);
                return true;
            default:
                wait = Retry(attempt);
                return false;
        }
    }

    /// <summary>Stops a command if something is wrong on this silo: null if it may run; true if it was refused, false if it must wait and be tried again.</summary>
    private bool? Restricted(CommandInfo command, int mark, CommandStatistics.Stripe statistics, ref Func<Task>? wait)
    {
        Store store = _server.Store;
        if ((store.Restrictions & Restrictions.Stopping) != 0)
        {
            CloseAfterReply = true; // as if the process were gone
            return true;
        }
        if (store.WaitsForLog(command, this))
        {
            wait = WhenRoomAsync;
            return false;
        }
        if (!store.RefusesForNow(command, this, _reply)) return null;
        statistics.CountRejected(command);
        AfterReply(mark);
        if (command.Name == "exec" && Transaction is { } transaction) wait = () => transaction.CloseAsync(store);
        return true;
    }

    // Methods of their own, so that the closures are made only when something must be waited for.
    private Func<Task> Continue(Func<RespWriter, Task> continuation, bool isReplied) => () => ContinueAsync(continuation, isReplied);

    private Func<Task> After(Task over) => () => HoldAsync(over);

    private Func<Task> RunExclusivelyLater(OwnedRequest request, CommandInfo command) => () => RunExclusivelyAsync(request, command);

    private Func<Task> RunLongLater(OwnedRequest request, CommandInfo command) => () => RunLongAsync(request, command);

    private Func<Task> Retry(Attempt attempt) => () =>
        attempt.Outcome == Outcome.Busy ? _server.Store.WhenFree(attempt) : BringAsync(attempt.Slot);

    /// <summary>What a reply is subject to once it is written: error counts and CLIENT REPLY.</summary>
    private void AfterReply(int mark)
    {
        if (_reply.Length > mark && _reply.Written[mark] == '-') _server.ErrorStatistics.Count(_reply.Written[mark..]);
        if (ReplyMode == ReplyMode.On) return;
        _reply.TruncateTo(mark);
        if (ReplyMode == ReplyMode.SkipNext) ReplyMode = ReplyMode.Skip;
        else if (ReplyMode == ReplyMode.Skip) ReplyMode = ReplyMode.On;
    }

    /// <summary>Whether a request may run that is not the usual case: an authenticated client's well-formed request for a known command.</summary>
    private bool Admit(CommandInfo? command, in Request request, CommandStatistics.Stripe statistics)
    {
        if (command is null)
        {
            _reply.Error(UnknownCommand(request));
            return false;
        }
        if (command.Method is null)
        {
            // A container: without a subcommand it is short of arguments, with an unknown one it says so.
            _reply.Error(request.Count < 2 ? Errors.WrongArity(command) : Errors.UnknownSubcommand(command.Name, request));
            statistics.CountRejected(command);
            return false;
        }
        if (!command.AcceptsCount(request.Count))
        {
            _reply.Error(Errors.WrongArity(command));
            statistics.CountRejected(command);
            return false;
        }
        if (IsAuthenticated || command.Is(CommandFlags.NoAuth)) return true;
        if (_server.Options.RequirePass.Length == 0)
        {
            IsAuthenticated = true;
            return true;
        }
        _reply.Error("NOAUTH Authentication required."u8);
        statistics.CountRejected(command);
        return false;
    }

    private static string UnknownCommand(in Request request)
    {
        var text = new StringBuilder("ERR unknown command '").Append(Errors.Quoted(request[0])).Append("', with args beginning with: ");
        int start = text.Length;
        for (int i = 1, room; i < request.Count && (room = 128 - (text.Length - start)) > 0; i++)
            text.Append('\'').Append(Errors.Quoted(request[i], room)).Append("' ");
        return text.ToString();
    }

    private void RefuseMalformed()
    {
        _reply.Error("ERR " + _requests.Error);
        _server.ErrorStatistics.Count("-ERR "u8);
        CloseAfterReply = true;
    }

    private void Fail(Exception e, CommandInfo command, int mark)
    {
        Log.CommandFailed(_server.Logger, e, command.Name, Id);
        _reply.TruncateTo(mark);
        _reply.Error($"ERR internal error in '{command.Name}': {e.Message}");
    }

    private async Task ContinueAsync(Func<RespWriter, Task> continuation, bool isReplied)
    {
        if (_server.Store.Durability is { RepliesWait: true } log) Rely(log, LastCommand);
        int mark = _reply.Length;
        // A client that goes away while it is blocked must not be given anything any more.
        using (Disconnected.UnsafeRegister(static client => ((ClientConnection)client!).Blocked?.TryEnd(BlockedEnd.Disconnected), this))
            await continuation(_reply).ConfigureAwait(false);
        if (isReplied) return;
        // The call was counted when it began to wait.
        if (_reply.Length > mark && _reply.Written[mark] == '-' && LastCommand is { } command) _server.CommandStatistics.Mine.CountFailure(command);
        AfterReply(mark);
    }

    /// <summary>Gets a slot to this silo. The command is tried again; if the slot still is not here, the client gets an error.</summary>
    private async Task BringAsync(int slot) =>
        _unreachableSlot = await _server.Router.EnsureHereAsync(slot, Disconnected).ConfigureAwait(false) ? -1 : slot;

    private int _unreachableSlot = -1;
}
