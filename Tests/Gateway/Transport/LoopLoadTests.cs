using System.Diagnostics;
using OrleansRedis.Gateway;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class LoopLoadTests
{
    [SkippableFact]
    public void Time_in_which_a_loop_runs_is_load()
    {
        Skip.IfNot(EpollTransport.IsSupported, "epoll is Linux's");
        using var load = new LoopLoad();
        RunFor(TimeSpan.FromMilliseconds(LoopLoad.WindowMs + 20));
        Assert.True(load.TrySample(Environment.TickCount64));
        // The system counts in ticks, and does not count what a hypervisor took away.
        Assert.InRange(load.Share, 0.3f, 1.3f);
    }

    [SkippableFact]
    public void Time_in_which_a_loop_looks_for_events_is_not()
    {
        Skip.IfNot(EpollTransport.IsSupported, "epoll is Linux's");
        using var load = new LoopLoad();
        load.Exclude(RunFor(TimeSpan.FromMilliseconds(LoopLoad.WindowMs + 20)));
        Assert.True(load.TrySample(Environment.TickCount64));
        Assert.InRange(load.Share, 0, 0.2f);
    }

    private static TimeSpan RunFor(TimeSpan time)
    {
        long began = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(began) < time) Thread.SpinWait(100);
        return Stopwatch.GetElapsedTime(began);
    }
}
