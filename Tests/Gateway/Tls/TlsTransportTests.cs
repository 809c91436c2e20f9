using System.Buffers;
using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>TLS between two pipes, without sockets: what arrives may be cut anywhere.</summary>
public sealed class TlsTransportTests
{
    private static readonly TestCertificates s_certificates = TestCertificates.Shared;

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task Bytes_come_back_as_they_went_wherever_records_are_cut(SslProtocols protocol)
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 5; round++)
        {
            await using Pair pair = await Pair.ConnectAsync(protocol);
            Task serving = EchoAsync(pair.Server);
            byte[] sent = new byte[random.Next(1, 400_000)], received = new byte[sent.Length];
            random.NextBytes(sent);
            int most = random.Next(2) == 0 ? 40 : 70_000;
            Task sending = Task.Run(async () =>
            {
                for (int at = 0, length; at < sent.Length; at += length)
                {
                    length = Math.Min(sent.Length - at, random.Next(1, 40_000));
                    await pair.Client.WriteAsync(sent.AsMemory(at, length));
                    await pair.PassOnAsync(random, most);
                }
            });
            await pair.Client.ReadExactlyAsync(received).AsTask().WaitAsync(Eventually.Deadline);
            await sending.WaitAsync(Eventually.Deadline);
            Assert.Equal(SHA256.HashData(sent), SHA256.HashData(received));
            // Not before all is read: whoever has said that it ends refuses what still comes.
            await pair.Client.ShutdownAsync();
            await pair.PassOnAsync(random, most);
            // It hears of the end by TLS, although the pipe stays open, and says the same.
            await serving.WaitAsync(Eventually.Deadline);
            Assert.Equal(0, await pair.Client.ReadAsync(received).AsTask().WaitAsync(Eventually.Deadline));
        }
    }

    [Fact]
    public async Task A_read_is_cancelled_at_any_byte_of_a_record_and_nothing_is_lost()
    {
        await using Pair pair = await Pair.ConnectAsync(SslProtocols.Tls13);
        byte[] message = TestSeed.Bytes(100);
        await pair.Client.WriteAsync(message);
        byte[] record = pair.TakeSent();
        ValueTask<ReadResult> reading = pair.Server.Input.ReadAsync();
        for (int i = 0; i < record.Length - 1; i++)
        {
            await pair.ToServer.WriteAsync(record.AsMemory(i, 1));
            pair.Server.Input.CancelPendingRead();
            ReadResult cancelled = await reading.AsTask().WaitAsync(Eventually.Deadline);
            Assert.True(cancelled.IsCanceled && cancelled.Buffer.IsEmpty);
            pair.Server.Input.AdvanceTo(cancelled.Buffer.End);
            reading = pair.Server.Input.ReadAsync();
        }
        await pair.ToServer.WriteAsync(record.AsMemory(record.Length - 1));
        ReadResult read = await reading.AsTask().WaitAsync(Eventually.Deadline);
        Assert.Equal(message, read.Buffer.ToArray());
    }

    [Fact]
    public async Task What_is_not_consumed_is_read_again_with_what_follows()
    {
        await using Pair pair = await Pair.ConnectAsync(SslProtocols.Tls13);
        Random random = TestSeed.Random();
        byte[] sent = TestSeed.Bytes(300_000);
        Task sending = Task.Run(async () =>
        {
            for (int at = 0; at < sent.Length; at += 1000)
            {
                await pair.Client.WriteAsync(sent.AsMemory(at, 1000));
                await pair.PassOnAsync(random, 5000);
            }
        });
        while (true)
        {
            ReadResult read = await pair.Server.Input.ReadAsync().AsTask().WaitAsync(Eventually.Deadline);
            if (read.Buffer.Length == sent.Length)
            {
                Assert.Equal(sent, read.Buffer.ToArray());
                break;
            }
            pair.Server.Input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
        await sending;
    }

    [Fact]
    public async Task What_is_no_record_ends_the_connection_with_an_error()
    {
        await using Pair pair = await Pair.ConnectAsync(SslProtocols.Tls13);
        await pair.Client.WriteAsync("PING\r\n"u8.ToArray());
        byte[] record = pair.TakeSent();
        record[^1] ^= 1;
        await pair.ToServer.WriteAsync(record);
        await Assert.ThrowsAsync<IOException>(() => pair.Server.Input.ReadAsync().AsTask().WaitAsync(Eventually.Deadline));
    }

    [Fact]
    public async Task After_use_every_buffer_can_be_used_again_even_if_half_a_record_has_come()
    {
        await using Pair pair = await Pair.ConnectAsync(SslProtocols.Tls12);
        await pair.Client.WriteAsync(TestSeed.Bytes(1000));
        byte[] record = pair.TakeSent();
        ValueTask<ReadResult> reading = pair.Server.Input.ReadAsync();
        await pair.ToServer.WriteAsync(record.AsMemory(0, record.Length / 2));
        await pair.ToServer.CompleteAsync();
        await Assert.ThrowsAsync<IOException>(() => reading.AsTask().WaitAsync(Eventually.Deadline));
        await pair.Server.Input.CompleteAsync();
        await pair.Server.Output.CompleteAsync();
    }

    private static async Task EchoAsync(TlsTransport server)
    {
        while (true)
        {
            ReadResult read = await server.Input.ReadAsync();
            foreach (ReadOnlyMemory<byte> bytes in read.Buffer) await server.Output.WriteAsync(bytes);
            server.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) break;
        }
        await server.Input.CompleteAsync();
        await server.Output.CompleteAsync();
    }

    /// <summary>A server's transport and a client's stream, which have shaken hands.</summary>
    private sealed class Pair : IAsyncDisposable
    {
        private readonly Pipe _fromClient = new(new(pauseWriterThreshold: 0)), _toServer = new(new(pauseWriterThreshold: 0)), _toClient = new();
        private readonly SemaphoreSlim _turns = new(1);

        private Pair()
        {
            Client = new(new BothWays(_toClient.Reader.AsStream(), _fromClient.Writer.AsStream()));
            Server = new(new Duplex(_toServer.Reader, _toClient.Writer), _turns, NullLogger.Instance);
        }

        public SslStream Client { get; }

        public TlsTransport Server { get; }

        public PipeWriter ToServer => _toServer.Writer;

        public static async Task<Pair> ConnectAsync(SslProtocols protocol)
        {
            var pair = new Pair();
            SslServerAuthenticationOptions options = new()
            {
                ServerCertificateContext = TlsFiles.LoadCertificate(s_certificates.At("server.crt"), s_certificates.At("server.key"), ""),
                EnabledSslProtocols = protocol,
            };
            Task serving = pair.Server.AuthenticateAsync(options, CancellationToken.None);
            Task connecting = pair.Client.AuthenticateAsClientAsync(s_certificates.Client());
            await Eventually.TrueAsync(async () =>
            {
                await pair.PassOnAsync(TestSeed.Random(), 100_000);
                return serving.IsCompleted && connecting.IsCompleted;
            });
            await Task.WhenAll(serving, connecting);
            return pair;
        }

        /// <summary>What the client has sent and nobody has passed on.</summary>
        public byte[] TakeSent()
        {
            if (!_fromClient.Reader.TryRead(out ReadResult read)) return [];
            byte[] bytes = read.Buffer.ToArray();
            _fromClient.Reader.AdvanceTo(read.Buffer.End);
            return bytes;
        }

        /// <summary>Passes on what the client has sent, in pieces of random length.</summary>
        public async Task PassOnAsync(Random random, int most)
        {
            byte[] bytes = TakeSent();
            for (int at = 0, length; at < bytes.Length; at += length)
            {
                length = Math.Min(bytes.Length - at, random.Next(1, most));
                await ToServer.WriteAsync(bytes.AsMemory(at, length));
                if (random.Next(3) == 0) await Task.Yield();
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _toClient.Writer.CompleteAsync();
            await Client.DisposeAsync();
            await Server.Stream.DisposeAsync();
            _turns.Dispose();
        }
    }

    private sealed class Duplex(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input => input;

        public PipeWriter Output => output;
    }

    /// <summary>One stream to read from and one to write to.</summary>
    private sealed class BothWays(Stream from, Stream to) : Stream
    {
        public override bool CanRead => true;

        public override bool CanWrite => true;

        public override bool CanSeek => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush() => to.Flush();

        public override Task FlushAsync(CancellationToken cancellationToken) => to.FlushAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => from.Read(buffer, offset, count);

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            from.ReadAsync(buffer, cancellationToken);

        public override void Write(byte[] buffer, int offset, int count) => to.Write(buffer, offset, count);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            to.WriteAsync(buffer, cancellationToken);

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
