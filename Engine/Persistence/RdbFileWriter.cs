using System.Buffers.Binary;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Writes an RDB file: <see cref="Begin"/>, any number of chunks (see <see cref="RdbEntryWriter"/>),
/// <see cref="Finish"/>. The file's version is the lowest that can hold what was written, which is known only at the
/// end. Then the header is written again, and the CRC corrected for it. With a stream that cannot seek, the version
/// must be given beforehand. The stream stays open, and its owner has to flush it.
/// </summary>
internal sealed class RdbFileWriter
{
    private const int BufferLength = 64 * 1024;

    /// <summary>"REDIS" and four digits.</summary>
    private const int HeaderLength = 9;

    private readonly Stream _target;
    private readonly long _start;
    private readonly bool _checksums;
    private readonly int _headerVersion;
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(BufferLength);
    private int _buffered;
    private long _flushed;
    private ulong _crc;

    /// <param name="target">Where to write, starting at its current position.</param>
    /// <param name="options">rdbchecksum, rdbcompression.</param>
    /// <param name="version">
    /// For a stream that cannot seek: the version to write in the header. Content that needs a newer one is refused.
    /// </param>
    public RdbFileWriter(Stream target, ServerOptions options, int? version = null)
    {
        if (version is null && !target.CanSeek) throw new ArgumentException("A stream that cannot seek needs a version stated beforehand.", nameof(version));
        _target = target;
        _start = target.CanSeek ? target.Position : 0;
        _checksums = options.RdbChecksum;
        _headerVersion = version ?? RdbVersion.Usual;
        MayRaiseVersion = version is null;
        Version = _headerVersion;
        Compresses = options.RdbCompression;
    }

    /// <summary>The file's version so far.</summary>
    public int Version { get; private set; }

    /// <summary>The length of the file so far in bytes, including those still in the buffer.</summary>
    public long Length => _flushed + _buffered;

    /// <summary>How many bytes have been written to the stream. Any thread may read it.</summary>
    public long Given => Volatile.Read(ref _flushed);

    private bool MayRaiseVersion { get; }

    private bool Compresses { get; }

    /// <summary>Writes the header, the description of the file, and the function libraries.</summary>
    /// <param name="nowMs">The time, for "ctime".</param>
    /// <param name="usedMemory">For "used-mem".</param>
    /// <param name="isAofBase">Whether the file is the base of an append-only log.</param>
    /// <param name="libraries">The code of each function library.</param>
    /// <param name="others">
    /// More names and values that describe the file. They come before "aof-base", as in Redis.
    /// </param>
    public void Begin(long nowMs, long usedMemory, bool isAofBase, IEnumerable<byte[]> libraries, params ReadOnlySpan<(string Name, string Value)> others)
    {
        var writer = new RdbWriter(Compresses);
        writer.Bytes(Header(_headerVersion));
        Aux(writer, "redis-ver"u8, Encoding.ASCII.GetBytes(ServerVersion.Redis));
        Aux(writer, "redis-bits"u8, "64"u8);
        Aux(writer, "ctime"u8, Digits(nowMs / 1000));
        Aux(writer, "used-mem"u8, Digits(usedMemory));
        foreach ((string name, string value) in others) Aux(writer, Encoding.UTF8.GetBytes(name), Encoding.UTF8.GetBytes(value));
        Aux(writer, "aof-base"u8, isAofBase ? "1"u8 : "0"u8);
        foreach (byte[] library in libraries)
        {
            writer.Opcode(RdbOpcode.Function2);
            writer.String(library);
        }
        Append(writer);
    }

    /// <summary>
    /// Writes about how many keys a database has, so that a reader can make room. Must come before the database's keys.
    /// </summary>
    public void Resize(int database, long keys, long expiringKeys)
    {
        var writer = new RdbWriter(compress: false);
        RdbEntryWriter.Select(writer, database);
        writer.Opcode(RdbOpcode.ResizeDb);
        writer.Length(keys);
        writer.Length(expiringKeys);
        Append(writer);
    }

    /// <summary>Writes a chunk. The chunk's writer is left as it is, and may be cleared and used again.</summary>
    public void Append(RdbWriter chunk) => Append(chunk.Written, chunk.Newest);

    /// <summary>Writes a chunk that needs a file of this version (<see cref="RdbWriter.Newest"/>).</summary>
    public void Append(ReadOnlySpan<byte> chunk, int version)
    {
        if (version > Version)
        {
            if (!MayRaiseVersion)
                throw new InvalidOperationException($"The file was announced as version {Version}, and something in it needs version {version}.");
            Version = version;
        }
        Put(chunk);
    }

    /// <summary>
    /// Writes the end of the file, and the header again if the version has changed. After that, everything has been
    /// passed to the stream.
    /// </summary>
    public void Finish()
    {
        Put([(byte)RdbOpcode.Eof]);
        Flush();
        Span<byte> crc = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(crc, _checksums ? FinalCrc() : 0);
        _target.Write(crc);
        _flushed += crc.Length;
        if (Version == _headerVersion) return;
        long end = _target.Position;
        _target.Position = _start;
        _target.Write(Header(Version));
        _target.Position = end;
    }

    private static void Aux(RdbWriter writer, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        writer.Opcode(RdbOpcode.Aux);
        writer.String(name);
        writer.String(value);
    }

    private static byte[] Digits(long number) => Encoding.ASCII.GetBytes(number.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static byte[] Header(int version) =>
        Encoding.ASCII.GetBytes(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"REDIS{version:D4}"));

    /// <summary>The CRC of the stream's content, as if the header had been right from the beginning.</summary>
    private ulong FinalCrc()
    {
        if (Version == _headerVersion) return _crc;
        byte[] difference = Header(Version), before = Header(_headerVersion);
        for (int i = 0; i < HeaderLength; i++) difference[i] ^= before[i];
        return _crc ^ Crc64.AppendZeros(Crc64.Append(0, difference), _flushed - HeaderLength);
    }

    private void Put(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > BufferLength - _buffered)
        {
            Flush();
            if (bytes.Length >= BufferLength)
            {
                Write(bytes);
                return;
            }
        }
        bytes.CopyTo(_buffer.AsSpan(_buffered));
        _buffered += bytes.Length;
    }

    private void Flush()
    {
        Write(_buffer.AsSpan(0, _buffered));
        _buffered = 0;
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        if (_checksums) _crc = Crc64.Append(_crc, bytes);
        _target.Write(bytes);
        _flushed += bytes.Length;
    }
}
