using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Store = OrleansRedis.Engine.Store;

namespace OrleansRedis.Tests.Persistence;

/// <summary>
/// An engine in this process with an append log in a directory of its own. It can be restarted any number of times in
/// the same directory.
/// </summary>
internal sealed class AofHarness : IDisposable
{
    private readonly bool _ownsDirectory;
    private readonly List<string> _lines = [];

    public AofHarness(Action<ServerOptions>? configure = null, string? directory = null, bool opens = true, Func<string, ILogFile, ILogFile>? wrap = null)
    {
        _ownsDirectory = directory is null;
        DirectoryPath = directory ?? Directory.CreateTempSubdirectory("orleansredis-aof").FullName;
        Engine = new EngineHarness(options =>
        {
            options.Dir = DirectoryPath;
            options.AppendOnly = true;
            options.Save = new();
            configure?.Invoke(options);
        });
        Engine.Store.Log.Writer = (_, line) =>
        {
            lock (_lines) _lines.Add(line);
        };
        if (wrap is not null) Log.OpenFile = (path, empty) => wrap(Path.GetFileName(path), LogFile.Open(path, empty));
        if (opens) Open();
    }

    public EngineHarness Engine { get; }

    public Store Store => Engine.Store;

    public ServerFiles Files => Engine.Files;

    public AppendLog Log => Files.Aof;

    public string DirectoryPath { get; }

    /// <summary>The path of appendonlydir.</summary>
    public string LogPath => Path.Combine(DirectoryPath, "appendonlydir");

    public string Manifest => File.ReadAllText(Path.Combine(LogPath, "appendonly.aof.manifest"));

    /// <summary>The lines logged for the operator.</summary>
    public string[] Lines
    {
        get
        {
            lock (_lines) return [.. _lines];
        }
    }

    /// <summary>How loading ended.</summary>
    public AofLoadEnd Loaded { get; private set; }

    public void Open()
    {
        if (Store.Options.AppendOnly) Loaded = Log.Load(CancellationToken.None);
        Engine.ForgetEffects();
        Log.Open();
    }

    public object? Run(params string[] command) => Engine.Run(command);

    /// <summary>The content of a file of the log.</summary>
    public byte[] Read(string name) => File.ReadAllBytes(Path.Combine(LogPath, name));

    /// <summary>The commands of the last increment, each as one line, once all are written.</summary>
    public string[] Commands()
    {
        Log.Flush();
        return Parse(Read(Manifest.TrimEnd().Split('\n')[^1].Split(' ')[1]));
    }

    /// <summary>The commands and annotations in some bytes of a log.</summary>
    public static string[] Parse(ReadOnlySpan<byte> bytes)
    {
        var lines = new List<string>();
        var arguments = new ArgumentList();
        while (!bytes.IsEmpty)
        {
            arguments.Clear();
            AofFrame frame = AofFrameReader.Read(bytes, 0, ref arguments, out long length);
            if (frame is not (AofFrame.Command or AofFrame.Annotation))
                throw new InvalidDataException($"{frame} in the log: {Encoding.Latin1.GetString(bytes[..Math.Min(100, bytes.Length)])}");
            var words = new List<string>();
            foreach (ArgumentRange range in arguments.Slice(0, arguments.Count)) words.Add(Encoding.Latin1.GetString(bytes.Slice(range.Start, range.Length)));
            lines.Add(frame == AofFrame.Command ? string.Join(' ', words) : Encoding.Latin1.GetString(bytes[..(int)length]).Trim());
            bytes = bytes[(int)length..];
        }
        return [.. lines];
    }

    /// <summary>Ends as a shutdown does.</summary>
    public void Close() => Log.CloseAsync().GetAwaiter().GetResult();

    /// <summary>A new engine in the same directory, which this one then no longer deletes.</summary>
    public AofHarness Restart(Action<ServerOptions>? configure = null) => new(configure, DirectoryPath);

    /// <summary>Waits for the rewrite that is in progress.</summary>
    public void AwaitRewrite() => Log.RewriteEnded.WaitAsync(Eventually.Deadline).GetAwaiter().GetResult();

    public void Dispose()
    {
        Close();
        Engine.Dispose();
        if (_ownsDirectory) Directory.Delete(DirectoryPath, recursive: true);
    }
}

/// <summary>
/// A file on a disk that fails when told to. What is written is in the cache first, and only a sync that succeeds
/// brings it to the disk. As in Linux, a sync that fails forgets what it had to write, and the next one reports
/// success.
/// </summary>
internal sealed class FaultyFile(ILogFile file) : ILogFile
{
    private readonly List<(long From, byte[] Bytes)> _dirty = [];
    private int _waitingSyncs;

    /// <summary>What would remain after a power failure.</summary>
    public byte[] OnDisk { get; private set; } = [];

    /// <summary>The size beyond which no byte fits.</summary>
    public long Capacity { get; set; } = long.MaxValue;

    /// <summary>How many of the next syncs fail.</summary>
    public int FailingSyncs { get; set; }

    /// <summary>If set, syncs wait for it.</summary>
    public ManualResetEventSlim? SyncGate { get; set; }

    /// <summary>How many syncs are waiting for <see cref="SyncGate"/>.</summary>
    public int WaitingSyncs => Volatile.Read(ref _waitingSyncs);

    public int Syncs { get; private set; }

    public long Length => file.Length;

    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        int fits = (int)Math.Clamp(Capacity - offset, 0, bytes.Length);
        file.Write(bytes[..fits], offset);
        lock (_dirty) _dirty.Add((offset, bytes[..fits].ToArray()));
        if (fits < bytes.Length) throw new LogFileException("No space left on device");
    }

    public void Truncate(long length)
    {
        file.Truncate(length);
        lock (_dirty) _dirty.RemoveAll(range => range.From >= length);
    }

    public void Sync()
    {
        Interlocked.Increment(ref _waitingSyncs);
        SyncGate?.Wait(Eventually.Deadline); // a failed test never opens the gate, and its server must end all the same
        Interlocked.Decrement(ref _waitingSyncs);
        lock (_dirty)
        {
            Syncs++;
            if (FailingSyncs > 0)
            {
                FailingSyncs--;
                _dirty.Clear();
                throw new LogFileException("Input/output error");
            }
            byte[] disk = OnDisk;
            if (disk.Length < file.Length) Array.Resize(ref disk, (int)file.Length);
            foreach ((long from, byte[] bytes) in _dirty) bytes.CopyTo(disk, from);
            _dirty.Clear();
            OnDisk = disk;
        }
    }

    public void Dispose() => file.Dispose();
}
