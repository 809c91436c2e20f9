using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Connections;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// Connections on event loops: what a pipe's reader and writer promise, and what the peer may do to them.
/// </summary>
public class EpollTransportTests
{
    private static readonly TimeSpan s_patience = Eventually.Deadline;

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Bytes_come_back_as_they_went_however_slowly_the_client_reads(bool unix)
    {
        OnLinux();
        await using TransportServer server = TransportServer.Start(EchoAsync, unix);
        using Socket client = await server.ConnectAsync();
        byte[] sent = TestSeed.Bytes(24 * 1024 * 1024 + 17), received = new byte[sent.Length];
        Task sending = SendAllAsync(client, sent);
        for (int at = 0, turn = 0; at < received.Length; turn++)
        {
            // A real delay, to be a slow client: now and then both directions are stuck.
            if (turn % 100 == 0) await Task.Delay(1);
            at += await ReceiveAsync(client, received.AsMemory(at, Math.Min(received.Length - at, 1 + (turn * 7919 % 100_000))));
        }
        await sending.WaitAsync(s_patience);
        Assert.Equal(SHA256.HashData(sent), SHA256.HashData(received));
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task After_the_client_closed_its_side_it_still_gets_its_reply(bool unix)
    {
        OnLinux();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            int count = 0;
            while (true)
            {
                ReadResult read = await connection.Input.ReadAsync();
                count += (int)read.Buffer.Length;
                connection.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) break;
            }
            await connection.Output.WriteAsync(new byte[] { (byte)count });
        }, unix);
        using Socket client = await server.ConnectAsync();
        await client.SendAsync(new byte[123]);
        client.Shutdown(SocketShutdown.Send);
        byte[] reply = new byte[2];
        Assert.Equal(1, await ReceiveAsync(client, reply));
        Assert.Equal(123, reply[0]);
        Assert.Equal(0, await ReceiveAsync(client, reply));
    }

    [SkippableFact]
    public async Task What_is_not_consumed_is_read_again_with_what_follows()
    {
        OnLinux();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            // Frames of 200,000 bytes, longer than the buffer at first. Each is answered with the sum of its bytes.
            while (true)
            {
                ReadResult read = await connection.Input.ReadAsync();
                ReadOnlySequence<byte> bytes = read.Buffer;
                if (bytes.Length < 200_000)
                {
                    connection.Input.AdvanceTo(bytes.Start, bytes.End);
                    if (read.IsCompleted) return;
                    continue;
                }
                long sum = 0;
                foreach (byte b in bytes.Slice(0, 200_000).ToArray()) sum += b;
                // The rest is read at once, without waiting for more to arrive.
                connection.Input.AdvanceTo(bytes.GetPosition(200_000));
                await connection.Output.WriteAsync(BitConverter.GetBytes(sum));
            }
        });
        using Socket client = await server.ConnectAsync();
        byte[] frames = TestSeed.Bytes(600_000);
        foreach (byte[] part in frames.Chunk(33_333)) await SendAllAsync(client, part);
        byte[] sums = new byte[24];
        await ReceiveAllAsync(client, sums);
        for (int i = 0; i < 3; i++) Assert.Equal(frames.Skip(i * 200_000).Take(200_000).Sum(b => (long)b), BitConverter.ToInt64(sums, i * 8));
    }

    [SkippableFact]
    public async Task Bytes_not_examined_are_given_again_at_once()
    {
        OnLinux();
        var seen = new TaskCompletionSource<string>();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            ReadResult read = await connection.Input.ReadAtLeastAsync(4);
            connection.Input.AdvanceTo(read.Buffer.GetPosition(1));
            Assert.True(connection.Input.TryRead(out read));
            string text = System.Text.Encoding.ASCII.GetString(read.Buffer.ToArray());
            connection.Input.AdvanceTo(read.Buffer.End);
            Assert.False(connection.Input.TryRead(out _));
            seen.SetResult(text);
        });
        using Socket client = await server.ConnectAsync();
        await client.SendAsync("abcd"u8.ToArray());
        Assert.Equal("bcd", await seen.Task.WaitAsync(s_patience));
    }

    [SkippableFact]
    public async Task A_cancelled_read_loses_nothing_and_the_next_goes_on()
    {
        OnLinux();
        EpollConnection? served = null;
        long canceled = 0;
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            served = connection;
            while (true)
            {
                ReadResult read = await connection.Input.ReadAsync();
                if (read.IsCanceled) canceled++;
                // Half of the time the code continues on another thread, so that reads begin both on the loop and off
                // it.
                if (canceled % 2 == 0) await Task.Yield();
                if (!read.Buffer.IsEmpty) await connection.Output.WriteAsync(read.Buffer.ToArray());
                connection.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        });
        using Socket client = await server.ConnectAsync();
        byte[] number = new byte[4];
        using var stop = new CancellationTokenSource();
        Task[] cancellers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                served?.Input.CancelPendingRead();
                await Task.Yield();
            }
        }))];
        for (int i = 0; i < 3000; i++)
        {
            await client.SendAsync(BitConverter.GetBytes(i));
            await ReceiveAllAsync(client, number);
            Assert.Equal(i, BitConverter.ToInt32(number));
        }
        await stop.CancelAsync();
        await Task.WhenAll(cancellers).WaitAsync(s_patience);
        Assert.True(canceled > 0);
    }

    [SkippableFact]
    public async Task A_read_ends_when_its_token_is_cancelled_and_the_connection_goes_on()
    {
        OnLinux();
        var canceled = new TaskCompletionSource();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            using var cancellation = new CancellationTokenSource();
            Task<ReadResult> reading = connection.Input.ReadAsync(cancellation.Token).AsTask();
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
            canceled.SetResult();
            await EchoAsync(connection);
        });
        using Socket client = await server.ConnectAsync();
        await canceled.Task.WaitAsync(s_patience);
        await client.SendAsync("ping"u8.ToArray());
        byte[] reply = new byte[4];
        await ReceiveAllAsync(client, reply);
        Assert.Equal("ping"u8.ToArray(), reply);
    }

    [SkippableTheory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public async Task A_client_that_goes_away_is_noticed_though_nobody_reads(bool unix, bool reset)
    {
        OnLinux();
        var began = new TaskCompletionSource();
        var noticed = new TaskCompletionSource();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            ReadResult read = await connection.Input.ReadAsync();
            connection.Input.AdvanceTo(read.Buffer.End);
            using CancellationTokenRegistration registration = connection.ConnectionClosed.Register(noticed.SetResult);
            began.SetResult();
            await noticed.Task; // as a blocking command does
        }, unix);
        Socket client = await server.ConnectAsync();
        await client.SendAsync(new byte[1]);
        await began.Task.WaitAsync(s_patience);
        Assert.False(noticed.Task.IsCompleted);
        if (reset) client.LingerState = new(true, 0);
        client.Dispose();
        await noticed.Task.WaitAsync(s_patience);
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_end_that_came_with_the_request_is_noticed_by_a_command_that_waits(bool unix)
    {
        OnLinux();
        var left = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var noticed = new TaskCompletionSource();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            await left.Task; // both have arrived before anything is read
            ReadResult read = await connection.Input.ReadAsync();
            connection.Input.AdvanceTo(read.Buffer.End);
            using CancellationTokenRegistration registration = connection.ConnectionClosed.Register(noticed.SetResult);
            await noticed.Task;
        }, unix);
        Socket client = await server.ConnectAsync();
        await client.SendAsync(new byte[1]);
        client.Dispose();
        left.SetResult();
        await noticed.Task.WaitAsync(s_patience);
    }

    [SkippableFact]
    public async Task A_reset_ends_a_read_with_an_exception()
    {
        OnLinux();
        var reading = new TaskCompletionSource();
        var ended = new TaskCompletionSource<Exception?>();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            Task<ReadResult> pending = connection.Input.ReadAsync().AsTask();
            reading.SetResult();
            ended.SetResult(await Record.ExceptionAsync(() => pending));
        });
        Socket client = await server.ConnectAsync();
        await reading.Task.WaitAsync(s_patience);
        client.LingerState = new(true, 0);
        client.Dispose();
        Assert.IsType<ConnectionResetException>(await ended.Task.WaitAsync(s_patience));
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Abort_ends_a_flush_that_waits_for_a_client_which_does_not_read(bool unix)
    {
        OnLinux();
        EpollConnection? served = null;
        var flushing = new TaskCompletionSource();
        var flushed = new TaskCompletionSource<FlushResult>();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            Task<FlushResult> flush;
            do flush = connection.Output.WriteAsync(new byte[64 * 1024]).AsTask();
            while (flush.IsCompleted);
            served = connection;
            flushing.SetResult();
            flushed.SetResult(await flush);
            Assert.True((await connection.Output.WriteAsync(new byte[10])).IsCompleted);
            await Assert.ThrowsAsync<ConnectionAbortedException>(() => connection.Input.ReadAsync().AsTask());
        }, unix);
        using Socket client = await server.ConnectAsync();
        await flushing.Task.WaitAsync(s_patience);
        served!.Abort(new ConnectionAbortedException("by the test"));
        Assert.True((await flushed.Task.WaitAsync(s_patience)).IsCompleted);
    }

    [SkippableFact]
    public async Task The_peer_of_an_aborted_connection_knows_before_Abort_returns()
    {
        OnLinux();
        var served = new TaskCompletionSource<EpollConnection>();
        var release = new TaskCompletionSource();
        await using TransportServer server = TransportServer.Start(connection =>
        {
            served.SetResult(connection);
            return release.Task;
        });
        using Socket client = await server.ConnectAsync();
        (await served.Task.WaitAsync(s_patience)).Abort(new ConnectionAbortedException("by the test"));
        Assert.True(client.Poll(0, SelectMode.SelectRead)); // clients check this before they use a connection again
        release.SetResult();
    }

    [SkippableFact]
    public async Task A_flush_can_be_cancelled_and_what_was_left_goes_out_later()
    {
        OnLinux();
        byte[] sent = TestSeed.Bytes(16 * 1024 * 1024);
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            Task<FlushResult> flush = connection.Output.WriteAsync(sent).AsTask();
            connection.Output.CancelPendingFlush();
            Assert.True((await flush).IsCanceled);
            await connection.Output.CompleteAsync();
        });
        using Socket client = await server.ConnectAsync();
        byte[] received = new byte[sent.Length];
        await ReceiveAllAsync(client, received);
        Assert.Equal(SHA256.HashData(sent), SHA256.HashData(received));
    }

    [SkippableFact]
    public async Task Descriptors_used_anew_never_mix_connections_up()
    {
        OnLinux();
        int served = 0;
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            // Sometimes aborted from another thread, at the very moment that the code ends or the client leaves.
            if (TestSeed.Random(Interlocked.Increment(ref served)).Next(3) == 0)
                _ = Task.Run(() => connection.Abort(new ConnectionAbortedException("at random")));
            await EchoAsync(connection);
        }, threads: 2);
        Task[] clients = [.. Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            byte[] bytes = new byte[16], own = new byte[16];
            var random = TestSeed.Random(-worker);
            for (int i = 0; i < 150; i++)
            {
                using Socket client = await server.ConnectAsync();
                random.NextBytes(own);
                try
                {
                    for (int turn = 0; turn < 4; turn++)
                    {
                        await SendAllAsync(client, own);
                        if (turn == 2 && i % 3 == 0) break; // leaves while a reply is on its way
                        for (int at = 0, n; at < 16; at += n)
                        {
                            n = await ReceiveAsync(client, bytes.AsMemory(at));
                            if (n == 0) throw new SocketException((int)SocketError.ConnectionReset);
                        }
                        Assert.Equal(own, bytes);
                    }
                }
                catch (SocketException)
                {
                    // Aborted.
                }
                if (i % 4 == 0) client.LingerState = new(true, 0);
            }
        }))];
        await Task.WhenAll(clients).WaitAsync(Eventually.Deadline);
    }

    [SkippableFact]
    public async Task Who_still_sends_when_the_connection_ends_sends_to_nobody_else()
    {
        OnLinux();
        int number = 0;
        var senders = new System.Collections.Concurrent.ConcurrentQueue<Task>();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            byte own = (byte)Interlocked.Increment(ref number);
            senders.Enqueue(Task.Run(async () =>
            {
                byte[] bytes = new byte[1 + (own * 997)];
                bytes.AsSpan().Fill(own);
                while (!(await connection.Output.WriteAsync(bytes)).IsCompleted) await Task.Yield();
            }));
            ReadResult read = await connection.Input.ReadAsync();
            connection.Input.AdvanceTo(read.Buffer.End);
            await connection.Input.CompleteAsync();
            // As after an error: what is not sent yet is given up.
            await connection.Output.CompleteAsync(new OperationCanceledException());
        }, threads: 2);
        Task[] clients = [.. Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            byte[] bytes = new byte[100_000];
            for (int i = 0; i < 60; i++)
            {
                using Socket client = await server.ConnectAsync();
                Assert.NotEqual(0, await ReceiveAsync(client, bytes.AsMemory(0, 1)));
                byte own = bytes[0];
                await client.SendAsync(new byte[1]);
                try
                {
                    for (int length; (length = await ReceiveAsync(client, bytes)) != 0;) Assert.Equal(-1, bytes.AsSpan(0, length).IndexOfAnyExcept(own));
                }
                catch (SocketException)
                {
                    // Cut off.
                }
            }
        }))];
        await Task.WhenAll(clients).WaitAsync(Eventually.Deadline);
        await Task.WhenAll(senders).WaitAsync(s_patience);
    }

    [SkippableFact]
    public async Task What_comes_first_is_served_first_though_its_reader_was_cancelled_meanwhile()
    {
        OnLinux();
        const byte Wait = 0;
        using ManualResetEventSlim waits = new(), mayGoOn = new();
        ConcurrentQueue<byte> served = new();
        ConcurrentDictionary<byte, EpollConnection> connections = new();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            while (true)
            {
                ReadResult read = await connection.Input.ReadAsync();
                foreach (byte one in read.Buffer.ToArray())
                {
                    connections[one] = connection;
                    served.Enqueue(one);
                    if (one != Wait) continue;
                    waits.Set();
                    mayGoOn.Wait(s_patience); // on the loop's thread: nobody is served
                }
                connection.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
                if (!read.Buffer.IsEmpty) await connection.Output.WriteAsync(new byte[1]);
            }
        }, threads: 1);
        using Socket stopper = await server.ConnectAsync(), first = await server.ConnectAsync(), second = await server.ConnectAsync();
        byte[] reply = new byte[1];
        foreach ((Socket client, byte sent) in new[] { (first, (byte)1), (second, (byte)2) })
        {
            await client.SendAsync(new[] { sent });
            await ReceiveAllAsync(client, reply);
        }
        await stopper.SendAsync(new[] { Wait });
        Assert.True(waits.Wait(s_patience));
        connections[1].Input.CancelPendingRead();
        await first.SendAsync(new byte[] { 3 });
        await second.SendAsync(new byte[] { 4 });
        mayGoOn.Set();
        await ReceiveAllAsync(second, reply);
        await ReceiveAllAsync(first, reply);
        Assert.Equal(new byte[] { 1, 2, Wait, 3, 4 }, served);
    }

    [SkippableFact]
    public async Task What_is_read_is_served_by_the_loop_wherever_the_read_began()
    {
        OnLinux();
        var goesOnOnLoop = new TaskCompletionSource<bool>();
        using ManualResetEventSlim reads = new(), mayAwait = new();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            ValueTask<ReadResult> reading = connection.Input.ReadAsync();
            if (reads.IsSet)
            {
                connection.Input.AdvanceTo((await reading).Buffer.End);
                await connection.Output.WriteAsync(new byte[1]);
                return;
            }
            reads.Set();
            Assert.True(mayAwait.Wait(s_patience));
            connection.Input.AdvanceTo((await reading).Buffer.End);
            goesOnOnLoop.SetResult(connection.IsOnLoop);
        }, threads: 1);
        using Socket first = await server.ConnectAsync();
        Assert.True(reads.Wait(s_patience));
        await first.SendAsync(new byte[1]);
        using Socket second = await server.ConnectAsync();
        await second.SendAsync(new byte[1]);
        await ReceiveAllAsync(second, new byte[1]); // so the loop has seen what the first sent before
        mayAwait.Set();
        Assert.True(await goesOnOnLoop.Task.WaitAsync(s_patience));
    }

    [SkippableFact]
    public async Task Connections_handed_from_loop_to_loop_lose_nothing()
    {
        OnLinux();
        int handedOver = 0;
        TransportServer server = null!;
        server = TransportServer.Start(async connection =>
        {
            while (true)
            {
                ReadResult read = await connection.Input.ReadAsync();
                byte[] bytes = read.Buffer.ToArray();
                connection.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
                if (bytes.Length == 0) continue; // cancelled
                await connection.Output.WriteAsync(bytes);
                if (bytes[0] % 7 == 0) await Task.Yield(); // the next read begins on a pool thread
                // On a loop's thread it may hand over other connections, but not this one, which is running.
                foreach (EventLoop loop in server.Transport.Loops.ToArray())
                {
                    if (!loop.IsCurrent || bytes[0] % 5 != 0) continue;
                    EventLoop other = server.Transport.Loops[loop == server.Transport.Loops[0] ? 1 : 0];
                    loop.HandOver(other, 0.5f);
                    Interlocked.Increment(ref handedOver);
                }
                if (bytes[0] % 11 == 0) _ = Task.Run(connection.Input.CancelPendingRead);
            }
        }, threads: 2);
        await using (server)
        {
            Task[] clients = [.. Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
            {
                using Socket client = await server.ConnectAsync();
                byte[] sent = new byte[5000], received = new byte[5000];
                var random = TestSeed.Random(worker);
                for (int i = 0; i < 600; i++)
                {
                    int length = 1 + random.Next(i % 10 == 0 ? 5000 : 50);
                    random.NextBytes(sent.AsSpan(0, length));
                    await SendAllAsync(client, sent.AsMemory(0, length));
                    await ReceiveAllAsync(client, received.AsMemory(0, length));
                    Assert.True(sent.AsSpan(0, length).SequenceEqual(received.AsSpan(0, length)));
                }
            }))];
            await Task.WhenAll(clients).WaitAsync(Eventually.Deadline);
        }
        Assert.True(handedOver > 10, $"{handedOver}");
    }

    [SkippableFact]
    public async Task What_is_deferred_leaves_in_order_and_not_before_the_log_is_written()
    {
        OnLinux();
        var log = new PacedLog();
        await using TransportServer server = TransportServer.Start(async connection =>
        {
            while (true)
            {
                ReadResult read = await connection.Input.ReadAsync();
                // As many bytes as were asked for, and before them the position that the log must have reached.
                foreach (byte asked in read.Buffer.ToArray())
                {
                    long position = log.Append();
                    byte[] reply = new byte[9 + (asked * 500)];
                    BitConverter.TryWriteBytes(reply, position);
                    reply[8] = asked;
                    if (asked % 3 == 0) await Task.Yield();
                    if (connection.IsOnLoop) connection.Defer(log);
                    else await ((ICommittingLog)log).WhenCommitted();
                    await connection.Output.WriteAsync(reply);
                }
                connection.Input.AdvanceTo(read.Buffer.End);
                if (!read.IsCompleted) continue;
                await connection.Output.CompleteAsync(); // what is still held back leaves first
                return;
            }
        }, threads: 2);
        Task[] clients = [.. Enumerable.Range(0, 6).Select(worker => Task.Run(async () =>
        {
            var random = TestSeed.Random(worker);
            byte[] asked = new byte[20], reply = new byte[9 + (255 * 500)];
            for (int i = 0; i < 30; i++)
            {
                using Socket client = await server.ConnectAsync();
                random.NextBytes(asked);
                await SendAllAsync(client, asked);
                client.Shutdown(SocketShutdown.Send);
                long last = 0;
                foreach (byte bytes in asked)
                {
                    await ReceiveAllAsync(client, reply.AsMemory(0, 9));
                    long position = BitConverter.ToInt64(reply);
                    Assert.True(log.Committed >= position, "a reply has left too early");
                    Assert.True(position > last && reply[8] == bytes, "replies are out of order");
                    last = position;
                    await ReceiveAllAsync(client, reply.AsMemory(0, bytes * 500));
                }
                Assert.Equal(0, await ReceiveAsync(client, reply));
            }
        }))];
        await Task.WhenAll(clients).WaitAsync(Eventually.Deadline);
    }

    /// <summary>A log that is written now and then on the spot, and otherwise on another thread, later.</summary>
    private sealed class PacedLog : ICommittingLog
    {
        private long _appended;
        private long _committed;
        private int _turn;

        public bool RepliesWait => false;

        public long Appended => Volatile.Read(ref _appended);

        public long Committed => Volatile.Read(ref _committed);

        public string? WriteError => null;

        public long Append() => Interlocked.Increment(ref _appended);

        public bool TryCommit(long position)
        {
            if (Interlocked.Increment(ref _turn) % 3 != 0) return Committed >= position;
            Commit(position);
            return true;
        }

        public void OnCommitted(long position, Action then, Action? failed) => Task.Run(async () =>
        {
            if (position % 2 == 0) await Task.Yield();
            Commit(position);
            then();
        });

        public Task WhenCommitted(long since, long position) => throw new NotSupportedException();

        public Task WhenRoom() => Task.CompletedTask;

        private void Commit(long position)
        {
            long seen;
            while ((seen = Committed) < position && Interlocked.CompareExchange(ref _committed, position, seen) != seen)
            {
            }
        }
    }

    [SkippableFact]
    public async Task The_loops_end_with_their_last_connection()
    {
        OnLinux();
        TransportServer server = TransportServer.Start(EchoAsync, threads: 2);
        Socket client = await server.ConnectAsync();
        await client.SendAsync(new byte[1]);
        await ReceiveAllAsync(client, new byte[1]);
        await server.DisposeAsync();
        await client.SendAsync(new byte[1]); // an existing connection stays open
        await ReceiveAllAsync(client, new byte[1]);
        Assert.True(server.Transport.Loops[0].IsAlive);
        client.Dispose();
        await Eventually.TrueAsync(() => !server.Transport.Loops[0].IsAlive && !server.Transport.Loops[1].IsAlive);
    }

    private static void OnLinux() => Skip.IfNot(EpollTransport.IsSupported, "epoll is Linux's");

    private static async Task EchoAsync(EpollConnection connection)
    {
        while (true)
        {
            ReadResult read = await connection.Input.ReadAsync();
            foreach (ReadOnlyMemory<byte> part in read.Buffer)
            {
                if ((await connection.Output.WriteAsync(part)).IsCompleted) return;
            }
            connection.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) return;
        }
    }

    private static async Task SendAllAsync(Socket socket, ReadOnlyMemory<byte> bytes)
    {
        while (!bytes.IsEmpty) bytes = bytes[await socket.SendAsync(bytes).AsTask().WaitAsync(s_patience)..];
    }

    private static Task<int> ReceiveAsync(Socket socket, Memory<byte> bytes) => socket.ReceiveAsync(bytes).AsTask().WaitAsync(s_patience);

    private static async Task ReceiveAllAsync(Socket socket, Memory<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int received = await ReceiveAsync(socket, bytes);
            Assert.NotEqual(0, received);
            bytes = bytes[received..];
        }
    }
}
