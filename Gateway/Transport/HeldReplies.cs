using System.Collections.Concurrent;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// A connection's replies that must not leave before the log is durable up to a position. Completes when they have been
/// sent.
/// </summary>
internal sealed class HeldReply(PipeWriter output) : TaskCompletionSource
{
    private bool _isOver; // sent or given up; for the loop alone

    /// <summary>The log that they wait for.</summary>
    internal required ICommittingLog Log { get; init; }

    /// <summary>The log's position after the commands had run.</summary>
    internal required long Position { get; init; }

    /// <summary>The replies, in a buffer of <see cref="LargeBuffers"/>.</summary>
    internal required byte[] Bytes { get; init; }

    internal required int Length { get; init; }

    /// <summary>Whether any of them is a reply to a command that may have changed something.</summary>
    internal required bool HasWrites { get; init; }

    /// <summary>How many they are, if all of them are replies to commands that only read; otherwise 0.</summary>
    internal required int Reads { get; init; }

    /// <summary>The connection. Set by <see cref="EpollConnection.Hold"/>.</summary>
    internal EpollConnection Connection { get; set; } = null!;

    /// <summary>The log is durable: sends the replies. A failure is reported by the task that waits for them.</summary>
    internal void Send() => _ = SendAsync(Bytes.AsMemory(0, Length));

    /// <summary>
    /// The log cannot be written. Replies to writes wait until it can be, since nobody knows what will have become of
    /// them. Reads get an error in place of each reply. If there is something else among them, such as SELECT's reply,
    /// an error would be wrong for that, and the connection is closed.
    /// </summary>
    internal void GiveUp()
    {
        if (HasWrites || _isOver) return;
        if (Reads == 0)
        {
            _isOver = true;
            var reason = new ConnectionAbortedException("The log, for which replies wait, cannot be written.");
            Connection.Abandon(reason);
            SetException(reason);
            return;
        }
        var errors = new RespWriter();
        for (int i = 0; i < Reads; i++) errors.Error(Log.WriteError ?? Errors.LogFailed);
        _ = SendAsync(errors.WrittenMemory);
    }

    private async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        if (_isOver) return;
        _isOver = true;
        try
        {
            await output.WriteAsync(bytes).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            SetException(failure);
            return;
        }
        LargeBuffers.Return(Bytes);
        SetResult();
    }
}

/// <summary>
/// The replies of a loop's connections that wait for the log (appendfsync always). When the loop has gone round its
/// connections once, one commit serves all of them. The loop commits itself, as redis-server does, where the disk is
/// fast enough for that; otherwise the log's thread does, and the loop runs other commands meanwhile. Only the loop's
/// thread touches it, except for <see cref="_decided"/>.
/// </summary>
internal sealed class HeldReplies(EventLoop loop)
{
    private readonly ConcurrentQueue<(List<HeldReply> Round, bool IsDurable)> _decided = new();
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
        if (log.TryCommit(position)) Release(round, isDurable: true);
        else log.OnCommitted(position, () => Decided(round, isDurable: true), () => Decided(round, isDurable: false));
    }

    /// <summary>To be called when the loop's bell has rung.</summary>
    internal void Release()
    {
        while (_decided.TryDequeue(out (List<HeldReply> Round, bool IsDurable) next)) Release(next.Round, next.IsDurable);
    }

    private static void Release(List<HeldReply> round, bool isDurable)
    {
        foreach (HeldReply reply in round)
        {
            if (isDurable) reply.Send();
            else reply.GiveUp();
        }
    }

    /// <summary>Callable from any thread.</summary>
    private void Decided(List<HeldReply> round, bool isDurable)
    {
        _decided.Enqueue((round, isDurable));
        loop.Ring();
    }
}
