using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// A user, whom sessions authenticate as. Its rules may be replaced at any time, on any thread, and from then on hold
/// for all its sessions.
/// </summary>
public sealed class AclUser
{
    private AclRules _rules;
    private volatile bool _isUnrestricted;
    private volatile bool _isDeleted;

    internal AclUser(string name, AclRules rules)
    {
        Name = name;
        _rules = rules;
        _isUnrestricted = rules.AllowEverything;
    }

    private AclUser(string name, bool isUnrestricted)
    {
        Name = name;
        _rules = null!; // nothing ever asks for them
        _isUnrestricted = isUnrestricted;
    }

    /// <summary>Who the server itself is, which no rules hold for: whatever replays a log, for example.</summary>
    public static AclUser Internal { get; } = new("(superuser)", isUnrestricted: true);

    /// <summary>Whoever has not authenticated.</summary>
    internal static AclUser Nobody { get; } = new("(nobody)", isUnrestricted: false);

    /// <summary>The user's name, as Latin-1: a character for each byte.</summary>
    public string Name { get; }

    /// <summary>The name's bytes.</summary>
    public byte[] NameBytes => Encoding.Latin1.GetBytes(Name);

    /// <summary>The rules in force.</summary>
    public AclRules Rules => Volatile.Read(ref _rules);

    /// <summary>Whether it may do everything, so that its rules need not be asked.</summary>
    public bool IsUnrestricted => _isUnrestricted;

    /// <summary>
    /// Whether it has been deleted. A deleted user may do nothing any more, and its sessions are ended.
    /// </summary>
    public bool IsDeleted => _isDeleted;

    /// <summary>Whether one need not authenticate to be this user.</summary>
    public bool IsOpen => Rules is { IsOn: true, NeedsNoPassword: true };

    /// <summary>Whether it may do what a request says.</summary>
    internal bool Allows(CommandInfo command, in Request request) => IsUnrestricted || Rules.Check(command, request).IsAllowed;

    /// <summary>Puts rules in force.</summary>
    internal void Follow(AclRules rules)
    {
        // Whoever sees it unrestricted does not ask the rules, so that must never be said of rules that are restricted.
        if (!rules.AllowEverything) _isUnrestricted = false;
        Volatile.Write(ref _rules, rules);
        if (rules.AllowEverything) _isUnrestricted = true;
    }

    /// <summary>The user is gone for good; a new one by the same name is another.</summary>
    internal void Delete(AclRules nothing)
    {
        _isDeleted = true;
        Follow(nothing);
    }
}
