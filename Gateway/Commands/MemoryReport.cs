using System.Globalization;
using System.Text;

namespace OrleansRedis.Gateway;

/// <summary>MEMORY DOCTOR's findings, in the tone that Redis's users know.</summary>
internal static class MemoryReport
{
    private const long Mebibyte = 1 << 20;

    /// <summary>With less than this in use there is nothing to diagnose.</summary>
    private const long LeastUsed = 5 * Mebibyte + (16384 * 464); // the data, plus what empty slots take

    /// <param name="used">Bytes of the data.</param>
    /// <param name="limit">maxmemory; 0 if there is no limit.</param>
    /// <param name="managed">Bytes of the garbage-collected heap.</param>
    /// <param name="resident">Resident bytes of the process.</param>
    /// <param name="clients">Number of connected clients.</param>
    /// <param name="buffers">Bytes of their buffers.</param>
    public static string Of(long used, long limit, long managed, long resident, int clients, long buffers)
    {
        if (used < LeastUsed)
        {
            return "Hi Sam, this instance is empty or is using very little memory, my issue detector can't be used in these conditions. "
                + "Please, leave for your mission on Earth and fill it with some data. "
                + "The new Sam and I will be back to our programming as soon as I finished rebooting.\n";
        }
        var issues = new List<string>();
        if (limit != 0 && used > limit * 0.95)
        {
            issues.Add($"Near the limit: the data takes {Percent(used, limit)} of maxmemory. Unless that is meant, as for a cache, writes are about to "
                + $"be refused or keys "
                + "evicted: raise maxmemory, add a silo, or look at maxmemory-policy.");
        }
        if (managed - used > 10 * Mebibyte && managed > used * 1.5)
        {
            issues.Add($"Much garbage: the heap holds {managed / Mebibyte} MB for {used / Mebibyte} MB of data. Large values that are replaced often "
                + $"leave such a heap behind, until the collector "
                + "gets to it. MEMORY PURGE makes it do so now.");
        }
        if (resident - managed > 128 * Mebibyte && resident > managed * 1.5)
        {
            issues.Add($"High resident memory: the process has {resident / Mebibyte} MB, but its heap only {managed / Mebibyte} MB. That is what a "
                + $"peak leaves behind. MEMORY PURGE gives it back to the system; "
                + "if it returns, the peaks do: DOTNET_GCConserveMemory makes the runtime keep less in store.");
        }
        if (clients > 0 && buffers / clients > 200 * 1024)
        {
            issues.Add($"Big client buffers: {clients} clients hold {buffers / Mebibyte} MB, more than 200 kB each. Some do not read their replies, or "
                + $"send very large requests; "
                + "CLIENT LIST tells which (qbuf and omem), and client-output-buffer-limit bounds them.");
        }
        if (issues.Count == 0) return "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n";
        var report = new StringBuilder("Sam, I detected a few issues in this Redis instance memory implants:\n\n");
        foreach (string issue in issues) report.Append(" * ").Append(issue).Append("\n\n");
        return report.Append("I'm here to keep you safe, Sam. I want to help you.\n").ToString();
    }

    private static string Percent(long part, long whole) => (100.0 * part / whole).ToString("F0", CultureInfo.InvariantCulture) + "%";
}
