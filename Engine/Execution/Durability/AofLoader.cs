using System.Diagnostics;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>How loading the log ended.</summary>
public enum AofLoadEnd
{
    /// <summary>There is no log.</summary>
    NotThere,

    /// <summary>There is one, with nothing in it.</summary>
    Empty,

    /// <summary>The data has been loaded.</summary>
    Loaded,

    /// <summary>
    /// The data has been loaded, except for an incomplete last command or transaction; the file has been truncated
    /// before it.
    /// </summary>
    Truncated,
}

/// <summary>
/// Loads the files that a manifest names. The caller makes sure that nobody else uses the store meanwhile, that nothing
/// expires, and that no effects are published.
/// </summary>
/// <param name="server">The server whose log it is, and whose store is filled.</param>
/// <param name="directory">The directory to load from.</param>
/// <param name="cancellation">Ends the load with an <see cref="OperationCanceledException"/>.</param>
internal sealed class AofLoader(ServerFiles server, AofDirectory directory, CancellationToken cancellation)
{
    private long _before;           // bytes of the files before this one
    private Func<long> _inThisFile = () => 0;

    private ServerLog Log => server.Store.Log;

    /// <summary>Loads the files.</summary>
    /// <param name="manifest">Names the files.</param>
    /// <exception cref="LoadException">They cannot be loaded. Much of the data may have been loaded by
    /// then.</exception>
    public AofLoadEnd Load(AofManifest manifest)
    {
        if (manifest.IsEmpty) return AofLoadEnd.NotThere;
        AofFileInfo[] files = [.. manifest.Files];
        long total = 0;
        foreach (AofFileInfo file in files)
        {
            total += directory.LengthOf(file.Name)
                ?? throw new LoadException($"Unable to obtain the AOF file {file.Name} length. stat: No such file or directory");
        }
        if (total == 0) return AofLoadEnd.Empty;
        using var progress = new LoadProgress(server.Store, total, () => Volatile.Read(ref _before) + _inThisFile());
        progress.Report();
        server.LoadProgress = progress;
        try
        {
            return Load(files);
        }
        finally
        {
            server.LoadProgress = null;
        }
    }

    private AofLoadEnd Load(AofFileInfo[] files)
    {
        AofLoadEnd end = AofLoadEnd.Loaded;
        for (int i = 0; i < files.Length; i++)
        {
            bool isLast = i == files.Length - 1, isBase = files[i].Type == AofFileType.Base;
            long started = Stopwatch.GetTimestamp();
            if (Load(files[i].Name, isLast, out long length) == AofReplayEnd.CutOff) end = AofLoadEnd.Truncated;
            _inThisFile = () => 0;
            Volatile.Write(ref _before, _before + length);
            Log.Notice(string.Create(CultureInfo.InvariantCulture,
                $"DB loaded from {(isBase ? "base" : "incr")} file {files[i].Name}: {Stopwatch.GetElapsedTime(started).TotalSeconds:F3} seconds"));
        }
        return end;
    }

    private AofReplayEnd Load(string name, bool isLast, out long length)
    {
        try
        {
            using var file = new FileStream(directory.PathOf(name), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            length = file.Length;
            if (length == 0) return AofReplayEnd.Empty;
            if (IsRdb(file)) LoadPreamble(file, name);
            using var reader = new AofReader(server.Store.Commands, file, name, cancellation);
            _inThisFile = () => reader.Progress;
            AofReplayEnd end = new AofReplay(server.Store, reader, name).Run();
            if (end == AofReplayEnd.CutOff) CutOff(reader, file.Length, name, isLast);
            return end;
        }
        catch (AofDamageException damage)
        {
            throw new LoadException(BadFormat(damage.File, damage.Offset, damage.Message));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new LoadException($"Unrecoverable error reading the append only file {name}: {AtomicFile.Reason(failure)}");
        }
    }

    private void LoadPreamble(FileStream file, string name)
    {
        bool isOldStyle = name == directory.FileName;
        Log.Notice(isOldStyle ? "Reading RDB preamble from AOF file..." : "Reading RDB base file on AOF loading...");
        try
        {
            var loader = server.CreateLoader(keepsExpired: true, cancellation: cancellation);
            _inThisFile = () => loader.Progress;
            file.Position = loader.Load(file);
            server.LastLoadKeysLoaded = loader.KeysLoaded;
            server.LastLoadKeysExpired = loader.KeysExpired;
            string skipped = loader.EmptyKeysSkipped == 0 ? "" : $", empty keys skipped: {loader.EmptyKeysSkipped}";
            Log.Notice($"Done loading RDB, keys loaded: {loader.KeysLoaded}, keys expired: {loader.KeysExpired}{skipped}.");
        }
        catch (RdbFileException damage)
        {
            Log.Warning(damage.Report);
            Log.Warning(damage.Message);
            throw new LoadException(isOldStyle
                ? $"Error reading the RDB preamble of the AOF file {name}, AOF loading aborted"
                : $"Error reading the RDB base file {name}, AOF loading aborted");
        }
        if (isOldStyle) Log.Notice("Reading the remaining AOF tail...");
    }

    /// <summary>
    /// The file ends within a command or a transaction. Without that remainder all is well again, if aof-load-truncated
    /// allows cutting it off.
    /// </summary>
    private void CutOff(AofReader read, long length, string name, bool isLast)
    {
        if (read.HasCommandsBehind())
            throw new LoadException(BadFormat(name, read.SoundUpTo, "a length there is wrong, as more commands follow"));
        if (read.IsInTransaction) Log.Warning($"Revert incomplete MULTI/EXEC transaction in AOF file {name}");
        if (!isLast)
            throw new LoadException(string.Create(
                CultureInfo.InvariantCulture,
                $"Fatal error: the truncated file is not the last file ({name} ends within a command that begins at byte {read.SoundUpTo})"));
        if (!server.Store.Options.AofLoadTruncated)
        {
            throw new LoadException(string.Create(
                CultureInfo.InvariantCulture,
                $"Unexpected end of file reading the append only file {name} at byte {length}; the last whole command ends at {read.SoundUpTo}. You can: ")
                + $"1) Make a backup of your AOF file, then use orleansredis-check-aof --fix {directory.PathOf(directory.ManifestName)}. "
                + "2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server.");
        }
        Log.Warning($"!!! Warning: short read while loading the AOF file {name}!!!");
        Log.Warning(string.Create(CultureInfo.InvariantCulture, $"!!! Truncating the AOF {name} at offset {read.SoundUpTo} !!!"));
        try
        {
            using ILogFile file = LogFile.Open(directory.PathOf(name), empty: false);
            file.Truncate(read.SoundUpTo);
            file.Sync();
        }
        catch (LogFileException failure)
        {
            throw new LoadException($"Error truncating the AOF file {name}: {failure.Message}");
        }
        Log.Warning($"AOF {name} loaded anyway because aof-load-truncated is enabled");
    }

    private string BadFormat(string name, long offset, string reason) => string.Create(CultureInfo.InvariantCulture,
        $"Bad file format reading the append only file {name} at byte {offset} ({reason}): make a backup of your AOF file, then use "
            + $"orleansredis-check-aof --fix {directory.PathOf(directory.ManifestName)}");

    private static bool IsRdb(FileStream file)
    {
        Span<byte> signature = stackalloc byte[5];
        bool isRdb = file.ReadAtLeast(signature, 5, throwOnEndOfStream: false) == 5 && signature.SequenceEqual("REDIS"u8);
        file.Position = 0;
        return isRdb;
    }
}
