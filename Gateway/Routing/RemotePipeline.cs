using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The requests of one client that are under way to other silos, and where their replies belong among those that are
/// already written. Requests for one slot all go the same way, in order, as long as any of them is under way: whatever
/// happens to the slot meanwhile, a client sees its own commands in order.
/// </summary>
internal sealed class RemotePipeline
{
    /// <summary>So much may be under way for one client; then it has to wait for the answers.</summary>
    private const int MostRequests = 4096, MostBytes = 256 * 1024;

    /// <summary>Room for so many requests is kept from one time to the next.</summary>
    private const int MostKept = 256;

    private readonly List<RemoteBatch> _batches = [];
    private Hole[] _holes = new Hole[16];
    private ushort[] _slots = new ushort[16];
    private int _bytes;

    /// <summary>How many requests there are.</summary>
    public int Count { get; private set; }

    /// <summary>Whether there is room for another request.</summary>
    public bool HasRoom => Count < MostRequests && _bytes < MostBytes;

    /// <summary>How many bytes the requests have.</summary>
    public int Bytes => _bytes;

    public IReadOnlyList<RemoteBatch> Batches => _batches;

    /// <summary>Replies to later requests that were run here.</summary>
    public byte[] Aside { get; private set; } = [];

    /// <summary>The position of the log before the first of those; -1 if they do not depend on the log.</summary>
    public long Since { get; private set; } = -1;

    public ReadOnlySpan<Hole> Holes => _holes.AsSpan(0, Count);

    /// <summary>Where requests for a slot are under way to; null if there are none.</summary>
    public RemoteBatch? WayOf(int slot)
    {
        int at = _slots.AsSpan(0, Count).IndexOf((ushort)slot);
        return at < 0 ? null : _holes[at].Batch;
    }

    /// <summary>The requests for a silo.</summary>
    public RemoteBatch BatchTo(SiloId silo, RemoteRequests remote, ClientConnection client)
    {
        foreach (RemoteBatch batch in _batches)
        {
            if (batch.Silo == silo) return batch;
        }
        RemoteBatch begun = remote.Begin(silo, client);
        _batches.Add(begun);
        return begun;
    }

    /// <summary>Adds a request.</summary>
    /// <param name="batch">Where it goes.</param>
    /// <param name="command">The command.</param>
    /// <param name="request">The request.</param>
    /// <param name="slot">Its slot.</param>
    /// <param name="at">The position of its reply in the connection's output.</param>
    /// <param name="isSilent">Whether its reply is not wanted.</param>
    public void Add(RemoteBatch batch, CommandInfo command, in Request request, int slot, int at, bool isSilent)
    {
        if (Count == _holes.Length)
        {
            Array.Resize(ref _holes, Count * 2);
            Array.Resize(ref _slots, Count * 2);
        }
        _slots[Count] = (ushort)slot;
        _holes[Count++] = new(at, slot, batch, batch.Count, isSilent);
        int before = batch.Message.Length;
        batch.Add(command, request);
        _bytes += batch.Message.Length - before;
    }

    /// <summary>
    /// Takes the replies that are to follow the first one that is missing from the output; what remains there can be sent.
    /// </summary>
    public void SetAside(RespWriter output, long since)
    {
        int first = _holes[0].At;
        Since = since;
        Aside = output.WrittenSince(first).ToArray();
        output.TruncateTo(first);
    }

    /// <summary>Everything is answered.</summary>
    public void Clear()
    {
        foreach (RemoteBatch batch in _batches) batch.Dispose();
        _batches.Clear();
        if (_holes.Length > MostKept) (_holes, _slots) = (new Hole[16], new ushort[16]);
        else Array.Clear(_holes, 0, Count);
        Count = _bytes = 0;
        Aside = [];
        Since = -1;
    }

    /// <summary>A reply that is missing.</summary>
    /// <param name="At">Its position in the output.</param>
    /// <param name="Slot">The slot of its request.</param>
    /// <param name="Batch">Where its request is.</param>
    /// <param name="Index">Which one it is there.</param>
    /// <param name="IsSilent">Whether nobody wants it (CLIENT REPLY).</param>
    public readonly record struct Hole(int At, int Slot, RemoteBatch Batch, int Index, bool IsSilent)
    {
        public RemoteStatus Status => Batch.StatusOf(Index);
    }
}
