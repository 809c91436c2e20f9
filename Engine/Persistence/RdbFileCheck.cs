using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Checks an RDB file from end to end without loading it, and describes its content line by line as redis-check-rdb
/// does. Packed collections are searched for duplicates; modules' data is skipped. Text is Latin-1, so that names keep
/// their bytes.
/// </summary>
public sealed class RdbFileCheck : IRdbSink
{
    private readonly TextWriter _output;
    private readonly long _nowMs;
    private readonly RdbFileReader _reader;
    private long _keys;
    private long _expires;
    private long _alreadyExpired;

    private RdbFileCheck(Stream file, TextWriter output, long nowMs)
    {
        _output = output;
        _nowMs = nowMs;
        _reader = new(file, this, new ServerOptions { SanitizeDumpPayload = SanitizeDumpPayload.Yes }) { MostDatabases = int.MaxValue, SkipsModules = true };
    }

    /// <summary>Checks a file from the stream's current position on.</summary>
    /// <param name="file">The file; the stream stays open.</param>
    /// <param name="name">The file's name, for the first line.</param>
    /// <param name="output">Where the output lines go.</param>
    /// <param name="nowMs">The time, which decides which keys have expired.</param>
    /// <param name="length">The length of the file in bytes; something else may follow it.</param>
    /// <returns>Whether the file can be loaded.</returns>
    public static bool Run(Stream file, string name, TextWriter output, long nowMs, out long length)
    {
        var check = new RdbFileCheck(file, output, nowMs);
        bool isRight = check.Run(name);
        length = check._reader.Position;
        return isRight;
    }

    private bool Run(string name)
    {
        Say($"Checking RDB file {name}");
        bool isRight = true;
        try
        {
            _reader.Read();
            Say("\\o/ RDB looks OK! \\o/");
        }
        catch (RdbFileException e)
        {
            isRight = false;
            Tell(e);
        }
        Line(string.Create(CultureInfo.InvariantCulture, $"[info] {_keys} keys read"));
        Line(string.Create(CultureInfo.InvariantCulture, $"[info] {_expires} expires"));
        Line(string.Create(CultureInfo.InvariantCulture, $"[info] {_alreadyExpired} already expired"));
        return isRight;
    }

    private void Tell(RdbFileException failure)
    {
        // The key itself has been read by the time its value is being read, but it has not been counted yet.
        if (_reader.Step == RdbStep.Value) _keys++;
        bool isInValue = _reader.Step == RdbStep.Value && failure.InnerException is not RdbTruncatedException;
        Line("--- RDB ERROR DETECTED ---");
        Say(isInValue ? $"Internal error in RDB reading -> {failure.Reason}" : failure.Reason);
        Line($"[additional info] While doing: {_reader.Step.Name()}");
        if (_reader.Key is { } key) Line($"[additional info] Reading key '{Text(key)}'");
        if (_reader.Type is { } type) Line($"[additional info] Reading type {(int)type} ({type.Name()})");
    }

    void IRdbSink.Aux(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => Say($"AUX FIELD {Text(name)} = '{Text(value)}'");

    void IRdbSink.Library(byte[] code)
    {
    }

    void IRdbSink.ModuleAux(string module) => Say($"MODULE AUX for: {module}");

    void IRdbSink.Database(int number) => Say($"Selecting DB ID {number}");

    void IRdbSink.Resize(int keys)
    {
    }

    void IRdbSink.Entry(KeyEntry entry, long expiresAtMs, long idleSeconds, int frequency)
    {
        entry.Free();
        Count(expiresAtMs);
    }

    void IRdbSink.Nothing(ReadOnlySpan<byte> key, RdbType type, long expiresAtMs)
    {
        if (type != RdbType.Module2) throw new RdbFormatException("An empty collection, which no key can hold; loading passes over it");
        Count(expiresAtMs);
    }

    void IRdbSink.Repaired(ReadOnlySpan<byte> key, string repair) => Say($"Key '{Text(key)}' is loaded with a repair: {repair}");

    void IRdbSink.End(bool hasChecksum)
    {
        if (_reader.Version < RdbFileReader.OldestWithChecksum) return;
        Say(hasChecksum ? "Checksum OK" : "RDB file was saved with checksum disabled: no check performed.");
    }

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.Latin1.GetString(bytes);

    private void Count(long expiresAtMs)
    {
        _keys++;
        if (expiresAtMs == Expiry.Never) return;
        _expires++;
        if (expiresAtMs < _nowMs) _alreadyExpired++;
    }

    private void Say(string text) => Line(string.Create(CultureInfo.InvariantCulture, $"[offset {_reader.Position}] {text}"));

    private void Line(string line)
    {
        _output.Write(line);
        _output.Write('\n');
    }
}
