using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// A silo of several answers only while it holds its lease (<see cref="ILease"/>): it may be suspended at any moment, for
/// any time, and others may serve its slots by then. So the clock is looked at before commands are run, and again before
/// their replies leave. What has run without the lease must not become known; the client learns that the outcome is not
/// known, by the end of its connection.
/// </summary>
public sealed partial class ClientConnection
{
    /// <summary>Before commands have been run, and after some that may have needed the lease.</summary>
    private const long NothingRun = -1, HasRelied = -2;

    /// <summary>
    /// Either of these, or <see cref="ILease.Lifts"/> when commands that need the lease began to be refused here.
    /// </summary>
    private long _lease = NothingRun;

    private void LookAt(ILease lease)
    {
        if (lease.IsHeld)
        {
            _lease = HasRelied;
            return;
        }
        // From here on admission refuses whatever needs the lease, until the driver has it again.
        _server.Store.Restrict(Restrictions.WithoutLease);
        if (_lease != HasRelied) _lease = lease.Lifts;
    }

    /// <summary>Whether the replies so far may leave.</summary>
    private bool MayAnswer(ILease lease) => lease.IsHeld || _lease == NothingRun || _lease == lease.Lifts;
}
