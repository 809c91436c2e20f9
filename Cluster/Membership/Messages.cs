namespace OrleansRedis.Cluster;

/// <summary>
/// What silos say to each other besides heartbeats. Messages go to nodes; whichever silo lives there gets them, once,
/// several times or never, in any order. They are immutable.
/// </summary>
/// <param name="From">Who sends it.</param>
public abstract record ClusterMessage(SiloId From);

/// <summary>"I am here": sent by every silo to every other one, all the time.</summary>
/// <param name="From">Who sends it.</param>
/// <param name="Stamp">The sender's time. Only the sender compares it with anything.</param>
/// <param name="EchoFor">The life of the receiver's node that the echo is for.</param>
/// <param name="Echo">
/// The highest stamp that the sender has from the receiver: this acknowledges it. 0 if there is none.
/// </param>
/// <param name="ViewVersion">The version of the sender's view when it sent this.</param>
/// <param name="MapVersion">The version of its slot map.</param>
/// <param name="QuietFor">For how long it has not heard any silo that is out by its view.</param>
/// <param name="Suspects">The nodes that it suspects, in ascending order.</param>
public readonly record struct Heartbeat(
    SiloId From, long Stamp, int EchoFor, long Echo, long ViewVersion, long MapVersion, long QuietFor, IReadOnlyList<long> Suspects);

/// <summary>"Let me in", or, from a member, "this is what I am now". Repeated until the view says so.</summary>
public sealed record JoinRequest(SiloId From, Member Member, long ViewVersion) : ClusterMessage(From);

/// <summary>"I have this version of the view; you have a newer one."</summary>
public sealed record ViewRequest(SiloId From, long Version) : ClusterMessage(From);

/// <summary>The sender's view.</summary>
public sealed record ViewUpdate(SiloId From, ClusterView View) : ClusterMessage(From);

/// <summary>An operator's wish, for the silo that it is about: SILO DRAIN, and its opposite.</summary>
public sealed record LeaveRequest(SiloId From, SiloId Silo, bool IsLeaving) : ClusterMessage(From);

/// <summary>How a request to write a document ended.</summary>
public enum WriteOutcome
{
    /// <summary>It is the new version.</summary>
    Stored,

    /// <summary>Another version was there: this one is not stored, and never will be.</summary>
    Refused,

    /// <summary>It failed: it may be stored, now or later.</summary>
    Unknown,
}
