namespace OrleansRedis.Cluster;

/// <summary>
/// Takes up a message from another silo. Called on the thread that reads from that silo, one message after the other:
/// it must be quick and must not wait, since heartbeats are behind it. The bytes are there until it returns.
/// </summary>
public delegate void BusHandler(SiloId from, ReadOnlySpan<byte> payload);

/// <summary>
/// Carries messages between this silo and every other one, over one connection per pair, which comes back when it has
/// broken. Safe for any thread.
/// <para>
/// As long as a connection lives, messages of one lane (<see cref="BusKinds.LaneOf"/>) arrive in order, each once. What
/// was sent over a connection that has broken may have arrived or not, but does not arrive after anything that is sent
/// over the next one: <see cref="Broken"/> comes after the last message of a connection has been taken up, and before
/// <see cref="Connected"/> for the next one.
/// </para>
/// </summary>
public interface ISiloBus
{
    /// <summary>This silo.</summary>
    SiloId Self { get; }

    /// <summary>A connection to a silo is there. Called like a <see cref="BusHandler"/>.</summary>
    event Action<SiloId>? Connected;

    /// <summary>The connection to a silo has broken. Called like a <see cref="BusHandler"/>.</summary>
    event Action<SiloId>? Broken;

    /// <summary>
    /// Hands a message over, which is copied; never waits. False, and nothing is sent, if there is no connection to
    /// that silo, or if too much of the same lane waits to be sent: <see cref="WhenReady"/> says when to try again.
    /// </summary>
    /// <param name="to">The silo; another life of its node does not get it.</param>
    /// <param name="kind">What the message is; see <see cref="BusKinds"/>.</param>
    /// <param name="payload">Its content, no more than <see cref="BusKinds.MostBytes"/>.</param>
    bool TrySend(SiloId to, byte kind, ReadOnlySpan<byte> payload);

    /// <summary>
    /// Completes when there is a connection to a silo and room in a lane. Does not complete for a silo that is gone
    /// for good.
    /// </summary>
    Task WhenReady(SiloId to, BusLane lane);

    /// <summary>Has messages of a kind taken up. To be called before the bus starts, once for each kind.</summary>
    void Handle(byte kind, BusHandler handler);
}

/// <summary>What is sent in an order of its own, so that nothing waits behind what is larger.</summary>
public enum BusLane
{
    /// <summary>Heartbeats and what silos agree on: before everything else.</summary>
    Control,

    /// <summary>Requests and replies of commands.</summary>
    Commands,

    /// <summary>Copies of slots.</summary>
    Bulk,
}

/// <summary>The kinds of messages.</summary>
public static class BusKinds
{
    /// <summary>The largest content of a message.</summary>
    public const int MostBytes = 64 << 20;

    /// <summary>A <see cref="Cluster.Heartbeat"/>.</summary>
    public const byte Heartbeat = 1;

    /// <summary>A <see cref="ClusterMessage"/>.</summary>
    public const byte Message = 2;

    /// <summary>From here to <see cref="FirstBulk"/>: requests and replies of commands.</summary>
    public const byte FirstCommand = 32;

    /// <summary>From here on: copies of slots.</summary>
    public const byte FirstBulk = 64;

    /// <summary>The lane of a kind.</summary>
    public static BusLane LaneOf(byte kind) =>
        kind < FirstCommand ? BusLane.Control : kind < FirstBulk ? BusLane.Commands : BusLane.Bulk;
}
