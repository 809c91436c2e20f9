using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Commands that cannot run where they arrive, in the middle of a batch: they wait for something, run alone, or take
/// long.
/// </summary>
public sealed partial class ClientConnection
{
    /// <inheritdoc/>
    protected override void BeforeAttempt(CommandInfo command)
    {
        if (_server.Store.Durability is { RepliesWait: true } log) Rely(log, command);
    }

    /// <inheritdoc/>
    protected override void BeginTurn() => _turn.Enter();

    /// <inheritdoc/>
    protected override void EndTurn()
    {
        _turn.Exit();
        // For the letters that could not be served during the turn.
        _mailbox.Ring();
    }

    /// <summary>
    /// As <see cref="Drain"/>, for the client of a debugger: its request goes to the script. When that has ended, so does the
    /// connection.
    /// </summary>
    private int DrainForDebugger(ReadOnlySpan<byte> bytes, IDebuggedScript script, out Func<Task>? wait)
    {
        wait = null;
        int used = 0;
        while (wait is null && used < bytes.Length)
        {
            ReadOutcome outcome = _requests.Read(bytes[used..]);
            if (outcome == ReadOutcome.Incomplete) return used;
            if (outcome == ReadOutcome.Malformed)
            {
                RefuseMalformed();
                return bytes.Length;
            }
            KeptRequest kept = _requests.Keep(used);
            Request request = _requests.Request(kept, bytes);
            if (request.Count != 0)
            {
                OwnedRequest command = request.ToOwned();
                wait = () => ObeyAsync(script, command);
            }
            used += _requests.Consumed;
            _requests.Release(startAnew: true);
        }
        return used;
    }

    private async Task ObeyAsync(IDebuggedScript script, OwnedRequest command)
    {
        // What the command has begun may never come to an end, and only its client waits for it.
        using (Disconnected.UnsafeRegister(static script => ((IDebuggedScript)script!).Abandon(), script))
            await script.ObeyAsync(command, _reply).ConfigureAwait(false);
        CloseAfterReply = script.IsOver;
    }

    /// <summary>Finishes a request that could not be run on the spot.</summary>
    private async Task FinishAsync(OwnedRequest request, CommandInfo? command, Attempt? former)
    {
        if (_killed || CloseAfterReply) return; // while an earlier command was under way to another silo
        int mark = _reply.Length;
        LastCommand = command;
        Verdict verdict = await _server.Runner.FinishAsync(this, command, request, former, _reply, Disconnected)
            .ConfigureAwait(false);
        if (verdict == Verdict.Elsewhere) verdict = await RunElsewhereAsync(command!, request).ConfigureAwait(false);
        if (verdict == Verdict.Admitted) CommandsRun++;
        if (verdict == Verdict.Admitted && _waitsFor is not null) CountRead(command!, mark);
        if (verdict == Verdict.Closed) CloseAfterReply = true;
        else AfterReply(mark);
    }

    /// <summary>Awaits the rest of a command that was started on the spot.</summary>
    private async Task ContinueAsync(CommandInfo command, Func<RespWriter, Task> continuation, WaitingCall? waiting)
    {
        int mark = _reply.Length;
        if (!await _server.Runner.ContinueAsync(this, command, continuation, waiting, _reply, Disconnected).ConfigureAwait(false)
            && await RunElsewhereAsync(command, Moved!.Request).ConfigureAwait(false) == Verdict.Closed)
        {
            CloseAfterReply = true;
            return;
        }
        CommandsRun++;
        if (waiting is not null) AfterReply(mark);
        if (Debugged is { IsOver: true }) CloseAfterReply = true; // there was nothing to debug
    }
}
