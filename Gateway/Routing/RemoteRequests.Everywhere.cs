using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Commands on all slots, or about all silos: each silo does its share, and the replies are put together. A share is a
/// set of slots, and a silo that does not have all of it does nothing and says so. Thus every slot is visited once, however
/// slots move meanwhile. The shares are not done at the same moment.
/// </summary>
public sealed partial class RemoteRequests
{
    private volatile Members _members = new(SlotMap.Empty(), ClusterView.Empty, [], []);

    /// <summary>Whether other silos own slots.</summary>
    internal bool HasOthers => CurrentMembers.Owners.Length > 1;

    /// <inheritdoc/>
    void IMessageRelay.Relay(ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool isSharded)
    {
        SiloId[] all = CurrentMembers.All;
        if (all.Length < 2) return;
        using var relayed = new MessageWriter();
        relayed.Byte(isSharded ? (byte)1 : (byte)0);
        relayed.Bytes(channel);
        relayed.Raw(message);
        foreach (SiloId silo in all)
        {
            if (silo != Self) _bus.TrySend(silo, RouteKinds.Publish, relayed.Written);
        }
    }

    private Members CurrentMembers
    {
        get
        {
            Members members = _members;
            SlotMap map = _cluster.Map;
            ClusterView view = _cluster.View;
            if (ReferenceEquals(members.Map, map) && ReferenceEquals(members.View, view)) return members;
            var owners = new HashSet<SiloId>();
            for (int slot = 0; slot < map.Count; slot++)
            {
                if (!map[slot].Owner.IsNone) owners.Add(map[slot].Owner);
            }
            return _members = new(map, view, [.. owners], [.. owners.Union(view.Members.Select(member => member.Id)).Append(Self).Distinct()]);
        }
    }

    private async Task<Verdict> RunEverywhereAsync(ClientConnection client, CommandInfo command, OwnedRequest request, RespWriter reply)
    {
        switch (command.Name)
        {
            case "scan":
                return await ScanAsync(client, command, request, reply).ConfigureAwait(false);
            case "evalsha" or "evalsha_ro":
                return await FetchAndRunAsync(client, command, request, reply).ConfigureAwait(false);
            case "randomkey":
                return await DrawAsync(client, command, request, reply).ConfigureAwait(false);
        }
        (Verdict verdict, List<Part> parts) = command.Is(CommandFlags.EverySilo)
            ? await AskAllAsync(client, command, request).ConfigureAwait(false)
            : await AskOwnersAsync(client, command, request).ConfigureAwait(false);
        if (verdict != Verdict.Admitted) return Fail(verdict, command, reply);
        byte[] error = parts.Find(static part => part.Reply is [(byte)'-', ..]).Reply;
        if (error is not null)
        {
            reply.Raw(error);
            return Verdict.Admitted;
        }
        switch (command.Name)
        {
            case "dbsize" or "pubsub|numpat":
                reply.Integer(parts.Sum(static part => new ReplyReader(part.Reply).Number()));
                break;
            case "keys":
                Concatenate(parts, reply);
                break;
            case "pubsub|channels" or "pubsub|shardchannels":
                Unite(parts, reply);
                break;
            case "script|exists":
                Either(parts, reply);
                break;
            case "pubsub|numsub" or "pubsub|shardnumsub":
                AddUp(parts, reply);
                break;
            default:
                reply.Raw(parts[0].Reply);
                break;
        }
        return Verdict.Admitted;
    }

    private Verdict Fail(Verdict verdict, CommandInfo command, RespWriter reply)
    {
        if (verdict != Verdict.Refused) return verdict;
        int mark = reply.Length;
        reply.Error(Errors.SlotNotServed);
        _server.Runner.Observer.Refused(command, reply.WrittenSince(mark));
        return verdict;
    }

    /// <summary>Has the owners of all slots run a command, each on its own.</summary>
    private async Task<(Verdict Verdict, List<Part> Parts)> AskOwnersAsync(ClientConnection client, CommandInfo command, OwnedRequest request)
    {
        var left = SlotSet.All();
        var parts = new List<Part>();
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0; !client.IsKilled; attempt++)
        {
            Task changed = WhenChanged;
            var asked = new List<(Task<Part> Part, SlotSet Share)>();
            foreach ((SiloId silo, SlotSet share) in SharesOf(left)) asked.Add((AskAsync(silo, client, command, request, share), share));
            bool isDoubtful = false;
            foreach ((Task<Part> asking, SlotSet share) in asked)
            {
                Part part = await asking.ConfigureAwait(false);
                isDoubtful |= IsDoubtful(part.Status, command);
                if (part.Status != RemoteStatus.Done) continue;
                parts.Add(part);
                left.Remove(share);
            }
            if (isDoubtful) return (Verdict.Closed, parts);
            if (left.IsEmpty) return (Verdict.Admitted, parts);
            // What has happened in part must not be called refused.
            if (Environment.TickCount64 >= until) return (parts.Count != 0 && command.Is(CommandFlags.Write) ? Verdict.Closed : Verdict.Refused, parts);
            await PauseAsync(changed, attempt).ConfigureAwait(false);
        }
        return (Verdict.Closed, parts);
    }

    /// <summary>
    /// Has all silos run a command, whether they own slots or not. For what only asks, a silo that cannot be reached has
    /// nothing to tell.
    /// </summary>
    private async Task<(Verdict Verdict, List<Part> Parts)> AskAllAsync(ClientConnection client, CommandInfo command, OwnedRequest request)
    {
        var left = new List<SiloId>(CurrentMembers.All);
        var parts = new List<Part>();
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0; !client.IsKilled; attempt++)
        {
            Task changed = WhenChanged;
            Part[] asked = await Task.WhenAll(left.Select(silo => AskAsync(silo, client, command, request, share: null))).ConfigureAwait(false);
            bool isDoubtful = false;
            foreach (Part part in asked)
            {
                isDoubtful |= IsDoubtful(part.Status, command);
                if (part.Status != RemoteStatus.Done) continue;
                parts.Add(part);
                left.Remove(part.Silo);
            }
            if (left.Count == 0 || command.Is(CommandFlags.PubSub)) return (Verdict.Admitted, parts);
            if (isDoubtful) return (Verdict.Closed, parts);
            if (Environment.TickCount64 >= until) return (parts.Count == 0 ? Verdict.Refused : Verdict.Closed, parts);
            await PauseAsync(changed, attempt).ConfigureAwait(false);
            left.RemoveAll(silo => !CurrentMembers.All.Contains(silo));
        }
        return (Verdict.Closed, parts);
    }

    private static bool IsDoubtful(RemoteStatus status, CommandInfo command) =>
        status == RemoteStatus.Doubtful || (status == RemoteStatus.Lost && !MayRunTwice(command));

    private Dictionary<SiloId, SlotSet> SharesOf(SlotSet slots)
    {
        var shares = new Dictionary<SiloId, SlotSet>();
        SlotMap map = _cluster.Map;
        for (int slot = 0; slot < map.Count; slot++)
        {
            SiloId owner = map[slot].Owner;
            if (owner.IsNone || !slots.Contains(slot)) continue;
            if (!shares.TryGetValue(owner, out SlotSet? share)) shares.Add(owner, share = new());
            share.Add(slot);
        }
        return shares;
    }

    /// <summary>Has one silo run a command on its share, this one as well.</summary>
    private async Task<Part> AskAsync(SiloId silo, ClientConnection client, CommandInfo command, OwnedRequest request, SlotSet? share)
    {
        if (silo == Self)
        {
            using var session = new ForwardedSession(_server.Store) { Attempting = client.OnPart };
            session.ActAs(client.Identity with { Tracking = null });
            session.Tracking = client.Tracking;
            session.Begin(0, share);
            var reply = new RespWriter { Resp3 = session.IsResp3 };
            Verdict verdict = await _server.Runner.FinishAsync(session, command, request, former: null, reply, client.Disconnected).ConfigureAwait(false);
            RemoteStatus status = verdict switch
            {
                Verdict.Elsewhere => RemoteStatus.Elsewhere,
                Verdict.Closed => RemoteStatus.Unsent,
                _ => RemoteStatus.Done,
            };
            return new(silo, status, reply.Written.ToArray());
        }
        while (true)
        {
            using RemoteBatch batch = Begin(silo, client, share: share);
            batch.Add(command, request.Request);
            Send(batch);
            await batch.Answered.ConfigureAwait(false);
            if (batch.StatusOf(0) != RemoteStatus.Stranger) return new(silo, batch.StatusOf(0), batch.ReplyOf(0).ToArray());
        }
    }

    /// <summary>
    /// SCAN goes through the slots in their order, whoever owns them, so that what moves meanwhile is not missed: one call
    /// goes on with one owner, as far as its slots follow each other, and with the next if nothing was found.
    /// </summary>
    private async Task<Verdict> ScanAsync(ClientConnection client, CommandInfo command, OwnedRequest request, RespWriter reply)
    {
        const int MostOwners = 256;
        var words = new ReadOnlyMemory<byte>[request.Count];
        for (int i = 0; i < words.Length; i++) words[i] = request.Request[i].ToArray();
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0, owners = 0; !client.IsKilled; attempt++)
        {
            Task changed = WhenChanged;
            bool isCursor = ulong.TryParse(words[1].Span, System.Globalization.CultureInfo.InvariantCulture, out ulong cursor) && cursor >> 32 < KeySlot.Count;
            int from = isCursor ? (int)(cursor >> 32) : 0, end = from;
            SlotMap map = _cluster.Map;
            SiloId owner = isCursor ? map[from].Owner : Self;
            if (!owner.IsNone)
            {
                var share = new SlotSet();
                for (; isCursor && end < KeySlot.Count && map[end].Owner == owner; end++) share.Add(end);
                Part part = await AskAsync(owner, client, command, OwnedRequest.Of(words), share).ConfigureAwait(false);
                if (part.Status == RemoteStatus.Done)
                {
                    if (part.Reply is [(byte)'-', ..])
                    {
                        reply.Raw(part.Reply);
                        return Verdict.Admitted;
                    }
                    if (Goes(part.Reply, end, ref words[1], ++owners < MostOwners, reply)) continue;
                    return Verdict.Admitted;
                }
            }
            if (Environment.TickCount64 >= until) return Fail(Verdict.Refused, command, reply);
            await PauseAsync(changed, attempt).ConfigureAwait(false);
        }
        return Verdict.Closed;
    }

    /// <summary>Replies to SCAN with what an owner has found. If that is nothing, the scan goes on: true.</summary>
    private static bool Goes(byte[] found, int end, ref ReadOnlyMemory<byte> cursor, bool mayGoOn, RespWriter reply)
    {
        var reader = new ReplyReader(found);
        reader.Number();
        byte[] next = reader.Bulk().ToArray();
        bool isOver = next is [(byte)'0'];
        if (isOver && end != 0 && end < KeySlot.Count)
        {
            next = System.Text.Encoding.ASCII.GetBytes(((ulong)end << 32).ToString(System.Globalization.CultureInfo.InvariantCulture));
            isOver = false;
        }
        if (!isOver && mayGoOn && reader.Rest is [(byte)'*', (byte)'0', ..])
        {
            cursor = next;
            return true;
        }
        reply.Array(2);
        reply.BulkString(next);
        reply.Raw(reader.Rest);
        return false;
    }

    /// <summary>RANDOMKEY: a silo is drawn by how many keys it has, and draws one of them.</summary>
    private async Task<Verdict> DrawAsync(ClientConnection client, CommandInfo command, OwnedRequest request, RespWriter reply)
    {
        CommandInfo count = _server.Commands.FindDeclared("dbsize"u8)!;
        OwnedRequest counting = OwnedRequest.Of("DBSIZE"u8.ToArray());
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0; Environment.TickCount64 < until; attempt++)
        {
            Task changed = WhenChanged;
            (Verdict verdict, List<Part> counts) = await AskOwnersAsync(client, count, counting).ConfigureAwait(false);
            if (verdict != Verdict.Admitted) return Fail(verdict, command, reply);
            long total = counts.Sum(static part => new ReplyReader(part.Reply).Number());
            if (total == 0) break;
            long at = Random.Shared.NextInt64(total);
            SiloId drawn = counts.First(part => (at -= new ReplyReader(part.Reply).Number()) < 0).Silo;
            if (SharesOf(SlotSet.All()).GetValueOrDefault(drawn) is { } share)
            {
                Part part = await AskAsync(drawn, client, command, request, share).ConfigureAwait(false);
                if (part.Status == RemoteStatus.Done && part.Reply is [(byte)'$', not (byte)'-', ..] or [(byte)'-', ..])
                {
                    reply.Raw(part.Reply);
                    return Verdict.Admitted;
                }
            }
            // Its keys have gone meanwhile, or some of its slots have.
            await PauseAsync(changed, attempt).ConfigureAwait(false);
        }
        reply.Null();
        return Verdict.Admitted;
    }

    private static void Concatenate(List<Part> parts, RespWriter reply)
    {
        reply.Array(parts.Sum(static part => new ReplyReader(part.Reply).Number()));
        foreach (Part part in parts)
        {
            var reader = new ReplyReader(part.Reply);
            reader.Number();
            reply.Raw(reader.Rest);
        }
    }

    private static void Unite(List<Part> parts, RespWriter reply)
    {
        var all = new HashSet<byte[]>(ByteStrings.Comparer);
        foreach (Part part in parts)
        {
            var reader = new ReplyReader(part.Reply);
            for (long left = reader.Number(); left > 0; left--) all.Add(reader.Bulk().ToArray());
        }
        reply.Array(all.Count);
        foreach (byte[] name in all) reply.BulkString(name);
    }

    /// <summary>Numbers that are 1 where any part has 1.</summary>
    private static void Either(List<Part> parts, RespWriter reply)
    {
        long count = new ReplyReader(parts[0].Reply).Number();
        var any = new bool[count];
        foreach (Part part in parts)
        {
            var reader = new ReplyReader(part.Reply);
            reader.Number();
            for (int i = 0; i < count; i++) any[i] |= reader.Number() != 0;
        }
        reply.Array(count);
        foreach (bool one in any) reply.Integer(one ? 1 : 0);
    }

    /// <summary>Names with numbers, the names being the same in all parts.</summary>
    private static void AddUp(List<Part> parts, RespWriter reply)
    {
        var first = new ReplyReader(parts[0].Reply);
        int count = (int)(first.Number() / 2);
        var sums = new long[count];
        foreach (Part part in parts)
        {
            var reader = new ReplyReader(part.Reply);
            reader.Number();
            for (int i = 0; i < count; i++)
            {
                reader.Bulk();
                sums[i] += reader.Number();
            }
        }
        reply.Array(count * 2L);
        for (int i = 0; i < count; i++)
        {
            reply.BulkString(first.Bulk());
            first.Number();
            reply.Integer(sums[i]);
        }
    }

    /// <summary>What a silo has said.</summary>
    private readonly record struct Part(SiloId Silo, RemoteStatus Status, byte[] Reply);

    /// <summary>Who is in the cluster, by a map and a view.</summary>
    private sealed record Members(SlotMap Map, ClusterView View, SiloId[] Owners, SiloId[] All);
}
