using System.Diagnostics;
using OrleansRedis.Engine;

namespace OrleansRedis.Tests;

/// <summary>
/// An engine with cluster-enabled yes. Its cluster-config-file may have other nodes, which answer nothing: enough to see
/// where clients are sent.
/// </summary>
internal sealed class ClusterNodeHarness : IDisposable
{
    /// <summary>Ids of this node and of another one, for files.</summary>
    public const string Mine = "1111111111111111111111111111111111111111", Other = "2222222222222222222222222222222222222222";

    private readonly DirectoryInfo _directory;
    private readonly bool _ownsDirectory;

    /// <param name="nodes">The file; null for none.</param>
    /// <param name="configure">More directives.</param>
    /// <param name="directory">Where the file is; null for a new directory.</param>
    /// <param name="prepare">Something to do with the data before the node is there.</param>
    public ClusterNodeHarness(
        string? nodes = null, Action<ServerOptions>? configure = null, DirectoryInfo? directory = null, Action<EngineHarness>? prepare = null)
    {
        _ownsDirectory = directory is null;
        _directory = directory ?? Directory.CreateTempSubdirectory("orleansredis-test-");
        var options = new ServerOptions { Save = new(), ClusterEnabled = true, Dir = _directory.FullName };
        configure?.Invoke(options);
        if (nodes is not null) File.WriteAllText(FilePath, nodes);
        Configuration = new(options);
        Engine = new(Configuration);
        prepare?.Invoke(Engine);
        Nodes = NodesFile.Open(Engine.Store, Configuration);
        Face = new(Engine.Store, Configuration, Nodes, Nodes);
    }

    /// <summary>A node that owns the slots up to 8191, beside another one that owns the others.</summary>
    public static ClusterNodeHarness OfTwo(Action<ServerOptions>? configure = null) => new(
        $"{Mine} 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191\n"
        + $"{Other} 10.0.0.2:7002@17002 master - 0 0 2 connected 8192-16383\nvars currentEpoch 2 lastVoteEpoch 0\n", configure);

    public ServerConfiguration Configuration { get; }

    public EngineHarness Engine { get; }

    public NodesFile Nodes { get; }

    public ClusterFace Face { get; }

    public string FilePath => Path.Combine(_directory.FullName, "nodes.conf");

    public DirectoryInfo Place => _directory;

    /// <summary>The file as it is now. It is locked, which .NET would respect.</summary>
    public string ReadFile()
    {
        using var cat = Process.Start(new ProcessStartInfo("cat", [FilePath]) { RedirectStandardOutput = true })!;
        return cat.StandardOutput.ReadToEnd();
    }

    public string Show(string line) => Engine.Show(line);

    public void Dispose()
    {
        Nodes.Dispose();
        Engine.Dispose();
        if (_ownsDirectory) _directory.Delete(recursive: true);
    }
}
