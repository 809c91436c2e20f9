using System.Diagnostics;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>Commands that are not run where they come in, among the others of the batch: those that run alone, and those that take long.</summary>
public sealed partial class ClientConnection
{
    private async Task RunExclusivelyAsync(OwnedRequest request, CommandInfo command)
    {
        SiloGate gate = _server.Store.SiloGate;
        await gate.EnterExclusiveAsync().ConfigureAwait(false);
        Func<RespWriter, Task>? continuation;
        bool isReplied;
        try
        {
            RunAside(request, command, alone: true, out continuation, out isReplied);
        }
        finally
        {
            gate.ExitExclusive();
        }
        if (continuation is not null) await ContinueAsync(continuation, isReplied).ConfigureAwait(false);
    }

    /// <summary>Runs a command on a thread of the pool, so that the I/O thread's other connections go on.</summary>
    private async Task RunLongAsync(OwnedRequest request, CommandInfo command)
    {
        Store store = _server.Store;
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        while (true)
        {
            await store.SiloGate.EnterLongAsync().ConfigureAwait(false);
            Attempt attempt;
            Func<RespWriter, Task>? continuation;
            bool isReplied;
            try
            {
                attempt = RunAside(request, command, alone: false, out continuation, out isReplied);
            }
            finally
            {
                store.SiloGate.ExitLong();
            }
            switch (attempt.Outcome)
            {
                case Outcome.Busy:
                    await store.WhenFree(attempt).ConfigureAwait(false);
                    continue;
                case Outcome.SlotNotHere when await _server.Router.EnsureHereAsync(attempt.Slot, Disconnected).ConfigureAwait(false):
                    continue;
                case Outcome.SlotNotHere:
                    int mark = _reply.Length;
                    _reply.Error(SlotNotServed);
                    AfterReply(mark);
                    return;
            }
            if (continuation is not null) await ContinueAsync(continuation, isReplied).ConfigureAwait(false);
            return;
        }
    }

    private Attempt RunAside(OwnedRequest request, CommandInfo command, bool alone, out Func<RespWriter, Task>? continuation, out bool isReplied)
    {
        using Turn turn = TakeTurn();
        if (_server.Store.Durability is { RepliesWait: true } log) Rely(log, command);
        int mark = _reply.Length;
        long started = Stopwatch.GetTimestamp();
        var call = new CommandContext(_server.Store, this, _reply) { NowMs = _server.Store.Clock.NowMs, Command = command, Request = request.Request };
        Attempt attempt = default;
        try
        {
            if (alone) _server.Store.ExecuteExclusively(ref call);
            else attempt = _server.Store.ExecuteLong(ref call);
        }
        catch (Exception e)
        {
            Fail(e, command, mark);
        }
        continuation = call.Continuation;
        isReplied = continuation is null || _reply.Length > mark;
        if (attempt.Outcome != Outcome.Done) return attempt;
        _server.CommandStatistics.Mine.CountCall(command, Stopwatch.GetTimestamp() - started, _reply.Length > mark && _reply.Written[mark] == '-');
        if (isReplied) AfterReply(mark);
        return attempt;
    }
}
