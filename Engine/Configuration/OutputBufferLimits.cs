using System.Diagnostics.CodeAnalysis;

namespace OrleansRedis.Engine;

/// <summary>
/// How far the unsent replies of one class of clients may pile up before such a client is disconnected.
/// </summary>
/// <param name="HardBytes">A client with this many bytes waiting is disconnected at once; 0 for no limit.</param>
/// <param name="SoftBytes">
/// A client with this many bytes waiting for longer than <paramref name="SoftSeconds"/> is disconnected; 0 for no
/// limit.
/// </param>
/// <param name="SoftSeconds">How long the soft limit may be reached.</param>
public readonly record struct OutputLimit(long HardBytes, long SoftBytes, int SoftSeconds)
{
    /// <summary>
    /// Whether a client with this many bytes waiting is to be disconnected at once, however briefly they have waited.
    /// </summary>
    public bool IsHardExceeded(long bytes) => HardBytes != 0 && bytes >= HardBytes;

    /// <summary>
    /// Whether a client with this many bytes waiting is to be disconnected. <paramref name="overSoftSinceMs"/>
    /// remembers, for this client, since when it has been at the soft limit; 0 if it is not.
    /// </summary>
    public bool IsExceeded(long bytes, long nowMs, ref long overSoftSinceMs)
    {
        if (IsHardExceeded(bytes)) return true;
        if (SoftBytes == 0 || bytes < SoftBytes)
        {
            overSoftSinceMs = 0;
            return false;
        }
        if (overSoftSinceMs == 0) overSoftSinceMs = nowMs;
        return nowMs - overSoftSinceMs > SoftSeconds * 1000L;
    }
}

/// <summary>client-output-buffer-limit: one limit for each class of clients.</summary>
public sealed record OutputBufferLimits(OutputLimit Normal, OutputLimit Replica, OutputLimit PubSub)
{
    /// <summary>Redis's defaults.</summary>
    public static OutputBufferLimits Default { get; } = new(default, new(256L << 20, 64L << 20, 60), new(32L << 20, 8L << 20, 60));
}

internal sealed class OutputBufferLimitsKind : DirectiveKind
{
    public override bool TakesSeveralWords => true;

    /// <summary>A class that is not named keeps its limit.</summary>
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        var limits = (OutputBufferLimits)current;
        value = null;
        if (words.Length == 0 || words.Length % 4 != 0)
        {
            error = "Wrong number of arguments in buffer limit configuration.";
            return false;
        }
        for (; words.Length > 0; words = words[4..])
        {
            string client = words[0].ToLowerInvariant();
            if (client is not ("normal" or "replica" or "slave" or "pubsub"))
            {
                error = "Invalid client class specified in buffer limit configuration.";
                return false;
            }
            if (!MemorySize.TryParse(words[1], out long hard) || !MemorySize.TryParse(words[2], out long soft)
                || !int.TryParse(words[3], out int seconds) || seconds < 0)
            {
                error = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
                return false;
            }
            var limit = new OutputLimit(hard, soft, seconds);
            limits = client switch
            {
                "normal" => limits with { Normal = limit },
                "pubsub" => limits with { PubSub = limit },
                _ => limits with { Replica = limit },
            };
        }
        value = limits;
        error = null;
        return true;
    }

    public override string Format(object value) => string.Join(' ', Classes(value).Select(one =>
        $"{(one.Name == "replica" ? "slave" : one.Name)} {one.Limit.HardBytes} {one.Limit.SoftBytes} {one.Limit.SoftSeconds}"));

    public override IEnumerable<string> Lines(object value) => Classes(value).Select(one =>
        $"{one.Name} {MemorySize.Format(one.Limit.HardBytes)} {MemorySize.Format(one.Limit.SoftBytes)} {one.Limit.SoftSeconds}");

    private static (string Name, OutputLimit Limit)[] Classes(object value)
    {
        var limits = (OutputBufferLimits)value;
        return [("normal", limits.Normal), ("replica", limits.Replica), ("pubsub", limits.PubSub)];
    }
}
