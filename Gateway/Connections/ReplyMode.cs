namespace OrleansRedis.Gateway;

/// <summary>What becomes of a client's replies, as CLIENT REPLY said.</summary>
public enum ReplyMode
{
    /// <summary>They are sent.</summary>
    On,

    /// <summary>None is sent.</summary>
    Off,

    /// <summary>CLIENT REPLY SKIP was this very command: its own reply is not sent, and neither is the next.</summary>
    SkipNext,

    /// <summary>The next reply is not sent.</summary>
    Skip,
}
