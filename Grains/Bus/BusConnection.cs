using System.Buffers.Binary;
using System.Net.Sockets;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.Clustering;

namespace OrleansRedis.Grains.Bus;

/// <summary>
/// One connection to another silo. Each lane is a stream of bytes of its own, and what is sent is a row of pieces of
/// them: the lane (1 byte), the length of the piece (3), its bytes. So a heartbeat waits for no more than the piece that
/// is just being sent, whatever else is waiting. Two threads of its own, so that no full thread pool delays it either.
/// </summary>
internal sealed class BusConnection : IDisposable
{
    private const int PieceHeader = 4;

    private static readonly BusLane[] s_lanes = Enum.GetValues<BusLane>();

    private readonly Socket _socket;
    private readonly object _lock = new();  // Monitor: the writer waits for it
    private readonly LaneQueue[] _queues = LaneQueue.ForAll();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isWriterWaiting;
    private volatile bool _isClosed;
    private string? _why;

    /// <param name="socket">The connection, after the introductions.</param>
    /// <param name="peer">Who is at the other end.</param>
    /// <param name="isDialed">Whether this silo has made it.</param>
    /// <param name="silence">After how long without a byte it counts as broken.</param>
    public BusConnection(Socket socket, SiloId peer, bool isDialed, TimeSpan silence)
    {
        _socket = socket;
        Peer = peer;
        IsDialed = isDialed;
        socket.NoDelay = true;
        // What is in the kernel's buffer cannot be overtaken any more.
        socket.SendBufferSize = 512 * 1024;
        socket.SendTimeout = socket.ReceiveTimeout = (int)silence.TotalMilliseconds;
    }

    public SiloId Peer { get; }

    public bool IsDialed { get; }

    public long EstablishedAtMs { get; } = Environment.TickCount64;

    /// <summary>Bytes sent and received so far.</summary>
    public long BytesOut { get; private set; }

    /// <inheritdoc cref="BytesOut"/>
    public long BytesIn { get; private set; }

    /// <summary>Completes when the last message has been taken up and no other will be.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Whether nothing is sent any more.</summary>
    public bool IsClosed => _isClosed;

    /// <summary>Why it has ended.</summary>
    public string Why => _why ?? "the other side has closed it";

    public bool TrySend(byte kind, ReadOnlySpan<byte> payload)
    {
        lock (_lock)
        {
            if (_isClosed || !_queues[(int)BusKinds.LaneOf(kind)].TryAdd(kind, payload)) return false;
            if (_isWriterWaiting)
            {
                _isWriterWaiting = false;
                Monitor.Pulse(_lock);
            }
            return true;
        }
    }

    public Task WhenRoom(BusLane lane)
    {
        lock (_lock) return _isClosed ? Task.CompletedTask : _queues[(int)lane].WhenRoom();
    }

    /// <summary>How many bytes wait to be sent.</summary>
    public int PendingBytes
    {
        get
        {
            lock (_lock) return _queues.Sum(queue => queue.Length);
        }
    }

    /// <summary>Sends and receives on this thread and another one, until the connection ends.</summary>
    public void Run(LaneReader.MessageTaker take)
    {
        UrgentThread.BecomeOne();
        var writer = new Thread(Write) { IsBackground = true, Name = "bus out" };
        writer.Start();
        try
        {
            Read(take);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidDataException)
        {
            Close(Reason(e));
        }
        catch (Exception e)
        {
            Close($"what it sent could not be dealt with: {e}");
        }
        Close(null);
        writer.Join();
        _socket.Dispose();
    }

    /// <summary>To be called after <see cref="Run"/>, when all of it has been dealt with.</summary>
    public void HasEnded() => _ended.TrySetResult();

    /// <summary>Ends it from any thread.</summary>
    public void Close(string? why)
    {
        lock (_lock)
        {
            if (_isClosed) return;
            _isClosed = true;
            _why = why;
            foreach (LaneQueue queue in _queues) queue.Close();
            Monitor.Pulse(_lock);
        }
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has gone by itself.
        }
    }

    public void Dispose() => _socket.Dispose();

    private void Read(LaneReader.MessageTaker take)
    {
        LaneReader[] readers = [.. s_lanes.Select(lane => new LaneReader(lane))];
        byte[] buffer = new byte[128 * 1024];
        int start = 0, end = 0, left = 0;   // left: of the piece that has begun
        LaneReader reader = readers[0];
        while (true)
        {
            if (start > 0)
            {
                buffer.AsSpan(start, end - start).CopyTo(buffer);
                (start, end) = (0, end - start);
            }
            int count = _socket.Receive(buffer.AsSpan(end));
            if (count == 0) return;
            BytesIn += count;
            end += count;
            while (true)
            {
                if (left == 0)
                {
                    if (end - start < PieceHeader) break;
                    uint header = BinaryPrimitives.ReadUInt32LittleEndian(buffer.AsSpan(start));
                    start += PieceHeader;
                    if ((header & 0xff) >= readers.Length) throw new InvalidDataException($"a piece of lane {header & 0xff}");
                    reader = readers[header & 0xff];
                    left = (int)(header >> 8);
                }
                int part = Math.Min(left, end - start);
                if (part == 0) break;
                reader.Receive(buffer.AsSpan(start, part), take);
                start += part;
                left -= part;
            }
        }
    }

    private void Write()
    {
        UrgentThread.BecomeOne();
        try
        {
            byte[] buffer = new byte[64 * 1024];
            while (true)
            {
                int length = Gather(ref buffer);
                if (length == 0) return;
                for (int sent = 0; sent < length;) sent += _socket.Send(buffer.AsSpan(sent, length - sent));
                BytesOut += length;
                if (buffer.Length > 64 * 1024 && length < 32 * 1024) buffer = new byte[64 * 1024];
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            Close(Reason(e));
        }
    }

    /// <summary>Waits for something to send, and takes a piece of each lane. 0 if the connection has ended.</summary>
    private int Gather(ref byte[] buffer)
    {
        lock (_lock)
        {
            while (!_isClosed && Array.TrueForAll(_queues, queue => queue.Length == 0))
            {
                _isWriterWaiting = true;
                Monitor.Wait(_lock);
            }
            if (_isClosed) return 0;
            int needed = 0, length = 0;
            foreach (BusLane lane in s_lanes) needed += PieceHeader + Math.Min(_queues[(int)lane].Length, LaneQueue.MostAtOnce(lane));
            if (needed > buffer.Length) buffer = new byte[Math.Max(needed, Math.Min(buffer.Length * 2, 1 << 20))];
            foreach (BusLane lane in s_lanes)
            {
                LaneQueue queue = _queues[(int)lane];
                if (queue.Length == 0) continue;
                int count = queue.Take(buffer.AsSpan(length + PieceHeader, Math.Min(queue.Length, LaneQueue.MostAtOnce(lane))));
                BinaryPrimitives.WriteUInt32LittleEndian(buffer.AsSpan(length), ((uint)count << 8) | (uint)lane);
                length += PieceHeader + count;
            }
            return length;
        }
    }

    private static string Reason(Exception error) => error switch
    {
        SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock } => "it says nothing, or takes nothing",
        ObjectDisposedException => "it has been closed",
        InvalidDataException => $"it sent {error.Message}",
        _ => error.Message,
    };
}
