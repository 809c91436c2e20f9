using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>What a file of the log holds. The values are the letters used in the manifest.</summary>
public enum AofFileType
{
    /// <summary>The whole data set at one instant. A log has at most one.</summary>
    Base = 'b',

    /// <summary>Nothing that is still needed; to be deleted.</summary>
    History = 'h',

    /// <summary>The writes since then.</summary>
    Increment = 'i',
}

/// <summary>A file of the log.</summary>
/// <param name="Name">Its name in the log's directory.</param>
/// <param name="Sequence">Its number. Bases and increments are numbered separately.</param>
/// <param name="Type">What it holds.</param>
public sealed record AofFileInfo(string Name, long Sequence, AofFileType Type);

/// <summary>The manifest makes no sense; the message says why, in Redis's words.</summary>
public sealed class AofManifestException(string message, int line = 0, string text = "") : Exception(message)
{
    /// <summary>The number of the line at fault, from 1; 0 if no single line is.</summary>
    public int Line { get; } = line;

    /// <summary>That line.</summary>
    public string Text { get; } = text;
}

/// <summary>
/// The list of the log's files in the order in which they are loaded: the base, then the increments. On disk it is a
/// text file in Redis's format, one line per file:
/// <code>
/// file appendonly.aof.2.base.rdb seq 2 type b
/// file appendonly.aof.1.incr.aof seq 1 type h
/// file appendonly.aof.2.incr.aof seq 2 type i
/// </code>
/// Names with unusual characters are quoted as in redis.conf. Unknown words and their values are skipped, and so are
/// lines that begin with '#'. The object is immutable: a change makes another manifest.
/// </summary>
public sealed class AofManifest
{
    private const int LongestLine = 1024;

    /// <summary>A log of no files.</summary>
    public static AofManifest Empty { get; } = new();

    /// <summary>The base; null if there is none.</summary>
    public AofFileInfo? Base { get; private init; }

    /// <summary>The increments, in order.</summary>
    public IReadOnlyList<AofFileInfo> Increments { get; private init; } = [];

    /// <summary>Files that are no longer needed.</summary>
    public IReadOnlyList<AofFileInfo> History { get; private init; } = [];

    /// <summary>The number of the last base.</summary>
    public long BaseSequence { get; private init; }

    /// <summary>The number of the last increment.</summary>
    public long IncrementSequence { get; private init; }

    /// <summary>Whether there is nothing to load.</summary>
    public bool IsEmpty => Base is null && Increments.Count == 0;

    /// <summary>The files to load, in order.</summary>
    public IEnumerable<AofFileInfo> Files => Base is null ? Increments : Increments.Prepend(Base);

    /// <summary>Reads a manifest.</summary>
    public static AofManifest Parse(ReadOnlySpan<byte> content)
    {
        if (content.IsEmpty) throw new AofManifestException("Found an empty AOF manifest");
        AofFileInfo? baseFile = null;
        List<AofFileInfo> increments = [], history = [];
        long baseSequence = 0, incrementSequence = 0;
        for (int number = 1; !content.IsEmpty; number++)
        {
            int end = content.IndexOf((byte)'\n');
            bool isComment = content[0] == '#';
            // Redis reads lines in chunks of this length. Comments are exempt from the limit: the rest of a long one is
            // a comment either way.
            if (!isComment && (end < 0 || end >= LongestLine)) throw new AofManifestException("The AOF manifest file contains too long line");
            ReadOnlySpan<byte> line = end < 0 ? content : content[..end];
            content = end < 0 ? [] : content[(end + 1)..];
            if (isComment) continue;

            line = line.Trim(" \t\r\n"u8);
            AofFileInfo file = ParseLine(line, number);
            string text = Encoding.UTF8.GetString(line);
            switch (file.Type)
            {
                case AofFileType.Base:
                    if (baseFile is not null) throw new AofManifestException("Found duplicate base file information", number, text);
                    baseFile = file;
                    baseSequence = file.Sequence;
                    break;
                case AofFileType.History:
                    history.Add(file);
                    break;
                case AofFileType.Increment:
                    if (file.Sequence <= incrementSequence) throw new AofManifestException("Found a non-monotonic sequence number", number, text);
                    increments.Add(file);
                    incrementSequence = file.Sequence;
                    break;
                default:
                    throw new AofManifestException("Unknown AOF file type", number, text);
            }
        }
        return new() { Base = baseFile, Increments = increments, History = history, BaseSequence = baseSequence, IncrementSequence = incrementSequence };
    }

    /// <summary>The manifest as the text of its file.</summary>
    public byte[] Format()
    {
        var text = new StringBuilder();
        foreach (AofFileInfo file in (IEnumerable<AofFileInfo>)[.. Base is null ? [] : new[] { Base }, .. History, .. Increments])
        {
            string name = NeedsQuotes(file.Name) ? QuotedWords.Quote(file.Name) : file.Name;
            text.Append(CultureInfo.InvariantCulture, $"file {name} seq {file.Sequence} type {(char)file.Type}\n");
        }
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>The same manifest with another base; the previous one becomes history.</summary>
    public AofManifest WithBase(string fileName, bool isRdb)
    {
        long sequence = BaseSequence + 1;
        return new()
        {
            Base = new($"{fileName}.{sequence}.base.{(isRdb ? "rdb" : "aof")}", sequence, AofFileType.Base),
            BaseSequence = sequence,
            Increments = Increments,
            IncrementSequence = IncrementSequence,
            History = Base is null ? History : [Base with { Type = AofFileType.History }, .. History],
        };
    }

    /// <summary>
    /// The same manifest with a log from before there were manifests as its base, and nothing else to load.
    /// </summary>
    public AofManifest WithOldStyleBase(string fileName) =>
        new()
        {
            Base = new(fileName, 1, AofFileType.Base),
            BaseSequence = 1,
            Increments = Increments,
            IncrementSequence = IncrementSequence,
            History = History
        };

    /// <summary>The same manifest with one more increment at the end.</summary>
    public AofManifest WithIncrement(string fileName)
    {
        long sequence = IncrementSequence + 1;
        return new()
        {
            Base = Base,
            BaseSequence = BaseSequence,
            Increments = [.. Increments, new($"{fileName}.{sequence}.incr.aof", sequence, AofFileType.Increment)],
            IncrementSequence = sequence,
            History = History,
        };
    }

    /// <summary>
    /// The same manifest with all but the last <paramref name="kept"/> increments as history, because a new base holds
    /// their content.
    /// </summary>
    public AofManifest WithRewritten(int kept) => new()
    {
        Base = Base,
        BaseSequence = BaseSequence,
        Increments = [.. Increments.TakeLast(kept)],
        IncrementSequence = IncrementSequence,
        History = [.. Increments.SkipLast(kept).Select(file => file with { Type = AofFileType.History }), .. History],
    };

    /// <summary>The same manifest without its history.</summary>
    public AofManifest WithoutHistory() =>
        new() { Base = Base, BaseSequence = BaseSequence, Increments = Increments, IncrementSequence = IncrementSequence };

    private static AofFileInfo ParseLine(ReadOnlySpan<byte> line, int number)
    {
        var words = new List<byte[]>();
        string text = Encoding.UTF8.GetString(line);
        if (line.IsEmpty || !QuotedWords.TrySplit(line, words) || words.Count < 6 || words.Count % 2 != 0) throw Invalid();
        string name = "";
        long sequence = 0;
        AofFileType type = 0;
        for (int i = 0; i < words.Count; i += 2)
        {
            byte[] value = words[i + 1];
            if (words[i].AsSpan().Is("FILE"u8))
            {
                name = Encoding.UTF8.GetString(value);
                if (name.AsSpan().ContainsAny('/', '\\')) throw new AofManifestException("File can't be a path, just a filename", number, text);
            }
            else if (words[i].AsSpan().Is("SEQ"u8))
            {
                _ = long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out sequence);
            }
            else if (words[i].AsSpan().Is("TYPE"u8))
            {
                type = value.Length == 0 ? 0 : (AofFileType)value[0];
            }
        }
        return name.Length == 0 || sequence == 0 || type == 0 ? throw Invalid() : new(name, sequence, type);

        AofManifestException Invalid() => new("Invalid AOF manifest file format", number, text);
    }

    private static bool NeedsQuotes(string name)
    {
        foreach (byte b in Encoding.UTF8.GetBytes(name))
        {
            if (b is <= 0x20 or >= 0x7f or (byte)'"' or (byte)'\\') return true;
        }
        return false;
    }
}
