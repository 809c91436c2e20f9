namespace OrleansRedis.Engine;

/// <summary>What kind of command it is, under the names that COMMAND INFO shows.</summary>
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

    /// <summary>
    /// Its effects may be those of a write although it is none (PFCOUNT), so CLIENT PAUSE WRITE holds it. Not shown to
    /// clients.
    /// </summary>
    MayReplicate = 1 << 17,

    NoAsyncLoading = 1 << 18,
    NoMandatoryKeys = 1 << 19,

    /// <summary>
    /// Takes keys to another server and waits for it meanwhile (MIGRATE), so never on an I/O thread. Not shown to clients.
    /// </summary>
    MovesKeys = 1 << 20,

    /// <summary>
    /// Tells of all silos, or is to happen at all of them, although it has no keys (PUBSUB NUMSUB). Not shown to clients.
    /// </summary>
    EverySilo = 1 << 21,

    /// <summary>
    /// May be used by a client that has subscriptions and speaks RESP2; see <see cref="Session.IsInPubSub"/>. Not shown
    /// to clients.
    /// </summary>
    AllowedInPubSub = 1 << 22,

    /// <summary>
    /// Runs a script (EVAL, FCALL), whose gates depend on what is known of it. Not shown to clients.
    /// </summary>
    RunsScript = 1 << 23,

    /// <summary>
    /// Visits keys of every slot, one slot's gate at a time (KEYS, SCAN, DBSIZE). Not shown to clients.
    /// </summary>
    WholeKeyspace = 1 << 24,

    /// <summary>
    /// Runs alone on the silo, with every other command kept out (FLUSHALL, SWAPDB). Not shown to clients.
    /// </summary>
    Exclusive = 1 << 25,

    /// <summary>
    /// May reach keys that its arguments do not name (SORT BY, EVAL), so it roams (HeldSlots). Not shown to clients.
    /// </summary>
    UndeclaredKeys = 1 << 26,

    /// <summary>
    /// Reaches the keys that the session watches and those of its queued commands (EXEC, DISCARD, UNWATCH). Not shown
    /// to clients.
    /// </summary>
    SessionKeys = 1 << 27,

    /// <summary>
    /// Runs at once between MULTI and EXEC instead of being queued (EXEC, DISCARD, QUIT…). Not shown to clients.
    /// </summary>
    NotQueued = 1 << 28,

    /// <summary>
    /// Does whatever the session's queued commands do (EXEC); see <see cref="Session.FlagsOf"/>. Not shown to clients.
    /// </summary>
    RunsQueue = 1 << 29,

    /// <summary>
    /// Its method works on a client's connection, so neither a grain call nor a log replay can run it. Not shown to
    /// clients.
    /// </summary>
    NeedsConnection = 1 << 30,
}

/// <summary>How many elements a command goes through, as far as that is known beforehand.</summary>
public enum Effort : byte
{
    /// <summary>Few, or as many as its arguments say.</summary>
    Bounded,

    /// <summary>All elements of all its keys (SUNION, SORT, HGETALL).</summary>
    AllElements,

    /// <summary>In each of its keys, as many as the smallest of them has (SINTER).</summary>
    SmallestKey,

    /// <summary>Every byte of one string for every byte of another (LCS).</summary>
    LengthByLength,

    /// <summary>Every key of the database (KEYS).</summary>
    AllKeys,

    /// <summary>Whatever the queued commands go through (EXEC).</summary>
    Queued,
}

/// <summary>
/// The ACL categories, under the names that ACL CAT shows. The table adds those that follow from the flags (@read,
/// @write, @fast, @slow, @admin, @blocking, @pubsub).
/// </summary>
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
/// Declares a command: the only source for dispatch, arity, key positions, ACL categories, COMMAND INFO, DOCS and
/// GETKEYS, and the compatibility table. A subcommand is named "CONTAINER|SUB"; its container is created implicitly.
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
    /// Where the keys are: specifications separated by ';', each consisting of flags in capitals (RO RW OW RM, ACCESS
    /// UPDATE INSERT DELETE, NOT_KEY INCOMPLETE VARIABLE_FLAGS) and one position: <c>1</c> an argument; <c>1..-1</c> a
    /// range; <c>1..-1:2</c> every second argument of a range; <c>#2</c> argument 2 is the number of keys, and they
    /// follow it (<c>#1:2</c>: each with a value); <c>3|KEYS</c> an argument, unless it is empty and the option KEYS has
    /// the keys; <c>KEYS@-2..-1</c> everything after that option; <c>STORE@3</c> the argument after a word, which is
    /// searched for from argument 3 on (from the end if negative); <c>STREAMS@1/2</c> the first half of everything after
    /// that word; <c>?</c> keys that the request does not reveal; <c>?STORE</c> the argument after a word, where clients
    /// are not told about it. "1" alone means "RO ACCESS 1".
    /// </summary>
    public string Keys { get; init; } = "";

    /// <summary>
    /// Which arguments are names of channels that the caller must be allowed to use: <c>1</c> one argument,
    /// <c>1..-1</c> a range; after the word PATTERN they are patterns of names. Empty if there are none, or if anyone
    /// may name them (UNSUBSCRIBE). Not shown to clients.
    /// </summary>
    public string Channels { get; init; } = "";

    /// <summary>What COMMAND INFO notes about the key specifications, for people: one for each, separated by ';'.</summary>
    public string KeyNotes { get; init; } = "";

    /// <summary>
    /// Position of the argument that names an element of the key's value; 0 if there is none. Pipelines prefetch by it,
    /// if the command has one key and that key's value has a hash table. Not shown to clients.
    /// </summary>
    public int Element { get; init; }

    /// <summary>
    /// How much work the command is; a lot of work is not done on an I/O thread. Not shown to clients.
    /// </summary>
    public Effort Effort { get; init; }

    public required string Since { get; init; }

    /// <summary>Empty if nothing is said about it.</summary>
    public required string Complexity { get; init; }

    public required string Summary { get; init; }

    /// <summary>
    /// The arguments as redis.io writes them: words in capitals are literal, other names are values, <c>[a]</c> is
    /// optional, <c>a | b</c> are alternatives, <c>a [a ...]</c> is one or more. The type follows from the name; see
    /// ArgumentSyntax, also for how to say more.
    /// </summary>
    public string Syntax { get; init; } = "";

    /// <summary>The group that COMMAND DOCS shows; by default it follows from the categories.</summary>
    public string? Group { get; init; }

    /// <summary>
    /// Tips for clients and proxies, separated by ';', as COMMAND INFO shows them (nondeterministic_output,
    /// request_policy:…).
    /// </summary>
    public string Tips { get; init; } = "";

    /// <summary>
    /// What changed about the command and in which version: "6.0.0: Added the KEEPTTL option.", one per line.
    /// </summary>
    public string History { get; init; } = "";

    /// <summary>
    /// Which arguments are secrets, for <see cref="SecretArguments"/>: <c>2..</c> all from argument 2 on;
    /// <c>AUTH+2;PASS+1</c> the two arguments after the word AUTH and the one after PASS, wherever they stand;
    /// <c>directives</c> values of directives. Not shown to clients.
    /// </summary>
    public string Secrets { get; init; } = "";

    /// <summary>Whether people are not meant to use it (COMMAND DOCS: syscmd).</summary>
    public bool IsInternal { get; init; }

    /// <summary>
    /// Since when the command is deprecated, and what replaces it: "6.2.0: `SET` with the `GET` argument"; empty if it
    /// is not deprecated.
    /// </summary>
    public string Deprecated { get; init; } = "";
}
