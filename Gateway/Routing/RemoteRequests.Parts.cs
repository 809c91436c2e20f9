using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>MGET, MSET, DEL and the like with keys of several silos: each silo does its part.</summary>
public sealed partial class RemoteRequests
{
    private async Task<Verdict> RunInPartsAsync(ClientConnection client, CommandInfo command, PartedCommand parted, OwnedRequest request, RespWriter reply)
    {
        if ((request.Count - 1) % parted.Step != 0)
        {
            await _server.Runner.RefuseAsync(client, command, System.Text.Encoding.ASCII.GetBytes(Errors.WrongArity(command)), reply).ConfigureAwait(false);
            return Verdict.Refused;
        }
        var left = new List<int>(); // positions of the keys that are not done
        for (int i = 1; i < request.Count; i += parted.Step) left.Add(i);
        var elements = new byte[request.Count][];
        long sum = 0;
        bool isPartlyDone = false;
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0; !client.IsKilled; attempt++)
        {
            Task changed = WhenChanged;
            var asked = new List<(Task<Part> Part, List<int> Keys)>();
            foreach ((SiloId silo, List<int> keys) in ByOwner(left, request.Request))
                asked.Add((AskAsync(silo, client, command, PartOf(request.Request, keys, parted.Step), share: null), keys));
            bool isDoubtful = false;
            byte[]? error = null;
            foreach ((Task<Part> asking, List<int> keys) in asked)
            {
                Part part = await asking.ConfigureAwait(false);
                isDoubtful |= IsDoubtful(part.Status, command);
                if (part.Status != RemoteStatus.Done) continue;
                if (part.Reply is [(byte)'-', ..])
                {
                    error = part.Reply;
                    continue;
                }
                isPartlyDone = true;
                left.RemoveAll(new HashSet<int>(keys).Contains);
                if (parted.IsCounting) sum += new ReplyReader(part.Reply).Number();
                else if (parted.Step == 1) Distribute(part.Reply, keys, elements);
            }
            // Half of a write must not be called refused.
            if (isDoubtful || (error is not null && isPartlyDone && command.Is(CommandFlags.Write))) return Verdict.Closed;
            if (error is not null) reply.Raw(error);
            else if (left.Count == 0) Write(parted, elements, sum, reply);
            if (error is not null || left.Count == 0) return Verdict.Admitted;
            if (Environment.TickCount64 >= until)
                return isPartlyDone && command.Is(CommandFlags.Write) ? Verdict.Closed : Fail(Verdict.Refused, command, reply);
            await PauseAsync(changed, attempt).ConfigureAwait(false);
        }
        return Verdict.Closed;
    }

    /// <summary>Keys by the silos that have them, without those that nobody has.</summary>
    private Dictionary<SiloId, List<int>> ByOwner(List<int> keys, in Request request)
    {
        var groups = new Dictionary<SiloId, List<int>>();
        SlotMap map = _cluster.Map;
        foreach (int key in keys)
        {
            SiloId owner = map[KeySlot.Of(request[key])].Owner;
            if (owner.IsNone) continue;
            if (!groups.TryGetValue(owner, out List<int>? group)) groups.Add(owner, group = []);
            group.Add(key);
        }
        return groups;
    }

    private static OwnedRequest PartOf(in Request request, List<int> keys, int step)
    {
        var words = new List<ReadOnlyMemory<byte>> { request[0].ToArray() };
        foreach (int key in keys)
        {
            for (int i = 0; i < step; i++) words.Add(request[key + i].ToArray());
        }
        return OwnedRequest.Of([.. words]);
    }

    private static void Distribute(byte[] reply, List<int> keys, byte[][] elements)
    {
        var reader = new ReplyReader(reply);
        reader.Number();
        foreach (int key in keys) elements[key] = reader.Element().ToArray();
    }

    private static void Write(PartedCommand parted, byte[][] elements, long sum, RespWriter reply)
    {
        if (parted.IsCounting)
        {
            reply.Integer(sum);
        }
        else if (parted.Step == 2)
        {
            reply.Ok();
        }
        else
        {
            reply.Array(elements.Length - 1);
            foreach (byte[] element in elements.AsSpan(1)) reply.Raw(element);
        }
    }
}
