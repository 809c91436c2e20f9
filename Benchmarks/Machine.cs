using System.Globalization;

namespace OrleansRedis.Benchmarks;

/// <summary>Describes the machine that the figures were measured on.</summary>
internal static class Machine
{
    /// <summary>Processors, memory and kernel, and how busy the machine was at the start.</summary>
    public static string Describe()
    {
        string model = Field("/proc/cpuinfo", "model name") ?? "unknown processor";
        double memoryGb = long.Parse(Field("/proc/meminfo", "MemTotal")!.Split(' ')[0], CultureInfo.InvariantCulture) / 1e6;
        double load = double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);
        string machine =
            $"{Environment.ProcessorCount} × {model}, {memoryGb.ToString("F0", CultureInfo.InvariantCulture)} GB, {Environment.OSVersion}";
        string text = string.Create(
            CultureInfo.InvariantCulture, $"{DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC; {machine}; load average {load:F2}");
        return load < 0.5 * Environment.ProcessorCount
            ? text
            : $"{text}\nThis machine is not quiet. What is measured now is good for a look, not for a claim.";
    }

    private static string? Field(string file, string name)
    {
        string? found = File.ReadLines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        return found?[(found.IndexOf(':') + 1)..].Trim();
    }
}
