using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Commands that go through very many elements (KEYS, SORT, SUNIONSTORE). On the I/O thread they came in on they would keep its other
/// connections waiting. So they run on a thread of the pool, with the gates of their slots and nothing else.
/// </summary>
public sealed partial class Store
{
    /// <summary>As many elements are gone through on the spot; more take longer than some ms, beside which going to another thread is nothing.</summary>
    internal const int MostElementsOnTheSpot = 50_000;

    [ThreadStatic]
    private static List<int>? t_sources;

    /// <summary>
    /// Runs a command whose attempt ended with <see cref="Outcome.Long"/>, between <see cref="SiloGate.EnterLongAsync"/> and <see cref="SiloGate.ExitLong"/>.
    /// A gate that is taken ends it with <see cref="Outcome.Busy"/>, like any other attempt.
    /// </summary>
    public Attempt ExecuteLong(ref CommandContext call)
    {
        if (call.Command.Keys.Count == 0)
        {
            call.IsPatient = true;
            Run(ref call, Hold.None, null);
            return default;
        }
        List<int> slots = t_slots ??= [];
        slots.Clear();
        call.Command.LocateKeys(call.Request, slots);
        Span<int> numbers = CollectionsMarshal.AsSpan(slots);
        foreach (ref int number in numbers) number = KeySlot.Of(call.Request[number]);
        numbers.Sort();
        return RunInSlots(ref call, numbers, isLong: true);
    }

    /// <summary>Whether a command is too much for the spot; the gates of its keys are held.</summary>
    private bool IsLong(in CommandContext call)
    {
        int database = call.Session.Database;
        if (call.Command.Effort == Effort.AllKeys)
        {
            int only = GlobPattern.SlotOf(call[1]);
            return (only < 0 ? Slots.KeyCount(database) : Slots.KeyCount(database, only)) > MostElementsOnTheSpot;
        }
        List<int> positions = t_sources ??= [];
        positions.Clear();
        call.Command.LocateSources(call.Request, positions);
        bool bySmallest = call.Command.Effort == Effort.SmallestKey;
        long sum = 0, smallest = long.MaxValue;
        foreach (int position in positions)
        {
            ReadOnlySpan<byte> key = call.Request[position];
            Entry entry = Slots[KeySlot.Of(key)]?.KeyspaceIfAny(database) is { } keyspace ? keyspace.Find(key) : default;
            // What is in one blob is small.
            long count = entry.IsMissing || entry.IsBlob ? 0 : entry.Value.ElementCount;
            sum += count;
            smallest = Math.Min(smallest, count);
        }
        return (bySmallest ? smallest * positions.Count : sum) > MostElementsOnTheSpot;
    }

    /// <summary>Whether a command with undeclared keys may really reach some: those that a pattern of SORT makes of the elements.</summary>
    private static bool NamesPattern(in Request request)
    {
        for (int i = 2; i < request.Count; i++)
        {
            if (request[i].Contains((byte)'*')) return true;
        }
        return false;
    }
}
