using System.Globalization;
using BenchmarkDotNet.Running;
using OrleansRedis.Benchmarks;

const string Usage = """
    Benchmarks/compare [start] [speed] [memory] [persistence] [pubsub] [latency] [100m] [options]
        this server beside others on the same machine, all of them measured in alternation; without a name, all of the parts but the last two
            start        from exec to the first PONG, CPU time by then, CPU when idle, resident memory at rest; medians of 5 rounds
            speed        the lines of redis-benchmark; medians of 5 rounds
            memory       what the same data takes; one round
            persistence  BGSAVE, loading, SET while every write is logged, and the slowest SETs with and without a running BGSAVE; medians of 3 rounds
            pubsub       PUBLISH to 50 subscribers; medians of 5 rounds
            latency      the longest PINGs while many new keys come in, and the resident memory as data come, go, are evicted and are overwritten; one round
            100m         100 million small keys: loading, reading, saving and reloading them, their memory, and the longest PINGs meanwhile; one round
        --peers NAME,…   of redis, valkey, garnet; or none. Without it redis, or none if --against is given. One that is not to be had is named and left out;
                         REDIS_SERVER, VALKEY_SERVER and GARNET_SERVER in the environment say where one is
        --against PATH   another build of this server as one more column, and at the end the figures in which this one is worse: the program, or a source
                         tree in which it was built (dotnet build PATH/Silo -c Release). The program of this tree itself shows how much is chance
        --rounds N       instead of each part's own
        --only NAME,…    speed: of GET, SET, INCR, MSET and the other lines of Workload.cs; memory: of STRINGS, HASHES, LIST, ZSET, INTSETS, STREAM;
                         latency: of INSERT, EVICT, EVICT-1GB, OVERWRITE
        --keys N         latency and 100m: how many keys, 12 and 100 million without it
        --pipelines P,…  depths instead of each line's own
        --quick          a tenth of everything: for a look, not for a claim
    Benchmarks/compare engine [BenchmarkDotNet options]
        the engine in process: time and allocated bytes per command
    Benchmarks/compare heap
        the engine's heap beside the C library's malloc: time per block, and resident memory per live byte
    """;
string[] usualParts = ["start", "speed", "memory", "persistence", "pubsub"], parts = [.. usualParts, "latency", "100m"];

if (args is ["engine", ..])
{
    BenchmarkSwitcher.FromAssembly(typeof(EngineBenchmarks).Assembly).Run(args.Length > 1 ? args[1..] : ["--filter", "*"]);
    return 0;
}

if (args is ["heap", ..])
{
    if (args.Length > 1) HeapComparison.Measure(args[1]);
    else HeapComparison.Run();
    return 0;
}

ComparisonOptions options = new();
List<string> chosen = [];
string[]? peerNames = null;
string? otherBuild = null;
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case var part when parts.Contains(part): chosen.Add(part); break;
        case "--peers" when i + 1 < args.Length:
            peerNames = args[++i] == "none" ? [] : args[i].ToLowerInvariant().Split(',');
            break;
        case "--against" when i + 1 < args.Length: otherBuild = args[++i]; break;
        case "--rounds" when i + 1 < args.Length: options.Rounds = Number(args[++i]); break;
        case "--only" when i + 1 < args.Length: options.Only = args[++i].ToUpperInvariant().Split(','); break;
        case "--pipelines" when i + 1 < args.Length: options.Pipelines = [.. args[++i].Split(',').Select(Number)]; break;
        case "--keys" when i + 1 < args.Length: options.Keys = Number(args[++i]); break;
        case "--quick": options.Quick = true; break;
        default:
            Console.WriteLine(Usage);
            return args[i] is "--help" or "-h" ? 0 : 2;
    }
}

peerNames ??= otherBuild is null ? ["redis"] : [];
if (peerNames.Except(Peer.Known).FirstOrDefault() is { } unknown)
{
    await Console.Error.WriteLineAsync($"--peers: {unknown} is none of {string.Join(", ", Peer.Known)}, and none.");
    return 2;
}

string[] names = [.. Workload.All.Select(workload => workload.Name), .. MemoryComparison.Names, .. LatencyComparison.Names];
if (options.Only.Except(names).FirstOrDefault() is { } strange)
{
    await Console.Error.WriteLineAsync($"--only: {strange} is none of {string.Join(", ", names)}.");
    return 2;
}

if (Peer.InPath("redis-benchmark") is null)
{
    await Console.Error.WriteLineAsync("redis-benchmark is needed, and not in PATH; Debian's package is redis-tools.");
    return 1;
}

try
{
    await CompareAsync();
    return 0;
}
catch (FileNotFoundException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}

static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

async Task CompareAsync()
{
    List<Peer> servers = [];
    foreach (string name in peerNames)
    {
        (Peer? peer, string reason) = await Peer.FindAsync(name);
        if (peer is null)
            Console.WriteLine($"without {name}: {reason}");
        else if (await FailureAsync(peer) is { } failure)
            Console.WriteLine($"without {name}: {failure}");
        else
            servers.Add(peer);
    }

    if (otherBuild is not null)
        servers.Add(Peer.OtherBuild(otherBuild));
    servers.Add(Peer.ThisBuild());
    Console.WriteLine(Machine.Describe());
    foreach (Peer server in servers)
        Console.WriteLine(await server.DescribeAsync());
    Console.WriteLine($"Medians of the rounds; behind the bar the ratios of {Peer.Ours} to each.");
    if (options.Quick)
        Console.WriteLine("--quick: for a look, not for a claim.");

    // Garnet keeps its records in an in-memory log, which it allocates by pages. So it has no used_memory to compare,
    // nor dump.rdb, nor appendfsync.
    List<Peer> likeRedis = [.. servers.Where(server => server.Dialect != Dialect.Garnet)];
    List<FigureTable> tables = [];
    foreach (string part in chosen.Count > 0 ? [.. chosen] : usualParts)
    {
        List<Peer> taking = part is "memory" or "persistence" or "latency" or "100m" ? likeRedis : servers;
        foreach (Peer left in servers.Except(taking))
            Console.WriteLine($"\n{part}: without {left.Name}: it keeps its data in a way that these figures do not describe (docs/benchmarks.md)");
        FigureTable table = new(taking);
        tables.Add(table);
        await (part switch
        {
            "start" => new StartComparison(options, taking).RunAsync(table),
            "speed" => new SpeedComparison(options, taking).RunAsync(table),
            "memory" => new MemoryComparison(options, taking).RunAsync(table),
            "pubsub" => new PubSubComparison(options, taking).RunAsync(table),
            "100m" => new ManyKeysComparison(options, taking).RunAsync(table),
            "latency" => new LatencyComparison(options, taking).RunAsync(table),
            _ => new PersistenceComparison(options, taking).RunAsync(table),
        });
    }

    if (otherBuild is not null)
        FigureTable.PrintVerdict(tables);
}

// Returns why a peer cannot be started here; null if it can.
static async Task<string?> FailureAsync(Peer peer)
{
    try
    {
        await using PeerProcess server = await PeerProcess.StartAsync(peer);
        return null;
    }
    catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
    {
        return e.Message;
    }
}
