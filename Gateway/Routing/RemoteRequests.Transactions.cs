using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Transactions. The queue is gathered here; EXEC takes it to the silo that has all of its keys, where what the client
/// watches is watched.
/// </summary>
public sealed partial class RemoteRequests
{
    private static readonly byte[] s_ownConnection =
        [.. "CROSSSLOT A transaction on keys of another silo cannot change its own connection"u8];

    private static readonly byte[] s_wholeKeyspace = System.Text.Encoding.ASCII.GetBytes(Errors.WholeKeyspaceElsewhere);

    /// <summary>The client watches nothing at other silos any more.</summary>
    internal void ForgetWatches(ClientConnection client)
    {
        foreach (SiloId silo in client.WatchesAt.Keys) Forget(PeerOf(silo), client.Id);
        client.WatchesAt = client.WatchesAt.Clear();
    }

    /// <summary>WATCH: each silo watches those keys that it has.</summary>
    private async Task<Verdict> WatchAsync(ClientConnection client, CommandInfo command, OwnedRequest request, RespWriter reply)
    {
        var left = new List<int>(Enumerable.Range(1, request.Count - 1));
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0; !client.IsKilled; attempt++)
        {
            Task changed = WhenChanged;
            foreach ((SiloId silo, List<int> keys) in ByOwner(left, request.Request))
            {
                OwnedRequest part = PartOf(request.Request, keys, 1);
                if (silo == Self)
                {
                    var said = new RespWriter();
                    Verdict verdict = await _server.Runner.FinishAsync(client, command, part, former: null, said, client.Disconnected).ConfigureAwait(false);
                    if (verdict == Verdict.Elsewhere) continue;
                    if (verdict != Verdict.Admitted || said.Written is [(byte)'-', ..])
                    {
                        reply.Raw(said.Written);
                        return verdict;
                    }
                }
                else
                {
                    int connection = Volatile.Read(ref PeerOf(silo).Connections);
                    Part answer = await AskAsync(silo, client, command, part, share: null).ConfigureAwait(false);
                    if (IsDoubtful(answer.Status, command)) return Verdict.Closed;
                    if (answer.Status != RemoteStatus.Done) continue;
                    if (answer.Reply is [(byte)'-', ..])
                    {
                        reply.Raw(answer.Reply);
                        return Verdict.Admitted;
                    }
                    bool isFirst = !client.WatchesAt.TryGetValue(silo, out (int Connection, int Keys) before);
                    client.WatchesAt = client.WatchesAt.SetItem(silo, (isFirst ? connection : before.Connection, before.Keys + keys.Count));
                }
                left.RemoveAll(keys.Contains);
            }
            if (left.Count == 0)
            {
                reply.Ok();
                return Verdict.Admitted;
            }
            if (Environment.TickCount64 >= until) return Fail(Verdict.Refused, command, reply);
            await PauseAsync(changed, attempt).ConfigureAwait(false);
        }
        return Verdict.Closed;
    }

    /// <summary>EXEC, DISCARD or UNWATCH, if other silos are concerned.</summary>
    private async Task<Verdict> RunForSessionAsync(ClientConnection client, CommandInfo command, OwnedRequest request, RespWriter reply)
    {
        if (!command.Is(CommandFlags.RunsQueue) || client.Transaction is not { IsOpen: true, IsPoisoned: false } transaction)
        {
            ForgetWatches(client);
            return await _server.Runner.FinishAsync(client, command, request, former: null, reply, client.Disconnected).ConfigureAwait(false);
        }
        if (client.IsOneOfMany && (transaction.QueuedFlags & Store.Spreading) != 0)
            return await RefuseTransactionAsync(client, command, s_wholeKeyspace, reply).ConfigureAwait(false);
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0; !client.IsKilled; attempt++)
        {
            Task changed = WhenChanged;
            switch (Locate(client, transaction, out SiloId silo))
            {
                case Whereabouts.Here:
                    Verdict verdict = await _server.Runner.FinishAsync(client, command, request, former: null, reply, client.Disconnected)
                        .ConfigureAwait(false);
                    if (verdict != Verdict.Elsewhere) return verdict;
                    break;
                case Whereabouts.Several:
                    return await RefuseTransactionAsync(client, command, s_severalSilos, reply).ConfigureAwait(false);
                case Whereabouts.Elsewhere when (transaction.QueuedFlags & CommandFlags.NeedsConnection) != 0:
                    return await RefuseTransactionAsync(client, command, s_ownConnection, reply).ConfigureAwait(false);
                case Whereabouts.Elsewhere:
                    bool watches = client.WatchesAt.TryGetValue(silo, out (int Connection, int Keys) watch);
                    RemoteStatus status = watches && watch.Connection != Volatile.Read(ref PeerOf(silo).Connections)
                        ? RemoteStatus.Stranger
                        : await ExecuteAsync(silo, client, transaction, request, watches, reply).ConfigureAwait(false);
                    if (status == RemoteStatus.Done) return Verdict.Admitted;
                    if (status is RemoteStatus.Lost or RemoteStatus.Doubtful) return Verdict.Closed;
                    if (watches)
                    {
                        // Nobody knows any more whether what it watches has changed.
                        await EndTransactionAsync(client, transaction).ConfigureAwait(false);
                        reply.NullArray();
                        return Verdict.Admitted;
                    }
                    break;
            }
            if (Environment.TickCount64 >= until)
                return await RefuseTransactionAsync(client, command, Errors.SlotNotServed.ToArray(), reply).ConfigureAwait(false);
            await PauseAsync(changed, attempt).ConfigureAwait(false);
        }
        return Verdict.Closed;
    }

    /// <summary>Where all keys are that a transaction concerns, those that are watched included.</summary>
    private Whereabouts Locate(ClientConnection client, Transaction transaction, out SiloId silo)
    {
        int[] slots = transaction.Slots();
        Whereabouts place = slots.Length == 0 ? Whereabouts.Here : Locate(slots, out silo);
        silo = slots.Length == 0 ? Self : _cluster.Map[slots[0]].Owner;
        foreach (SiloId watching in client.WatchesAt.Keys)
        {
            if (slots.Length != 0 && (place is Whereabouts.Nowhere or Whereabouts.Several || watching == silo)) continue;
            if (slots.Length != 0 || client.WatchesAt.Count > 1) return Whereabouts.Several;
            (place, silo) = (Whereabouts.Elsewhere, watching);
        }
        return place;
    }

    private async Task<RemoteStatus> ExecuteAsync(
        SiloId silo, ClientConnection client, Transaction transaction, OwnedRequest exec, bool watches, RespWriter reply)
    {
        using RemoteBatch batch = Begin(silo, client, isWatching: watches);
        CommandTable commands = _server.Commands;
        foreach (QueuedCommand queued in transaction.Queue)
        {
            if (BodyFor(queued.Command, queued.Request.Request) is not { } body) continue;
            batch.Add(commands.FindDeclared("script|load"u8)!, OwnedRequest.Of("SCRIPT"u8.ToArray(), "LOAD"u8.ToArray(), body).Request);
        }
        batch.Add(commands.FindDeclared("multi"u8)!, OwnedRequest.Of("MULTI"u8.ToArray()).Request);
        foreach (QueuedCommand queued in transaction.Queue) batch.Add(queued.Command, queued.Request.Request);
        batch.Add(commands.FindDeclared("exec"u8)!, exec.Request);
        Send(batch);
        await batch.Answered.ConfigureAwait(false);
        RemoteStatus status = batch.StatusOf(batch.Count - 1);
        if (status != RemoteStatus.Done) return status;
        reply.Raw(batch.ReplyOf(batch.Count - 1));
        if (batch.ReplyOf(batch.Count - 1) is [(byte)'*', not (byte)'-', ..]) Select(client, transaction);
        client.WatchesAt = client.WatchesAt.Clear();
        await transaction.CloseAsync(_server.Store).ConfigureAwait(false);
        return status;
    }

    /// <summary>The transaction has run: what it has selected is the connection's database from now on.</summary>
    private static void Select(ClientConnection client, Transaction transaction)
    {
        foreach (QueuedCommand queued in transaction.Queue)
        {
            if (queued.Command.Name == "select" && Numbers.TryParseInt64(queued.Request.Request[1], out long database)
                && database >= 0 && database < client.Server.Options.Databases)
                client.Database = (int)database;
        }
    }

    private async Task EndTransactionAsync(ClientConnection client, Transaction transaction)
    {
        ForgetWatches(client);
        await transaction.CloseAsync(_server.Store).ConfigureAwait(false);
    }

    private async Task<Verdict> RefuseTransactionAsync(ClientConnection client, CommandInfo command, byte[] error, RespWriter reply)
    {
        ForgetWatches(client);
        await _server.Runner.RefuseAsync(client, command, error, reply).ConfigureAwait(false);
        return Verdict.Refused;
    }
}
