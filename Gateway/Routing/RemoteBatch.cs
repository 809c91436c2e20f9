using System.Buffers.Text;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Requests of one client that are brought to another silo together, to be run there in order, and what becomes of each.
/// It belongs to the client's connection until it is sent, to the bus's thread until it is answered, and then to the
/// connection again.
/// </summary>
internal sealed class RemoteBatch : IDisposable
{
    private const int NumberAt = 0, CountAt = 25;
    private const byte HasMoved = 1, MissesSlot = 2;

    private readonly MessageWriter _message = new();
    private readonly TaskCompletionSource _answered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Entry[] _entries = new Entry[8];
    private byte[] _replies = [];

    /// <param name="silo">The silo.</param>
    /// <param name="client">The client's number at this silo.</param>
    /// <param name="identity">What is to be told of the client; null if the silo knows it.</param>
    /// <param name="parts">Flags that say something themselves.</param>
    /// <param name="waitedMs">For how long the request has waited for keys at other silos.</param>
    /// <param name="share">The silo's share of a command on all slots.</param>
    public RemoteBatch(SiloId silo, long client, ClientIdentity? identity, BatchParts parts, long waitedMs, SlotSet? share)
    {
        Silo = silo;
        Client = client;
        Identity = identity;
        _message.Int64(0);
        _message.Int64(client);
        _message.Byte((byte)(parts | (identity is null ? 0 : BatchParts.Identity) | (share is null ? 0 : BatchParts.Share)));
        _message.Int64(waitedMs);
        _message.Int32(0);
        identity?.Write(_message);
        if (share is not null) _message.Bytes(share.Bytes);
    }

    /// <summary>Where it goes.</summary>
    public SiloId Silo { get; }

    /// <summary>Whose requests they are.</summary>
    public long Client { get; }

    /// <summary>What it tells of the client, if anything.</summary>
    public ClientIdentity? Identity { get; }

    /// <summary>The wait for keys that its one request may be; null if it cannot.</summary>
    public RemoteWait? Wait { get; init; }

    /// <summary>How many requests there are.</summary>
    public int Count { get; private set; }

    /// <summary>By which number the answer comes.</summary>
    public long Number { get; private set; }

    /// <summary>The message.</summary>
    public ReadOnlySpan<byte> Message => _message.Written;

    /// <summary>Completes when it is known what has become of the requests, or that it will not be known.</summary>
    public Task Answered => _answered.Task;

    /// <summary>Adds a request.</summary>
    public void Add(CommandInfo command, in Request request)
    {
        if (Count == _entries.Length) Array.Resize(ref _entries, Count * 2);
        int start = _message.Length;
        if (request.Frame.Length != 0) _message.Raw(request.Frame);
        else WriteFrame(request);
        _entries[Count++] = new() { Command = command, Start = start, Length = _message.Length - start };
    }

    /// <summary>Nothing more is added; it is about to be sent under this number.</summary>
    public void Seal(long number)
    {
        Number = number;
        _message.PatchInt64(NumberAt, number);
        _message.PatchInt32(CountAt, Count);
    }

    /// <summary>The command of a request.</summary>
    public CommandInfo CommandOf(int index) => _entries[index].Command;

    /// <summary>A request, to be read anew.</summary>
    public ReadOnlySpan<byte> FrameOf(int index) => _message.Written.Slice(_entries[index].Start, _entries[index].Length);

    /// <summary>What has become of a request.</summary>
    public RemoteStatus StatusOf(int index) => _entries[index].Status;

    /// <summary>Its reply, if it has one.</summary>
    public ReadOnlySpan<byte> ReplyOf(int index)
    {
        ref Entry entry = ref _entries[index];
        return entry.LateReply is { } late ? late : _replies.AsSpan(entry.ReplyStart, entry.ReplyLength);
    }

    /// <summary>A request has been run after all, elsewhere, or will not be.</summary>
    public void Settle(int index, RemoteStatus status, byte[] reply)
    {
        _entries[index].Status = status;
        _entries[index].LateReply = reply;
    }

    /// <summary>All requests have come to the same, without a reply.</summary>
    public void End(RemoteStatus status)
    {
        for (int i = 0; i < Count; i++) _entries[i].Status = status;
        Complete();
    }

    /// <summary>The silo has answered; <see cref="Complete"/> follows.</summary>
    public void TakeAnswers(ref MessageReader message)
    {
        int start = 0;
        for (int i = 0; i < Count; i++)
        {
            ref Entry entry = ref _entries[i];
            entry.Status = (RemoteStatus)message.Byte();
            entry.ReplyLength = message.Int32();
            entry.ReplyStart = start;
            start += entry.ReplyLength;
        }
        _replies = LargeBuffers.Rent(start);
        message.Rest.CopyTo(_replies);
    }

    /// <summary>Has whoever waits for it go on.</summary>
    public void Complete()
    {
        if (Wait is not null) Wait.IsAnswered = true;
        _answered.TrySetResult();
    }

    /// <summary>In place of a reply: what has become of a command that was waiting for keys when they left.</summary>
    public static byte[] Describe(MovedCommand moved)
    {
        using var message = new MessageWriter();
        message.Byte(HasMoved);
        message.Int64(moved.WaitedMs);
        Request request = moved.Request.Request;
        message.Int32(request.Count);
        for (int i = 0; i < request.Count; i++) message.Bytes(request[i]);
        return message.Written.ToArray();
    }

    /// <summary>In place of a reply: which slot a command needs that is not there, if its request does not tell.</summary>
    public static byte[] Describe(int missingSlot)
    {
        using var message = new MessageWriter();
        message.Byte(MissesSlot);
        message.Int32(missingSlot);
        return message.Written.ToArray();
    }

    /// <summary>The slot of <see cref="Describe(int)"/>; negative if there is none.</summary>
    public int MissingSlotOf(int index) =>
        StatusOf(index) == RemoteStatus.Elsewhere && ReplyOf(index) is [MissesSlot, ..] ? new MessageReader(ReplyOf(index)[1..]).Int32() : -1;

    /// <summary>Reads what <see cref="Describe(MovedCommand)"/> has written.</summary>
    public MovedCommand? MovedOf(int index)
    {
        if (StatusOf(index) != RemoteStatus.Elsewhere || ReplyOf(index) is not [HasMoved, ..]) return null;
        var message = new MessageReader(ReplyOf(index)[1..]);
        long waitedMs = message.Int64();
        var words = new ReadOnlyMemory<byte>[message.Int32()];
        for (int i = 0; i < words.Length; i++) words[i] = message.Bytes().ToArray();
        return new(OwnedRequest.Of(words), waitedMs);
    }

    /// <summary>Gives back its memory; nothing of it is used any more.</summary>
    public void Dispose()
    {
        _message.Dispose();
        if (_replies.Length != 0) LargeBuffers.Return(_replies);
        _replies = [];
    }

    private void WriteFrame(in Request request)
    {
        Header((byte)'*', request.Count);
        for (int i = 0; i < request.Count; i++)
        {
            Header((byte)'$', request[i].Length);
            _message.Raw(request[i]);
            _message.Raw("\r\n"u8);
        }
    }

    private void Header(byte marker, int value)
    {
        Span<byte> text = stackalloc byte[16];
        text[0] = marker;
        Utf8Formatter.TryFormat(value, text[1..], out int digits);
        "\r\n"u8.CopyTo(text[(1 + digits)..]);
        _message.Raw(text[..(digits + 3)]);
    }

    private struct Entry
    {
        public CommandInfo Command;
        public int Start;
        public int Length;
        public RemoteStatus Status;
        public int ReplyStart;
        public int ReplyLength;
        public byte[]? LateReply;
    }
}

/// <summary>What there is in the message of a <see cref="RemoteBatch"/> besides requests.</summary>
[Flags]
internal enum BatchParts : byte
{
    /// <summary>Whose requests they are: <see cref="ClientIdentity"/>.</summary>
    Identity = 1,

    /// <summary>The slots that a command on all slots is confined to.</summary>
    Share = 2,

    /// <summary>Nothing: the client watches keys there, so who does not know of that must not run its transaction.</summary>
    Watching = 4,

    /// <summary>Nothing: whatever the silo may have known of the client is over.</summary>
    Fresh = 8,
}
