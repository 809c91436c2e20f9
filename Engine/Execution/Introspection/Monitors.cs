using System.Buffers;
using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>Someone who is shown every command that this silo runs (MONITOR).</summary>
public interface IMonitor
{
    /// <summary>
    /// A command has run. This is called inside the command's gates, and must neither wait nor use the keyspace.
    /// </summary>
    /// <param name="line">The command, as a reply of its own.</param>
    void Show(byte[] line);
}

/// <summary>
/// MONITOR: the clients that are shown every command. A command is shown inside its gates, so that commands on the same
/// keys appear in the order in which they were run. A script appears before its commands, all at its end: until then it
/// may have to begin anew.
/// </summary>
public sealed class Monitors(Clock clock)
{
    private const CommandFlags NotShown = CommandFlags.Admin | CommandFlags.SkipMonitor;

    private readonly Lock _showing = new();
    private volatile IMonitor[] _all = [];

    [ThreadStatic]
    private static List<(long Microseconds, byte[] Shown)>? t_inScript;

    /// <summary>Whether there is anyone to show commands to.</summary>
    public bool Any => _all.Length != 0;

    /// <summary>From now on it is shown every command.</summary>
    public void Add(IMonitor monitor)
    {
        lock (_showing)
        {
            if (!_all.Contains(monitor)) _all = [.. _all, monitor];
        }
    }

    /// <summary>It is shown no more.</summary>
    public void Remove(IMonitor monitor)
    {
        lock (_showing) _all = [.. _all.Where(other => other != monitor)];
    }

    /// <summary>A command has run, by itself or in a transaction.</summary>
    internal void Show(Session session, CommandInfo command, in Request request)
    {
        if (command.Is(CommandFlags.RunsScript)) ShowScript(session, command, request);
        else if (!command.Is(NotShown)) Show(clock.NowMicroseconds, Describe(session, session.MonitorName, command, request), null);
    }

    /// <summary>A script has run a command.</summary>
    internal void ShowInScript(Session session, CommandInfo command, in Request request)
    {
        if (!command.Is(NotShown)) (t_inScript ??= []).Add((clock.NowMicroseconds, Describe(session, "lua", command, request)));
    }

    /// <summary>A script has not run to its end, and will begin anew: nothing that it did on this thread has happened.</summary>
    internal static void ForgetScript() => t_inScript?.Clear();

    private void ShowScript(Session session, CommandInfo command, in Request request)
    {
        List<(long Microseconds, byte[] Shown)>? commands = t_inScript;
        long began = commands is { Count: > 0 } ? commands[0].Microseconds : clock.NowMicroseconds;
        Show(began, Describe(session, session.MonitorName, command, request), commands);
        commands?.Clear();
    }

    private void Show(long microseconds, byte[] rest, List<(long Microseconds, byte[] Shown)>? more)
    {
        lock (_showing)
        {
            Show(microseconds, rest);
            if (more is null) return;
            foreach ((long when, byte[] what) in more) Show(when, what);
        }
    }

    private void Show(long microseconds, byte[] rest)
    {
        string time = string.Create(CultureInfo.InvariantCulture, $"+{microseconds / 1_000_000}.{microseconds % 1_000_000:D6} ");
        byte[] line = [.. Encoding.ASCII.GetBytes(time), .. rest];
        foreach (IMonitor monitor in _all) monitor.Show(line);
    }

    /// <summary>Everything of a line but the time: [database client] "argument" "argument"…</summary>
    private static byte[] Describe(Session session, string name, CommandInfo command, in Request request)
    {
        var line = new ArrayBufferWriter<byte>();
        line.Write(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"[{session.Database} {name}]")));
        for (int i = 0; i < request.Count; i++)
        {
            line.Write(" "u8);
            QuotedWords.Quote(line, SecretArguments.Covers(command, request, i) ? SecretArguments.InTheirPlace : request[i]);
        }
        line.Write("\r\n"u8);
        return line.WrittenSpan.ToArray();
    }
}
