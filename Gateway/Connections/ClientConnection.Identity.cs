using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Connections.Features;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The client's identity and its own settings: AUTH, CLIENT SETNAME and the like, and its line in CLIENT LIST.
/// </summary>
public sealed partial class ClientConnection
{
    /// <summary>Approximate size of a connection without its buffers: this object, its pipes and its socket.</summary>
    private const int FixedBytes = 4096;

    /// <summary>Approximate size of a watched key, here and with the key's slot.</summary>
    private const int WatchBytes = 160;

    /// <summary>Approximate size of a subscription, or of a prefix of client-side caching, here and in the server's table.</summary>
    private const int SubscriptionBytes = 160;

    /// <summary>Of a buffer for requests so much counts, used or not.</summary>
    private const int LeastCountedInput = 16 * 1024;

    /// <summary>CLIENT SETNAME; empty if it has none.</summary>
    public string Name { get; set; } = "";

    /// <inheritdoc/>
    public override string ClientName => Name;

    /// <summary>CLIENT SETINFO LIB-NAME.</summary>
    public string LibraryName { get; set; } = "";

    /// <summary>CLIENT SETINFO LIB-VER.</summary>
    public string LibraryVersion { get; set; } = "";

    /// <summary>CLIENT NO-EVICT: the client asked not to be disconnected to save memory.</summary>
    public bool NoEvict { get; set; }

    /// <summary>The class of client. Set by whatever changes it, a subscription for example.</summary>
    public ClientClass Class { get; set; }

    /// <summary>Whether it came through the Unix domain socket.</summary>
    public bool IsUnix => LocalEndPoint is UnixDomainSocketEndPoint || RemoteEndPoint is UnixDomainSocketEndPoint;

    /// <summary>Whether it waits in a blocking command, or for the end of CLIENT PAUSE.</summary>
    public bool IsBlocked => Blocked is { IsOver: false } || _isHeld || RemoteWait is not null;

    /// <summary>
    /// About how many bytes it takes: its buffers, and what it has queued, watched and subscribed to. Of a large buffer for
    /// requests only the used part counts: the rest has not been touched.
    /// </summary>
    public long MemoryBytes
    {
        get
        {
            Transaction? transaction = Transaction;
            long state = transaction is null ? 0 : transaction.QueuedBytes + (transaction.WatchedCount * (long)WatchBytes);
            if (Subscriptions is { } mine) state += (mine.ChannelCount + mine.PatternCount + mine.ShardChannelCount) * (long)SubscriptionBytes;
            if (Tracking is { } tracking) state += tracking.Prefixes.Count * (long)SubscriptionBytes;
            return FixedBytes + Math.Max(_pending.Length, Math.Min(_pending.Capacity, LeastCountedInput)) + _reply.Capacity + (_meanwhile?.Capacity ?? 0)
                + SendingBytes + QueuedPushBytes + state;
        }
    }

    /// <summary>What <see cref="CountMemory"/> has counted last.</summary>
    internal long CountedBytes => Volatile.Read(ref _countedBytes);

    /// <summary>Whether maxmemory-clients may end the connection.</summary>
    internal bool MayBeEvicted => !NoEvict && !_killed && Class is ClientClass.Normal or ClientClass.PubSub;

    /// <summary>Counts its memory, which is none if it is ending, and returns how much more that is than the last time.</summary>
    internal long CountMemory()
    {
        long now = _isGone || _killed ? 0 : MemoryBytes;
        return now - Interlocked.Exchange(ref _countedBytes, now);
    }

    /// <summary>
    /// Counts what waits in its buffers, and returns how much more that is than the last time; 0 if it is more and
    /// <paramref name="mayGrow"/> is false.
    /// </summary>
    internal long CountWaiting(bool mayGrow)
    {
        long now = _isGone || _killed ? 0 : PendingInputBytes + PendingOutputBytes + (Transaction?.QueuedBytes ?? 0);
        long before = Volatile.Read(ref _countedWaiting);
        return now == before || (now > before && !mayGrow) ? 0 : now - Interlocked.Exchange(ref _countedWaiting, now);
    }

    private long _countedWaiting;
    private long _countedBytes;
    private volatile bool _isGone;

    /// <summary>The peer's address: "ip:port", or "path:0" for the Unix domain socket.</summary>
    public override string Address => IsUnix ? $"{_server.Options.UnixSocket}:0" : Show(RemoteEndPoint);

    /// <inheritdoc/>
    protected override string MonitorName => IsUnix ? $"unix:{_server.Options.UnixSocket}" : Address;

    /// <summary>The server's address that it is connected to.</summary>
    public string LocalAddress => IsUnix ? $"{_server.Options.UnixSocket}:0" : Show(LocalEndPoint);

    /// <inheritdoc/>
    public override string LocalIp => LocalEndPoint is IPEndPoint local ? Show(local.Address) : "";

    /// <inheritdoc/>
    public override bool UsesTls => _transport.Transport is TlsTransport;

    /// <inheritdoc/>
    /// <remarks>Whoever may open the Unix domain socket is on this machine, and no stranger.</remarks>
    public override string Origin => IsUnix ? "" : AuthThrottle.OriginOf(RemoteEndPoint);

    /// <summary>
    /// Makes a user of the client, if the password is right. If it is not, the error to reply is returned, and the
    /// client stays who it was.
    /// </summary>
    public string? Authenticate(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password, ReadOnlySpan<byte> command)
    {
        if (_server.Store.Acl.Authenticate(user, password, this, command, out string error) is not { } authenticated) return error;
        User = authenticated;
        IsAuthenticated = true;
        _reply.Most = MostReplyBytes; // no longer a stranger's
        // If it was deleted just now, this client was not among its sessions yet.
        if (authenticated.IsDeleted) Kill();
        return null;
    }

    /// <summary>Makes it the user of this name, which it has proved otherwise, if there is one who may log in.</summary>
    internal void ActAs(string name)
    {
        if (_server.Store.Acl.Find(Encoding.UTF8.GetBytes(name)) is not { Rules.IsOn: true } user) return;
        User = user;
        IsAuthenticated = true;
    }

    /// <summary>
    /// RESET: puts the session back to its initial state. Watched keys and queued commands are dropped too.
    /// </summary>
    /// <param name="reply">Where what had been pushed by then goes, in the protocol that the client spoke.</param>
    public async Task ResetAsync(RespWriter reply)
    {
        if (Transaction is { } transaction) await transaction.CloseAsync(_server.Store).ConfigureAwait(false);
        _server.Remote?.ForgetWatches(this);
        using Turn turn = TakeTurn();
        Subscriptions?.Clear();
        if (Tracking is not null) _server.Store.KeyTracking.Disable(Tracking);
        TakePushesInto(reply);
        Database = 0;
        Protocol = 2;
        Name = "";
        NoTouch = NoEvict = ReadsFromReplica = false;
        Asking = Asking.No;
        if (IsMonitor) IsMonitor = false;
        ReplyMode = ReplyMode.On;
        User = _server.Store.Acl.Default;
        IsAuthenticated = User.IsOpen;
    }

    /// <inheritdoc/>
    public override string Describe(long nowMs) => Describe(nowMs, default);

    /// <summary>The client's line in CLIENT LIST, without a line end.</summary>
    /// <param name="nowMs">The current time.</param>
    /// <param name="request">For the client that asks, its request, whose memory counts as the client's.</param>
    public string Describe(long nowMs, in Request request)
    {
        int argumentBytes = 0;
        for (int i = 0; i < request.Count; i++) argumentBytes += request[i].Length;
        // As in Redis, without what has been parsed of an incomplete request. (Its loop may change both meanwhile.)
        int queryBytes = Math.Max(0, PendingInputBytes - _requests.ParsedLength) + request.Frame.Length, replyRoom = _reply.Capacity;
        long queuedBytes = Transaction is { IsOpen: true } queued ? queued.QueuedBytes : 0;
        // As in Redis, the first of what the client has not taken is in a buffer of fixed size, and the rest in a list.
        long output = PendingOutputBytes, listed = Math.Max(0, output - UnlimitedBytes), total = MemoryBytes + argumentBytes;
        return string.Create(CultureInfo.InvariantCulture,
            $"id={Id} addr={Address} laddr={LocalAddress} fd={Descriptor} name={Name} age={(nowMs - ConnectedAtMs) / 1000} idle={(nowMs - LastUsedMs) / 1000} "
            + $"flags={Flags()} db={Database} sub={Subscriptions?.ChannelCount ?? 0} "
            + $"psub={Subscriptions?.PatternCount ?? 0} ssub={Subscriptions?.ShardChannelCount ?? 0} "
            + $"multi={(Transaction is { IsOpen: true } open ? open.Queue.Count : -1)} "
            + $"watch={(Transaction?.WatchedCount ?? 0) + WatchesAt.Values.Sum(static watch => watch.Keys)} "
            + $"qbuf={queryBytes} qbuf-free={_pending.Capacity - PendingInputBytes} "
            + $"argv-mem={argumentBytes} multi-mem={queuedBytes} rbs={replyRoom} rbp={_replyPeak} obl={output - listed} oll={(listed == 0 ? 0 : 1)} "
            + $"omem={listed} tot-mem={total} "
            + $"events={(output == _reply.Length ? "r" : "rw")} cmd={LastCommand?.Name ?? "NULL"} user={ByteText.Decode(User.NameBytes)} "
            + $"redir={(Tracking is { IsOn: true } tracking ? tracking.Redirect : -1)} resp={Protocol} lib-name={LibraryName} "
            + $"lib-ver={LibraryVersion} tot-net-in={_bytesIn} tot-net-out={Math.Max(0, _bytesOut - SendingBytes)} tot-cmds={CommandsRun}");
    }

    private long Descriptor => _transport.Features.Get<IConnectionSocketFeature>()?.Socket is { } socket ? socket.Handle : -1;

    /// <summary>Redis's letters in Redis's order.</summary>
    internal string Flags()
    {
        var flags = new StringBuilder();
        if (IsMonitor) flags.Append('O');
        switch (Class)
        {
            case ClientClass.Replica:
                flags.Append('S');
                break;
            case ClientClass.Master:
                flags.Append('M');
                break;
            case ClientClass.PubSub:
                flags.Append('P');
                break;
        }
        if (Transaction is { IsOpen: true }) flags.Append('x');
        if (IsBlocked) flags.Append('b');
        if (Tracking is { IsOn: true } tracking)
        {
            flags.Append('t');
            if (tracking.IsRedirectBroken) flags.Append('R');
            if ((tracking.Modes & TrackingModes.Broadcast) != 0) flags.Append('B');
        }
        if (Transaction is { IsChanged: true }) flags.Append('d');
        if (CloseAfterReply) flags.Append('c');
        if (_isUnblocked) flags.Append('u');
        if (_killed) flags.Append('A');
        if (IsUnix) flags.Append('U');
        if (ReadsFromReplica) flags.Append('r');
        if (NoEvict) flags.Append('e');
        if (NoTouch) flags.Append('T');
        return flags.Length == 0 ? "N" : flags.ToString();
    }

    /// <summary>An address and a port, as CLIENT LIST shows them.</summary>
    internal static string Show(EndPoint? endPoint)
    {
        if (endPoint is not IPEndPoint ip) return "?:0";
        string address = Show(ip.Address);
        return address.Contains(':', StringComparison.Ordinal) ? $"[{address}]:{ip.Port}" : $"{address}:{ip.Port}";
    }

    /// <summary>An address without a port, IPv4 as such even if it came through a socket for IPv6.</summary>
    internal static string Show(IPAddress address) => (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString();
}
