using System.Diagnostics;
using OrleansRedis.Gateway;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class LoopLoadTests
{
    private static readonly TimeSpan s_window = TimeSpan.FromMilliseconds(LoopLoad.WindowMs + 20);

    [SkippableFact]
    public void Time_in_which_a_loop_runs_is_load()
    {
        Skip.IfNot(EpollTransport.IsSupported, "epoll is Linux's");
        using var load = new LoopLoad();
        SampleUntil(load, () => RunFor(s_window), share => share is > 0.3f and < 1.3f);
    }

    [SkippableFact]
    public void Time_in_which_a_loop_looks_for_events_is_not()
    {
        Skip.IfNot(EpollTransport.IsSupported, "epoll is Linux's");
        using var load = new LoopLoad();
        SampleUntil(load, () => load.Exclude(RunFor(s_window)), share => share is >= 0 and < 0.2f);
    }

    /// <summary>
    /// A window in which the system took the processor away at the wrong moment, or counted too coarsely, says nothing.
    /// So it is enough that one is right.
    /// </summary>
    private static void SampleUntil(LoopLoad load, Action inWindow, Predicate<float> isRight)
    {
        const int Windows = 50;
        for (int i = 0; i < Windows; i++)
        {
            inWindow();
            if (load.TrySample(Environment.TickCount64) && isRight(load.Share)) return;
        }
        Assert.Fail($"a share of {load.Share} in the last of {Windows} windows");
    }

    private static TimeSpan RunFor(TimeSpan time)
    {
        long began = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(began) < time) Thread.SpinWait(100);
        return Stopwatch.GetElapsedTime(began);
    }
}
