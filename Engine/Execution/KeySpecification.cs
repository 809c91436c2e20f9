namespace OrleansRedis.Engine;

/// <summary>Where the search for a command's keys begins.</summary>
public enum KeySearch
{
    Index,
    Keyword,

    /// <summary>The request does not reveal it, or the key specifications have no way to say it.</summary>
    Unknown,
}

/// <summary>How the keys are found from there.</summary>
public enum KeyFind
{
    Range,
    KeyCount,
}

/// <summary>What a command does to a key, as far as permissions are concerned.</summary>
[Flags]
public enum KeyAccess : byte
{
    /// <summary>Neither: it tells whether the key exists, or how large it is.</summary>
    None = 0,

    /// <summary>It returns, copies or computes something from what the key holds.</summary>
    Read = 1,

    /// <summary>It changes or deletes the key.</summary>
    Write = 2,
}

/// <summary>
/// One key specification, as COMMAND INFO shows it (https://redis.io/docs/latest/develop/reference/key-specs/).
/// </summary>
public sealed class KeySpecification
{
    /// <summary>
    /// RO RW OW RM ACCESS UPDATE INSERT DELETE NOT_KEY INCOMPLETE VARIABLE_FLAGS, in the order written.
    /// </summary>
    public required string[] Flags
    {
        get;
        init
        {
            field = value;
            IsNotKey = value.Contains("NOT_KEY");
            IsOverwritten = value.Contains("OW");
            Access = AccessOf(value);
            HasVariableFlags = value.Contains("VARIABLE_FLAGS");
        }
    }

    public required KeySearch Search { get; init; }

    /// <summary>For <see cref="KeySearch.Index"/>: the first key's argument (or, for KeyCount, the count's).</summary>
    public int First { get; init; }

    /// <summary>
    /// For <see cref="KeySearch.Keyword"/>: the word to search for, from argument <see cref="StartFrom"/> on. For
    /// <see cref="KeySearch.Unknown"/>: the option of SORT that has the key as its argument, though clients are not
    /// told so; or empty.
    /// </summary>
    public string Keyword { get; init; } = "";

    public int StartFrom { get; init; }

    /// <summary>Where MIGRATE's key stands, if it is not the option KEYS that gives the keys.</summary>
    private const int MigratedKey = 3;

    /// <summary>
    /// For <see cref="KeySearch.Index"/>: the option that gives the keys instead, if the argument is empty (MIGRATE); or
    /// empty.
    /// </summary>
    private string Instead { get; init; } = "";

    public KeyFind Find { get; init; }

    /// <summary>
    /// For <see cref="KeyFind.Range"/>: the last key; relative to the first if not negative, counted from the end if
    /// negative.
    /// </summary>
    public int Last { get; init; }

    /// <summary>How far apart the keys are.</summary>
    public int Step { get; init; } = 1;

    /// <summary>
    /// With a negative Last: only the first 1/Limit of the remaining arguments are keys (STREAMS: 2, the first half); 0
    /// for all.
    /// </summary>
    public int Limit { get; init; }

    public bool IsOneFixedKey => Search == KeySearch.Index && Find == KeyFind.Range && Last == 0 && !IsNotKey;

    /// <summary>
    /// Whether a request with this many arguments has exactly one such key, at <see cref="First"/>: "DEL key", "MSET
    /// key value".
    /// </summary>
    public bool IsOneKeyOf(int argumentCount) =>
        IsRangeToTheEnd && argumentCount > First && argumentCount + Last >= First && argumentCount + Last < First + Step;

    private bool IsRangeToTheEnd => Search == KeySearch.Index && Find == KeyFind.Range && Last < 0 && Limit == 0 && !IsNotKey;

    public bool IsNotKey { get; private init; }

    /// <summary>Whether the command replaces what the key holds, without regard to its old value.</summary>
    public bool IsOverwritten { get; private init; }

    /// <summary>
    /// What the command does to the key; with <see cref="HasVariableFlags"/>, the most that it may do.
    /// </summary>
    public KeyAccess Access { get; private init; }

    /// <summary>Whether what it does depends on the request; see <see cref="VariableKeyFlags"/>.</summary>
    public bool HasVariableFlags { get; private init; }

    internal static KeyAccess AccessOf(string[] flags) =>
        (flags.Contains("ACCESS") ? KeyAccess.Read : KeyAccess.None)
        | (flags.Contains("UPDATE") || flags.Contains("INSERT") || flags.Contains("DELETE") ? KeyAccess.Write : KeyAccess.None);

    public static IReadOnlyList<KeySpecification> Parse(string text, CommandFlags commandFlags)
    {
        if (text.Length == 0) return [];
        var specifications = new List<KeySpecification>();
        foreach (string part in text.Split(';', StringSplitOptions.TrimEntries))
        {
            string[] words = part.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            string[] flags = words[..^1];
            if (flags.Length == 0)
            {
                if ((commandFlags & CommandFlags.Write) != 0)
                    throw new FormatException($"The key specification '{text}' of a write command needs flags.");
                flags = ["RO", "ACCESS"];
            }
            specifications.Add(ParsePosition(words[^1], flags));
        }
        return specifications;
    }

    private static KeySpecification ParsePosition(string position, string[] flags)
    {
        int at = position.IndexOf('@');
        if (at >= 0)
        {
            int slash = position.IndexOf('/'), all = position.IndexOf("..-1", StringComparison.Ordinal);
            return new()
            {
                Flags = flags,
                Search = KeySearch.Keyword,
                Keyword = position[..at],
                StartFrom = int.Parse(slash >= 0 ? position[(at + 1)..slash] : all >= 0 ? position[(at + 1)..all] : position[(at + 1)..]),
                Last = slash < 0 && all < 0 ? 0 : -1,
                Limit = slash < 0 ? 0 : int.Parse(position[(slash + 1)..]),
            };
        }
        if (position[0] == '?') return new() { Flags = flags, Search = KeySearch.Unknown, Keyword = position[1..] };
        if (position[0] == '#')
        {
            string[] parts = position[1..].Split(':');
            return new()
            {
                Flags = flags,
                Search = KeySearch.Index,
                Find = KeyFind.KeyCount,
                First = int.Parse(parts[0]),
                Step = parts.Length == 1 ? 1 : int.Parse(parts[1]),
            };
        }
        int bar = position.IndexOf('|');
        if (bar >= 0) return new() { Flags = flags, Search = KeySearch.Index, First = int.Parse(position[..bar]), Instead = position[(bar + 1)..] };
        int dots = position.IndexOf("..", StringComparison.Ordinal);
        if (dots < 0) return new() { Flags = flags, Search = KeySearch.Index, First = int.Parse(position) };
        int colon = position.IndexOf(':');
        int first = int.Parse(position[..dots]);
        int last = int.Parse(colon < 0 ? position[(dots + 2)..] : position[(dots + 2)..colon]);
        return new()
        {
            Flags = flags,
            Search = KeySearch.Index,
            First = first,
            Last = last < 0 ? last : last - first,
            Step = colon < 0 ? 1 : int.Parse(position[(colon + 1)..]),
        };
    }

    /// <summary>
    /// Appends the positions of the keys in <paramref name="request"/>; false if its arguments make that impossible.
    /// </summary>
    public bool TryLocate(in Request request, List<int> positions)
    {
        int first = First;
        if (Search == KeySearch.Unknown)
        {
            if (Keyword.Length != 0 && FindOption(request) is var option and not -1) positions.Add(option);
            return true;
        }
        if (Search == KeySearch.Keyword)
        {
            bool takesAllThatFollow = Last < 0 && Limit == 0;
            first = takesAllThatFollow ? FindKeys(request, Keyword) : StartFrom >= 0 ? FindOption(request) : FindLast(request);
            if (first < 0 || (takesAllThatFollow && !request[MigratedKey].IsEmpty)) return true;
        }
        if (Instead.Length != 0 && FindKeys(request, Instead) >= 0) return true;
        if (Find == KeyFind.KeyCount)
        {
            if (first >= request.Count || !Numbers.TryParseInt64(request[first], out long count) || count < 0
                || count > (request.Count - first - 1) / Step)
                return false;
            for (int i = 0; i < count; i++) positions.Add(first + 1 + (i * Step));
            return true;
        }
        int last = Last < 0 ? request.Count + Last : first + Last;
        if (Limit > 1) last = first + ((request.Count - first) / Limit) - 1;
        if (last >= request.Count) return false;
        for (int i = first; i <= last; i += Step) positions.Add(i);
        return true;
    }

    /// <summary>
    /// The argument of the option <see cref="Keyword"/>; -1 if the request lacks it. Options are read as the command
    /// reads them: what is the argument of another option is no option, however it is called, and of several the last
    /// counts. After STREAMS there are none.
    /// </summary>
    private int FindOption(in Request request)
    {
        int found = -1;
        // Commands that read streams have their options at once, even where clients are told to search after GROUP.
        int start = Search == KeySearch.Unknown ? 2 : Limit > 1 ? 1 : StartFrom;
        for (int i = start; i < request.Count - 1; i++)
        {
            ReadOnlySpan<byte> word = request[i];
            if (Ascii.EqualsWord(word, Keyword))
            {
                found = i + 1;
                if (Limit > 1) return found;
            }
            i += ArgumentsOf(word);
        }
        return found;
    }

    /// <summary>
    /// The first argument after MIGRATE's KEYS, read as the command reads it; -1 if there is none. With a key in its own
    /// place as well the command is wrong, and concerns no keys.
    /// </summary>
    private static int FindKeys(in Request request, string keyword)
    {
        const int FirstOption = 6;
        if (request.Count <= FirstOption) return -1;
        for (int i = FirstOption; i < request.Count; i++)
        {
            if (Ascii.EqualsWord(request[i], keyword)) return i + 1;
            if (request[i].Is("AUTH"u8)) i++;
            else if (request[i].Is("AUTH2"u8)) i += 2;
        }
        return -1;
    }

    /// <summary>How many arguments an option has, in any of the commands whose keys are arguments of options.</summary>
    private static int ArgumentsOf(ReadOnlySpan<byte> option) =>
        option.Is("GROUP"u8) || option.Is("LIMIT"u8) ? 2
        : option.Is("COUNT"u8) || option.Is("BLOCK"u8) || option.Is("BY"u8) || option.Is("GET"u8) || option.Is("STORE"u8) || option.Is("STOREDIST"u8) ? 1
        : 0;

    /// <summary>The argument after the last occurrence of <see cref="Keyword"/>; -1 if there is none.</summary>
    private int FindLast(in Request request)
    {
        for (int i = request.Count + StartFrom; i > 0; i--)
        {
            if (i < request.Count - 1 && Ascii.EqualsWord(request[i], Keyword)) return i + 1;
        }
        return -1;
    }
}
