using System.Security.Cryptography;
using System.Text;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>One line of redis-benchmark.</summary>
/// <param name="Name">Its name in the table.</param>
/// <param name="Arguments">Arguments for redis-benchmark after the common options: <c>-t</c> and one of its own tests,
/// or a command.</param>
/// <param name="Commands">The commands that the server must know.</param>
/// <param name="Pipelines">The depths at which it is measured.</param>
#pragma warning disable CA5350 // SHA-1 is how EVALSHA names a script.
internal sealed record Workload(string Name, string[] Arguments, string[] Commands, int[] Pipelines)
{
    private static readonly int[] stringDepths = [1, 16, 128], typeDepths = [1, 16];
    private static readonly string value = new('x', 32);

    /// <summary>Requests of one round at the default depth of 1. Deeper pipelines get more.</summary>
    public int Requests { get; init; } = 200_000;

    /// <summary>
    /// Whether a reply costs redis-benchmark more work than the server. With pipelining, redis-benchmark's single
    /// thread would then be all that is measured.
    /// </summary>
    public bool BurdensClient { get; init; }

    /// <summary>Whether redis-benchmark connects by TLS.</summary>
    public bool IsTls { get; init; }

    /// <summary>If not 0, transactions of so many SETs are measured, by <see cref="TransactionLoad"/>.</summary>
    public int Transaction { get; init; }

    /// <summary>Puts into the keyspace what must be there before the first round.</summary>
    public Func<RespConnection, Task> PrepareAsync { get; init; } = _ => Task.CompletedTask;

    /// <summary>
    /// For commands that remove something: before each round, puts there what this many requests will remove.
    /// </summary>
    public Func<RespConnection, int, Task>? StockAsync { get; init; }

    /// <summary>Every line, in the order of the table.</summary>
    public static IReadOnlyList<Workload> All { get; } =
    [
        new("GET", ["-t", "get"], ["GET"], stringDepths)
        {
            PrepareAsync = redis => LoadStringsAsync(redis, i => $"key:{i:D12}", 1_000_000)
        },
        new("GET_TLS", ["-t", "get"], ["GET"], typeDepths)
        {
            IsTls = true,
            PrepareAsync = redis => LoadStringsAsync(redis, i => $"key:{i:D12}", 1_000_000)
        },
        new("SET", ["-t", "set"], ["SET"], stringDepths),
        new("INCR", ["-t", "incr"], ["INCR"], stringDepths),
        new("MSET", ["-t", "mset"], ["MSET"], stringDepths) { Requests = 60_000 },
        Own("LPUSH", "LPUSH", "list:__rand_int__", value),
        Own("RPUSH", "RPUSH", "list:__rand_int__", value),
        Own("LPOP", "LPOP", "stock") with { StockAsync = (redis, count) => PushAsync(redis, "stock", count) },
        Own("RPOP", "RPOP", "stock") with { StockAsync = (redis, count) => PushAsync(redis, "stock", count) },
        Range(100),
        Range(300),
        Range(600),
        Own("SADD", "SADD", "set", "element:__rand_int__"),
        Own("SPOP", "SPOP", "stock")
            with { StockAsync = (redis, count) => AddManyAsync(redis, "SADD", "stock", count, i => [$"element:{i}"]) },
        Own("HSET", "HSET", "hash", "element:__rand_int__", value),
        Own("ZADD", "ZADD", "zset", "__rand_int__", "element:__rand_int__"),
        Own("ZPOPMIN", "ZPOPMIN", "stock")
            with { StockAsync = (redis, count) => AddManyAsync(redis, "ZADD", "stock", count, i => [i, $"element:{i}"]) },
        Own("ZRANGEBYSCORE", "ZRANGEBYSCORE", "scores", "__rand_int__", "+inf", "LIMIT", "0", "10")
            with { PrepareAsync = redis => AddManyAsync(redis, "ZADD", "scores", 1_000_000, i => [i, $"element:{i}"]) },
        Own("XADD", "XADD", "stream", "MAXLEN", "~", "1000000", "*", "field", value),
        Own("GEOSEARCH", "GEOSEARCH", "places", "FROMLONLAT", "15", "37", "BYRADIUS", "100", "km", "COUNT", "10")
            with
        {
            Requests = 40_000,
            PrepareAsync = redis => AddManyAsync(
                redis, "GEOADD", "places", 100_000, i => [i % 360 - 180 + i / 1e6, i % 160 - 80 + i / 1e6, $"place:{i}"]),
        },
        Own("EVALSHA", "EVALSHA", Sha(Counter), "1", "counter:__rand_int__", "1") with { PrepareAsync = LoadScriptsAsync },
        Own("EVALSHA_RATE", "EVALSHA", Sha(RateLimit), "1", "limit:__rand_int__", "100", "60") with { PrepareAsync = LoadScriptsAsync },
        Own("FCALL", "FCALL", "counter", "1", "counter:__rand_int__", "1") with { PrepareAsync = LoadScriptsAsync },
        new("EXEC_10", [], ["MULTI", "EXEC"], typeDepths) { Transaction = 10, Requests = 300_000 },
        Own("SINTER", "SINTER", "set:a", "set:b") with { Requests = 400, PrepareAsync = TwoSetsAsync },
        Own("SUNIONSTORE", "SUNIONSTORE", "set:c", "set:a", "set:b") with { Requests = 400, PrepareAsync = TwoSetsAsync },
        // The last, since the users stay.
        new("GET_USERS", ["--user", "user:50", "-a", "password:50", "-t", "get"], ["GET", "ACL"], stringDepths) { PrepareAsync = LoadUsersAsync },
    ];

    /// <summary>A small script.</summary>
    private const string Counter = "return redis.call('incrby', KEYS[1], ARGV[1])";

    /// <summary>A rate limiter, as applications have them.</summary>
    private const string RateLimit = """
        local count = tonumber(redis.call('get', KEYS[1]) or '0')
        if count >= tonumber(ARGV[1]) then return {0, redis.call('ttl', KEYS[1])} end
        count = redis.call('incr', KEYS[1])
        if count == 1 then redis.call('expire', KEYS[1], ARGV[2]) end
        return {1, count}
        """;

    private static string Sha(string script) => Convert.ToHexStringLower(SHA1.HashData(Encoding.ASCII.GetBytes(script)));

    /// <summary>The keys of GET, and a hundred users who may do some of what there is to some of the keys.</summary>
    private static async Task LoadUsersAsync(RespConnection redis)
    {
        await LoadStringsAsync(redis, i => $"key:{i:D12}", 1_000_000);
        for (int i = 0; i < 100; i++)
            await redis.CallAsync("ACL", "SETUSER", $"user:{i}", "on", $">password:{i}", $"~own:{i}:*", "~key:*", "&news:*", "+@all", "-@dangerous");
    }

    private static async Task LoadScriptsAsync(RespConnection redis)
    {
        await redis.CallAsync("SCRIPT", "LOAD", Counter);
        await redis.CallAsync("SCRIPT", "LOAD", RateLimit);
        await redis.CallAsync("FUNCTION", "LOAD", "REPLACE", $"""
            #!lua name=benchmark
            redis.register_function('counter', function(KEYS, ARGV) {Counter} end)
            """);
    }

    /// <summary>Loads strings of 32 bytes.</summary>
    public static Task LoadStringsAsync(RespConnection redis, Func<int, string> key, int count) =>
        BatchAsync(redis, count, i => ["SET", key(i), value]);

    private static Workload Own(string name, params string[] command) => new(name, command, [command[0]], typeDepths);

    private static Workload Range(int count) => Own($"LRANGE_{count}", "LRANGE", "range-list", "0", $"{count - 1}") with
    {
        Requests = 4_000_000 / count,
        BurdensClient = true,
        PrepareAsync = redis => PushAsync(redis, "range-list", 600),
    };

    private static Task PushAsync(RespConnection redis, string key, int count) =>
        AddManyAsync(redis, "RPUSH", key, count, _ => [value]);

    private static async Task AddManyAsync(
        RespConnection redis, string command, string key, int count, Func<int, RespArgument[]> element)
    {
        const int AtOnce = 50;
        await redis.CallAsync("DEL", key);
        await BatchAsync(redis, (count + AtOnce - 1) / AtOnce, batch =>
            [command, key, .. Enumerable.Range(batch * AtOnce, Math.Min(AtOnce, count - batch * AtOnce)).SelectMany(element)]);
    }

    private static async Task TwoSetsAsync(RespConnection redis)
    {
        await AddManyAsync(redis, "SADD", "set:a", 10_000, i => [$"element:{i}"]);
        await AddManyAsync(redis, "SADD", "set:b", 10_000, i => [$"element:{i + 5000}"]);
    }

    private static async Task BatchAsync(RespConnection redis, int count, Func<int, RespArgument[]> command)
    {
        const int BatchCommands = 500;
        for (int begin = 0; begin < count; begin += BatchCommands)
        {
            RespValue[] replies = await redis.PipelineAsync(
                [.. Enumerable.Range(begin, Math.Min(BatchCommands, count - begin)).Select(command)]);
            if (replies.FirstOrDefault(reply => reply.IsError) is { } error)
                throw new InvalidOperationException($"loading was answered {error}");
        }
    }
}
