using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>What is pushed to a client.</summary>
internal enum PushKind : byte
{
    /// <summary>Messages, as frames in RESP2 (<see cref="MessageFrame"/>).</summary>
    Message,

    /// <summary>A frame in RESP3, for clients that speak it.</summary>
    Resp3,

    /// <summary>A key has changed that the client has read.</summary>
    Key,

    /// <summary>A key has changed that has a prefix which the client tracks.</summary>
    KeyWithPrefix,

    /// <summary>All keys may have changed.</summary>
    AllKeys,
}

/// <summary>
/// One push on its way to a client. Its bytes are shared by all who get it; what they become depends on the protocol that
/// the client speaks by then.
/// </summary>
/// <param name="Kind">What it is.</param>
/// <param name="Bytes">The frame, or the key.</param>
/// <param name="Prefix">The prefix, if it is about one.</param>
/// <param name="IsRedirected">Whether another client's tracking is redirected to this one.</param>
internal readonly record struct Push(PushKind Kind, byte[] Bytes, TrackedPrefix? Prefix = null, bool IsRedirected = false)
{
    /// <summary>Writes all that a client is to get at one time.</summary>
    /// <param name="output">Its output.</param>
    /// <param name="isInPubSub">Whether it has subscriptions and speaks RESP2.</param>
    /// <param name="pushes">What it gets, in order. Used up.</param>
    public static void WriteAll(RespWriter output, bool isInPubSub, Span<Push> pushes)
    {
        for (int i = 0; i < pushes.Length; i++)
        {
            Push push = pushes[i];
            switch (push.Kind)
            {
                case PushKind.Message when output.Resp3:
                    WriteAsPushes(output, push.Bytes);
                    break;
                case PushKind.Message:
                    output.Raw(push.Bytes);
                    break;
                case PushKind.Resp3:
                    if (output.Resp3) output.Raw(push.Bytes);
                    break;
                case PushKind.Key:
                    if (!TryBeginInvalidation(output, isInPubSub, push.IsRedirected)) break;
                    output.Array(1);
                    output.BulkString(push.Bytes);
                    break;
                case PushKind.AllKeys:
                    if (TryBeginInvalidation(output, isInPubSub, push.IsRedirected)) output.Null();
                    break;
                case PushKind.KeyWithPrefix when push.Prefix is not null: // otherwise it is in an earlier one's message
                    WriteKeys(output, isInPubSub, pushes[i..]);
                    break;
            }
        }
    }

    private static void WriteAsPushes(RespWriter output, ReadOnlySpan<byte> frames)
    {
        for (int at = 0, end; at < frames.Length; at = end)
        {
            end = MessageFrame.EndOf(frames, at);
            output.Raw(">"u8);
            output.Raw(frames[(at + 1)..end]);
        }
    }

    /// <summary>One message for all keys with the prefix of the first one, each of them once.</summary>
    private static void WriteKeys(RespWriter output, bool isInPubSub, Span<Push> pushes)
    {
        Push first = pushes[0];
        var keys = new HashSet<byte[]>(ByteStrings.Comparer);
        foreach (ref Push push in pushes)
        {
            if (push.Prefix != first.Prefix || push.IsRedirected != first.IsRedirected) continue;
            keys.Add(push.Bytes);
            push = push with { Prefix = null };
        }
        if (!TryBeginInvalidation(output, isInPubSub, first.IsRedirected)) return;
        output.Array(keys.Count);
        foreach (byte[] key in keys) output.BulkString(key);
    }

    /// <summary>
    /// Begins a message about keys; false if the client gets none, since in RESP2 it would be taken for a reply, unless
    /// the client has subscriptions and another one's tracking is redirected to it.
    /// </summary>
    private static bool TryBeginInvalidation(RespWriter output, bool isInPubSub, bool isRedirected)
    {
        if (output.Resp3)
        {
            output.Push(2);
            output.BulkString("invalidate"u8);
            return true;
        }
        if (!isRedirected || !isInPubSub) return false;
        output.Array(3);
        output.BulkString("message"u8);
        output.BulkString("__redis__:invalidate"u8);
        return true;
    }
}
