using System.Net;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Messaging;

namespace Orleans
{
    /// <summary>Decides whether a client that could not connect tries again.</summary>
    public interface IClientConnectionRetryFilter
    {
        /// <summary>Whether to try again; it may wait before it answers.</summary>
        Task<bool> ShouldRetryConnectionAttempt(Exception exception, CancellationToken cancellationToken);
    }
}

namespace Orleans.Hosting
{
    /// <summary>Configures clients.</summary>
    public static class ClientBuilderExtensions
    {
        /// <summary>Adds services.</summary>
        public static IClientBuilder ConfigureServices(this IClientBuilder builder, Action<IServiceCollection> configureDelegate)
        {
            ArgumentNullException.ThrowIfNull(configureDelegate);
            configureDelegate(builder.Services);
            return builder;
        }

        /// <summary>Sets options.</summary>
        public static IClientBuilder Configure<TOptions>(this IClientBuilder builder, Action<TOptions> configureOptions) where TOptions : class
        {
            builder.Services.Configure(configureOptions);
            return builder;
        }

        /// <summary>Sets options from configuration.</summary>
        public static IClientBuilder Configure<TOptions>(this IClientBuilder builder, IConfiguration configuration) where TOptions : class
        {
            builder.Services.Configure<TOptions>(configuration);
            return builder;
        }

        /// <summary>Tries again to connect at start-up as long as <paramref name="connectionRetryFilter"/> says so.</summary>
        public static IClientBuilder UseConnectionRetryFilter(this IClientBuilder builder, Func<Exception, CancellationToken, Task<bool>> connectionRetryFilter) =>
            builder.UseConnectionRetryFilter(new RetryFilter(connectionRetryFilter));

        /// <summary>Tries again to connect at start-up as long as <paramref name="connectionRetryFilter"/> says so.</summary>
        public static IClientBuilder UseConnectionRetryFilter(this IClientBuilder builder, IClientConnectionRetryFilter connectionRetryFilter)
        {
            builder.Services.AddSingleton(connectionRetryFilter);
            return builder;
        }

        /// <summary>A cluster on this machine with that gateway.</summary>
        public static IClientBuilder UseLocalhostClustering(this IClientBuilder builder, int gatewayPort = EndpointOptions.DEFAULT_GATEWAY_PORT, string serviceId = "dev", string clusterId = "dev") =>
            builder.UseLocalhostClustering([gatewayPort], serviceId, clusterId);

        /// <summary>A cluster on this machine with those gateways.</summary>
        public static IClientBuilder UseLocalhostClustering(this IClientBuilder builder, int[] gatewayPorts, string serviceId = "dev", string clusterId = "dev") => builder
            .UseStaticClustering([.. gatewayPorts.Select(port => new IPEndPoint(IPAddress.Loopback, port))])
            .Configure<ClusterOptions>(options =>
            {
                if (!string.IsNullOrWhiteSpace(serviceId)) options.ServiceId = serviceId;
                if (!string.IsNullOrWhiteSpace(clusterId)) options.ClusterId = clusterId;
            });

        /// <summary>A fixed list of gateways.</summary>
        public static IClientBuilder UseStaticClustering(this IClientBuilder builder, params IPEndPoint[] endpoints) =>
            builder.UseStaticClustering((StaticGatewayListProviderOptions options) => options.Gateways = [.. endpoints.Select(endpoint => new Uri($"gwy.tcp://{endpoint}/0"))]);

        /// <summary>A fixed list of gateways.</summary>
        public static IClientBuilder UseStaticClustering(this IClientBuilder builder, Action<StaticGatewayListProviderOptions> configureOptions)
        {
            builder.Services.Configure(configureOptions);
            builder.Services.RemoveAll<IGatewayListProvider>();
            builder.Services.AddSingleton<IGatewayListProvider, StaticGatewayListProvider>();
            return builder;
        }

        private sealed class RetryFilter(Func<Exception, CancellationToken, Task<bool>> filter) : IClientConnectionRetryFilter
        {
            public Task<bool> ShouldRetryConnectionAttempt(Exception exception, CancellationToken cancellationToken) => filter(exception, cancellationToken);
        }
    }
}

namespace Orleans.Messaging
{
    /// <summary>The gateways that the options list.</summary>
    public class StaticGatewayListProvider(IOptions<StaticGatewayListProviderOptions> options, IOptions<GatewayOptions> gatewayOptions) : IGatewayListProvider
    {
        /// <inheritdoc/>
        public TimeSpan MaxStaleness => gatewayOptions.Value.GatewayListRefreshPeriod;

        /// <inheritdoc/>
        public bool IsUpdatable => true;

        /// <inheritdoc/>
        public Task InitializeGatewayListProvider() => Task.CompletedTask;

        /// <inheritdoc/>
        public Task<IList<Uri>> GetGateways() => Task.FromResult<IList<Uri>>(options.Value.Gateways);
    }
}
