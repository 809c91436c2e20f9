using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using OrleansRedis.Grains;
using OrleansRedis.Tests.Grains;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Acl;

/// <summary>
/// Passwords are sent in every way that people send them: right and wrong, in commands that fail or that nobody may run, in
/// transactions, in scripts, by grain calls, in broken requests. None appears afterwards in SLOWLOG, MONITOR, ACL LOG,
/// LATENCY, CLIENT LIST, INFO, the log, or an error. Only who sends a command that there is not, or a rule of ACL SETUSER
/// that makes no sense, is told what he has sent, as by Redis. HOSTILE_SECONDS says for how long (<see cref="HostileTime"/>).
/// </summary>
[Trait("Needs", "servers")]
public sealed class PasswordLeakTests(ITestOutputHelper output)
{
    /// <summary>How every password begins. Scripts put it together themselves, so that their own text is without it.</summary>
    private const string Mark = "S3CRET";

    /// <summary>Who has not authenticated may send no more than ten words, and scripts need some of them.</summary>
    private const int MostWordsOfStrangers = 6;

    private static readonly string[] s_places =
    [
        "SLOWLOG GET -1", "ACL LOG 1000", "LATENCY LATEST", "LATENCY HISTORY command", "LATENCY HISTORY fast-command", "LATENCY DOCTOR", "LATENCY HISTOGRAM",
        "CLIENT LIST", "CLIENT INFO", "INFO everything", "MEMORY DOCTOR", "SCRIPT SHOW", "FUNCTION STATS", "PUBSUB CHANNELS", "COMMAND LIST",
    ];

    private readonly Random _random = TestSeed.Random();
    private readonly Queue<string> _story = new();

    [Fact]
    public async Task No_password_is_shown_to_anybody()
    {
        output.WriteLine($"TEST_SEED={TestSeed.Value}");
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await RedisProcess.StartAsync(
            ServerKind.OrleansRedis, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "10000", "--loglevel", "debug", "--latency-monitor-threshold", "1",
            "--orleans-auth-failures-per-minute", "0", "--orleans-gateway-port", port.ToString(CultureInfo.InvariantCulture));
        await server.WaitForLogAsync("Orleans clients find the grains");
        await using OrleansClient grains = await OrleansClient.ConnectAsync(port);
        await using RespConnection keeper = await server.ConnectAsync(), monitor = await server.ConnectAsync();
        foreach (string line in (string[])["boss on >boss +@all ~* &*", "limited on >limited +@all -@admin ~a", "keeper on >keeper +@all ~* &*"])
            Assert.Equal("+OK", (await keeper.LineAsync("ACL SETUSER " + line)).ToString());
        Assert.Equal("+OK", (await keeper.LineAsync("AUTH keeper keeper")).ToString());
        Assert.Equal("\"lib\"", (await keeper.CallAsync(
            "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('do', function(keys, words) " + Script + " end)")).ToString());
        Assert.Equal("+OK", (await monitor.LineAsync("AUTH keeper keeper")).ToString());
        Assert.Equal("+OK", (await monitor.LineAsync("MONITOR")).ToString());
        var shown = new ConcurrentQueue<string>();
        Task watching = WatchAsync(monitor, shown);
        var time = new HostileTime();
        int rounds = 0;
        for (; !time.IsOver || rounds == 0; rounds++)
        {
            try
            {
                await SendAsync(server, grains);
                await NothingIsShownAsync(server, keeper, shown, $"end of round {rounds}");
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"{e.Message}\nafter\n{string.Join('\n', _story)}", e);
            }
        }
        // They were not merely not there.
        Assert.True(await keeper.InfoAsync("acl_access_denied_auth") > rounds);
        await keeper.LineAsync("CLIENT KILL TYPE normal SKIPME yes");
        await watching;
        output.WriteLine($"{rounds} rounds");
    }

    /// <summary>What a script does with a password: its words are ARGV, and "?" in them stands for what marks a password.</summary>
    private const string Script = """
        for i, word in ipairs(words) do words[i] = word:gsub('%?', 'S3C' .. 'RET') end
        local reply = redis.pcall(unpack(words))
        if words[1] == 'CALL' then return redis.call(unpack(words, 2)) end
        return reply
        """;

    private static async Task WatchAsync(RespConnection monitor, ConcurrentQueue<string> shown)
    {
        monitor.Timeout = HostileTime.Part + Eventually.Deadline;
        try
        {
            while (true) shown.Enqueue((await monitor.ReadAsync()).Text);
        }
        catch (RespException)
        {
            // The end.
        }
    }

    private async Task NothingIsShownAsync(RedisProcess server, RespConnection keeper, ConcurrentQueue<string> shown, string end)
    {
        await keeper.CallAsync("ECHO", end);
        var lines = new List<string>();
        await Eventually.TrueAsync(() =>
        {
            while (shown.TryDequeue(out string? line)) lines.Add(line);
            return lines.Exists(line => line.Contains(end, StringComparison.Ordinal));
        });
        Hidden("MONITOR", string.Join('\n', lines));
        Assert.Contains(lines, line => line.Contains("\"(redacted)\"", StringComparison.Ordinal));
        foreach (string place in s_places)
        {
            RespValue reply = await keeper.LineAsync(place);
            Hidden(place, Text(reply));
        }
        await keeper.LineAsync("SLOWLOG RESET");
        await keeper.LineAsync("ACL LOG RESET");
        Hidden("the log", string.Join('\n', server.Log));
    }

    /// <summary>Everything in a reply, at full length.</summary>
    private static string Text(RespValue reply) => reply.Text + string.Join(' ', reply.Items.Select(Text));

    private static void Hidden(string place, string text)
    {
        int at = text.IndexOf(Mark, StringComparison.OrdinalIgnoreCase);
        Assert.True(at < 0, at < 0 ? "" : $"{place} shows {text[Math.Max(0, at - 300)..Math.Min(text.Length, at + 60)]}");
    }

    private async Task SendAsync(RedisProcess server, OrleansClient grains)
    {
        await using RespConnection client = await server.ConnectAsync();
        string? user = Pick("boss", "boss", "limited", null);
        if (user is not null) Assert.Equal("+OK", (await client.CallAsync("AUTH", user, user)).ToString());
        else await client.LineAsync("AUTH x wrong"); // so that the monitor has something to show, whatever else happens
        await client.LineAsync("AUTH x wrong");
        for (int i = _random.Next(5, 30); i > 0; i--)
        {
            string[] words = Words();
            if (user is null && words.Length > MostWordsOfStrangers) continue;
            Tell(words);
            switch (_random.Next(9))
            {
                case 0:
                    await client.LineAsync("MULTI");
                    Unechoed(words, await client.CallAsync(Arguments(words)));
                    if (_random.Next(3) == 0) await client.LineAsync("GET");
                    RespValue end = await client.LineAsync(Pick("EXEC", "DISCARD"));
                    if (!IsRepeated(words)) Hidden("EXEC", Text(end));
                    break;
                case 1:
                    await InScriptAsync(client, words);
                    break;
                case 2:
                    // As a line; with quotes, which may be missing.
                    string line = string.Join(' ', words.Select(word => _random.Next(3) == 0 || word.Contains(' ') ? $"\"{word}\"" : word));
                    if (_random.Next(6) == 0)
                    {
                        await using RespConnection careless = await server.ConnectAsync();
                        await careless.SendRawAsync($"{line} \"{Password()}\r\n");
                        Hidden("a broken line", Encoding.Latin1.GetString(await careless.ReadToEndAsync()));
                        break;
                    }
                    await client.SendRawAsync(line + "\r\n");
                    Unechoed(words, await client.ReadAsync());
                    break;
                // Not HELLO: if its AUTH is another word, nothing tells a password from other options.
                case 3 when _random.Next(3) == 0 && !words[0].Equals("hello", StringComparison.OrdinalIgnoreCase):
                    await using (RespConnection broken = await server.ConnectAsync())
                    {
                        byte[] frame = RespConnection.Frame(Arguments(words));
                        int at = _random.Next(frame.Length);
                        frame[at] = (byte)_random.Next(256);
                        await broken.SendRawAsync(frame.AsMemory(0, _random.Next(2) == 0 ? frame.Length : _random.Next(frame.Length)));
                        // Whatever it says, it says to him who has sent it; what others see is what matters.
                        broken.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
                        await broken.ReadToEndAsync();
                    }
                    break;
                case 4 when _random.Next(3) == 0:
                    await using (RespConnection subscriber = await server.ConnectAsync())
                    {
                        await subscriber.LineAsync("AUTH boss boss");
                        await subscriber.LineAsync("SUBSCRIBE channel");
                        Unechoed(words, await subscriber.CallAsync(Arguments(words)));
                    }
                    break;
                case 5 when _random.Next(3) == 0:
                    string name = Pick("default", "somebody", "limited");
                    RedisBytes[] called = [.. words.Select(word => (RedisBytes)word)];
                    Exception? failure = await Record.ExceptionAsync(() => grains.Grains.GetRedisDatabase(name, Password()).ExecuteAsync(called));
                    if (failure is not null && !IsRepeated(words)) Hidden("a grain call", failure.Message);
                    break;
                default:
                    Unechoed(words, await client.CallAsync(Arguments(words)));
                    break;
            }
        }
    }

    private async Task InScriptAsync(RespConnection client, string[] words)
    {
        RespArgument[] masked = [.. words.Select(word => (RespArgument)word.Replace(Mark, "?", StringComparison.Ordinal))];
        RespArgument[] call = _random.Next(3) == 0 ? ["CALL", .. masked] : masked;
        RespValue reply = _random.Next(2) == 0
            ? await client.CallAsync(["EVAL", "local words = ARGV " + Script, "0", .. call])
            : await client.CallAsync(["FCALL", "do", "0", .. call]);
        if (!reply.IsError || !IsRepeated(words)) Hidden("a script", Text(reply));
    }

    private static void Unechoed(string[] words, RespValue reply)
    {
        if (reply.IsError && !IsRepeated(words)) Hidden("an error", reply.Text);
    }

    /// <summary>Whether an error may repeat what has been sent: there is no such command, or it is ACL SETUSER.</summary>
    private static bool IsRepeated(string[] words) => words[0].ToUpperInvariant() is not ("AUTH" or "HELLO" or "CONFIG" or "MIGRATE");

    private string[] Words()
    {
        string secret = Password(), other = Password(), user = Pick("user", "default", "boss", "nobody");
        return _random.Next(40) switch
        {
            0 or 1 => [AnyCase("auth"), secret],
            2 or 3 => [AnyCase("auth"), user, secret],
            4 => [AnyCase("auth"), user, secret, other],
            5 => [AnyCase("hello"), Pick("2", "3"), AnyCase("auth"), user, secret],
            6 => [AnyCase("hello"), Pick("2", "3", "4", "x"), AnyCase("auth"), user, secret, AnyCase("setname"), "me"],
            7 => [AnyCase("hello"), "3", AnyCase("setname"), "me", AnyCase("auth"), user, secret],
            8 => [AnyCase("hello"), "3", AnyCase("auth"), user, secret, "nonsense"],
            9 => [AnyCase("hello"), AnyCase("auth"), user, secret],
            10 => [AnyCase("hello"), "3", AnyCase("auth"), secret],
            11 => [AnyCase("hello"), "3", AnyCase("auth"), user, secret, AnyCase("auth"), user, other],
            12 or 13 or 14 or 15 or 16 or 17 => Configured(secret, other),
            18 => [AnyCase("config"), AnyCase("set"), AnyCase("requirepass"), ""], // so that strangers come in again
            19 => [AnyCase("auht"), secret],
            20 => [AnyCase("config|set"), "requirepass", secret],
            21 => [AnyCase("acl"), "SETUSR", user, ">" + secret],
            22 => [AnyCase("config"), "SETT", "requirepass", secret],
            23 => ["MIGRATE", "127.0.0.1", "1", "key", "0", "10", "COPY", "AUTH", secret],
            24 => ["MIGRATE", "127.0.0.1", "1", "", "0", "10", "AUTH2", user, secret],
            _ => [AnyCase("acl"), AnyCase("setuser"), Pick("user", "other"), .. Rules(secret, other)],
        };
    }

    private string[] Configured(string secret, string other)
    {
        string directive = AnyCase(Pick(
            "requirepass", "requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass", "orleans-cluster-secret",
            "orleans-adonet-connection-string", "orleans-azure-connection-string", "orleans-storage-connection-string"));
        string[] values = _random.Next(8) switch
        {
            0 => ["timeout", "0", directive, secret],
            1 => [directive, secret, "masterauth", other],
            2 => [directive, secret, "nothing", "1"],
            3 => [directive, secret, directive, other],
            4 => ["timeout", directive, secret],
            5 => [directive, secret, "timeout"],
            6 => [directive, secret, "timeout", "no number"],
            _ => [directive, secret],
        };
        return [AnyCase("config"), AnyCase("set"), .. values];
    }

    private string[] Rules(string secret, string other) => _random.Next(16) switch
    {
        0 => ["on", ">" + secret],
        1 => ["<" + secret],
        2 => [">" + secret, "<" + secret, ">" + other, "nopass"],
        3 => ["(>" + secret + ")"],
        4 => ["(+get >" + secret + ")"],
        5 => ["(+get", ">" + secret + ")"],
        6 => ["(+get", ">" + secret],
        7 => ["#" + secret],
        8 => ["!" + secret],
        9 => [">" + secret, "bogus"],
        10 => [">" + secret, "+nothing"],
        11 => [">" + secret, "~a b"],
        12 => ["((>" + secret + ")"],
        13 => ["reset", "on", ">" + secret, ">" + other, "+@all", "~*"],
        14 => ["off", "resetpass", ">", ">" + secret],
        _ => [">" + secret],
    };

    private string Password() => Mark + _random.Next().ToString("x8", CultureInfo.InvariantCulture);

    private static RespArgument[] Arguments(string[] words) => [.. words.Select(word => (RespArgument)word)];

    private void Tell(string[] words)
    {
        _story.Enqueue(string.Join(' ', words));
        if (_story.Count > 40) _story.Dequeue();
    }

    private string AnyCase(string word) => string.Concat(word.Select(c => _random.Next(2) == 0 ? char.ToUpperInvariant(c) : c));

    private T Pick<T>(params IReadOnlyList<T> from) => from[_random.Next(from.Count)];
}
