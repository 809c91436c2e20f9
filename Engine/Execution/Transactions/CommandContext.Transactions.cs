using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>How EXEC runs the queued commands.</summary>
public ref partial struct CommandContext
{
    /// <summary>
    /// Runs commands one after another inside this command's gates. Their replies become an array, and their effects
    /// one unit. Commands that wait for keys changed here are served at the very end.
    /// </summary>
    internal void RunQueued(IReadOnlyList<QueuedCommand> queue)
    {
        int begin = Reply.Length;
        List<(int At, Func<RespWriter, Task> Continuation)>? later = null;
        Reply.Array(queue.Count);
        _effectsGiven = true;
        foreach (QueuedCommand queued in queue)
        {
            var nested = new CommandContext(Store, Session, Reply)
            {
                Command = queued.Command,
                Request = queued.Request.Request,
                NowMs = NowMs,
                MayBlock = false,
            };
            // The rules may have changed since the command was queued.
            if (!Session.User.IsUnrestricted && IsDenied(nested)) continue;
            Slot? only = Store.OnlySlotOf(queued.Command, nested.Request);
            nested.BeginCommand(only is not null && Hold != Hold.Everything ? Hold.Slot : Hold, only);
            int mark = Reply.Length;
            long started = Stopwatch.GetTimestamp();
            queued.Command.Method!(ref nested);
            if (Store.Monitors.Any) nested.ShowToMonitors();
            if (nested.MissingSlot >= 0)
            {
                // The commands queued before it have already run, so the whole transaction cannot start over. As with
                // any command that fails, only this one fails.
                Reply.TruncateTo(mark);
                Reply.Error(Errors.SlotNotServed);
            }
            Store.Observer?.Ran(nested, Stopwatch.GetTimestamp() - started, Reply.WrittenSince(mark));
            Session.CommandsRun++;
            nested.EndWithin();
            Retirement.Sweep();
            _changes += nested._changes;
            if (nested.Continuation is not null) (later ??= []).Add((Reply.Length - begin, nested.Continuation));
        }
        if (later is not null) FinishLater(begin, later);
    }

    /// <summary>
    /// Whether the session's user may no longer run a queued command. The error is then in the reply.
    /// </summary>
    private readonly bool IsDenied(in CommandContext queued)
    {
        if (!Store.Acl.Denies(Session, queued.Command, queued.Request, AclContext.Multi, out AclVerdict verdict)) return false;
        int mark = Reply.Length;
        string reason = verdict.Reason switch
        {
            AclReason.Key => "no permission to touch the specified keys",
            AclReason.Channel => "no permission to access one of the channels used as argument to the command",
            _ => "no permission to execute the command or subcommand",
        };
        Reply.Error(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
                + $"This command is no longer allowed for the following reason: {reason}");
        Store.Observer?.Refused(queued.Command, Reply.WrittenSince(mark));
        return true;
    }

    /// <summary>
    /// For queued commands that could not finish inside the gates (DEBUG RELOAD, for example): each finishes after the
    /// others, and its reply goes where it belongs.
    /// </summary>
    private void FinishLater(int begin, List<(int At, Func<RespWriter, Task> Continuation)> later)
    {
        byte[] written = Reply.WrittenSince(begin).ToArray();
        Reply.TruncateTo(begin);
        Continuation = async reply =>
        {
            int from = 0;
            foreach ((int at, Func<RespWriter, Task> continuation) in later)
            {
                if (!reply.HasOverflowed) reply.Raw(written.AsSpan(from, at - from));
                from = at;
                await continuation(reply).ConfigureAwait(false);
            }
            if (!reply.HasOverflowed) reply.Raw(written.AsSpan(from));
        };
    }

    /// <summary>Ends a command that is part of another one; that one publishes its effects.</summary>
    private void EndWithin()
    {
        if (Session.Tracking is not null) Remember();
        if (Store.Effects.HasConsumers) GatherEffects();
    }
}
