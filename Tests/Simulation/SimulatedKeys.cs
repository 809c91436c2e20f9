using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// What a simulated slot holds: the numbers of the operations that have changed it, in their order. An operation must
/// not be there twice.
/// </summary>
internal sealed class SimulatedKeys
{
    private readonly HashSet<long> _operations = [];

    public int Count => _operations.Count;

    /// <summary>Replays a log.</summary>
    public static (SimulatedKeys Keys, SlotLedger Ledger) Replay(int slot, IEnumerable<LedgerRecord> records)
    {
        var keys = new SimulatedKeys();
        var ledger = new SlotLedger();
        foreach (LedgerRecord record in records)
        {
            if (record.Effects is long operation) keys.Add(slot, operation);
            ledger.Add(record);
        }
        return (keys, ledger);
    }

    public bool Contains(long operation) => _operations.Contains(operation);

    public void Add(int slot, long operation)
    {
        if (!_operations.Add(operation)) throw new InvariantException($"Operation {operation} is applied to slot {slot} twice.");
    }
}
