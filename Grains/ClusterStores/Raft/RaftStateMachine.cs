using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.ClusterStores.Raft;

/// <summary>
/// The documents, kept up to date by the log, and the snapshots that let the log be cut off. A snapshot is one file,
/// replaced as a whole. DotNext's own SimpleStateMachine would keep what has arrived of a snapshot whose transfer broke
/// off as if it were all of it.
/// </summary>
internal sealed partial class RaftStateMachine : IStateMachine
{
    /// <summary>The log is cut off after this many entries, or this many bytes of them.</summary>
    private const int SnapshotEntries = 512, SnapshotBytes = 8 * 1024 * 1024;

    private readonly string _file;
    private readonly ILogger _logger;
    private volatile RaftDocuments _documents = RaftDocuments.Empty;
    private volatile Snapshot? _snapshot;
    private int _entries;
    private long _bytes;

    /// <exception cref="InvalidDataException">The snapshot on disk is damaged.</exception>
    public RaftStateMachine(string directory, ILogger logger)
    {
        _file = Path.Combine(directory, "snapshot");
        _logger = logger;
        if (!File.Exists(_file)) return;
        byte[] saved = File.ReadAllBytes(_file);
        _documents = RaftDocuments.Load(saved, out long index, out long term);
        _snapshot = new(saved, index, term);
    }

    /// <summary>Told of every command that has taken effect, or been found not to; on the log's thread, in its order.</summary>
    public Action<RaftCommand, RaftOutcome>? Applied { get; set; }

    public RaftDocuments Documents => _documents;

    /// <summary>How much of the log the newest snapshot stands for.</summary>
    public long SnapshotIndex => _snapshot?.Index ?? 0;

    ISnapshot? ISnapshotManager.Snapshot => _snapshot;

    ValueTask ISnapshotManager.ReclaimGarbageAsync(long watermark, CancellationToken token) => default;

    async ValueTask<long> IStateMachine.ApplyAsync(LogEntry entry, CancellationToken token)
    {
        if (entry.IsSnapshot) await InstallAsync(entry, token).ConfigureAwait(false);
        else if (entry.Length > 0) await ApplyAsync(entry, token).ConfigureAwait(false);
        return entry.Index;
    }

    private async ValueTask ApplyAsync(LogEntry entry, CancellationToken token)
    {
        byte[] bytes = await entry.ToByteArrayAsync(token: token).ConfigureAwait(false);
        RaftCommand command = RaftCommand.Decode(bytes);
        _documents = _documents.Apply(command, out RaftOutcome outcome);
        Applied?.Invoke(command, outcome);
        _bytes += bytes.Length;
        if (++_entries < SnapshotEntries && _bytes < SnapshotBytes) return;
        try
        {
            byte[] saved = _documents.Save(entry.Index, entry.Term);
            AtomicFile.Replace(_file, saved);
            _snapshot = new(saved, entry.Index, entry.Term);
        }
        catch (IOException e)
        {
            // The log has it all; it only stays as long as it is.
            LogNotSaved(_logger, _file, e.Message);
        }
        _entries = 0;
        _bytes = 0;
    }

    private async ValueTask InstallAsync(LogEntry entry, CancellationToken token)
    {
        byte[] saved = await entry.ToByteArrayAsync(token: token).ConfigureAwait(false);
        RaftDocuments documents = RaftDocuments.Load(saved, out long index, out long term);
        if (index != entry.Index) throw new InvalidDataException($"A snapshot of the cluster's store is of entry {index}, and should be of {entry.Index}.");
        AtomicFile.Replace(_file, saved);
        _documents = documents;
        _snapshot = new(saved, index, term);
        _entries = 0;
        _bytes = 0;
    }

    [LoggerMessage(LogLevel.Warning, "The cluster's store could not write its snapshot {File}: {Reason}. Its log grows until it can.")]
    private static partial void LogNotSaved(ILogger logger, string file, string reason);

    /// <summary>A snapshot, which is small enough to be kept in memory.</summary>
    private sealed class Snapshot(byte[] saved, long index, long term) : ISnapshot
    {
        public long Index => index;

        public long Term => term;

        long? IDataTransferObject.Length => saved.Length;

        bool IDataTransferObject.IsReusable => true;

        bool IDataTransferObject.TryGetMemory(out ReadOnlyMemory<byte> memory)
        {
            memory = saved;
            return true;
        }

        ValueTask IDataTransferObject.WriteToAsync<TWriter>(TWriter writer, CancellationToken token) => writer.WriteAsync(saved, null, token);
    }
}
