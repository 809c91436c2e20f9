using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class LatencyTests : GatewayTest
{
    private LatencyMonitor Monitor => Server.Store.Latency;

    [Fact]
    public async Task A_slow_command_is_an_event_and_a_fast_one_is_none()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        Options.LatencyMonitorThreshold = 20;
        await Line("DEBUG SLEEP 0.05");
        Options.LatencyMonitorThreshold = 60_000;
        await Line("DEBUG SLEEP 0.05");
        RespValue latest = Assert.Single((await Redis.LineAsync("LATENCY LATEST")).Items);
        Assert.Equal("command", latest[0].Text);
        Assert.InRange(latest[1].Integer, 1, Server.Store.Clock.NowMs / 1000);
        Assert.True(latest[2].Integer >= 20);
        Assert.Equal(latest[2], latest[3]);
        RespValue sample = Assert.Single((await Redis.LineAsync("LATENCY HISTORY command")).Items);
        Assert.Equal(latest[1], sample[0]);
        Assert.Equal(latest[2], sample[1]);
    }

    [Fact]
    public async Task A_series_keeps_the_longest_of_each_second_and_the_latest_160_seconds()
    {
        Options.LatencyMonitorThreshold = 1;
        var series = new FakeTime();
        var monitor = new LatencyMonitor(Options, new(series));
        monitor.Add("command", 0); // below the threshold
        Assert.Empty(monitor.Events());
        monitor.Add("command", 5);
        monitor.Add("command", 7);
        monitor.Add("command", 6);
        LatencySeries first = Assert.Single(monitor.Events());
        Assert.Equal([7L], first.Samples.Select(sample => sample.Ms));
        for (int i = 0; i < 200; i++)
        {
            series.Advance(1000);
            monitor.Add("command", 10 + i);
        }
        LatencySeries last = monitor.Events("command")!;
        Assert.Equal(Enumerable.Range(50, 160).Select(ms => (long)ms), last.Samples.Select(sample => sample.Ms));
        Assert.Equal(209, last.MostMs);
        Assert.Equal([7L], first.Samples.Select(sample => sample.Ms)); // a copy
        await Task.CompletedTask;
    }

    [Fact]
    public async Task Reset_forgets_kinds_of_events_in_any_case_of_letters()
    {
        Options.LatencyMonitorThreshold = 1;
        Monitor.Add("command", 5);
        Monitor.Add("fast-command", 5);
        Monitor.Add("expire-cycle", 5);
        Assert.Equal(":0", await Line("LATENCY RESET nosuch"));
        Assert.Equal(":2", await Line("LATENCY RESET COMMAND nosuch expire-cycle"));
        Assert.Equal(":1", await Line("LATENCY RESET"));
        Assert.Equal("[]", await Line("LATENCY LATEST"));
        Assert.Equal("[]", await Line("LATENCY HISTORY command"));
        Assert.Equal("-ERR No samples available for event 'command'", await Line("LATENCY GRAPH command"));
    }

    [Fact]
    public async Task The_doctor_knows_what_may_help()
    {
        Assert.StartsWith("I'm sorry, Dave", (await Redis.LineAsync("LATENCY DOCTOR")).Text);
        Options.LatencyMonitorThreshold = 100;
        Assert.StartsWith("Dave, no latency spike", (await Redis.LineAsync("LATENCY DOCTOR")).Text);
        Monitor.Add("command", 200);
        Monitor.Add("aof-write", 300);
        string report = (await Redis.LineAsync("LATENCY DOCTOR")).Text;
        Assert.Contains("1. command: 1 latency spikes (average 200ms, mean deviation 0ms", report, StringComparison.Ordinal);
        Assert.Contains("2. aof-write: 1 latency spikes", report, StringComparison.Ordinal);
        Assert.Contains("Check your Slow Log", report, StringComparison.Ordinal);
        Assert.DoesNotContain("SSD", report, StringComparison.Ordinal);
        Options.SlowlogLogSlowerThan = -1;
        Monitor.Add("aof-write-alone", 300);
        report = (await Redis.LineAsync("LATENCY DOCTOR")).Text;
        Assert.Contains("CONFIG SET slowlog-log-slower-than 100000", report, StringComparison.Ordinal);
        Assert.Contains("SSD", report, StringComparison.Ordinal);
    }

    [Fact]
    public void A_graph_has_a_column_for_each_second()
    {
        Options.LatencyMonitorThreshold = 1;
        var time = new FakeTime();
        var monitor = new LatencyMonitor(Options, new(time));
        foreach (int ms in new[] { 10, 20, 30, 130 })
        {
            monitor.Add("command", ms);
            time.Advance(1000);
        }
        time.Advance(60_000);
        string graph = LatencyReport.Graph(monitor.Events("command")!, time.NowMs / 1000);
        Assert.Equal(
            ["command - high 130 ms, low 10 ms (all time high 130 ms)", new string('-', 80), "   #", "   |", "   |", "_o#|", "    ", "1111", "mmmm", ""],
            graph.Split('\n'));
    }

    [Fact]
    public async Task Histograms_count_each_command_once()
    {
        await Line("CONFIG RESETSTAT");
        foreach (string line in new[] { "SET a b", "SET c d", "CLIENT ID", "CLIENT LIST" }) await Line(line);
        RespValue all = await Redis.LineAsync("LATENCY HISTOGRAM");
        Assert.Equal(["client|id", "client|list", "config|resetstat", "set"], Names(all));
        Assert.Equal(2, all["set"]["calls"].Integer);
        Assert.Equal(2, all["set"]["histogram_usec"].Items[^1].Integer);
        Assert.Equal(["client|id", "client|list"], Names(await Redis.LineAsync("LATENCY HISTOGRAM client")));
        Assert.Equal("client|id", (await Redis.LineAsync("LATENCY HISTOGRAM client|id nosuch client|nosuch get"))[0].Text);
        await Line("CONFIG SET latency-tracking no");
        await Line("CONFIG RESETSTAT");
        await Line("SET a b");
        Assert.Empty((await Redis.LineAsync("LATENCY HISTOGRAM")).Items);
    }

    private static IEnumerable<string> Names(RespValue map) => map.Items.Where((_, i) => i % 2 == 0).Select(name => name.Text).Order();

    [Fact]
    public async Task Info_shows_the_percentiles_that_were_asked_for()
    {
        await Line("CONFIG RESETSTAT");
        await Line("SET a b");
        Assert.Matches(@"(?m)^latency_percentiles_usec_set:p50=\d+\.\d{3},p99=\d+\.\d{3},p99\.9=\d+\.\d{3}\r$",
            (await Redis.LineAsync("INFO latencystats")).Text);
        await Call("CONFIG", "SET", "latency-tracking-info-percentiles", "0 100.0 12.345678");
        Assert.Equal("[\"latency-tracking-info-percentiles\", \"0 100 12.345678\"]", await Line("CONFIG GET latency-tracking-info-percentiles"));
        Assert.Matches(@"(?m)^latency_percentiles_usec_set:p0=[\d.]+,p100=[\d.]+,p12\.345678=[\d.]+\r$", (await Redis.LineAsync("INFO latencystats")).Text);
        await Call("CONFIG", "SET", "latency-tracking-info-percentiles", "");
        Assert.Matches(@"(?m)^latency_percentiles_usec_set:\r$", (await Redis.LineAsync("INFO latencystats")).Text);
        Assert.Contains("should sit between [0.0,100.0]", await Call("CONFIG", "SET", "latency-tracking-info-percentiles", "101"), StringComparison.Ordinal);
        Assert.Contains("Invalid latency-tracking", await Call("CONFIG", "SET", "latency-tracking-info-percentiles", "x"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("eviction-cycle")]
    [InlineData("expire-cycle")]
    public void A_measurement_is_noted_only_if_there_is_a_threshold(string kind)
    {
        Assert.Equal(0, Monitor.Begin());
        Monitor.End(kind, 0);
        Options.LatencyMonitorThreshold = 1;
        long began = Monitor.Begin();
        Assert.NotEqual(0, began);
        Monitor.End(kind, began - System.Diagnostics.Stopwatch.Frequency);
        Assert.Equal(kind, Assert.Single(Monitor.Events()).Kind);
    }
}
