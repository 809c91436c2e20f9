namespace OrleansRedis.Engine;

/// <summary>What a script says of itself: "#!lua flags=…", or in register_function.</summary>
[Flags]
internal enum ScriptFlags
{
    None = 0,
    NoWrites = 1 << 0,
    AllowOom = 1 << 1,
    AllowStale = 1 << 2,
    NoCluster = 1 << 3,
    AllowCrossSlot = 1 << 4,

    /// <summary>It says nothing: a script as before Redis 7.</summary>
    Compatible = 1 << 5,
}

/// <summary>The first line of scripts and libraries, "#!lua name=value…".</summary>
internal static class Shebang
{
    private static readonly (string Name, ScriptFlags Flag)[] s_flags =
    [
        ("no-writes", ScriptFlags.NoWrites), ("allow-oom", ScriptFlags.AllowOom), ("allow-stale", ScriptFlags.AllowStale),
        ("no-cluster", ScriptFlags.NoCluster), ("allow-cross-slot-keys", ScriptFlags.AllowCrossSlot),
    ];

    /// <summary>The flags that are set, by name.</summary>
    public static IEnumerable<string> Names(ScriptFlags flags) => from flag in s_flags where (flags & flag.Flag) != 0 select flag.Name;

    /// <summary>The flag of this name; None if there is none.</summary>
    public static ScriptFlags Find(string name, StringComparison comparison = StringComparison.Ordinal)
    {
        foreach ((string known, ScriptFlags flag) in s_flags)
        {
            if (known.Equals(name, comparison)) return flag;
        }
        return ScriptFlags.None;
    }

    /// <summary>Reads the flags of a script.</summary>
    /// <param name="body">The script.</param>
    /// <param name="flags">The flags.</param>
    /// <param name="length">How long the line is, without its end; 0 if there is none.</param>
    /// <returns>What is wrong with the line; null if nothing is.</returns>
    public static string? Parse(ReadOnlySpan<byte> body, out ScriptFlags flags, out int length)
    {
        flags = ScriptFlags.Compatible;
        length = 0;
        if (!body.StartsWith("#!"u8)) return null;
        int end = body.IndexOf((byte)'\n');
        if (end < 0) return "Invalid script shebang";
        if (!QuotedWords.TrySplit(System.Text.Encoding.Latin1.GetString(body[..end]), out List<string>? words) || words.Count == 0)
            return "Invalid engine in script shebang";
        if (words[0] != "#!lua") return $"Unexpected engine in script shebang: {words[0]}";
        flags = ScriptFlags.None;
        foreach (string word in words.Skip(1))
        {
            if (!word.StartsWith("flags=", StringComparison.Ordinal)) return $"Unknown lua shebang option: {word}";
            if (word.Length == "flags=".Length) continue;
            foreach (string name in word["flags=".Length..].Split(','))
            {
                ScriptFlags flag = Find(name);
                if (flag == ScriptFlags.None) return $"Unexpected flag in script shebang: {name}";
                flags |= flag;
            }
        }
        length = end;
        return null;
    }
}
