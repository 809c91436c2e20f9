namespace OrleansRedis.Benchmarks;

internal sealed class ComparisonOptions
{
    /// <summary>Number of rounds; null: each part of the comparison has its own default.</summary>
    public int? Rounds { get; set; }

    /// <summary>The workloads or data sets to measure; empty: all.</summary>
    public string[] Only { get; set; } = [];

    /// <summary>The pipeline depths; empty: each workload's own.</summary>
    public int[] Pipelines { get; set; } = [];

    /// <summary>How many keys come in while the latency is measured; null: 12 million.</summary>
    public int? Keys { get; set; }

    /// <summary>A tenth of everything: for a look, not for a claim.</summary>
    public bool Quick { get; set; }
}
