using System.Diagnostics.CodeAnalysis;

namespace Orleans.Runtime;

/// <summary>A timer of a grain.</summary>
public interface IGrainTimer : IDisposable
{
    /// <summary>Sets when it is next due and its period from then; <see cref="Timeout.InfiniteTimeSpan"/> for never.</summary>
    void Change(TimeSpan dueTime, TimeSpan period);
}

/// <summary>When a grain timer ticks, and what its ticks do.</summary>
public readonly struct GrainTimerCreationOptions
{
    /// <summary>Nothing set.</summary>
    public GrainTimerCreationOptions() { }

    /// <summary>Due after <paramref name="dueTime"/>, and from then on every <paramref name="period"/>.</summary>
    [SetsRequiredMembers]
    public GrainTimerCreationOptions(TimeSpan dueTime, TimeSpan period) => (DueTime, Period) = (dueTime, period);

    /// <summary>How long until the first tick; <see cref="Timeout.InfiniteTimeSpan"/> for never.</summary>
    public required TimeSpan DueTime { get; init; }

    /// <summary>How long from the end of a tick to the next; <see cref="Timeout.InfiniteTimeSpan"/> for no next.</summary>
    public required TimeSpan Period { get; init; }

    /// <summary>Whether ticks may interleave with requests and other timers. False by default.</summary>
    public bool Interleave { get; init; }

    /// <summary>Whether ticks keep the grain active, as requests do. False by default.</summary>
    public bool KeepAlive { get; init; }
}
