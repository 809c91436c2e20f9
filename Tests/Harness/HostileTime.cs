using System.Diagnostics;
using System.Globalization;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// How long hostile input goes on. HOSTILE_SECONDS in the environment is the time of all the fuzzers together: a minute, or
/// for the long form an hour (3600). Each of them has an equal part of it.
/// </summary>
internal sealed class HostileTime
{
    /// <summary>The protocol with and without a password, payloads, scripts, permissions, passwords.</summary>
    private const int Fuzzers = 6;

    private static readonly double s_seconds =
        double.Parse(Environment.GetEnvironmentVariable("HOSTILE_SECONDS") is { Length: > 0 } text ? text : "60", CultureInfo.InvariantCulture);

    private readonly long _began = Stopwatch.GetTimestamp();

    /// <summary>The part of one fuzzer.</summary>
    public static TimeSpan Part { get; } = TimeSpan.FromSeconds(s_seconds / Fuzzers);

    /// <summary>Whether the time that began with this object is over.</summary>
    public bool IsOver => Stopwatch.GetElapsedTime(_began) >= Part;
}
