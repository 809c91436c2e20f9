using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The wait of a client for keys of another silo. That silo has the wait itself, with its place in the queue; this is
/// what others here see of it. While it moves from one silo to another it can be ended here. Safe for any thread.
/// </summary>
internal sealed class RemoteWait(RemoteRequests remote, long client)
{
    private readonly Lock _changing = new();
    private SiloId _at;
    private volatile bool _hasLeft;
    private BlockedEnd? _end;

    /// <summary>For how many ms it has lasted at silos where the keys are not any more.</summary>
    public long WaitedMs { get; set; }

    /// <summary>
    /// Whether the silo has answered, so that what is pushed from now on may tell of a change to what has been read, and has
    /// to come after it.
    /// </summary>
    public bool IsAnswered { get; set; }

    /// <summary>How it was ended here; null if it was not.</summary>
    public BlockedEnd? End
    {
        get
        {
            lock (_changing) return _end;
        }
    }

    /// <summary>The command is about to be sent to a silo. False if the wait has ended, so that it must not be.</summary>
    public bool TryGo(SiloId silo)
    {
        lock (_changing)
        {
            if (_end is not null) return false;
            IsAnswered = false;
            _at = silo;
            return true;
        }
    }

    /// <summary>The silo has answered.</summary>
    public void Return()
    {
        lock (_changing) _at = SiloId.None;
    }

    /// <summary>Ends the wait, unless it is over or about to be; true if this call did it.</summary>
    public Task<bool> TryEndAsync(BlockedEnd end)
    {
        lock (_changing)
        {
            if (!_at.IsNone) return remote.UnblockAsync(_at, client, end);
            bool isFirst = _end is null;
            _end ??= end;
            return Task.FromResult(isFirst);
        }
    }

    /// <summary>The client is gone.</summary>
    public void Leave()
    {
        _hasLeft = true;
        _ = TryEndAsync(BlockedEnd.Disconnected);
    }

    /// <summary>The command has been sent to the silo that <see cref="TryGo"/> named.</summary>
    public void Sent()
    {
        if (_hasLeft) Leave(); // the news may have overtaken the command
    }
}
