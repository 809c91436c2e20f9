using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using OrleansRedis.Engine;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// The engine's heap beside the C library's malloc: what a block costs, and how much memory the process takes for what
/// lives in it. For memory, each has a process of its own.
/// </summary>
internal static unsafe partial class HeapComparison
{
    private const int Rounds = 5;
    private static readonly int[] s_sizes = [16, 32, 48, 64, 128, 256, 1024, 4096, 16384, 40_000, 200_000];

    private interface IAllocator
    {
        static abstract byte* Allocate(int length);

        static abstract void Free(byte* block);

        /// <summary>Does what a server does for it several times a second.</summary>
        static abstract void Keep();

        /// <summary>Gives back what it can.</summary>
        static abstract void Trim();

        /// <summary>Moves blocks together, if it can.</summary>
        static abstract void Defragment(Span<nint> blocks);
    }

    public static void Run()
    {
        Console.WriteLine(Machine.Describe());
        Console.WriteLine($"Medians of {Rounds} rounds; behind the bar the ratio of the heap to malloc.");
        foreach (int threads in (int[])[1, 2])
        {
            Header($"Free and Allocate, {threads} thread{(threads > 1 ? "s" : "")}, ns of CPU");
            foreach (int size in s_sizes) Row($"{size} bytes", () => PairNs<Malloc>(size, threads), () => PairNs<Ours>(size, threads), "F1");
        }
        Header("one after the other, 1 thread, ns of CPU");
        double[] malloc = new double[Rounds * 2], ours = new double[Rounds * 2];
        for (int i = 0; i < Rounds; i++)
        {
            (malloc[i], malloc[i + Rounds]) = FillNs<Malloc>();
            (ours[i], ours[i + Rounds]) = FillNs<Ours>();
        }
        Print("4 M times Allocate, 24 to 87 bytes", RedisBenchmark.Median(malloc[..Rounds]), RedisBenchmark.Median(ours[..Rounds]), "F1");
        Print("Free of them, in any order", RedisBenchmark.Median(malloc[Rounds..]), RedisBenchmark.Median(ours[Rounds..]), "F1");
        double[] emptying = [.. Enumerable.Range(0, 20 * Rounds).Select(_ => EmptyCacheUs())];
        Print("emptying a thread's cache that is full, µs", double.NaN, RedisBenchmark.Median(emptying), "F1");
        Header("resident / live, or MB");
        string[] rows = [];
        double[][] figures = [.. new[] { "malloc", "ours" }.Select(name => InOwnProcess(name, out rows))];
        for (int i = 0; i < rows.Length; i++) Print(rows[i], figures[0][i], figures[1][i], "F2");
    }

    /// <summary>What the process does that <see cref="InOwnProcess"/> starts.</summary>
    public static void Measure(string name)
    {
        if (name == "ours") MeasureMemory<Ours>();
        else MeasureMemory<Malloc>();
    }

    private static void Header(string title) => Console.WriteLine($"\n{title,-52}{"malloc",11}{"heap",11} |");

    private static void Row(string what, Func<double> malloc, Func<double> ours, string format)
    {
        double[] theirs = new double[Rounds], mine = new double[Rounds];
        for (int i = 0; i < Rounds; i++) (theirs[i], mine[i]) = (malloc(), ours());
        Print(what, RedisBenchmark.Median(theirs), RedisBenchmark.Median(mine), format);
    }

    private static void Print(string what, double malloc, double ours, string format)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        string Figure(double figure) => double.IsNaN(figure) ? "-" : figure.ToString(format, culture);
        Console.WriteLine($"{what,-52}{Figure(malloc),11}{Figure(ours),11} |{(double.IsNaN(malloc) ? "" : (ours / malloc).ToString("F2", culture)),9}");
    }

    /// <summary>Frees the oldest of some blocks and allocates another, over and over.</summary>
    private static double PairNs<T>(int size, int threads) where T : IAllocator
    {
        int pairs = size > 10_000 ? 100_000 : 3_000_000;
        var ready = new Barrier(threads);
        double[] ns = new double[threads];
        Thread[] workers = [.. Enumerable.Range(0, threads).Select(i => new Thread(() =>
        {
            var blocks = new nint[256];
            for (int at = 0; at < blocks.Length; at++) blocks[at] = (nint)T.Allocate(size);
            Pairs<T>(blocks, size, pairs / 4);
            ready.SignalAndWait();
            double begin = ThreadNs();
            Pairs<T>(blocks, size, pairs);
            ns[i] = (ThreadNs() - begin) / pairs;
            foreach (nint block in blocks) T.Free((byte*)block);
        }))];
        foreach (Thread worker in workers) worker.Start();
        foreach (Thread worker in workers) worker.Join();
        return ns.Average();
    }

    private static void Pairs<T>(nint[] blocks, int size, int count) where T : IAllocator
    {
        for (int i = 0; i < count; i++)
        {
            ref nint block = ref blocks[(i * 7) & 255];
            T.Free((byte*)block);
            block = (nint)T.Allocate(size);
            *(long*)block = i;
        }
    }

    private static (double AllocateNs, double FreeNs) FillNs<T>() where T : IAllocator
    {
        const int Count = 4_000_000;
        var random = new Random(1);
        var blocks = new nint[Count];
        Array.Fill(blocks, 1);
        double begin = ThreadNs();
        for (int i = 0; i < Count; i++)
        {
            blocks[i] = (nint)T.Allocate(24 + (i & 63));
            *(long*)blocks[i] = i;
        }
        double allocateNs = (ThreadNs() - begin) / Count;
        random.Shuffle(blocks);
        begin = ThreadNs();
        foreach (nint block in blocks) T.Free((byte*)block);
        double freeNs = (ThreadNs() - begin) / Count;
        T.Trim();
        return (allocateNs, freeNs);
    }

    private static double EmptyCacheUs()
    {
        const int Blocks = 128;
        var blocks = new nint[Blocks];
        for (int size = 8; size <= SizeClasses.LargestSmall; size += size < 1024 ? 8 : 1024)
        {
            for (int i = 0; i < Blocks; i++) blocks[i] = (nint)Heap.Allocate(size);
            foreach (nint block in blocks) Heap.Free((byte*)block);
        }
        double begin = ThreadNs();
        Heap.EmptyCaches();
        return (ThreadNs() - begin) / 1000;
    }

    private static double[] InOwnProcess(string name, out string[] rows)
    {
        using Process process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["heap", name]) { RedirectStandardOutput = true })!;
        string[] lines = process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        process.WaitForExit();
        rows = [.. lines.Select(line => line.Split('\t')[0])];
        return [.. lines.Select(line => double.Parse(line.Split('\t')[1], CultureInfo.InvariantCulture))];
    }

    /// <summary>
    /// Sizes as Redis's users have them: most are small keys and values, some are packed collections, few are large values.
    /// </summary>
    private static int Size(Random random) => random.Next(1000) switch
    {
        < 700 => random.Next(24, 100),
        < 950 => random.Next(100, 1200),
        < 995 => random.Next(1200, 8000),
        _ => random.Next(8000, 200_000),
    };

    private static void MeasureMemory<T>() where T : IAllocator
    {
        const int Count = 1_000_000;
        var random = new Random(1);
        var blocks = new nint[Count];
        int[] lengths = new int[Count];
        Array.Fill(blocks, 1);
        Array.Fill(lengths, 1);
        long atRest = ResidentBytes(), live = 0, peak = 0, most = 0;
        void Set(int at)
        {
            int length = Size(random);
            live += length - lengths[at];
            lengths[at] = length;
            blocks[at] = (nint)T.Allocate(length);
            new Span<byte>((void*)blocks[at], length).Fill(1);
        }
        void Say(string what, double figure) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}\t{figure:F3}"));
        double Ratio() => (double)(ResidentBytes() - atRest) / live;

        live = Count;
        for (int i = 0; i < Count; i++) Set(i);
        Say($"{live >> 20} MB of blocks of many sizes: resident / live", Ratio());
        for (int i = 0; i < 10 * Count; i++)
        {
            int at = random.Next(Count);
            T.Free((byte*)blocks[at]);
            Set(at);
            if (i % 10_000 != 0) continue;
            T.Keep();
            peak = Math.Max(peak, ResidentBytes() - atRest);
            most = Math.Max(most, live);
        }
        Say("each replaced ten times by one of another size", Ratio());
        Say("at the worst moment meanwhile", (double)peak / most);
        random.Shuffle(blocks.AsSpan());
        // The lengths are of other blocks now; there is only their sum to keep.
        double left = live / 10.0;
        for (int i = Count / 10; i < Count; i++) T.Free((byte*)blocks[i]);
        live = (long)left;
        T.Trim();
        Say("nine in ten freed at random, then trimmed", Ratio());
        T.Defragment(blocks.AsSpan(0, Count / 10));
        T.Trim();
        Say("the same, defragmented where that can be had", Ratio());
        for (int i = 0; i < Count / 10; i++) T.Free((byte*)blocks[i]);
        T.Trim();
        Say("all freed, MB", (ResidentBytes() - atRest) / 1e6);
    }

    /// <summary>The processor's time that this thread has had, so that it matters less what else the machine does.</summary>
    private static double ThreadNs()
    {
        const int ThreadCpuTime = 3; // CLOCK_THREAD_CPUTIME_ID
        long* time = stackalloc long[2];
        _ = GetTime(ThreadCpuTime, time);
        return (time[0] * 1e9) + time[1];
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int GetTime(int clock, long* time);

    private static long ResidentBytes() =>
        long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize;

    private readonly struct Ours : IAllocator
    {
        private static readonly HeapKeeper s_keeper = new();

        public static byte* Allocate(int length) => Heap.Allocate(length);

        public static void Free(byte* block) => Heap.Free(block);

        public static void Keep() => s_keeper.Run(Environment.TickCount64);

        public static void Trim() => Heap.Trim(0);

        public static void Defragment(Span<nint> blocks)
        {
            Defragmentation.Begin();
            foreach (ref nint block in blocks)
            {
                if (Defragmentation.ShouldMove((byte*)block)) block = (nint)Defragmentation.Move((byte*)block);
            }
            Defragmentation.End();
        }
    }

    private readonly partial struct Malloc : IAllocator
    {
        public static byte* Allocate(int length) => (byte*)NativeMemory.Alloc((nuint)length);

        public static void Free(byte* block) => NativeMemory.Free(block);

        public static void Keep()
        {
        }

        public static void Trim() => _ = MallocTrim(0);

        public static void Defragment(Span<nint> blocks)
        {
        }

        [LibraryImport("libc", EntryPoint = "malloc_trim")]
        private static partial int MallocTrim(nuint left);
    }
}
