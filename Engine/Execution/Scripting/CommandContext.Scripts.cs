namespace OrleansRedis.Engine;

/// <summary>How a script runs its commands.</summary>
public ref partial struct CommandContext
{
    /// <summary>Runs a command of a script, inside the script's gates; the slots of its keys are held.</summary>
    internal static void RunWithin(ScriptScope scope, CommandInfo command, in Request request, RespWriter reply)
    {
        var nested = new CommandContext(scope.Store, scope.Session, reply)
        {
            Command = command,
            Request = request,
            NowMs = scope.NowMs,
            MayBlock = false,
            IsInScript = true,
        };
        Slot? only = scope.Hold == Hold.Everything ? null : scope.Store.OnlySlotOf(command, request);
        nested.BeginCommand(only is not null ? Hold.Slot : scope.Hold, only);
        int mark = reply.Length, effects = Effects.Count;
        try
        {
            command.Method!(ref nested);
        }
        finally
        {
            nested.EndWithin();
            if (!scope.IsLogged) Effects.DropAfter(effects, scope.Store.Slots);
            scope.Changes += nested._changes;
        }
        Retirement.Sweep();
        if (nested.MissingSlot >= 0 || nested.BusySlot >= 0)
        {
            reply.TruncateTo(mark);
            reply.Error(Errors.SlotNotServed);
        }
        if (nested.Continuation is null) return;
        // None of the commands that scripts may call waits for anything.
        throw new InvalidOperationException($"'{command.Name}' cannot run in a script.");
    }

    /// <summary>The script has ended; its commands' effects are this command's.</summary>
    internal void EndScript(ScriptScope scope)
    {
        _changes += scope.Changes;
        _effectsGiven = true;
        // The server is about to end, with what half a script has done. It must not be there when the server starts again.
        if (scope.IsBrokenOff) Effects.Discard();
        Restart = scope.Restart;
        if (scope.Restart == Outcome.SlotNotHere) MissingSlot = scope.MissingSlot;
    }

    /// <summary>Nothing has happened yet, and the command is to be tried again in another way.</summary>
    internal void BeginScriptAnew(Outcome way) => Restart = way;
}
