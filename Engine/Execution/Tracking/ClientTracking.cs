namespace OrleansRedis.Engine;

/// <summary>How a client has asked to be told of keys that change (CLIENT TRACKING ON).</summary>
[Flags]
public enum TrackingModes
{
    /// <summary>Of the keys that it has read.</summary>
    Default = 0,

    /// <summary>BCAST: of all keys with certain prefixes.</summary>
    Broadcast = 1,

    /// <summary>OPTIN: of the keys that a command after CLIENT CACHING YES reads.</summary>
    OptIn = 2,

    /// <summary>OPTOUT: of the keys that it has read, unless by a command after CLIENT CACHING NO.</summary>
    OptOut = 4,

    /// <summary>NOLOOP: not of what it has changed itself.</summary>
    NoLoop = 8,
}

/// <summary>
/// A client's tracking. One for the life of a session: keys that it has read stay known to be its own while tracking is
/// off and on again, as in Redis.
/// </summary>
public sealed class ClientTracking(IInvalidated client)
{
    private volatile IInvalidated? _client = client;

    /// <summary>Whether tracking is on.</summary>
    public bool IsOn { get; internal set; }

    public TrackingModes Modes { get; internal set; }

    /// <summary>The id of the client that is told in its place; 0 for none.</summary>
    public long Redirect { get; internal set; }

    /// <summary>Whether that client was found to be gone.</summary>
    public bool IsRedirectBroken { get; set; }

    /// <summary>Whether CLIENT CACHING has been said about the next command.</summary>
    public bool HasCachingWord { get; set; }

    /// <summary>The prefixes of BCAST.</summary>
    public IReadOnlyList<TrackedPrefix> Prefixes => Prefixed;

    internal List<TrackedPrefix> Prefixed { get; set; } = [];

    /// <summary>Whether what the client reads now is to be remembered.</summary>
    internal bool Remembers => IsOn && (Modes & TrackingModes.Broadcast) == 0
        && ((Modes & TrackingModes.OptIn) == 0 || HasCachingWord) && ((Modes & TrackingModes.OptOut) == 0 || !HasCachingWord);

    /// <summary>Tells the client, unless it has gone.</summary>
    internal void Tell(byte[] key, TrackedPrefix? prefix) => _client?.Invalidated(key, prefix);

    /// <summary>Tells the client that all keys may have changed.</summary>
    internal void TellAll() => _client?.AllInvalidated();

    /// <summary>The client has gone. Keys that it has read may still be known, but must not keep it in memory.</summary>
    internal void Forget() => _client = null;
}

/// <summary>
/// A client that is told of keys which have changed. Called under gates, from any thread: must be quick, and must not
/// call back.
/// </summary>
public interface IInvalidated
{
    /// <summary>A key has changed.</summary>
    /// <param name="key">The key; nobody changes the array any more.</param>
    /// <param name="prefix">The prefix because of which it is told; null if it has read the key.</param>
    void Invalidated(byte[] key, TrackedPrefix? prefix);

    /// <summary>All keys may have changed.</summary>
    void AllInvalidated();
}

/// <summary>A prefix that clients track with BCAST.</summary>
public sealed class TrackedPrefix(byte[] prefix)
{
    private volatile ClientTracking[] _clients = [];

    public byte[] Prefix { get; } = prefix;

    /// <summary>Those who track it. What is seen never changes.</summary>
    internal ClientTracking[] Clients
    {
        get => _clients;
        set => _clients = value;
    }
}
