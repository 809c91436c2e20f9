using System.Globalization;

namespace OrleansRedis.Benchmarks;

/// <summary>Which way a figure is better.</summary>
internal enum Better
{
    Higher,
    Lower,

    /// <summary>Describes the conditions of the other figures; is not judged.</summary>
    Neither,
}

/// <summary>
/// Prints figures, one row each: a column with the median of the rounds for every server, then the ratios of ours to
/// each other server. If one of the servers is another build of ours, keeps the figures of both for
/// <see cref="PrintVerdict"/>.
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
    /// <param name="what">What is measured, and its unit.</param>
    /// <param name="figures">For every server, in the order of the columns, one figure per round; none, or NaN, if it
    /// has none.</param>
    /// <param name="better">Which way is better.</param>
    /// <param name="format">Number format.</param>
    public void Row(string what, double[][] figures, Better better, string format = "F2")
    {
        double[] medians = [.. figures.Select(RedisBenchmark.Median)];
        string values = string.Concat(medians.Select(
            median => $"{(double.IsNaN(median) ? "-" : median.ToString(format, CultureInfo.InvariantCulture)),11}"));
        string ratios = better == Better.Neither
            ? ""
            : string.Concat(medians.SkipLast(1).Select(median => $"{Ratio(medians[ours] / median),9}"));
        Console.WriteLine($"{what,-52}{values} |{ratios}");
        if (against < 0 || better == Better.Neither)
            return;
        double[] rounds = [.. figures[ours].Zip(figures[against], (mine, other) => Score(mine, other, better))];
        double score = Score(medians[ours], medians[against], better);
        if (!double.IsNaN(score))
            scores.Add(new(what, score, rounds));
    }

    /// <summary>
    /// When comparing with another build of ours: prints which figures of this build are worse than 0.97 of the
    /// other's, and the spread of the rounds.
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
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"  {what,-50}{score,8:F2}   {rounds.Min():F2} to {rounds.Max():F2}{always}"));
        }
    }

    private static double Score(double mine, double other, Better better) =>
        better == Better.Higher ? mine / other : other / mine;

    private static string Ratio(double ratio) =>
        double.IsFinite(ratio) ? ratio.ToString("F2", CultureInfo.InvariantCulture) : "-";

    /// <summary>
    /// A figure of ours as a ratio to the other build's, inverted where necessary so that below 1 is worse.
    /// </summary>
    /// <param name="What">What is measured.</param>
    /// <param name="Score">The ratio of the medians.</param>
    /// <param name="Rounds">The ratio of each round.</param>
    private sealed record Judged(string What, double Score, double[] Rounds);
}
