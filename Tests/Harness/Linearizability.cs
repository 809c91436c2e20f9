using System.Text;

namespace OrleansRedis.Tests.Harness;

/// <summary>A command as its client saw it.</summary>
/// <param name="Client">Who sent it.</param>
/// <param name="Words">The command; see <see cref="KeyModel.Run"/>.</param>
/// <param name="Reply">The reply; null if there was none, so that it may have happened at any time after, or never.</param>
/// <param name="Invoked">When it was sent.</param>
/// <param name="Returned">When the reply was there; without one it does not count.</param>
public sealed record HistoryEntry(int Client, string[] Words, string? Reply, long Invoked, long Returned)
{
    public override string ToString() => $"client {Client}: {string.Join(' ', Words)} -> {Reply ?? "?"} [{Invoked}, {(Reply is null ? "" : Returned)}]";
}

/// <summary>
/// Whether a history is linearizable: whether there is an order of its commands, each at some moment between its being
/// sent and its reply, in which one after the other they would have got the same replies. The search is Wing and Gong's
/// (Testing and Verifying Concurrent Objects, 1993), with Lowe's memory of the situations that lead nowhere. Keys that no
/// command names together are looked at one by one.
/// </summary>
public static class Linearizability
{
    /// <summary>Null if the history is linearizable; otherwise where it stops to be.</summary>
    public static string? Refute(IReadOnlyCollection<HistoryEntry> history)
    {
        foreach (List<HistoryEntry> part in Parts(history))
        {
            if (RefutePart(part) is { } refutation) return refutation;
        }
        return null;
    }

    private static string? RefutePart(List<HistoryEntry> entries)
    {
        entries.Sort((one, other) => one.Invoked.CompareTo(other.Invoked));
        var seen = new HashSet<Situation>();
        var path = new Stack<(int Entry, KeyModel Before)>();
        var done = new ulong[(entries.Count + 63) / 64];
        KeyModel state = KeyModel.Empty;
        int answered = entries.Count(entry => entry.Reply is not null), left = answered, best = -1;
        string bestState = "";
        int next = 0; // which entry to try in this situation
        while (left != 0)
        {
            // What is to come next cannot have been sent after the reply to something that is still to come.
            long horizon = long.MaxValue;
            for (int i = 0; i < entries.Count; i++)
            {
                if (!Has(done, i) && entries[i].Reply is not null) horizon = Math.Min(horizon, entries[i].Returned);
            }
            bool isOneFurther = false;
            for (; next < entries.Count && entries[next].Invoked <= horizon; next++)
            {
                if (Has(done, next)) continue;
                (KeyModel after, string reply) = state.Run(entries[next].Words);
                if (entries[next].Reply is { } seenReply && seenReply != reply) continue;
                Flip(done, next);
                if (!seen.Add(new([.. done], after)))
                {
                    Flip(done, next);
                    continue;
                }
                path.Push((next, state));
                state = after;
                if (entries[next].Reply is not null) left--;
                if (answered - left > best) (best, bestState) = (answered - left, state.ToString());
                isOneFurther = true;
                break;
            }
            if (isOneFurther)
            {
                next = 0;
                continue;
            }
            if (path.Count == 0) return Explain(entries, best, bestState);
            (int last, state) = path.Pop();
            Flip(done, last);
            if (entries[last].Reply is not null) left++;
            next = last + 1;
        }
        return null;
    }

    /// <summary>Entries by the keys that belong together.</summary>
    private static IEnumerable<List<HistoryEntry>> Parts(IReadOnlyCollection<HistoryEntry> history)
    {
        var root = new Dictionary<string, string>();
        foreach (HistoryEntry entry in history)
        {
            string? first = null;
            foreach (string key in KeyModel.KeysOf(entry.Words))
            {
                root.TryAdd(key, key);
                if (first is null) first = Find(key);
                else root[Find(key)] = first;
            }
        }
        return history.GroupBy(entry => Find(KeyModel.KeysOf(entry.Words).First())).Select(group => group.ToList());

        string Find(string key)
        {
            while (root[key] != key) key = root[key];
            return key;
        }
    }

    private static string Explain(List<HistoryEntry> entries, int best, string state)
    {
        var text = new StringBuilder("Not linearizable. ").Append(Math.Max(0, best)).Append(" commands can be put in order, up to the state {").Append(state)
            .AppendLine("}. The history:");
        foreach (HistoryEntry entry in entries) text.AppendLine(entry.ToString());
        return text.ToString();
    }

    private static bool Has(ulong[] bits, int index) => (bits[index / 64] >> (index % 64) & 1) != 0;

    private static void Flip(ulong[] bits, int index) => bits[index / 64] ^= 1UL << (index % 64);

    private readonly record struct Situation(ulong[] Done, KeyModel State)
    {
        public bool Equals(Situation other) => State.Equals(other.State) && Done.AsSpan().SequenceEqual(other.Done);

        public override int GetHashCode()
        {
            var hash = default(HashCode);
            foreach (ulong bits in Done) hash.Add(bits);
            hash.Add(State);
            return hash.ToHashCode();
        }
    }
}
