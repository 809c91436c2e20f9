using System.Globalization;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>oom-score-adj: how willingly the system ends this process when memory runs out.</summary>
internal sealed class OomScore(ServerOptions options, ServerLog log)
{
    private const string File = "/proc/self/oom_score_adj";
    private const int Least = -1000, Most = 1000;

    private int? _before; // what it was while oom-score-adj was "no"

    /// <summary>Makes the directives take effect, now and whenever they change.</summary>
    public void Follow(ServerConfiguration configuration)
    {
        configuration.OnChange(["oom-score-adj", "oom-score-adj-values"], () => new(Apply()));
        Apply();
    }

    /// <summary>Returns why it could not be set, or null.</summary>
    private string? Apply()
    {
        if (options.OomScoreAdj == OomScoreAdjustment.No && _before is null) return null;
        try
        {
            int before = _before ??= int.Parse(System.IO.File.ReadAllText(File), CultureInfo.InvariantCulture);
            int wanted = options.OomScoreAdj switch
            {
                OomScoreAdjustment.No => before,
                OomScoreAdjustment.Relative => before + options.OomScoreAdjValues[0],
                _ => options.OomScoreAdjValues[0],
            };
            System.IO.File.WriteAllText(File, Math.Clamp(wanted, Least, Most).ToString(CultureInfo.InvariantCulture));
            if (options.OomScoreAdj == OomScoreAdjustment.No) _before = null;
            return null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or FormatException)
        {
            log.Warning($"Unable to write oom_score_adj: {failure.Message}");
            return "Failed to apply new oom_score_adj configuration, check server logs.";
        }
    }
}
