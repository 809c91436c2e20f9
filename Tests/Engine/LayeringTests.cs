using System.Text.RegularExpressions;
using System.Xml.Linq;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>What stands on what: the projects, and the folders of Engine.</summary>
public sealed partial class LayeringTests
{
    private static readonly string[] s_layers = ["Text", "Configuration", "Keyspace", "Types", "Persistence", "Execution", "Commands"];

    [Fact]
    public void Nothing_in_Engine_refers_to_a_folder_above_its_own()
    {
        string engine = Path.Combine(RedisProcess.RepositoryRoot, "Engine");
        Source[] sources = [.. Directory.EnumerateFiles(engine, "*.cs", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(engine, path)).Where(path => !path.StartsWith("obj", StringComparison.Ordinal) && !path.StartsWith("bin", StringComparison.Ordinal))
            .Select(path => new Source(path, CommentOrString().Replace(File.ReadAllText(Path.Combine(engine, path)), " ")))];
        Assert.All(sources, source => Assert.Contains(source.Folder, s_layers));
        ILookup<string, Source> declarations = sources.SelectMany(source => source.Types.Select(type => (type, source))).ToLookup(found => found.type, found => found.source);
        Assert.All(declarations, type => Assert.Single(type.Select(source => source.Folder).Distinct()));
        Assert.Empty(sources.SelectMany(source => source.References
            .Where(name => declarations[name].Any(declaring => declaring.Layer > source.Layer)).Select(name => $"{source.Path} refers to {name}")));
    }

    [Theory]
    [InlineData("Engine")]
    [InlineData("Grains.Interfaces")]
    [InlineData("Gateway", "Engine", "Grains.Interfaces")]
    [InlineData("Grains", "Cluster", "Engine", "Grains.Interfaces")]
    [InlineData("Silo", "Cluster", "Engine", "Gateway", "Grains", "Grains.Interfaces")]
    public void Projects_refer_to_those_below_only(string project, params string[] below)
    {
        XDocument file = XDocument.Load(Path.Combine(RedisProcess.RepositoryRoot, project, $"{project}.csproj"));
        Assert.All(file.Descendants("ProjectReference"), reference => Assert.Contains(Path.GetFileNameWithoutExtension((string)reference.Attribute("Include")!), below));
    }

    [GeneratedRegex("\"\"\"[\\s\\S]*?\"\"\"|\"(?:\\\\.|[^\"\\\\\\n])*\"|'(?:\\\\.|[^'\\\\])'|//.*|/\\*[\\s\\S]*?\\*/")]
    private static partial Regex CommentOrString();

    [GeneratedRegex(@"^( *).*?\b(?:class|struct|interface|enum|record|delegate [\w<>?]+) (?!class|struct)(\w+)", RegexOptions.Multiline)]
    private static partial Regex DeclaredType();

    /// <summary>A member with a type before its name or an accessibility at its beginning, or one of an enum: what it shares with a type above is the name only.</summary>
    [GeneratedRegex(@"^ +(?:(?:public|internal|private|protected) [^=;({\n]*? )?(\w+)(?: *[({;,]| =|$)", RegexOptions.Multiline)]
    private static partial Regex DeclaredMember();

    [GeneratedRegex(@"(?<![.\w])([A-Za-z_]\w*)(\??(?:\[\])? (?!is\b|and\b|or\b|in\b)[A-Za-z_])?")]
    private static partial Regex Identifier();

    private sealed class Source(string path, string text)
    {
        private readonly Match[] _types = DeclaredType().Matches(text).ToArray();

        public string Path => path;

        public string Folder { get; } = path.Split(System.IO.Path.DirectorySeparatorChar)[0];

        public int Layer => Array.IndexOf(s_layers, Folder);

        /// <summary>Not those within others.</summary>
        public IEnumerable<string> Types => _types.Where(type => type.Groups[1].Length == 0).Select(type => type.Groups[2].Value);

        /// <summary>Names of types, as far as can be told from names: those that a file gives to its own members count where they are followed by another name only, as a type is.</summary>
        public IEnumerable<string> References
        {
            get
            {
                var own = _types.Select(type => type.Groups[2].Value).ToHashSet();
                var members = DeclaredMember().Matches(text).Select(member => member.Groups[1].Value).ToHashSet();
                return Identifier().Matches(text).Where(found => !own.Contains(found.Groups[1].Value) && (found.Groups[2].Success || !members.Contains(found.Groups[1].Value)))
                    .Select(found => found.Groups[1].Value).Distinct();
            }
        }
    }
}
