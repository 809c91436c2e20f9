using System.Buffers;
using System.Security.Cryptography;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Everything that is said about a user: whether it may come in, with which passwords, and what it may do. A draft that
/// is changed rule by rule, until it is put in force; then it is never changed again, so any thread may ask it.
/// </summary>
public sealed class AclRules
{
    private static readonly SearchValues<char> s_hexDigits = SearchValues.Create("0123456789abcdef");

    private readonly CommandTable _commands;
    private readonly bool _allChannelsByDefault;
    private readonly List<byte[]> _passwords = [];      // SHA-256
    private AclSelector[] _selectors;                   // the first is the user's own, the others are in parentheses

    /// <summary>The rules of a new user, who is off and may do nothing.</summary>
    internal AclRules(CommandTable commands, bool allChannelsByDefault)
    {
        _commands = commands;
        _allChannelsByDefault = allChannelsByDefault;
        _selectors = [new(commands, allChannelsByDefault)];
    }

    private AclRules(AclRules original, bool allChannelsByDefault)
    {
        _commands = original._commands;
        _allChannelsByDefault = allChannelsByDefault;
        _passwords.AddRange(original._passwords);
        _selectors = [.. original._selectors.Select(selector => selector.Clone())];
        IsOn = original.IsOn;
        NeedsNoPassword = original.NeedsNoPassword;
        SkipsSanitizing = original.SkipsSanitizing;
    }

    /// <summary>Whether one may authenticate as this user.</summary>
    public bool IsOn { get; private set; }

    /// <summary>Whether any password will do.</summary>
    public bool NeedsNoPassword { get; private set; }

    /// <summary>skip-sanitize-payload. RESTORE always checks payloads here, so this is only kept and shown.</summary>
    public bool SkipsSanitizing { get; private set; }

    /// <summary>Whether the user may do everything, so that nothing needs to be checked.</summary>
    public bool AllowEverything => Array.Exists(_selectors, selector => selector.AllowsEverything);

    /// <summary>The user's flags, as ACL GETUSER shows them.</summary>
    public IEnumerable<string> Flags
    {
        get
        {
            yield return IsOn ? "on" : "off";
            if (NeedsNoPassword) yield return "nopass";
            yield return SkipsSanitizing ? "skip-sanitize-payload" : "sanitize-payload";
        }
    }

    /// <summary>The SHA-256 hashes of the passwords, in hexadecimal.</summary>
    public IEnumerable<string> PasswordHashes => _passwords.Select(Convert.ToHexStringLower);

    /// <summary>The selectors; the first is the user's own.</summary>
    internal IReadOnlyList<AclSelector> Selectors => _selectors;

    /// <summary>A draft that begins with the same rules.</summary>
    internal AclRules Clone(bool allChannelsByDefault) => new(this, allChannelsByDefault);

    /// <summary>
    /// Whether a password is one of the user's. Takes the same time for every wrong password, which is a hash's and
    /// depends on the password given alone.
    /// </summary>
    internal bool Accepts(ReadOnlySpan<byte> password)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(password, hash);
        bool isRight = NeedsNoPassword;
        foreach (byte[] known in _passwords) isRight |= CryptographicOperations.FixedTimeEquals(hash, known);
        return isRight && IsOn;
    }

    /// <summary>
    /// Whether a request is allowed: whether any selector allows it. If none does, the verdict names what most of them
    /// agree to allow up to: a key rather than the command, and the last of several keys.
    /// </summary>
    public AclVerdict Check(CommandInfo command, in Request request)
    {
        var keys = default(AclKeys);
        AclReason reason = _selectors[0].Check(command, request, ref keys, out int argument);
        for (int i = 1; i < _selectors.Length && reason != AclReason.None; i++)
        {
            AclReason other = _selectors[i].Check(command, request, ref keys, out int otherArgument);
            if (other != AclReason.None && (other < reason || (other == reason && otherArgument <= argument))) continue;
            (reason, argument) = (other, otherArgument);
        }
        return new(reason, argument);
    }

    /// <summary>
    /// Whether a request is allowed together with reaching any key there is, as SORT needs it for BY and GET, whose
    /// keys follow from the data.
    /// </summary>
    public bool AllowAllKeys(CommandInfo command, in Request request, KeyAccess access)
    {
        var keys = default(AclKeys);
        foreach (AclSelector selector in _selectors)
        {
            if (selector.MayReachAll(access) && selector.Check(command, request, ref keys, out _) == AclReason.None) return true;
        }
        return false;
    }

    /// <summary>
    /// Whether a channel may be published and subscribed to; or, if it <paramref name="isPattern"/>, whether this
    /// pattern of channels may be subscribed to.
    /// </summary>
    public bool AllowChannel(ReadOnlySpan<byte> channel, bool isPattern)
    {
        foreach (AclSelector selector in _selectors)
        {
            if (selector.MayUse(channel, isPattern)) return true;
        }
        return false;
    }

    /// <summary>
    /// The rules in the form and order of ACL LIST, as Latin-1. Whatever their history, applied to a new user they give
    /// the same rules.
    /// </summary>
    public string Describe()
    {
        var text = new StringBuilder();
        foreach (string flag in Flags) text.Append(flag).Append(' ');
        foreach (string hash in PasswordHashes) text.Append('#').Append(hash).Append(' ');
        text.Append(_selectors[0].Describe(isInner: false));
        foreach (AclSelector selector in _selectors.Skip(1)) text.Append(" (").Append(selector.Describe(isInner: true)).Append(')');
        return text.ToString();
    }

    /// <summary>Applies one rule to a draft. The rule is Latin-1: a character for each byte.</summary>
    internal AclError Apply(string rule)
    {
        if (rule.Length == 0) return AclError.None;
        switch (rule.ToLowerInvariant())
        {
            case "on":
                IsOn = true;
                return AclError.None;
            case "off":
                IsOn = false;
                return AclError.None;
            case "skip-sanitize-payload":
                SkipsSanitizing = true;
                return AclError.None;
            case "sanitize-payload":
                SkipsSanitizing = false;
                return AclError.None;
            case "nopass":
                NeedsNoPassword = true;
                _passwords.Clear();
                return AclError.None;
            case "resetpass":
                NeedsNoPassword = false;
                _passwords.Clear();
                return AclError.None;
            case "clearselectors":
                _selectors = [_selectors[0]];
                return AclError.None;
            case "reset":
                Reset();
                return AclError.None;
        }
        return rule switch
        {
            ['>' or '#', ..] => AddPassword(rule),
            ['<' or '!', ..] => RemovePassword(rule),
            ['(', .., ')'] => AddSelector(rule[1..^1]),
            _ => _selectors[0].Apply(rule),
        };
    }

    private void Reset()
    {
        IsOn = NeedsNoPassword = SkipsSanitizing = false;
        _passwords.Clear();
        _selectors = [new(_commands, _allChannelsByDefault)];
    }

    private AclError AddPassword(string rule)
    {
        if (Hash(rule, '>') is not { } hash) return AclError.BadHash;
        if (Find(hash) < 0) _passwords.Add(hash);
        NeedsNoPassword = false;
        return AclError.None;
    }

    private AclError RemovePassword(string rule)
    {
        if (Hash(rule, '<') is not { } hash) return AclError.BadHash;
        int known = Find(hash);
        if (known < 0) return AclError.NoSuchPassword;
        _passwords.RemoveAt(known);
        return AclError.None;
    }

    private AclError AddSelector(string rules)
    {
        var words = new List<byte[]>();
        if (!QuotedWords.TrySplit(Encoding.Latin1.GetBytes(rules), words)) return AclError.Syntax;
        var selector = new AclSelector(_commands, _allChannelsByDefault);
        foreach (byte[] word in words)
        {
            if (selector.Apply(Encoding.Latin1.GetString(word)) is var error and not AclError.None) return error;
        }
        _selectors = [.. _selectors, selector];
        return AclError.None;
    }

    private int Find(byte[] hash) => _passwords.FindIndex(known => known.AsSpan().SequenceEqual(hash));

    /// <summary>
    /// The hash that a rule is about: of a password, or given as 64 hexadecimal digits. Null if it is none.
    /// </summary>
    private static byte[]? Hash(string rule, char password)
    {
        if (rule[0] == password) return SHA256.HashData(Encoding.Latin1.GetBytes(rule[1..]));
        ReadOnlySpan<char> digits = rule.AsSpan(1);
        return digits.Length == 2 * SHA256.HashSizeInBytes && digits.IndexOfAnyExcept(s_hexDigits) < 0 ? Convert.FromHexString(digits) : null;
    }
}
