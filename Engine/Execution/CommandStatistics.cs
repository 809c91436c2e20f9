namespace OrleansRedis.Engine;

/// <summary>
/// Counters that every command touches. Each thread counts in a stripe of its own, so no cache line travels between
/// cores; a reader adds the stripes up.
/// </summary>
public sealed class CommandStatistics(CommandTable commands) : IDisposable
{
    private readonly ThreadLocal<Stripe> _stripes = new(() => new Stripe(commands.Total), trackAllValues: true);

    /// <summary>The calling thread's stripe; only this thread writes it.</summary>
    public Stripe Mine => _stripes.Value!;

    public CommandCount Of(CommandInfo command)
    {
        var sum = default(CommandCount);
        foreach (Stripe stripe in _stripes.Values)
        {
            ref CommandCount count = ref stripe.Counts[command.Index];
            sum.Calls += count.Calls;
            sum.Ticks += count.Ticks;
            sum.Rejected += count.Rejected;
            sum.Failed += count.Failed;
        }
        return sum;
    }

    /// <summary>How long a command has taken; null if it has not been run, or if that is not tracked.</summary>
    public LatencyHistogram? HistogramOf(CommandInfo command)
    {
        LatencyHistogram? sum = null;
        foreach (Stripe stripe in _stripes.Values)
        {
            if (stripe.Counts[command.Index].Durations is { } durations) (sum ??= new()).Add(durations);
        }
        return sum;
    }

    /// <summary>Commands run, in total.</summary>
    public long Calls => SumOfCommands((in CommandCount count) => count.Calls);

    /// <summary>Time spent in commands, in <see cref="System.Diagnostics.Stopwatch"/> ticks.</summary>
    public long Ticks => SumOfCommands((in CommandCount count) => count.Ticks);

    /// <summary>Bytes read from clients.</summary>
    public long InputBytes => Sum(stripe => stripe.InputBytes);

    /// <summary>Bytes written to clients.</summary>
    public long OutputBytes => Sum(stripe => stripe.OutputBytes);

    /// <summary>How often something came in from a client.</summary>
    public long Reads => Sum(stripe => stripe.Reads);

    /// <summary>How often something was sent to a client.</summary>
    public long Writes => Sum(stripe => stripe.Writes);

    /// <summary>CONFIG RESETSTAT. Commands running at this moment may still be counted.</summary>
    public void Reset()
    {
        foreach (Stripe stripe in _stripes.Values)
        {
            Array.Clear(stripe.Counts);
            stripe.InputBytes = stripe.OutputBytes = stripe.Reads = stripe.Writes = 0;
        }
    }

    public void Dispose() => _stripes.Dispose();

    private long Sum(Func<Stripe, long> field)
    {
        long sum = 0;
        foreach (Stripe stripe in _stripes.Values) sum += field(stripe);
        return sum;
    }

    private delegate long Figure(in CommandCount count);

    private long SumOfCommands(Figure figure)
    {
        long sum = 0;
        foreach (Stripe stripe in _stripes.Values)
        {
            foreach (ref CommandCount count in stripe.Counts.AsSpan()) sum += figure(count);
        }
        return sum;
    }

    /// <summary>One thread's counters.</summary>
    public sealed class Stripe(int commands)
    {
        private static readonly long s_nanosecondsPerTick = Math.Max(1, 1_000_000_000 / System.Diagnostics.Stopwatch.Frequency);

        internal CommandCount[] Counts { get; } = new CommandCount[commands];

        public long InputBytes { get; set; }

        public long OutputBytes { get; set; }

        public long Reads { get; set; }

        public long Writes { get; set; }

        /// <summary>A command ran for this many <see cref="System.Diagnostics.Stopwatch"/> ticks.</summary>
        public void CountCall(CommandInfo command, long ticks, bool failed)
        {
            ref CommandCount count = ref Counts[command.Index];
            count.Calls++;
            count.Ticks += ticks;
            if (failed) count.Failed++;
        }

        /// <summary>A command is over, and has taken this many ticks (latency-tracking).</summary>
        public void Record(CommandInfo command, long ticks)
        {
            ref CommandCount count = ref Counts[command.Index];
            (count.Durations ??= new()).Record(ticks * s_nanosecondsPerTick);
        }

        /// <summary>A command whose call has already been counted ran for a while more.</summary>
        public void CountMore(CommandInfo command, long ticks) => Counts[command.Index].Ticks += ticks;

        /// <summary>A command whose call has already been counted ended with an error.</summary>
        public void CountFailure(CommandInfo command) => Counts[command.Index].Failed++;

        /// <summary>A command was refused before it ran.</summary>
        public void CountRejected(CommandInfo command) => Counts[command.Index].Rejected++;
    }
}

/// <summary>How one command has fared.</summary>
public record struct CommandCount
{
    public long Calls { get; set; }

    /// <summary>Time spent, in <see cref="System.Diagnostics.Stopwatch"/> ticks.</summary>
    public long Ticks { get; set; }

    public long Rejected { get; set; }

    public long Failed { get; set; }

    /// <summary>How long each call took, where one thread counts; null if it has not run the command, or does not track that.</summary>
    internal LatencyHistogram? Durations { get; set; }
}
