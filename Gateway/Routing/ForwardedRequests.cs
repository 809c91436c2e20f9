using System.Collections.Concurrent;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>Runs what other silos bring here for their clients, each client's requests in order.</summary>
public sealed class ForwardedRequests
{
    private readonly ISiloBus _bus;
    private readonly IClusterState _cluster;
    private readonly Pieces _pieces = new();
    private readonly ConcurrentDictionary<SiloId, ConcurrentDictionary<long, ForwardedSession>> _sessions = [];

    /// <summary>Before the bus starts.</summary>
    public ForwardedRequests(RedisServer server, ISiloBus bus, IClusterState cluster)
    {
        Server = server;
        _bus = bus;
        _cluster = cluster;
        bus.Handle(RouteKinds.Requests, OnRequests);
        bus.Handle(RouteKinds.Forget, OnForget);
        bus.Handle(RouteKinds.Unblock, OnUnblock);
        bus.Handle(RouteKinds.Publish, OnPublish);
        bus.Handle(RouteKinds.Piece, (from, payload) => _pieces.Take(from, payload, OnWhole));
        bus.Broken += OnBroken;
    }

    internal RedisServer Server { get; }

    /// <summary>Whether this silo may still answer for its slots.</summary>
    internal bool MayAnswer => _cluster.HoldsLease;

    /// <summary>Whether a slot is this silo's, and about to be opened.</summary>
    internal bool IsComing(int slot) => Server.Runner.Router.Locate(slot).Place == SlotPlace.Here;

    /// <summary>Sends an answer. If it cannot be sent, the connection has broken, and nobody waits for it any more.</summary>
    internal void SendAnswer(SiloId to, long number, MessageWriter message)
    {
        using (message)
        {
            if (message.Length > RouteKinds.PieceBytes || !_bus.TrySend(to, RouteKinds.Answers, message.Written))
                _ = Pieces.SendAsync(_bus, to, RouteKinds.Answers, number, message.Written.ToArray());
        }
    }

    internal void OnFailed(Exception failure) => Log.ForwardedFailed(Server.Logger, failure);

    private void OnWhole(SiloId from, byte kind, ReadOnlyMemory<byte> payload)
    {
        if (kind == RouteKinds.Requests) OnRequests(from, payload.Span);
        else if (kind == RouteKinds.Invalidate) Server.Remote?.OnInvalidate(from, payload.Span);
        else Server.Remote?.OnAnswers(from, payload.Span);
    }

    private void OnRequests(SiloId from, ReadOnlySpan<byte> payload)
    {
        var message = new MessageReader(payload);
        long number = message.Int64(), client = message.Int64();
        var parts = (BatchParts)message.Byte();
        bool isIntroduced = (parts & BatchParts.Identity) != 0;
        long waitedMs = message.Int64();
        int count = message.Int32();
        ConcurrentDictionary<long, ForwardedSession> sessions = _sessions.GetOrAdd(from, static _ => []);
        if ((parts & BatchParts.Fresh) != 0 && sessions.TryRemove(client, out ForwardedSession? former)) _ = former.EndAsync();
        bool isKnown = sessions.TryGetValue(client, out ForwardedSession? session);
        if (isKnown ? (parts & BatchParts.Watching) != 0 && session!.Transaction is null : !isIntroduced || (parts & BatchParts.Watching) != 0)
        {
            TellStranger(from, number, count);
            return;
        }
        if (session is null) sessions[client] = session = new(Server.Store) { Invalidating = key => Invalidate(from, client, key) };
        if (isIntroduced) session.ActAs(ClientIdentity.Read(ref message));
        session.Begin(waitedMs, (parts & BatchParts.Share) != 0 ? SlotSet.Of(message.Bytes()) : null);
        new ForwardedBatch(this, from, number, session, count).Run(message.Rest);
    }

    private void TellStranger(SiloId to, long number, int count)
    {
        var message = new MessageWriter();
        message.Int64(number);
        for (int i = 0; i < count; i++)
        {
            message.Byte((byte)RemoteStatus.Stranger);
            message.Int32(0);
        }
        SendAnswer(to, number, message);
    }

    private void OnForget(SiloId from, ReadOnlySpan<byte> payload)
    {
        if (_sessions.TryGetValue(from, out ConcurrentDictionary<long, ForwardedSession>? sessions)
            && sessions.TryRemove(new MessageReader(payload).Int64(), out ForwardedSession? session))
            _ = session.EndAsync();
    }

    /// <summary>Called under gates.</summary>
    private void Invalidate(SiloId to, long client, byte[]? key)
    {
        using var message = new MessageWriter();
        message.Int64(client);
        message.Byte(key is null ? (byte)0 : (byte)1);
        message.Raw(key);
        // If there is no way to that silo, the connection has broken, and it has the client forget everything.
        if (!_bus.TrySend(to, RouteKinds.Invalidate, message.Written))
            _ = Pieces.SendAsync(_bus, to, RouteKinds.Invalidate, client, message.Written.ToArray());
    }

    private void OnPublish(SiloId from, ReadOnlySpan<byte> payload)
    {
        var message = new MessageReader(payload);
        bool isSharded = message.Byte() != 0;
        ReadOnlySpan<byte> channel = message.Bytes();
        Server.PubSub.Deliver(channel, message.Rest, isSharded);
    }

    private void OnUnblock(SiloId from, ReadOnlySpan<byte> payload)
    {
        var message = new MessageReader(payload);
        long number = message.Int64(), client = message.Int64();
        var end = (BlockedEnd)message.Byte();
        bool hasEnded = _sessions.TryGetValue(from, out ConcurrentDictionary<long, ForwardedSession>? sessions)
            && sessions.TryGetValue(client, out ForwardedSession? session) && session.TryEndWait(end);
        using var answer = new MessageWriter();
        answer.Int64(number);
        answer.Byte(hasEnded ? (byte)1 : (byte)0);
        _bus.TrySend(from, RouteKinds.Unblocked, answer.Written);
    }

    private void OnBroken(SiloId silo)
    {
        _pieces.Forget(silo);
        if (!_sessions.TryRemove(silo, out ConcurrentDictionary<long, ForwardedSession>? sessions)) return;
        foreach (ForwardedSession session in sessions.Values) _ = session.EndAsync();
    }
}
