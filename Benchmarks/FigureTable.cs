using System.Globalization;

namespace OrleansRedis.Benchmarks;

/// <summary>How a figure is to be read.</summary>
internal enum Better
{
    Higher,
    Lower,

    /// <summary>Says under what conditions the others came about; is not judged.</summary>
    Neither,
}

/// <summary>
/// Prints figures, one row each: a column for every server, medians of the rounds, and beside them the ratios of ours
/// to every other. Keeps those of two builds of ours for <see cref="PrintVerdict"/>.
/// </summary>
internal sealed class FigureTable(IReadOnlyList<Peer> servers)
{
    private const double Allowed = 0.97;
    private readonly int ours = servers.Count - 1;
    private readonly int against = servers.ToList().FindIndex(peer => peer.Name == Peer.Against);
    private readonly List<Judged> scores = [];

    public void Header(string title)
    {
        Console.WriteLine();
        IEnumerable<string> ratios = servers.SkipLast(1).Select(peer => $"{"/" + peer.Name,9}");
        Console.WriteLine($"{title,-52}{string.Concat(servers.Select(peer => $"{peer.Name,11}"))} |{string.Concat(ratios)}");
    }

    /// <summary>Prints a row and keeps it.</summary>
    /// <param name="what">Of what, and in which unit.</param>
    /// <param name="figures">For every server, in the order of the columns, one of each round; none, or NaN, if it has
    /// none.</param>
    /// <param name="better">Which way is better.</param>
    /// <param name="format">The format of a number.</param>
    public void Row(string what, double[][] figures, Better better, string format = "F2")
    {
        double[] medians = [.. figures.Select(RedisBenchmark.Median)];
        string values = string.Concat(medians.Select(median => $"{(double.IsNaN(median) ? "-" : median.ToString(format, CultureInfo.InvariantCulture)),11}"));
        string ratios = better == Better.Neither ? "" : string.Concat(medians.SkipLast(1).Select(median => $"{Ratio(medians[ours] / median),9}"));
        Console.WriteLine($"{what,-52}{values} |{ratios}");
        if (against < 0 || better == Better.Neither)
            return;
        double[] rounds = [.. figures[ours].Zip(figures[against], (mine, other) => Score(mine, other, better))];
        double score = Score(medians[ours], medians[against], better);
        if (!double.IsNaN(score))
            scores.Add(new(what, score, rounds));
    }

    /// <summary>
    /// With another build of ours: which figures of this one are worse than 0.97 of its, and how far the rounds were
    /// apart.
    /// </summary>
    public static void PrintVerdict(IEnumerable<FigureTable> tables)
    {
        Judged[] all = [.. tables.SelectMany(table => table.scores)];
        Judged[] worse = [.. all.Where(score => score.Score < Allowed).OrderBy(score => score.Score)];
        Console.WriteLine();
        string limit = Allowed.ToString("F2", CultureInfo.InvariantCulture);
        Console.WriteLine($"{worse.Length} of {all.Length} figures are worse than {limit} of the other build's.");
        if (worse.Length > 0)
            Console.WriteLine($"{"Below 1 is worse, whichever way the figure counts:",-52}{"medians",8}   single rounds");
        foreach ((string what, double score, double[] rounds) in worse)
        {
            string always = rounds.Length > 1 && rounds.Max() < 1 ? ", worse in every one" : "";
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {what,-50}{score,8:F2}   {rounds.Min():F2} to {rounds.Max():F2}{always}"));
        }
    }

    private static double Score(double mine, double other, Better better) => better == Better.Higher ? mine / other : other / mine;

    private static string Ratio(double ratio) => double.IsFinite(ratio) ? ratio.ToString("F2", CultureInfo.InvariantCulture) : "-";

    /// <summary>A figure of ours in terms of the other build's, so turned that below 1 is worse.</summary>
    /// <param name="What">Of what.</param>
    /// <param name="Score">By the medians.</param>
    /// <param name="Rounds">By the single rounds.</param>
    private sealed record Judged(string What, double Score, double[] Rounds);
}
