using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// A client of another silo, here, for as long as that silo brings its requests or the connection to it lasts. It has
/// what belongs to the keys here: what it watches, and the command with which it waits.
/// </summary>
internal sealed class ForwardedSession : Session, IInvalidated, IDisposable
{
    private readonly Store _store;
    private readonly CancellationTokenSource _gone = new();
    private ClientIdentity _identity;
    private long _waitedMs;

    public ForwardedSession(Store store)
    {
        _store = store;
        Gone = _gone.Token;
    }

    /// <inheritdoc/>
    /// <remarks>Back to its own silo, which asks elsewhere.</remarks>
    public override bool GoesElsewhere => true;

    /// <inheritdoc/>
    public override bool IsVouchedFor => true;

    /// <inheritdoc/>
    public override string Address => _identity.Address;

    /// <inheritdoc/>
    protected override string MonitorName => _identity.MonitorName;

    /// <inheritdoc/>
    public override string ClientName => _identity.Name;

    /// <inheritdoc/>
    public override long WaitedMs => _waitedMs;

    /// <summary>The end of the requests that are being run.</summary>
    public Task Running { get; set; } = Task.CompletedTask;

    /// <summary>Whether it speaks RESP3.</summary>
    public bool IsResp3 => _identity.IsResp3;

    /// <summary>Cancelled when the client is gone.</summary>
    public CancellationToken Gone { get; }

    /// <summary>Its silo has told who it is.</summary>
    public void ActAs(in ClientIdentity identity)
    {
        _identity = identity;
        Database = identity.Database;
        NoTouch = identity.NoTouch;
        AclUser? user = _store.Acl.Find(Encoding.Latin1.GetBytes(identity.User));
        // Whom this silo does not know may do nothing but what its own silo has checked.
        Track(identity);
        User = identity.IsUnrestricted ? user is { IsUnrestricted: true } ? user : AclUser.Internal : user ?? _store.Acl.Unknown;
    }

    /// <summary>Tells its silo that a key has changed which it has read, or all of them (null).</summary>
    public Action<byte[]?>? Invalidating { get; init; }

    /// <summary>Called before each attempt to run its command; null if nobody needs to know.</summary>
    public Action<CommandInfo>? Attempting { get; init; }

    /// <summary>Another batch of requests begins.</summary>
    public void Begin(long waitedMs, SlotSet? share)
    {
        _waitedMs = waitedMs;
        Share = share;
    }

    /// <inheritdoc/>
    protected override void BeforeAttempt(CommandInfo command) => Attempting?.Invoke(command);

    /// <inheritdoc/>
    public override string Describe(long nowMs) =>
        $"addr={Address} name={ClientName} db={Database} user={ByteText.Decode(User.NameBytes)} resp={(IsResp3 ? 3 : 2)}";

    /// <inheritdoc/>
    void IInvalidated.Invalidated(byte[] key, TrackedPrefix? prefix) => Invalidating?.Invoke(key);

    /// <inheritdoc/>
    void IInvalidated.AllInvalidated() => Invalidating?.Invoke(null);

    private void Track(in ClientIdentity identity)
    {
        if (identity.Tracking is not { } modes)
        {
            if (Tracking is { IsOn: true }) _store.KeyTracking.Disable(Tracking);
            return;
        }
        Tracking ??= new(this);
        if (!Tracking.IsOn || Tracking.Modes != modes) _store.KeyTracking.Enable(Tracking, modes, redirect: 0, prefixes: []);
        Tracking.HasCachingWord = identity.IsTold;
    }

    /// <summary>Ends its wait for keys, if it waits. Who is gone does not begin to wait either.</summary>
    public bool TryEndWait(BlockedEnd end)
    {
        if (end == BlockedEnd.Disconnected) _gone.Cancel();
        return Blocked?.TryEnd(end) == true;
    }

    /// <summary>The client is gone.</summary>
    public async Task EndAsync()
    {
        await _gone.CancelAsync().ConfigureAwait(false);
        await Running.ConfigureAwait(false);
        if (Tracking is not null) _store.KeyTracking.Close(Tracking);
        if (Transaction is { } transaction) await transaction.CloseAsync(_store).ConfigureAwait(false);
        Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => _gone.Dispose();
}
