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
            queued.Command.Method!(ref nested);
            nested.EndWithin();
            _changes += nested._changes;
        }
    }

    /// <summary>Ends a command that is part of another one, which publishes its effects.</summary>
    private void EndWithin()
    {
        if (Store.Effects.HasConsumers) GatherEffects();
    }
}
