using System.Diagnostics;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Running requests on the spot: look the command up, check that it may run, run it inside its gates, count it.
/// </summary>
public sealed partial class ClientConnection
{
    /// <summary>CLIENT REPLY.</summary>
    public ReplyMode ReplyMode { get; set; }

    /// <summary>
    /// Runs the complete requests at the start of <paramref name="bytes"/> and returns how many bytes they took. It
    /// stops early at a request that has to wait: the caller then awaits <paramref name="wait"/>, holding no gate,
    /// before it runs the rest.
    /// </summary>
    private int Drain(ReadOnlySpan<byte> bytes, out Func<Task>? wait)
    {
        wait = null;
        if (bytes.IsEmpty) return 0;
        if (Debugged is not null) return DrainForDebugger(bytes, Debugged, out wait);
        SiloGate siloGate = _server.Store.SiloGate;
        if (!siloGate.TryEnterShared(out int stripe))
        {
            wait = siloGate.WhenShared;
            return 0;
        }
        int used = 0;
        if (_server.Store.Lease is { } lease) LookAt(lease);
        PushWakes.Hold(gathersMessages: Subscriptions is null);
        try
        {
            var call = new CommandContext(_server.Store, this, _reply) { NowMs = _server.Store.Clock.NowMs };
            LastUsedMs = call.NowMs;
            _reply.Most = MostReplyBytes;
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
                used = bytes.Length;
                break;
            }
        }
        finally
        {
            siloGate.ExitShared(stripe);
            PushWakes.LetGo();
        }
        if (_remote is not null) wait = SendRemote(_remote, wait);
        return used;
    }

    /// <summary>
    /// So many arguments are enough to look ahead at. A reader that never has more keeps the room for them from one time
    /// to the next.
    /// </summary>
    private const int MostArgumentsAhead = 1024;

    /// <summary>A request read ahead of those before it in the pipeline.</summary>
    private struct Ahead
    {
        public KeptRequest Kept;
        public CommandInfo? Command;
    }

    [ThreadStatic]
    private static Ahead[]? t_ahead;

    /// <summary>
    /// Reads the next requests of a pipeline without running them, as many as are worth foreseeing together.
    /// </summary>
    private ReadOutcome ReadAhead(ReadOnlySpan<byte> bytes, int from, out int count)
    {
        Ahead[] ahead = t_ahead ??= new Ahead[Store.MostForeseen];
        count = 0;
        ReadOutcome outcome;
        _requests.Unauthenticated = !IsAuthenticated && !_server.Store.Acl.IsOpen;
        do
        {
            outcome = _requests.Read(bytes[from..]);
            if (outcome != ReadOutcome.Request) return outcome;
            ahead[count++].Kept = _requests.Keep(from);
            from += _requests.Consumed;
        }
        while (count < ahead.Length && from < bytes.Length && _requests.KeptArguments < MostArgumentsAhead
            && IsAuthenticated && !_requests.IsInline && bytes[from] == '*');
        return outcome;
    }

    /// <summary>Runs the requests read ahead. Returns how many it ran or started.</summary>
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
            if (_remote is null) Run(ref call, ahead[i].Command, statistics, ref ticks, ref wait);
            else if (!TryRunBeside(_remote, ref call, ahead[i].Command, statistics, ref ticks, ref wait))
            {
                wait = s_nothing;
                return i;
            }
            // With a limit, the replies to all that came in together count against it, as in Redis.
            if (_reply.Length > ChunkBytes && _reply.Most == Array.MaxLength && _remote is null) Send();
            if (wait is not null || CloseAfterReply || _killed) return i + 1;
        }
        return count;
    }

    /// <summary>
    /// Runs one request, or arranges for it to be run: then the caller must await <paramref name="wait"/>.
    /// </summary>
    private void Run(ref CommandContext call, CommandInfo? command, CommandStatistics.Stripe statistics, ref long ticks, ref Func<Task>? wait)
    {
        CommandRunner runner = _server.Runner;
        LastCommand = command;
        if (!runner.Admission.IsOpenTo(command, call, this) && !Admit(command, call.Request, ref wait)) return;
        if (_pushes is { IsEmpty: false }) TakePushes();
        int mark = _reply.Length;
        call.Command = command!;
        call.Continuation = null;
        if (_waitsFor is { } log) Rely(log, command);
        Attempt attempt = default;
        try
        {
            attempt = _server.Store.Execute(ref call);
        }
        catch (Exception e)
        {
            runner.Fail(e, command!, _reply, mark);
        }
        if (attempt.Outcome != Outcome.Done)
        {
            if (attempt.Outcome == Outcome.SlotNotHere && TryPassOn(command!, call.Request, attempt.Slot)) return;
            wait = Finish(call.Request.ToOwned(), command, attempt);
            return;
        }
        long now = Stopwatch.GetTimestamp();
        bool isReplied = call.Continuation is null || _reply.Length > mark;
        runner.Observer.Ran(statistics, call, now - ticks, _reply.WrittenSince(mark), isReplied);
        if (call.Continuation is null) CommandsRun++;
        else wait = Continue(command!, call.Continuation, isReplied ? null : new(command!, call.Request.ToOwned(), now - ticks));
        ticks = now;
        if (_waitsFor is not null && call.Continuation is null) CountRead(command!, mark);
        if (isReplied) AfterReply(mark);
    }

    /// <summary>Decides whether a request outside the usual case may run. False if it may not, or not now.</summary>
    private bool Admit(CommandInfo? command, in Request request, ref Func<Task>? wait)
    {
        if (command is null && (request[0].Is("POST"u8) || request[0].Is("HOST:"u8)))
        {
            // Lines of an HTTP request, which a web page can have a browser send here: what follows must not run.
            _server.TellOfAttack(this);
            Kill();
            return false;
        }
        if (Asking != Asking.No) Asked();
        int mark = _reply.Length;
        Verdict verdict = _server.Runner.Admission.Admit(command, request, this, _reply, out Func<Task>? before);
        switch (verdict)
        {
            case Verdict.Admitted:
                return true;
            case Verdict.Waits:
                wait = Finish(request.ToOwned(), command, former: null);
                return false;
            case Verdict.Guarded:
                wait = Finish(request.ToOwned(), command, new Attempt(Outcome.Guarded));
                return false;
            case Verdict.Closed:
                CloseAfterReply = true;
                return false;
            default:
                wait = before;
                AfterReply(mark);
                return false;
        }
    }

    /// <summary>ASKING holds for the next command, or from MULTI to EXEC.</summary>
    private void Asked()
    {
        if (Transaction is { IsOpen: true }) return;
        Asking = Asking == Asking.ForNext ? Asking.ForThis : Asking.No;
    }

    // Separate methods, so that a closure is allocated only when something has to wait.
    private Func<Task> Continue(CommandInfo command, Func<RespWriter, Task> continuation, WaitingCall? waiting) =>
        () => ContinueAsync(command, continuation, waiting);

    private Func<Task> Finish(OwnedRequest request, CommandInfo? command, Attempt? former) =>
        () => FinishAsync(request, command, former);

    /// <summary>Applies CLIENT REPLY to a reply that was just written.</summary>
    private void AfterReply(int mark)
    {
        if (ReplyMode == ReplyMode.On) return;
        if (ReplyMode is not (ReplyMode.OffAfterThis or ReplyMode.SkipAfterThis)) _reply.TruncateTo(mark);
        ReplyMode = ReplyMode switch
        {
            ReplyMode.SkipNext or ReplyMode.SkipAfterThis => ReplyMode.Skip,
            ReplyMode.Skip => ReplyMode.On,
            _ => ReplyMode.Off,
        };
    }

    private void RefuseMalformed()
    {
        _reply.Error("ERR " + _requests.Error);
        _server.ErrorStatistics.Count("-ERR "u8);
        CloseAfterReply = true;
    }
}
