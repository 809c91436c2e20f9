using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;

namespace OrleansRedis.Tests.Harness;

/// <summary>One argument of a command: text (Latin-1, one byte per character), bytes, or a number.</summary>
public readonly struct RespArgument
{
    private RespArgument(byte[] bytes) => Bytes = bytes;

    public byte[] Bytes { get; }

    public static implicit operator RespArgument(string text) => new(Encoding.Latin1.GetBytes(text));
    public static implicit operator RespArgument(byte[] bytes) => new(bytes);
    public static implicit operator RespArgument(long number) => new(Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture)));
    public static implicit operator RespArgument(double number) => new(Encoding.ASCII.GetBytes(number.ToString("R", CultureInfo.InvariantCulture)));

    public override string ToString()
    {
        StringBuilder text = new();
        RespValue.Quote(text, Bytes);
        return text.ToString();
    }
}

/// <summary>
/// A plain RESP client that hides nothing: it sends exactly what it is given, byte by byte if need be, and shows what
/// came back. Not for concurrent use. Every read has a deadline.
/// </summary>
public sealed class RespConnection : IAsyncDisposable
{
    private readonly Socket socket;
    private readonly Stream stream;
    private readonly RedisProcess? server;
    private byte[] buffer = new byte[16 * 1024];
    private int start;
    private int end;

    private RespConnection(Socket socket, RedisProcess? server, Stream? stream = null)
    {
        this.socket = socket;
        this.server = server;
        this.stream = stream ?? new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>How long one read may wait for the server.</summary>
    public TimeSpan Timeout { get; set; } = Eventually.Deadline;

    /// <summary>Out-of-band RESP3 pushes that arrived while waiting for a reply, oldest first.</summary>
    public Queue<RespValue> Pushes { get; } = new();

    public Socket Socket => socket;

    public static Task<RespConnection> ConnectAsync(string host, int port, RedisProcess? server = null) =>
        ConnectAsync(new DnsEndPoint(host, port), server);

    /// <param name="endPoint">A TCP or a unix-socket address.</param>
    /// <param name="server">The server whose log an error should quote.</param>
    public static async Task<RespConnection> ConnectAsync(EndPoint endPoint, RedisProcess? server = null)
    {
        Socket socket = endPoint is UnixDomainSocketEndPoint
            ? new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(endPoint);
            return new RespConnection(socket, server);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Connects to a port of this machine by TLS, and makes the handshake.</summary>
    public static async Task<RespConnection> ConnectTlsAsync(int port, SslClientAuthenticationOptions options, RedisProcess? server = null)
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        SslStream? tls = null;
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, port);
            tls = new(new NetworkStream(socket, ownsSocket: true));
            using CancellationTokenSource deadline = new(Eventually.Deadline);
            await tls.AuthenticateAsClientAsync(options, deadline.Token);
            return new RespConnection(socket, server, tls);
        }
        catch
        {
            tls?.Dispose();
            socket.Dispose();
            throw;
        }
    }

    /// <summary>The TLS of a connection that <see cref="ConnectTlsAsync"/> made.</summary>
    public SslStream Tls => (SslStream)stream;

    /// <summary>Sends one command and returns its reply, an error reply included.</summary>
    public async Task<RespValue> CallAsync(params RespArgument[] command)
    {
        await SendAsync(command);
        return await ReadAsync();
    }

    /// <summary>A field of INFO that is an integer.</summary>
    public async Task<long> InfoAsync(string field)
    {
        string info = Encoding.UTF8.GetString((await CallAsync("INFO", "everything")).Bytes);
        string line = info.Split("\r\n").Single(line => line.StartsWith(field + ":", StringComparison.Ordinal));
        return long.Parse(line[(field.Length + 1)..], CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// Sends a command written as for redis-cli and split at spaces; for arguments that contain none.
    /// </summary>
    public Task<RespValue> LineAsync(string line) =>
        CallAsync([.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(word => (RespArgument)word)]);

    /// <summary>Sends all commands in one write and returns their replies in order.</summary>
    public async Task<RespValue[]> PipelineAsync(params IReadOnlyList<RespArgument[]> commands)
    {
        using MemoryStream frames = new();
        foreach (RespArgument[] command in commands)
            frames.Write(Frame(command));
        // In a deep pipeline both sockets' buffers fill up unless the replies are read while sending.
        Task sending = SendRawAsync(frames.ToArray());
        RespValue[] replies = new RespValue[commands.Count];
        for (int i = 0; i < replies.Length; i++)
            replies[i] = await ReadAsync();
        await sending;
        return replies;
    }

    public Task SendAsync(params RespArgument[] command) => SendRawAsync(Frame(command));

    public async Task SendRawAsync(ReadOnlyMemory<byte> bytes)
    {
        using CancellationTokenSource deadline = new(Timeout);
        try
        {
            await stream.WriteAsync(bytes, deadline.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            throw Failure($"could not send {bytes.Length} bytes", e);
        }
    }

    public Task SendRawAsync(string latin1) => SendRawAsync(Encoding.Latin1.GetBytes(latin1));

    /// <summary>Sends every byte in a segment of its own.</summary>
    public async Task SendByteByByteAsync(string latin1)
    {
        foreach (byte b in Encoding.Latin1.GetBytes(latin1))
        {
            await SendRawAsync(new[] { b });
            await Task.Yield();
        }
    }

    /// <summary>Switches to RESP3 (or back to RESP2) and returns the server's greeting.</summary>
    public async Task<RespValue> HelloAsync(int protocol = 3)
    {
        RespValue greeting = await CallAsync("HELLO", protocol);
        return greeting.IsError ? throw Failure($"HELLO {protocol} was answered {greeting}", null) : greeting;
    }

    /// <summary>The next reply; pushes that come before it are put into <see cref="Pushes"/>.</summary>
    public async Task<RespValue> ReadAsync()
    {
        using CancellationTokenSource deadline = new(Timeout);
        while (true)
        {
            RespValue value = await ReadValueAsync(deadline.Token);
            if (value.Kind != RespKind.Push)
                return value;
            Pushes.Enqueue(value);
        }
    }

    /// <summary>The next push of a RESP3 connection; those already received come first.</summary>
    public async Task<RespValue> ReadPushAsync()
    {
        if (Pushes.TryDequeue(out RespValue? push))
            return push;
        using CancellationTokenSource deadline = new(Timeout);
        RespValue value = await ReadValueAsync(deadline.Token);
        return value.Kind == RespKind.Push ? value : throw Failure($"expected a push, got {value}", null);
    }

    /// <summary>The next <paramref name="count"/> bytes as they arrived, for tests of the protocol itself.</summary>
    public async Task<byte[]> ReadRawAsync(int count)
    {
        using CancellationTokenSource deadline = new(Timeout);
        await FillAsync(count, deadline.Token);
        return Take(count);
    }

    /// <summary>Everything until the server closes the connection.</summary>
    public async Task<byte[]> ReadToEndAsync()
    {
        using CancellationTokenSource deadline = new(Timeout);
        while (await ReceiveAsync(deadline.Token) > 0)
        {
        }

        return Take(end - start);
    }

    /// <summary>
    /// Whether the server closes the connection within <see cref="Timeout"/> without sending anything more.
    /// </summary>
    public async Task<bool> IsClosedByServerAsync() => (await ReadToEndAsync()).Length == 0;

    /// <summary>Whether the server sends nothing for that long.</summary>
    public async Task<bool> IsSilentAsync(TimeSpan duration)
    {
        using CancellationTokenSource deadline = new(duration);
        if (start != end)
            return false;
        try
        {
            // Returns when there is something to read, or at the end.
            _ = await socket.ReceiveAsync(Memory<byte>.Empty, deadline.Token);
            return false;
        }
        catch (OperationCanceledException)
        {
            return true;
        }
    }

    /// <summary>Closes with a reset instead of an orderly close, as a crashed client would.</summary>
    public void Abort()
    {
        socket.LingerState = new LingerOption(true, 0);
        socket.Dispose();
    }

    public ValueTask DisposeAsync() => stream.DisposeAsync();

    /// <summary>The command as a RESP array of bulk strings.</summary>
    public static byte[] Frame(params RespArgument[] command)
    {
        using MemoryStream frame = new();
        frame.Write(Encoding.ASCII.GetBytes($"*{command.Length}\r\n"));
        foreach (RespArgument argument in command)
        {
            frame.Write(Encoding.ASCII.GetBytes($"${argument.Bytes.Length}\r\n"));
            frame.Write(argument.Bytes);
            frame.Write("\r\n"u8);
        }

        return frame.ToArray();
    }

    private async Task<RespValue> ReadValueAsync(CancellationToken deadline)
    {
        byte[] line = await ReadLineAsync(deadline);
        if (line.Length == 0)
            throw Failure("an empty line where a reply should begin", null);
        ReadOnlySpan<byte> rest = line.AsSpan(1);
        switch ((char)line[0])
        {
            case '+': return RespValue.Scalar(RespKind.SimpleString, rest);
            case '-': return RespValue.Scalar(RespKind.Error, rest);
            case ':': return RespValue.Scalar(RespKind.Integer, rest);
            case ',': return RespValue.Scalar(RespKind.Double, rest);
            case '#': return RespValue.Scalar(RespKind.Boolean, rest);
            case '(': return RespValue.Scalar(RespKind.BigNumber, rest);
            case '_': return RespValue.Scalar(RespKind.Null, "_");
            case '$': return await ReadBlobAsync(RespKind.BulkString, Length(line), deadline);
            case '!': return await ReadBlobAsync(RespKind.Error, Length(line), deadline);
            case '=': return await ReadBlobAsync(RespKind.VerbatimString, Length(line), deadline);
            case '*': return await ReadItemsAsync(RespKind.Array, Length(line), deadline);
            case '~': return await ReadItemsAsync(RespKind.Set, Length(line), deadline);
            case '>': return await ReadItemsAsync(RespKind.Push, Length(line), deadline);
            case '%': return await ReadItemsAsync(RespKind.Map, Length(line) * 2, deadline);
            case '|':
                // Attributes belong to the reply that follows.
                await ReadItemsAsync(RespKind.Map, Length(line) * 2, deadline);
                return await ReadValueAsync(deadline);
            default: throw Failure($"no reply begins with \"{Encoding.Latin1.GetString(line)}\"", null);
        }
    }

    private int Length(byte[] line) =>
        int.TryParse(line.AsSpan(1), CultureInfo.InvariantCulture, out int length) && length >= -1
            ? length
            : throw Failure($"bad length in \"{Encoding.Latin1.GetString(line)}\"", null);

    private async Task<RespValue> ReadBlobAsync(RespKind kind, int length, CancellationToken deadline)
    {
        if (length == -1)
            return RespValue.Scalar(RespKind.Null, "$");
        await FillAsync(length + 2, deadline);
        byte[] blob = Take(length);
        return Take(2).AsSpan().SequenceEqual("\r\n"u8) ? RespValue.Scalar(kind, blob) : throw Failure("a blob is not closed by CRLF", null);
    }

    private async Task<RespValue> ReadItemsAsync(RespKind kind, int count, CancellationToken deadline)
    {
        if (count < 0)
            return RespValue.Scalar(RespKind.Null, "*");
        List<RespValue> items = new(Math.Min(count, 1024));
        for (int i = 0; i < count; i++)
            items.Add(await ReadValueAsync(deadline));
        return RespValue.Aggregate(kind, items);
    }

    private async Task<byte[]> ReadLineAsync(CancellationToken deadline)
    {
        int scanned = 0;
        while (true)
        {
            int newline = buffer.AsSpan(start + scanned, end - start - scanned).IndexOf("\r\n"u8);
            if (newline >= 0)
            {
                byte[] line = Take(scanned + newline);
                Take(2);
                return line;
            }

            scanned = Math.Max(0, end - start - 1);
            await FillAsync(end - start + 1, deadline);
        }
    }

    private byte[] Take(int count)
    {
        byte[] taken = buffer.AsSpan(start, count).ToArray();
        start += count;
        return taken;
    }

    private async Task FillAsync(int count, CancellationToken deadline)
    {
        while (end - start < count)
        {
            try
            {
                if (await ReceiveAsync(deadline, count) == 0)
                    throw Failure("the server closed the connection before its reply was complete", null);
            }
            catch (OperationCanceledException e)
            {
                throw Failure($"no (complete) reply within {Timeout.TotalSeconds} s", e);
            }
        }
    }

    private async Task<int> ReceiveAsync(CancellationToken deadline, int wanted = 0)
    {
        if (start == end)
            start = end = 0;
        if (buffer.Length - start < wanted || end == buffer.Length)
        {
            byte[] roomier = new byte[Math.Max(wanted, 2 * (end - start)) + 16 * 1024];
            buffer.AsSpan(start, end - start).CopyTo(roomier);
            end -= start;
            start = 0;
            buffer = roomier;
        }

        int received;
        try
        {
            received = await stream.ReadAsync(buffer.AsMemory(end), deadline);
        }
        catch (IOException)
        {
            received = 0; // a reset is a close too
        }

        end += received;
        return received;
    }

    private RespException Failure(string what, Exception? inner)
    {
        string received = end > start ? $"\nreceived and not parsed: {RespValue.Scalar(RespKind.BulkString, buffer.AsSpan(start, end - start))}" : "";
        return new RespException(what + received + server?.Describe(), inner);
    }
}

/// <summary>The conversation with a server failed. The message quotes the end of the server's log.</summary>
public sealed class RespException(string message, Exception? inner) : IOException(message, inner);
