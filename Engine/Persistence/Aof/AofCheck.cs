using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Checks the files of an append-only log without loading them, and can truncate the log after the last sound entry.
/// The output and exit codes are those of redis-check-aof. It takes a manifest and checks the files it lists, or a log
/// of one file, with or without an RDB preamble. Text is Latin-1, so that names keep their bytes.
/// </summary>
/// <param name="input">Where the answers to questions are read from.</param>
/// <param name="output">Where the output lines go.</param>
/// <param name="nowMs">The time, which decides which keys of a preamble have expired.</param>
public sealed class AofCheck(TextReader input, TextWriter output, long nowMs)
{
    private const int LongestAnnotation = 1024;
    private const int LongestHeader = 127;

    private enum Result
    {
        Sound,
        Empty,
        Truncated,
        TruncatedToTimestamp,
    }

    private long _toTimestamp;
    private bool _fixes;
    private long _line = 1;         // counted across all files
    private string _error = "";
    private int _openTransactions;

    /// <summary>Runs the program and returns its exit code.</summary>
    /// <param name="program">The program's name, for the usage message.</param>
    /// <param name="arguments">[--fix | --truncate-to-timestamp timestamp] file</param>
    public int Run(string program, IReadOnlyList<string> arguments)
    {
        try
        {
            string path;
            switch (arguments)
            {
                case [var only]:
                    path = only;
                    break;
                case ["--fix", var file]:
                    _fixes = true;
                    path = file;
                    break;
                case ["--truncate-to-timestamp", var timestamp, var file]:
                    if (!long.TryParse(timestamp, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _toTimestamp))
                        throw Abort("Invalid timestamp, aborting...");
                    path = file;
                    break;
                default:
                    throw Abort($"Usage: {program} [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>");
            }
            if (IsManifest(path)) CheckManifest(path);
            else CheckOldStyle(path);
            return 0;
        }
        catch (AbortedException)
        {
            return 1;
        }
        finally
        {
            output.Flush();
        }
    }

    private static string Bytes(string text) => Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(text));

    private void CheckManifest(string path)
    {
        Say("Start checking Multi Part AOF");
        AofManifest manifest = ReadManifest(path);
        string directory = Path.GetDirectoryName(path) is { Length: > 0 } named ? named : ".";
        int left = manifest.Files.Count();
        foreach (AofFileInfo file in manifest.Files)
        {
            bool isBase = file.Type == AofFileType.Base, isLast = --left == 0;
            string filePath = $"{directory}/{file.Name}", name = Bytes(file.Name), kind = isBase ? "BASE" : "INCR";
            bool isRdb = isBase && IsRdb(filePath);
            if (isBase) Say($"Start to check BASE AOF ({(isRdb ? "RDB" : "RESP")} format).");
            else if (ReferenceEquals(file, manifest.Increments[0])) Say("Start to check INCR files.");
            switch (Check(name, filePath, isLast, isRdb))
            {
                case Result.Sound:
                    Say($"{kind} AOF {name} is valid");
                    break;
                case Result.Empty:
                    Say($"{kind} AOF {name} is empty");
                    break;
                case Result.TruncatedToTimestamp:
                    Say($"Successfully truncated AOF {name} to timestamp {_toTimestamp}");
                    break;
                case Result.Truncated:
                    Say($"Successfully truncated AOF {name}");
                    break;
            }
        }
        Say("All AOF files and manifest are valid");
    }

    private void CheckOldStyle(string path)
    {
        bool isRdb = IsRdb(path);
        Say("Start checking Old-Style AOF");
        string name = Bytes(path);
        Say(Check(name, path, isLast: true, isRdb) switch
        {
            Result.Sound => $"AOF {name} is valid",
            Result.Empty => $"AOF {name} is empty",
            Result.TruncatedToTimestamp => $"Successfully truncated AOF {name} to timestamp {_toTimestamp}",
            _ => $"Successfully truncated AOF {name}",
        });
    }

    private Result Check(string name, string path, bool isLast, bool isRdb)
    {
        using FileStream file = Open(path, FileAccess.ReadWrite, $"Cannot open file {Bytes(path)}: {{0}}, aborting...");
        long size = file.Length;
        if (size == 0) return Result.Empty;
        if (isRdb)
        {
            bool isSane = RdbFileCheck.Run(file, name, output, nowMs, out long length);
            if (!isSane) throw Abort("RDB preamble of AOF file is not sane, aborting.");
            file.Position = length;
            Say("RDB preamble is OK, proceeding with AOF tail...");
        }
        var reader = new ByteReader(file);
        long sound = file.Position;
        _openTransactions = 0;
        while (true)
        {
            if (_openTransactions == 0) sound = reader.Position;
            int first = reader.Peek();
            if (first < 0) break;
            if (first == '#')
            {
                if (!CheckAnnotation(reader, file, path, isLast)) return Result.TruncatedToTimestamp;
            }
            else if (first == '*')
            {
                if (!CheckCommand(reader, path)) break;
            }
            else
            {
                Say($"AOF {name} format error");
                break;
            }
        }
        if (reader.HasEnded && _openTransactions != 0 && _error.Length == 0) Fail(reader.LastPosition, "Reached EOF before reading EXEC for MULTI");
        if (_error.Length > 0) Say(_error);
        long difference = size - sound;
        if (difference == 0 && _toTimestamp != 0)
        {
            Say($"Truncate nothing in AOF {name} to timestamp {_toTimestamp}");
            return Result.Sound;
        }
        Say($"AOF analyzed: filename={name}, size={size}, ok_up_to={sound}, ok_up_to_line={_line}, diff={difference}");
        if (difference == 0) return Result.Sound;
        if (!_fixes) throw Abort($"AOF {name} is not valid. Use the --fix option to try fixing it.");
        if (!isLast) throw Abort($"Failed to truncate AOF {name} because it is not the last file");
        Say($"This will shrink the AOF {name} from {size} bytes, with {difference} bytes, to {sound} bytes");
        output.Write("Continue? [y/N]: ");
        output.Flush();
        if (input.ReadLine() is not ['y' or 'Y', ..]) throw Abort("Aborting...");
        Truncate(file, sound, $"Failed to truncate AOF {name}");
        return Result.Truncated;
    }

    /// <summary>
    /// Checks a line that begins with '#'. False if its timestamp is later than the one asked for, in which case the
    /// file was truncated before it.
    /// </summary>
    private bool CheckAnnotation(ByteReader reader, FileStream file, string path, bool isLast)
    {
        long position = reader.Position;
        byte[] line = reader.Line(LongestAnnotation - 1);
        if (_toTimestamp == 0 || !line.AsSpan().StartsWith("#TS:"u8)) return true;
        int end = 4;
        while (end < line.Length && char.IsAsciiDigit((char)line[end])) end++;
        if (end == line.Length || line[end] != '\r'
            || !long.TryParse(line.AsSpan(4, end - 4), NumberStyles.None, CultureInfo.InvariantCulture, out long timestamp))
            throw Abort("Invalid timestamp annotation");
        if (timestamp <= _toTimestamp) return true;
        string name = Bytes(path);
        if (position == 0) throw Abort($"AOF {name} has nothing before timestamp {_toTimestamp}, aborting...");
        if (!isLast)
        {
            Say($"Failed to truncate AOF {name} to timestamp {_toTimestamp} to offset {position} because it is not the last file.");
            throw Abort(
                "If you insist, please delete all files after this file according to the manifest file and delete the corresponding records in "
                    + "manifest file manually. Then re-run redis-check-aof.");
        }
        Truncate(file, position, $"Failed to truncate AOF {name} to timestamp {_toTimestamp}");
        return false;
    }

    private bool CheckCommand(ByteReader reader, string path)
    {
        if (!ReadNumber(reader, '*', out long count)) return false;
        for (long i = 0; i < count; i++)
        {
            if (!ReadString(reader, out byte[] word)) return false;
            if (i > 0) continue;
            ReadOnlySpan<byte> command = word;
            if (command.Is("MULTI"u8) && _openTransactions++ != 0) return Fail(reader.LastPosition, $"Unexpected MULTI in AOF {Bytes(path)}");
            if (command.Is("EXEC"u8) && --_openTransactions != 0) return Fail(reader.LastPosition, $"Unexpected EXEC in AOF {Bytes(path)}");
        }
        return true;
    }

    private bool ReadString(ByteReader reader, out byte[] text)
    {
        text = [];
        if (!ReadNumber(reader, '$', out long length)) return false;
        if (length is < 0 or > long.MaxValue - 2)
            return Fail(reader.LastPosition, $"Expected to read string of {length} bytes, which is not in the suitable range");
        long read = reader.Skip(length + 2, keep: 16, out byte[] begin, out byte[] end);
        if (read != length + 2) return Fail(reader.LastPosition, $"Expected to read {length + 2} bytes, got {read} bytes");
        text = length <= 14 ? begin[..(int)length] : begin;
        return IsNewline(reader, end);
    }

    private bool ReadNumber(ByteReader reader, char prefix, out long number)
    {
        number = 0;
        byte[] line = reader.Line(LongestHeader);
        if (line.Length == 0) return false;
        if (line[0] != prefix) return Fail(reader.LastPosition, $"Expected prefix '{prefix}', got: '{(char)line[0]}'");
        int at = 1;
        bool negative = at < line.Length && line[at] == '-';
        if (negative || (at < line.Length && line[at] == '+')) at++;
        while (at < line.Length && char.IsAsciiDigit((char)line[at]))
        {
            int digit = line[at++] - '0';
            number = number > (long.MaxValue - digit) / 10 ? long.MaxValue : (number * 10) + digit;
        }
        if (negative) number = -number;
        return IsNewline(reader, line[at..]);
    }

    private bool IsNewline(ByteReader reader, byte[] bytes)
    {
        if (bytes is [(byte)'\r', (byte)'\n', ..])
        {
            _line++;
            return true;
        }
        byte first = bytes.Length > 0 ? bytes[0] : (byte)0, second = bytes.Length > 1 ? bytes[1] : (byte)0;
        return Fail(reader.LastPosition, $"Expected \\r\\n, got: {(int)(sbyte)first:x2}{(int)(sbyte)second:x2}");
    }

    private bool Fail(long position, string what)
    {
        _error = $"0x{position.ToString("x", CultureInfo.InvariantCulture),16}: {what}";
        return false;
    }

    private AofManifest ReadManifest(string path)
    {
        try
        {
            return AofManifest.Parse(File.ReadAllBytes(path));
        }
        catch (AofManifestException error)
        {
            Say("*** FATAL AOF MANIFEST FILE ERROR ***");
            if (error.Line > 0)
            {
                Say($"Reading the manifest file, at line {error.Line}");
                Say($">>> '{Bytes(error.Text)}'");
            }
            throw Abort(error.Message);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Abort($"Fatal error: can't open the AOF manifest file {Bytes(path)} for reading: {AtomicFile.Reason(failure)}");
        }
    }

    private bool IsManifest(string path)
    {
        using FileStream file = Open(path, FileAccess.Read, $"Cannot open file {Bytes(path)}: {{0}}");
        var reader = new ByteReader(file);
        bool isManifest = false;
        while (reader.Line(LongestAnnotation) is { Length: > 0 } line) isManifest |= line.AsSpan().StartsWith("file"u8);
        return isManifest;
    }

    private bool IsRdb(string path)
    {
        using FileStream file = Open(path, FileAccess.Read, $"Cannot open file {Bytes(path)}: {{0}}");
        Span<byte> signature = stackalloc byte[8];
        return file.ReadAtLeast(signature, 8, throwOnEndOfStream: false) == 8 && signature.StartsWith("REDIS"u8);
    }

    private FileStream Open(string path, FileAccess access, string message)
    {
        try
        {
            return new FileStream(path, FileMode.Open, access, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Abort(string.Format(CultureInfo.InvariantCulture, message, AtomicFile.Reason(failure)));
        }
    }

    private void Truncate(FileStream file, long length, string failureText)
    {
        try
        {
            file.SetLength(length);
            file.Flush(flushToDisk: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Abort(failureText);
        }
    }

    private void Say(string line)
    {
        output.Write(line);
        output.Write('\n');
    }

    private AbortedException Abort(string line)
    {
        Say(line);
        return new AbortedException();
    }

    private sealed class AbortedException : Exception;

    /// <summary>Reads a file's bytes in order.</summary>
    private sealed class ByteReader(FileStream file)
    {
        private readonly byte[] _buffer = new byte[1 << 16];
        private long _bufferPosition = file.Position;
        private int _at;
        private int _end;

        /// <summary>The position of the next byte.</summary>
        public long Position => _bufferPosition + _at;

        /// <summary>The position where the last read began.</summary>
        public long LastPosition { get; private set; }

        /// <summary>Whether a read went past the end of the file.</summary>
        public bool HasEnded { get; private set; }

        public int Peek() => Fill() ? _buffer[_at] : -1;

        /// <summary>Reads up to and including a line feed, but at most <paramref name="most"/> bytes.</summary>
        public byte[] Line(int most)
        {
            LastPosition = Position;
            var line = new List<byte>();
            while (line.Count < most && Fill())
            {
                byte b = _buffer[_at++];
                line.Add(b);
                if (b == '\n') break;
            }
            return [.. line];
        }

        /// <summary>
        /// Skips <paramref name="count"/> bytes. Returns how many there were, the first <paramref name="keep"/> of
        /// them, and the last two.
        /// </summary>
        public long Skip(long count, int keep, out byte[] first, out byte[] last)
        {
            LastPosition = Position;
            var begin = new List<byte>();
            byte before = 0, end = 0;
            long skipped = 0;
            while (skipped < count && Fill())
            {
                int step = (int)Math.Min(count - skipped, _end - _at);
                for (int i = 0; i < step && begin.Count < keep; i++) begin.Add(_buffer[_at + i]);
                before = step > 1 ? _buffer[_at + step - 2] : end;
                end = _buffer[_at + step - 1];
                _at += step;
                skipped += step;
            }
            first = [.. begin];
            last = [before, end];
            return skipped;
        }

        private bool Fill()
        {
            if (_at < _end) return true;
            _bufferPosition += _end;
            _at = 0;
            _end = file.Read(_buffer);
            HasEnded |= _end == 0;
            return _end > 0;
        }
    }
}
