using System.Text;

namespace OrleansRedis.Engine;

/// <summary>LATENCY: what took long, and how long commands take.</summary>
internal static class LatencyCommand
{
    private const CommandFlags Flags = CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;
    private const string Tips = "nondeterministic_output;request_policy:all_nodes;response_policy:special";

    /// <summary>LATENCY LATEST</summary>
    [Command("LATENCY|LATEST", 2, Flags, Category.None, Since = "2.8.13", Complexity = "O(1)",
        Summary = "Returns the latest latency samples for all events.", Group = "server", Tips = Tips)]
    internal static void Latest(ref CommandContext call)
    {
        LatencySeries[] events = call.Store.Latency.Events();
        call.Reply.Array(events.Length);
        foreach (LatencySeries series in events)
        {
            call.Reply.Array(4);
            call.Reply.BulkString(series.Kind);
            call.Reply.Integer(series.Latest.Seconds);
            call.Reply.Integer(series.Latest.Ms);
            call.Reply.Integer(series.MostMs);
        }
    }

    /// <summary>LATENCY HISTORY event</summary>
    [Command("LATENCY|HISTORY", 3, Flags, Category.None, Since = "2.8.13", Complexity = "O(1)",
        Summary = "Returns timestamp-latency samples for an event.", Group = "server", Syntax = "event", Tips = Tips)]
    internal static void History(ref CommandContext call)
    {
        LatencySample[] samples = call.Store.Latency.Events(ByteText.Decode(call[2]))?.Samples ?? [];
        call.Reply.Array(samples.Length);
        foreach (LatencySample sample in samples)
        {
            call.Reply.Array(2);
            call.Reply.Integer(sample.Seconds);
            call.Reply.Integer(sample.Ms);
        }
    }

    /// <summary>LATENCY GRAPH event</summary>
    [Command("LATENCY|GRAPH", 3, Flags, Category.None, Since = "2.8.13", Complexity = "O(1)",
        Summary = "Returns a latency graph for an event.", Group = "server", Syntax = "event", Tips = Tips)]
    internal static void Graph(ref CommandContext call)
    {
        if (call.Store.Latency.Events(ByteText.Decode(call[2])) is { } series)
            call.Reply.Verbatim("txt"u8, Encoding.ASCII.GetBytes(LatencyReport.Graph(series, call.NowMs / 1000)));
        else call.Reply.Error([.. "ERR No samples available for event '"u8, .. call[2], .. "'"u8]);
    }

    /// <summary>LATENCY DOCTOR</summary>
    [Command("LATENCY|DOCTOR", 2, Flags, Category.None, Since = "2.8.13", Complexity = "O(1)",
        Summary = "Returns a human-readable latency analysis report.", Group = "server", Tips = Tips)]
    internal static void Doctor(ref CommandContext call) =>
        call.Reply.Verbatim("txt"u8, Encoding.UTF8.GetBytes(LatencyReport.Of(call.Store.Latency.Events(), call.Store.Options, call.NowMs / 1000)));

    /// <summary>LATENCY RESET [event [event ...]]</summary>
    [Command("LATENCY|RESET", -2, Flags, Category.None, Since = "2.8.13", Complexity = "O(1)",
        Summary = "Resets the latency data for one or more events.", Group = "server", Syntax = "[event [event ...]]",
        Tips = "request_policy:all_nodes;response_policy:agg_sum")]
    internal static void Reset(ref CommandContext call)
    {
        LatencyMonitor monitor = call.Store.Latency;
        int count = call.Count == 2 ? monitor.Reset() : 0;
        for (int i = 2; i < call.Count; i++) count += monitor.Reset(ByteText.Decode(call[i]));
        call.Reply.Integer(count);
    }

    /// <summary>LATENCY HISTOGRAM [command [command ...]]</summary>
    [Command("LATENCY|HISTOGRAM", -2, Flags, Category.None, Since = "7.0.0",
        Complexity = "O(N) where N is the number of commands with latency information being retrieved.",
        Summary = "Returns the cumulative distribution of latencies of a subset or all commands.", Group = "server", Syntax = "[COMMAND [COMMAND ...]]",
        Tips = Tips)]
    internal static void Histogram(ref CommandContext call)
    {
        var found = new List<(CommandInfo Command, LatencyHistogram Histogram)>();
        if (call.Store.Observer?.Statistics is { } statistics)
        {
            if (call.Count == 2)
            {
                foreach (CommandInfo command in call.Store.Commands.Commands) Collect(statistics, command, found);
            }
            for (int i = 2; i < call.Count; i++)
            {
                if (Find(call.Store.Commands, call[i]) is { } command) Collect(statistics, command, found);
            }
        }
        RespWriter reply = call.Reply;
        reply.Map(found.Count);
        foreach ((CommandInfo command, LatencyHistogram histogram) in found)
        {
            reply.BulkString(command.NameBytes);
            reply.Map(2);
            reply.BulkString("calls"u8);
            reply.Integer(histogram.Total);
            reply.BulkString("histogram_usec"u8);
            (long Microseconds, long Count)[] buckets = [.. histogram.Cumulative()];
            reply.Map(buckets.Length);
            foreach ((long microseconds, long count) in buckets)
            {
                reply.Integer(microseconds);
                reply.Integer(count);
            }
        }
    }

    /// <summary>LATENCY HELP</summary>
    [Command("LATENCY|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.None, Since = "2.8.13", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.", Group = "server")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call,
        """
        DOCTOR
            Return a human readable latency analysis report.
        GRAPH <event>
            Return an ASCII latency graph for the <event> class.
        HISTORY <event>
            Return time-latency samples for the <event> class.
        LATEST
            Return the latest latency samples for all events.
        RESET [<event> ...]
            Reset latency data of one or more <event> classes.
            (default: reset all data for all event classes)
        HISTOGRAM [COMMAND ...]
            Return a cumulative distribution of latencies in the format of a histogram for the specified command names.
            If no commands are specified then all histograms are replied.
        """);

    /// <summary>The command with this name, "container|subcommand" for one of a container's.</summary>
    private static CommandInfo? Find(CommandTable commands, ReadOnlySpan<byte> name)
    {
        int bar = name.IndexOf((byte)'|');
        if (bar < 0) return commands.Find(name);
        return commands.Find(name[..bar]) is { } container ? CommandTable.FindSubcommand(container, name[(bar + 1)..]) : null;
    }

    private static void Collect(CommandStatistics statistics, CommandInfo command, List<(CommandInfo Command, LatencyHistogram Histogram)> found)
    {
        if (statistics.HistogramOf(command) is { Total: > 0 } histogram) found.Add((command, histogram));
        foreach (CommandInfo subcommand in command.Subcommands?.Values ?? Enumerable.Empty<CommandInfo>()) Collect(statistics, subcommand, found);
    }
}
