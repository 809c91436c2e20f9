using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// An error in redis.conf or the command line, in the words that redis-server prints before it exits.
/// </summary>
public sealed class ConfigurationException(string message) : Exception(message)
{
    internal static ConfigurationException InLine(int lineNumber, string line, string reason) => new(
        $"""

         *** FATAL CONFIG FILE ERROR ({ServerVersion.Product} {ServerVersion.Own}) ***
         Reading the configuration file, at line {lineNumber}
         >>> '{line}'
         {reason}
         """);
}

/// <summary>
/// Reads redis.conf: a directive and its words on each line, comments, quotes, and include (with wildcards).
/// </summary>
internal static class ConfigurationFile
{
    private const int DeepestInclude = 16;
    private const char ByteOrderMark = '\uFEFF';

    /// <summary>The text of a file, or of the standard input if the path is "-".</summary>
    public static string Read(string path)
    {
        try
        {
            return Decode(path == "-" ? ReadInput() : File.ReadAllBytes(path));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"Fatal error, can't open config file '{Path.GetFullPath(path)}': {Reason(exception)}");
        }
    }

    /// <summary>The text of a file's bytes, without the byte order mark that some editors write.</summary>
    public static string Decode(ReadOnlySpan<byte> bytes) => ByteText.Decode(bytes).TrimStart(ByteOrderMark);

    /// <summary>
    /// Applies every line to the options. Throws a <see cref="ConfigurationException"/> at the first line that makes no
    /// sense.
    /// </summary>
    public static void Apply(string text, ServerOptions options, int depth = 0)
    {
        int lineNumber = 0;
        foreach (string raw in text.Split('\n'))
        {
            lineNumber++;
            string line = raw.Trim(' ', '\t', '\r');
            if (line.Length == 0 || line[0] == '#') continue;
            string? error = ApplyLine(line, options, depth);
            if (error is not null) throw ConfigurationException.InLine(lineNumber, WithoutSecret(line), error);
        }
    }

    /// <summary>
    /// Turns the options of a command line into lines of a file: "--port 7000 --save" gives port "7000" and save "".
    /// </summary>
    public static string FromArguments(ReadOnlySpan<string> arguments)
    {
        var text = new StringBuilder();
        bool lastIsComplete = true;
        for (int i = 0; i < arguments.Length; i++)
        {
            string argument = arguments[i];
            // "--" begins an option only if the previous option has its value: --requirepass --secret is one option.
            if (lastIsComplete && argument.StartsWith("--", StringComparison.Ordinal))
            {
                if (text.Length > 0) text.Append('\n');
                text.Append(argument, 2, argument.Length - 2).Append(' ');
                lastIsComplete = QuotedWords.TrySplit(argument, out List<string> words) && words.Count > 1;
                bool valueFollows = i + 1 < arguments.Length && !arguments[i + 1].StartsWith("--", StringComparison.Ordinal);
                if (lastIsComplete || valueFollows || !argument.Equals("--save", StringComparison.OrdinalIgnoreCase)) continue;
                text.Append("\"\"");
                lastIsComplete = true;
            }
            else
            {
                text.Append(QuotedWords.Quote(argument)).Append(' ');
                lastIsComplete = true;
            }
        }
        return text.ToString();
    }

    private static byte[] ReadInput()
    {
        using Stream input = Console.OpenStandardInput();
        using var content = new MemoryStream();
        input.CopyTo(content);
        return content.ToArray();
    }

    /// <summary>A line as it may be shown.</summary>
    private static string WithoutSecret(string line)
    {
        string name = line.Split(' ', '\t')[0];
        return Directive.TryFind(name, out Directive? directive) && directive.Declaration.Sensitive ? $"{name} (redacted)" : line;
    }

    private static string? ApplyLine(string line, ServerOptions options, int depth)
    {
        if (!QuotedWords.TrySplit(line, out List<string> words)) return "Unbalanced quotes in configuration line";
        if (words.Count == 0) return null;
        if (words is ["include" or "INCLUDE", var pattern])
        {
            if (depth == DeepestInclude) return "include is nested too deeply";
            Include(pattern, options, depth + 1);
            return null;
        }
        if (!Directive.TryFind(words[0], out Directive? directive))
        {
            if (ForeignDirectives.IsObsolete(words[0])) return null;
            return ForeignDirectives.WhyRefused(words[0]) is { } why ? $"{words[0]}: not possible here: {why}" : "Bad directive or wrong number of arguments";
        }
        ReadOnlySpan<string> values = words.ToArray().AsSpan(1);
        if (directive.Kind.TakesSeveralWords)
        {
            // Several words may also come as one quoted word: save "900 1 300 10".
            if (values is [{ Length: > 0 } one] && QuotedWords.TrySplit(one, out List<string> inner)) values = inner.ToArray();
            if (values.IsEmpty && !directive.Kind.TakesNoWords) return "wrong number of arguments";
        }
        else if (values.Length != 1)
        {
            return "wrong number of arguments";
        }
        if (!directive.Kind.TryParseLine(values, directive.Get(options), out object? value, out string? error)) return error;
        directive.Set(options, value);
        return null;
    }

    private static void Include(string pattern, ServerOptions options, int depth)
    {
        if (pattern.AsSpan().IndexOfAny("*?[") < 0)
        {
            Apply(Read(pattern), options, depth);
            return;
        }
        // Only the last part of the path is a pattern. One that matches nothing includes nothing.
        string directory = Path.GetDirectoryName(Path.GetFullPath(pattern)) ?? "/";
        if (!Directory.Exists(directory)) return;
        byte[] name = Encoding.UTF8.GetBytes(Path.GetFileName(pattern));
        foreach (string file in Directory.GetFiles(directory).Order(StringComparer.Ordinal))
        {
            if (GlobPattern.IsMatch(name, Encoding.UTF8.GetBytes(Path.GetFileName(file)))) Apply(Read(file), options, depth);
        }
    }

    private static string Reason(Exception exception) => exception switch
    {
        FileNotFoundException or DirectoryNotFoundException => "No such file or directory",
        UnauthorizedAccessException => "Permission denied",
        _ => exception.Message,
    };
}
