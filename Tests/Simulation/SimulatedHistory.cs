using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// What clients have asked for and what they were told, and the promises that can be checked against that: a slot is
/// served in ascending epochs, what was acknowledged is never missing, and nobody sees less than somebody before.
/// </summary>
internal sealed class SimulatedHistory(int slots)
{
    private readonly long[] _epochs = new long[slots];
    private readonly long[] _recovered = new long[slots];
    private readonly int[] _seen = new int[slots];
    private readonly List<long>[] _acknowledged = [.. Enumerable.Range(0, slots).Select(_ => new List<long>())];
    private readonly List<Operation> _operations = [];

    /// <summary>How many operations were acknowledged, and how many of them were on several slots.</summary>
    public int Acknowledged { get; private set; }

    public int UnitsAcknowledged { get; private set; }

    public Operation Begin(params int[] onSlots)
    {
        var operation = new Operation(_operations.Count + 1, onSlots, onSlots.Length == 1 ? _seen[onSlots[0]] : 0);
        _operations.Add(operation);
        return operation;
    }

    /// <summary>A silo does something in a slot under an epoch.</summary>
    public void OnServed(int slot, long epoch)
    {
        if (epoch < _epochs[slot]) throw new InvariantException($"Slot {slot} is served in epoch {epoch} after epoch {_epochs[slot]}.");
        _epochs[slot] = epoch;
    }

    /// <summary>A client is told the result of an operation: how many others its slot has seen.</summary>
    public void OnAcknowledged(Operation operation, bool isWrite, object? reply)
    {
        Acknowledged++;
        if (operation.Slots.Length > 1) UnitsAcknowledged++;
        if (isWrite)
        {
            foreach (int slot in operation.Slots) _acknowledged[slot].Add(operation.Number);
        }
        if (reply is not int count) return;
        int only = operation.Slots[0];
        if (count < operation.SeenBefore) throw new InvariantException($"Slot {only} shows {count} operations after it has shown {operation.SeenBefore}.");
        _seen[only] = Math.Max(_seen[only], count);
    }

    /// <summary>
    /// Somebody has recovered a slot. What is prepared is not lost, if it is not done either. Whoever hears of its claim
    /// after another one has recovered the slot may find less, but serves nothing.
    /// </summary>
    public void OnRecovered(int slot, long epoch, SimulatedKeys keys, PreparedRecord? prepared)
    {
        if (epoch < _recovered[slot]) return;
        _recovered[slot] = epoch;
        foreach (long number in _acknowledged[slot])
        {
            if (keys.Contains(number) || (prepared?.Part is long part && part == number)) continue;
            throw new InvariantException($"Operation {number} on slot {slot} was acknowledged and is lost.");
        }
    }

    /// <summary>Checks, at the end, that every operation has happened in all of its slots or in none.</summary>
    public void CheckWhole(SimulatedKeys[] keys)
    {
        for (int slot = 0; slot < keys.Length; slot++) OnRecovered(slot, long.MaxValue, keys[slot], null);
        foreach (Operation operation in _operations)
        {
            int done = operation.Slots.Count(slot => keys[slot].Contains(operation.Number));
            if (done != 0 && done != operation.Slots.Length)
                throw new InvariantException($"Operation {operation.Number} has happened in {done} of the slots {string.Join(" ", operation.Slots)}.");
        }
    }

    /// <param name="Number">Its number.</param>
    /// <param name="Slots">Its slots.</param>
    /// <param name="SeenBefore">How many operations its slot had shown to anybody before this one began.</param>
    public sealed record Operation(long Number, int[] Slots, int SeenBefore);
}
