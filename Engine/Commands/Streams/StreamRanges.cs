namespace OrleansRedis.Engine;

/// <summary>Reading a stream by ranges of IDs.</summary>
internal static class StreamRanges
{
    /// <summary>XRANGE key start end [COUNT count]</summary>
    [Command("XRANGE", -4, CommandFlags.ReadOnly, Category.Stream, Keys = "RO ACCESS 1",
        Since = "5.0.0",
        Complexity = "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with "
            + "COUNT), you can consider it O(1).",
        Summary = "Returns the messages from a stream within a range of IDs.",
        Syntax = "key start:string end:string [COUNT count]",
        History = "6.2.0: Added exclusive ranges.")]
    internal static void Xrange(ref CommandContext call) => Range(ref call, startArgument: 2, endArgument: 3, reverse: false);

    /// <summary>XREVRANGE key end start [COUNT count]</summary>
    [Command("XREVRANGE", -4, CommandFlags.ReadOnly, Category.Stream, Keys = "RO ACCESS 1",
        Since = "5.0.0",
        Complexity = "O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), "
            + "you can consider it O(1).",
        Summary = "Returns the messages from a stream within a range of IDs in reverse order.",
        Syntax = "key end:string start:string [COUNT count]",
        History = "6.2.0: Added exclusive ranges.")]
    internal static void Xrevrange(ref CommandContext call) => Range(ref call, startArgument: 3, endArgument: 2, reverse: true);

    private static void Range(ref CommandContext call, int startArgument, int endArgument, bool reverse)
    {
        if (!StreamArguments.TryStart(ref call, startArgument, out StreamId start) || !StreamArguments.TryEnd(ref call, endArgument, out StreamId end)) return;
        long count = -1;
        for (int i = 4; i < call.Count; i += 2)
        {
            if (!call[i].Is("COUNT"u8) || i + 1 >= call.Count)
            {
                call.SyntaxError();
                return;
            }
            if (!call.TryInt64(i + 1, out count)) return;
            count = Math.Max(count, 0);
        }
        if (!StreamArguments.TryReadStream(ref call, 1, out StreamValue? stream)) return;
        if (stream is null) call.Reply.Array(0);
        else if (count == 0) call.Reply.NullArray();
        else Write(call.Reply, stream, start, end, count < 0 ? 0 : count, reverse);
    }

    /// <summary>Writes the entries of a range as an array, at most <paramref name="count"/> unless that is 0.</summary>
    internal static void Write(RespWriter reply, StreamValue stream, StreamId start, StreamId end, long count, bool reverse = false)
    {
        int begin = reply.Begin(), written = 0;
        var range = new StreamRange(stream, start, end, reverse);
        while (range.MoveNext())
        {
            range.WriteTo(reply);
            if (++written == count) break;
        }
        reply.Finish(begin, Aggregate.Array, written);
    }

    /// <summary>Writes one entry. If there is none with this ID, returns false and writes nothing.</summary>
    internal static bool TryWrite(RespWriter reply, StreamValue stream, StreamId id)
    {
        var range = new StreamRange(stream, id, id);
        if (!range.MoveNext()) return false;
        range.WriteTo(reply);
        return true;
    }
}
