using System.Collections.Concurrent;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The replies of a loop's connections that must not leave before the operating system has what the log says of them
/// (appendfsync everysec and no), so that they hold even if this process is killed. They wait in the connections' own
/// buffers. When the loop has gone round its connections once, one write serves all of them. Only the loop's thread
/// touches it, except for <see cref="_decided"/>.
/// </summary>
internal sealed class DeferredReplies(EventLoop loop)
{
    private readonly ConcurrentQueue<Round> _decided = new();
    private Round _round = new();
    private Round? _spare;

    /// <summary>Whether this round has none.</summary>
    internal bool AreNone => _round.Writers.Count == 0;

    /// <summary>Holds back what this writer is given from now on.</summary>
    internal void Add(EpollWriter writer, ICommittingLog log)
    {
        if (writer.LastRound == _round) return;
        if (_round.Writers.Count != 0 && _round.Log != log) EndRound(); // the log has changed since this round began
        _round.Log = log;
        _round.Writers.Add(writer);
        writer.LastRound = _round;
        writer.Hold();
    }

    /// <summary>The end of a round.</summary>
    internal void EndRound()
    {
        Round round = _round;
        ICommittingLog log = round.Log!;
        long position = log.Appended;
        // A connection that continues may have to wait again, in the next round.
        _round = _spare ?? new();
        _spare = null;
        if (log.TryCommit(position))
        {
            LetGo(round);
            _spare = round;
        }
        else
        {
            Await(round, position);
        }
    }

    /// <summary>To be called when the loop's bell has rung.</summary>
    internal void Release()
    {
        while (_decided.TryDequeue(out Round? round)) LetGo(round);
    }

    /// <summary>Has the round released later. If the log cannot be written, further writes are refused instead.</summary>
    private void Await(Round round, long position) => round.Log!.OnCommitted(position, () => Decided(round), () => Decided(round));

    private static void LetGo(Round round)
    {
        foreach (EpollWriter writer in round.Writers)
        {
            if (writer.LastRound == round) writer.LastRound = null;
            writer.LetGo();
        }
        round.Writers.Clear();
    }

    /// <summary>Callable from any thread.</summary>
    private void Decided(Round round)
    {
        _decided.Enqueue(round);
        loop.Ring();
    }

    /// <summary>The connections that wait for the same write.</summary>
    internal sealed class Round
    {
        internal List<EpollWriter> Writers { get; } = [];

        internal ICommittingLog? Log { get; set; }
    }
}
