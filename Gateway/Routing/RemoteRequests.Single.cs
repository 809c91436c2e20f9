using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>Commands that go to another silo one at a time: those that wait, run scripts, or name keys of several slots.</summary>
public sealed partial class RemoteRequests
{
    /// <summary>
    /// Runs a command whose slots are not here, wherever they are. <see cref="Verdict.Closed"/> if it may have run or not, so
    /// that the client can be told nothing.
    /// </summary>
    internal async Task<Verdict> RunAsync(ClientConnection client, CommandInfo command, OwnedRequest request, RespWriter reply)
    {
        if (command.Is(CommandFlags.SessionKeys)) return await RunForSessionAsync(client, command, request, reply).ConfigureAwait(false);
        if (command.Name == "watch") return await WatchAsync(client, command, request, reply).ConfigureAwait(false);
        int[] slots = SlotsOf(client, command, request.Request);
        bool isAboutAll = client.MissingSlot < 0 && client.Moved is null;
        if (slots.Length == 0 || (isAboutAll && command.Is(CommandFlags.RunsScript)))
            return await RunEverywhereAsync(client, command, request, reply).ConfigureAwait(false);
        RemoteWait? wait = client.RemoteWait;
        if (wait is not null && client.Moved is { } moved) wait.WaitedMs = moved.WaitedMs;
        client.Moved = null;
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0; !client.IsKilled; attempt++)
        {
            Task changed = WhenChanged;
            Whereabouts place = Locate(slots, out SiloId silo);
            if (wait?.End is { } end) return Ended(end, reply);
            switch (place)
            {
                case Whereabouts.Here:
                    Verdict verdict = await _server.Runner.FinishAsync(client, command, request, former: null, reply, client.Disconnected)
                        .ConfigureAwait(false);
                    if (verdict != Verdict.Elsewhere) return verdict;
                    if (client.MissingSlot >= 0 && !slots.Contains(client.MissingSlot)) slots = [.. slots, client.MissingSlot];
                    GoOn(client.Moved);
                    client.Moved = null;
                    break;
                case Whereabouts.Elsewhere when wait?.TryGo(silo) != false:
                    using (RemoteBatch batch = Begin(silo, client, wait?.WaitedMs ?? 0))
                    {
                        batch.Add(command, request.Request);
                        Send(batch);
                        wait?.Sent();
                        await batch.Answered.ConfigureAwait(false);
                        wait?.Return();
                        RemoteStatus status = batch.StatusOf(0);
                        if (status == RemoteStatus.Done)
                        {
                            // It is known here, or it would not have been tried.
                            if (batch.ReplyOf(0).StartsWith("-NOSCRIPT "u8) && WithBody(command, request) is { } whole)
                            {
                                (command, request) = whole;
                                continue;
                            }
                            reply.Raw(batch.ReplyOf(0));
                            return Verdict.Admitted;
                        }
                        if (status == RemoteStatus.Doubtful || (status == RemoteStatus.Lost && !MayRunTwice(command))) return Verdict.Closed;
                        if (status == RemoteStatus.Stranger) continue;
                        GoOn(batch.MovedOf(0));
                        if (batch.MissingSlotOf(0) is >= 0 and int missing && !slots.Contains(missing)) slots = [.. slots, missing];
                    }
                    break;
                case Whereabouts.Several when PartedCommand.Of(command) is { } parted:
                    return await RunInPartsAsync(client, command, parted, request, reply).ConfigureAwait(false);
                case Whereabouts.Several:
                    await _server.Runner.RefuseAsync(client, command, s_severalSilos, reply).ConfigureAwait(false);
                    return Verdict.Refused;
            }
            if (Environment.TickCount64 >= until)
            {
                await _server.Runner.RefuseAsync(client, command, Errors.SlotNotServed.ToArray(), reply).ConfigureAwait(false);
                return Verdict.Refused;
            }
            await PauseAsync(changed, attempt).ConfigureAwait(false);
        }
        return Verdict.Closed;

        // The keys have left while it was waiting for them.
        void GoOn(MovedCommand? moved)
        {
            if (moved is null) return;
            request = moved.Request;
            wait!.WaitedMs = moved.WaitedMs;
            until = Environment.TickCount64 + PatienceMs;
        }
    }

    private static Verdict Ended(BlockedEnd end, RespWriter reply)
    {
        if (end == BlockedEnd.TimedOut) reply.NullArray();
        else if (end == BlockedEnd.Unblocked) reply.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK"u8);
        return Verdict.Admitted;
    }

    private static readonly byte[] s_severalSilos =
        [.. "CROSSSLOT Keys in request don't hash to slots of the same silo; give them a hash tag in common, as in {user1}.name"u8];

    /// <summary>The slots that a command needs.</summary>
    private static int[] SlotsOf(ClientConnection client, CommandInfo command, in Request request)
    {
        var slots = new SortedSet<int>();
        var positions = new List<int>();
        command.LocateKeys(request, positions);
        foreach (int position in positions) slots.Add(KeySlot.Of(request[position]));
        if (client.MissingSlot >= 0) slots.Add(client.MissingSlot);
        return [.. slots];
    }

    private Whereabouts Locate(int[] slots, out SiloId silo)
    {
        SlotMap map = _cluster.Map;
        silo = map[slots[0]].Owner;
        foreach (int slot in slots)
        {
            SiloId owner = map[slot].Owner;
            if (owner.IsNone) return Whereabouts.Nowhere;
            if (owner != silo) return Whereabouts.Several;
        }
        return silo == Self ? Whereabouts.Here : Whereabouts.Elsewhere;
    }

    /// <summary>Where some slots are.</summary>
    private enum Whereabouts
    {
        /// <summary>At least one of them has no owner.</summary>
        Nowhere,

        /// <summary>All on this silo.</summary>
        Here,

        /// <summary>All on one other silo.</summary>
        Elsewhere,

        /// <summary>On several silos.</summary>
        Several,
    }
}
