using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace OrleansRedis.Tests.Grains;

/// <summary>A real Orleans client.</summary>
internal sealed class OrleansClient(IHost host) : IAsyncDisposable
{
    public IClusterClient Grains { get; } = host.Services.GetRequiredService<IClusterClient>();

    public static async Task<OrleansClient> ConnectAsync(int port, string address = "127.0.0.1")
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        builder.Logging.ClearProviders();
        builder.UseOrleansClient(orleans => orleans.UseStaticClustering(new IPEndPoint(IPAddress.Parse(address), port))
            .Configure<ClusterOptions>(cluster => cluster.ServiceId = cluster.ClusterId = "orleansredis"));
        IHost host = builder.Build();
        await host.StartAsync();
        return new(host);
    }

    public async ValueTask DisposeAsync()
    {
        await host.StopAsync();
        host.Dispose();
    }
}
