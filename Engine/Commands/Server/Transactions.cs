namespace OrleansRedis.Engine;

/// <summary>MULTI, EXEC, DISCARD, WATCH, UNWATCH.</summary>
internal static class Transactions
{
    /// <summary>MULTI</summary>
    [Command("MULTI", 1,
        CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast | CommandFlags.AllowBusy | CommandFlags.NotQueued,
        Category.Transaction,
        Since = "1.2.0", Complexity = "O(1)", Summary = "Starts a transaction.")]
    internal static void Multi(ref CommandContext call)
    {
        Transaction transaction = call.Session.Transaction ??= new();
        if (transaction.IsOpen)
        {
            call.Reply.Error("ERR MULTI calls can not be nested"u8);
            return;
        }
        transaction.Open();
        call.Reply.Ok();
    }

    /// <summary>
    /// EXEC — runs the queued commands as one, unless a watched key has changed or a command could not be queued.
    /// </summary>
    [Command("EXEC", 1,
        CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.SkipSlowlog | CommandFlags.SessionKeys
            | CommandFlags.NotQueued | CommandFlags.RunsQueue, Category.Transaction,
        Effort = Effort.Queued, Since = "1.2.0", Complexity = "Depends on commands in the transaction", Summary = "Executes all commands in a transaction.")]
    internal static void Exec(ref CommandContext call)
    {
        if (call.Session.Transaction is not { IsOpen: true } transaction)
        {
            call.Reply.Error("ERR EXEC without MULTI"u8);
            return;
        }
        bool changed = transaction.IsChanged || transaction.AnyWatchedExpired(call.NowMs);
        transaction.Unwatch();
        try
        {
            if (transaction.IsPoisoned) call.Reply.Error("EXECABORT Transaction discarded because of previous errors."u8);
            else if (changed) call.Reply.NullArray();
            else call.RunQueued(transaction.Queue);
        }
        finally
        {
            transaction.Close();
        }
    }

    /// <summary>DISCARD</summary>
    [Command("DISCARD", 1,
        CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast | CommandFlags.AllowBusy | CommandFlags.SessionKeys
            | CommandFlags.NotQueued, Category.Transaction,
        Since = "2.0.0", Complexity = "O(N), when N is the number of queued commands", Summary = "Discards a transaction.")]
    internal static void Discard(ref CommandContext call)
    {
        if (call.Session.Transaction is not { IsOpen: true } transaction)
        {
            call.Reply.Error("ERR DISCARD without MULTI"u8);
            return;
        }
        transaction.Unwatch();
        transaction.Close();
        call.Reply.Ok();
    }

    /// <summary>WATCH key [key ...]</summary>
    [Command("WATCH", -2,
        CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast | CommandFlags.AllowBusy | CommandFlags.NotQueued,
        Category.Transaction,
        Keys = "RO 1..-1", Since = "2.2.0", Complexity = "O(1) for every key.",
        Summary = "Monitors changes to keys to determine the execution of a transaction.", Syntax = "key [key ...]")]
    internal static void Watch(ref CommandContext call)
    {
        Transaction transaction = call.Session.Transaction ??= new();
        if (transaction.IsOpen)
        {
            call.Reply.Error("ERR WATCH inside MULTI is not allowed"u8);
            return;
        }
        // Once a watched key has changed, EXEC fails in any case, so there is no point in watching more keys.
        for (int i = 1; i < call.Count && !transaction.IsChanged; i++)
        {
            Entry entry = call.Peek(call[i]);
            transaction.Watch(entry.Keyspace, call[i], exists: !entry.IsMissing && entry.ExpiresAtMs > call.NowMs);
        }
        call.Reply.Ok();
    }

    /// <summary>UNWATCH</summary>
    [Command("UNWATCH", 1,
        CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast | CommandFlags.AllowBusy | CommandFlags.SessionKeys,
        Category.Transaction,
        Since = "2.2.0", Complexity = "O(1)", Summary = "Forgets about watched keys of a transaction.")]
    internal static void Unwatch(ref CommandContext call)
    {
        call.Session.Transaction?.Unwatch();
        call.Reply.Ok();
    }
}
