using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>
/// When the server saves the data on its own: after <paramref name="Seconds"/>, if there were at least
/// <paramref name="Changes"/> changes.
/// </summary>
public readonly record struct SavePoint(long Seconds, long Changes);

/// <summary>save: any number of <see cref="SavePoint"/>s.</summary>
public sealed class SavePoints(params SavePoint[] points)
{
    /// <summary>The save points in force if no save directive is given.</summary>
    public static readonly SavePoints Default = new(new(3600, 1), new(300, 100), new(60, 10000));

    /// <summary>The points, in the order given.</summary>
    public IReadOnlyList<SavePoint> All => points;

    /// <summary>Whether the server saves the data on its own at all.</summary>
    public bool Any => points.Length != 0;
}

/// <summary>
/// Seconds and changes, alternating; one empty word means no save points. Lines of a file add up, CONFIG SET replaces.
/// </summary>
internal sealed class SavePointsKind : DirectiveKind
{
    private const string Invalid = "Invalid save parameters";

    public override bool TakesSeveralWords => true;

    public override bool TakesNoWords => true;

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = null;
        error = Invalid;
        if (words is [""]) words = [];
        if (words.Length % 2 != 0) return false;
        var points = new SavePoint[words.Length / 2];
        for (int i = 0; i < points.Length; i++)
        {
            if (!TryParse(words[2 * i], 1, out long seconds) || !TryParse(words[(2 * i) + 1], 0, out long changes)) return false;
            points[i] = new(seconds, changes);
        }
        value = new SavePoints(points);
        error = null;
        return true;
    }

    public override bool TryParseLine(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        if (!TryParse(words, current, out value, out error)) return false;
        // The first line replaces the default, and so does a line that says that there are no save points.
        var added = (SavePoints)value;
        if (added.Any && !ReferenceEquals(current, SavePoints.Default)) value = new SavePoints([.. ((SavePoints)current).All, .. added.All]);
        return true;
    }

    public override string Format(object value) => string.Join(' ', ((SavePoints)value).All.Select(Format));

    public override IEnumerable<string> Lines(object value) => ((SavePoints)value).Any ? ((SavePoints)value).All.Select(Format) : ["\"\""];

    public override bool AreEqual(object a, object b) => ((SavePoints)a).All.SequenceEqual(((SavePoints)b).All);

    private static string Format(SavePoint point) => string.Create(CultureInfo.InvariantCulture, $"{point.Seconds} {point.Changes}");

    private static bool TryParse(string word, long least, out long number) =>
        Numbers.TryParseInt64(System.Text.Encoding.UTF8.GetBytes(word), out number) && number >= least;
}
