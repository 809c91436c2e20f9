using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Text;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.WireProtocol;
using OrleansRedis.Grains;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Grains;

/// <summary>Orleans's ports: who listens where, whom they let in, and what they let pass.</summary>
public sealed class OrleansPortsTests
{
    [Fact]
    public async Task Nothing_listens_for_Orleans_unless_asked()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await server.WaitForLogAsync("The Orleans silo runs. Nothing listens for Orleans clients");
        Assert.All(Listening(server), address => Assert.Equal(server.Port, address.Port));
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Only_the_ports_that_are_asked_for_listen_and_on_loopback_alone(bool gateway, bool silo)
    {
        int gatewayPort = gateway ? RedisProcess.FreePort() : 0, siloPort = silo ? RedisProcess.FreePort() : 0;
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(gatewayPort), "--orleans-silo-port", Text(siloPort));
        IPEndPoint[] expected = [.. new[] { gatewayPort, siloPort }.Where(port => port != 0).Select(port => new IPEndPoint(IPAddress.Loopback, port))];
        Assert.Equal(expected.ToHashSet(), Listening(server).Where(address => address.Port != server.Port).ToHashSet());
    }

    [Theory]
    [InlineData("*", "0.0.0.0")]
    [InlineData("127.0.0.2", "127.0.0.2")]
    public async Task They_listen_where_orleans_bind_says_and_clients_come_in_there(string bind, string listening)
    {
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(port), "--orleans-bind", bind);
        Assert.Contains(new IPEndPoint(IPAddress.Parse(listening), port), Listening(server));
        await using OrleansClient client = await OrleansClient.ConnectAsync(port, address: bind == "*" ? "127.0.0.1" : bind);
        Assert.True(await client.Grains.GetRedisDatabase().StringSetAsync("key", "value"));
    }

    [Theory]
    [InlineData("--orleans-bind", "everywhere")]
    [InlineData("--orleans-announce-ip", "0.0.0.0")]
    public async Task An_address_that_is_none_is_refused_at_the_start(string directive, string value)
    {
        (int exitCode, string output) = await RedisProcess.RunToExitAsync(directive, value);
        Assert.Equal(1, exitCode);
        Assert.Contains("argument must be an IP address", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_password_protected_mode_keeps_clients_of_other_machines_out()
    {
        IPAddress? own = NetworkInterface.GetAllNetworkInterfaces().Where(network => network.OperationalStatus == OperationalStatus.Up)
            .SelectMany(network => network.GetIPProperties().UnicastAddresses).Select(unicast => unicast.Address)
            .FirstOrDefault(address => address.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(address));
        if (own is null) return; // a machine without a network
        foreach (bool isProtected in (bool[])[true, false])
        {
            int port = RedisProcess.FreePort();
            await using RedisProcess server = await StartAsync(
                "--orleans-gateway-port", Text(port), "--orleans-bind", own.ToString(), "--protected-mode", isProtected ? "yes" : "no");
            if (isProtected)
            {
                await using RawOrleansClient stranger = await RawOrleansClient.ConnectAsync(port, own);
                await stranger.SendAsync(stranger.Introduction());
                Assert.Empty(await stranger.ReadToEndAsync());
                continue;
            }
            await using OrleansClient client = await OrleansClient.ConnectAsync(port, address: own.ToString());
            Assert.Null(await client.Grains.GetRedisDatabase().StringGetAsync("key"));
        }
    }

    [Fact]
    public async Task Their_connections_have_a_limit_of_their_own_and_cannot_use_up_the_files()
    {
        int port = RedisProcess.FreePort(), siloPort = RedisProcess.FreePort();
        await using RedisProcess server =
            await RedisProcess.StartWithOpenFilesAsync(1024, "--orleans-gateway-port", Text(port), "--orleans-silo-port", Text(siloPort));
        await server.WaitForLogAsync("Orleans clients find the grains");
        await using RespConnection redis = await server.ConnectAsync();
        int most = int.Parse((await redis.CallAsync("CONFIG", "GET", "maxclients"))[1].Text, CultureInfo.InvariantCulture);
        List<RawOrleansClient> clients = [];
        for (int i = 0; i < 1100; i++)
        {
            clients.Add(await RawOrleansClient.ConnectAsync(port));
            await using RawOrleansClient silo = await RawOrleansClient.ConnectAsync(siloPort);
        }
        await server.WaitForLogAsync("Orleans clients are refused, because 100 are connected (orleans-maxclients)");
        List<RespConnection> redisClients = [];
        for (int i = 1; i < most; i++)
        {
            redisClients.Add(await server.ConnectAsync());
            Assert.Equal("+PONG", (await redisClients[^1].LineAsync("PING")).ToString());
        }
        await redis.CallAsync("SET", "key", "value");
        Assert.Equal("Background saving started", (await redis.CallAsync("BGSAVE")).Text);
        await server.WaitForLogAsync("Background saving terminated with success");
        // Whoever says nothing is not waited for, and then others come in.
        foreach (RawOrleansClient client in clients) Assert.Empty(await client.ReadToEndAsync());
        await using OrleansClient next = await OrleansClient.ConnectAsync(port);
        Assert.Equal("value", await next.Grains.GetRedisDatabase().StringGetAsync("key"));
        foreach (RespConnection client in redisClients) await client.DisposeAsync();
        foreach (RawOrleansClient client in clients) await client.DisposeAsync();
    }

    [Fact]
    public async Task Whoever_asks_for_another_cluster_is_not_told_which_one_this_is()
    {
        int port = RedisProcess.FreePort(), siloPort = RedisProcess.FreePort();
        await using RedisProcess server = await StartAsync(
            "--orleans-gateway-port", Text(port), "--orleans-silo-port", Text(siloPort), "--orleans-cluster-id", "the right one");
        foreach (int at in (int[])[port, siloPort])
        {
            foreach (string clusterId in (string[])["the wrong one", "", "the right one, almost"])
            {
                await using RawOrleansClient client = await RawOrleansClient.ConnectAsync(at);
                await client.SendAsync(client.Introduction(clusterId));
                Assert.Empty(await client.ReadToEndAsync());
            }
        }
        await using RawOrleansClient right = await RawOrleansClient.ConnectAsync(port);
        await right.SendAsync(right.Introduction("the right one"));
        Assert.NotEmpty(await right.ReadAsync(sizeof(int)));
        await using RawOrleansClient asSilo = await RawOrleansClient.ConnectAsync(siloPort);
        await asSilo.SendAsync(asSilo.Introduction("the right one"));
        Assert.Empty(await asSilo.ReadToEndAsync());
    }

    [Fact]
    public async Task A_grain_call_must_carry_the_password()
    {
        int port = RedisProcess.FreePort();
        byte[] password = [0xff, (byte)'p', 0, 0xc3];
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(port));
        await using RespConnection redis = await server.ConnectAsync();
        await using OrleansClient client = await OrleansClient.ConnectAsync(port);
        RedisDatabase stranger = client.Grains.GetRedisDatabase();
        // As long as there is no password, anyone is "default", whatever he says.
        Assert.True(await stranger.StringSetAsync("key", "value"));
        Assert.Equal("value", await client.Grains.GetRedisDatabase("default", "anything").StringGetAsync("key"));
        Assert.StartsWith("WRONGPASS ", await ErrorAsync(client.Grains.GetRedisDatabase("somebody", "anything")), StringComparison.Ordinal);

        await redis.CallAsync("CONFIG", "SET", "requirepass", password);
        Assert.Equal("+OK", (await redis.CallAsync("AUTH", password)).ToString());
        await redis.CallAsync("CONFIG", "RESETSTAT");
        Assert.Equal("NOAUTH Authentication required.", await ErrorAsync(stranger));
        const string Wrong = "WRONGPASS invalid username-password pair or user is disabled.";
        Assert.Equal(Wrong, await ErrorAsync(client.Grains.GetRedisDatabase("default", "")));
        Assert.Equal(Wrong, await ErrorAsync(client.Grains.GetRedisDatabase("default", password[..3])));
        Assert.Equal(Wrong, await ErrorAsync(client.Grains.GetRedisDatabase("DEFAULT", password)));
        RedisDatabase known = client.Grains.GetRedisDatabase("default", password);
        Assert.Equal("value", await known.StringGetAsync("key"));
        Assert.Equal("NOAUTH Authentication required.",
            (await Assert.ThrowsAsync<RedisErrorException>(() => client.Grains.GetGrain<IHashSlotGrain>(1).LocateAsync())).Message);
        string info = (await redis.CallAsync("INFO", "errorstats")).Text;
        Assert.Contains("errorstat_NOAUTH:count=2\r\n", info, StringComparison.Ordinal);
        Assert.Contains("errorstat_WRONGPASS:count=3\r\n", info, StringComparison.Ordinal);

        // Whatever the command, and whatever the application has in its own request context.
        RequestContext.Set("the application's", new List<string> { "own" });
        foreach (RespValue command in (await redis.CallAsync("COMMAND", "LIST")).Items)
            Assert.StartsWith("NOAUTH ", (await Assert.ThrowsAsync<RedisErrorException>(() => stranger.ExecuteAsync(command.Text, "key"))).Message,
                StringComparison.Ordinal);
        Assert.Equal("value", await known.StringGetAsync("key"));
        Assert.NotNull(RequestContext.Get("the application's"));
        // A large call, too, and one that is cancelled from there.
        Assert.True(await known.StringSetAsync("large", new string('x', 1_000_000)));
        using var cancellation = new CancellationTokenSource();
        Task<RedisReply> waits = known.ExecuteAsync(["BLPOP", "queue", "0"], cancellation.Token);
        await BlockedAsync(1);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waits);
        await BlockedAsync(0); // the news has arrived
        Assert.Equal(1, (await redis.CallAsync("RPUSH", "queue", "element")).Integer);
        Assert.Equal(1, (await known.ExecuteAsync("LLEN", "queue")).Int64);

        Task BlockedAsync(int count) => Eventually.TrueAsync(
            async () => (await redis.CallAsync("INFO", "clients")).Text.Contains($"blocked_clients:{count}\r\n", StringComparison.Ordinal),
            () => $"there are not {count} blocked clients");
    }

    [Fact]
    public async Task A_grain_call_may_do_what_its_user_may()
    {
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(port));
        await using RespConnection redis = await server.ConnectAsync();
        await using OrleansClient client = await OrleansClient.ConnectAsync(port);
        await redis.LineAsync("ACL SETUSER alice on >pw +set +get +blpop +eval ~a* ~key");
        RedisDatabase alice = client.Grains.GetRedisDatabase("alice", "pw"), anyone = client.Grains.GetRedisDatabase();
        Assert.True(await alice.StringSetAsync("a", "1"));
        const string NoKey = "NOPERM No permissions to access a key";
        Assert.Equal(NoKey, await ErrorAsync(alice, "SET", "secret", "1"));
        Assert.Equal("NOPERM User alice has no permissions to run the 'del' command", await ErrorAsync(alice, "DEL", "a"));
        Assert.StartsWith(
            "NOPERM ACL failure in script: No permissions to access a key", await ErrorAsync(alice, "EVAL", "return redis.call('get', 'secret')", "0"),
            StringComparison.Ordinal);
        Assert.Equal("WRONGPASS invalid username-password pair or user is disabled.", await ErrorAsync(client.Grains.GetRedisDatabase("alice", "wrong")));
        string denials = (await redis.LineAsync("ACL LOG")).ToString();
        Assert.Contains("grain call", denials, StringComparison.Ordinal);
        Assert.DoesNotContain("wrong", denials, StringComparison.Ordinal);

        // Without a name one is the default user, held to its rules, or nobody.
        await redis.LineAsync("ACL SETUSER default -set");
        Assert.Equal("NOPERM User default has no permissions to run the 'set' command", await ErrorAsync(anyone, "SET", "a", "1"));
        Assert.Equal("1", await anyone.StringGetAsync("a"));
        await redis.LineAsync("ACL SETUSER default +set off");
        Assert.Equal("NOAUTH Authentication required.", await ErrorAsync(anyone));
        Assert.Equal("1", await alice.StringGetAsync("a"));

        // Who waits when the rights are taken gets nothing.
        Task<string> waits = ErrorAsync(alice, "BLPOP", "key", "0");
        await Eventually.TrueAsync(
            async () => (await redis.CallAsync("INFO", "clients")).Text.Contains("blocked_clients:1\r\n", StringComparison.Ordinal), () => "it does not wait");
        await redis.LineAsync("ACL SETUSER alice resetkeys");
        Assert.Equal(1, (await redis.CallAsync("RPUSH", "key", "element")).Integer);
        Assert.Equal(NoKey, await waits);
        await redis.LineAsync("ACL DELUSER alice");
        Assert.StartsWith("WRONGPASS ", await ErrorAsync(alice), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_grain_call_cannot_do_what_a_client_cannot()
    {
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(port));
        await using RespConnection redis = await server.ConnectAsync();
        await using OrleansClient client = await OrleansClient.ConnectAsync(port);
        RedisDatabase database = client.Grains.GetRedisDatabase();
        string[] commands =
            ["DEBUG SLEEP 0", "DEBUG RELOAD", "SHUTDOWN NOSAVE", "CLIENT KILL TYPE normal", "MULTI", "SUBSCRIBE x", "RESET", "AUTH x"];
        foreach (string command in commands)
        {
            RedisBytes[] words = [.. command.Split(' ').Select(word => (RedisBytes)word)];
            string error = (await Assert.ThrowsAsync<RedisErrorException>(() => database.ExecuteAsync(words))).Message;
            Assert.True(
                error.Contains("needs a connection", StringComparison.Ordinal) || error.StartsWith("ERR unknown command", StringComparison.Ordinal), error);
        }
        foreach ((string directive, string value) in ((string, string)[])[("dir", "/"), ("dbfilename", "other.rdb")])
        {
            string error =
                (await Assert.ThrowsAsync<RedisErrorException>(() => database.ExecuteAsync("CONFIG", "SET", directive, value))).Message;
            Assert.Equal($"ERR CONFIG SET failed (possibly related to argument '{directive}') - can't set protected config", error);
            Assert.Equal($"-{error}", (await redis.CallAsync("CONFIG", "SET", directive, value)).ToString());
        }
        Assert.Equal("+PONG", (await redis.LineAsync("PING")).ToString());
    }

    [Fact]
    public async Task Orleanss_own_grains_are_not_there()
    {
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(port));
        await using OrleansClient client = await OrleansClient.ConnectAsync(port);
        Assert.Throws<ArgumentException>(() => client.Grains.GetGrain<IManagementGrain>(0));
        Assert.True(await client.Grains.GetRedisDatabase().StringSetAsync("key", "value"));
    }

    [Fact]
    public async Task A_message_that_no_client_of_ours_sends_ends_the_connection_and_nothing_else()
    {
        int port = RedisProcess.FreePort(), siloPort = RedisProcess.FreePort();
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(port), "--orleans-silo-port", Text(siloPort));
        await using RespConnection redis = await server.ConnectAsync();
        await using OrleansClient friend = await OrleansClient.ConnectAsync(port);
        RedisDatabase database = friend.Grains.GetRedisDatabase();
        foreach ((string what, Func<RawOrleansClient, byte[]> message) in Attacks())
        {
            await using RawOrleansClient client = await RawOrleansClient.IntroducedAsync(port);
            await client.SendAsync(message(client));
            byte[] answer = await client.ReadToEndAsync();
            Assert.True(answer.Length == 0, $"{what} was answered with {answer.Length} bytes");
            await using RawOrleansClient silo = await RawOrleansClient.ConnectAsync(siloPort);
            await silo.SendAsync([.. silo.Introduction(), .. message(silo)]);
            Assert.Empty(await silo.ReadToEndAsync());
            Assert.False(server.HasExited, $"{what} has ended the server{server.Describe()}");
            Assert.True(await database.StringSetAsync("key", what), what);
            Assert.Equal(what, (await redis.CallAsync("GET", "key")).Text);
        }
        foreach ((string what, Func<RawOrleansClient, byte[]> message) in Introductions())
        {
            await using RawOrleansClient client = await RawOrleansClient.ConnectAsync(port);
            await client.SendAsync(message(client));
            byte[] answer = await client.ReadToEndAsync();
            Assert.True(answer.Length == 0, $"{what} was answered with {answer.Length} bytes");
        }
        Assert.Equal("key", (await redis.CallAsync("KEYS", "*"))[0].Text);
    }

    [Fact]
    public async Task Whatever_arrives_the_server_goes_on()
    {
        Random random = TestSeed.Random();
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(port));
        await using RespConnection redis = await server.ConnectAsync();
        for (int i = 0; i < 300; i++)
        {
            await using RawOrleansClient client = await RawOrleansClient.ConnectAsync(port);
            List<byte> bytes = [.. client.Introduction(), .. client.Call(Command("GET", "key")), .. client.Call(Command("ECHO", "text"))];
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                int at = random.Next(bytes.Count);
                switch (random.Next(3))
                {
                    case 0:
                        bytes[at] = (byte)random.Next(256);
                        break;
                    case 1:
                        bytes.Insert(at, (byte)random.Next(256));
                        break;
                    default:
                        bytes.RemoveRange(at, Math.Min(random.Next(1, 20), bytes.Count - at));
                        break;
                }
            }
            await client.SendAsync([.. bytes]);
            client.EndSending();
            await client.ReadToEndAsync();
        }
        Assert.Equal("+PONG", (await redis.LineAsync("PING")).ToString());
        await using OrleansClient friend = await OrleansClient.ConnectAsync(port);
        Assert.True(await friend.Grains.GetRedisDatabase().StringSetAsync("key", "value"));
    }

    [Fact]
    public async Task Without_the_password_no_large_message_is_kept()
    {
        int port = RedisProcess.FreePort();
        await using RedisProcess server = await StartAsync("--orleans-gateway-port", Text(port), "--requirepass", "secret");
        await using RawOrleansClient client = await RawOrleansClient.IntroducedAsync(port);
        // Only the beginning: what follows would be welcome, if it were from someone else.
        byte[] message = client.Call(Command("SET", "key", new string('x', 1_000_000)));
        await client.SendAsync(message[..1000]);
        Assert.Empty(await client.ReadToEndAsync());
        // The same as a hand-made message with the password is run.
        await using RawOrleansClient friend = await RawOrleansClient.IntroducedAsync(port);
        byte[] context = RawOrleansClient.Write((ref Writer<ArrayBufferWriter<byte>> writer) =>
        {
            writer.WriteVarUInt32(2);
            foreach ((string key, string value) in ((string, string)[])[(Caller.User, "default"), (Caller.Password, "secret")])
            {
                writer.WriteVarUInt32((uint)key.Length + 1);
                writer.Write(Encoding.ASCII.GetBytes(key));
                ObjectCodec.WriteField(ref writer, 0, Encoding.ASCII.GetBytes(value));
            }
        });
        await friend.SendAsync(friend.Call(Command("SET", "key", new string('x', 1_000_000)), context: context));
        await friend.ReadAsync(8);
        await using RespConnection redis = await server.ConnectAsync();
        await redis.CallAsync("AUTH", "secret");
        Assert.Equal(1_000_000, (await redis.CallAsync("STRLEN", "key")).Integer);
    }

    /// <summary>What a client could send after it has introduced itself, and must not.</summary>
    private static IEnumerable<(string, Func<RawOrleansClient, byte[]>)> Attacks()
    {
        const int Deep = 200_000;
        yield return ("nested arrays", client => client.Call(Nested(typeof(object[]), typeof(object), Deep, firstField: true, delta: 1)));
        yield return ("nested exceptions", client => client.Call(Nested(typeof(Exception), typeof(Exception), Deep, firstField: false, delta: 3)));
        yield return ("nested unknown fields of a call", client => client.Call(RawOrleansClient.Execute(
            (ref Writer<ArrayBufferWriter<byte>> writer) =>
            {
                for (int i = 0; i < Deep; i++) writer.WriteFieldHeaderExpected(6, WireType.TagDelimited);
                for (int i = 0; i < Deep; i++) writer.WriteEndObject();
            })));
        string generic = string.Concat(Enumerable.Repeat("System.Collections.Generic.List`1[[", 100_000)) + "System.Int32"
            + string.Concat(Enumerable.Repeat("]]", 100_000));
        yield return ("a type name of many nested types", client => client.Call(TypeName(generic, inRoot: true)));
        yield return ("such a type name within a call", client => client.Call(TypeName(generic, inRoot: false)));
        yield return ("such a type name as an exception's", client => client.Call(RawOrleansClient.Write((ref Writer<ArrayBufferWriter<byte>> writer) =>
        {
            writer.WriteFieldHeader(0, null!, typeof(Exception), WireType.TagDelimited);
            writer.WriteFieldHeaderExpected(0, WireType.LengthPrefixed);
            writer.WriteVarUInt32((uint)generic.Length);
            writer.Write(Encoding.ASCII.GetBytes(generic));
            writer.WriteEndObject();
        })));
        yield return ("nested values in the request context", client => client.Call([], context: RawOrleansClient.Write(
            (ref Writer<ArrayBufferWriter<byte>> writer) =>
            {
                writer.WriteVarUInt32(1);
                writer.WriteVarUInt32(2);
                writer.WriteByte((byte)'k');
                for (int i = 0; i < 10_000; i++) writer.WriteFieldHeader(0, typeof(object), typeof(object[]), WireType.TagDelimited);
            })));
        foreach (int length in (int[])[int.MaxValue, int.MinValue, -1, 200_000_000])
        {
            yield return ($"a header of {length} bytes", _ => RawOrleansClient.Framed(length, 0, new byte[100]));
            yield return ($"a body of {length} bytes", _ => RawOrleansClient.Framed(100, length, new byte[100]));
        }
        yield return ("an empty header", _ => RawOrleansClient.Framed(0, 0, new byte[100]));
        foreach (uint length in (uint[])[uint.MaxValue, int.MaxValue, 1_000_000])
        {
            yield return ($"a field of {length} bytes", client => client.Call(RawOrleansClient.Execute((ref Writer<ArrayBufferWriter<byte>> writer) =>
            {
                writer.WriteFieldHeaderExpected(6, WireType.LengthPrefixed);
                writer.WriteVarUInt32(length);
            })));
        }
        yield return ("noise", _ => [.. Enumerable.Range(0, 10_000).Select(i => (byte)(i * 7))]);
        yield return ("a call of the membership", client => client.Call(Command("PING"), "sys.svc.cluster.membership", "127.0.0.1:11111@0"));
        yield return ("a call of the management", client => client.Call(Command("PING"), "management"));
        yield return ("a message to another client", client => client.Call(Command("PING"), "sys.client", Guid.NewGuid().ToString("N")));
        yield return ("a call in the name of another client", client => client.Call(Command("PING"), sender: Guid.NewGuid().ToString("N")));
        yield return ("a response", client => client.Call(Command("PING"), direction: 2));
    }

    /// <summary>What a client could say about itself, and must not.</summary>
    private static IEnumerable<(string, Func<RawOrleansClient, byte[]>)> Introductions()
    {
        yield return ("the introduction of a silo", client => client.Introduction(type: "sys.silo"));
        yield return ("the introduction of a silo's own client", client => client.Introduction(key: "hosted-127.0.0.1:11111@1"));
        yield return ("a long introduction", client => client.Introduction(key: new string('x', 2000)));
        yield return ("an introduction of negative length", _ => [255, 255, 255, 255, 0, 0, 0, 0]);
        yield return ("a nested introduction", _ => [0, 4, 0, 0, .. Enumerable.Repeat((byte)0x20, 1024)]);
        yield return ("a request of HTTP", _ => [.. "GET / HTTP/1.1\r\n\r\n"u8]);
    }

    /// <summary>Values within each other.</summary>
    private static byte[] Nested(Type type, Type declared, int depth, bool firstField, uint delta) => RawOrleansClient.Write(
        (ref Writer<ArrayBufferWriter<byte>> writer) =>
        {
            for (int i = 0; i < depth; i++)
            {
                writer.WriteFieldHeader(i == 0 ? 0 : delta, i == 0 ? null! : declared, type, WireType.TagDelimited);
                if (firstField) UInt32Codec.WriteField(ref writer, 0, 1); // an array's length
            }
            for (int i = 0; i < depth; i++) writer.WriteEndObject();
        });

    /// <summary>A value whose type is given by any name at all.</summary>
    private static byte[] TypeName(string name, bool inRoot)
    {
        void Value(ref Writer<ArrayBufferWriter<byte>> writer)
        {
            writer.WriteByte((byte)((uint)WireType.TagDelimited | (uint)SchemaType.Encoded));
            writer.WriteByte(1); // the version
            writer.WriteInt32(12345); // a hash
            writer.WriteVarUInt32((uint)name.Length);
            writer.Write(Encoding.ASCII.GetBytes(name));
            writer.WriteEndObject();
        }
        return inRoot ? RawOrleansClient.Write(Value) : RawOrleansClient.Execute(Value);
    }

    /// <summary>The call that runs a command in database 0.</summary>
    private static byte[] Command(params string[] words) => RawOrleansClient.Execute((ref Writer<ArrayBufferWriter<byte>> writer) =>
    {
        Int32Codec.WriteField(ref writer, 0, 0);
        ReadOnlyMemory<byte>[] arguments = [.. words.Select(word => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(word))];
        writer.Session.CodecProvider.GetCodec<ReadOnlyMemory<byte>[]>().WriteField(ref writer, 1, typeof(ReadOnlyMemory<byte>[]), arguments);
    });

    private static Task<string> ErrorAsync(RedisDatabase database) => ErrorAsync(database, "GET", "key");

    private static async Task<string> ErrorAsync(RedisDatabase database, params RedisBytes[] command) =>
        (await Assert.ThrowsAsync<RedisErrorException>(() => database.ExecuteAsync(command))).Message;

    private static async Task<RedisProcess> StartAsync(params string[] directives)
    {
        RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, directives);
        await Eventually.TrueAsync(
            () => server.Log.Any(line => line.Contains("Orleans clients find the grains", StringComparison.Ordinal)
                || line.Contains("The Orleans silo runs", StringComparison.Ordinal)),
            () => $"the silo does not start{server.Describe()}");
        return server;
    }

    /// <summary>The addresses at which a process accepts connections over TCP.</summary>
    private static List<IPEndPoint> Listening(RedisProcess server)
    {
        HashSet<string> sockets =
        [
            .. Directory.EnumerateFiles($"/proc/{server.ProcessId}/fd").Select(file => new FileInfo(file).LinkTarget ?? "")
                .Where(target => target.StartsWith("socket:[", StringComparison.Ordinal)).Select(target => target[8..^1]),
        ];
        List<IPEndPoint> addresses = [];
        foreach (string table in (string[])["tcp", "tcp6"])
        {
            foreach (string line in File.ReadLines($"/proc/{server.ProcessId}/net/{table}").Skip(1))
            {
                string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                const string Listens = "0A";
                if (fields[3] != Listens || !sockets.Contains(fields[9])) continue;
                string[] address = fields[1].Split(':');
                byte[] bytes = Convert.FromHexString(address[0]);
                for (int i = 0; i < bytes.Length; i += 4) bytes.AsSpan(i, 4).Reverse(); // words, in this machine's order
                addresses.Add(new(new IPAddress(bytes), int.Parse(address[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
            }
        }
        return addresses;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
