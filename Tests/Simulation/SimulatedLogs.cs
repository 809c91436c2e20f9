using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// The logs of slots, on the disk of one node or in a store that all silos share. A log is written by the latest to
/// claim it; whatever bears a lower epoch is refused.
/// </summary>
internal sealed class SimulatedLogs(bool checksEpochs)
{
    private readonly Dictionary<int, SlotLog> _logs = [];

    /// <summary>The records of a slot; null if a later epoch has been claimed.</summary>
    public IReadOnlyList<LedgerRecord>? Claim(int slot, long epoch)
    {
        SlotLog log = LogOf(slot);
        if (epoch < log.Epoch && checksEpochs) return null;
        log.Epoch = epoch;
        return [.. log.Records];
    }

    /// <summary>
    /// Appends records from a position on; those that are there already are passed over. Returns the position that the
    /// log has reached; null if a later epoch has been claimed.
    /// </summary>
    public long? Append(int slot, long epoch, long from, IReadOnlyList<LedgerRecord> records)
    {
        SlotLog log = LogOf(slot);
        if (epoch != log.Epoch && checksEpochs) return null;
        if (from <= log.Records.Count) log.Records.AddRange(records.Skip((int)(log.Records.Count - from)));
        return log.Records.Count;
    }

    /// <summary>Begins a slot anew: another copy of it will come.</summary>
    public void Clear(int slot) => _logs[slot] = new();

    /// <summary>What is stored now.</summary>
    public IReadOnlyList<LedgerRecord> this[int slot] => LogOf(slot).Records;

    private SlotLog LogOf(int slot)
    {
        if (!_logs.TryGetValue(slot, out SlotLog? log)) _logs.Add(slot, log = new());
        return log;
    }

    private sealed class SlotLog
    {
        public long Epoch { get; set; }

        public List<LedgerRecord> Records { get; } = [];
    }
}
