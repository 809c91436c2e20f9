using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>Writes a snapshot as commands: the base of a log with aof-use-rdb-preamble no.</summary>
internal sealed class AofSnapshotTarget(ServerOptions options, Clock clock, FunctionLibraries functions, string path) : ISnapshotFile
{
    private readonly FileStream _file = Open(path);
    private readonly WriteBehind _writeBehind = new();
    private IReadOnlyList<byte[]> _libraries = [];
    private long _length;
    private bool _hasBegun;

    // as of the snapshot's instant, like the keys
    public void Expect(IReadOnlyList<DatabaseCount> databases) => _libraries = functions.Codes;

    public SnapshotChunk CreateChunk() => new Chunk();

    public void Append(SnapshotChunk chunk)
    {
        Begin();
        Write(chunk.Written);
    }

    public void Settle()
    {
        if (options.AofRewriteIncrementalFsync) _writeBehind.Grown(_file.SafeFileHandle, Volatile.Read(ref _length));
    }

    public void Finish()
    {
        Begin();
        Try(() => _file.Flush(flushToDisk: true));
    }

    public void Dispose() => _file.Dispose();

    private void Begin()
    {
        if (_hasBegun) return;
        _hasBegun = true;
        if (options.AofTimestampEnabled) Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"#TS:{clock.NowMs / 1000}\r\n")));
        var libraries = new RespWriter();
        foreach (byte[] code in _libraries)
        {
            libraries.Array(3);
            libraries.BulkString("FUNCTION"u8);
            libraries.BulkString("LOAD"u8);
            libraries.BulkString(code);
        }
        Write(libraries.Written);
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _file.Write(bytes);
            Volatile.Write(ref _length, _length + bytes.Length);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new LogFileException(AtomicFile.Reason(failure));
        }
    }

    private static void Try(Action action)
    {
        try
        {
            action();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new LogFileException(AtomicFile.Reason(failure));
        }
    }

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read | FileShare.Delete, bufferSize: 0);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new LogFileException($"Opening the temp file for AOF rewrite in rewriteAppendOnlyFile(): {AtomicFile.Reason(failure)}");
        }
    }

    private sealed class Chunk : SnapshotChunk
    {
        private readonly RespWriter _bytes = new();

        public override ReadOnlySpan<byte> Written => _bytes.Written;

        protected override int Room => _bytes.Capacity;

        public override void Clear()
        {
            base.Clear();
            _bytes.Clear();
        }

        protected override void WriteSelect(int database) => AofEntryWriter.Select(_bytes, database);

        protected override void WriteEntry(KeyEntry entry) => AofEntryWriter.Write(_bytes, entry);
    }
}
