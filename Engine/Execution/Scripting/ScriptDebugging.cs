namespace OrleansRedis.Engine;

/// <summary>SCRIPT DEBUG: whether a session's next EVAL is debugged.</summary>
public enum ScriptDebugging
{
    No,

    /// <summary>On copies of the keys, which are thrown away.</summary>
    OnCopies,

    /// <summary>SYNC: on the data, while nobody else runs a command.</summary>
    Sync,
}

/// <summary>
/// A script that is being debugged, as its client's connection sees it: until it has ended, it gets the client's requests,
/// and replies to each with an array of lines.
/// </summary>
public interface IDebuggedScript
{
    /// <summary>Whether it has ended. Its client is then disconnected.</summary>
    bool IsOver { get; }

    /// <summary>
    /// Hands a request to the debugger. Completes when the script has stopped again, or has ended, with what that says in
    /// the reply.
    /// </summary>
    Task ObeyAsync(OwnedRequest request, RespWriter reply);

    /// <summary>The client has left. On copies the script ends; otherwise it goes on to its end by itself.</summary>
    void Abandon();
}
