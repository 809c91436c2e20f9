namespace OrleansRedis.Engine;

/// <summary>How important a line of the log is; see loglevel.</summary>
public enum Severity
{
    Verbose,
    Notice,
    Warning,
}

/// <summary>
/// What the engine tells its operator, in redis-server's own words where it has some. The host decides where the lines
/// go; without a host they are dropped.
/// </summary>
public sealed class ServerLog
{
    /// <summary>Receives each line, on any thread.</summary>
    public Action<Severity, string>? Writer { get; set; }

    /// <summary>Logs something of interest to an operator who is looking for it.</summary>
    public void Verbose(string line) => Writer?.Invoke(Severity.Verbose, line);

    /// <summary>Logs something that an operator wants to know.</summary>
    public void Notice(string line) => Writer?.Invoke(Severity.Notice, line);

    /// <summary>Logs something that an operator must know.</summary>
    public void Warning(string line) => Writer?.Invoke(Severity.Warning, line);
}
