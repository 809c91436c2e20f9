using System.Net;
using System.Net.Sockets;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>How silos find each other, as the orleans-… directives say.</summary>
internal static class Clustering
{
    private const int UsualSiloPort = 11111;
    private const int UsualGatewayPort = 30000;

    /// <summary>
    /// Adds the cluster's identity, the ports (which it returns), and the membership. A port of 0 becomes Orleans's
    /// usual one or, if that is taken, one that is free now. If another process takes it before the silo does, the
    /// silo's start fails, and the next attempt chooses again.
    /// </summary>
    public static (int SiloPort, int GatewayPort) AddClustering(this ISiloBuilder silo, ServerOptions options)
    {
        int siloPort = options.OrleansSiloPort != 0 ? options.OrleansSiloPort : Choose(UsualSiloPort);
        int gatewayPort = options.OrleansGatewayPort != 0 ? options.OrleansGatewayPort : Choose(UsualGatewayPort);
        switch (options.OrleansClustering)
        {
            case OrleansClustering.Localhost:
                silo.UseLocalhostClustering(
                    siloPort, gatewayPort, serviceId: options.OrleansServiceId, clusterId: options.OrleansClusterId);
                break;
            default:
                throw new NotSupportedException($"orleans-clustering {options.OrleansClustering} is not known.");
        }
        return (siloPort, gatewayPort);
    }

    private static int Choose(int usual)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, usual));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        }
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
