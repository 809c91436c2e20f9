namespace OrleansRedis.Engine;

/// <summary>What kind of command it is, with the names that COMMAND INFO shows.</summary>
[Flags]
public enum CommandFlags
{
    None = 0,
    Write = 1 << 0,
    ReadOnly = 1 << 1,
    DenyOom = 1 << 2,
    Admin = 1 << 3,
    PubSub = 1 << 4,
    NoScript = 1 << 5,
    Blocking = 1 << 6,
    Loading = 1 << 7,
    Stale = 1 << 8,
    SkipMonitor = 1 << 9,
    SkipSlowlog = 1 << 10,
    Asking = 1 << 11,
    Fast = 1 << 12,
    NoAuth = 1 << 13,
    MovableKeys = 1 << 14,
    NoMulti = 1 << 15,
    AllowBusy = 1 << 16,
    MayReplicate = 1 << 17,
    NoAsyncLoading = 1 << 18,
    NoMandatoryKeys = 1 << 19,

    /// <summary>Visits keys of every slot, one slot's gate after the other (KEYS, SCAN, DBSIZE). Not shown to clients.</summary>
    WholeKeyspace = 1 << 24,

    /// <summary>Runs alone on the silo, all connections outside (FLUSHALL, SWAPDB). Not shown to clients.</summary>
    Exclusive = 1 << 25,

    /// <summary>May reach keys that its arguments do not name (SORT BY, EVAL), so it roams (HeldSlots). Not shown to clients.</summary>
    UndeclaredKeys = 1 << 26,

    /// <summary>Reaches the keys that the session watches and those of the commands it has queued (EXEC, DISCARD, UNWATCH). Not shown to clients.</summary>
    SessionKeys = 1 << 27,

    /// <summary>
    /// Between MULTI and EXEC it runs at once instead of being queued (EXEC, DISCARD, QUIT…). Not shown to clients.
    /// </summary>
    NotQueued = 1 << 28,

    /// <summary>
    /// Does what the commands do that the session has queued (EXEC); see <see cref="Session.FlagsOf"/>. Not shown to
    /// clients.
    /// </summary>
    RunsQueue = 1 << 29,

    /// <summary>
    /// Its method works on a client's connection, so nothing else can run it: no grain call, no log. Not shown to
    /// clients.
    /// </summary>
    NeedsConnection = 1 << 30,
}

/// <summary>How many elements a command goes through, as far as that can be told beforehand.</summary>
public enum Effort : byte
{
    /// <summary>Few, or as many as its arguments say.</summary>
    Bounded,

    /// <summary>All elements of all its keys (SUNION, SORT, HGETALL).</summary>
    AllElements,

    /// <summary>As many as the smallest of its keys has, in each of them (SINTER).</summary>
    SmallestKey,

    /// <summary>Every byte of one string for every byte of another (LCS).</summary>
    LengthByLength,

    /// <summary>Every key of the database (KEYS).</summary>
    AllKeys,

    /// <summary>What the commands queued go through (EXEC).</summary>
    Queued,
}

/// <summary>The ACL categories, with the names that ACL CAT shows. Those that follow from the flags (@read, @write, @fast, @slow, @admin, @blocking, @pubsub) are added by the table.</summary>
[Flags]
public enum Category
{
    None = 0,
    Keyspace = 1 << 0,
    Read = 1 << 1,
    Write = 1 << 2,
    Set = 1 << 3,
    SortedSet = 1 << 4,
    List = 1 << 5,
    Hash = 1 << 6,
    String = 1 << 7,
    Bitmap = 1 << 8,
    HyperLogLog = 1 << 9,
    Geo = 1 << 10,
    Stream = 1 << 11,
    PubSub = 1 << 12,
    Admin = 1 << 13,
    Fast = 1 << 14,
    Slow = 1 << 15,
    Blocking = 1 << 16,
    Dangerous = 1 << 17,
    Connection = 1 << 18,
    Transaction = 1 << 19,
    Scripting = 1 << 20,
}

/// <summary>
/// Declares a command: the only source for dispatch, arity, key positions, ACL categories, COMMAND INFO, DOCS and GETKEYS,
/// and the compatibility table. A subcommand is named "CONTAINER|SUB"; its container comes into being by itself.
/// </summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class CommandAttribute(string name, int arity, CommandFlags flags, Category categories) : Attribute
{
    public string Name { get; } = name;

    /// <summary>The number of arguments, name (and subcommand) included; negative for "at least".</summary>
    public int Arity { get; } = arity;

    public CommandFlags Flags { get; } = flags;

    public Category Categories { get; } = categories;

    /// <summary>
    /// Where the keys are, specifications separated by ';', each made of flags in capitals (RO RW OW RM, ACCESS UPDATE INSERT DELETE,
    /// NOT_KEY INCOMPLETE VARIABLE_FLAGS) and one position: <c>1</c> an argument; <c>1..-1</c> a range; <c>1..-1:2</c> every
    /// second of it; <c>#2</c> the number of keys is argument 2 and they follow it; <c>STORE@3</c> the argument after a word searched for
    /// from argument 3 on (from the end if negative); <c>STREAMS@1/2</c> the first half of all after that word;
    /// <c>?</c> keys that the request does not tell; <c>?STORE</c> the argument after a word, which clients are not told either. "1" alone means "RO ACCESS 1".
    /// </summary>
    public string Keys { get; init; } = "";

    /// <summary>Which argument, if any, is the element that it looks up in its one key, if that has a hash table: pipelines are foreseen by it. Not shown to clients.</summary>
    public int Element { get; init; }

    /// <summary>How much work it is; much is not done on an I/O thread. Not shown to clients.</summary>
    public Effort Effort { get; init; }

    public required string Since { get; init; }

    public required string Complexity { get; init; }

    public required string Summary { get; init; }

    /// <summary>
    /// The arguments as redis.io writes them: words in capitals are literal, other names are values, <c>[a]</c> optional,
    /// <c>a | b</c> alternatives, <c>a [a ...]</c> one or more. Type follows from the name (see ArgumentSyntax).
    /// </summary>
    public string Syntax { get; init; } = "";

    /// <summary>The group that COMMAND DOCS shows; by default it follows from the categories.</summary>
    public string? Group { get; init; }

    /// <summary>Tips for clients and proxies, separated by ';', as COMMAND INFO shows them (nondeterministic_output, request_policy:…).</summary>
    public string Tips { get; init; } = "";

    /// <summary>In which version something about it changed: "6.0.0: Added the KEEPTTL option.", one a line.</summary>
    public string History { get; init; } = "";

    /// <summary>"6.2.0: `SET` with the `GET` argument" — since when, and by what, the command is replaced; empty if it is not deprecated.</summary>
    public string Deprecated { get; init; } = "";
}
