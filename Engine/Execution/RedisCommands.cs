using System.Collections.Frozen;

namespace OrleansRedis.Engine;

/// <summary>
/// The commands of Redis 7.4, by name, whether they are here or not: "psync", "cluster", "cluster|info". Rules may be
/// about any of them, so that a file of users which Redis reads can be read here.
/// </summary>
internal static class RedisCommands
{
    private static readonly Lazy<FrozenSet<string>> s_names = new(Read);

    /// <summary>Whether Redis has a command of this name, in lower case.</summary>
    public static bool Has(string name) => s_names.Value.Contains(name);

    /// <summary>The list's lines: a command's group, and its name.</summary>
    public static string[] Lines()
    {
        using Stream list = typeof(RedisCommands).Assembly.GetManifestResourceStream("redis-7.4-commands.txt")!;
        using var reader = new StreamReader(list);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static FrozenSet<string> Read() =>
        Lines().Select(line => line.Split(' ')[1]).SelectMany(name => (string[])[name, name.Split('|')[0]]).ToFrozenSet();
}
