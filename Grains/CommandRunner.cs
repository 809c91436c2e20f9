using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>
/// Runs commands that come from grain calls. What a connection of the gateway does on its I/O thread is done here in a grain's turn,
/// through the same gates; what must be waited for is awaited with none held.
/// </summary>
public sealed class CommandRunner(Store store, CommandTable commands, SlotHost host)
{
    /// <summary>Runs one command and returns its reply as RESP3, once the log is durable if replies wait for that.</summary>
    public async Task<byte[]> RunAsync(int database, ReadOnlyMemory<byte>[] arguments)
    {
        IDurability? log = store.Durability;
        long since = log?.Appended ?? 0;
        byte[] reply = await RunNowAsync(database, arguments);
        if (log is null || reply is [(byte)'-', ..]) return reply;
        if (!log.RepliesWait) log.BeforeReply();
        else if (log.Appended is var position && log.Committed < position) await log.WhenCommitted(since, position);
        return reply;
    }

    private async Task<byte[]> RunNowAsync(int database, ReadOnlyMemory<byte>[] arguments)
    {
        var reply = new RespWriter { Resp3 = true };
        if (arguments.Length == 0 || (uint)database >= (uint)store.Options.Databases)
        {
            reply.Error(arguments.Length == 0 ? "ERR no command"u8 : "ERR DB index is out of range"u8);
            return reply.Written.ToArray();
        }
        OwnedRequest request = OwnedRequest.Of(arguments);
        CommandInfo? command = commands.Resolve(request.Request);
        if (Refusal(command, request) is { } refusal)
        {
            reply.Error(refusal);
            return reply.Written.ToArray();
        }
        var session = new Session { Database = database };
        while (true)
        {
            if (store.Restrictions != Restrictions.None)
            {
                if (store.RefusesForNow(command!, session, reply)) return reply.Written.ToArray();
                if (store.WaitsForLog(command!, session))
                {
                    await (store.Durability?.WhenRoom() ?? Task.CompletedTask);
                    continue;
                }
            }
            int stripe = await store.SiloGate.EnterSharedAsync();
            Attempt attempt;
            Func<RespWriter, Task>? continuation;
            try
            {
                attempt = Run(request, command!, session, reply, default, out continuation);
            }
            finally
            {
                store.SiloGate.ExitShared(stripe);
            }
            if (attempt.Outcome == Outcome.Long)
            {
                await store.SiloGate.EnterLongAsync();
                try
                {
                    // Not in the grain's turn: its other calls go on.
                    (attempt, continuation) = await Task.Run(() => (Run(request, command!, session, reply, Outcome.Long, out Func<RespWriter, Task>? rest), rest));
                }
                finally
                {
                    store.SiloGate.ExitLong();
                }
            }
            switch (attempt.Outcome)
            {
                case Outcome.Busy:
                    await store.WhenFree(attempt);
                    continue;
                case Outcome.SlotNotHere:
                    if (host.Owns(attempt.Slot))
                    {
                        await host.OpenAsync(attempt.Slot);
                        continue;
                    }
                    reply.Error("CLUSTERDOWN Hash slot not served"u8);
                    return reply.Written.ToArray();
                case Outcome.NeedsExclusive:
                    await store.SiloGate.EnterExclusiveAsync();
                    try
                    {
                        Run(request, command!, session, reply, Outcome.NeedsExclusive, out continuation);
                    }
                    finally
                    {
                        store.SiloGate.ExitExclusive();
                    }
                    break;
            }
            if (continuation is not null) await continuation(reply);
            return reply.Written.ToArray();
        }
    }

    /// <summary>Runs a command for the first time, or as a former attempt has ended.</summary>
    private Attempt Run(
        OwnedRequest request, CommandInfo command, Session session, RespWriter reply, Outcome former, out Func<RespWriter, Task>? continuation)
    {
        continuation = null;
        if (former == default && store.RefusesForMemory(command, session, reply)) return default;
        var call = new CommandContext(store, session, reply) { NowMs = store.Clock.NowMs, Command = command, Request = request.Request };
        Attempt attempt = default;
        if (former == Outcome.NeedsExclusive) store.ExecuteExclusively(ref call);
        else attempt = former == Outcome.Long ? store.ExecuteLong(ref call) : store.Execute(ref call);
        continuation = call.Continuation;
        return attempt;
    }

    private static string? Refusal(CommandInfo? command, OwnedRequest request)
    {
        if (command?.Method is null) return $"ERR unknown command '{System.Text.Encoding.UTF8.GetString(request.Request[0])}'";
        if (!command.AcceptsCount(request.Count)) return Errors.WrongArity(command);
        // A grain call has no connection whose state such a command could change.
        return (command.Categories & (Category.Connection | Category.Transaction)) != 0 ? $"ERR '{command.Name}' needs a connection" : null;
    }
}
