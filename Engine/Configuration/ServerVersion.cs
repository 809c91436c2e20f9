using System.Reflection;

namespace OrleansRedis.Engine;

/// <summary>What this server is, and which Redis it behaves like.</summary>
public static class ServerVersion
{
    /// <summary>
    /// The version of Redis whose commands, replies and texts this server has. Clients look at it (HELLO, INFO
    /// redis_version) to learn what they may use.
    /// </summary>
    public const string Redis = "7.4.0";

    /// <summary>The server's own name.</summary>
    public const string Product = "OrleansRedis";

    /// <summary>The server's own version.</summary>
    public static string Own { get; } =
        typeof(ServerVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0.0.0";
}
