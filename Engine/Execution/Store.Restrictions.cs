namespace OrleansRedis.Engine;

/// <summary>Refusing commands while something is wrong.</summary>
public sealed partial class Store
{
    private int _restrictions;
    private bool _keepsExpired;

    /// <summary>What is in force now. One plain read where it is looked at before each command.</summary>
    public Restrictions Restrictions => (Restrictions)Volatile.Read(ref _restrictions);

    /// <summary>
    /// While clients are paused, or changes cannot be logged, expired keys are missing but not deleted, since that is a change too.
    /// What is set is the pause.
    /// </summary>
    public bool KeepsExpired
    {
        get => _keepsExpired || (Restrictions & (Restrictions.LogFails | Restrictions.Loading | Restrictions.Stopping)) != 0;
        set => _keepsExpired = value;
    }

    /// <summary>Something is wrong from now on. For failing logs <see cref="IDurability.WriteError"/> says what.</summary>
    public void Restrict(Restrictions restriction) => Interlocked.Or(ref _restrictions, (int)restriction);

    /// <summary>It is over.</summary>
    public void Lift(Restrictions restriction) => Interlocked.And(ref _restrictions, ~(int)restriction);

    /// <summary>
    /// To be asked before a client's command is queued or run, if there are <see cref="Restrictions"/>. True if it is refused for them, with the
    /// error written; an open transaction is spoilt, or ended if the command is EXEC (the caller then closes it with <see cref="Transaction.CloseAsync"/>).
    /// </summary>
    public bool RefusesForNow(CommandInfo command, Session session, RespWriter reply)
    {
        Restrictions restrictions = Restrictions;
        Transaction? transaction = session.Transaction is { IsOpen: true } open ? open : null;
        bool executes = transaction is not null && command.Name == "exec";
        CommandFlags any = executes ? transaction!.QueuedFlags : command.Flags;
        string? error = null;
        if ((any & CommandFlags.Write) != 0 || command.Name == "ping")
        {
            if ((restrictions & Restrictions.SnapshotFails) != 0) error = Errors.SnapshotFails;
            else if ((restrictions & Restrictions.LogFails) != 0) error = Durability?.WriteError;
        }
        if ((restrictions & Restrictions.Stopping) != 0) error = "ERR Server is shutting down";
        if ((restrictions & Restrictions.Loading) != 0 && error is null)
        {
            bool allowed = executes ? transaction!.QueuedInAll.HasFlag(CommandFlags.Loading) : command.Is(CommandFlags.Loading);
            if (!allowed) error = Errors.Loading;
        }
        if (error is null) return false;
        if (executes) error = $"EXECABORT Transaction discarded because of: {error}";
        else transaction?.Poison();
        reply.Error(error);
        return true;
    }

    /// <summary>Whether a client's command must wait for room in the append log.</summary>
    public bool WaitsForLog(CommandInfo command, Session session) =>
        (Restrictions & Restrictions.LogIsFull) != 0
        && (command.Is(CommandFlags.Write) || (command.Name == "exec" && session.Transaction is { } transaction && (transaction.QueuedFlags & CommandFlags.Write) != 0));
}
