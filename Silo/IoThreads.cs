using System.Globalization;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// Tells the .NET runtime how to serve sockets; it reads these variables once, before the first socket. Clients are served so only where the
/// gateway has no event loops of its own, which is elsewhere than on Linux.
/// </summary>
internal static class IoThreads
{
    /// <summary>Requests are run on the I/O thread that sees them arrive, and there are as many of those as io-threads says.</summary>
    public static void Configure(ServerOptions options)
    {
        Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
        // Left alone, .NET takes one per processor.
        if (options.IoThreads != 0) Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_THREAD_COUNT", options.IoThreads.ToString(CultureInfo.InvariantCulture));
    }
}
