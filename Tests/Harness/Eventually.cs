using System.Diagnostics;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// Polls, with a deadline, for what another process will do. For what happens in this process, await an event instead,
/// with the same deadline.
/// </summary>
public static class Eventually
{
    /// <summary>
    /// How long to wait before giving up. It is long because only a failing test ever waits that long, and a server on
    /// a busy machine may take half a minute to start.
    /// </summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan interval = TimeSpan.FromMilliseconds(10);

    public static Task TrueAsync(Func<bool> condition, Func<string>? otherwise = null, TimeSpan? timeout = null) =>
        TrueAsync(() => Task.FromResult(condition()), otherwise, timeout);

    /// <param name="condition">What must become true.</param>
    /// <param name="otherwise">The message if it does not.</param>
    /// <param name="timeout">How long to wait; <see cref="Deadline"/> if null.</param>
    public static async Task TrueAsync(Func<Task<bool>> condition, Func<string>? otherwise = null, TimeSpan? timeout = null)
    {
        TimeSpan limit = timeout ?? Deadline;
        long begin = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(begin) > limit)
                throw new TimeoutException(otherwise?.Invoke() ?? $"not so within {limit.TotalSeconds} s");
            await Task.Delay(interval);
        }
    }
}
