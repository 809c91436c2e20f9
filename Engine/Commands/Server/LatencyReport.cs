using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>LATENCY DOCTOR's findings, in the tone that Redis's users know, and LATENCY GRAPH's picture.</summary>
internal static class LatencyReport
{
    private const int Columns = 80;
    private const int Rows = 4;

    /// <summary>A row of the graph shows three heights.</summary>
    private const string Heights = "_o#";

    /// <summary>What may be done about it. An advice is given once, in this order, whatever it is given for.</summary>
    private static readonly (string[] Kinds, string Text)[] s_advices =
    [
        (["command"],
            "Check your Slow Log to understand what are the commands you are running which are too slow to execute. "
            + "Please check https://redis.io/commands/slowlog for more information."),
        (["fast-command"],
            "The system is slow to execute Redis code paths not containing system calls. This usually means the system does not provide Redis CPU "
            + "time to run for long periods. You should try to:\n"
            + "  1) Lower the system load.\n"
            + "  2) Use a computer / VM just for Redis if you are running other software in the same system.\n"
            + "  3) Check if you have a \"noisy neighbour\" problem.\n"
            + "  4) Check with 'redis-cli --intrinsic-latency 100' what is the intrinsic latency in your system.\n"
            + "  5) Check gc_pause_total_ms in INFO memory: the runtime may have been collecting garbage."),
        (["aof-write-pending-fsync", "aof-write-alone", "rdb-unlink-temp-file", "aof-rename"],
            "It is strongly advised to use local disks for persistence, especially if you are using AOF. Remote disks provided by "
            + "platform-as-a-service providers are known to be slow."),
        (["aof-write-pending-fsync", "aof-write-active-child", "aof-write-alone", "aof-rename"],
            "SSD disks are able to reduce fsync latency, and total time needed for snapshotting and AOF log rewriting (resulting in smaller memory "
            + "usage). With extremely high write load SSD disks can be a good option. However Redis should perform reasonably with high load using "
            + "normal disks. Use this advice as a last resort."),
        (["aof-write-pending-fsync", "aof-write-active-child", "aof-write-alone", "aof-rename"],
            "Mounting ext3/4 filesystems with data=writeback can provide a performance boost compared to data=ordered, however this mode of "
            + "operation provides less guarantees, and sometimes it can happen that after a hard crash the AOF file will have a half-written command "
            + "at the end and will require to be repaired before Redis restarts."),
        (["aof-write-pending-fsync", "rdb-unlink-temp-file"],
            "Try to lower the disk contention. This is often caused by other disk intensive processes running in the same computer (including other "
            + "Redis instances)."),
        (["aof-write-active-child"],
            "Assuming from the point of view of data safety this is viable in your environment, you could try to enable the "
            + "'no-appendfsync-on-rewrite' option, so that fsync will not be performed while a snapshot or a rewrite of the AOF is under way (the "
            + "moment where there is high disk contention)."),
        (["aof-fsync-always"],
            "Your fsync policy is set to 'always'. It is very hard to get good performances with such a setup, if possible try to relax the fsync "
            + "policy to 'everysec'."),
        (["expire-cycle"],
            "In order to make the Redis keys expiring process more incremental, try to set the 'hz' configuration parameter to 100 using "
            + "'CONFIG SET hz 100'."),
        (["command", "expire-cycle", "eviction-del"],
            "Deleting, expiring or evicting (because of maxmemory policy) large objects is a blocking operation. If you have very large objects that "
            + "are often deleted, expired, or evicted, try to fragment those objects into multiple smaller objects."),
        (["eviction-cycle"],
            "Sudden changes to the 'maxmemory' setting via 'CONFIG SET', or allocation of large objects via sets or sorted sets intersections, STORE "
            + "option of SORT, large keys migrations (RESTORE command), may create sudden memory pressure forcing the server to block trying to "
            + "evict keys."),
    ];

    /// <summary>LATENCY DOCTOR</summary>
    /// <param name="events">What has happened.</param>
    /// <param name="options">The directives.</param>
    /// <param name="now">The present second.</param>
    public static string Of(IReadOnlyList<LatencySeries> events, ServerOptions options, long now)
    {
        if (events.Count == 0 && options.LatencyMonitorThreshold == 0)
        {
            return "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \"CONFIG SET "
                + "latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep space mission I'd suggest to take a look "
                + "at https://redis.io/topics/latency-monitor.\n";
        }
        if (events.Count == 0)
        {
            return "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest bit. I honestly think you "
                + "ought to sit down calmly, take a stress pill, and think things over.\n";
        }
        var report = new StringBuilder("Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, do you Dave?\n\n");
        for (int i = 0; i < events.Count; i++) Describe(report, i + 1, events[i], now);
        IEnumerable<string> usual = s_advices.Where(advice => Applies(advice.Kinds, events, options)).Select(advice => advice.Text);
        string[] advices = [.. SlowLogAdvice(events, options), .. usual];
        if (advices.Length == 0)
        {
            return report.Append("\nWhile there are latency events logged, I'm not able to suggest any easy fix. Please use the Redis community to get "
                + "some help, providing this report in your help request.\n").ToString();
        }
        report.Append("\nI have a few advices for you:\n\n");
        foreach (string advice in advices) report.Append("- ").Append(advice).Append('\n');
        return report.ToString();
    }

    /// <summary>LATENCY GRAPH: a column for each second, its height between the least and the most of them.</summary>
    public static string Graph(LatencySeries series, long now)
    {
        LatencySample[] samples = series.Samples;
        long least = samples.Min(sample => sample.Ms), most = samples.Max(sample => sample.Ms);
        var graph = new StringBuilder();
        graph.Append(CultureInfo.InvariantCulture, $"{series.Kind} - high {most} ms, low {least} ms (all time high {series.MostMs} ms)\n");
        graph.Append('-', Columns).Append('\n');
        for (int from = 0; from < samples.Length; from += Columns)
        {
            if (from > 0) graph.Append('\n');
            Draw(graph, samples.AsSpan(from, Math.Min(Columns, samples.Length - from)), least, Math.Max(1, most - least), now);
        }
        return graph.ToString();
    }

    private static void Draw(StringBuilder graph, ReadOnlySpan<LatencySample> samples, long least, long range, long now)
    {
        int steps = Rows * Heights.Length;
        for (int row = Rows - 1; row >= 0; row--)
        {
            foreach (LatencySample sample in samples)
            {
                int step = (int)Math.Min(steps - 1, (sample.Ms - least) * steps / range) - (row * Heights.Length);
                graph.Append(step < 0 ? ' ' : step < Heights.Length ? Heights[step] : '|');
            }
            graph.Append('\n');
        }
        graph.Append(' ', samples.Length).Append('\n');
        // How long ago it was, from top to bottom.
        var labels = new string[samples.Length];
        for (int i = 0; i < labels.Length; i++) labels[i] = Age(now - samples[i].Seconds);
        int longest = labels.Max(label => label.Length);
        for (int line = 0; line < longest; line++)
        {
            foreach (string label in labels) graph.Append(line < label.Length ? label[line] : ' ');
            graph.Append('\n');
        }
    }

    private static string Age(long seconds) => seconds switch
    {
        < 60 => $"{seconds}s",
        < 3600 => $"{seconds / 60}m",
        < 86400 => $"{seconds / 3600}h",
        _ => $"{seconds / 86400}d",
    };

    private static void Describe(StringBuilder report, int number, LatencySeries series, long now)
    {
        LatencySample[] samples = series.Samples;
        long average = samples.Sum(sample => sample.Ms) / samples.Length;
        long deviation = samples.Sum(sample => Math.Abs(average - sample.Ms)) / samples.Length;
        double period = Math.Max(1, now - samples[0].Seconds) / (double)samples.Length;
        report.Append(CultureInfo.InvariantCulture, $"{number}. {series.Kind}: {samples.Length} latency spikes (average {average}ms, mean deviation "
            + $"{deviation}ms, period {period:F2} sec). Worst all time event {series.MostMs}ms.\n");
    }

    private static IEnumerable<string> SlowLogAdvice(IReadOnlyList<LatencySeries> events, ServerOptions options)
    {
        if (!events.Any(series => series.Kind == "command")) yield break;
        long microseconds = options.LatencyMonitorThreshold * 1000;
        if (options.SlowlogLogSlowerThan < 0 || options.SlowlogMaxLen == 0)
        {
            yield return "There are latency issues with potentially slow commands you are using. Try to enable the Slow Log Redis feature using the "
                + $"command 'CONFIG SET slowlog-log-slower-than {microseconds}'. If the Slow log is disabled Redis is not able to log slow commands "
                + "execution for you.";
        }
        else if (options.SlowlogLogSlowerThan > microseconds)
        {
            yield return "Your current Slow Log configuration only logs events that are slower than your configured latency monitor threshold. Please "
                + $"use 'CONFIG SET slowlog-log-slower-than {microseconds}'.";
        }
    }

    private static bool Applies(string[] kinds, IReadOnlyList<LatencySeries> events, ServerOptions options)
    {
        if (kinds is ["expire-cycle"] && options.Hz >= 100) return false;
        if (kinds is ["aof-fsync-always"] && options.AppendFsync != AppendFsync.Always) return false;
        return events.Any(series => kinds.Contains(series.Kind));
    }
}
