namespace OrleansRedis.Engine;

/// <summary>How important a line of the log is; see loglevel.</summary>
public enum Severity
{
    Verbose,
    Notice,
    Warning,
}

/// <summary>
/// What the engine tells its operator, in redis-server's own words where it has some. The host says where it goes; without one, nowhere.
/// </summary>
public sealed class ServerLog
{
    /// <summary>Takes each line. Called from any thread.</summary>
    public Action<Severity, string>? Writer { get; set; }

    /// <summary>Something of interest to whoever looks for it.</summary>
    public void Verbose(string line) => Writer?.Invoke(Severity.Verbose, line);

    /// <summary>Something that an operator wants to know.</summary>
    public void Notice(string line) => Writer?.Invoke(Severity.Notice, line);

    /// <summary>Something that an operator must know.</summary>
    public void Warning(string line) => Writer?.Invoke(Severity.Warning, line);
}
