using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Loads RDB files into a store. Nobody else changes anything in it meanwhile: it is under <see cref="Restrictions.Loading"/>, or the caller holds the silo gate
/// exclusively. Those who may look at keys all the same (DEBUG, WATCH) find each slot whole, under its gate. Neither effects nor events come of it.
/// </summary>
internal sealed class RdbLoader(Store store) : IRdbSink
{
    /// <summary>Keys are added so many at once, for their slots to be fetched into the cache together.</summary>
    private const int BatchLength = 256;

    private readonly object[] _entries = new object[BatchLength];
    private readonly ForeseenKey[] _keys = new ForeseenKey[BatchLength];
    private readonly long _startedAtMs = store.Clock.NowMs;
    private RdbFileReader? _reader;
    private int _count;
    private int _database;
    private int _keysPerSlot;
    private long _delayedMicroseconds;

    /// <summary>Keys whose time has come are loaded all the same: changes that a log holds apply to them.</summary>
    public bool KeepsExpired { get; init; }

    /// <summary>A key that is there already is replaced (DEBUG RELOAD MERGE); else it makes the load fail.</summary>
    public bool ReplacesKeys { get; init; }

    /// <summary>Ends the load with an <see cref="OperationCanceledException"/>.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>How many keys were loaded.</summary>
    public long KeysLoaded { get; private set; }

    /// <summary>How many were not, since their time had come.</summary>
    public long KeysExpired { get; private set; }

    /// <summary>How many were not, since they held nothing.</summary>
    public long EmptyKeysSkipped { get; private set; }

    /// <summary>What the file says about itself, by name.</summary>
    public Dictionary<string, string> Aux { get; } = [];

    /// <summary>About how many bytes of the file have been read; for other threads to ask.</summary>
    public long Progress => _reader?.Progress ?? 0;

    /// <summary>Loads a file from a stream's position on; returns how many bytes it is long.</summary>
    /// <exception cref="RdbFileException">It is damaged, of a newer version, or holds what cannot be loaded. Much of what comes before that has been loaded.</exception>
    public long Load(Stream source)
    {
        _reader = new(source, this, store.Options);
        _database = _keysPerSlot = _count = 0;
        _reader.Read();
        return _reader.Position;
    }

    void IRdbSink.Aux(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        string text = Encoding.UTF8.GetString(value), field = Encoding.UTF8.GetString(name);
        Aux[field] = text;
        _ = long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number);
        switch (field)
        {
            case ['%', ..]:
                store.Log.Notice($"RDB '{field}': {text}");
                break;
            case "redis-ver":
                store.Log.Notice($"Loading RDB produced by version {text}");
                break;
            case "ctime":
                store.Log.Notice($"RDB age {Math.Max(0, (_startedAtMs / 1000) - number)} seconds");
                break;
            case "used-mem":
                store.Log.Notice(string.Create(CultureInfo.InvariantCulture, $"RDB memory usage when created {number / (1024.0 * 1024):F2} Mb"));
                break;
            case "aof-preamble" when number != 0:
                store.Log.Notice("RDB has an AOF tail");
                break;
            case "aof-base" when number != 0:
                store.Log.Notice("RDB is base AOF");
                break;
        }
    }

    void IRdbSink.Library(byte[] code) => store.Functions.Add(code);

    void IRdbSink.ModuleAux(string module)
    {
    }

    void IRdbSink.Database(int number)
    {
        Flush();
        _database = number;
        _keysPerSlot = 0;
    }

    void IRdbSink.Resize(int keys)
    {
        Flush();
        // Some more than the average, as most slots do not have just that.
        int average = keys / Math.Max(1, store.Slots.PublishedCount);
        _keysPerSlot = average < 8 ? 0 : average + (int)Math.Sqrt(average);
    }

    void IRdbSink.Entry(object entry, long expiresAtMs, long idleSeconds, int frequency)
    {
        if (expiresAtMs < _startedAtMs && !KeepsExpired)
        {
            KeysExpired++;
            return;
        }
        ServerOptions options = store.Options;
        uint clock = options.UsesLfu
            ? frequency >= 0 ? Access.FromFrequency((byte)frequency, _startedAtMs) : Access.Initial(options, _startedAtMs)
            : idleSeconds >= 0 ? Access.FromIdleSeconds(idleSeconds, _startedAtMs) : Access.Initial(options, _startedAtMs);
        KeyEntry.SetAccessClock(entry, clock);
        ReadOnlySpan<byte> key = KeyEntry.KeyOf(entry);
        _entries[_count] = entry;
        _keys[_count] = new() { Slot = KeySlot.Of(key), Hash = KeyHash.Of(key) };
        KeysLoaded++;
        if (++_count == BatchLength || options.KeyLoadDelay != 0) Flush();
    }

    void IRdbSink.Nothing(ReadOnlySpan<byte> key, long expiresAtMs)
    {
        if (EmptyKeysSkipped++ < 10) store.Log.Notice($"rdbLoadObject skipping empty key: {Encoding.UTF8.GetString(key)}");
    }

    void IRdbSink.End(bool hasChecksum)
    {
        Flush();
        if (!hasChecksum && _reader!.Version >= 5) store.Log.Notice("RDB file was saved with checksum disabled: no check performed.");
    }

    private void Flush()
    {
        int count = _count;
        _count = 0;
        Cancellation.ThrowIfCancellationRequested();
        if (store.Options.KeyLoadDelay is not 0 and int delay) Delay(count, delay);
        for (int i = 0; i < count; i++)
        {
            Slot slot = store.Slots[_keys[i].Slot] ?? throw new InvalidOperationException($"A key of slot {_keys[i].Slot}, which is not on this silo, is in the file.");
            slot.Gate.Enter();
            try
            {
                Add(slot.Keyspace(_database), _entries[i], _keys[i].Hash);
            }
            finally
            {
                slot.Gate.Exit();
            }
        }
        _entries.AsSpan(0, count).Clear();
    }

    private void Add(Keyspace keyspace, object entry, uint hash)
    {
        if (keyspace.Count == 0 && _keysPerSlot != 0) keyspace.EnsureCapacity(_keysPerSlot);
        if (keyspace.TryAdd(entry, hash)) return;
        if (!ReplacesKeys) throw new RdbFormatException($"RDB has duplicated key '{Encoding.UTF8.GetString(KeyEntry.KeyOf(entry))}' in DB {_database}");
        keyspace.BeforeChange(KeyEntry.KeyOf(entry));
        keyspace.Set(entry);
    }

    /// <summary>key-load-delay</summary>
    private void Delay(int keys, int delay)
    {
        _delayedMicroseconds += delay > 0 ? (long)keys * delay : 0;
        if (_delayedMicroseconds < 1000) return; // as short a sleep as there is
        Cancellation.WaitHandle.WaitOne((int)Math.Min(_delayedMicroseconds / 1000, int.MaxValue));
        _delayedMicroseconds %= 1000;
    }
}
