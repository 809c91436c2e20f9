namespace OrleansRedis.Engine;

/// <summary>The server that a log belongs to, as far as whoever writes the log needs it.</summary>
internal interface ILogOwner
{
    ServerOptions Options { get; }

    Clock Clock { get; }

    /// <summary>What the operator is told.</summary>
    ServerLog Log { get; }

    /// <summary>Refuses or holds back commands from now on.</summary>
    void Restrict(Restrictions restriction);

    /// <summary>Lets them in again.</summary>
    void Lift(Restrictions restriction);
}
