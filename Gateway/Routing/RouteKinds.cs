using OrleansRedis.Cluster;

namespace OrleansRedis.Gateway;

/// <summary>The messages by which silos run commands for each other; docs/architecture/routing.md tells of them.</summary>
internal static class RouteKinds
{
    /// <summary>Requests of one client, to be run in order: <see cref="RemoteBatch"/>.</summary>
    public const byte Requests = BusKinds.FirstCommand;

    /// <summary>What has become of them.</summary>
    public const byte Answers = Requests + 1;

    /// <summary>A piece of a message that is too large for one.</summary>
    public const byte Piece = Requests + 2;

    /// <summary>A client is gone, or at least does not wait any more.</summary>
    public const byte Forget = Requests + 3;

    /// <summary>A client's wait for keys is to end.</summary>
    public const byte Unblock = Requests + 4;

    /// <summary>Whether it has ended because of that.</summary>
    public const byte Unblocked = Requests + 5;

    /// <summary>A message for the subscribers of a channel.</summary>
    public const byte Publish = Requests + 6;

    /// <summary>A client has read a key that has changed, or any of all keys.</summary>
    public const byte Invalidate = Requests + 7;

    /// <summary>The larger ones of the requests' messages are sent in pieces of so many bytes.</summary>
    public const int PieceBytes = 1 << 20;
}

/// <summary>What has become of a request that was brought to another silo.</summary>
internal enum RemoteStatus : byte
{
    /// <summary>Nothing is known yet.</summary>
    UnderWay,

    /// <summary>It has run, and this is its reply.</summary>
    Done,

    /// <summary>It has not run: the silo does not serve its slot, at least not now.</summary>
    Elsewhere,

    /// <summary>It has not run: the silo does not know whose request it is, and has to be told again.</summary>
    Stranger,

    /// <summary>It was not sent, as there was no way to the silo.</summary>
    Unsent,

    /// <summary>The connection to the silo broke before there was an answer: it may have run or not.</summary>
    Lost,

    /// <summary>It has run, but what it did, or has seen, may not last.</summary>
    Doubtful,
}
