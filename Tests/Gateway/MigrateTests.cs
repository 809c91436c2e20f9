using System.Globalization;
using System.Net;
using System.Net.Sockets;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>MIGRATE, to and from redis-server 7.0.15 and to another server of ours.</summary>
public sealed class MigrateTests
{
    /// <summary>Every type, in its small form and in its large one.</summary>
    private static readonly string[] s_filling =
    [
        "SET string hello", "SET number 12345", "RPUSH list a b c", "SADD intset 1 2 3", "SADD set a b c", "ZADD zset 1 a 2.5 b -inf c", "HSET hash f v g w",
        "XADD stream 1-1 f v", "XGROUP CREATE stream g 0", "PFADD hll a b c", "SETBIT bits 100 1",
        "EVAL for_large 0",
    ];

    private const string Large =
        "for i = 1, 2000 do redis.call('rpush', 'list:large', 'element ' .. i); redis.call('sadd', 'set:large', 'member ' .. i); "
        + "redis.call('zadd', 'zset:large', i / 4, 'member ' .. i); redis.call('hset', 'hash:large', 'field ' .. i, 'value ' .. i) end";

    [Theory]
    [InlineData(ServerKind.OrleansRedis, ServerKind.Redis)]
    [InlineData(ServerKind.Redis, ServerKind.OrleansRedis)]
    [InlineData(ServerKind.OrleansRedis, ServerKind.OrleansRedis)]
    public async Task Keys_of_every_type_arrive_as_they_were(ServerKind from, ServerKind to)
    {
        await using RedisProcess source = await RedisProcess.StartAsync(from), target = await RedisProcess.StartAsync(to);
        await using RespConnection here = await source.ConnectAsync(), there = await target.ConnectAsync();
        foreach (string line in s_filling)
        {
            string[] words = line.Split(' ');
            if (words[0] == "EVAL") words[1] = Large;
            Assert.NotEqual(RespKind.Error, (await CallAsync(here, words)).Kind);
        }
        await here.CallAsync("PEXPIREAT", "string", "9000000000000");
        string[] keys = [.. (await here.CallAsync("KEYS", "*")).Items.Select(key => key.Text).Order(StringComparer.Ordinal)];
        Assert.Equal(14, keys.Length);
        var digests = new Dictionary<string, string>();
        foreach (string key in keys) digests[key] = await DigestAsync(here, key);
        string port = Text(target.Port);
        Assert.Equal("+OK", await LineAsync(here, "MIGRATE", "127.0.0.1", port, keys[0], "0", "5000"));
        Assert.Equal("+OK", await LineAsync(here, ["MIGRATE", "127.0.0.1", port, "", "0", "5000", "KEYS", "none", .. keys.Skip(1)]));
        Assert.Equal(0, (await here.CallAsync("DBSIZE")).Integer);
        Assert.Equal(keys.Length, (await there.CallAsync("DBSIZE")).Integer);
        foreach (string key in keys) Assert.Equal(digests[key], await DigestAsync(there, key));
        Assert.InRange((await there.CallAsync("PEXPIRETIME", "string")).Integer, 9000000000000 - 60_000, 9000000000000 + 60_000);
        Assert.Equal(-1, (await there.CallAsync("TTL", "number")).Integer);
    }

    [Fact]
    public async Task Options_mean_what_they_mean_in_redis()
    {
        await using RedisProcess source = await RedisProcess.StartAsync(), target = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection here = await source.ConnectAsync(), there = await target.ConnectAsync();
        string port = Text(target.Port);
        Assert.Equal("+NOKEY", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "none", "0", "5000"));
        Assert.Equal("+NOKEY", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "", "0", "5000", "KEYS"));
        await here.CallAsync("SET", "k", "1");
        Assert.Equal("+OK", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "k", "3", "5000", "COPY"));
        Assert.Equal("1", (await here.CallAsync("GET", "k")).Text);
        await there.CallAsync("SELECT", "3");
        Assert.Equal("1", (await there.CallAsync("GET", "k")).Text);
        Assert.Equal("-ERR Target instance replied with error: BUSYKEY Target key name already exists.",
            await LineAsync(here, "MIGRATE", "127.0.0.1", port, "k", "3", "5000"));
        await here.CallAsync("MSET", "k", "2", "l", "3");
        // One of them is there already: it stays, and the other one goes.
        Assert.StartsWith("-ERR Target instance replied with error: BUSYKEY",
            await LineAsync(here, "MIGRATE", "127.0.0.1", port, "", "3", "5000", "KEYS", "k", "l"), StringComparison.Ordinal);
        Assert.Equal(["2", ""], (await here.CallAsync("MGET", "k", "l")).Items.Select(item => item.IsNull ? "" : item.Text));
        Assert.Equal("+OK", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "k", "3", "5000", "REPLACE"));
        Assert.Equal(["2", "3"], (await there.CallAsync("MGET", "k", "l")).Items.Select(item => item.Text));
        await here.CallAsync("SET", "k", "4");
        Assert.Equal("-ERR Target instance replied with error: ERR DB index is out of range",
            await LineAsync(here, "MIGRATE", "127.0.0.1", port, "k", "99", "5000"));
        Assert.Equal("4", (await here.CallAsync("GET", "k")).Text);
        Assert.Equal("-ERR syntax error", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "k", "0", "5000", "NONSENSE"));
        Assert.Equal("-ERR syntax error", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "k", "0", "5000", "AUTH"));
        Assert.Equal("-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
            await LineAsync(here, "MIGRATE", "127.0.0.1", port, "k", "0", "5000", "KEYS", "k"));
        Assert.Equal("-ERR value is not an integer or out of range", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "k", "x", "5000"));
        Assert.Equal(["k", "l"], (await here.CallAsync("COMMAND", "GETKEYS", "MIGRATE", "h", "1", "", "0", "9", "AUTH", "KEYS", "KEYS", "k", "l"))
            .Items.Select(item => item.Text));
        Assert.Equal(["k"], (await here.CallAsync("COMMAND", "GETKEYS", "MIGRATE", "h", "1", "k", "0", "9", "COPY")).Items.Select(item => item.Text));
    }

    [Fact]
    public async Task A_password_is_given_and_not_shown()
    {
        await using RedisProcess source = await RedisProcess.StartAsync(), target = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection here = await source.ConnectAsync(), there = await target.ConnectAsync();
        await there.CallAsync("ACL", "SETUSER", "mover", "on", ">secret", "allkeys", "+@all");
        await there.CallAsync("ACL", "SETUSER", "default", "resetpass", ">word");
        string port = Text(target.Port);
        await here.CallAsync("CONFIG", "SET", "slowlog-log-slower-than", "0");
        await here.CallAsync("MSET", "a", "1", "b", "2");
        Assert.StartsWith("-ERR Target instance replied with error: NOAUTH",
            await LineAsync(here, "MIGRATE", "127.0.0.1", port, "a", "0", "5000"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR Target instance replied with error: WRONGPASS",
            await LineAsync(here, "MIGRATE", "127.0.0.1", port, "a", "0", "5000", "AUTH", "nonsense"), StringComparison.Ordinal);
        Assert.Equal("+OK", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "a", "0", "5000", "AUTH", "word"));
        Assert.Equal("+OK", await LineAsync(here, "MIGRATE", "127.0.0.1", port, "b", "0", "5000", "AUTH2", "mover", "secret"));
        RespValue slow = await here.CallAsync("SLOWLOG", "GET", "-1");
        string log = string.Join('\n', slow.Items.Select(entry => string.Join(' ', entry[3].Texts)));
        Assert.Contains("AUTH2 (redacted) (redacted)", log, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nobody_to_connect_to_and_nobody_who_answers()
    {
        await using RedisProcess source = await RedisProcess.StartAsync();
        await using RespConnection here = await source.ConnectAsync(), other = await source.ConnectAsync();
        await here.CallAsync("MSET", "a", "1", "{a}", "2", "b", "3");
        Assert.Equal("-IOERR error or timeout connecting to the client",
            await LineAsync(here, "MIGRATE", "127.0.0.1", Text(RedisProcess.FreePort()), "a", "0", "500"));
        using var silent = new Socket(SocketType.Stream, ProtocolType.Tcp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        silent.Listen();
        string port = Text(((IPEndPoint)silent.LocalEndPoint!).Port);
        Task<RespValue> migrating = here.CallAsync("MIGRATE", "127.0.0.1", port, "a", "0", "2000");
        using Socket accepted = await silent.AcceptAsync();
        await accepted.ReceiveAsync(new byte[1]); // it has the gate of its key's slot, and asks
        Assert.Equal("3", (await other.CallAsync("GET", "b")).Text); // others go on
        Task<RespValue> writing = other.CallAsync("APPEND", "{a}", "x");
        Assert.Equal("-IOERR error or timeout reading to target instance", (await migrating).ToString());
        Assert.Equal(2, (await writing).Integer);
        Assert.Equal("1", (await here.CallAsync("GET", "a")).Text);
        // An answer that never ends is none.
        migrating = here.CallAsync("MIGRATE", "127.0.0.1", port, "a", "0", "5000");
        for (int i = 0; i < 2; i++) // it tries once more
        {
            using Socket once = await silent.AcceptAsync();
            await once.SendAsync(new byte[4096]);
            await once.ReceiveAsync(new byte[1]);
        }
        Assert.StartsWith("-IOERR error or timeout ", (await migrating).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_connection_that_the_other_server_has_closed_is_made_anew()
    {
        await using RedisProcess source = await RedisProcess.StartAsync(), target = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection here = await source.ConnectAsync(), there = await target.ConnectAsync();
        await here.CallAsync("MSET", "a", "1", "b", "2");
        Assert.Equal("+OK", await LineAsync(here, "MIGRATE", "127.0.0.1", Text(target.Port), "a", "5", "5000"));
        Assert.Equal(1, (await there.CallAsync("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")).Integer);
        Assert.Equal("+OK", await LineAsync(here, "MIGRATE", "127.0.0.1", Text(target.Port), "b", "5", "5000"));
        await there.CallAsync("SELECT", "5");
        Assert.Equal(2, (await there.CallAsync("DBSIZE")).Integer);
    }

    [Fact]
    public async Task In_a_transaction_and_in_a_script_it_works_too_and_is_logged_as_a_deletion()
    {
        await using RedisProcess source = await RedisProcess.StartAsync("--appendonly", "yes"), target = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection here = await source.ConnectAsync(), there = await target.ConnectAsync();
        string port = Text(target.Port);
        await here.CallAsync("MSET", "a", "1", "b", "2", "c", "3");
        await here.CallAsync("MULTI");
        await here.CallAsync("SET", "d", "4");
        await here.CallAsync("MIGRATE", "127.0.0.1", port, "a", "0", "5000");
        await here.CallAsync("MIGRATE", "127.0.0.1", port, "d", "0", "5000");
        Assert.Equal(["+OK", "+OK", "+OK"], (await here.CallAsync("EXEC")).Items.Select(item => item.ToString()));
        Assert.Equal("+OK", await LineAsync(here, "EVAL", $"return redis.call('migrate', '127.0.0.1', '{port}', KEYS[1], 0, 5000)", "1", "b"));
        Assert.Equal(3, (await there.CallAsync("DBSIZE")).Integer);
        await here.CallAsync("DEBUG", "LOADAOF");
        Assert.Equal(1, (await here.CallAsync("DBSIZE")).Integer);
        Assert.Equal("3", (await here.CallAsync("GET", "c")).Text);
    }

    [Fact]
    public async Task Nothing_is_lost_and_nothing_twice_while_keys_are_written_on_their_way_to_and_fro()
    {
        await using RedisProcess left = await RedisProcess.StartAsync(ServerKind.OrleansRedis), right = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection atLeft = await left.ConnectAsync(), atRight = await right.ConnectAsync();
        using var over = new CancellationTokenSource();
        Task<long>[] writers = [WriteAsync(left), WriteAsync(left), WriteAsync(right)];
        for (int i = 0; i < 40; i++)
        {
            foreach ((RespConnection from, RedisProcess to) in new[] { (atLeft, right), (atRight, left) })
            {
                RespValue reply = await from.CallAsync("MIGRATE", "127.0.0.1", Text(to.Port), "n", "0", "10000");
                // The writers may have made the key anew on the other side.
                Assert.True(reply.ToString() is "+OK" or "+NOKEY" || reply.ToString().Contains("BUSYKEY", StringComparison.Ordinal), reply.ToString());
            }
        }
        await over.CancelAsync();
        long sum = (await Task.WhenAll(writers)).Sum();
        Assert.Equal(sum, await ReadAsync(atLeft) + await ReadAsync(atRight));

        async Task<long> WriteAsync(RedisProcess server)
        {
            await using RespConnection connection = await server.ConnectAsync();
            for (long done = 0; ; done++)
            {
                if (over.IsCancellationRequested) return done;
                Assert.Equal(RespKind.Integer, (await connection.CallAsync("INCR", "n")).Kind);
            }
        }

        static async Task<long> ReadAsync(RespConnection connection) =>
            await connection.CallAsync("GET", "n") is { IsNull: false } value ? long.Parse(value.Text, CultureInfo.InvariantCulture) : 0;
    }

    private static async Task<string> LineAsync(RespConnection redis, params string[] words) => (await CallAsync(redis, words)).ToString();

    private static Task<RespValue> CallAsync(RespConnection redis, params string[] words) => redis.CallAsync([.. words.Select(word => (RespArgument)word)]);

    /// <summary>What a key holds, as both servers show it.</summary>
    private static async Task<string> DigestAsync(RespConnection redis, string key)
    {
        string type = (await redis.CallAsync("TYPE", key)).Text;
        RespValue value = type switch
        {
            "string" => await redis.CallAsync("GET", key),
            "list" => await redis.CallAsync("LRANGE", key, "0", "-1"),
            "set" => await redis.CallAsync("SORT", key, "ALPHA"),
            "zset" => await redis.CallAsync("ZRANGE", key, "0", "-1", "WITHSCORES"),
            "hash" => await redis.CallAsync("EVAL", "local all = redis.call('hgetall', KEYS[1]); table.sort(all); return all", "1", key),
            _ => await redis.CallAsync("XINFO", "STREAM", key, "FULL"),
        };
        // What a stream's nodes look like, and times, are each server's own.
        return type + " " + (type == "stream" ? $"{await redis.CallAsync("XRANGE", key, "-", "+")} {await redis.CallAsync("XLEN", key)}" : value.ToString());
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
