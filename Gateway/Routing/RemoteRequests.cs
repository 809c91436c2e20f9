using System.Collections.Concurrent;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Brings the requests of this silo's clients to the silos that have their keys, and again, if those turn out not to
/// have them any more. Nothing is asked for twice that may have happened: where a connection between silos breaks, only
/// what merely reads is asked for again. docs/architecture/routing.md has the whole of it.
/// </summary>
public sealed partial class RemoteRequests : IMessageRelay
{
    private readonly RedisServer _server;
    private readonly ISiloBus _bus;
    private readonly IClusterState _cluster;
    private readonly ConcurrentDictionary<SiloId, Peer> _peers = [];
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _lastNumber;

    /// <summary>Before the bus starts.</summary>
    public RemoteRequests(RedisServer server, ISiloBus bus, IClusterState cluster)
    {
        _server = server;
        _bus = bus;
        _cluster = cluster;
        bus.Handle(RouteKinds.Answers, OnAnswers);
        bus.Handle(RouteKinds.Unblocked, OnUnblocked);
        bus.Handle(RouteKinds.Invalidate, OnInvalidate);
        bus.Broken += OnBroken;
        cluster.Changed += OnChanged;
        server.Remote = this;
        server.PubSub.Relay = this;
    }

    /// <summary>This silo.</summary>
    public SiloId Self => _cluster.Self;

    /// <summary>
    /// For how long a command waits for its slot to be served anywhere before it is refused, in ms (cluster-node-timeout).
    /// </summary>
    public long PatienceMs { get; set; } = 15_000;

    /// <summary>Who owns a slot by the newest map that is known here.</summary>
    public SiloId OwnerOf(int slot) => _cluster.Map[slot].Owner;

    /// <summary>
    /// Completes when a newer map holds, or something has changed about the slots here. To be asked for before looking.
    /// </summary>
    internal Task WhenChanged => Volatile.Read(ref _changed).Task;

    /// <summary>Begins to gather requests of a client for a silo.</summary>
    internal RemoteBatch Begin(SiloId silo, ClientConnection client, long waitedMs = 0, SlotSet? share = null, bool isWatching = false)
    {
        ClientIdentity identity = client.Identity;
        bool isKnown = PeerOf(silo).Known.TryGetValue(client.Id, out ClientIdentity known);
        BatchParts parts = (isKnown ? 0 : BatchParts.Fresh) | (isWatching ? BatchParts.Watching : 0);
        return new(silo, client.Id, isKnown && known == identity ? null : identity, parts, waitedMs, share) { Wait = client.RemoteWait };
    }

    /// <summary>Sends what was gathered. <see cref="RemoteBatch.Answered"/> says the rest.</summary>
    internal void Send(RemoteBatch batch)
    {
        Peer peer = PeerOf(batch.Silo);
        batch.Seal(Interlocked.Increment(ref _lastNumber));
        peer.UnderWay[batch.Number] = batch;
        if (batch.Message.Length > RouteKinds.PieceBytes)
        {
            _ = SendInPiecesAsync(peer, batch);
        }
        else if (_bus.TrySend(batch.Silo, RouteKinds.Requests, batch.Message))
        {
            Sent(peer, batch);
        }
        else if (peer.UnderWay.TryRemove(batch.Number, out _))
        {
            batch.End(RemoteStatus.Unsent);
        }
    }

    /// <summary>
    /// Waits before requests that have not run are tried again: until something has changed here, but not for long, since it
    /// may be another silo that has to learn something.
    /// </summary>
    /// <param name="changed">What <see cref="WhenChanged"/> was before.</param>
    /// <param name="attempt">How many attempts there have been.</param>
    internal static Task PauseAsync(Task changed, int attempt) => Task.WhenAny(changed, Task.Delay(Math.Min(50, 1 << Math.Min(attempt, 6))));

    /// <summary>Has a silo end the wait of a client. Returns whether that did it.</summary>
    internal Task<bool> UnblockAsync(SiloId silo, long client, BlockedEnd end)
    {
        Peer peer = PeerOf(silo);
        long number = Interlocked.Increment(ref _lastNumber);
        var answer = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        peer.Unblocking[number] = answer;
        using var message = new MessageWriter();
        message.Int64(number);
        message.Int64(client);
        message.Byte((byte)end);
        if (!_bus.TrySend(silo, RouteKinds.Unblock, message.Written) && peer.Unblocking.TryRemove(number, out _)) answer.SetResult(false);
        return answer.Task;
    }

    /// <summary>A client is gone.</summary>
    internal void Forget(ClientConnection client)
    {
        foreach (Peer peer in _peers.Values) Forget(peer, client.Id);
    }

    private void Forget(Peer peer, long client)
    {
        if (!peer.Known.TryRemove(client, out _)) return;
        using var message = new MessageWriter();
        message.Int64(client);
        _bus.TrySend(peer.Silo, RouteKinds.Forget, message.Written);
    }

    /// <summary>Whether a request that may have run can be asked for again all the same.</summary>
    internal static bool MayRunTwice(CommandInfo command) => command.Is(CommandFlags.ReadOnly) && !command.Is(CommandFlags.MayReplicate);

    private Peer PeerOf(SiloId silo) => _peers.TryGetValue(silo, out Peer? peer) ? peer : _peers.GetOrAdd(silo, static silo => new(silo));

    private static void Sent(Peer peer, RemoteBatch batch)
    {
        // If the connection breaks just now, the silo asks who that is.
        // What CLIENT CACHING says is for one command, and has to be said again.
        if (batch.Identity is { } identity) peer.Known[batch.Client] = identity with { IsTold = false };
    }

    private async Task SendInPiecesAsync(Peer peer, RemoteBatch batch)
    {
        if (await Pieces.SendAsync(_bus, batch.Silo, RouteKinds.Requests, batch.Number, batch.Message.ToArray()).ConfigureAwait(false)) Sent(peer, batch);
        else if (peer.UnderWay.TryRemove(batch.Number, out _)) batch.End(RemoteStatus.Unsent);
    }

    internal void OnAnswers(SiloId from, ReadOnlySpan<byte> payload)
    {
        var message = new MessageReader(payload);
        if (!PeerOf(from).UnderWay.TryRemove(message.Int64(), out RemoteBatch? batch)) return; // given up meanwhile
        batch.TakeAnswers(ref message);
        if (batch.StatusOf(0) == RemoteStatus.Stranger) PeerOf(from).Known.TryRemove(batch.Client, out _);
        batch.Complete();
    }

    private void OnUnblocked(SiloId from, ReadOnlySpan<byte> payload)
    {
        var message = new MessageReader(payload);
        if (PeerOf(from).Unblocking.TryRemove(message.Int64(), out TaskCompletionSource<bool>? answer)) answer.SetResult(message.Byte() != 0);
    }

    internal void OnInvalidate(SiloId from, ReadOnlySpan<byte> payload)
    {
        var message = new MessageReader(payload);
        long client = message.Int64();
        bool isOne = message.Byte() != 0;
        Invalidate(client, isOne ? message.Rest.ToArray() : null);
    }

    private void Invalidate(long client, byte[]? key)
    {
        if (_server.Clients.Find(client) is not IInvalidated invalidated) return;
        if (key is null) invalidated.AllInvalidated();
        else invalidated.Invalidated(key, prefix: null);
    }

    private void OnBroken(SiloId silo)
    {
        Peer peer = PeerOf(silo);
        Interlocked.Increment(ref peer.Connections);
        foreach ((long client, ClientIdentity identity) in peer.Known)
        {
            // It will not be told any more of what it has read there.
            if (identity.Tracking is not null) Invalidate(client, null);
        }
        peer.Known.Clear(); // it has forgotten them, too
        foreach (long number in peer.UnderWay.Keys)
        {
            if (peer.UnderWay.TryRemove(number, out RemoteBatch? batch)) batch.End(RemoteStatus.Lost);
        }
        foreach (long number in peer.Unblocking.Keys)
        {
            if (peer.Unblocking.TryRemove(number, out TaskCompletionSource<bool>? answer)) answer.SetResult(false);
        }
    }

    private void OnChanged() => Interlocked.Exchange(ref _changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();

    /// <summary>Another silo.</summary>
    private sealed class Peer(SiloId silo)
    {
        public SiloId Silo { get; } = silo;

        /// <summary>How many connections to it have broken.</summary>
        public int Connections;

        /// <summary>What it has been sent and has not answered, by number.</summary>
        public ConcurrentDictionary<long, RemoteBatch> UnderWay { get; } = [];

        /// <summary>The waits that it is to end, and has not answered for.</summary>
        public ConcurrentDictionary<long, TaskCompletionSource<bool>> Unblocking { get; } = [];

        /// <summary>The clients that it knows, and as whom.</summary>
        public ConcurrentDictionary<long, ClientIdentity> Known { get; } = [];
    }
}
