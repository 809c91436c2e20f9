namespace OrleansRedis.Engine;

/// <summary>
/// The log's files: appenddirname in dir, and in it the manifest, the files that it names, and while something is under way temporary ones, all of whose
/// names have appendfilename in them, so that several servers may share the directory.
/// <para>
/// <b>What a crash leaves.</b> The manifest is replaced as a whole: temporary file, fsync, rename, fsync of the directory. A file that it names
/// is complete and durable before it names it, and is deleted only once a durable manifest does not need it. So at any moment the manifest on the disk describes a log that can be loaded:
/// </para>
/// <list type="table">
/// <item><term>A rewrite, log on: the next increment is created</term><description>an empty file that no manifest names; the next rewrite, or start, empties it again.</description></item>
/// <item><term>… the old increment is synced up to the rewrite's instant</term><description>as before.</description></item>
/// <item><term>… the manifest names the next increment, too</term><description>base and increments as before, and one more, which holds what follows. Writes go to it only from here on, so the files before the last never end within a command.</description></item>
/// <item><term>… the base is written to temp-NAME.base and synced</term><description>that file as well, which nobody names: deleted at the next start.</description></item>
/// <item><term>… it is renamed to the next base's name</term><description>a complete base that no manifest names; the next rewrite's takes its place.</description></item>
/// <item><term>… the manifest names it, and the files it replaces as history</term><description>the new log, and the old files: history is deleted at the next start.</description></item>
/// <item><term>… history is deleted, then the manifest forgets it</term><description>history may be named that is not there any more, which does no harm.</description></item>
/// <item><term>A rewrite that switches the log on</term><description>writes go to temp-NAME.incr, which is synced, renamed and named together with the base: until then
/// the log is what it was when it was last on, or is not there at all.</description></item>
/// <item><term>A log of one file, as before Redis 7, is taken over</term><description>the manifest names NAME as the base, and is durable, before NAME moves into the directory: a start that finds this, and NAME still outside, moves it.</description></item>
/// </list>
/// </summary>
internal sealed class AofDirectory(ServerOptions options)
{
    /// <summary>Its path.</summary>
    public string FullPath => Path.Combine(options.Dir, options.AppendDirectoryName);

    /// <summary>The beginning of the files' names.</summary>
    public string FileName => options.AppendFileName;

    public string ManifestName => FileName + ".manifest";

    /// <summary>Where a base is written before it has its name.</summary>
    public string TemporaryBaseName => $"temp-{FileName}.base";

    /// <summary>Where the log is written while the first rewrite runs after it was switched on.</summary>
    public string TemporaryIncrementName => $"temp-{FileName}.incr";

    private string TemporaryManifestName => $"temp-{FileName}.manifest";

    /// <summary>Where a log of one file is, as Redis had it before version 7.</summary>
    public string OldStylePath => Path.Combine(options.Dir, FileName);

    /// <summary>Whether there is anything that may be a log.</summary>
    public bool HasFiles => Directory.Exists(FullPath) || File.Exists(OldStylePath);

    public string PathOf(string name) => Path.Combine(FullPath, name);

    public bool Has(string name) => File.Exists(PathOf(name));

    /// <summary>Reads the manifest; without one the log is empty.</summary>
    /// <exception cref="AofManifestException">It makes no sense.</exception>
    /// <exception cref="LogFileException">It cannot be read.</exception>
    public AofManifest Load()
    {
        if (!Has(ManifestName)) return AofManifest.Empty;
        return AofManifest.Parse(Try($"Fatal error: can't open the AOF manifest file {PathOf(ManifestName)} for reading", () => File.ReadAllBytes(PathOf(ManifestName))));
    }

    /// <summary>Makes this manifest the one that counts. If that fails, which one counts after a crash is not known.</summary>
    public void Save(AofManifest manifest) =>
        Try($"Error writing the AOF manifest file {ManifestName}", () => AtomicFile.Replace(PathOf(ManifestName), manifest.Format(), PathOf(TemporaryManifestName)));

    /// <summary>Creates the directory if it is missing.</summary>
    public void Create() => Try($"Can't open or create append-only dir {options.AppendDirectoryName}", () =>
    {
        if (Directory.Exists(FullPath)) return;
        Directory.CreateDirectory(FullPath);
        AtomicFile.SyncDirectory(Path.GetFullPath(options.Dir));
    });

    /// <summary>Gives a file another name; durable with the next manifest.</summary>
    public void Rename(string from, string to) =>
        Try($"Error trying to rename the temporary AOF file {from} into {to}", () => File.Move(PathOf(from), PathOf(to), overwrite: true));

    /// <summary>Deletes a file, if it can be; nothing depends on it.</summary>
    public void Delete(string name)
    {
        try
        {
            File.Delete(PathOf(name));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // It is in nobody's way but the operator's, who sees it.
        }
    }

    /// <summary>Deletes what a crash has left half done.</summary>
    public void DeleteTemporaries()
    {
        if (!Directory.Exists(FullPath)) return;
        foreach (string name in (string[])[TemporaryBaseName, TemporaryIncrementName, TemporaryManifestName]) Delete(name);
    }

    /// <summary>How long a file is; null if it is missing.</summary>
    public long? LengthOf(string name) => new FileInfo(PathOf(name)) is { Exists: true } file ? file.Length : null;

    /// <summary>Takes over a log of one file, if there is one that no manifest knows or that was about to be taken over. Returns the manifest.</summary>
    public AofManifest Upgrade(AofManifest manifest, ServerLog log)
    {
        if (!File.Exists(OldStylePath)) return manifest;
        bool interrupted = manifest.Increments.Count == 0 && manifest.Base?.Name == FileName && !Has(FileName);
        if (!manifest.IsEmpty && !interrupted) return manifest;
        Create();
        manifest = manifest.WithOldStyleBase(FileName);
        Save(manifest);
        Try($"Error trying to move the old AOF file {FileName} into dir {options.AppendDirectoryName}", () =>
        {
            File.Move(OldStylePath, PathOf(FileName));
            AtomicFile.SyncDirectory(FullPath);
            AtomicFile.SyncDirectory(Path.GetFullPath(options.Dir));
        });
        log.Notice($"Successfully migrated an old-style AOF file ({FileName}) into the AOF directory ({options.AppendDirectoryName}).");
        return manifest;
    }

    private static void Try(string what, Action action) => Try(what, () =>
    {
        action();
        return 0;
    });

    private static T Try<T>(string what, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new LogFileException($"{what}: {AtomicFile.Reason(failure)}");
        }
    }
}
