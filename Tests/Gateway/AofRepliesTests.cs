using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using OrleansRedis.Tests.Persistence;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// No client learns of anything that could still be lost: with appendfsync always if the machine fails, otherwise if
/// the process does.
/// </summary>
public sealed class AofRepliesTests : IDisposable
{
    private static readonly TimeSpan s_notYet = TimeSpan.FromMilliseconds(150);

    private readonly ManualResetEventSlim _gate = new(initialState: true);
    private FaultyFile? _file;

    [Fact]
    public async Task Replies_to_writes_and_reads_wait_for_the_sync_and_others_do_not()
    {
        await using InProcessServer server = await StartAsync();
        await using RespConnection writer = await server.ConnectAsync(), reader = await server.ConnectAsync(), other = await server.ConnectAsync();
        await SlowDiskAsync(writer);
        _gate.Reset();
        Task<RespValue> write = writer.CallAsync("SET", "a", "1");
        await WaitsAsync(write);
        Task<RespValue> read = reader.CallAsync("GET", "a");
        await WaitsAsync(read);
        Assert.Equal("+PONG", (await other.CallAsync("PING").WaitAsync(Eventually.Deadline)).ToString());
        Assert.False((await other.CallAsync("INFO", "persistence").WaitAsync(Eventually.Deadline)).IsError);
        _gate.Set();
        Assert.Equal("+OK", (await write.WaitAsync(Eventually.Deadline)).ToString());
        Assert.Equal("1", (await read.WaitAsync(Eventually.Deadline)).Text);
    }

    [Fact]
    public async Task So_do_transactions_exclusive_commands_and_clients_served_by_another_one()
    {
        await using InProcessServer server = await StartAsync();
        await using RespConnection writer = await server.ConnectAsync(), blocked = await server.ConnectAsync(), flusher = await server.ConnectAsync(),
            transaction = await server.ConnectAsync();
        Task<RespValue> pop = blocked.CallAsync("BLPOP", "list", "0");
        await server.BlockedAsync(1);
        await SlowDiskAsync(writer);
        _gate.Reset();
        Task<RespValue> push = writer.CallAsync("RPUSH", "list", "x");
        await transaction.CallAsync("MULTI");
        Assert.Equal("+QUEUED", (await transaction.CallAsync("SET", "b", "1").WaitAsync(Eventually.Deadline)).ToString());
        Task<RespValue> exec = transaction.CallAsync("EXEC");
        Task<RespValue> flush = flusher.CallAsync("FLUSHALL");
        await WaitsAsync(pop);
        await WaitsAsync(push);
        await WaitsAsync(exec);
        await WaitsAsync(flush);
        _gate.Set();
        Assert.Equal("x", (await pop.WaitAsync(Eventually.Deadline))[1].Text);
        Assert.Equal(1, (await push.WaitAsync(Eventually.Deadline)).Integer);
        Assert.Equal("+OK", (await exec.WaitAsync(Eventually.Deadline))[0].ToString());
        Assert.Equal("+OK", (await flush.WaitAsync(Eventually.Deadline)).ToString());
    }

    [Fact]
    public async Task A_push_to_a_blocked_client_leaves_at_once_and_its_reply_no_earlier_for_it()
    {
        await using InProcessServer server = await StartAsync();
        await using RespConnection writer = await server.ConnectAsync(), blocked = await server.ConnectAsync();
        await blocked.HelloAsync(3);
        ClientConnection connection = server.Server.Clients.Find((await blocked.CallAsync("CLIENT", "ID")).Integer)!;
        await blocked.SendAsync("BLPOP", "list", "0");
        await server.BlockedAsync(1);
        await SlowDiskAsync(writer);
        connection.Post(client => client.OutOfBand.Push(0));
        Assert.Equal(RespKind.Push, (await blocked.ReadPushAsync()).Kind);
        _gate.Reset();
        Task<RespValue> push = writer.CallAsync("RPUSH", "list", "x");
        Task<RespValue> pop = blocked.ReadAsync();
        await server.BlockedAsync(0);
        connection.Post(client => client.OutOfBand.Push(0));
        await WaitsAsync(pop);
        _gate.Set();
        Assert.Equal("x", (await pop.WaitAsync(Eventually.Deadline))[1].Text);
        Assert.Equal(1, (await push.WaitAsync(Eventually.Deadline)).Integer);
        Assert.Equal(RespKind.Push, (await blocked.ReadPushAsync()).Kind);
    }

    [Fact]
    public async Task Not_even_the_first_of_many_large_replies_leaves_early()
    {
        await using InProcessServer server = await StartAsync();
        await using RespConnection redis = await server.ConnectAsync(), other = await server.ConnectAsync();
        await redis.CallAsync("SET", "large", new string('x', 100_000));
        await SlowDiskAsync(other);
        _gate.Reset();
        Task<RespValue> write = other.CallAsync("SET", "large", new string('y', 100_000));
        await Eventually.TrueAsync(() => server.Files.Aof.Appended > 200_000, () => "not appended");
        Task<RespValue[]> reads = redis.PipelineAsync([.. Enumerable.Repeat((RespArgument[])["GET", "large"], 40)]);
        await WaitsAsync(reads);
        await WaitsAsync(write);
        _gate.Set();
        Assert.All(await reads.WaitAsync(Eventually.Deadline), reply => Assert.Equal('y', reply.Text[0]));
    }

    [Fact]
    public async Task One_sync_serves_all_who_have_come_meanwhile()
    {
        await using InProcessServer server = await StartAsync();
        await using RespConnection first = await server.ConnectAsync();
        var others = new List<RespConnection>();
        for (int i = 0; i < 20; i++) others.Add(await server.ConnectAsync());
        await SlowDiskAsync(first);
        _gate.Reset();
        int before = _file!.Syncs;
        Task<RespValue> write = first.CallAsync("SET", "a", "1");
        await Eventually.TrueAsync(() => _file.WaitingSyncs == 1, () => "nothing is being synced");
        long appended = server.Files.Aof.Appended;
        Task<RespValue[]> writes = Task.WhenAll(others.Select((redis, i) => redis.CallAsync("SET", $"key:{i + 10}", "1")));
        int each = "*3\r\n$3\r\nSET\r\n$6\r\nkey:10\r\n$1\r\n1\r\n".Length;
        await Eventually.TrueAsync(() => server.Files.Aof.Appended >= appended + (others.Count * each), () => "not all have come");
        await Eventually.TrueAsync(() => server.Server.Clients.All.Count(client => client.PendingOutputBytes != 0) > others.Count, () => "not all wait");
        await WaitsAsync(writes);
        _gate.Set();
        Assert.All(await writes.WaitAsync(Eventually.Deadline), reply => Assert.Equal("+OK", reply.ToString()));
        Assert.Equal("+OK", (await write).ToString());
        // Two, unless a loop had not come to the end of its round when the gate was opened.
        Assert.InRange(_file.Syncs - before, 2, others.Count / 2);
        foreach (RespConnection redis in others) await redis.DisposeAsync();
    }

    [Fact]
    public async Task A_full_disk_refuses_writes_at_once_and_lets_go_when_there_is_room()
    {
        await using InProcessServer server = await StartAsync();
        await using RespConnection writer = await server.ConnectAsync(), other = await server.ConnectAsync();
        await writer.CallAsync("SET", "a", "0");
        _file!.Capacity = _file.Length;
        Task<RespValue> write = writer.CallAsync("SET", "a", "1");
        await Eventually.TrueAsync(() => server.Store.Restrictions != Restrictions.None, () => "no failure");
        Assert.Equal("-MISCONF Errors writing to the AOF file: No space left on device",
            (await other.CallAsync("SET", "b", "1").WaitAsync(Eventually.Deadline)).ToString());
        Assert.Equal("-MISCONF Errors writing to the AOF file: No space left on device",
            (await other.CallAsync("PING").WaitAsync(Eventually.Deadline)).ToString());
        await WaitsAsync(write);
        await other.CallAsync("MULTI");
        Assert.True((await other.CallAsync("SET", "b", "1").WaitAsync(Eventually.Deadline)).IsError);
        Assert.StartsWith("-EXECABORT", (await other.CallAsync("EXEC").WaitAsync(Eventually.Deadline)).ToString(), StringComparison.Ordinal);
        _file.Capacity = long.MaxValue;
        Assert.Equal("+OK", (await write.WaitAsync(Eventually.Deadline)).ToString());
        Assert.Equal("+OK", (await other.CallAsync("SET", "b", "1").WaitAsync(Eventually.Deadline)).ToString());
    }

    [Fact]
    public async Task While_the_disk_is_full_reads_get_an_error_and_what_is_not_about_data_is_answered()
    {
        const string Full = "-MISCONF Errors writing to the AOF file: No space left on device";
        await using InProcessServer server = await StartAsync();
        await using RespConnection writer = await server.ConnectAsync(), other = await server.ConnectAsync();
        await writer.CallAsync("SET", "a", "0");
        await other.CallAsync("MULTI");
        await other.CallAsync("GET", "a");
        _file!.Capacity = _file.Length;
        Task<RespValue> write = writer.CallAsync("SET", "a", "1");
        await Eventually.TrueAsync(() => server.Store.Restrictions != Restrictions.None, () => "no failure");
        async Task<string> Answer(string line) => (await other.LineAsync(line).WaitAsync(Eventually.Deadline)).ToString();
        Assert.Equal($"-EXECABORT Transaction discarded because of: {Full[1..]}", await Answer("EXEC"));
        foreach (string line in (string[])["GET a", "MGET a b", "DBSIZE", "KEYS *", "TTL a", "SORT a BY w_*", "WATCH a"])
            Assert.Equal(Full, await Answer(line));
        Assert.Equal("+OK", await Answer("MULTI"));
        Assert.Equal("+OK", await Answer("DISCARD"));
        Assert.Equal("+OK", await Answer("SELECT 1"));
        Assert.Equal("+OK", await Answer("SELECT 0"));
        string info = (await other.LineAsync("INFO persistence").WaitAsync(Eventually.Deadline)).Text;
        Assert.Contains("aof_last_write_status:err", info, StringComparison.Ordinal);
        Assert.StartsWith("-MISCONF", System.Text.Encoding.ASCII.GetString(await server.Server.Runner.RunAsync(0, ["GET"u8.ToArray(), "a"u8.ToArray()])),
            StringComparison.Ordinal);
        await WaitsAsync(write);
        _file.Capacity = long.MaxValue;
        Assert.Equal("+OK", (await write.WaitAsync(Eventually.Deadline)).ToString());
        Assert.Equal("\"1\"", await Answer("GET a"));
    }

    [Fact]
    public async Task Reads_that_wait_for_a_sync_that_fails_are_not_left_waiting()
    {
        const string Broken = "-MISCONF Errors writing to the AOF file: Input/output error";
        await using InProcessServer server = await StartAsync();
        await using RespConnection writer = await server.ConnectAsync(), reader = await server.ConnectAsync(), pipelined = await server.ConnectAsync(),
            mixed = await server.ConnectAsync(), large = await server.ConnectAsync();
        await writer.CallAsync("SET", "large", new string('x', 100_000));
        await SlowDiskAsync(writer);
        _gate.Reset();
        Task<RespValue> write = writer.CallAsync("SET", "a", "1");
        await Eventually.TrueAsync(() => _file!.WaitingSyncs == 1, () => "nothing is being synced");
        Task<RespValue> read = reader.CallAsync("GET", "a");
        Task<RespValue[]> reads = pipelined.PipelineAsync(["GET", "a"], ["STRLEN", "a"], ["LRANGE", "a", "0", "-1"]);
        // An error in place of SELECT's reply would be a lie.
        await mixed.SendRawAsync("SELECT 1\r\nGET a\r\n");
        await large.SendAsync("GET", "large");
        Task<byte[]> call = server.Server.Runner.RunAsync(0, ["GET"u8.ToArray(), "a"u8.ToArray()]);
        await WaitsAsync(read);
        await WaitsAsync(reads);
        await WaitsAsync(call);
        _file!.FailingSyncs = int.MaxValue;
        _gate.Set();
        Assert.Equal(Broken, (await read.WaitAsync(Eventually.Deadline)).ToString());
        Assert.All(await reads.WaitAsync(Eventually.Deadline), reply => Assert.Equal(Broken, reply.ToString()));
        Assert.Equal($"{Broken}\r\n", System.Text.Encoding.ASCII.GetString(await call.WaitAsync(Eventually.Deadline)));
        Assert.True(await mixed.IsClosedByServerAsync().WaitAsync(Eventually.Deadline));
        Assert.True(await large.IsClosedByServerAsync().WaitAsync(Eventually.Deadline));
        await WaitsAsync(write);
        _file.FailingSyncs = 0;
        Assert.Equal("+OK", (await write.WaitAsync(Eventually.Deadline)).ToString());
        Assert.Equal("1", (await reader.CallAsync("GET", "a").WaitAsync(Eventually.Deadline)).Text);
    }

    [Theory]
    [InlineData(AppendFsync.Everysec)]
    [InlineData(AppendFsync.No)]
    public async Task Otherwise_the_operating_system_has_what_a_reply_tells_of(AppendFsync policy)
    {
        await using InProcessServer server = await StartAsync(policy);
        string path = Path.Combine(server.Store.Options.Dir, "appendonlydir", "appendonly.aof.1.incr.aof");
        async Task WriteAsync(int client)
        {
            await using RespConnection redis = await server.ConnectAsync(), popper = await server.ConnectAsync();
            for (int i = 0; i < 25; i++)
            {
                string value = $"<{client}:{i}>";
                long from = new FileInfo(path).Length;
                Task<RespValue> pop = popper.CallAsync("BLPOP", $"list:{client}", "0");
                RespArgument[][] commands = (i % 5) switch
                {
                    0 => [["MULTI"], ["SET", $"a:{client}", value], ["EXEC"]],
                    1 => [["GETSET", "large", new string('x', 100_000) + value], ["GET", "large"]], // longer than what a transport holds back
                    2 => [["MSET", $"a:{client}", "", $"b:{client}", value]],
                    3 => [["PING"], ["SET", $"a:{client}", value]],
                    _ => [["SWAPDB", "1", "2"], ["RPUSH", $"x:{client}", value]],
                };
                RespValue[] replies = await redis.PipelineAsync(commands).WaitAsync(Eventually.Deadline);
                Assert.Contains(value, Text(from), StringComparison.Ordinal);
                await redis.CallAsync("RPUSH", $"list:{client}", "popped" + value);
                await pop.WaitAsync(Eventually.Deadline);
                Assert.Contains("popped" + value, Text(from), StringComparison.Ordinal);
            }
        }
        string Text(long from)
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            file.Position = from;
            byte[] bytes = new byte[file.Length - file.Position];
            file.ReadExactly(bytes);
            return System.Text.Encoding.Latin1.GetString(bytes);
        }
        await Task.WhenAll(Enumerable.Range(0, 6).Select(client => Task.Run(() => WriteAsync(client))));
        byte[] reply = await server.Server.Runner.RunAsync(0, ["SET"u8.ToArray(), "grain"u8.ToArray(), "<grain>"u8.ToArray()]);
        Assert.Equal("+OK\r\n", System.Text.Encoding.ASCII.GetString(reply));
        Assert.Contains("<grain>", Text(0), StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_the_log_goes_over_to_another_file_replies_wait_in_order_and_the_loops_do_not()
    {
        await using InProcessServer server = await StartAsync(AppendFsync.Everysec);
        await using RespConnection writer = await server.ConnectAsync(), leaving = await server.ConnectAsync(), other = await server.ConnectAsync(),
            rewriter = await server.ConnectAsync();
        await writer.CallAsync("SET", "a", "0");
        FaultyFile first = _file!;
        long appended = server.Files.Aof.Appended;
        await Eventually.TrueAsync(() => first.OnDisk.Length == first.Length, () => "the log is not synced");
        _gate.Reset();
        Assert.False((await rewriter.CallAsync("BGREWRITEAOF")).IsError);
        await Eventually.TrueAsync(() => first.WaitingSyncs == 1, () => "the first file is not being synced");
        Assert.Equal("+PONG", (await other.CallAsync("PING").WaitAsync(Eventually.Deadline)).ToString());
        await writer.SendAsync("APPEND", "a", "1");
        await leaving.SendRawAsync("APPEND b 1\r\nQUIT\r\n");
        Task<RespValue> reply = writer.ReadAsync();
        await WaitsAsync(reply);
        await writer.SendAsync("APPEND", "a", "2");
        await other.SendAsync("GET", "a");
        Task<RespValue> read = other.ReadAsync(), left = leaving.ReadAsync();
        int frames = 3 * "*3\r\n$6\r\nAPPEND\r\n$1\r\na\r\n$1\r\n1\r\n".Length;
        await Eventually.TrueAsync(() => server.Files.Aof.Appended >= appended + frames, () => "a loop waits for the disk");
        await WaitsAsync(read);
        await WaitsAsync(left);
        Assert.False(reply.IsCompleted);
        _gate.Set();
        Assert.Equal(2, (await reply.WaitAsync(Eventually.Deadline)).Integer);
        Assert.Equal(3, (await writer.ReadAsync()).Integer);
        Assert.Equal("012", (await read.WaitAsync(Eventually.Deadline)).Text);
        Assert.Equal(1, (await left.WaitAsync(Eventually.Deadline)).Integer);
        Assert.Equal("+OK", (await leaving.ReadAsync()).ToString());
        Assert.True(await leaving.IsClosedByServerAsync());
        Assert.True(_file!.Length > 0 && _file != first);
        await server.Files.Aof.RewriteEnded.WaitAsync(Eventually.Deadline);
    }

    [Fact]
    public async Task With_everysec_and_a_full_disk_what_was_done_is_answered_and_no_more_is_taken()
    {
        await using InProcessServer server = await StartAsync(AppendFsync.Everysec);
        await using RespConnection redis = await server.ConnectAsync();
        await redis.CallAsync("SET", "a", "0");
        _file!.Capacity = _file.Length;
        Assert.Equal("+OK", (await redis.CallAsync("SET", "a", "1").WaitAsync(Eventually.Deadline)).ToString());
        Assert.StartsWith("-MISCONF", (await redis.CallAsync("SET", "a", "2").WaitAsync(Eventually.Deadline)).ToString(), StringComparison.Ordinal);
        Assert.Equal("1", (await redis.CallAsync("GET", "a").WaitAsync(Eventually.Deadline)).Text);
        _file.Capacity = long.MaxValue;
        await Eventually.TrueAsync(async () => !(await redis.CallAsync("SET", "a", "3")).IsError, () => "the log stays unwritable");
        Assert.Equal(server.Files.Aof.Appended, _file.Length);
    }

    public void Dispose()
    {
        _gate.Dispose();
        _file?.Dispose();
    }

    /// <summary>
    /// From here on the server knows that a sync takes long, so it waits for none on the thread that serves the
    /// clients.
    /// </summary>
    private async Task SlowDiskAsync(RespConnection redis)
    {
        _gate.Reset();
        Task<RespValue> write = redis.CallAsync("SET", "a", "0");
        await Eventually.TrueAsync(() => _file!.WaitingSyncs == 1, () => "nothing is being synced");
        await WaitsAsync(write); // this is how long the sync has taken
        _gate.Set();
        await write;
    }

    /// <summary>
    /// Waits by the clock, since no event tells that something is not going to happen. On a machine that is too busy
    /// this finds less, but never reports a false failure.
    /// </summary>
    private static async Task WaitsAsync(Task reply)
    {
        await Task.WhenAny(reply, Task.Delay(s_notYet));
        Assert.False(reply.IsCompleted);
    }

    private Task<InProcessServer> StartAsync(AppendFsync policy = AppendFsync.Always) => InProcessServer.StartAsync(
        options => (options.AppendOnly, options.AppendFsync) = (true, policy),
        files =>
        {
            files.Aof.OpenFile = (path, empty) => _file = new FaultyFile(LogFile.Open(path, empty)) { SyncGate = _gate };
            files.Aof.Load(CancellationToken.None);
            files.Aof.Open();
            files.Aof.Start();
        });
}
