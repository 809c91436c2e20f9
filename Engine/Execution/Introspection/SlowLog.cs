using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// SLOWLOG: the latest commands that took slowlog-log-slower-than or longer, at most slowlog-max-len of them. It belongs
/// to the silo, whoever called.
/// </summary>
public sealed class SlowLog(ServerOptions options)
{
    private readonly Lock _changing = new();
    private readonly LinkedList<SlowLogEntry> _entries = []; // the latest first
    private long _nextId;

    /// <summary>How many entries there are.</summary>
    public int Length
    {
        get
        {
            lock (_changing)
            {
                Trim();
                return _entries.Count;
            }
        }
    }

    /// <summary>The latest entries, latest first.</summary>
    public SlowLogEntry[] Latest(long most)
    {
        lock (_changing)
        {
            Trim();
            return [.. _entries.Take((int)Math.Min(most, _entries.Count))];
        }
    }

    /// <summary>SLOWLOG RESET: forgets all entries. Their numbers are not used again.</summary>
    public void Reset()
    {
        lock (_changing) _entries.Clear();
    }

    /// <summary>Notes a command, if it took long enough.</summary>
    internal void Add(Session session, CommandInfo command, in Request request, long microseconds, long nowMs)
    {
        if (options.SlowlogLogSlowerThan < 0 || microseconds < options.SlowlogLogSlowerThan || options.SlowlogMaxLen == 0) return;
        byte[][] arguments = SlowLogEntry.Shorten(command, request);
        string address = session.Address, name = session.ClientName;
        lock (_changing)
        {
            _entries.AddFirst(new SlowLogEntry(_nextId++, nowMs / 1000, microseconds, arguments, address, name));
            Trim();
        }
    }

    private void Trim()
    {
        while (_entries.Count > options.SlowlogMaxLen) _entries.RemoveLast();
    }
}

/// <summary>A command in the slow log.</summary>
/// <param name="Id">Its number; it increases by one with each entry.</param>
/// <param name="Seconds">When it ended, in Unix time.</param>
/// <param name="Microseconds">How long it took.</param>
/// <param name="Arguments">What was asked for, without secrets and not at full length.</param>
/// <param name="Address">The client's address.</param>
/// <param name="ClientName">The client's name, or nothing.</param>
public sealed record SlowLogEntry(long Id, long Seconds, long Microseconds, byte[][] Arguments, string Address, string ClientName)
{
    private const int MostArguments = 32;
    private const int LongestArgument = 128;

    /// <summary>A request's arguments as an entry keeps them.</summary>
    internal static byte[][] Shorten(CommandInfo command, in Request request)
    {
        var arguments = new byte[Math.Min(request.Count, MostArguments)][];
        for (int i = 0; i < arguments.Length; i++)
        {
            ReadOnlySpan<byte> argument = request[i];
            if (i == MostArguments - 1 && request.Count > MostArguments)
                arguments[i] = Encoding.ASCII.GetBytes($"... ({request.Count - MostArguments + 1} more arguments)");
            else if (SecretArguments.Covers(command, request, i))
                arguments[i] = SecretArguments.InTheirPlace.ToArray();
            else if (argument.Length > LongestArgument)
                arguments[i] = [.. argument[..LongestArgument], .. Encoding.ASCII.GetBytes($"... ({argument.Length - LongestArgument} more bytes)")];
            else
                arguments[i] = argument.ToArray();
        }
        return arguments;
    }
}
