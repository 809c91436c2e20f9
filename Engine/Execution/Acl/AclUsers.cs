using System.Collections.Immutable;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// The users of this silo, and who may come in as whom. Names, rules and errors are Latin-1: a character for each byte.
/// Safe for any thread.
/// </summary>
public sealed class AclUsers
{
    private const string DefaultName = "default";

    private readonly Lock _changing = new();
    private readonly ServerOptions _options;
    private readonly CommandTable _commands;
    private readonly Clock _clock;
    private readonly ServerLog _log;
    private ImmutableSortedDictionary<string, AclUser> _users = ImmutableSortedDictionary.Create<string, AclUser>(StringComparer.Ordinal);

    public AclUsers(ServerOptions options, CommandTable commands, Clock clock, ServerLog log)
    {
        _options = options;
        _commands = commands;
        _clock = clock;
        _log = log;
        Denials = new(options);
        Throttle = new(options, clock);
        Unknown = new("(unknown)", new AclRules(commands, allChannelsByDefault: false));
        AclRules rules = DefaultRules();
        if (options.RequirePass.Length != 0) RequirePassword(rules, options.RequirePass);
        Default = new(DefaultName, rules);
        _users = _users.Add(DefaultName, Default);
    }

    /// <summary>
    /// A user's rules have changed, or it has been deleted. Whoever keeps sessions ends those that may not stay. The
    /// second argument is the session that did it, if any did: it still gets its reply.
    /// </summary>
    public event Action<AclUser, Session?>? Changed;

    /// <summary>The user of every session that has not authenticated as another one.</summary>
    public AclUser Default { get; }

    /// <summary>In place of a user whom another silo knows and this one does not: it may do nothing.</summary>
    public AclUser Unknown { get; }

    /// <summary>ACL LOG.</summary>
    public AclLog Denials { get; }

    /// <summary>Holds back addresses that guess passwords.</summary>
    public AuthThrottle Throttle { get; }

    /// <summary>All users, by name.</summary>
    public IEnumerable<AclUser> All => Volatile.Read(ref _users).Values;

    /// <summary>How many there are.</summary>
    public int Count => Volatile.Read(ref _users).Count;

    /// <summary>Whether sessions begin as the default user without a password.</summary>
    public bool IsOpen => Default.IsOpen;

    private bool AllChannelsByDefault => _options.AclPubSubDefault == AclPubSubDefault.Allchannels;

    /// <summary>The user of this name; null if there is none.</summary>
    public AclUser? Find(ReadOnlySpan<byte> name) => Volatile.Read(ref _users).GetValueOrDefault(Encoding.Latin1.GetString(name));

    /// <summary>
    /// Checks a name and a password, for whoever has them: AUTH, HELLO, a grain call. What fails is noted in ACL LOG,
    /// and held against the session's address.
    /// </summary>
    /// <param name="name">The user's name.</param>
    /// <param name="password">The password.</param>
    /// <param name="session">Who gives them.</param>
    /// <param name="command">The command that gives them, for ACL LOG.</param>
    /// <param name="error">If the result is null: what to reply.</param>
    /// <returns>The user; null if there is no such user, it is off, or the password is not one of its
    /// passwords.</returns>
    public AclUser? Authenticate(
        ReadOnlySpan<byte> name, ReadOnlySpan<byte> password, Session session, ReadOnlySpan<byte> command, out string error) =>
        AuthenticateFrom(session.Origin, name, password, session, command, out error);

    /// <summary>
    /// The same for a session of many that come from different places: <paramref name="origin"/> is this one's
    /// (<see cref="Session.Origin"/>).
    /// </summary>
    internal AclUser? AuthenticateFrom(
        string origin, ReadOnlySpan<byte> name, ReadOnlySpan<byte> password, Session session, ReadOnlySpan<byte> command, out string error)
    {
        error = Errors.WrongPassword;
        if (Throttle.Refuses(origin))
        {
            error = "ERR too many failed attempts to authenticate from this address, try again later";
        }
        else if (Recognize(name, password) is { } user)
        {
            return user;
        }
        Throttle.Failed(origin);
        AclContext context = session.Transaction is { IsOpen: true } ? AclContext.Multi : AclContext.Toplevel;
        Denials.Add(
            AclReason.Auth, context, Encoding.Latin1.GetString(command), Encoding.Latin1.GetString(name), session.Describe(_clock.NowMs), _clock.NowMs);
        return null;
    }

    /// <summary>
    /// The user by this name, if it is on and the password is one of its passwords; otherwise null. Whether there is
    /// such a user does not show in the time that this takes.
    /// </summary>
    public AclUser? Recognize(ReadOnlySpan<byte> name, ReadOnlySpan<byte> password)
    {
        AclUser? user = Find(name);
        return (user ?? Default).Rules.Accepts(password) ? user : null;
    }

    /// <summary>
    /// Whether the session's user may not do what a request says; for whoever runs requests. If so, that is noted in
    /// ACL LOG, and <paramref name="verdict"/> says why.
    /// </summary>
    public bool Denies(Session session, CommandInfo command, in Request request, AclContext context, out AclVerdict verdict)
    {
        verdict = default;
        AclUser user = session.User;
        if (user.IsUnrestricted) return false;
        verdict = user.Rules.Check(command, request);
        if (verdict.IsAllowed) return false;
        long nowMs = _clock.NowMs;
        Denials.Add(verdict.Reason, context, verdict.Object(command, request), user.Name, session.Describe(nowMs), nowMs);
        return true;
    }

    /// <summary>
    /// ACL SETUSER: applies rules to a user, who is created if there is none by that name. All of them take effect, or
    /// none.
    /// </summary>
    /// <returns>What is wrong with them, in Redis's words; null if nothing is.</returns>
    public string? Set(string name, IReadOnlyList<string> words, Session? by)
    {
        if (AclSelector.HasBlanks(name)) return "Usernames can't contain spaces or null characters";
        if (!TryMerge(words, out List<string> rules, out string open)) return $"Unmatched parenthesis in acl selector starting at '{open}'.";
        AclUser? user;
        lock (_changing)
        {
            user = _users.GetValueOrDefault(name);
            AclRules draft = user?.Rules.Clone(AllChannelsByDefault) ?? new(_commands, AllChannelsByDefault);
            foreach (string rule in rules)
            {
                if (draft.Apply(rule) is var error and not AclError.None) return $"Error in ACL SETUSER modifier '{rule}': {error.Text()}";
            }
            WarnOf(rules);
            if (user is null) _users = _users.Add(name, user = new(name, draft));
            else user.Follow(draft);
        }
        Changed?.Invoke(user, by);
        return null;
    }

    /// <summary>ACL DELUSER: deletes users, of whom none is the default user. Returns how many there were.</summary>
    public int Delete(IEnumerable<string> names, Session? by)
    {
        var deleted = new List<AclUser>();
        lock (_changing)
        {
            foreach (string name in names)
            {
                if (!_users.TryGetValue(name, out AclUser? user)) continue;
                _users = _users.Remove(name);
                user.Delete(new(_commands, allChannelsByDefault: false));
                deleted.Add(user);
            }
        }
        foreach (AclUser user in deleted) Changed?.Invoke(user, by);
        return deleted.Count;
    }

    /// <summary>
    /// requirepass has changed: it becomes the default user's only password, or if empty, that user needs none.
    /// </summary>
    internal void RequirePasswordChanged()
    {
        lock (_changing)
        {
            AclRules draft = Default.Rules.Clone(AllChannelsByDefault);
            RequirePassword(draft, _options.RequirePass);
            Default.Follow(draft);
        }
        Changed?.Invoke(Default, null);
    }

    /// <summary>
    /// At the start: the users of redis.conf or of aclfile.
    /// </summary>
    /// <exception cref="LoadException">They make no sense, and the server must not start.</exception>
    public void LoadAtStart()
    {
        IReadOnlyList<string[]> lines = _options.Users.All;
        if (lines.Count != 0 && _options.AclFile.Length != 0)
        {
            throw new LoadException(
                "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to "
                    + "lead to configuration errors and security holes, please define either an ACL file or declare users directly in your "
                    + "redis.conf, but not both.");
        }
        foreach (string[] line in lines) LoadLine([.. line.Select(word => Encoding.Latin1.GetString(ByteText.Encode(word)))]);
        if (_options.AclFile.Length != 0 && Load(by: null) is { } errors) throw new LoadException($"Aborting Redis startup because of ACL errors: {errors}");
    }

    /// <summary>The users as lines of redis.conf; none if a file of their own has them.</summary>
    internal DirectiveLines ToLines() =>
        _options.AclFile.Length != 0
            ? DirectiveLines.None
            : new([.. All.Select(user => ToLine($"{user.Name} {user.Rules.Describe()}"))]);

    private static string[] ToLine(string text) => [.. text.Split(' ').Select(word => ByteText.Decode(Encoding.Latin1.GetBytes(word)))];

    /// <summary>
    /// ACL LOAD: replaces all users by those of aclfile. Sessions of a user who is still there stay; the others are
    /// ended.
    /// </summary>
    /// <returns>Everything that is wrong with the file, in Redis's words; null if nothing is.</returns>
    public string? Load(Session? by)
    {
        List<string> lines;
        try
        {
            lines = [.. Encoding.Latin1.GetString(File.ReadAllBytes(AclFilePath)).Split('\n')];
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return $"Error loading ACLs, opening file '{_options.AclFile}': {AtomicFile.Reason(failure)}";
        }
        var loaded = new Dictionary<string, AclRules>(StringComparer.Ordinal);
        var errors = new StringBuilder();
        for (int i = 0; i < lines.Count; i++) Read(lines[i].Trim(' ', '\t', '\r'), i + 1, loaded, errors);
        if (errors.Length != 0)
            return errors.Append("WARNING: ACL errors detected, no change to the previously active ACL rules was performed").ToString();

        var changed = new List<AclUser>();
        lock (_changing)
        {
            loaded.TryAdd(DefaultName, DefaultRules());
            foreach (AclUser user in _users.Values)
            {
                changed.Add(user);
                if (loaded.Remove(user.Name, out AclRules? rules))
                {
                    user.Follow(rules);
                    continue;
                }
                _users = _users.Remove(user.Name);
                user.Delete(new(_commands, allChannelsByDefault: false));
            }
            foreach ((string name, AclRules rules) in loaded) _users = _users.Add(name, new(name, rules));
        }
        foreach (AclUser user in changed) Changed?.Invoke(user, by);
        return null;
    }

    /// <summary>ACL SAVE: writes the users to aclfile. False if that fails; the reason is in the log.</summary>
    public bool Save()
    {
        var text = new StringBuilder();
        foreach (AclUser user in All) text.Append("user ").Append(user.Name).Append(' ').Append(user.Rules.Describe()).Append('\n');
        try
        {
            AtomicFile.Replace(AclFilePath, Encoding.Latin1.GetBytes(text.ToString()));
            return true;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            _log.Warning($"Writing ACL file for ACL SAVE: {AtomicFile.Reason(failure)}");
            return false;
        }
    }

    private string AclFilePath => Path.Combine(_options.Dir, _options.AclFile);

    private AclRules DefaultRules()
    {
        var rules = new AclRules(_commands, AllChannelsByDefault);
        foreach (string rule in (string[])["+@all", "~*", "&*", "on", "nopass"]) rules.Apply(rule);
        return rules;
    }

    private static void RequirePassword(AclRules rules, string password)
    {
        rules.Apply("resetpass");
        rules.Apply(password.Length == 0 ? "nopass" : ">" + Encoding.Latin1.GetString(ByteText.Encode(password)));
    }

    /// <summary>
    /// Puts words together that belong to one selector: from one that opens a parenthesis to one that closes it.
    /// </summary>
    private static bool TryMerge(IReadOnlyList<string> words, out List<string> rules, out string open)
    {
        rules = [];
        open = "";
        StringBuilder? selector = null;
        foreach (string word in words)
        {
            if (selector is not null)
            {
                selector.Append(' ').Append(word);
                if (!word.EndsWith(')')) continue;
                rules.Add(selector.ToString());
                selector = null;
            }
            else if (word.StartsWith('(') && !word.EndsWith(')'))
            {
                open = word;
                selector = new(word);
            }
            else
            {
                rules.Add(word);
            }
        }
        return selector is null;
    }

    private void LoadLine(string[] line)
    {
        string name = line[0];
        if (AclSelector.HasBlanks(name)) throw new LoadException("Spaces not allowed in ACL usernames");
        if (!TryMerge(line[1..], out List<string> rules, out string open))
            throw new LoadException($"Error in user declaration '{name}': Unmatched parenthesis in acl selector starting at '{Shown(open)}'.");
        var draft = new AclRules(_commands, AllChannelsByDefault);
        foreach (string rule in rules)
        {
            if (draft.Apply(rule) is var error and not AclError.None)
                throw new LoadException($"Error loading ACL rule '{Shown(rule)}' for the user named '{name}': {error.Text()}");
        }
        WarnOf(rules);
        if (!draft.IsOn)
            _log.Notice($"The user '{name}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a configuration error.");
        if (name == DefaultName) Default.Follow(draft);
        else _users = _users.SetItem(name, new(name, draft));
    }

    /// <summary>One line of aclfile.</summary>
    private void Read(string line, int number, Dictionary<string, AclRules> loaded, StringBuilder errors)
    {
        string[] words = line.Split(' ');
        if (line.Length == 0) return;
        string place = $"{_options.AclFile}:{number}";
        if (words[0] != "user" || words.Length < 2)
        {
            errors.Append($"{place} should start with user keyword followed by the username. ");
            return;
        }
        string name = words[1];
        var rules = new AclRules(_commands, AllChannelsByDefault);
        if (AclSelector.HasBlanks(name))
        {
            errors.Append($"'{place}: username '{name}' contains invalid characters. ");
        }
        else if (!loaded.TryAdd(name, rules))
        {
            errors.Append($"WARNING: Duplicate user '{name}' found on line {number}. ");
        }
        else if (!TryMerge(words[2..], out List<string> merged, out _))
        {
            errors.Append($"{place}: Unmatched parenthesis in selector definition.");
        }
        else
        {
            bool hasSyntaxError = false;
            foreach (string rule in merged)
            {
                AclError error = rules.Apply(rule.Trim('\t', '\r'));
                // Only an unknown command is shown: anything else may be a secret.
                if (error == AclError.UnknownCommand) errors.Append($"{place}: Error in applying operation '{rule}': {error.Text()}. ");
                else if (error != AclError.None && !hasSyntaxError) errors.Append($"{place}: {error.Text()}. ");
                hasSyntaxError |= error is not (AclError.None or AclError.UnknownCommand);
            }
            WarnOf(merged);
        }
    }

    /// <summary>Says in the log which rules have no effect, or may have none one day.</summary>
    private void WarnOf(List<string> rules)
    {
        foreach (string rule in rules.SelectMany(rule => rule.Trim('(', ')').Split(' ')))
        {
            if (rule is not ['+' or '-', not '@', ..] || _commands.FindDeclared(Encoding.Latin1.GetBytes(rule[1..])) is not null) continue;
            if (AclSelector.IsElsewhere(rule[1..]))
            {
                _log.Notice($"The rule '{rule}' has no effect: this server does not have the command.");
            }
            else if (rule.StartsWith('+') && rule.Contains('|'))
            {
                _log.Warning(
                    "Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse of ACL and may get disabled in the future "
                        + $"(offender: {rule})");
            }
        }
    }

    /// <summary>
    /// A line's rule as the log may show it: without passwords, which some put into parentheses, too, where they make no
    /// sense.
    /// </summary>
    private static string Shown(string rule) => string.Join(' ', rule.Split(' ').Select(ShownWord));

    private static string ShownWord(string word)
    {
        int sign = word.AsSpan().IndexOfAnyExcept('(');
        return sign >= 0 && word[sign] is '>' or '<' or '#' or '!' ? word[..(sign + 1)] + "(redacted)" : word;
    }
}
