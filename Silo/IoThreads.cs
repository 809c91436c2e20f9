using System.Globalization;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// Tells the .NET runtime how to serve sockets. It reads these environment variables once, before the first socket.
/// They matter to clients only where the gateway has no event loops of its own, that is, on any system but Linux.
/// </summary>
internal static class IoThreads
{
    /// <summary>
    /// Has requests run on the I/O thread that sees them arrive, and sets the number of these threads to io-threads.
    /// </summary>
    public static void Configure(ServerOptions options)
    {
        Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
        // By default .NET uses one thread per processor.
        if (options.IoThreads != 0)
            Environment.SetEnvironmentVariable(
                "DOTNET_SYSTEM_NET_SOCKETS_THREAD_COUNT", options.IoThreads.ToString(CultureInfo.InvariantCulture));
    }
}
