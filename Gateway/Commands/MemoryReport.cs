using System.Globalization;
using System.Text;

namespace OrleansRedis.Gateway;

/// <summary>MEMORY DOCTOR's findings, in the tone that Redis's users know.</summary>
internal static class MemoryReport
{
    private const long Mebibyte = 1 << 20;

    /// <summary>With less than this in use, beyond what an empty server takes, there is nothing to diagnose.</summary>
    private const long LeastUsed = 5 * Mebibyte;

    /// <summary>So much more than what is needed is worth a word, as in Redis.</summary>
    private const long LeastWasted = 10 * Mebibyte;

    /// <summary>The program, the runtime and a collector's heap with nothing unusual in it take less than this.</summary>
    private const long UsualOverhead = 192 * Mebibyte;

    /// <param name="memory">What is to be judged.</param>
    /// <param name="limit">maxmemory; 0 if there is no limit.</param>
    public static string Of(MemoryFigures memory, long limit)
    {
        if (memory.Net < LeastUsed)
        {
            return "Hi Sam, this instance is empty or is using very little memory, my issue detector can't be used in these conditions. "
                + "Please, leave for your mission on Earth and fill it with some data. "
                + "The new Sam and I will be back to our programming as soon as I finished rebooting.\n";
        }
        var issues = new List<string>();
        if (limit != 0 && memory.Used > limit * 0.95)
        {
            issues.Add($"Near the limit: the data takes {Percent(memory.Used, limit)} of maxmemory. Unless that is meant, as for a cache, writes are "
                + "about to be refused or keys evicted: raise maxmemory, add a silo, or look at maxmemory-policy.");
        }
        if (memory.FragmentationRatio > 1.1 && memory.Heap.FreeBytes > LeastWasted)
        {
            issues.Add($"High allocator fragmentation: {memory.Heap.FreeBytes / Mebibyte} MB are free between {memory.Heap.LiveBytes / Mebibyte} MB in "
                + "use. That is what many deletions leave behind, or values whose sizes change. New data will fill it; activedefrag makes it free.");
        }
        if (memory.AllocatorResidentRatio > 1.1 && memory.AllocatorResidentBytes > LeastWasted)
        {
            issues.Add($"High allocator RSS overhead: {memory.AllocatorResidentBytes / Mebibyte} MB were freed lately, and are still kept. They go back to "
                + "the system in a few seconds, unless they are needed again. MEMORY PURGE gives them back now.");
        }
        if (memory.OverheadBytes > UsualOverhead)
        {
            issues.Add($"High process RSS overhead: the process takes {memory.OverheadBytes / Mebibyte} MB beside its data, "
                + $"{Math.Min(memory.ManagedBytes, memory.OverheadBytes) / Mebibyte} MB of it in the collector's heap. Large requests and replies, many "
                + "clients, and logs that wait to be written are kept there. MEMORY PURGE gives back what is no longer needed.");
        }
        if (memory.Clients > 0 && memory.ClientBytes / memory.Clients > 200 * 1024)
        {
            issues.Add($"Big client buffers: {memory.Clients} clients hold {memory.ClientBytes / Mebibyte} MB, more than 200 kB each. Some do not read "
                + "their replies, or send very large requests; "
                + "CLIENT LIST tells which (qbuf and omem), and client-output-buffer-limit bounds them.");
        }
        if (issues.Count == 0) return "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n";
        var report = new StringBuilder("Sam, I detected a few issues in this Redis instance memory implants:\n\n");
        foreach (string issue in issues) report.Append(" * ").Append(issue).Append("\n\n");
        return report.Append("I'm here to keep you safe, Sam. I want to help you.\n").ToString();
    }

    private static string Percent(long part, long whole) => (100.0 * part / whole).ToString("F0", CultureInfo.InvariantCulture) + "%";
}
