using System.Security.Cryptography;

namespace OrleansRedis.Engine;

/// <summary>
/// Writes a snapshot as a new RDB file. The owner of this object gives the file its final name when it is complete.
/// </summary>
/// <param name="options">How to write it.</param>
/// <param name="nowMs">The time recorded in the file.</param>
/// <param name="usedMemory">The memory usage recorded in the file.</param>
/// <param name="functions">The libraries written at the beginning of the file.</param>
/// <param name="log">Where to report a file that cannot be deleted.</param>
/// <param name="path">The path of the file.</param>
/// <param name="isAofBase">Whether the file is the base of an append-only log.</param>
internal sealed class RdbSnapshotTarget(
    ServerOptions options, long nowMs, long usedMemory, FunctionLibraries functions, ServerLog log, string path, bool isAofBase = false) : ISnapshotFile
{
    private readonly Lock _opening = new();
    private readonly WriteBehind _writeBehind = new();
    private IReadOnlyList<DatabaseCount> _databases = [];
    private IReadOnlyList<byte[]> _libraries = [];
    private FileStream? _file;
    private RdbFileWriter? _writer;

    /// <summary>The file.</summary>
    public string Path => path;

    /// <summary>The length of the finished file in bytes.</summary>
    public long Length { get; private set; }

    /// <inheritdoc/>
    public void Expect(IReadOnlyList<DatabaseCount> databases)
    {
        _databases = databases;
        _libraries = functions.Codes; // as of the snapshot's instant, like the keys
    }

    /// <inheritdoc/>
    public SnapshotChunk CreateChunk() => new RdbChunk(options, nowMs);

    /// <inheritdoc/>
    public void Append(SnapshotChunk chunk)
    {
        RdbWriter bytes = ((RdbChunk)chunk).Bytes;
        Try("write", () => Writer().Append(bytes));
    }

    /// <inheritdoc/>
    public void Settle()
    {
        bool wanted = isAofBase ? options.AofRewriteIncrementalFsync : options.RdbSaveIncrementalFsync;
        if (wanted && Volatile.Read(ref _writer) is { } writer) _writeBehind.Grown(_file!.SafeFileHandle, writer.Given);
    }

    /// <summary>Creates the file and writes its beginning, unless that has been done already.</summary>
    public void Open() => Try("write", () => Writer());

    /// <summary>Writes the end of the file, and makes it durable.</summary>
    public void Finish()
    {
        Try("write", () => Writer().Finish());
        Length = _writer!.Length;
        Try("fsync", () => _file!.Flush(flushToDisk: true));
    }

    /// <summary>The SHA-256 of the finished file, in hexadecimal digits.</summary>
    /// <param name="turns">Those of the background thread, if it runs there.</param>
    public string Digest(BackgroundThread.Turns? turns)
    {
        _file!.Position = 0;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] piece = new byte[64 * 1024];
        for (int length; (length = _file.Read(piece)) != 0; turns?.Pause()) hash.AppendData(piece, 0, length);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Closes the file, and deletes it if it still has its first name.</summary>
    public void Dispose()
    {
        _file?.Dispose();
        _file = null;
    }

    /// <summary>Deletes the file, if it was created.</summary>
    public void Delete()
    {
        Dispose();
        try
        {
            File.Delete(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            log.Warning($"Could not delete the temp RDB file {path}: {AtomicFile.Reason(failure)}");
        }
    }

    /// <summary>Reports a failure with the open file in redis-server's words.</summary>
    private void Try(string operation, Action action)
    {
        try
        {
            action();
        }
        catch (Exception failure) when (_file is not null && (failure is IOException or UnauthorizedAccessException))
        {
            throw new IOException($"Write error saving DB on disk({operation}): {AtomicFile.Reason(failure)}", failure);
        }
    }

    private RdbFileWriter Writer()
    {
        // A command that writes many keys may need the file before the saving thread does.
        lock (_opening) return _writer ?? Create();
    }

    private RdbFileWriter Create()
    {
        FileStream file;
        try
        {
            file = new FileStream(path, FileMode.Create, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete, bufferSize: 0);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new IOException(
                $"Failed opening the temp RDB file {System.IO.Path.GetFileName(path)} (in server root dir {System.IO.Path.GetDirectoryName(path)}) for "
                    + $"saving: {AtomicFile.Reason(failure)}",
                failure);
        }
        _file = file;
        Volatile.Write(ref _writer, new(file, options));
        _writer.Begin(nowMs, usedMemory, isAofBase, _libraries);
        foreach (DatabaseCount count in _databases) _writer.Resize(count.Database, count.Keys, count.Expiring);
        return _writer;
    }
}
