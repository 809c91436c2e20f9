using System.Globalization;
using OrleansRedis.Grains;
using OrleansRedis.Tests.Grains;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Acl;

/// <summary>
/// Users with random rules ask for random commands, in every way there is: in any case, under another name, in a
/// transaction, in a script and in a function, by a grain call. What happens is each time what <see cref="AclOracle"/> says,
/// what ACL DRYRUN says is that, too, and what was denied has changed nothing. HOSTILE_SECONDS says for how long
/// (<see cref="HostileTime"/>). Against redis-server this tests the oracle.
/// </summary>
[Trait("Needs", "servers")]
public sealed class AclOracleTests(ITestOutputHelper output)
{
    private const string Password = "pw", Library =
        "#!lua name=lib\nredis.register_function('do', function(keys, words) return redis.call(unpack(words)) end)";

    /// <summary>Commands with their categories and what they do to keys; those with "-" at the end are not for scripts.</summary>
    private static readonly OracleCommand[] s_commands =
    [
        .. ((string[])[
            "get : read string fast : GET r:", "set : write string slow : SET w: v", "set : write string slow : SET rw: v GET",
            "incr : write string fast : INCR rw:", "append : write string fast : APPEND w: x", "strlen : read string fast : STRLEN n:",
            "getdel : write string fast : GETDEL rw:", "getset : write string fast : GETSET rw: x", "setrange : write string slow : SETRANGE w: 1 x",
            "getrange : read string slow : GETRANGE r: 0 1", "mget : read string fast : MGET r: r: r:", "mset : write string slow : MSET w: 1 w: 2",
            "del : keyspace write slow : DEL w: w:", "unlink : keyspace write fast : UNLINK w:", "exists : keyspace read fast : EXISTS n: n:",
            "type : keyspace read fast : TYPE n:", "touch : keyspace read fast : TOUCH n:", "expire : keyspace write fast : EXPIRE w: 100000",
            "ttl : keyspace read fast : TTL r:", "persist : keyspace write fast : PERSIST w:", "rename : keyspace write slow : RENAME rw: w:",
            "copy : keyspace write slow : COPY r: w:", "dump : keyspace read slow : DUMP r:",
            "restore : keyspace write slow dangerous : RESTORE w: 0 bogus REPLACE", "keys : keyspace read slow dangerous : KEYS *",
            "dbsize : keyspace read fast : DBSIZE", "randomkey : keyspace read slow : RANDOMKEY", "flushdb : keyspace write slow dangerous : FLUSHDB",
            "swapdb : keyspace write fast dangerous : SWAPDB 0 1", "object|encoding : keyspace read slow : OBJECT ENCODING n:",
            "object|help : keyspace slow : OBJECT HELP", "memory|usage : read slow : MEMORY USAGE n:",
            "sort : write set sortedset list slow dangerous : SORT r: ALPHA", "sort : write set sortedset list slow dangerous : SORT r: ALPHA STORE w:",
            "lpush : write list fast : LPUSH w: a b", "lpop : write list fast : LPOP rw:", "llen : read list fast : LLEN n:",
            "lrange : read list slow : LRANGE r: 0 -1", "lindex : read list slow : LINDEX r: 0", "lmove : write list slow : LMOVE rw: w: LEFT RIGHT",
            "lrem : write list slow : LREM w: 0 a", "sadd : write set fast : SADD w: a b", "srem : write set fast : SREM w: a",
            "smembers : read set slow : SMEMBERS r:", "scard : read set fast : SCARD n:", "sismember : read set fast : SISMEMBER n: a",
            "sinter : read set slow : SINTER r: r:", "sinterstore : write set slow : SINTERSTORE w: r: r:", "smove : write set fast : SMOVE rw: w: a",
            "spop : write set fast : SPOP rw:", "zadd : write sortedset fast : ZADD w: 1 a", "zrange : read sortedset slow : ZRANGE r: 0 -1",
            "zcard : read sortedset fast : ZCARD n:", "zscore : read sortedset fast : ZSCORE r: a", "zrem : write sortedset fast : ZREM w: a",
            "zunionstore : write sortedset slow : ZUNIONSTORE w: 2 r: r:", "zunion : read sortedset slow : ZUNION 2 r: r:",
            "hset : write hash fast : HSET w: f v", "hget : read hash fast : HGET r: f", "hdel : write hash fast : HDEL w: f",
            "hlen : read hash fast : HLEN n:", "hexists : read hash fast : HEXISTS n: f", "hgetall : read hash slow : HGETALL r:",
            "xadd : write stream fast : XADD w: * f v", "xlen : read stream fast : XLEN n:", "xrange : read stream slow : XRANGE r: - +",
            "xread : read stream slow blocking : XREAD COUNT 1 STREAMS r: r: 0 0", "pfadd : write hyperloglog fast : PFADD w: a",
            "pfmerge : write hyperloglog slow : PFMERGE rw: r:", "setbit : write bitmap slow : SETBIT rw: 7 1", "getbit : read bitmap fast : GETBIT r: 7",
            "bitop : write bitmap slow : BITOP AND w: r: r:", "geoadd : write geo slow : GEOADD w: 1 1 a", "ping : fast connection : PING",
            "echo : fast connection : ECHO x", "select : fast connection : SELECT 0", "select : fast connection : SELECT 1", "time : fast : TIME",
            "lastsave : admin fast dangerous : LASTSAVE", "info : slow dangerous : INFO server", "publish : pubsub fast : PUBLISH c: m",
            "spublish : pubsub fast : SPUBLISH c: m", "pubsub|channels : pubsub slow : PUBSUB CHANNELS",
            "config|get : admin slow dangerous : CONFIG GET timeout : -", "config|set : admin slow dangerous : CONFIG SET timeout 0 : -",
            "client|id : slow connection : CLIENT ID : -", "client|getname : slow connection : CLIENT GETNAME : -",
            "client|list : admin slow dangerous connection : CLIENT LIST : -", "acl|whoami : slow : ACL WHOAMI : -", "acl|cat : slow : ACL CAT : -",
            "acl|list : admin slow dangerous : ACL LIST : -", "acl|getuser : admin slow dangerous : ACL GETUSER default : -",
            "slowlog|len : admin slow dangerous : SLOWLOG LEN : -", "latency|latest : admin slow dangerous : LATENCY LATEST : -",
            "script|exists : slow scripting : SCRIPT EXISTS x : -", "script|load : slow scripting : SCRIPT LOAD return(1) : -",
            "function|list : slow scripting : FUNCTION LIST : -", "hello : fast connection : HELLO : -",
            "watch : fast transaction : WATCH n: : -", "unwatch : fast transaction : UNWATCH : -"])
        .Select(OracleCommand.Parse),
    ];

    private static readonly OracleCommand s_multi = OracleCommand.Parse("multi : fast transaction : MULTI : -"),
        s_exec = OracleCommand.Parse("exec : slow transaction : EXEC : -"), s_eval = OracleCommand.Parse("eval : slow scripting : EVAL : -"),
        s_evalReadOnly = OracleCommand.Parse("eval_ro : slow scripting : EVAL_RO : -"), s_fcall = OracleCommand.Parse("fcall : slow scripting : FCALL : -");

    /// <summary>Commands whose second word belongs to their name.</summary>
    private static readonly HashSet<string> s_containers =
        [.. s_commands.Where(command => command.Name.Contains('|')).Select(command => command.Words[0])];

    private static readonly string[] s_keys = ["a", "ab", "b:1", "b:22", "c", "user:7", "zz", "1", "GET"];
    private static readonly string[] s_patterns = ["*", "a", "a*", "b:*", "b:?", "[ac]", "*2", "user:*", "z[^a]", "?", "GET", "[^a]*"];
    private static readonly string[] s_categories =
    [
        "all", "read", "write", "keyspace", "string", "list", "set", "hash", "sortedset", "stream", "bitmap", "hyperloglog", "geo", "pubsub", "fast", "slow",
        "connection", "transaction", "scripting", "admin", "dangerous", "blocking",
    ];

    /// <summary>
    /// By which names commands are called that have been renamed; a name must be free before another command can have it.
    /// The rules go on about the names of old.
    /// </summary>
    private static readonly Dictionary<string, string> s_renamed = new() { ["GET"] = "fetch", ["CONFIG"] = "settings", ["DEL"] = "GET", ["LPUSH"] = "put" };

    private readonly Random _random = TestSeed.Random();
    private readonly List<string> _story = [];
    private RespConnection _admin = null!;
    private AclOracle _oracle = new([]);

    [Fact]
    public async Task A_user_can_do_what_the_rules_say_and_nothing_else_in_whatever_way()
    {
        output.WriteLine($"TEST_SEED={TestSeed.Value}");
        string[] directives = [.. s_renamed.SelectMany(renamed => (string[])["--rename-command", renamed.Key, renamed.Value])];
        int port = RedisProcess.FreePort();
        if (!RedisProcess.IsRedisUnderTest) directives = [.. directives, "--orleans-gateway-port", port.ToString(CultureInfo.InvariantCulture)];
        await using RedisProcess server = await RedisProcess.StartAsync(directives);
        await using OrleansClient? grains = await GrainsAsync(server, port);
        _admin = await server.ConnectAsync();
        await using (_admin)
        {
            Assert.Equal("\"lib\"", (await _admin.CallAsync("FUNCTION", "LOAD", Library)).ToString());
            var time = new HostileTime();
            int users = 0;
            for (; !time.IsOver || users == 0; users++)
            {
                try
                {
                    await BeSomebodyAsync(server, grains);
                }
                catch (Exception e)
                {
                    throw new InvalidOperationException($"{e.Message}\nafter\n{string.Join('\n', _story)}{server.Describe()}", e);
                }
            }
            output.WriteLine($"{users} users");
        }
    }

    private static async Task<OrleansClient?> GrainsAsync(RedisProcess server, int port)
    {
        if (RedisProcess.IsRedisUnderTest) return null;
        await server.WaitForLogAsync("Orleans clients find the grains");
        return await OrleansClient.ConnectAsync(port);
    }

    private async Task BeSomebodyAsync(RedisProcess server, OrleansClient? grains)
    {
        _story.Clear();
        string[] rules = [.. Enumerable.Range(0, _random.Next(1, 10)).Select(_ => Rule())];
        _story.Add("ACL SETUSER user " + string.Join(' ', rules));
        RespValue set = await _admin.CallAsync(["ACL", "SETUSER", "user", "reset", "on", ">" + Password, .. rules.Select(rule => (RespArgument)rule)]);
        if (set.IsError)
        {
            // The one thing that can be wrong with such rules.
            Assert.Contains("Adding a pattern after the *", set.Text, StringComparison.Ordinal);
            return;
        }
        _oracle = new(rules);
        await using RespConnection client = await server.ConnectAsync();
        Assert.Equal("+OK", (await client.CallAsync("AUTH", "user", Password)).ToString());
        for (int i = 0; i < 25; i++)
        {
            OracleRequest request = Make(Pick(s_commands));
            string[] words = Disguised(request.Words);
            bool isAllowed = _oracle.Allows(request);
            _story.Add($"{string.Join(' ', words)}: {(isAllowed ? "allowed" : "denied")}");
            RespArgument[] digest = ["DEBUG", "DIGEST-VALUE", .. s_keys.Select(key => (RespArgument)key)];
            RespValue[] before = await _admin.PipelineAsync(["ACL", "DRYRUN", "user", .. words.Select(word => (RespArgument)word)], digest);
            Assert.True(isAllowed == (before[0].ToString() == "+OK"), $"DRYRUN says {before[0]}");
            bool mayHaveRun = await AskAsync(client, grains, request, words, isAllowed);
            if (!mayHaveRun) Assert.Equal(before[1], await _admin.CallAsync(digest));
        }
    }

    /// <summary>Asks for it in one of the ways, and judges the answer. Returns whether anything was allowed.</summary>
    private async Task<bool> AskAsync(RespConnection client, OrleansClient? grains, OracleRequest request, string[] words, bool isAllowed)
    {
        RespArgument[] plain = [.. words.Select(word => (RespArgument)word)];
        int way = _random.Next(8);
        if (way is 1 or 2 or 3 && !request.Command.IsForScripts) way = 0;
        if (way == 5 && (grains is null || request.Command.IsAboutConnections)) way = 0;
        switch (way)
        {
            case 1:
                string key = Pick(s_keys);
                OracleRequest eval = new(s_eval, ["EVAL"], _random.Next(2) == 0 ? [(key, OracleAccess.Read | OracleAccess.Write)] : [], []);
                bool mayEval = _oracle.Allows(eval);
                string script = _random.Next(2) == 0 ? "return redis.call(unpack(ARGV))" : "return redis.pcall(unpack(ARGV))";
                RespArgument[] declared = [.. eval.Keys.Select(declared => (RespArgument)declared.Key)];
                Judge(await client.CallAsync([AnyCase("eval"), script, declared.Length, .. declared, .. plain]), mayEval && isAllowed, "in a script");
                return mayEval && isAllowed;
            case 2:
                bool mayCall = _oracle.Allows(new(s_fcall, ["FCALL"], [], []));
                Judge(await client.CallAsync([AnyCase("fcall"), "do", "0", .. plain]), mayCall && isAllowed, "in a function");
                return mayCall && isAllowed;
            case 3:
                bool mayRead = _oracle.Allows(new(s_evalReadOnly, ["EVAL_RO"], [], []));
                RespValue read = await client.CallAsync([AnyCase("eval_ro"), "return redis.call(unpack(ARGV))", "0", .. plain]);
                Judge(read, mayRead && isAllowed, "in a reading script");
                return mayRead && isAllowed;
            case 4:
                return await InTransactionAsync(client, request, plain, isAllowed);
            case 5:
                string? error = null;
                try
                {
                    await grains!.Grains.GetRedisDatabase("user", Password).ExecuteAsync([.. words.Select(word => (RedisBytes)word)]);
                }
                catch (RedisErrorException e)
                {
                    error = e.Message;
                }
                Judge(error is null ? RespValue.Scalar(RespKind.SimpleString, "OK") : RespValue.Scalar(RespKind.Error, error), isAllowed, "as a grain call");
                return isAllowed;
            case 6:
                await client.SendRawAsync(string.Join(' ', words) + "\r\n");
                Judge(await client.ReadAsync(), isAllowed, "as a line");
                return isAllowed;
            default:
                Judge(await client.CallAsync(plain), isAllowed, "by itself");
                return isAllowed;
        }
    }

    private async Task<bool> InTransactionAsync(RespConnection client, OracleRequest request, RespArgument[] plain, bool isAllowed)
    {
        bool mayBegin = _oracle.Allows(new(s_multi, ["MULTI"], [], [])), mayEnd = _oracle.Allows(new(s_exec, ["EXEC"], [], []));
        Judge(await client.CallAsync(AnyCase("multi")), mayBegin, "MULTI");
        RespValue queued = await client.CallAsync(plain);
        // It is refused, but as in Redis this does not spoil the transaction.
        bool isRefused = request.Command.Name == "watch" && mayBegin;
        if (isRefused) Assert.True(queued.IsError, queued.ToString());
        else Judge(queued, isAllowed, "in a transaction");
        RespValue done = await client.CallAsync(AnyCase("exec"));
        if (!mayEnd) Assert.Contains("NOPERM", done.ToString(), StringComparison.Ordinal);
        else if (!mayBegin) Assert.Equal("-ERR EXEC without MULTI", done.ToString());
        else if (!isAllowed) Assert.StartsWith("-EXECABORT", done.ToString(), StringComparison.Ordinal);
        else Judge(done, isAllowed: true, "as it is executed");
        return isAllowed && (!mayBegin || mayEnd);
    }

    private static void Judge(RespValue reply, bool isAllowed, string way)
    {
        string text = reply.ToString();
        bool isDenied = text.Contains("NOPERM", StringComparison.Ordinal) || text.Contains("ACL failure in script", StringComparison.Ordinal);
        Assert.True(isDenied != isAllowed, $"{way} the answer is {text}");
        Assert.DoesNotContain("internal error", text, StringComparison.Ordinal);
        Assert.DoesNotContain("unknown command", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Unknown Redis command", text, StringComparison.Ordinal);
    }

    /// <summary>A request with keys and channels where they belong.</summary>
    private OracleRequest Make(OracleCommand command)
    {
        string[] words = [.. command.Words];
        var keys = new List<(string, OracleAccess)>();
        var channels = new List<string>();
        for (int i = 0; i < words.Length; i++)
        {
            switch (words[i])
            {
                case "c:":
                    channels.Add(words[i] = Pick(s_keys));
                    break;
                case "n:" or "r:" or "w:" or "rw:":
                    OracleAccess access = (words[i].Contains('r') ? OracleAccess.Read : 0) | (words[i].Contains('w') ? OracleAccess.Write : 0);
                    keys.Add((words[i] = Pick(s_keys), access));
                    break;
            }
        }
        return new(command, words, [.. keys], [.. channels]);
    }

    /// <summary>The words by which a server with other names takes them, in any case.</summary>
    private string[] Disguised(string[] words)
    {
        string[] disguised = [.. words];
        disguised[0] = AnyCase(s_renamed.GetValueOrDefault(words[0], words[0]));
        if (s_containers.Contains(words[0])) disguised[1] = AnyCase(words[1]);
        return disguised;
    }

    private string AnyCase(string word) => string.Concat(word.Select(c => _random.Next(2) == 0 ? char.ToUpperInvariant(c) : char.ToLowerInvariant(c)));

    private string Rule() => _random.Next(14) switch
    {
        0 => Pick("+@all", "-@all", "allcommands", "nocommands"),
        1 => Pick("allkeys", "~*", "resetkeys"),
        2 => Pick("allchannels", "&*", "resetchannels", "&" + Pick(s_patterns)),
        3 => "(" + string.Join(' ', Enumerable.Range(0, _random.Next(1, 6)).Select(_ => SelectorRule())) + ")",
        _ => SelectorRule(),
    };

    private string SelectorRule() => _random.Next(9) switch
    {
        0 or 1 => Sign() + "@" + Pick(s_categories),
        2 => "~" + Pick(s_patterns),
        3 => Pick("%R~", "%W~", "%RW~") + Pick(s_patterns.Where(pattern => pattern != "*").ToArray()),
        4 => "&" + Pick(s_patterns),
        5 => Pick("+select|0", "+select|1", "+get|a", "+set|b:1"),
        6 => Sign() + Pick(s_commands).Name.Split('|')[0],
        7 => Sign() + Pick("eval", "fcall", "multi", "exec", "eval_ro", "@scripting", "@transaction"),
        _ => Sign() + Pick(s_commands).Name,
    };

    private string Sign() => _random.Next(3) == 0 ? "-" : "+";

    private T Pick<T>(params IReadOnlyList<T> from) => from[_random.Next(from.Count)];
}
