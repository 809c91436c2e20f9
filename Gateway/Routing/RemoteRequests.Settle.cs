using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>Asking again.</summary>
public sealed partial class RemoteRequests
{
    /// <summary>
    /// Asks again for what has not run, by the newest map, until all is answered or <see cref="PatienceMs"/> are over: then
    /// the rest is refused. What stays without an answer after that may have happened or not.
    /// </summary>
    internal async Task SettleAsync(ClientConnection client, RemotePipeline pipeline)
    {
        long until = Environment.TickCount64 + PatienceMs;
        for (int attempt = 0; !client.IsKilled; attempt++)
        {
            Task changed = WhenChanged;
            List<RemotePipeline.Hole> open = Open(pipeline.Holes);
            if (open.Count == 0) return;
            if (Environment.TickCount64 >= until)
            {
                foreach (RemotePipeline.Hole hole in open) Refuse(hole);
                return;
            }
            if (!await AskAgainAsync(client, open).ConfigureAwait(false)) await PauseAsync(changed, attempt).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Which requests are to be asked for again: those that have not run, and those that only read, but nothing after the
    /// first one whose outcome will never be known.
    /// </summary>
    private static List<RemotePipeline.Hole> Open(ReadOnlySpan<RemotePipeline.Hole> holes)
    {
        int end = holes.Length;
        var unknown = new HashSet<int>(); // slots that may have been changed later in the pipeline
        for (int i = holes.Length - 1; i >= 0; i--)
        {
            RemotePipeline.Hole hole = holes[i];
            bool isHopeless = hole.Status == RemoteStatus.Doubtful
                || (hole.Status == RemoteStatus.Lost && (!MayRunTwice(hole.Batch.CommandOf(hole.Index)) || unknown.Contains(hole.Slot)));
            if (!isHopeless) continue;
            unknown.Add(hole.Slot);
            end = i;
        }
        var open = new List<RemotePipeline.Hole>();
        foreach (RemotePipeline.Hole hole in holes[..end])
        {
            if (hole.Status != RemoteStatus.Done) open.Add(hole);
        }
        return open;
    }

    /// <summary>Asks once more. Returns whether anything has been answered.</summary>
    private async Task<bool> AskAgainAsync(ClientConnection client, List<RemotePipeline.Hole> open)
    {
        // One look at the map for each slot: its requests all go the same way.
        var ways = new Dictionary<int, SiloId>();
        var batches = new Dictionary<SiloId, RemoteBatch>();
        var sent = new List<(RemotePipeline.Hole Hole, RemoteBatch Batch, int Index)>();
        var here = new List<RemotePipeline.Hole>();
        foreach (RemotePipeline.Hole hole in open)
        {
            if (!ways.TryGetValue(hole.Slot, out SiloId owner)) ways.Add(hole.Slot, owner = OwnerOf(hole.Slot));
            if (owner.IsNone) continue;
            if (owner == Self)
            {
                here.Add(hole);
                continue;
            }
            if (!batches.TryGetValue(owner, out RemoteBatch? batch)) batches.Add(owner, batch = Begin(owner, client));
            sent.Add((hole, batch, batch.Count));
            OwnedRequest request = Parse(hole.Batch.FrameOf(hole.Index));
            batch.Add(hole.Batch.CommandOf(hole.Index), request.Request);
        }
        bool isAnswered = false;
        foreach (RemoteBatch batch in batches.Values) Send(batch);
        foreach (RemotePipeline.Hole hole in here) isAnswered |= await TryHereAsync(client, hole).ConfigureAwait(false);
        foreach (RemoteBatch batch in batches.Values) await batch.Answered.ConfigureAwait(false);
        foreach ((RemotePipeline.Hole hole, RemoteBatch batch, int index) in sent)
        {
            RemoteStatus status = batch.StatusOf(index);
            isAnswered |= status is RemoteStatus.Done or RemoteStatus.Stranger;
            hole.Batch.Settle(hole.Index, status, batch.ReplyOf(index).ToArray());
        }
        foreach (RemoteBatch batch in batches.Values) batch.Dispose();
        return isAnswered;
    }

    /// <summary>Runs a request on this silo, which has its slot by now.</summary>
    private async Task<bool> TryHereAsync(ClientConnection client, RemotePipeline.Hole hole)
    {
        var reply = new RespWriter { Resp3 = client.Protocol == 3 };
        OwnedRequest request = Parse(hole.Batch.FrameOf(hole.Index));
        Verdict verdict = await _server.Runner.FinishAsync(client, hole.Batch.CommandOf(hole.Index), request, former: null, reply, client.Disconnected)
            .ConfigureAwait(false);
        if (verdict == Verdict.Elsewhere) return false;
        hole.Batch.Settle(hole.Index, verdict == Verdict.Closed ? RemoteStatus.Doubtful : RemoteStatus.Done, reply.Written.ToArray());
        return true;
    }

    private void Refuse(RemotePipeline.Hole hole)
    {
        byte[] error = [.. "-"u8, .. Errors.SlotNotServed, .. "\r\n"u8];
        _server.Runner.Observer.Refused(hole.Batch.CommandOf(hole.Index), error);
        hole.Batch.Settle(hole.Index, RemoteStatus.Done, error);
    }

    private static OwnedRequest Parse(ReadOnlySpan<byte> frame)
    {
        var reader = new RequestReader { LargestBulk = int.MaxValue };
        reader.Read(frame);
        return reader.Request(reader.Keep(0), frame).ToOwned();
    }
}
