using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>TLS as its clients and its operator see it.</summary>
public sealed class TlsTests
{
    private static readonly TestCertificates s_certificates = TestCertificates.Shared;

    [Fact]
    public async Task Commands_run_over_tls_and_there_need_be_no_other_port()
    {
        await using Listening server = await StartAsync("--port", "0");
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("+OK", (await redis.LineAsync("SET greeting hello")).ToString());
        byte[] large = TestSeed.Bytes(5_000_000);
        Assert.Equal("+OK", (await redis.CallAsync("SET", "large", large)).ToString());
        Assert.Equal(large, (await redis.CallAsync("GET", "large")).Bytes);
        RespArgument[][] many = [.. Enumerable.Range(0, 20_000).Select(i => (RespArgument[])["INCRBY", "sum", i])];
        Assert.Equal((19_999L * 20_000 / 2).ToString(), (await redis.PipelineAsync(many))[^1].Text);
        Assert.Equal(server.Port, await redis.InfoAsync("tcp_port"));
        // Which redis-server tells since 7.2.
        if (server.Process.Kind == ServerKind.OrleansRedis)
            Assert.Contains($"name=tls,bind=*,bind=-::*,port={server.Port}\r\n", (await redis.LineAsync("INFO server")).Text);
        Assert.Contains($" laddr=127.0.0.1:{server.Port} ", (await redis.LineAsync("CLIENT INFO")).Text);
        await redis.SendAsync("QUIT");
        Assert.Equal("+OK\r\n"u8.ToArray(), await redis.ReadToEndAsync());
    }

    [Theory]
    [InlineData("yes", null, false)]
    [InlineData("yes", "client", true)]
    [InlineData("yes", "stranger", false)]
    [InlineData("optional", null, true)]
    [InlineData("optional", "client", true)]
    [InlineData("optional", "stranger", false)]
    [InlineData("no", null, true)]
    [InlineData("no", "stranger", true)]
    public async Task Clients_are_asked_for_a_certificate_as_configured(string directive, string? certificate, bool isLetIn)
    {
        await using Listening server = await StartAsync("--tls-auth-clients", directive);
        Assert.Equal(isLetIn, await IsServedAsync(server, s_certificates.Client(certificate)));
        if (!isLetIn) await server.Process.WaitForLogAsync("Error accepting a client connection: ");
    }

    [Fact]
    public async Task What_clients_must_show_can_be_changed_and_what_is_there_stays()
    {
        // redis-server lets in who resumes an earlier session, whatever it asks for now.
        await using Listening server = await StartOursAsync();
        await using RespConnection first = await server.ConnectAsync();
        Assert.Equal("+OK", (await first.LineAsync("CONFIG SET tls-auth-clients yes")).ToString());
        Assert.False(await IsServedAsync(server, s_certificates.Client()));
        Assert.True(await IsServedAsync(server, s_certificates.Client("client")));
        Assert.Equal("+OK", (await first.CallAsync("CONFIG", "SET", "tls-ca-cert-file", s_certificates.At("stranger-ca.crt"))).ToString());
        Assert.False(await IsServedAsync(server, s_certificates.Client("client")));
        Assert.True(await IsServedAsync(server, s_certificates.Client("stranger")));
        Assert.Equal("+PONG", (await first.LineAsync("PING")).ToString());
    }

    [Fact]
    public async Task Authorities_may_be_the_files_of_a_directory()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("orleansredis-test-");
        try
        {
            File.Copy(s_certificates.At("stranger-ca.crt"), Path.Combine(directory.FullName, "1.pem"));
            File.Copy(s_certificates.At("ca.crt"), Path.Combine(directory.FullName, "2.pem"));
            File.WriteAllText(Path.Combine(directory.FullName, "README"), "These are authorities.");
            await using Listening server = await StartOursAsync("--tls-ca-cert-file", "", "--tls-ca-cert-dir", directory.FullName, "--tls-auth-clients", "yes");
            Assert.True(await IsServedAsync(server, s_certificates.Client("client")));
            Assert.True(await IsServedAsync(server, s_certificates.Client("stranger")));
            Assert.False(await IsServedAsync(server, s_certificates.Client()));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task New_connections_get_the_new_certificate_and_a_broken_one_is_refused()
    {
        await using Listening server = await StartAsync();
        await using RespConnection first = await server.ConnectAsync();
        string before = Thumbprint(first);
        RespValue set = await first.CallAsync(
            "CONFIG", "SET", "tls-cert-file", s_certificates.At("other-server.crt"), "tls-key-file", s_certificates.At("other-server.key"));
        Assert.Equal("+OK", set.ToString());
        await using RespConnection second = await server.ConnectAsync();
        Assert.Equal(s_certificates.Load("other-server").Thumbprint, Thumbprint(second));
        Assert.NotEqual(before, Thumbprint(second));
        Assert.Equal("+PONG", (await first.LineAsync("PING")).ToString());

        // A key of another certificate; a file that is none; one that is not there.
        foreach (string key in (string[])["client.key", "ca.crt", "nothing"])
        {
            RespValue refused = await second.CallAsync("CONFIG", "SET", "tls-key-file", s_certificates.At(key));
            Assert.Equal(
                "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - Unable to update TLS configuration. Check server logs.",
                refused.ToString());
            await using RespConnection third = await server.ConnectAsync();
            Assert.Equal(Thumbprint(second), Thumbprint(third));
        }
        Assert.Equal(s_certificates.At("other-server.key"), (await second.LineAsync("CONFIG GET tls-key-file"))[1].Text);
        await server.Process.WaitForLogAsync("Failed to load private key: ");
    }

    [Fact]
    public async Task The_same_files_are_read_again_when_they_are_set_again()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("orleansredis-test-");
        try
        {
            string certificate = Path.Combine(directory.FullName, "c"), key = Path.Combine(directory.FullName, "k");
            await using Listening server = await StartAsync("--tls-cert-file", Put("server.crt", certificate), "--tls-key-file", Put("server.key", key));
            await using RespConnection first = await server.ConnectAsync();
            Put("other-server.crt", certificate);
            Put("other-server.key", key);
            Assert.Equal("+OK", (await first.CallAsync("CONFIG", "SET", "tls-cert-file", certificate)).ToString());
            await using RespConnection second = await server.ConnectAsync();
            Assert.Equal(s_certificates.Load("other-server").Thumbprint, Thumbprint(second));
            // Half a renewal: what is in force stays, although the old files are gone.
            Put("server.crt", certificate);
            Assert.StartsWith("-ERR CONFIG SET failed", (await first.CallAsync("CONFIG", "SET", "tls-cert-file", certificate)).ToString());
            await using RespConnection third = await server.ConnectAsync();
            Assert.Equal(Thumbprint(second), Thumbprint(third));
        }
        finally
        {
            directory.Delete(recursive: true);
        }

        static string Put(string name, string path)
        {
            File.Copy(s_certificates.At(name), path, overwrite: true);
            return path;
        }
    }

    [Fact]
    public async Task A_chain_is_sent_with_the_certificate()
    {
        string certificate = s_certificates.At("chained.crt"), key = s_certificates.At("chained.key");
        await using Listening server = await StartAsync("--tls-cert-file", certificate, "--tls-key-file", key);
        Assert.True(await IsServedAsync(server, s_certificates.Client()));
    }

    [Theory]
    [InlineData("tls-cert-file", "", "No tls-cert-file configured!")]
    [InlineData("tls-key-file", "", "No tls-key-file configured!")]
    [InlineData("tls-ca-cert-file", "", "Either tls-ca-cert-file or tls-ca-cert-dir must be specified")]
    [InlineData("tls-cert-file", "/nonexistent", "Failed to load certificate: /nonexistent: ")]
    [InlineData("tls-key-file", "/nonexistent", "Failed to load private key: /nonexistent: ")]
    [InlineData("tls-ca-cert-file", "/nonexistent", "Failed to configure CA certificate(s) file/directory: ")]
    [InlineData("tls-protocols", "TLSv1.2 SSLv3", "Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.")]
    [InlineData("tls-ciphers", "NO-SUCH-CIPHER", "Failed to configure ciphers: NO-SUCH-CIPHER")]
    [InlineData("tls-ciphersuites", "NO_SUCH_SUITE", "Failed to configure ciphersuites: NO_SUCH_SUITE")]
    public async Task What_is_not_in_order_ends_the_start_and_says_why(string directive, string value, string reason)
    {
        string[] directives = ["--tls-port", RedisProcess.FreePort().ToString(), .. s_certificates.Directives, $"--{directive}", value];
        (int exitCode, string output) = await RedisProcess.RunToExitAsync(directives);
        Assert.Equal(1, exitCode);
        Assert.Contains(reason, output);
        Assert.Contains("Failed to configure TLS. Check logs for more info.", output);
    }

    [Fact]
    public async Task An_encrypted_key_needs_its_passphrase()
    {
        await using Listening server = await StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        string key = s_certificates.At("encrypted.key");
        Assert.StartsWith("-ERR CONFIG SET failed", (await redis.CallAsync("CONFIG", "SET", "tls-key-file", key)).ToString());
        Assert.StartsWith("-ERR CONFIG SET failed", (await redis.CallAsync("CONFIG", "SET", "tls-key-file", key, "tls-key-file-pass", "wrong")).ToString());
        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "tls-key-file", key, "tls-key-file-pass", "sesame")).ToString());
        Assert.True(await IsServedAsync(server, s_certificates.Client()));
    }

    [Fact]
    public async Task Protocols_and_ciphers_are_those_that_are_allowed()
    {
        await using Listening server = await StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        SslClientAuthenticationOptions old = s_certificates.Client(null, options => options.EnabledSslProtocols = SslProtocols.Tls12),
            latest = s_certificates.Client(null, options => options.EnabledSslProtocols = SslProtocols.Tls13);
        Assert.True(await IsServedAsync(server, old));
        Assert.True(await IsServedAsync(server, latest));

        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "tls-protocols", "tlsv1.3")).ToString());
        Assert.False(await IsServedAsync(server, old));
        Assert.True(await IsServedAsync(server, latest));
        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256")).ToString());
        Assert.Equal(TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256, await SuiteAsync(server, latest));

        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "tls-protocols", "TLSv1.2 TLSv1.3", "tls-ciphers", "ECDHE:!AES256:!CHACHA20")).ToString());
        Assert.Equal(TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, await SuiteAsync(server, old));
        foreach (string directive in (string[])["tls-protocols", "tls-ciphers", "tls-ciphersuites"])
        {
            RespValue refused = await redis.CallAsync("CONFIG", "SET", directive, "nonsense");
            Assert.EndsWith("Unable to update TLS configuration. Check server logs.", refused.ToString());
            Assert.Equal(TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, await SuiteAsync(server, old));
        }
    }

    [Fact]
    public async Task A_client_is_the_user_whom_its_certificate_names()
    {
        await using Listening server = await StartOursAsync("--user", "default", "off", "--user", "client", "on", ">secret", "+@all", "~*");
        await using RespConnection stays = await RespConnection.ConnectTlsAsync(server.Port, s_certificates.Client("client"), server.Process);
        Assert.StartsWith("-NOAUTH", (await stays.LineAsync("ACL WHOAMI")).ToString());
        Assert.Equal("+OK", (await stays.LineAsync("AUTH client secret")).ToString());
        Assert.Equal("+OK", (await stays.LineAsync("CONFIG SET tls-auth-clients-user cn")).ToString());
        Assert.Equal("CN", (await stays.LineAsync("CONFIG GET tls-auth-clients-user"))[1].Text);

        await using RespConnection named = await RespConnection.ConnectTlsAsync(server.Port, s_certificates.Client("client"), server.Process);
        Assert.Equal("client", (await named.LineAsync("ACL WHOAMI")).Text);
        // Without a certificate, with a name that nobody has, and when the user is off: as before.
        await using RespConnection nameless = await server.ConnectAsync();
        Assert.StartsWith("-NOAUTH", (await nameless.LineAsync("ACL WHOAMI")).ToString());
        await using RespConnection unknown = await RespConnection.ConnectTlsAsync(server.Port, s_certificates.Client("other-server"), server.Process);
        Assert.StartsWith("-NOAUTH", (await unknown.LineAsync("ACL WHOAMI")).ToString());
        Assert.Equal("+OK", (await named.LineAsync("ACL SETUSER client off")).ToString());
        await using RespConnection off = await RespConnection.ConnectTlsAsync(server.Port, s_certificates.Client("client"), server.Process);
        Assert.StartsWith("-NOAUTH", (await off.LineAsync("ACL WHOAMI")).ToString());
    }

    [Fact]
    public async Task Ports_can_be_opened_closed_and_exchanged()
    {
        await using RedisProcess process = await RedisProcess.StartAsync(s_certificates.Directives);
        await using RespConnection redis = await process.ConnectUnixAsync();
        int port = RedisProcess.FreePort();
        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "tls-port", port)).ToString());
        Assert.True(await IsServedAsync(new(process, port), s_certificates.Client()));
        Assert.Equal("+OK", (await redis.LineAsync("CONFIG SET tls-port 0")).ToString());
        await Assert.ThrowsAnyAsync<SocketException>(() => RespConnection.ConnectTlsAsync(port, s_certificates.Client()));
        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "port", port)).ToString());
        await using (RespConnection plain = await RespConnection.ConnectAsync("127.0.0.1", port)) await plain.LineAsync("PING");
        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "port", 0)).ToString());
        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "tls-port", port)).ToString());
        Assert.True(await IsServedAsync(new(process, port), s_certificates.Client()));
    }

    [Fact]
    public async Task A_port_without_certificates_is_refused()
    {
        await using RedisProcess process = await RedisProcess.StartAsync();
        await using RespConnection redis = await process.ConnectAsync();
        Assert.Equal("-ERR CONFIG SET failed (possibly related to argument 'tls-port') - Unable to update TLS configuration. Check server logs.",
            (await redis.CallAsync("CONFIG", "SET", "tls-port", RedisProcess.FreePort())).ToString());
        Assert.Equal("0", (await redis.LineAsync("CONFIG GET tls-port"))[1].Text);
    }

    [Fact]
    public async Task Bytes_that_are_no_tls_end_their_connection_alone()
    {
        await using Listening server = await StartAsync();
        await using RespConnection good = await server.ConnectAsync();
        byte[][] hostile = [.. Enumerable.Range(0, 40).Select(i => TestSeed.Bytes(1 + i * 37)), "PING\r\n"u8.ToArray(), "GET / HTTP/1.1\r\n\r\n"u8.ToArray()];
        foreach (byte[] bytes in hostile)
        {
            await using RespConnection bad = await RespConnection.ConnectAsync("127.0.0.1", server.Port, server.Process);
            // What looks like the beginning of a record: the rest never comes.
            await bad.SendRawAsync(bytes);
            bad.Socket.Shutdown(SocketShutdown.Send);
            await bad.ReadToEndAsync();
        }
        await server.Process.WaitForLogAsync("Error accepting a client connection: ");

        // After the handshake, too: the bytes go past the client's own encryption.
        await using RespConnection turned = await server.ConnectAsync();
        Assert.Equal("+PONG", (await turned.LineAsync("PING")).ToString());
        await turned.Socket.SendAsync(TestSeed.Bytes(1000));
        turned.Socket.Shutdown(SocketShutdown.Send);
        await Assert.ThrowsAnyAsync<Exception>(async () => await turned.LineAsync("PING"));
        Assert.Equal("+PONG", (await good.LineAsync("PING")).ToString());
        Assert.DoesNotContain(server.Process.Log, line => line.Contains("unexpected error", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_client_that_wants_another_handshake_is_closed()
    {
        await using Listening server = await StartAsync();
        await using ClientProgram client = ClientProgram.Start(
            "openssl", "s_client", "-connect", $"127.0.0.1:{server.Port}", "-tls1_2", "-CAfile", s_certificates.At("ca.crt"));
        await client.WriteAsync("PING\n");
        await client.ExpectAsync("+PONG");
        await client.WriteAsync("R\n");
        await client.ExpectAsync("RENEGOTIATING");
        await client.WaitForExitAsync();
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("+PONG", (await redis.LineAsync("PING")).ToString());
        Assert.DoesNotContain(server.Process.Log, line => line.Contains("unexpected error", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Silent_clients_lose_their_place_and_hold_up_nobody()
    {
        await using Listening server = await StartOursAsync("--maxclients", "20", "--orleans-tls-handshake-timeout", "2");
        List<Socket> silent = [];
        for (int i = 0; i < 19; i++)
        {
            silent.Add(new(SocketType.Stream, ProtocolType.Tcp));
            await silent[i].ConnectAsync(IPAddress.Loopback, server.Port);
            if (i % 2 == 0) await silent[i].SendAsync(new byte[] { 22, 3, 1, 1, 0, 1 }); // a ClientHello, hardly begun
        }
        Assert.True(await IsServedAsync(server, s_certificates.Client()));
        foreach (Socket socket in silent)
        {
            Assert.Equal(0, await socket.ReceiveAsync(new byte[1]).WaitAsync(Eventually.Deadline));
            socket.Dispose();
        }
        await server.Process.WaitForLogAsync("Error accepting a client connection: handshake timeout (addr=127.0.0.1:");
    }

    [Fact]
    public async Task One_more_than_maxclients_is_closed_before_the_handshake()
    {
        await using Listening server = await StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("+OK", (await redis.LineAsync("CONFIG SET maxclients 1")).ToString());
        using Socket second = new(SocketType.Stream, ProtocolType.Tcp);
        await second.ConnectAsync(IPAddress.Loopback, server.Port);
        Assert.Equal(0, await second.ReceiveAsync(new byte[1]).WaitAsync(Eventually.Deadline));
        await Eventually.TrueAsync(async () => await redis.InfoAsync("rejected_connections") == 1);
    }

    [Fact]
    public async Task Clients_that_wait_are_woken_killed_and_found_gone_as_without_tls()
    {
        await using Listening server = await StartAsync();
        await using RespConnection redis = await server.ConnectAsync(), waiting = await server.ConnectAsync(), gone = await server.ConnectAsync();
        long id = (await waiting.LineAsync("CLIENT ID")).Integer;
        await waiting.SendAsync("BLPOP", "list", 0);
        await gone.SendAsync("BLPOP", "list", 0);
        await Eventually.TrueAsync(async () => await redis.InfoAsync("blocked_clients") == 2);
        await gone.DisposeAsync();
        await Eventually.TrueAsync(async () => await redis.InfoAsync("blocked_clients") == 1);
        Assert.Equal(1, (await redis.LineAsync("RPUSH list element")).Integer);
        Assert.Equal("element", (await waiting.ReadAsync())[1].Text);
        await waiting.SendAsync("BLPOP", "list", 0);
        await Eventually.TrueAsync(async () => await redis.InfoAsync("blocked_clients") == 1);
        Assert.Equal(1, (await redis.CallAsync("CLIENT", "KILL", "ID", id)).Integer);
        Assert.True(await waiting.IsClosedByServerAsync());
    }

    [Fact]
    public async Task Messages_reach_subscribers_that_wait_in_order_and_between_replies()
    {
        await using Listening server = await StartAsync();
        await using RespConnection publisher = await server.ConnectAsync(), subscriber = await server.ConnectAsync();
        await subscriber.HelloAsync();
        await subscriber.SendAsync("SUBSCRIBE", "news");
        Assert.Equal("subscribe", (await subscriber.ReadPushAsync())[0].Text);
        for (int round = 0; round < 50; round++)
        {
            // One at a time, each of which wakes it; and many at once, while it asks for something itself.
            Assert.Equal(1, (await publisher.CallAsync("PUBLISH", "news", round)).Integer);
            Assert.Equal(round.ToString(), (await subscriber.ReadPushAsync())[2].Text);
            RespArgument[][] many = [.. Enumerable.Range(0, 20).Select(i => (RespArgument[])["PUBLISH", "news", i])];
            Task<RespValue[]> publishing = publisher.PipelineAsync(many);
            Assert.Equal("+PONG", (await subscriber.LineAsync("PING")).ToString());
            for (int i = 0; i < many.Length; i++) Assert.Equal(i.ToString(), (await subscriber.ReadPushAsync())[2].Text);
            await publishing;
        }
    }

    [Theory]
    [InlineData("everysec")]
    [InlineData("always")]
    public async Task Replies_that_wait_for_the_log_arrive(string fsync)
    {
        await using Listening server = await StartAsync("--appendonly", "yes", "--appendfsync", fsync);
        await using RespConnection one = await server.ConnectAsync(), other = await server.ConnectAsync();
        for (int i = 0; i < 100; i++)
        {
            await one.SendAsync("APPEND", "text", new string('x', i * 100));
            await other.SendAsync("STRLEN", "text");
            Assert.Equal(i * (i + 1) * 50, (await one.ReadAsync()).Integer);
            Assert.Equal(RespKind.Integer, (await other.ReadAsync()).Kind);
        }
        RespArgument[][] many = [.. Enumerable.Range(0, 5000).Select(i => (RespArgument[])["GETRANGE", "text", 0, 99]), ["APPEND", "text", "!"]];
        Assert.Equal(495_001, (await one.PipelineAsync(many))[^1].Integer);
    }

    [Fact]
    public async Task A_client_that_does_not_read_stops_nobody_and_gets_everything_later()
    {
        await using Listening server = await StartAsync();
        await using RespConnection slow = await server.ConnectAsync(), redis = await server.ConnectAsync();
        byte[] value = TestSeed.Bytes(100_000);
        await redis.CallAsync("SET", "value", value);
        for (int i = 0; i < 300; i++) await slow.SendAsync("GET", "value");
        Assert.Equal("+PONG", (await redis.LineAsync("PING")).ToString());
        for (int i = 0; i < 300; i++) Assert.Equal(value, (await slow.ReadAsync()).Bytes);
    }

    private static string Thumbprint(RespConnection connection) => ((X509Certificate2)connection.Tls.RemoteCertificate!).Thumbprint;

    private static async Task<TlsCipherSuite> SuiteAsync(Listening server, SslClientAuthenticationOptions options)
    {
        await using RespConnection redis = await RespConnection.ConnectTlsAsync(server.Port, options, server.Process);
        return redis.Tls.NegotiatedCipherSuite;
    }

    /// <summary>
    /// Whether a client gets an answer. With TLS 1.3 it has finished the handshake before the server looks at its certificate.
    /// </summary>
    private static async Task<bool> IsServedAsync(Listening server, SslClientAuthenticationOptions options)
    {
        try
        {
            await using RespConnection redis = await RespConnection.ConnectTlsAsync(server.Port, options, server.Process);
            return (await redis.LineAsync("PING")).ToString() == "+PONG";
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            return false;
        }
    }

    private static async Task<Listening> StartAsync(params string[] directives) => await StartAsync(ServerKind.UnderTest, directives);

    private static async Task<Listening> StartOursAsync(params string[] directives) => await StartAsync(ServerKind.OrleansRedis, directives);

    private static async Task<Listening> StartAsync(ServerKind kind, string[] directives)
    {
        int port = RedisProcess.FreePort();
        return new(await RedisProcess.StartAsync(kind, ["--tls-port", port.ToString(), .. s_certificates.Directives, .. directives]), port);
    }

    /// <summary>A server and its port for TLS.</summary>
    private sealed record Listening(RedisProcess Process, int Port) : IAsyncDisposable
    {
        public Task<RespConnection> ConnectAsync() => RespConnection.ConnectTlsAsync(Port, s_certificates.Client(), Process);

        public ValueTask DisposeAsync() => Process.DisposeAsync();
    }
}
