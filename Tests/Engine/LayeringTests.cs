using System.Text.RegularExpressions;
using System.Xml.Linq;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>What may depend on what: the projects, and the folders of Engine from the lowest to the highest.</summary>
public sealed partial class LayeringTests
{
    private static readonly string[] s_layers =
        ["Memory", "Text", "Configuration", "Keyspace", "Types", "Persistence", "Execution", "Scripts", "Commands"];

    [Fact]
    public void Nothing_in_Engine_refers_to_a_folder_above_its_own()
    {
        string engine = Path.Combine(RedisProcess.RepositoryRoot, "Engine");
        var sources = new List<Source>();
        foreach (string path in Directory.EnumerateFiles(engine, "*.cs", SearchOption.AllDirectories))
        {
            string name = Path.GetRelativePath(engine, path), folder = name.Split(Path.DirectorySeparatorChar)[0];
            if (folder is "bin" or "obj") continue;
            Assert.Contains(folder, s_layers);
            sources.Add(new(name, Array.IndexOf(s_layers, folder), CommentOrString().Replace(File.ReadAllText(path), " ")));
        }
        var layers = new Dictionary<string, int>();
        foreach (Source source in sources)
        {
            foreach (string type in source.Types)
                Assert.True(layers.TryAdd(type, source.Layer) || layers[type] == source.Layer, $"{type} is in two folders, one of them that of {source.Name}");
        }
        Assert.Empty(
            from source in sources
            from name in source.References
            where layers.GetValueOrDefault(name) > source.Layer
            select $"{source.Name} refers to {name} in {s_layers[layers[name]]}");
    }

    [Theory]
    [InlineData("Engine")]
    [InlineData("Cluster")]
    [InlineData("Grains.Interfaces")]
    [InlineData("Gateway", "Cluster", "Engine", "Grains.Interfaces")]
    [InlineData("Grains", "Cluster", "Engine", "Grains.Interfaces")]
    [InlineData("Silo", "Cluster", "Engine", "Gateway", "Grains", "Grains.Interfaces")]
    public void Projects_refer_to_those_below_only(string project, params string[] below)
    {
        XDocument file = XDocument.Load(Path.Combine(RedisProcess.RepositoryRoot, project, $"{project}.csproj"));
        Assert.All(
            file.Descendants("ProjectReference"),
            reference => Assert.Contains(Path.GetFileNameWithoutExtension((string)reference.Attribute("Include")!), below));
    }

    [GeneratedRegex("\"\"\"[\\s\\S]*?\"\"\"|\"(?:\\\\.|[^\"\\\\\\n])*\"|'(?:\\\\.|[^'\\\\])'|//.*|/\\*[\\s\\S]*?\\*/")]
    private static partial Regex CommentOrString();

    [GeneratedRegex(@"^( *).*?\b(?:class|struct|interface|enum|record|delegate [\w<>?]+) (?!class|struct)(\w+)", RegexOptions.Multiline)]
    private static partial Regex DeclaredType();

    [GeneratedRegex(@"^ +(?:(?:public|internal|private|protected) [^=;({\n]*? )?(\w+)(?: *[({;,]| =|$)", RegexOptions.Multiline)]
    private static partial Regex DeclaredMember();

    /// <summary>
    /// A name that may be that of a type. The second group matches if another name follows, as it does after a type.
    /// </summary>
    [GeneratedRegex(@"(?<![.\w])(?<!\b(?:string|bool|int|long|object) )([A-Za-z_]\w*)(?=(\??(?:\[\])? (?!is\b|and\b|or\b|in\b)[A-Za-z_])?)")]
    private static partial Regex TypeName();

    private sealed record Source(string Name, int Layer, string Text)
    {
        /// <summary>The types declared here, except nested ones.</summary>
        public IEnumerable<string> Types =>
            from type in DeclaredType().Matches(Text)
            where type.Groups[1].Length == 0
            select type.Groups[2].Value;

        /// <summary>
        /// The types used here, as far as names can tell. A member may have the same name as a type in a higher folder,
        /// so such a name counts only where a type would stand.
        /// </summary>
        public IEnumerable<string> References
        {
            get
            {
                var types = DeclaredType().Matches(Text).Select(type => type.Groups[2].Value).ToHashSet();
                var members = DeclaredMember().Matches(Text).Select(member => member.Groups[1].Value).ToHashSet();
                return (
                    from name in TypeName().Matches(Text)
                    where !types.Contains(name.Groups[1].Value) && (name.Groups[2].Success || !members.Contains(name.Groups[1].Value))
                    select name.Groups[1].Value).Distinct();
            }
        }
    }
}
