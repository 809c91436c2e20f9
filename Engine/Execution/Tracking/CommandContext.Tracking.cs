namespace OrleansRedis.Engine;

/// <summary>What a command does for the tracking of its client's keys.</summary>
public ref partial struct CommandContext
{
    /// <summary>The flags of commands that read no keys of their own, but run others that do.</summary>
    private const CommandFlags RunsOthers = CommandFlags.RunsScript | CommandFlags.RunsQueue;

    /// <summary>
    /// At the end of a command, inside its gates: notes what it has read. What CLIENT CACHING has said holds for one
    /// command, or for one transaction.
    /// </summary>
    private readonly void EndTracked()
    {
        bool goesOn = Resumed is null ? Session.Blocked is not null : BlockedAgain;
        if (goesOn || MissingSlot >= 0 || BusySlot >= 0 || Restart != Outcome.Done) return; // it runs again
        Remember();
        if (Session.Transaction is { IsOpen: true } || Command.Name.StartsWith("client|", StringComparison.Ordinal)) return;
        Session.Tracking!.HasCachingWord = false;
    }

    private readonly void Remember()
    {
        if (!Session.Tracking!.Remembers || !Command.Is(CommandFlags.ReadOnly) || Command.Is(RunsOthers)) return;
        Store.KeyTracking.Remember(Session.Tracking, Command, Request);
    }
}
