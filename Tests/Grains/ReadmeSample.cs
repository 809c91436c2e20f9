using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OrleansRedis.Grains;

namespace OrleansRedis.Tests.Grains;

/// <summary>
/// The README's example of an Orleans application; what stands between the two marks is what stands there.
/// </summary>
internal static class ReadmeSample
{
    public static async Task RunAsync(int gatewayPort, TextWriter console)
    {
        // <readme>
        HostApplicationBuilder builder = Host.CreateApplicationBuilder();
        builder.UseOrleansClient(orleans => orleans.UseLocalhostClustering(gatewayPort, serviceId: "orleansredis", clusterId: "orleansredis"));
        using IHost host = builder.Build();
        await host.StartAsync();

        RedisDatabase redis = host.Services.GetRequiredService<IClusterClient>().GetRedisDatabase();
        await redis.StringSetAsync("greeting", "hello from a grain client", expiry: TimeSpan.FromMinutes(5));
        console.WriteLine(await redis.StringGetAsync("greeting"));
        console.WriteLine(await redis.IncrementAsync("visits", by: 2));
        console.WriteLine(await redis.ExecuteAsync("GETRANGE", "greeting", 0, 4));

        await host.StopAsync();
        // </readme>
    }
}
