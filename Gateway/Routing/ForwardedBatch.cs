using System.Diagnostics;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Requests that another silo has brought for one of its clients. They run on the spot, on the bus's thread, as a
/// connection runs its own; from the first one on that cannot, the rest is run on the pool, still in order. The answer
/// to all of them leaves when the last one is done, and what they did is as durable as replies to clients must be.
/// </summary>
internal sealed class ForwardedBatch
{
    private readonly ForwardedRequests _owner;
    private readonly SiloId _from;
    private readonly long _number;
    private readonly ForwardedSession _session;
    private readonly Note[] _notes;
    private readonly RespWriter _reply;
    private readonly IDurability? _log;
    private readonly long _since;
    private List<int>? _refused;    // slots that are not here: what follows for them must not run either, though they may come
    private int _done;

    [ThreadStatic]
    private static RequestReader? t_reader;

    [ThreadStatic]
    private static Ahead[]? t_ahead;

    [ThreadStatic]
    private static RespWriter? t_spare; // its buffer is worth more than the rest of a batch

    public ForwardedBatch(ForwardedRequests owner, SiloId from, long number, ForwardedSession session, int count)
    {
        _owner = owner;
        _from = from;
        _number = number;
        _session = session;
        _notes = new Note[count];
        _reply = t_spare ?? new();
        t_spare = null;
        _reply.Resp3 = session.IsResp3;
        _log = Store.Durability;
        _since = _log?.Appended ?? 0;
    }

    private Store Store => _owner.Server.Store;

    private CommandRunner Runner => _owner.Server.Runner;

    /// <summary>Runs the requests in these frames. What cannot be run on the spot is copied.</summary>
    public void Run(ReadOnlySpan<byte> frames)
    {
        if (!_owner.MayAnswer)
        {
            while (_done < _notes.Length) Done(null, RemoteStatus.Elsewhere, mark: 0);
            Answer();
            return;
        }
        SiloGate gate = Store.SiloGate;
        if (!gate.TryEnterShared(out int stripe))
        {
            _session.Running = FinishAsync(frames.ToArray(), default);
            return;
        }
        int start = 0;
        Stopped stopped = default;
        bool isDone;
        PushWakes.Hold(gathersMessages: false);
        try
        {
            isDone = RunHere(frames, ref start, ref stopped);
        }
        finally
        {
            gate.ExitShared(stripe);
            PushWakes.LetGo();
        }
        if (!isDone) _session.Running = FinishAsync(frames[start..].ToArray(), stopped);
        else if (End() is { IsCompletedSuccessfully: false } ending) _session.Running = ending;
    }

    /// <summary>
    /// Runs requests until one cannot be run here. If there is such a one, <paramref name="start"/> is where it begins.
    /// </summary>
    private bool RunHere(ReadOnlySpan<byte> frames, ref int start, ref Stopped stopped)
    {
        RequestReader reader = t_reader ??= new() { LargestBulk = int.MaxValue };
        Ahead[] ahead = t_ahead ??= new Ahead[Store.MostForeseen];
        Span<ForeseenKey> keys = stackalloc ForeseenKey[Store.MostForeseen];
        var call = new CommandContext(Store, _session, _reply) { NowMs = Store.Clock.NowMs };
        CommandStatistics.Stripe statistics = Runner.Observer.Statistics.Mine;
        long ticks = Stopwatch.GetTimestamp();
        int from = 0;
        while (_done < _notes.Length)
        {
            int count = 0;
            while (count < ahead.Length && _done + count < _notes.Length)
            {
                reader.Read(frames[from..]);
                KeptRequest kept = reader.Keep(from);
                from += reader.Consumed;
                Request request = reader.Request(kept, frames);
                ahead[count] = new() { Kept = kept, Command = Store.Commands.Resolve(request) };
                keys[count] = Store.Foresee(ahead[count].Command, request);
                count++;
            }
            if (count > 1) Store.Foresee(keys[..count], _session.Database);
            for (int i = 0; i < count; i++)
            {
                call.Request = reader.Request(ahead[i].Kept, frames);
                call.SlotHint = keys[i].Slot;
                if (TryRun(ref call, ahead[i].Command, statistics, ref ticks, ref stopped)) continue;
                start = ahead[i].Kept.Start;
                reader.Release(startAnew: true);
                return false;
            }
            reader.Release(startAnew: true);
        }
        return true;
    }

    private bool TryRun(ref CommandContext call, CommandInfo? command, CommandStatistics.Stripe statistics, ref long ticks, ref Stopped stopped)
    {
        int mark = _reply.Length;
        if (_refused is not null && IsRefused(command, call.Request))
        {
            Done(command, RemoteStatus.Elsewhere, mark);
            return true;
        }
        // A script may take long, and heartbeats are behind it.
        if (command?.Is(CommandFlags.RunsScript) == true) return false;
        if (!Runner.Admission.IsOpenTo(command, call, _session))
        {
            Verdict verdict = Runner.Admission.Admit(command, call.Request, _session, _reply, out Func<Task>? wait);
            if (verdict == Verdict.Waits) return false;
            if (verdict != Verdict.Admitted)
            {
                if (wait is not null) _ = wait();
                Done(command, IsNotServed(verdict) ? RemoteStatus.Elsewhere : RemoteStatus.Done, mark);
                return true;
            }
        }
        call.Command = command!;
        call.Continuation = null;
        try
        {
            stopped.Attempt = Store.Execute(ref call);
        }
        catch (Exception e)
        {
            Runner.Fail(e, command!, _reply, mark);
        }
        if (stopped.Attempt.Outcome == Outcome.SlotNotHere && !_owner.IsComing(stopped.Attempt.Slot))
        {
            Refuse(command, stopped.Attempt.Slot, mark);
            return true;
        }
        if (stopped.Attempt.Outcome != Outcome.Done) return false;
        long now = Stopwatch.GetTimestamp();
        bool isReplied = call.Continuation is null || _reply.Length > mark;
        Runner.Observer.Ran(statistics, call, now - ticks, _reply.WrittenSince(mark), isReplied);
        if (call.Continuation is { } continuation)
        {
            stopped.Continuation = continuation;
            stopped.Waiting = isReplied ? null : new(command!, call.Request.ToOwned(), now - ticks);
            stopped.Mark = mark;
            return false;
        }
        ticks = now;
        _session.CommandsRun++;
        Done(command, RemoteStatus.Done, mark);
        return true;
    }

    /// <summary>Runs the rest, on the pool.</summary>
    private async Task FinishAsync(byte[] frames, Stopped stopped)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            var reader = new RequestReader { LargestBulk = int.MaxValue };
            for (int from = 0; _done < _notes.Length; from += reader.Consumed)
            {
                await FinishAsync(Read(reader, frames.AsSpan(from)), stopped).ConfigureAwait(false);
                stopped = default;
            }
        }
        catch (Exception failure)
        {
            if (!_session.Gone.IsCancellationRequested) _owner.OnFailed(failure);
            while (_done < _notes.Length) Done(null, RemoteStatus.Doubtful, _reply.Length);
        }
        await End().ConfigureAwait(false);
    }

    private async Task FinishAsync(OwnedRequest request, Stopped stopped)
    {
        CommandInfo? command = Store.Commands.Resolve(request.Request);
        int mark = stopped.Continuation is null ? _reply.Length : stopped.Mark;
        if (_refused is not null && IsRefused(command, request.Request))
        {
            Done(command, RemoteStatus.Elsewhere, mark);
            return;
        }
        Verdict verdict = Verdict.Admitted;
        if (stopped.Continuation is { } continuation)
        {
            if (!await Runner.ContinueAsync(_session, command!, continuation, stopped.Waiting, _reply, _session.Gone).ConfigureAwait(false))
                verdict = Verdict.Elsewhere;
        }
        else
        {
            verdict = await Runner.FinishAsync(_session, command, request, stopped.Former, _reply, _session.Gone).ConfigureAwait(false);
        }
        if (verdict == Verdict.Elsewhere)
        {
            Refuse(command, _session.MissingSlot, mark);
            return;
        }
        if (verdict == Verdict.Admitted) _session.CommandsRun++;
        Done(command, IsNotServed(verdict) ? RemoteStatus.Elsewhere : RemoteStatus.Done, mark);
    }

    /// <summary>Whether a command was refused because this silo serves nothing at present: another one may soon.</summary>
    private bool IsNotServed(Verdict verdict) =>
        verdict == Verdict.Closed
        || (verdict == Verdict.Refused && (Store.Restrictions & (Restrictions.WithoutLease | Restrictions.Unassigned)) != 0);

    private static OwnedRequest Read(RequestReader reader, ReadOnlySpan<byte> frames)
    {
        reader.Read(frames);
        OwnedRequest request = reader.Request(reader.Keep(0), frames).ToOwned();
        reader.Release(startAnew: true);
        return request;
    }

    private void Refuse(CommandInfo? command, int slot, int mark)
    {
        (_refused ??= []).Add(slot);
        // Its queue is sent again, to another silo; what it watched has left, and its own silo knows that it did.
        if (command!.Is(CommandFlags.RunsQueue) && _session.Transaction is { } transaction) _ = transaction.CloseAsync(Store);
        Done(command, RemoteStatus.Elsewhere, mark);
    }

    private bool IsRefused(CommandInfo? command, in Request request) =>
        command is not null && command.SlotOf(request) is >= 0 and int slot && _refused!.Contains(slot);

    private void Done(CommandInfo? command, RemoteStatus status, int mark)
    {
        if (status != RemoteStatus.Done) _reply.TruncateTo(mark);
        if (status == RemoteStatus.Elsewhere && _session.Moved is { } moved)
        {
            _session.Moved = null;
            _reply.Raw(RemoteBatch.Describe(moved));
        }
        else if (status == RemoteStatus.Elsewhere && command is { IsConfined: false } && _session.MissingSlot >= 0)
        {
            _reply.Raw(RemoteBatch.Describe(_session.MissingSlot));
        }
        _notes[_done++] = new() { Status = status, Length = _reply.Length - mark, OnlyReads = command is not null && RemoteRequests.MayRunTwice(command) };
    }

    /// <summary>Answers, once that is allowed.</summary>
    private Task End()
    {
        if (_log is { } log)
        {
            long position = log.Appended;
            if (log.RepliesWait)
            {
                if (log.Committed < position) return AnswerWhenAsync(log.WhenCommitted(_since, position));
            }
            else if (log.IsBehind && ((ICommittingLog)log).WhenCommitted() is { IsCompletedSuccessfully: false } committed)
            {
                return AnswerWhenAsync(committed);
            }
        }
        Answer();
        return Task.CompletedTask;
    }

    private async Task AnswerWhenAsync(Task committed)
    {
        try
        {
            await committed.ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            _owner.OnFailed(failure);
            DoubtAll();
        }
        Answer();
    }

    private void Answer()
    {
        if (!_owner.MayAnswer) DoubtAll();
        var message = new MessageWriter();
        message.Int64(_number);
        foreach (Note note in _notes)
        {
            message.Byte((byte)note.Status);
            message.Int32(note.Length);
        }
        message.Raw(_reply.Written);
        _reply.Clear();
        t_spare = _reply;
        _owner.SendAnswer(_from, _number, message);
    }

    /// <summary>What was done may not last, and what was read may be out of date by now.</summary>
    private void DoubtAll()
    {
        foreach (ref Note note in _notes.AsSpan())
        {
            if (note.Status == RemoteStatus.Done) note.Status = note.OnlyReads ? RemoteStatus.Elsewhere : RemoteStatus.Doubtful;
            note.Length = 0;
        }
        _reply.Clear();
    }

    private struct Ahead
    {
        public KeptRequest Kept;
        public CommandInfo? Command;
    }

    private struct Note
    {
        public RemoteStatus Status;
        public int Length;
        public bool OnlyReads;
    }

    /// <summary>How far a request got that could not be finished on the spot.</summary>
    private struct Stopped
    {
        public Attempt Attempt;
        public Func<RespWriter, Task>? Continuation;
        public WaitingCall? Waiting;
        public int Mark;

        /// <summary>What stood in its way, if anything.</summary>
        public readonly Attempt? Former => Attempt.Outcome == Outcome.Done ? null : Attempt;
    }
}
