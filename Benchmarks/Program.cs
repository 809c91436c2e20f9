using System.Globalization;
using BenchmarkDotNet.Running;
using OrleansRedis.Benchmarks;

const string Usage = """
    Benchmarks/compare [--rounds N] [--only NAME,…] [--pipelines P,…] [--quick] [--no-memory] [--no-startup]
        this server beside Debian's redis-server: the same redis-benchmark lines in alternation, medians of N rounds (5)
        --only         of GET, SET, INCR, MSET and the other lines of Workload.cs; without it, every line whose commands both servers know
        --pipelines    depths instead of each line's own
        --quick        a tenth of the requests: for a first look, not for a claim
    Benchmarks/compare memory [NAME,…]
        only how much memory the same data takes in both: STRINGS, HASHES, LIST, ZSET, INTSETS, STREAM
    Benchmarks/compare persistence [--rounds N] [--quick]
        snapshots and logs of a million keys beside redis-server: BGSAVE, loading, SET while every write is logged, and the slowest SETs with and without a running BGSAVE; medians of N rounds (3)
        --quick        a tenth of the keys
    Benchmarks/compare engine [BenchmarkDotNet options]
        the engine in process: time and allocated bytes per command
    """;

if (args is ["engine", ..])
{
    BenchmarkSwitcher.FromAssembly(typeof(EngineBenchmarks).Assembly).Run(args.Length > 1 ? args[1..] : ["--filter", "*"]);
    return 0;
}

if (args is ["memory", ..])
{
    await MemoryComparison.RunAsync(args.Length > 1 ? args[1].ToUpperInvariant().Split(',') : []);
    return 0;
}

bool persistence = args is ["persistence", ..];
ComparisonOptions options = new();
if (persistence)
{
    args = args[1..];
    options.Rounds = 3;
}
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--rounds" when i + 1 < args.Length: options.Rounds = int.Parse(args[++i], CultureInfo.InvariantCulture); break;
        case "--only" when i + 1 < args.Length: options.Only = args[++i].ToUpperInvariant().Split(','); break;
        case "--pipelines" when i + 1 < args.Length: options.Pipelines = [.. args[++i].Split(',').Select(depth => int.Parse(depth, CultureInfo.InvariantCulture))]; break;
        case "--quick": options.RequestDivisor = 10; break;
        case "--no-memory": options.Memory = false; break;
        case "--no-startup": options.Startup = false; break;
        default:
            Console.WriteLine(Usage);
            return args[i] is "--help" or "-h" ? 0 : 2;
    }
}

if (persistence)
{
    await new PersistenceComparison(options.Rounds, 1_000_000 / options.RequestDivisor).RunAsync();
    return 0;
}

await new Comparison(options).RunAsync();
return 0;
