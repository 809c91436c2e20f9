using System.Net;
using System.Net.Sockets;

namespace OrleansRedis.Silo;

/// <summary>
/// A port of this machine that Orleans is going to listen on, claimed from other silos for as long as this object lives.
/// <para>
/// Orleans listens with SO_REUSEPORT, so the system lets two silos listen on one port and gives each of them some of the
/// connections: two servers that are started at the same moment would both find 11111 free, and answer each other's
/// clients. A name in the abstract namespace of Unix domain sockets has one owner and is gone with the process, whatever
/// its end. Where there is no such namespace (elsewhere than on Linux), only the look whether the port is free is left.
/// </para>
/// </summary>
internal sealed class ClaimedPort : IDisposable
{
    private readonly Socket? _claim;

    private ClaimedPort(int number, Socket? claim)
    {
        Number = number;
        _claim = claim;
    }

    /// <summary>The port.</summary>
    public int Number { get; }

    /// <summary>Claims a port that was asked for.</summary>
    /// <exception cref="SocketException">Somebody else has it.</exception>
    public static ClaimedPort Take(int number)
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        probe.Bind(new IPEndPoint(IPAddress.Loopback, number));
        int bound = ((IPEndPoint)probe.LocalEndPoint!).Port;
        return new(bound, Claim(bound));
    }

    /// <summary>Claims the usual port or, if somebody else has that, any free one.</summary>
    public static ClaimedPort TakeFree(int usual)
    {
        for (int number = usual; ; number = 0)
        {
            try
            {
                return Take(number);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // Of the free ports that the system chooses, one may be claimed by a silo that does not listen yet.
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _claim?.Dispose();

    private static Socket? Claim(int number)
    {
        if (!OperatingSystem.IsLinux()) return null;
        var claim = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            claim.Bind(new UnixDomainSocketEndPoint($"\0orleansredis-port-{number}"));
            return claim;
        }
        catch
        {
            claim.Dispose();
            throw;
        }
    }
}
