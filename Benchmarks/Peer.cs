using System.Diagnostics;
using System.Globalization;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>The kind of command line a server takes, and which of Redis's files and figures it has.</summary>
internal enum Dialect
{
    /// <summary>redis-server's grammar, files and INFO: Redis and Valkey.</summary>
    Redis,

    /// <summary>The same, plus the ports of a silo.</summary>
    OrleansRedis,

    /// <summary>Garnet's own options and files.</summary>
    Garnet,
}

/// <summary>A server program that gets a column.</summary>
/// <param name="Name">The column's name.</param>
/// <param name="Program">The program's path.</param>
/// <param name="Dialect">How to start and query it.</param>
internal sealed record Peer(string Name, string Program, Dialect Dialect)
{
    public const string Ours = "ours", Against = "against";
    private const string GarnetVersion = "2.2.8";

    /// <summary>The names that <c>--peers</c> takes.</summary>
    public static IReadOnlyList<string> Known { get; } = ["redis", "valkey", "garnet"];

    /// <summary>The server built from this source tree.</summary>
    public static Peer ThisBuild() => new(Ours, RedisProcess.OurServer, Dialect.OrleansRedis);

    /// <summary>
    /// Another build of this server, given as the program itself or as a source tree in which it has been built.
    /// </summary>
    /// <exception cref="FileNotFoundException">There is no such program.</exception>
    public static Peer OtherBuild(string path)
    {
        string program = Directory.Exists(path)
            ? Path.Combine(path, "Silo", "bin", "Release", "net10.0", "orleansredis-server")
            : path;
        if (!File.Exists(program))
            throw new FileNotFoundException(
                $"--against {path}: there is no {program}. Build that tree first: dotnet build {path}/Silo -c Release");
        return new(Against, Path.GetFullPath(program), Dialect.OrleansRedis);
    }

    /// <summary>
    /// Looks for a peer: where the environment says, in PATH, and for Garnet in its package. If there is none, says
    /// where it looked.
    /// </summary>
    public static async Task<(Peer? Peer, string Reason)> FindAsync(string name)
    {
        string variable = $"{name.ToUpperInvariant()}_SERVER", file = $"{name}-server";
        Dialect dialect = name == "garnet" ? Dialect.Garnet : Dialect.Redis;
        if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } named)
            return File.Exists(named)
                ? (new(name, named, dialect), "")
                : (null, $"{variable} is {named}, and there is no such file");
        if (InPath(file) is { } found)
            return (new(name, found, dialect), "");
        if (name == "garnet")
        {
            (string? installed, string failure) = await InstallGarnetAsync();
            return installed is null
                ? (null, $"no {variable} in the environment, no {file} in PATH, and {failure}")
                : (new(name, installed, dialect), "");
        }

        string package = name == "valkey" ? "Debian has the package valkey-server from 13 on" : "Debian's package is redis-server";
        return (null, $"no {variable} in the environment and no {file} in PATH ({package})");
    }

    /// <summary>The full path of a program in PATH; null if there is none with that name.</summary>
    public static string? InPath(string file) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(directory => Path.Combine(directory, file)).FirstOrDefault(File.Exists);

    /// <summary>The command line for a server that listens on this machine only and does not save by itself.</summary>
    public string[] Arguments(int port, string directory)
    {
        string portText = port.ToString(CultureInfo.InvariantCulture);
        return Dialect switch
        {
            Dialect.Garnet => ["--port", portText, "--bind", "127.0.0.1", "--checkpointdir", directory],
            _ => LikeRedis(),
        };
        string[] LikeRedis() => ["--port", portText, "--bind", "127.0.0.1", "--dir", directory, "--save", ""];
    }

    /// <summary>
    /// Which program this is, to record what was measured: its path, what it says about itself, and for builds of ours
    /// the build time and the commit that its source tree is at now.
    /// </summary>
    public async Task<string> DescribeAsync()
    {
        (_, string version) = await RunAsync(Program, ["--version"], TimeSpan.FromSeconds(30));
        string text = $"{Name}: {Program}, {version.Trim().Split('\n')[0]}";
        if (Dialect != Dialect.OrleansRedis)
            return text;
        string folder = Path.GetDirectoryName(Program)!;
        DateTime built = Directory.EnumerateFiles(folder, "*.dll")
            .Select(File.GetLastWriteTimeUtc).Append(File.GetLastWriteTimeUtc(Program)).Max();
        (int code, string commit) = await RunAsync("git", ["-C", folder, "describe", "--always", "--dirty"], TimeSpan.FromSeconds(30));
        string tree = code == 0 ? $"its tree now at {commit.Trim()}" : "in no Git tree";
        return string.Create(CultureInfo.InvariantCulture, $"{text}, built {built:yyyy-MM-dd HH:mm:ss} UTC, {tree}");
    }

    private static async Task<(string? Program, string Failure)> InstallGarnetAsync()
    {
        string folder = Path.Combine(RedisProcess.RepositoryRoot, ".cache", $"garnet-{GarnetVersion}"),
            program = Path.Combine(folder, "garnet-server");
        if (File.Exists(program))
            return (program, "");
        string[] install = ["tool", "install", "garnet-server", "--version", GarnetVersion, "--tool-path", folder];
        (int code, string output) = await RunAsync("dotnet", install, TimeSpan.FromMinutes(5));
        return code == 0 && File.Exists(program)
            ? (program, "")
            : (null, $"dotnet {string.Join(' ', install)} failed: {output.ReplaceLineEndings(" ")}");
    }

    private static async Task<(int Code, string Output)> RunAsync(string program, string[] arguments, TimeSpan timeout)
    {
        using Process process = new();
        process.StartInfo = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using CancellationTokenSource deadline = new(timeout);
        try
        {
            process.Start();
            Task<string> errors = process.StandardError.ReadToEndAsync(deadline.Token);
            string output = await process.StandardOutput.ReadToEndAsync(deadline.Token);
            output += await errors;
            await process.WaitForExitAsync(deadline.Token);
            return (process.ExitCode, output);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            return (-1, $"not done after {timeout.TotalSeconds:F0} s");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return (-1, e.Message);
        }
    }
}
