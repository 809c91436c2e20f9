namespace OrleansRedis.Benchmarks;

internal sealed class ComparisonOptions
{
    /// <summary>How many rounds; null: as many as each part of the comparison takes by default.</summary>
    public int? Rounds { get; set; }

    /// <summary>The workloads or data sets that are measured; empty: all.</summary>
    public string[] Only { get; set; } = [];

    /// <summary>The pipelines' depths; empty: each workload's own.</summary>
    public int[] Pipelines { get; set; } = [];

    /// <summary>A tenth of everything: for a look, not for a claim.</summary>
    public bool Quick { get; set; }
}
