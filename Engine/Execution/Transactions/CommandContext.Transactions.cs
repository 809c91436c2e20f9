using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>How EXEC runs what was queued.</summary>
public ref partial struct CommandContext
{
    /// <summary>
    /// Runs commands one after the other within this one's gates. Their replies become an array, their effects one unit;
    /// those who wait for keys that they change are served at the end of all.
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
            Slot? only = Store.OnlySlotOf(queued.Command, nested.Request);
            nested.BeginCommand(only is not null && Hold != Hold.Everything ? Hold.Slot : Hold, only);
            int mark = Reply.Length;
            long started = Stopwatch.GetTimestamp();
            queued.Command.Method!(ref nested);
            if (nested.MissingSlot >= 0)
            {
                // What was queued before it has happened, so the whole cannot be begun anew: like any command that
                // fails, it fails alone.
                Reply.TruncateTo(mark);
                Reply.Error(Errors.SlotNotServed);
            }
            Store.Observer?.Ran(queued.Command, Stopwatch.GetTimestamp() - started, Reply.Written[mark..]);
            nested.EndWithin();
            _changes += nested._changes;
            if (nested.Continuation is not null) (later ??= []).Add((Reply.Length - begin, nested.Continuation));
        }
        if (later is not null) FinishLater(begin, later);
    }

    /// <summary>A queued command could not finish inside the gates (DEBUG RELOAD, say): it does so after the others, and its reply goes where it belongs.</summary>
    private void FinishLater(int begin, List<(int At, Func<RespWriter, Task> Continuation)> later)
    {
        byte[] written = Reply.Written[begin..].ToArray();
        Reply.TruncateTo(begin);
        Continuation = async reply =>
        {
            int from = 0;
            foreach ((int at, Func<RespWriter, Task> continuation) in later)
            {
                reply.Raw(written.AsSpan(from, at - from));
                from = at;
                await continuation(reply).ConfigureAwait(false);
            }
            reply.Raw(written.AsSpan(from));
        };
    }

    /// <summary>Ends a command that is part of another one, which publishes its effects.</summary>
    private void EndWithin()
    {
        if (Store.Effects.HasConsumers) GatherEffects();
    }
}
