namespace OrleansRedis.Gateway;

/// <summary>What happens to a client's replies, as set by CLIENT REPLY.</summary>
public enum ReplyMode
{
    /// <summary>Replies are sent.</summary>
    On,

    /// <summary>No reply is sent.</summary>
    Off,

    /// <summary>The current command is CLIENT REPLY SKIP: neither its own reply nor the next is sent.</summary>
    SkipNext,

    /// <summary>The next reply is not sent.</summary>
    Skip,

    /// <summary>The current command is an EXEC with CLIENT REPLY OFF: its own reply is sent, and no other.</summary>
    OffAfterThis,

    /// <summary>The current command is an EXEC with CLIENT REPLY SKIP: its own reply is sent, but not the next.</summary>
    SkipAfterThis,
}
