namespace OrleansRedis.Engine;

/// <summary>Times of expiry are Unix milliseconds.</summary>
internal static class Expiry
{
    /// <summary>The time of expiry of a key that has none.</summary>
    public const long Never = long.MaxValue;
}
