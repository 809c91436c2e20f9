using System.Diagnostics;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// Polls for what another process will bring about, with a deadline. For what happens in this process, await an event instead, with the same deadline.
/// </summary>
public static class Eventually
{
    /// <summary>
    /// After so long what should happen never will. Long, since only a failure ever waits for it, and a server on a machine with much else to do
    /// may take half a minute to start.
    /// </summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan interval = TimeSpan.FromMilliseconds(10);

    public static Task TrueAsync(Func<bool> condition, Func<string>? otherwise = null, TimeSpan? timeout = null) =>
        TrueAsync(() => Task.FromResult(condition()), otherwise, timeout);

    /// <param name="condition">What must become true.</param>
    /// <param name="otherwise">The message if it does not.</param>
    /// <param name="timeout">By when; <see cref="Deadline"/> if not said.</param>
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
