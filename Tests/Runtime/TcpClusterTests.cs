using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Xunit;

namespace OrleansRedis.Tests.Runtime;

/// <summary>Silos of a development cluster over TCP: the membership table is in the primary's memory.</summary>
public sealed class TcpClusterTests
{
    [Fact]
    public async Task Silos_and_a_client_find_each_other_over_TCP()
    {
        int[] ports = FreePorts(5);
        var primary = new IPEndPoint(IPAddress.Loopback, ports[0]);
        using IHost first = await StartSilo(ports[0], ports[1], primary);
        using IHost second = await StartSilo(ports[2], ports[3], primary);
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        builder.Logging.ClearProviders();
        builder.UseOrleansClient(client => client.UseLocalhostClustering([ports[1], ports[3]]));
        using IHost clientHost = builder.Build();
        await clientHost.StartAsync();
        IClusterClient client = clientHost.Services.GetRequiredService<IClusterClient>();

        string[] places = await Task.WhenAll(Enumerable.Range(0, 40).Select(key => client.GetGrain<IRoamingGrain>(key).Where()));
        Assert.Equal(2, places.Distinct().Count());
        foreach (IHost silo in new[] { first, second })
        {
            IGrainFactory grains = silo.Services.GetRequiredService<IGrainFactory>();
            Assert.Equal(places, await Task.WhenAll(Enumerable.Range(0, 40).Select(key => grains.GetGrain<IRoamingGrain>(key).Where())));
        }

        await second.StopAsync();
        string here = first.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress.ToParsableString();
        IGrainFactory remaining = first.Services.GetRequiredService<IGrainFactory>();
        Assert.All(await Task.WhenAll(Enumerable.Range(0, 40).Select(key => remaining.GetGrain<IRoamingGrain>(key).Where())), place => Assert.Equal(here, place));
        await clientHost.StopAsync();
        await first.StopAsync();
    }

    private static async Task<IHost> StartSilo(int siloPort, int gatewayPort, IPEndPoint primary)
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        builder.Logging.ClearProviders();
        builder.UseOrleans(silo => silo.UseLocalhostClustering(siloPort, gatewayPort, primary));
        IHost host = builder.Build();
        await host.StartAsync();
        return host;
    }

    private static int[] FreePorts(int count)
    {
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (TcpListener listener in listeners) listener.Start();
        int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        foreach (TcpListener listener in listeners) listener.Dispose();
        return ports;
    }
}
