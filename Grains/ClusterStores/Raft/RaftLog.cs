using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;

namespace OrleansRedis.Grains.ClusterStores.Raft;

/// <summary>
/// DotNext's log, with two things made right that a follower owes its leader. DotNext 6.12 answers that entries are
/// replicated when they are in memory-mapped pages, before the checkpoint knows of them, so a follower that is killed at
/// that moment forgets what the leader has counted, and may then elect someone who never had it: here they are on disk
/// first. And it takes every entry that it is sent as a reason to cut off what follows, as if it differed: here an entry
/// that is there already, by its term, is passed over, so that a request that comes late takes nothing away.
/// </summary>
internal sealed class RaftLog(WriteAheadLog.Options options, IStateMachine machine) : WriteAheadLog(options, machine), IAuditTrail<IRaftLogEntry>
{
    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(
        ILogEntryProducer<TEntry> entries, long startIndex, bool skipCommitted, CancellationToken token)
    {
        if (entries.RemainingCount == 0) return;
        var rest = new Rest<TEntry>(entries);
        while (await rest.MoveToNextAsync().ConfigureAwait(false))
        {
            bool isCommitted = skipCommitted && startIndex <= LastCommittedEntryIndex;
            if (!isCommitted && !await HasAsync(startIndex, rest.Current.Term, token).ConfigureAwait(false))
            {
                await AppendAsync(rest, startIndex, skipCommitted: false, token).ConfigureAwait(false);
                break;
            }
            startIndex++;
        }
        // Also if nothing was new: the request that brought it may have been cut off before this line.
        await FlushAsync(token).ConfigureAwait(false);
    }

    private async ValueTask<bool> HasAsync(long index, long term, CancellationToken token)
    {
        if (index > LastEntryIndex) return false;
        using LogEntryReader reader = await ReadAsync(index, index, token).ConfigureAwait(false);
        return reader[0].Term == term;
    }

    /// <summary>The entries of a producer from one on that has been looked at already.</summary>
    private sealed class Rest<TEntry>(ILogEntryProducer<TEntry> entries) : ILogEntryProducer<TEntry>
        where TEntry : IRaftLogEntry
    {
        private bool _isLookedAt;

        public TEntry Current => entries.Current;

        public long RemainingCount => entries.RemainingCount + (_isLookedAt ? 1 : 0);

        public async ValueTask<bool> MoveToNextAsync() => _isLookedAt = await entries.MoveNextAsync().ConfigureAwait(false);

        public ValueTask<bool> MoveNextAsync()
        {
            if (!_isLookedAt) return entries.MoveNextAsync();
            _isLookedAt = false;
            return new(true);
        }

        public ValueTask DisposeAsync() => entries.DisposeAsync();
    }
}
