using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansRedis.Tests.Differential;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// Many clients that send whatever comes to their mind: requests and what looks like requests, whole, in halves, damaged,
/// too long and too many; and that leave as it suits them. The server stands, answers everybody else, gives each request of
/// a client that keeps to the protocol one reply, remembers a key that is none of theirs, and in the end none of them has
/// left anything behind. HOSTILE_SECONDS says for how long (<see cref="HostileTime"/>).
/// </summary>
public sealed class ProtocolFuzzTests(ITestOutputHelper output)
{
    private const int Attackers = 5, MostLeftOpen = 20;
    private const long MostBytes = 1500L << 20;
    private const string Sentinel = "sentinel", AdminPassword = "keeper's", Password = "theirs";

    /// <summary>What a client may do that is not to be trusted: all but what ends the server or the other clients.</summary>
    private static readonly string[] s_rules =
    [
        "+@all", "-shutdown", "-debug", "-migrate", "-config|set", "-config|rewrite", "-acl|setuser", "-acl|deluser", "-acl|load", "-acl|save", "-save",
        "-bgsave", "-bgrewriteaof", "-client|kill", "-client|pause", "-script|debug", "-flushall", "-flushdb", "-swapdb", "resetkeys", "~k*", "~{t}*", "~LEX",
        "~w_*", "~h_*", "~no-such-key", "resetchannels", "&c*",
    ];

    /// <summary>Lengths and beginnings that no honest client would send.</summary>
    private static readonly string[] s_frames =
    [
        "*2147483647\r\n", "*2147483648\r\n", "*1048577\r\n", "*1048576\r\n$4\r\nPING\r\n", "*-1\r\n", "*-2147483648\r\n", "*0\r\n", "*-0\r\n",
        "*+1\r\n$4\r\nPING\r\n", "* 1\r\n", "*1 \r\n", "*01\r\n$4\r\nPING\r\n", "*99999999999999999999\r\n", "*a\r\n", "*\r\n", "*1\r\n*1\r\n",
        "*1\r\n:4\r\nPING\r\n", "*1\r\n4\r\nPING\r\n", "*1\r\n$-1\r\n", "*1\r\n$-2\r\n", "*1\r\n$1048577\r\n", "*1\r\n$536870913\r\n",
        "*1\r\n$2147483648\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\n$99999999999999999999\r\n", "*1\r\n$\r\n", "*1\r\n$ 4\r\nPING\r\n",
        "*1\r\n$04\r\nPING\r\n", "*1\r\n$4\r\nPINGxx", "*1\r\n$4\r\nPING\n\n", "*1\n$4\nPING\n", "*1\r$4\rPING\r",
        "*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$1048576\r\nhalf of it", "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "*1\r\n$0\r\n\r\n", "*100\r\n$4\r\nMGET\r\n$2\r\nk1\r\n",
        "$4\r\nPING\r\n", "+OK\r\n", "-ERR\r\n", ":1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(1\r\n", "!3\r\nERR\r\n", "=7\r\ntxt:abc\r\n",
        "%1\r\n+a\r\n+b\r\n", "~1\r\n$4\r\nPING\r\n", ">1\r\n$4\r\nPING\r\n", "|1\r\n+a\r\n+b\r\n", "*?\r\n$4\r\nPING\r\n.\r\n", "$?\r\n;4\r\nPING\r\n;0\r\n",
        "\r\n\r\n\r\n\n\n", "PING", "ping\n", "  ping  \r\n", "\"PING\"\r\n", "'PING'\r\n", "\"PING\r\n", "'PING\r\n", "\"PI\"NG\r\n", "\"\\x50ING\"\r\n",
        "\"\\x5\"\r\n", "SET k1 \"a b\\r\\n\" \r\n", "\0\0\0\0", "\xff\xfe\xfd\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nFLUSHALL\r\n", "Host: x\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "HELLO 3\r\n", "HELLO 2147483648\r\n", "HELLO 3 AUTH\r\n", "HELLO 3 SETNAME \"a b\"\r\n", "AUTH\r\n", "AUTH a b c\r\n", "QUIT now\r\n",
        "CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n", "CLIENT REPLY SKIP\r\n", "MULTI\r\nMULTI\r\nEXEC\r\nEXEC\r\nDISCARD\r\n",
    ];

    /// <summary>Requests after which a connection is another one, or waits.</summary>
    private static readonly string[] s_modes =
    [
        "SUBSCRIBE c1 c2 c1", "PSUBSCRIBE c* c?", "SSUBSCRIBE c3", "UNSUBSCRIBE", "PUNSUBSCRIBE c*", "SUNSUBSCRIBE nothing", "MONITOR", "CLIENT TRACKING ON",
        "CLIENT TRACKING ON BCAST PREFIX k NOLOOP", "CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES", "CLIENT TRACKING OFF", "BLPOP k1 k2 0", "BRPOP k3 0.01",
        "BLMOVE k1 k2 LEFT RIGHT 0", "BLMPOP 0 2 k1 k2 LEFT COUNT 5", "BZPOPMIN k1 0", "BZMPOP 0 1 k1 MAX", "XREAD BLOCK 0 STREAMS k1 $",
        "XREADGROUP GROUP g1 c1 BLOCK 10 STREAMS k1 >", "WAIT 1 5", "WAITAOF 0 1 5", "CLIENT REPLY OFF", "CLIENT REPLY SKIP", "CLIENT REPLY ON", "MULTI",
        "WATCH k1 k2", "EXEC", "DISCARD", "UNWATCH", "RESET", "HELLO 3", "HELLO 2", "SELECT 3", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON",
        "CLIENT SETNAME k", "CLIENT UNBLOCK 5 ERROR", "CLIENT LIST", "PUBLISH c1 message", "SPUBLISH c3 message",
        "EVAL return{1,redis.call('get',KEYS[1])} 1 k1", "SCRIPT KILL", "FUNCTION STATS", "COMMAND", "COMMAND DOCS", "INFO everything", "SLOWLOG GET -1",
        "LATENCY DOCTOR", "MEMORY DOCTOR", "ACL LOG", "QUIT",
    ];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Whatever_clients_send_the_server_stands(bool needsPassword)
    {
        output.WriteLine($"TEST_SEED={TestSeed.Value}");
        await using RedisProcess server = await RedisProcess.StartAsync(
            ServerKind.OrleansRedis, "--maxmemory", "64mb", "--maxmemory-clients", "64mb", "--proto-max-bulk-len", "1mb", "--client-query-buffer-limit", "4mb",
            "--client-output-buffer-limit", "normal 32mb 0 0 pubsub 8mb 0 0", "--slowlog-log-slower-than", "0");
        await using (RespConnection first = await server.ConnectAsync())
        {
            await OkAsync(first, "ACL", "SETUSER", "keeper", "on", ">" + AdminPassword, "+@all", "allkeys", "allchannels");
            await OkAsync(first, "SET", Sentinel, "stands");
            RespArgument[] rules = [.. s_rules.Select(rule => (RespArgument)rule)];
            await OkAsync(first, ["ACL", "SETUSER", "default", needsPassword ? ">" + Password : "nopass", .. rules]);
        }
        var time = new HostileTime();
        Task[] attackers =
        [
            .. Enumerable.Range(0, Attackers).Select(number =>
                Task.Run(() => new Attacker(server, TestSeed.Random((needsPassword ? 100 : 0) + number), needsPassword).AttackAsync(time))),
        ];
        Task attack = Task.WhenAll(attackers);
        while (!attack.IsCompleted && !attackers.Any(attacker => attacker.IsFaulted))
        {
            await StandsAsync(server);
            await Task.WhenAny(attack, Task.Delay(200));
        }
        await (attackers.FirstOrDefault(attacker => attacker.IsFaulted) ?? attack);
        await StandsAsync(server);
        await using RespConnection last = await KeeperAsync(server);
        await Eventually.TrueAsync(
            async () => (await last.LineAsync("CLIENT LIST")).Text.Count(c => c == '\n') == 1,
            () => $"somebody is still connected{server.Describe()}");
        Assert.Equal(0, await last.InfoAsync("blocked_clients"));
        Assert.Equal(0, await last.InfoAsync("pubsub_clients"));
        Assert.Equal(0, await last.InfoAsync("pubsub_channels"));
        Assert.Equal(0, await last.InfoAsync("pubsub_patterns"));
        Assert.Equal(0, await last.InfoAsync("watching_clients"));
        Assert.Equal(0, await last.InfoAsync("tracking_clients"));
        await server.TerminateAsync();
        Assert.Equal(0, server.ExitCode);
    }

    /// <summary>A newcomer is answered, and nothing has gone wrong.</summary>
    private static async Task StandsAsync(RedisProcess server)
    {
        await using RespConnection keeper = await KeeperAsync(server);
        Assert.Equal("+PONG", (await keeper.LineAsync("PING")).ToString());
        Assert.Equal("stands", (await keeper.LineAsync($"GET {Sentinel}")).Text);
        Assert.DoesNotContain(server.Log, line => line.Contains("please report this", StringComparison.Ordinal));
        Assert.True(await keeper.InfoAsync("used_memory_rss") < MostBytes, $"the server has become too large{server.Describe()}");
        // Without room all that they write would be refused.
        if (await keeper.InfoAsync("used_memory") < 48 << 20) return;
        await OkAsync(keeper, "FLUSHALL");
        await OkAsync(keeper, "SET", Sentinel, "stands");
    }

    private static async Task<RespConnection> KeeperAsync(RedisProcess server)
    {
        RespConnection keeper = await server.ConnectAsync();
        Assert.Equal("+OK", (await keeper.CallAsync("AUTH", "keeper", AdminPassword)).ToString());
        return keeper;
    }

    private static async Task OkAsync(RespConnection redis, params RespArgument[] command) => Assert.Equal("+OK", (await redis.CallAsync(command)).ToString());

    /// <summary>One of those who attack. What it has done lately is told if something goes wrong.</summary>
    private sealed class Attacker(RedisProcess server, Random random, bool needsPassword)
    {
        private static readonly ConcurrentBag<string> s_names = [];

        private readonly List<Socket> _leftOpen = [];
        private readonly Queue<string> _story = new();

        public async Task AttackAsync(HostileTime time)
        {
            try
            {
                if (s_names.IsEmpty) await LearnNamesAsync();
                while (!time.IsOver) await ActAsync();
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"After\n{string.Join('\n', _story)}\n{e.Message}{server.Describe()}", e);
            }
            finally
            {
                foreach (Socket socket in _leftOpen) socket.Dispose();
            }
        }

        private async Task LearnNamesAsync()
        {
            await using RespConnection keeper = await KeeperAsync(server);
            foreach (RespValue name in (await keeper.LineAsync("COMMAND LIST")).Items) s_names.Add(name.Text);
        }

        private Task ActAsync() => random.Next(12) switch
        {
            0 or 1 or 2 => KeepToTheProtocolAsync(),
            3 or 4 => SayAsync(Damaged(Requests(random.Next(1, 12)))),
            5 => SayAsync(Encoding.Latin1.GetBytes(string.Concat(Enumerable.Range(0, random.Next(1, 5)).Select(_ => Pick(s_frames))))),
            6 => SayAsync([.. Requests(random.Next(3)), .. Encoding.Latin1.GetBytes(Pick(s_frames)), .. Requests(random.Next(3))]),
            7 or 8 => ChangeModesAsync(),
            9 => ReadNothingAsync(),
            10 => ComeAndGoAsync(),
            _ => SayAsync(Noise()),
        };

        /// <summary>A client as it should be: it gets one reply for each request, however they are cut in pieces.</summary>
        private async Task KeepToTheProtocolAsync()
        {
            await using RespConnection client = random.Next(2) == 0 ? await server.ConnectAsync() : await server.ConnectUnixAsync();
            if (needsPassword) await OkAsync(client, "AUTH", Password);
            if (random.Next(2) == 0) await client.HelloAsync(3);
            int count = random.Next(1, 60);
            var bytes = new MemoryStream();
            for (int i = 0; i < count; i++) bytes.Write(Told(Sensible()));
            bytes.Write(RespConnection.Frame("ECHO", "the end"));
            Task sending = SendInPiecesAsync(client.SendRawAsync, bytes.ToArray());
            for (int i = 0; i < count; i++)
            {
                RespValue reply = await client.ReadAsync();
                Assert.False(reply.IsError && reply.Text.Contains("internal error", StringComparison.Ordinal), reply.ToString());
            }
            Assert.Equal("\"the end\"", (await client.ReadAsync()).ToString());
            await sending;
        }

        /// <summary>Sends something and nothing more. The server says what it has to say, and hangs up.</summary>
        private async Task SayAsync(byte[] bytes)
        {
            if (needsPassword && random.Next(2) == 0) bytes = [.. RespConnection.Frame("AUTH", Password), .. bytes];
            Socket socket = await ConnectAsync();
            bool isLeftOpen = false;
            try
            {
                await SendInPiecesAsync(async part => await socket.SendAsync(part), bytes);
                int end = random.Next(8);
                if (end == 0)
                {
                    LeaveOpen(socket);
                    isLeftOpen = true;
                }
                else if (end == 1)
                {
                    socket.LingerState = new LingerOption(true, 0); // a reset
                }
                else
                {
                    socket.Shutdown(SocketShutdown.Send);
                    byte[] said = await ReadToEndAsync(socket);
                    Assert.True(RespScanner.AreReplies(said, out _), $"This is no reply: {Convert.ToHexString(said)}");
                }
            }
            catch (SocketException)
            {
                // The server may hang up before it has everything.
            }
            finally
            {
                if (!isLeftOpen) socket.Dispose();
            }
        }

        private async Task ChangeModesAsync()
        {
            var bytes = new MemoryStream();
            for (int i = random.Next(1, 8); i > 0; i--)
                bytes.Write(random.Next(3) == 0 ? Told(Sensible()) : Told([.. Pick(s_modes).Split(' ').Select(word => (RespArgument)word)]));
            byte[] all = bytes.ToArray();
            await SayAsync(random.Next(4) == 0 ? Damaged(all) : all);
        }

        /// <summary>Asks for much, and leaves without taking it.</summary>
        private async Task ReadNothingAsync()
        {
            Socket socket = await ConnectAsync();
            try
            {
                if (needsPassword) await socket.SendAsync(RespConnection.Frame("AUTH", Password));
                var bytes = new MemoryStream();
                bytes.Write(RespConnection.Frame("SETRANGE", "k1", 200_000, "x"));
                byte[] get = RespConnection.Frame("GET", "k1"), command = RespConnection.Frame("COMMAND");
                for (int i = random.Next(100); i > 0; i--) bytes.Write(random.Next(2) == 0 ? get : command);
                using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
                await SendInPiecesAsync(async part => await socket.SendAsync(part, patience.Token), bytes.ToArray());
                if (random.Next(2) == 0) socket.LingerState = new LingerOption(true, 0);
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException)
            {
                // The server reads no more from those who do not read, and ends those who have too much waiting for them.
            }
            finally
            {
                socket.Dispose();
            }
        }

        private async Task ComeAndGoAsync()
        {
            for (int i = random.Next(1, 20); i > 0; i--)
            {
                using Socket socket = await ConnectAsync();
                if (random.Next(2) == 0) socket.LingerState = new LingerOption(true, 0);
            }
        }

        private void LeaveOpen(Socket socket)
        {
            _leftOpen.Add(socket);
            if (_leftOpen.Count <= MostLeftOpen) return;
            int at = random.Next(_leftOpen.Count);
            _leftOpen[at].Dispose();
            _leftOpen.RemoveAt(at);
        }

        private async Task<Socket> ConnectAsync()
        {
            bool isUnix = random.Next(3) == 0;
            Socket socket = isUnix
                ? new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
                : new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await socket.ConnectAsync(isUnix ? new UnixDomainSocketEndPoint(server.UnixSocket) : new IPEndPoint(IPAddress.Loopback, server.Port));
            return socket;
        }

        private static async Task<byte[]> ReadToEndAsync(Socket socket)
        {
            var all = new MemoryStream();
            var some = new byte[16 * 1024];
            using var deadline = new CancellationTokenSource(Eventually.Deadline);
            try
            {
                while (await socket.ReceiveAsync(some, deadline.Token) is > 0 and int count) all.Write(some, 0, count);
            }
            catch (OperationCanceledException)
            {
                string said = Encoding.Latin1.GetString(all.ToArray());
                throw new TimeoutException($"The server does not hang up. It has said {said[..Math.Min(said.Length, 500)]}");
            }
            catch (SocketException)
            {
                // A reset, because the server has not read everything.
            }
            return all.ToArray();
        }

        private async Task SendInPiecesAsync(Func<ReadOnlyMemory<byte>, Task> send, ReadOnlyMemory<byte> bytes)
        {
            int largest = random.Next(3) switch { 0 => bytes.Length, 1 => 1000, _ => 7 };
            // In very small pieces only a little: each is a system call on both sides.
            for (int sent = 0, pieces = 0; sent < bytes.Length; pieces++)
            {
                int length = pieces > 200 ? bytes.Length - sent : Math.Min(bytes.Length - sent, random.Next(1, largest + 1));
                await send(bytes.Slice(sent, length));
                sent += length;
            }
        }

        private byte[] Requests(int count)
        {
            var bytes = new MemoryStream();
            for (int i = 0; i < count; i++) bytes.Write(random.Next(6) == 0 ? Inline() : Told(random.Next(3) == 0 ? Soup() : Sensible()));
            return bytes.ToArray();
        }

        private byte[] Inline()
        {
            string line = string.Join(' ', Sensible().Select(word => Encoding.Latin1.GetString(word.Bytes)));
            Tell(line);
            return Encoding.Latin1.GetBytes(line + (random.Next(2) == 0 ? "\r\n" : "\n"));
        }

        /// <summary>A command that makes sense, or nearly.</summary>
        private RespArgument[] Sensible()
        {
            CommandPattern pattern = Pick(Family.All).Pick(random);
            var arguments = new Arguments(random, DateTimeOffset.UnixEpoch);
            List<RespArgument> command = pattern.Generate(arguments);
            if (random.Next(5) == 0) arguments.Spoil(command, pattern.Expires);
            // These would not be answered with one reply.
            return command.Count == 0 || command[0].Bytes.Length == 0 ? ["PING"] : [.. command];
        }

        /// <summary>A command of any name, with anything behind it.</summary>
        private RespArgument[] Soup()
        {
            string name = s_names.ElementAt(random.Next(s_names.Count));
            var arguments = new Arguments(random, DateTimeOffset.UnixEpoch);
            string[] holes = ["key", "value", "word", "int", "count", "index", "pattern", "sid", "float", "member"];
            return [.. name.Split('|').Select(word => (RespArgument)word), .. Enumerable.Range(0, random.Next(6)).Select(_ => arguments.Next(Pick(holes)))];
        }

        private byte[] Damaged(byte[] bytes)
        {
            List<byte> damaged = [.. bytes];
            for (int changes = random.Next(1, 6); changes > 0 && damaged.Count > 0; changes--)
            {
                int at = random.Next(damaged.Count), length = Math.Min(random.Next(1, 20), damaged.Count - at);
                switch (random.Next(7))
                {
                    case 0: damaged[at] ^= (byte)(1 << random.Next(8)); break;
                    case 1: damaged.RemoveRange(at, length); break;
                    case 2: damaged.InsertRange(at, damaged.GetRange(at, length)); break;
                    case 3: damaged.InsertRange(at, Encoding.Latin1.GetBytes(Pick(s_frames))); break;
                    case 4: damaged.RemoveRange(at, damaged.Count - at); break; // half a request
                    case 5: damaged[at] = Pick<byte>(0, (byte)'\r', (byte)'\n', (byte)'$', (byte)'*', (byte)'-', (byte)'9', 255); break;
                    default: damaged.Insert(at, (byte)random.Next(256)); break;
                }
            }
            return [.. damaged];
        }

        private byte[] Noise()
        {
            byte[] noise = new byte[random.Next(random.Next(10) == 0 ? 200_000 : 100)];
            random.NextBytes(noise);
            if (random.Next(3) == 0) Array.Fill(noise, Pick<byte>((byte)'x', 0, (byte)'*', (byte)'\n', (byte)' ', (byte)'"'));
            Tell($"{noise.Length} bytes of noise");
            return noise;
        }

        private byte[] Told(RespArgument[] request)
        {
            Tell(string.Join(' ', request));
            return RespConnection.Frame(request);
        }

        private void Tell(string what)
        {
            _story.Enqueue(what);
            if (_story.Count > 80) _story.Dequeue();
        }

        private T Pick<T>(params IReadOnlyList<T> from) => from[random.Next(from.Count)];
    }
}
