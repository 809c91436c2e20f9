namespace OrleansRedis.Engine;

/// <summary>An RDB file that cannot be loaded. The message is what Redis logs.</summary>
/// <param name="message">What Redis logs.</param>
/// <param name="reason">What is wrong with the bytes, in short.</param>
/// <param name="offset">How many bytes had been read.</param>
/// <param name="reading">What was being read, and of which key.</param>
/// <param name="inner">The underlying exception.</param>
public sealed class RdbFileException(string message, string reason, long offset, string reading, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What is wrong with the bytes, in short.</summary>
    public string Reason { get; } = reason;

    /// <summary>How many bytes of the file had been read.</summary>
    public long Offset { get; } = offset;

    /// <summary>What was being read, and of which key.</summary>
    public string Reading { get; } = reading;

    /// <summary>The second line of the log: where it happened.</summary>
    public string Report => $"Internal error in RDB reading offset {Offset}, {Reading} -> {Reason}";
}
