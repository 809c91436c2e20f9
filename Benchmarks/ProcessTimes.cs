using System.Globalization;

namespace OrleansRedis.Benchmarks;

/// <summary>Processor times from proc(5)'s /proc/PID/stat.</summary>
internal static class ProcessTimes
{
    /// <summary>The process's own time, including all its threads, even those that have ended.</summary>
    public const int Own = 11;

    /// <summary>The time of its children that have ended.</summary>
    public const int Children = 13;

    /// <summary>
    /// User and system time in seconds: the sum of the field with this number, counted from the parenthesised name, and
    /// the next one, in ticks of 10 ms.
    /// </summary>
    public static double CpuSeconds(int process, int field)
    {
        string stat = File.ReadAllText($"/proc/{process}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (long.Parse(fields[field], CultureInfo.InvariantCulture)
            + long.Parse(fields[field + 1], CultureInfo.InvariantCulture)) / 100.0;
    }
}
