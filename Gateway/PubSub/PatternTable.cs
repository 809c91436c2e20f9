namespace OrleansRedis.Gateway;

/// <summary>
/// Patterns with their subscribers. Publishers go through all of them without a lock, so what they see never changes: a
/// subscription makes a new array.
/// </summary>
internal sealed class PatternTable
{
    private readonly Lock _changing = new();
    private volatile Pattern[] _patterns = [];

    /// <summary>All patterns with subscribers, in the order in which they were first subscribed to.</summary>
    public Pattern[] All => _patterns;

    public void Add(ClientConnection client, byte[] pattern)
    {
        lock (_changing)
        {
            int at = IndexOf(pattern);
            if (at < 0) _patterns = [.. _patterns, new(pattern, [client])];
            else Replace(at, new(_patterns[at].Name, [.. _patterns[at].Clients, client]));
        }
    }

    /// <summary>
    /// Publishers that have begun already may still give the subscriber messages: see
    /// <see cref="ChannelTable.WaitForPublishers"/>.
    /// </summary>
    public void Remove(ClientConnection client, byte[] pattern)
    {
        lock (_changing)
        {
            int at = IndexOf(pattern);
            if (_patterns[at].Clients.Length == 1) _patterns = [.. _patterns[..at], .. _patterns[(at + 1)..]];
            else Replace(at, new(_patterns[at].Name, [.. _patterns[at].Clients.Where(other => other != client)]));
        }
    }

    private int IndexOf(byte[] pattern) => Array.FindIndex(_patterns, known => known.Name.AsSpan().SequenceEqual(pattern));

    private void Replace(int at, Pattern pattern)
    {
        Pattern[] changed = [.. _patterns];
        changed[at] = pattern;
        _patterns = changed;
    }

    internal sealed record Pattern(byte[] Name, ClientConnection[] Clients);
}
