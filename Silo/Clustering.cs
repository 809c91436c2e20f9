using System.Net;
using System.Net.Sockets;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>How silos find each other, as the orleans-… directives say.</summary>
internal static class Clustering
{
    private const int UsualSiloPort = 11111;
    private const int UsualGatewayPort = 30000;

    /// <summary>Replaces ports that are to be chosen by ports that are free now, so that two servers on one machine do not get into each other's way.</summary>
    public static void ChoosePorts(ServerOptions options)
    {
        if (options.OrleansSiloPort == 0) options.OrleansSiloPort = Choose(UsualSiloPort);
        if (options.OrleansGatewayPort == 0) options.OrleansGatewayPort = Choose(UsualGatewayPort);
    }

    /// <summary>Adds the cluster's identity, the ports, and the membership.</summary>
    public static ISiloBuilder AddClustering(this ISiloBuilder silo, ServerOptions options) => options.OrleansClustering switch
    {
        OrleansClustering.Localhost => silo.UseLocalhostClustering(
            options.OrleansSiloPort, options.OrleansGatewayPort, serviceId: options.OrleansServiceId, clusterId: options.OrleansClusterId),
        _ => throw new NotSupportedException($"orleans-clustering {options.OrleansClustering} is not known."),
    };

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
