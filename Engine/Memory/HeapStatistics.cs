using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>What the heap holds.</summary>
/// <param name="LiveBytes">Bytes of blocks: in use, or in a thread's cache.</param>
/// <param name="SpanBytes">Bytes of the spans that these blocks lie in.</param>
/// <param name="ResidentBytes">The same, and what is free but not given back to the system yet.</param>
/// <param name="FreeBytes">Bytes of free blocks in spans that have others in use: what defragmentation could win.</param>
public readonly record struct HeapStatistics(long LiveBytes, long SpanBytes, long ResidentBytes, long FreeBytes)
{
    /// <summary>What the heap holds now, more or less: threads go on allocating.</summary>
    public static HeapStatistics Now => Heap.Statistics();

    /// <summary>How much larger than what lives in them the spans are, in percent, for want of defragmentation.</summary>
    public double FragmentationPercent => LiveBytes == 0 ? 0 : 100.0 * FreeBytes / LiveBytes;

    /// <summary>
    /// All that the heap knows about itself, for people: the sums, then a line for each size of blocks, with how full the
    /// spans of that size are.
    /// </summary>
    public static string Describe()
    {
        HeapStatistics heap = Now;
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"Allocated: {heap.LiveBytes}, active: {heap.SpanBytes}, resident: {heap.ResidentBytes}\n");
        text.Append(CultureInfo.InvariantCulture, $"Free and not given back to the system yet: {Granules.DirtyBytes}\n");
        text.Append(CultureInfo.InvariantCulture, $"Free in spans that are in use: {heap.FreeBytes}\n");
        text.Append(CultureInfo.InvariantCulture, $"Blocks of more than {SizeClasses.LargestSmall} bytes: {Heap.LargeBytesInAll}\n");
        text.Append(CultureInfo.InvariantCulture, $"Waiting to be freed in the background: {LazyFree.Pending} (freed so far: {LazyFree.Freed})\n\n");
        text.Append("   size      blocks    room for       bytes   in use\n");
        for (int i = 1; i <= SizeClasses.Count; i++)
        {
            ClassSpans spans = Heap.SpansOf(i);
            long capacity = spans.Capacity, live = Math.Min(capacity, spans.Live);
            if (capacity == 0) continue;
            text.Append(CultureInfo.InvariantCulture, $"{spans.Size,7}{live,12}{capacity,12}{capacity * spans.Size,12}{100.0 * live / capacity,8:F0}%\n");
        }
        return text.ToString();
    }
}
