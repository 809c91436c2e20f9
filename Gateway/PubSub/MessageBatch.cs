namespace OrleansRedis.Gateway;

/// <summary>
/// The messages that the requests of one client, sent together, have published to one channel: each subscriber is given
/// them as one. For the thread that runs the requests alone.
/// </summary>
internal sealed class MessageBatch
{
    private const int MostBytes = 16 * 1024;

    [ThreadStatic]
    private static MessageBatch? t_mine;

    private byte[] _frames = new byte[1024];
    private int _length;
    private ChannelTable _table = null!;
    private byte[]? _channel; // null: nothing waits

    /// <summary>Adds a message, after what waits for another channel has been delivered.</summary>
    /// <param name="table">Where the channel is.</param>
    /// <param name="channel">The channel's name, as its table has it.</param>
    /// <param name="kind">The kind of message, as <see cref="MessageFrame.Of"/> takes it.</param>
    /// <param name="message">What it says.</param>
    public static void Add(ChannelTable table, byte[] channel, ReadOnlySpan<byte> kind, ReadOnlySpan<byte> message)
    {
        MessageBatch mine = t_mine ??= new();
        int length = MessageFrame.LengthOf(kind, channel, message);
        if (mine._channel is not null && (mine._channel != channel || mine._table != table || mine._length + length > MostBytes)) mine.DeliverAll();
        if (length > mine._frames.Length - mine._length) Array.Resize(ref mine._frames, Math.Max(mine._frames.Length * 2, mine._length + length));
        MessageFrame.Write(mine._frames.AsSpan(mine._length, length), kind, channel, message);
        mine._length += length;
        mine._table = table;
        mine._channel = channel;
    }

    /// <summary>Gives the subscribers what waits for them.</summary>
    public static void Deliver()
    {
        if (t_mine is { _channel: not null } mine) mine.DeliverAll();
    }

    private void DeliverAll()
    {
        _table.Deliver(_channel, new(PushKind.Message, _frames.AsSpan(0, _length).ToArray()));
        _channel = null;
        _length = 0;
        if (_frames.Length > MostBytes) _frames = new byte[MostBytes];
    }
}
