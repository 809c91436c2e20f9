using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace OrleansRedis.Engine;

/// <summary>A grammar of directive values: turns words into a value, and a value into words.</summary>
public abstract class DirectiveKind
{
    /// <summary>Whether a value consists of several words: separate in the file, one argument in CONFIG SET.</summary>
    public virtual bool TakesSeveralWords => false;

    /// <summary>Whether a line of a file may have no word at all after the name.</summary>
    public virtual bool TakesNoWords => false;

    /// <summary>
    /// Reads a value. If the words give only part of it, the rest is kept from <paramref name="current"/>, the value in
    /// force.
    /// </summary>
    public abstract bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error);

    /// <summary>Reads a line of a file. The directive may have several lines.</summary>
    public virtual bool TryParseLine(
        ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error) =>
        TryParse(words, current, out value, out error);

    /// <summary>The value as CONFIG GET shows it.</summary>
    public abstract string Format(object value);

    /// <summary>
    /// The value as redis.conf writes it: for each line, what follows the directive's name. No lines mean that there is
    /// nothing to write.
    /// </summary>
    public virtual IEnumerable<string> Lines(object value) => [Format(value)];

    /// <summary>Whether two values are equal.</summary>
    public virtual bool AreEqual(object a, object b) => Equals(a, b);
}

internal sealed class YesNoKind : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        bool yes = words[0].Equals("yes", StringComparison.OrdinalIgnoreCase);
        value = yes;
        error = yes || words[0].Equals("no", StringComparison.OrdinalIgnoreCase) ? null : "argument must be 'yes' or 'no'";
        return error is null;
    }

    public override string Format(object value) => (bool)value ? "yes" : "no";
}

/// <summary>tls-auth-clients-user: CN or off.</summary>
internal sealed class CertificateFieldKind : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        bool isName = words[0].Equals("CN", StringComparison.OrdinalIgnoreCase);
        value = isName;
        error = isName || words[0].Equals("off", StringComparison.OrdinalIgnoreCase) ? null : "argument(s) must be one of the following: CN, off";
        return error is null;
    }

    public override string Format(object value) => (bool)value ? "CN" : "off";
}

internal sealed class NumberKind(Type type, NumberFormat format, long min, long max) : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = null;
        if (!TryParseNumber(words[0], out long number))
        {
            error = format switch
            {
                NumberFormat.Memory => "argument must be a memory value",
                NumberFormat.Octal => "argument couldn't be parsed as an octal number",
                _ => "argument couldn't be parsed into an integer",
            };
            return false;
        }
        if (number < min || number > max)
        {
            error = format == NumberFormat.Octal
                ? $"argument must be between {Convert.ToString(min, 8)} and {Convert.ToString(max, 8)} inclusive"
                : $"argument must be between {min} and {max} inclusive";
            return false;
        }
        value = type == typeof(int) ? (object)(int)Math.Min(number, int.MaxValue) : number;
        error = null;
        return true;
    }

    public override string Format(object value) =>
        format == NumberFormat.Octal ? Convert.ToString(Convert.ToInt64(value), 8) : Convert.ToInt64(value).ToString();

    public override IEnumerable<string> Lines(object value) => [format == NumberFormat.Memory ? MemorySize.Format(Convert.ToInt64(value)) : Format(value)];

    private bool TryParseNumber(string text, out long number)
    {
        if (format == NumberFormat.Memory) return MemorySize.TryParse(text, out number);
        if (format == NumberFormat.Integer) return Numbers.TryParseInt64(System.Text.Encoding.UTF8.GetBytes(text), out number);
        number = 0;
        foreach (char digit in text)
        {
            if (digit is < '0' or > '7' || number > long.MaxValue >> 3) return false;
            number = (number << 3) | (uint)(digit - '0');
        }
        return text.Length > 0;
    }
}

internal sealed class WordKind(Type type) : DirectiveKind
{
    private readonly (string Word, object Value)[] _words = [.. Enum.GetValues(type).Cast<object>().Select(value => (Kebab(value.ToString()!), value))];

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        error = null;
        foreach ((string word, object meant) in _words)
        {
            if (!word.Equals(words[0], StringComparison.OrdinalIgnoreCase)) continue;
            value = meant;
            return true;
        }
        value = null;
        error = $"argument(s) must be one of the following: {string.Join(", ", _words.Select(word => word.Word))}";
        return false;
    }

    public override string Format(object value) => Array.Find(_words, word => word.Value.Equals(value)).Word;

    private static string Kebab(string name) =>
        string.Concat(name.Select((c, i) => char.IsAsciiLetterUpper(c) ? (i > 0 ? "-" : "") + char.ToLowerInvariant(c) : c.ToString()));
}

internal sealed class TextKind : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = words[0];
        error = null;
        return true;
    }

    public override string Format(object value) => (string)value;

    public override IEnumerable<string> Lines(object value) => [QuotedWords.Quote((string)value)];
}

/// <summary>dir: a directory, which must exist.</summary>
internal sealed class DirectoryKind : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = null;
        error = "No such file or directory";
        string path = words[0];
        if (path.Length == 0 || !Path.Exists(path)) return false;
        error = "Not a directory";
        if (!Directory.Exists(path)) return false;
        value = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        error = null;
        return true;
    }

    public override string Format(object value) => (string)value;

    public override IEnumerable<string> Lines(object value) => [QuotedWords.Quote((string)value)];
}

/// <summary>The bare name of a file or directory in dir, not a path.</summary>
internal abstract class NameKind(string directive, string what, bool mayBeEmpty = false) : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        string name = words[0];
        value = name;
        error = name.Length == 0 && !mayBeEmpty ? $"{directive} can't be empty"
            : name.AsSpan().ContainsAny('/', '\\') ? $"{directive} can't be a path, just a {what}"
            : null;
        return error is null;
    }

    public override string Format(object value) => (string)value;

    public override IEnumerable<string> Lines(object value) => [QuotedWords.Quote((string)value)];
}

internal sealed class AppendFileNameKind() : NameKind("appendfilename", "filename");

internal sealed class DumpFileNameKind() : NameKind("dbfilename", "filename", mayBeEmpty: true);

internal sealed class AppendDirectoryNameKind() : NameKind("appenddirname", "dirname");

/// <summary>
/// bind: the addresses to listen on. "*" is all of IPv4, and "-" before an address allows it to be unavailable. One
/// empty word means no addresses.
/// </summary>
internal sealed class AddressesKind : DirectiveKind
{
    private const int Most = 16;

    public override bool TakesSeveralWords => true;

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = words is [""] ? Array.Empty<string>() : words.ToArray();
        error = words.Length > Most ? "Too many bind addresses specified." : null;
        return error is null;
    }

    public override string Format(object value) => string.Join(' ', (IReadOnlyList<string>)value);

    public override IEnumerable<string> Lines(object value) =>
        (IReadOnlyList<string>)value is { Count: > 0 } addresses ? [string.Join(' ', addresses)] : ["\"\""];

    public override bool AreEqual(object a, object b) => ((IReadOnlyList<string>)a).SequenceEqual((IReadOnlyList<string>)b);
}

/// <summary>orleans-bind: one address to listen at. "*" is all of IPv4.</summary>
internal class AddressKind : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = words[0];
        error = IsValid(words[0]) ? null : "argument must be an IP address";
        return error is null;
    }

    public override string Format(object value) => (string)value;

    public override IEnumerable<string> Lines(object value) => [QuotedWords.Quote((string)value)];

    protected virtual bool IsValid(string word) => word == "*" || IPAddress.TryParse(word, out _);
}

/// <summary>orleans-announce-ip: an address that others can use, or empty.</summary>
internal sealed class AnnouncedAddressKind : AddressKind
{
    protected override bool IsValid(string word) =>
        word.Length == 0 || (IPAddress.TryParse(word, out IPAddress? address) && !address.Equals(IPAddress.Any) && !address.Equals(IPAddress.IPv6Any));
}

/// <summary>latency-tracking-info-percentiles: numbers from 0 to 100; one empty word means none.</summary>
internal sealed class PercentilesKind : DirectiveKind
{
    public override bool TakesSeveralWords => true;

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = null;
        error = "Invalid latency-tracking-info-percentiles parameters";
        if (words is [""]) words = [];
        double[] percentiles = new double[words.Length];
        for (int i = 0; i < words.Length; i++)
        {
            if (!double.TryParse(words[i], NumberStyles.Float, CultureInfo.InvariantCulture, out percentiles[i]) || double.IsNaN(percentiles[i])) return false;
        }
        error = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
        if (Array.Exists(percentiles, percentile => percentile is < 0 or > 100)) return false;
        value = percentiles;
        error = null;
        return true;
    }

    public override string Format(object value) => string.Join(' ', ((IReadOnlyList<double>)value).Select(Show));

    public override IEnumerable<string> Lines(object value) => (IReadOnlyList<double>)value is { Count: > 0 } ? [Format(value)] : ["\"\""];

    public override bool AreEqual(object a, object b) => ((IReadOnlyList<double>)a).SequenceEqual((IReadOnlyList<double>)b);

    /// <summary>A percentile as Redis shows it.</summary>
    internal static string Show(double percentile) => percentile.ToString("0.######", CultureInfo.InvariantCulture);
}

/// <summary>maxmemory-clients: an amount of memory, or a percentage ("5%"), which is negative as a value.</summary>
internal sealed class MemoryOrPercentKind : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        string text = words[0];
        value = null;
        error = "argument must be a memory or percent value";
        if (text.EndsWith('%'))
        {
            if (!long.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long percent)) return false;
            error = percent is < 0 or > 100 ? "percentage argument must be less or equal to 100" : null;
            value = -percent;
            return error is null;
        }
        if (!MemorySize.TryParse(text, out long bytes)) return false;
        value = bytes;
        error = null;
        return true;
    }

    public override string Format(object value) => (long)value < 0 ? $"{-(long)value}%" : ((long)value).ToString(CultureInfo.InvariantCulture);

    public override IEnumerable<string> Lines(object value) => [(long)value < 0 ? Format(value) : MemorySize.Format((long)value)];
}

/// <summary>oom-score-adj: "yes" is another word for "relative".</summary>
internal sealed class OomScoreKind : DirectiveKind
{
    private static readonly WordKind s_words = new(typeof(OomScoreAdjustment));

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        if (words[0].Equals("yes", StringComparison.OrdinalIgnoreCase)) return s_words.TryParse(["relative"], current, out value, out error);
        if (s_words.TryParse(words, current, out value, out error)) return true;
        error = "argument(s) must be one of the following: no, yes, relative, absolute";
        return false;
    }

    /// <summary>"yes" for relative, as redis-server shows the first of the words with the same meaning.</summary>
    public override string Format(object value) => (OomScoreAdjustment)value == OomScoreAdjustment.Relative ? "yes" : s_words.Format(value);
}

/// <summary>oom-score-adj-values: three numbers.</summary>
internal sealed class OomScoreValuesKind : DirectiveKind
{
    private const int Count = 3, Most = 2000;

    public override bool TakesSeveralWords => true;

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = null;
        error = "wrong number of arguments";
        if (words.Length != Count) return false;
        int[] values = new int[Count];
        for (int i = 0; i < Count; i++)
        {
            bool isNumber = int.TryParse(words[i], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out values[i]);
            error = $"Invalid oom-score-adj-values, elements must be between -{Most} and {Most}.";
            if (!isNumber || Math.Abs((long)values[i]) > Most) return false;
        }
        value = values;
        error = null;
        return true;
    }

    public override string Format(object value) => string.Join(' ', (IReadOnlyList<int>)value);

    public override bool AreEqual(object a, object b) => ((IReadOnlyList<int>)a).SequenceEqual((IReadOnlyList<int>)b);
}

/// <summary>proc-title-template: a text with names in braces, each of which is known.</summary>
internal sealed class ProcessTitleKind : DirectiveKind
{
    private static readonly string[] s_names = ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        string rest = words[0];
        foreach (string name in s_names) rest = rest.Replace($"{{{name}}}", "", StringComparison.Ordinal);
        value = words[0];
        error = rest.AsSpan().ContainsAny('{', '}') ? "template format is invalid or contains unknown variables" : null;
        return error is null;
    }

    public override string Format(object value) => (string)value;

    public override IEnumerable<string> Lines(object value) => [QuotedWords.Quote((string)value)];
}

/// <summary>
/// What a node announces of itself. It stands in cluster-config-file and in replies between other words, so it must not
/// contain what separates those.
/// </summary>
internal abstract class AnnouncedKind(int most, string tooLong, string wrong) : DirectiveKind
{
    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        string text = words[0];
        value = text;
        error = text.Length >= most ? tooLong : text.All(IsAllowed) ? null : wrong;
        return error is null;
    }

    public override string Format(object value) => (string)value;

    public override IEnumerable<string> Lines(object value) => [QuotedWords.Quote((string)value)];

    protected abstract bool IsAllowed(char c);
}

/// <summary>cluster-announce-ip</summary>
internal sealed class AnnouncedIpKind() : AnnouncedKind(
    256, "Addresses must be less than 256 characters", "Addresses may only contain alphanumeric characters, hyphens, dots, colons or percent signs")
{
    protected override bool IsAllowed(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or ':' or '%' or '_';
}

/// <summary>cluster-announce-hostname</summary>
internal sealed class HostNameKind() : AnnouncedKind(
    256, "Hostnames must be less than 256 characters", "Hostnames may only contain alphanumeric characters, hyphens or dots")
{
    protected override bool IsAllowed(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '.';
}

/// <summary>cluster-announce-human-nodename</summary>
internal sealed class NodeNameKind() : AnnouncedKind(
    256, "Node names must be less than 256 characters", "Announced human node name contained invalid character")
{
    protected override bool IsAllowed(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_' or '/';
}
