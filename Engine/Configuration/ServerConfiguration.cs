using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// The server's directives in force: read from redis.conf and the command line, queried and changed by CONFIG.
/// </summary>
public sealed class ServerConfiguration(ServerOptions options) : IDisposable
{
    private readonly SemaphoreSlim _changing = new(1, 1);
    private readonly HashSet<string> _told = new(StringComparer.OrdinalIgnoreCase); // of what has no effect
    private readonly List<(string[] Directives, Func<ValueTask<string?>> Apply)> _reactions = [];

    /// <summary>The values in force.</summary>
    public ServerOptions Options { get; } = options;

    /// <summary>The full path of the file they were read from; null if there was none.</summary>
    public string? FilePath { get; private set; }

    /// <summary>Whether data are being loaded.</summary>
    public Func<bool> IsLoading { get; set; } = () => false;

    /// <summary>
    /// Called before the file is rewritten, for whoever has changed something that <see cref="Options"/> lacks.
    /// </summary>
    public event Action? Rewriting;

    /// <summary>
    /// Reads redis-server's command line: <c>[file] [-] [--directive value …]</c>, where "-" is the standard input.
    /// Later values override earlier ones. Throws a <see cref="ConfigurationException"/>, whose message is meant for
    /// the standard error.
    /// </summary>
    public static ServerConfiguration Load(ReadOnlySpan<string> arguments)
    {
        var text = new StringBuilder();
        string? path = null;
        int i = 0;
        if (i < arguments.Length && arguments[i].Length > 0 && arguments[i][0] != '-')
        {
            path = Path.GetFullPath(arguments[i++]);
            text.Append(ConfigurationFile.Read(path));
        }
        if (i < arguments.Length && arguments[i] == "-")
        {
            i++;
            text.Append('\n').Append(ConfigurationFile.Read("-"));
        }
        if (i < arguments.Length) text.Append('\n').Append(ConfigurationFile.FromArguments(arguments[i..]));
        var configuration = new ServerConfiguration(new()) { FilePath = path };
        ConfigurationFile.Apply(text.ToString(), configuration.Options);
        return configuration;
    }

    /// <summary>
    /// Registers <paramref name="apply"/> to be called after CONFIG SET has changed any of these directives, or has
    /// taken a change back. It makes the new values in <see cref="Options"/> take effect, or returns the reason why it
    /// cannot; then everything that the same CONFIG SET changed is taken back. Only one call runs at a time.
    /// </summary>
    public void OnChange(string[] directives, Func<ValueTask<string?>> apply)
    {
        foreach (string directive in directives)
        {
            if (!Directive.TryFind(directive, out _)) throw new ArgumentException($"There is no directive {directive}.");
        }
        _reactions.Add((directives, apply));
    }

    /// <summary>The names and values of the directives that match any of these patterns, each once.</summary>
    public List<(string Name, string Value)> Get(IEnumerable<string> patterns)
    {
        var found = new List<(string, string)>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (string pattern in patterns)
        {
            if (pattern.AsSpan().IndexOfAny("*?[") < 0)
            {
                if (Directive.TryFind(pattern, out Directive? directive) && !directive.Declaration.IsFileOnly) Add(pattern, directive);
                continue;
            }
            byte[] glob = Encoding.UTF8.GetBytes(pattern);
            foreach (string name in Directive.Names)
            {
                if (GlobPattern.IsMatch(glob, Encoding.ASCII.GetBytes(name), ignoreCase: true)
                    && Directive.TryFind(name, out Directive? directive)
                    && directive.Declaration is { Hidden: false, IsFileOnly: false })
                    Add(name, directive);
            }
        }
        return found;

        void Add(string name, Directive directive)
        {
            if (seen.Add(name)) found.Add((name, directive.Kind.Format(directive.Get(Options))));
        }
    }

    /// <summary>
    /// The directives that were given although they have no effect here, for the operator to be told of, each once; null
    /// if there are none.
    /// </summary>
    public string? DescribeWithoutEffect()
    {
        string[] names = [.. Options.Foreign.Keys.Where(_told.Add).Order(StringComparer.Ordinal)];
        return names.Length == 0 ? null : $"has no effect here: {string.Join(", ", names)} (docs/compatibility.md says why)";
    }

    /// <summary>
    /// CONFIG SET: either all of the pairs take effect, or none. Returns the error to reply, or null.
    /// </summary>
    /// <param name="pairs">Names and values.</param>
    /// <param name="isLocal">
    /// Whether the client is on this machine, which enable-protected-configs may require.
    /// </param>
    public async ValueTask<string?> SetAsync(IReadOnlyList<(string Name, string Value)> pairs, bool isLocal)
    {
        await _changing.WaitAsync().ConfigureAwait(false);
        try
        {
            var directives = new List<Directive>();
            foreach ((string name, _) in pairs)
            {
                if (!Directive.TryFind(name, out Directive? directive) || directive.Declaration.IsFileOnly)
                    return $"ERR Unknown option or number of arguments for CONFIG SET - '{name}'";
                if (directive.Declaration.Immutable) return Failed(name, "can't set immutable config");
                if (directive.Declaration.Protected && !Allows(Options.EnableProtectedConfigs, isLocal)) return Failed(name, "can't set protected config");
                if (directives.Contains(directive)) return Failed(name, "duplicate parameter");
                directives.Add(directive);
            }
            if (IsLoading() && directives.Exists(directive => directive.Declaration.NotWhileLoading)) return "LOADING Redis is loading the dataset in memory";
            object[] before = [.. directives.Select(directive => directive.Get(Options))];
            for (int i = 0; i < directives.Count; i++)
            {
                if (TrySetOne(directives[i], pairs[i].Value, out string? error)) continue;
                Restore(directives, before);
                return Failed(pairs[i].Name, error!);
            }
            return await ApplyAsync(directives, before).ConfigureAwait(false);
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>
    /// CONFIG REWRITE: brings the file up to the values in force. Returns the error to reply, or null.
    /// </summary>
    /// <param name="everything">
    /// Whether to write even directives that the file lacks and that are at their defaults.
    /// </param>
    public string? Rewrite(bool everything = false)
    {
        if (FilePath is null) return "ERR The server is running without a config file";
        Rewriting?.Invoke();
        try
        {
            string old = File.Exists(FilePath) ? ConfigurationFile.Decode(File.ReadAllBytes(FilePath)) : "";
            AtomicFile.Replace(FilePath, ByteText.Encode(ConfigurationRewriter.Rewrite(old, Options, everything)));
            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return $"ERR Rewriting config file: {exception.Message}";
        }
    }

    public void Dispose() => _changing.Dispose();

    /// <summary>Whether a client may do what a directive of this kind guards.</summary>
    public static bool Allows(LocalAccess access, bool isLocal) => access == LocalAccess.Yes || (access == LocalAccess.Local && isLocal);

    private static string Failed(string name, string reason) => $"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}";

    private bool TrySetOne(Directive directive, string text, out string? error)
    {
        string[] words = directive.Kind.TakesSeveralWords ? text.Split(' ') : [text];
        if (!directive.Kind.TryParse(words, directive.Get(Options), out object? value, out error)) return false;
        directive.Set(Options, value);
        return true;
    }

    private async ValueTask<string?> ApplyAsync(List<Directive> changed, object[] before)
    {
        var applied = new List<Func<ValueTask<string?>>>();
        foreach ((string[] directives, Func<ValueTask<string?>> apply) in _reactions)
        {
            Directive? concerned = changed.Find(directive => directives.Contains(directive.Name));
            if (concerned is null) continue;
            applied.Add(apply);
            string? error = await apply().ConfigureAwait(false);
            if (error is null) continue;
            Restore(changed, before);
            foreach (Func<ValueTask<string?>> again in applied) await again().ConfigureAwait(false);
            return Failed(concerned.Name, error);
        }
        return null;
    }

    private void Restore(List<Directive> directives, object[] values)
    {
        for (int i = 0; i < directives.Count; i++) directives[i].Set(Options, values[i]);
    }
}
