using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// A pattern of keys or channels in a rule. Nearly all are a prefix and a star, or have no wildcards at all, and need
/// no search.
/// </summary>
internal sealed class AclPattern
{
    private readonly byte[] _pattern;
    private readonly int _prefix; // length of the literal part if it is followed by a star alone; otherwise -1
    private readonly bool _isLiteral;

    /// <param name="text">The pattern, as Latin-1.</param>
    /// <param name="access">What may be done to a key that matches; a channel's pattern has no use for it.</param>
    public AclPattern(string text, KeyAccess access)
    {
        Text = text;
        Access = access;
        _pattern = Encoding.Latin1.GetBytes(text);
        int wildcard = _pattern.AsSpan().IndexOfAny("*?[\\"u8);
        _isLiteral = wildcard < 0;
        _prefix = wildcard == _pattern.Length - 1 && wildcard >= 0 && _pattern[wildcard] == '*' ? wildcard : -1;
    }

    /// <summary>The pattern, as Latin-1.</summary>
    public string Text { get; }

    /// <summary>What may be done to a key that matches.</summary>
    public KeyAccess Access { get; }

    /// <summary>Whether it matches everything but the empty name.</summary>
    public bool IsAll => Text == "*";

    /// <summary>Whether a key or channel matches, as <see cref="GlobPattern"/> has it.</summary>
    public bool Matches(ReadOnlySpan<byte> name)
    {
        if (_prefix >= 0) return name.StartsWith(_pattern.AsSpan(0, _prefix)) && !name.IsEmpty;
        return _isLiteral ? name.SequenceEqual(_pattern) : GlobPattern.IsMatch(_pattern, name);
    }

    /// <summary>Whether a pattern of channels is this very pattern: only then may it be subscribed to.</summary>
    public bool Is(ReadOnlySpan<byte> pattern) => pattern.SequenceEqual(_pattern);

    /// <summary>
    /// As a rule for keys. Here "%RW~*" remains what it is: read again as "~*", which is how Redis prints it, it would
    /// mean that no other pattern may follow.
    /// </summary>
    public override string ToString() => Access switch
    {
        KeyAccess.Read => "%R~" + Text,
        KeyAccess.Write => "%W~" + Text,
        _ when IsAll => "%RW~" + Text,
        _ => "~" + Text,
    };
}
