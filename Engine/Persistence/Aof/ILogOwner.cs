namespace OrleansRedis.Engine;

/// <summary>The server that a log belongs to, as far as the log's writer needs it.</summary>
internal interface ILogOwner
{
    ServerOptions Options { get; }

    Clock Clock { get; }

    /// <summary>Where messages to the operator go.</summary>
    ServerLog Log { get; }

    /// <summary>Where it is noted what takes long.</summary>
    LatencyMonitor Latency { get; }

    /// <summary>Refuses or delays commands from now on.</summary>
    void Restrict(Restrictions restriction);

    /// <summary>Lifts the restriction.</summary>
    void Lift(Restrictions restriction);
}
