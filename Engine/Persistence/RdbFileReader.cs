using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Reads an RDB file of any version up to 12, and passes its content to a sink. The file may be the preamble of
/// something else: afterwards a stream that can seek is positioned right after it.
/// </summary>
internal sealed class RdbFileReader
{
    private const int BufferLength = 1 << 20;

    /// <summary>Older files have no CRC at their end.</summary>
    public const int OldestWithChecksum = 5;

    private readonly Stream _source;
    private readonly long _start;
    private readonly RdbReader _reader;
    private readonly IRdbSink _sink;
    private readonly ServerOptions _options;
    private byte[] _key = new byte[256];
    private int _keyLength = -1;
    private RdbType? _type;
    private RdbStep _step;

    /// <param name="source">Where to read from, starting at its current position.</param>
    /// <param name="sink">Where the content goes.</param>
    /// <param name="options">Thresholds, rdbchecksum, sanitize-dump-payload.</param>
    public RdbFileReader(Stream source, IRdbSink sink, ServerOptions options)
    {
        _source = source;
        _start = source.CanSeek ? source.Position : 0;
        _reader = new(source, options.RdbChecksum, BufferLength);
        _sink = sink;
        _options = options;
        MostDatabases = options.Databases;
    }

    /// <summary>A file that has a database with this number or a higher one is refused.</summary>
    public int MostDatabases { get; init; }

    /// <summary>Whether modules' data is skipped; otherwise it is refused.</summary>
    public bool SkipsModules { get; init; }

    /// <summary>How many bytes of the file have been read.</summary>
    public long Position => _reader.Position;

    /// <summary>About the same as <see cref="Position"/>, but other threads may read it.</summary>
    public long Progress => _reader.Progress;

    /// <summary>The file's version, once its header has been read.</summary>
    public int Version { get; private set; }

    /// <summary>What is being read, or was when reading failed.</summary>
    public RdbStep Step => _step;

    /// <summary>The key that is being read, if one is.</summary>
    public byte[]? Key => _keyLength < 0 ? null : _key.AsSpan(0, _keyLength).ToArray();

    /// <summary>The type of the key that is being read, if one is.</summary>
    public RdbType? Type => _type;

    /// <summary>Reads the whole file.</summary>
    /// <exception cref="RdbFileException">
    /// The file is damaged, of a newer version, or holds something that cannot be loaded.
    /// </exception>
    public void Read()
    {
        try
        {
            ReadHeader();
            ReadBody();
            _step = RdbStep.Checksum;
            ReadEnd();
            if (_source.CanSeek) _source.Position = _start + Position;
        }
        catch (RdbTruncatedException e)
        {
            throw Failure("Short read or OOM loading DB. Unrecoverable error, aborting now.", e.Message, e);
        }
        catch (RdbFormatException e)
        {
            throw Failure(e.Message, e.Message, e);
        }
        finally
        {
            _reader.ReturnBuffers();
        }
    }

    private void ReadHeader()
    {
        ReadOnlySpan<byte> header = _reader.Take(9);
        if (!header.StartsWith("REDIS"u8)) throw new RdbFormatException("Wrong signature trying to load DB from file");
        _ = int.TryParse(header[5..], NumberStyles.None, CultureInfo.InvariantCulture, out int version);
        if (version is < 1 or > RdbVersion.Newest) throw new RdbFormatException($"Can't handle RDB format version {version}");
        Version = version;
    }

    private void ReadBody()
    {
        long expiresAtMs = Expiry.Never, idleSeconds = -1;
        int frequency = -1;
        while (true)
        {
            _step = RdbStep.Type;
            byte code = _reader.Byte();
            switch ((RdbOpcode)code)
            {
                case RdbOpcode.ExpireTime:
                    _step = RdbStep.Expiry;
                    expiresAtMs = _reader.Seconds() * 1000L;
                    break;
                case RdbOpcode.ExpireTimeMs:
                    _step = RdbStep.Expiry;
                    expiresAtMs = _reader.Milliseconds();
                    if (expiresAtMs == -1) expiresAtMs = Expiry.Never; // Redis writes -1 for none
                    break;
                case RdbOpcode.Frequency:
                    frequency = _reader.Byte();
                    break;
                case RdbOpcode.Idle:
                    idleSeconds = (long)Math.Min(_reader.Length(), int.MaxValue);
                    break;
                case RdbOpcode.Eof:
                    return;
                case RdbOpcode.SelectDb:
                    _step = RdbStep.Length;
                    SelectDatabase();
                    break;
                case RdbOpcode.ResizeDb:
                    _step = RdbStep.Length;
                    ulong keys = _reader.Length();
                    _ = _reader.Length(); // the number of keys that expire, which need no room of their own
                    _sink.Resize(_reader.Plausible((long)Math.Min(keys, long.MaxValue), 3));
                    break;
                case RdbOpcode.SlotInfo:
                    _step = RdbStep.Length;
                    _ = _reader.Length();
                    _ = _reader.Length();
                    _ = _reader.Length();
                    break;
                case RdbOpcode.Aux:
                    _step = RdbStep.Aux;
                    byte[] name = _reader.String();
                    _sink.Aux(name, _reader.StringSpan());
                    break;
                case RdbOpcode.ModuleAux:
                    _step = RdbStep.ModuleAux;
                    ReadModuleAux();
                    break;
                case RdbOpcode.Function2:
                    _step = RdbStep.Functions;
                    _sink.Library(_reader.String());
                    break;
                case RdbOpcode.FunctionPreGa:
                    _step = RdbStep.Functions;
                    throw new RdbFormatException("Pre-release function format not supported.");
                default:
                    ReadEntry((RdbType)code, expiresAtMs, idleSeconds, frequency);
                    expiresAtMs = Expiry.Never;
                    idleSeconds = frequency = -1;
                    break;
            }
        }
    }

    private void SelectDatabase()
    {
        ulong number = _reader.Length();
        if (number >= (ulong)MostDatabases)
        {
            throw new RdbFormatException(
                $"FATAL: Data file was created with a Redis server configured to handle more than {MostDatabases} databases. Exiting");
        }
        _sink.Database((int)number);
    }

    private void ReadModuleAux()
    {
        string module = RdbModules.NameOf(_reader.Length());
        ulong opcode = _reader.Length();
        _ = _reader.Length(); // when to load it
        if (opcode != RdbModules.WhenOpcode) throw new RdbFormatException("bad when_opcode");
        if (!SkipsModules) throw new RdbFormatException($"The RDB file contains AUX module data I can't load: no matching module '{module}'");
        _sink.ModuleAux(module);
        RdbModules.Skip(_reader, module);
    }

    private void ReadEntry(RdbType type, long expiresAtMs, long idleSeconds, int frequency)
    {
        if (!RdbVersion.IsKnown(type)) throw new RdbFormatException($"Invalid object type: {(int)type}");
        _type = type;
        _step = RdbStep.Key;
        _keyLength = _reader.String(ref _key).Length;
        _step = RdbStep.Value;
        ReadOnlySpan<byte> key = _key.AsSpan(0, _keyLength);
        KeyEntry entry = default;
        if (type == RdbType.Module2 && SkipsModules) RdbModules.Skip(_reader, RdbModules.NameOf(_reader.Length()));
        else entry = ReadValue(type, key, expiresAtMs);
        if (_reader.Repair is { } repair)
        {
            _reader.Repair = null;
            _sink.Repaired(key, repair);
        }
        if (entry.IsNone) _sink.Nothing(key, type, expiresAtMs);
        else _sink.Entry(entry, expiresAtMs, idleSeconds, frequency);
        Retirement.Sweep(); // what reading the value has replaced: this thread may pass no gate for long
        _keyLength = -1;
        _type = null;
    }

    private KeyEntry ReadValue(RdbType type, ReadOnlySpan<byte> key, long expiresAtMs)
    {
        try
        {
            return RdbObjectReader.Read(_reader, type, key, expiresAtMs, _options, _options.SanitizeDumpPayload == SanitizeDumpPayload.Yes);
        }
        catch (Exception e) when (e is IndexOutOfRangeException or ArgumentException or OverflowException or InvalidDataException or FormatException)
        {
            // The checks should leave no such exception, but if they miss a case, a file's bytes must cause no more
            // than an error.
            throw new RdbFormatException($"{e.GetType().Name}: {e.Message}");
        }
    }

    private void ReadEnd()
    {
        if (Version < OldestWithChecksum)
        {
            _sink.End(hasChecksum: false);
            return;
        }
        ulong computed = _options.RdbChecksum ? _reader.Checksum : 0;
        ulong stored = BinaryPrimitives.ReadUInt64LittleEndian(_reader.Take(sizeof(ulong)));
        if (_options.RdbChecksum && !_options.SkipsChecksums && stored != 0 && stored != computed)
            throw Failure($"Wrong RDB checksum expected: ({stored:x}) but got ({computed:x}). Aborting now.", "RDB CRC error", null);
        _sink.End(hasChecksum: stored != 0 || !_options.RdbChecksum);
    }

    private RdbFileException Failure(string message, string reason, Exception? inner)
    {
        string of = _keyLength < 0 ? "" : $" of key '{Encoding.UTF8.GetString(_key, 0, _keyLength)}'";
        return new(message, reason, Position, $"doing {_step.Name()}{of}", inner);
    }
}

/// <summary>The part of an RDB file that is being read.</summary>
internal enum RdbStep
{
    Start,
    Type,
    Expiry,
    Key,
    Value,
    Checksum,
    Length,
    Aux,
    ModuleAux,
    Functions,
}

/// <summary>Names of steps and types, for messages.</summary>
internal static class RdbNames
{
    /// <summary>The step's name in redis-check-rdb.</summary>
    public static string Name(this RdbStep step) => step switch
    {
        RdbStep.Start => "start",
        RdbStep.Type => "read-type",
        RdbStep.Expiry => "read-expire",
        RdbStep.Key => "read-key",
        RdbStep.Value => "read-object-value",
        RdbStep.Checksum => "check-sum",
        RdbStep.Length => "read-len",
        RdbStep.Aux => "read-aux",
        RdbStep.ModuleAux => "read-module-aux",
        _ => "read-functions",
    };

    /// <summary>The type's name in redis-check-rdb.</summary>
    public static string Name(this RdbType type) => type switch
    {
        RdbType.String => "string",
        RdbType.List => "list-linked",
        RdbType.Set => "set-hashtable",
        RdbType.ZSet => "zset-v1",
        RdbType.Hash => "hash-hashtable",
        RdbType.ZSet2 => "zset-v2",
        RdbType.ModulePreGa => "module-pre-release",
        RdbType.Module2 => "module-value",
        RdbType.HashZipmap => "hash-zipmap",
        RdbType.ListZiplist => "list-ziplist",
        RdbType.SetIntset => "set-intset",
        RdbType.ZSetZiplist => "zset-ziplist",
        RdbType.HashZiplist => "hash-ziplist",
        RdbType.ListQuicklist => "quicklist",
        RdbType.StreamListpacks => "stream",
        RdbType.HashListpack => "hash-listpack",
        RdbType.ZSetListpack => "zset-listpack",
        RdbType.ListQuicklist2 => "quicklist-v2",
        RdbType.StreamListpacks2 => "stream-v2",
        RdbType.SetListpack => "set-listpack",
        RdbType.StreamListpacks3 => "stream-v3",
        RdbType.HashMetadataPreGa => "hash-hashtable-md-pre-release",
        RdbType.HashListpackExPreGa => "hash-listpack-md-pre-release",
        RdbType.HashMetadata => "hash-hashtable-md",
        RdbType.HashListpackEx => "hash-listpack-md",
        _ => "unknown",
    };
}
