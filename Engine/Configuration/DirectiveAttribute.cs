namespace OrleansRedis.Engine;

/// <summary>How a number is written in redis.conf.</summary>
public enum NumberFormat
{
    /// <summary>Decimal.</summary>
    Integer,

    /// <summary>Bytes, with an optional unit: b k kb m mb g gb.</summary>
    Memory,

    /// <summary>Octal, as file modes are.</summary>
    Octal,
}

/// <summary>
/// Makes a property of <see cref="ServerOptions"/> a directive of redis.conf. This declaration is the only source for
/// reading the directive from the file and the command line, and for CONFIG GET, SET and REWRITE. The property's type
/// decides how the value is written: a bool is yes or no, an enum's names are words ("AllkeysLru" is "allkeys-lru"),
/// numbers have bounds and a format, and a string stands as it is. Other types name a <see cref="DirectiveKind"/>. The
/// default is the value in a new ServerOptions.
/// </summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class DirectiveAttribute(string name) : Attribute
{
    /// <summary>Its name, in lower case.</summary>
    public string Name { get; } = name;

    /// <summary>Another name for it ("hash-max-ziplist-entries"), or null.</summary>
    public string? Alias { get; init; }

    /// <summary>The least number allowed.</summary>
    public long Min { get; init; }

    /// <summary>The greatest number allowed; by default the type's own.</summary>
    public long Max { get; init; } = long.MaxValue;

    /// <summary>How a number is written.</summary>
    public NumberFormat Format { get; init; }

    /// <summary>Whether it can be given only at start, not by CONFIG SET.</summary>
    public bool Immutable { get; init; }

    /// <summary>Whether CONFIG SET may change it only if enable-protected-configs allows that.</summary>
    public bool Protected { get; init; }

    /// <summary>Whether CONFIG SET may not change it while data are being loaded.</summary>
    public bool NotWhileLoading { get; init; }

    /// <summary>Whether it is only for tests of this server: patterns of CONFIG GET do not show it.</summary>
    public bool Hidden { get; init; }

    /// <summary>
    /// Whether its value is a secret, which is shown to whoever asks for it with CONFIG GET and nowhere else.
    /// </summary>
    public bool Sensitive { get; init; }

    /// <summary>Whether it stands in the file alone: CONFIG GET and SET know nothing of it.</summary>
    public bool IsFileOnly { get; init; }

    /// <summary>
    /// The <see cref="DirectiveKind"/> that reads and writes it, for a type with a grammar of its own.
    /// </summary>
    public Type? Kind { get; init; }
}
