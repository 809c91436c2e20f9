using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>A connection's replies that must not leave before the log is durable up to a position. Completes, once they may, on the thread of the connection's loop.</summary>
/// <param name="log">The log.</param>
/// <param name="since">Where it was before the commands ran, see <see cref="IDurability.WhenCommitted"/>.</param>
/// <param name="position">Where it was after they had run.</param>
internal sealed class HeldReply(IDurability log, long since, long position) : TaskCompletionSource
{
    internal IDurability Log => log;

    internal long Since => since;

    internal long Position => position;
}

/// <summary>
/// The replies of a loop's connections that wait for the log (appendfsync always). When the loop has gone once round its connections, it makes the log durable for all
/// of them, on its own thread, as redis-server does: nobody has to be woken for it. Touched by the loop's thread only.
/// </summary>
internal sealed class HeldReplies
{
    private List<HeldReply> _round = [];
    private List<HeldReply> _spare = [];

    /// <summary>Whether none waits.</summary>
    internal bool AreNone => _round.Count == 0;

    internal void Add(HeldReply reply) => _round.Add(reply);

    /// <summary>The end of a round: all go on, now or when the log can be made durable again.</summary>
    internal void Release()
    {
        List<HeldReply> round = _round;
        _round = _spare; // whoever goes on may have to wait again, for the next round
        long position = 0;
        foreach (HeldReply reply in round) position = Math.Max(position, reply.Position);
        bool isDurable = round[0].Log.TryCommit(position);
        foreach (HeldReply reply in round)
        {
            // What one of another log waits for, which was switched on or off in the middle of the round, is asked there.
            if (isDurable && reply.Log == round[0].Log) reply.SetResult();
            else _ = ReleaseLaterAsync(reply);
        }
        round.Clear();
        _spare = round;
    }

    private static async Task ReleaseLaterAsync(HeldReply reply)
    {
        try
        {
            await reply.Log.WhenCommitted(reply.Since, reply.Position).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            reply.SetException(failure);
            return;
        }
        reply.SetResult();
    }
}
