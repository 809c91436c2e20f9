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
    /// <summary>The same as a number: 0x00MMmmpp.</summary>
    public static int RedisNumber { get; } = Redis.Split('.').Aggregate(0, static (number, part) => (number << 8) | int.Parse(part));

    public const string Product = "OrleansRedis";

    private static readonly string[] s_informational =
        typeof(ServerVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+') ?? ["0.0.0"];

    /// <summary>The server's own version.</summary>
    public static string Own { get; } = s_informational[0];

    /// <summary>
    /// The first eight digits of the commit that the server was built from; zeros, as in a release of Redis, if it was
    /// built outside its repository.
    /// </summary>
    public static string Revision { get; } = s_informational is [_, { Length: >= 8 } commit] ? commit[..8] : new('0', 8);

    /// <summary>Whether the sources differed from that commit.</summary>
    public static bool IsModified { get; } =
        typeof(ServerVersion).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Any(metadata => metadata.Key == "Modified");
}
