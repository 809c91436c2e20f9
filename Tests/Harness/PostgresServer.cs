using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Npgsql;
using Xunit;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// A PostgreSQL cluster of the tests' own, made by initdb in a temporary directory, on a free port of this machine.
/// PostgreSQL refuses to run as root; tests that run as root run it as the user that Debian's package creates.
/// </summary>
public sealed class PostgresServer : IAsyncLifetime
{
    public const string Collection = "PostgreSQL";

    private const string User = "orleansredis";
    private static readonly string? programs = FindPrograms();
    private static readonly ConcurrentDictionary<PostgresServer, byte> running = new();
    private static int databases;

    private readonly int port = RedisProcess.FreePort();
    private string directory = "";

    static PostgresServer() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (PostgresServer left in running.Keys)
            left.Run("pg_ctl", "-D", left.Data, "-m", "immediate", "stop");
    };

    /// <summary>Whether the machine has PostgreSQL's programs; ./test installs them.</summary>
    public static bool IsInstalled => programs is not null;

    private string Data => Path.Combine(directory, "data");

    /// <summary>Skips the test if PostgreSQL is not installed.</summary>
    public static void Require() => Requires.That(IsInstalled, "there is no PostgreSQL on this machine (apt-get install postgresql)");

    public Task InitializeAsync() => IsInstalled ? Task.Run(Initialize) : Task.CompletedTask;

    public Task DisposeAsync() => Task.Run(() =>
    {
        if (!running.TryRemove(this, out _))
            return;
        Run("pg_ctl", "-D", Data, "-m", "immediate", "stop");
        Directory.Delete(directory, recursive: true);
    });

    /// <summary>Makes an empty database and returns the connection string for it.</summary>
    public async Task<string> CreateDatabaseAsync()
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"test{Interlocked.Increment(ref databases)}");
        await ExecuteAsync(ConnectionString("postgres"), $"create database {name}");
        return ConnectionString(name);
    }

    /// <summary>Runs a statement and returns the first column of its first row.</summary>
    public static async Task<object?> ExecuteAsync(string database, string statement)
    {
        await using NpgsqlConnection connection = new(database + ";Pooling=false");
        await connection.OpenAsync();
        await using NpgsqlCommand command = new(statement, connection);
        return await command.ExecuteScalarAsync();
    }

    /// <summary>
    /// Ends all connections to a database except the caller's own, whatever they are doing, and returns how many there
    /// were.
    /// </summary>
    public static async Task<long> TerminateBackendsAsync(string database) =>
        (long)(await ExecuteAsync(database,
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"))!;

    /// <summary>Stops the whole cluster, as a crash would, without a checkpoint.</summary>
    public Task CrashAsync() => Task.Run(() => Succeed("pg_ctl", "-D", Data, "-w", "-m", "immediate", "stop"));

    /// <summary>Starts it again.</summary>
    public Task StartAgainAsync() => Task.Run(Start);

    private static string? FindPrograms() =>
        Directory.Exists("/usr/lib/postgresql")
            ? Directory.EnumerateDirectories("/usr/lib/postgresql")
                .Select(version => Path.Combine(version, "bin"))
                .Where(bin => File.Exists(Path.Combine(bin, "initdb")) && File.Exists(Path.Combine(bin, "pg_ctl")))
                .MaxBy(bin => int.TryParse(Path.GetFileName(Path.GetDirectoryName(bin)), CultureInfo.InvariantCulture, out int version) ? version : 0)
            : null;

    private string ConnectionString(string name) =>
        string.Create(CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={port};Username={User};Database={name};Timeout=15");

    private void Initialize()
    {
        directory = Directory.CreateTempSubdirectory("orleansredis-postgres-").FullName;
        if (Environment.IsPrivilegedProcess)
            RunProgram("chown", "postgres", directory);
        Succeed("initdb", "-D", Data, "-A", "trust", "-U", User, "-E", "UTF8", "--no-sync");
        Start();
        running.TryAdd(this, 0);
    }

    // No fsync, for speed: what a power failure would lose is PostgreSQL's business, not ours, and a crash of its
    // processes loses nothing.
    private void Start() => Succeed("pg_ctl", "-D", Data, "-w", "-l", Path.Combine(directory, "log"),
        "-o", string.Create(CultureInfo.InvariantCulture, $"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"),
        "start");

    private void Succeed(string program, params string[] arguments)
    {
        (int code, string output) = Run(program, arguments);
        string log = Path.Combine(directory, "log");
        if (code != 0)
            throw new InvalidOperationException(
                $"{program} {string.Join(' ', arguments)} exited with {code}:\n{output}\n{(File.Exists(log) ? File.ReadAllText(log) : "")}");
    }

    private (int Code, string Output) Run(string program, params string[] arguments)
    {
        program = Path.Combine(programs!, program);
        return Environment.IsPrivilegedProcess
            ? RunProgram("runuser", ["-u", "postgres", "--", program, .. arguments])
            : RunProgram(program, arguments);
    }

    private (int Code, string Output) RunProgram(string program, params string[] arguments)
    {
        // Into a file: a server that pg_ctl leaves running would keep a pipe open.
        string output = Path.Combine(directory, "output");
        ProcessStartInfo start = new("/bin/sh") { WorkingDirectory = directory };
        foreach (string word in (string[])["-c", "exec \"$@\" >\"$0\" 2>&1 </dev/null", output, program, .. arguments])
            start.ArgumentList.Add(word);
        using Process process = Process.Start(start)!;
        if (!process.WaitForExit(TimeSpan.FromSeconds(60)))
        {
            process.Kill();
            return (-1, "it took more than a minute");
        }

        return (process.ExitCode, File.ReadAllText(output));
    }
}

[CollectionDefinition(PostgresServer.Collection)]
public sealed class PostgresCollection : ICollectionFixture<PostgresServer>;
