namespace OrleansRedis.Engine;

/// <summary>Which arguments of a command are names of channels; see <see cref="CommandAttribute.Channels"/>.</summary>
public sealed record ChannelSpecification(int First, int Last, bool ArePatterns)
{
    /// <summary>Position of the last such argument in a request of this many arguments.</summary>
    public int LastOf(int count) => Last < 0 ? count + Last : Math.Min(Last, count - 1);

    /// <summary>Reads a declaration; null if it is empty.</summary>
    internal static ChannelSpecification? Parse(string text)
    {
        if (text.Length == 0) return null;
        string[] words = text.Split(' ');
        string[] bounds = words[^1].Split("..");
        int first = int.Parse(bounds[0]);
        return new(first, bounds.Length == 1 ? first : int.Parse(bounds[1]), words is ["PATTERN", _]);
    }
}
