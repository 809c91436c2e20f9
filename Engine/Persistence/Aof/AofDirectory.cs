namespace OrleansRedis.Engine;

/// <summary>
/// The files of the log. They are in the directory appenddirname, inside dir: the manifest, the files it names, and
/// temporary files while something is under way. Every file's name contains appendfilename, so that several servers can
/// share the directory.
/// <para>
/// <b>What a crash leaves behind.</b> The manifest is always replaced as a whole: write a temporary file, fsync it,
/// rename it, fsync the directory. A file is complete and durable before the manifest names it, and is deleted only
/// once a durable manifest no longer needs it. So at any moment the manifest on disk describes a log that can be
/// loaded. After a crash at each step there is:
/// </para>
/// <list type="table">
/// <item><term>A rewrite with the log on: the next increment is created</term><description>an empty file that no
/// manifest names; the next rewrite or start empties it again.</description></item>
/// <item><term>… the old increment is synced up to the rewrite's instant</term><description>the same as
/// before.</description></item>
/// <item><term>… the manifest also names the next increment</term><description>the base and increments as before, plus
/// one increment for what follows. Writes go to it only from this point on, so only the last file can end within a
/// command.</description></item>
/// <item><term>… the base is written to temp-NAME.base and synced</term><description>also that file, which no manifest
/// names; it is deleted at the next start.</description></item>
/// <item><term>… it is renamed to the next base's name</term><description>a complete base that no manifest names; the
/// next rewrite's base replaces it.</description></item>
/// <item><term>… the manifest names it, and lists the files it replaces as history</term><description>the new log and
/// the old files; history is deleted at the next start.</description></item>
/// <item><term>… history is deleted, then dropped from the manifest</term><description>possibly a manifest that lists
/// history files already deleted, which is harmless.</description></item>
/// <item><term>A rewrite that switches the log on</term><description>writes go to temp-NAME.incr, which is synced,
/// renamed and named in the manifest together with the base. Until then the log is what it was when it was last on, or
/// does not exist.</description></item>
/// <item><term>A log of one file, as before Redis 7, is taken over</term><description>the manifest names NAME as the
/// base, and is durable, before NAME moves into the directory. A start that finds such a manifest while NAME is still
/// outside moves it.</description></item>
/// </list>
/// </summary>
internal sealed class AofDirectory(ServerOptions options)
{
    /// <summary>The directory's path.</summary>
    public string FullPath => Path.Combine(options.Dir, options.AppendDirectoryName);

    /// <summary>The prefix of the names of the log's files.</summary>
    public string FileName => options.AppendFileName;

    public string ManifestName => FileName + ".manifest";

    /// <summary>Name of the file in which a base is written before it gets its own name.</summary>
    public string TemporaryBaseName => $"temp-{FileName}.base";

    /// <summary>Name of the file that holds the log during the first rewrite after the log is switched on.</summary>
    public string TemporaryIncrementName => $"temp-{FileName}.incr";

    private string TemporaryManifestName => $"temp-{FileName}.manifest";

    /// <summary>Where a log of one file is, as Redis kept it before version 7.</summary>
    public string OldStylePath => Path.Combine(options.Dir, FileName);

    /// <summary>Whether anything exists that could be a log.</summary>
    public bool HasFiles => Directory.Exists(FullPath) || File.Exists(OldStylePath);

    public string PathOf(string name) => Path.Combine(FullPath, name);

    public bool Has(string name) => File.Exists(PathOf(name));

    /// <summary>Reads the manifest. Without one, the log is empty.</summary>
    /// <exception cref="AofManifestException">The manifest makes no sense.</exception>
    /// <exception cref="LogFileException">The manifest cannot be read.</exception>
    public AofManifest Load()
    {
        if (!Has(ManifestName)) return AofManifest.Empty;
        return AofManifest.Parse(Try(
            $"Fatal error: can't open the AOF manifest file {PathOf(ManifestName)} for reading",
            () => File.ReadAllBytes(PathOf(ManifestName))));
    }

    /// <summary>
    /// Makes this the manifest in force. If that fails, it is unknown which manifest is in force after a crash.
    /// </summary>
    public void Save(AofManifest manifest) =>
        Try(
            $"Error writing the AOF manifest file {ManifestName}",
            () => AtomicFile.Replace(PathOf(ManifestName), manifest.Format(), PathOf(TemporaryManifestName)));

    /// <summary>Creates the directory if it does not exist.</summary>
    public void Create() => Try($"Can't open or create append-only dir {options.AppendDirectoryName}", () =>
    {
        if (Directory.Exists(FullPath)) return;
        Directory.CreateDirectory(FullPath);
        AtomicFile.SyncDirectory(Path.GetFullPath(options.Dir));
    });

    /// <summary>Renames a file. The new name is durable once the next manifest is saved.</summary>
    public void Rename(string from, string to) =>
        Try($"Error trying to rename the temporary AOF file {from} into {to}", () => File.Move(PathOf(from), PathOf(to), overwrite: true));

    /// <summary>Deletes a file if possible; nothing depends on it.</summary>
    public void Delete(string name)
    {
        try
        {
            File.Delete(PathOf(name));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // A leftover file harms nothing, and the operator can see it.
        }
    }

    /// <summary>Deletes what a crash left half done.</summary>
    public void DeleteTemporaries()
    {
        if (!Directory.Exists(FullPath)) return;
        foreach (string name in (string[])[TemporaryBaseName, TemporaryIncrementName, TemporaryManifestName]) Delete(name);
    }

    /// <summary>The length of a file; null if it does not exist.</summary>
    public long? LengthOf(string name) => new FileInfo(PathOf(name)) is { Exists: true } file ? file.Length : null;

    /// <summary>
    /// Takes over a log of one file, if there is one that no manifest knows, or whose takeover was interrupted. Returns
    /// the manifest now in force.
    /// </summary>
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
