using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// A connection's replies that must not leave before the log is durable up to a position. Completes when they have been
/// sent.
/// </summary>
internal sealed class HeldReply(PipeWriter output) : TaskCompletionSource
{
    /// <summary>The log that they wait for.</summary>
    internal required ICommittingLog Log { get; init; }

    /// <summary>The log's position after the commands had run.</summary>
    internal required long Position { get; init; }

    /// <summary>The replies, in a buffer of the shared pool.</summary>
    internal required byte[] Bytes { get; init; }

    internal required int Length { get; init; }

    /// <summary>The log is durable: sends the replies. A failure is reported by the task that waits for them.</summary>
    internal async Task SendAsync()
    {
        try
        {
            await output.WriteAsync(Bytes.AsMemory(0, Length)).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            SetException(failure);
            return;
        }
        ArrayPool<byte>.Shared.Return(Bytes);
        SetResult();
    }
}

/// <summary>
/// The replies of a loop's connections that wait for the log (appendfsync always). When the loop has gone round its
/// connections once, one commit serves all of them. The loop commits itself, as redis-server does, where the disk is
/// fast enough for that; otherwise the log's thread does, and the loop runs other commands meanwhile. Only the loop's
/// thread touches it, except for <see cref="_durable"/>.
/// </summary>
internal sealed class HeldReplies(EventLoop loop)
{
    private readonly ConcurrentQueue<List<HeldReply>> _durable = new();
    private List<HeldReply> _round = [];

    /// <summary>Whether this round has none.</summary>
    internal bool AreNone => _round.Count == 0;

    internal void Add(HeldReply reply)
    {
        if (_round.Count != 0 && _round[0].Log != reply.Log) EndRound(); // the log has changed since this round began
        _round.Add(reply);
    }

    /// <summary>The end of a round.</summary>
    internal void EndRound()
    {
        List<HeldReply> round = _round;
        // A connection that continues may have to wait again, in the next round.
        _round = new(round.Count);
        long position = 0;
        foreach (HeldReply reply in round) position = Math.Max(position, reply.Position);
        ICommittingLog log = round[0].Log;
        if (log.TryCommit(position)) Release(round);
        else log.OnCommitted(position, () => ReleaseLater(round));
    }

    /// <summary>To be called when the loop's bell has rung.</summary>
    internal void Release()
    {
        while (_durable.TryDequeue(out List<HeldReply>? round)) Release(round);
    }

    private static void Release(List<HeldReply> round)
    {
        foreach (HeldReply reply in round) _ = reply.SendAsync();
    }

    /// <summary>Callable from any thread.</summary>
    private void ReleaseLater(List<HeldReply> round)
    {
        _durable.Enqueue(round);
        loop.Ring();
    }
}
