using System.Net.Sockets;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Connections to other Redis servers. One that is returned is kept for ten seconds, as Redis does: whoever moves keys
/// moves many.
/// </summary>
internal sealed class PeerConnections(Clock clock) : IPeers, IDisposable
{
    private const int MostKept = 64;
    private const long KeptForMs = 10_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<(string Host, int Port), PeerConnection> _kept = []; // under the lock
    private bool _isOver;

    /// <inheritdoc/>
    public IPeer Take(string host, int port, int timeoutMs)
    {
        lock (_lock)
        {
            if (_kept.Remove((host, port), out PeerConnection? kept)) return kept;
        }
        return PeerConnection.Connect(this, host, port, timeoutMs);
    }

    /// <summary>Closes what nobody has used for a while.</summary>
    public void CloseOld()
    {
        lock (_lock)
        {
            if (_kept.Count == 0) return;
            foreach (PeerConnection old in _kept.Values.Where(kept => clock.NowMs - kept.ReturnedAtMs > KeptForMs).ToArray()) Close(old);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _isOver = true;
            foreach (PeerConnection kept in _kept.Values.ToArray()) Close(kept);
        }
    }

    internal void Keep(PeerConnection peer)
    {
        peer.ReturnedAtMs = clock.NowMs;
        lock (_lock)
        {
            if (_isOver)
            {
                peer.Dispose();
                return;
            }
            if (_kept.TryGetValue((peer.Host, peer.Port), out PeerConnection? former)) Close(former);
            else if (_kept.Count == MostKept) Close(_kept.Values.MinBy(static kept => kept.ReturnedAtMs)!);
            _kept.Add((peer.Host, peer.Port), peer);
        }
    }

    private void Close(PeerConnection kept)
    {
        _kept.Remove((kept.Host, kept.Port));
        kept.Dispose();
    }
}

/// <summary>One of them.</summary>
internal sealed class PeerConnection : IPeer
{
    private const int LongestLine = 1024;

    private readonly PeerConnections _owner;
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _received = new byte[LongestLine];
    private int _length;

    private PeerConnection(PeerConnections owner, string host, int port) => (_owner, Host, Port) = (owner, host, port);

    public string Host { get; }

    public int Port { get; }

    /// <summary>Unix time in ms at which its last user has returned it.</summary>
    public long ReturnedAtMs { get; set; }

    /// <inheritdoc/>
    public int Database { get; set; } = -1;

    public static PeerConnection Connect(PeerConnections owner, string host, int port, int timeoutMs)
    {
        if (port == 0) throw new IOException("There is no port 0.");
        var peer = new PeerConnection(owner, host, port);
        using var late = new CancellationTokenSource(timeoutMs);
        try
        {
            peer._socket.ConnectAsync(host, port, late.Token).AsTask().GetAwaiter().GetResult();
            return peer;
        }
        catch (Exception failure) when (failure is SocketException or OperationCanceledException or ArgumentException)
        {
            peer.Dispose();
            throw failure is OperationCanceledException ? new TimeoutException(failure.Message, failure) : new IOException(failure.Message, failure);
        }
    }

    /// <inheritdoc/>
    public void Send(ReadOnlySpan<byte> requests, int timeoutMs)
    {
        _socket.SendTimeout = timeoutMs;
        while (!requests.IsEmpty)
        {
            int sent = _socket.Send(requests, SocketFlags.None, out SocketError error);
            Check(error);
            requests = requests[sent..];
        }
    }

    /// <inheritdoc/>
    public string ReadLine(int timeoutMs)
    {
        _socket.ReceiveTimeout = timeoutMs;
        int end;
        while ((end = _received.AsSpan(0, _length).IndexOf("\r\n"u8)) < 0)
        {
            if (_length == _received.Length) throw new IOException("The reply is too long.");
            int count = _socket.Receive(_received.AsSpan(_length), SocketFlags.None, out SocketError error);
            Check(error);
            if (count == 0) throw new IOException("The server has closed the connection.");
            _length += count;
        }
        string line = ByteText.Decode(_received.AsSpan(0, end));
        _received.AsSpan((end + 2).._length).CopyTo(_received);
        _length -= end + 2;
        return line;
    }

    /// <inheritdoc/>
    public void Return() => _owner.Keep(this);

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private static void Check(SocketError error)
    {
        if (error is SocketError.TimedOut or SocketError.WouldBlock) throw new TimeoutException();
        if (error != SocketError.Success) throw new IOException(error.ToString());
    }
}
