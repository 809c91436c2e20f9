namespace OrleansRedis.Engine;

/// <summary>An entry of ACL LOG: something that was denied, once or several times.</summary>
/// <param name="Id">Its number since the start; entries are numbered as they appear.</param>
/// <param name="Reason">Why it was denied.</param>
/// <param name="Context">In what.</param>
/// <param name="Object">The command, key or channel that was denied, as Latin-1; for a failed AUTH, the command
/// given.</param>
/// <param name="User">The user's name, as Latin-1.</param>
/// <param name="Client">The last client that it was denied to, as CLIENT LIST shows it.</param>
/// <param name="CreatedMs">Unix time in ms when it was first denied.</param>
/// <param name="UpdatedMs">Unix time in ms when it was last denied.</param>
/// <param name="Count">How many times.</param>
public sealed record AclLogEntry(
    long Id, AclReason Reason, AclContext Context, string Object, string User, string Client, long CreatedMs, long UpdatedMs, long Count);

/// <summary>ACL LOG: what was denied lately, and how often anything has been. Safe for any thread.</summary>
public sealed class AclLog(ServerOptions options)
{
    /// <summary>Within this time the same denial is one entry.</summary>
    private const long MergedWithinMs = 60_000;

    /// <summary>How many of the latest entries are looked at for the same denial.</summary>
    private const int ComparedEntries = 10;

    private readonly Lock _lock = new();
    private readonly LinkedList<AclLogEntry> _entries = []; // the latest first
    private readonly long[] _denied = new long[(int)AclReason.Channel + 1];
    private long _nextId;

    /// <summary>How many times something was denied for this reason (INFO: acl_access_denied_…).</summary>
    public long Denied(AclReason reason) => Volatile.Read(ref _denied[(int)reason]);

    /// <summary>CONFIG RESETSTAT</summary>
    public void ResetStatistics() => Array.Clear(_denied);

    /// <summary>The latest entries, the last one first.</summary>
    public List<AclLogEntry> Latest(long count)
    {
        lock (_lock) return [.. _entries.Take((int)Math.Clamp(count, 0, int.MaxValue))];
    }

    /// <summary>ACL LOG RESET: forgets the entries.</summary>
    public void Clear()
    {
        lock (_lock) _entries.Clear();
    }

    /// <summary>Notes that something was denied.</summary>
    public void Add(AclReason reason, AclContext context, string denied, string user, string client, long nowMs)
    {
        Interlocked.Increment(ref _denied[(int)reason]);
        lock (_lock)
        {
            if (options.AclLogMaxLength > 0)
            {
                AclLogEntry entry = Take(reason, context, denied, user, nowMs) is { } known
                    ? known with { Client = client, UpdatedMs = nowMs, Count = known.Count + 1 }
                    : new(_nextId++, reason, context, denied, user, client, nowMs, nowMs, 1);
                _entries.AddFirst(entry);
            }
            while (_entries.Count > options.AclLogMaxLength) _entries.RemoveLast();
        }
    }

    /// <summary>Takes out the entry that a denial belongs to; null if it is a new one.</summary>
    private AclLogEntry? Take(AclReason reason, AclContext context, string denied, string user, long nowMs)
    {
        LinkedListNode<AclLogEntry>? place = _entries.First;
        for (int i = 0; i < ComparedEntries && place is not null; i++, place = place.Next)
        {
            AclLogEntry entry = place.Value;
            if (entry.Reason != reason || entry.Context != context || Math.Abs(nowMs - entry.UpdatedMs) > MergedWithinMs) continue;
            if (entry.Object != denied || entry.User != user) continue;
            _entries.Remove(place);
            return entry;
        }
        return null;
    }
}
