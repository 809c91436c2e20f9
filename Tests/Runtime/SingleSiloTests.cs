using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit;

namespace OrleansRedis.Tests.Runtime;

/// <summary>One silo over TCP, and a client of it.</summary>
public sealed class SingleSiloTests : IAsyncLifetime
{
    private readonly int _siloPort = FreePort();
    private readonly int _gatewayPort = FreePort();
    private IHost _silo = null!;
    private IHost _client = null!;

    private IGrainFactory Local => _silo.Services.GetRequiredService<IGrainFactory>();

    private IClusterClient Remote => _client.Services.GetRequiredService<IClusterClient>();

    public async Task InitializeAsync()
    {
        HostApplicationBuilder silo = Host.CreateApplicationBuilder();
        silo.UseOrleans(builder => builder.UseLocalhostClustering(_siloPort, _gatewayPort).AddMemoryGrainStorageAsDefault());
        _silo = silo.Build();
        await _silo.StartAsync();
        HostApplicationBuilder client = Host.CreateApplicationBuilder();
        client.UseOrleansClient(builder => builder.UseLocalhostClustering(_gatewayPort));
        _client = client.Build();
        await _client.StartAsync();
    }

    public async Task DisposeAsync()
    {
        await _client.StopAsync();
        await _silo.StopAsync();
        _client.Dispose();
        _silo.Dispose();
    }

    [Fact]
    public async Task Turns_of_one_activation_never_overlap()
    {
        ICounterGrain grain = Local.GetGrain<ICounterGrain>(1);
        int[] counts = await Task.WhenAll(Enumerable.Range(0, 1000).Select(_ => Task.Run(grain.Increment)));
        Assert.Equal(Enumerable.Range(1, 1000), counts.Order());
        Assert.All(await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => grain.Overlapping())), inside => Assert.Equal(1, inside));
    }

    [Fact]
    public async Task A_client_calls_grains_over_TCP()
    {
        ICounterGrain grain = Remote.GetGrain<ICounterGrain>(2);
        Assert.Equal(1, await grain.Increment());
        Assert.Equal(42, await grain.Value(21));
        Assert.Equal(2, await Local.GetGrain<ICounterGrain>(2).Increment());
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
