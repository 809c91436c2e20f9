namespace OrleansRedis.Engine;

/// <summary>
/// Connections to other Redis servers (MIGRATE). Whoever uses one blocks its thread, so never an I/O thread. An
/// <see cref="IOException"/> means that the connection is lost, a <see cref="TimeoutException"/> that nothing has come, or
/// gone, for too long.
/// </summary>
public interface IPeers
{
    /// <summary>A connection that nobody else uses: a new one, or one that was returned lately.</summary>
    IPeer Take(string host, int port, int timeoutMs);
}

/// <summary>A connection to another Redis server. Disposing of it closes it.</summary>
public interface IPeer : IDisposable
{
    /// <summary>The database that is selected there; -1 if that is not known.</summary>
    int Database { get; set; }

    /// <summary>Sends requests.</summary>
    void Send(ReadOnlySpan<byte> requests, int timeoutMs);

    /// <summary>Reads a reply that consists of one line.</summary>
    string ReadLine(int timeoutMs);

    /// <summary>All replies are read: it may serve another one.</summary>
    void Return();
}
