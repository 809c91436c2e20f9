using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.ExceptionServices;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Loads RDB files into slots. Nothing else may change these slots meanwhile: the silo is under
/// <see cref="Restrictions.Loading"/>, or the caller holds the silo gate exclusively. Commands that may look at keys
/// all the same (DEBUG, WATCH) find each slot in a consistent state, under its gate. Loading produces neither effects
/// nor events. If a file has more than a few keys, one thread makes the entries and another adds them.
/// </summary>
internal sealed class RdbLoader(SlotTable slots, ServerOptions options, Clock clock, ServerLog log, FunctionLibraries functions) : IRdbSink
{
    /// <summary>How many batches of keys there are: being filled, waiting, or being added.</summary>
    private const int Batches = 8;

    /// <summary>A file of short strings takes this many times its length in memory; other files take less.</summary>
    private readonly long _startedAtMs = clock.NowMs;
    private readonly BlockingCollection<Batch> _free = [];
    private readonly BlockingCollection<Batch> _full = [];
    private RdbFileReader? _reader;
    private Batch _batch = new();
    private Thread? _adder;
    private volatile Exception? _failure;
    private int _database;
    private int _keysPerSlot;
    private int _repairs;
    private long _delayedMicroseconds;

    /// <summary>Whether expired keys are loaded too, because changes in a log that follows may apply to them.</summary>
    public bool KeepsExpired { get; init; }

    /// <summary>
    /// Whether a key that already exists is replaced (DEBUG RELOAD MERGE). Otherwise it makes the load fail.
    /// </summary>
    public bool ReplacesKeys { get; init; }

    /// <summary>Makes the load end with an <see cref="OperationCanceledException"/>.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>How many keys were loaded.</summary>
    public long KeysLoaded { get; private set; }

    /// <summary>How many keys were not loaded because they had expired.</summary>
    public long KeysExpired { get; private set; }

    /// <summary>How many keys were not loaded because they were empty.</summary>
    public long EmptyKeysSkipped { get; private set; }

    /// <summary>What the file says about itself, by name.</summary>
    public Dictionary<string, string> Aux { get; } = [];

    /// <summary>About how many bytes of the file have been read; other threads may read it.</summary>
    public long Progress => _reader?.Progress ?? 0;

    /// <summary>
    /// Loads a file from the stream's current position on, and returns its length in bytes. To be called only once.
    /// </summary>
    /// <exception cref="RdbFileException">
    /// The file is damaged, of a newer version, or holds something that cannot be loaded. Much of what comes before
    /// that has been loaded.
    /// </exception>
    public long Load(Stream source)
    {
        _reader = new(source, this, options);
        try
        {
            _reader.Read();
        }
        finally
        {
            _full.CompleteAdding();
            _adder?.Join();
            _batch.Clear(); // what was still to be added, if the file turned out to be damaged
            _full.Dispose();
            _free.Dispose();
        }
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
                log.Notice($"RDB '{field}': {text}");
                break;
            case "redis-ver":
                log.Notice($"Loading RDB produced by version {text}");
                break;
            case "ctime":
                log.Notice($"RDB age {Math.Max(0, (_startedAtMs / 1000) - number)} seconds");
                break;
            case "used-mem":
                log.Notice(string.Create(CultureInfo.InvariantCulture, $"RDB memory usage when created {number / (1024.0 * 1024):F2} Mb"));
                break;
            case "aof-preamble" when number != 0:
                log.Notice("RDB has an AOF tail");
                break;
            case "aof-base" when number != 0:
                log.Notice("RDB is base AOF");
                break;
        }
    }

    void IRdbSink.Library(byte[] code)
    {
        if (!functions.TryAdd(code, ReplacesKeys)) throw new RdbFormatException("A library of functions in the file exists already");
    }

    void IRdbSink.ModuleAux(string module)
    {
    }

    void IRdbSink.Database(int number)
    {
        if (number == _database) return;
        HandOver();
        _database = number;
        _keysPerSlot = 0;
        _batch.For(_database, _keysPerSlot);
    }

    void IRdbSink.Resize(int keys)
    {
        HandOver();
        // Somewhat more than the average, because few slots have exactly the average number of keys.
        int average = keys / Math.Max(1, slots.PublishedCount);
        _keysPerSlot = average < 8 ? 0 : average + (int)Math.Sqrt(average);
        _batch.For(_database, _keysPerSlot);
    }

    void IRdbSink.Entry(KeyEntry entry, long expiresAtMs, long idleSeconds, int frequency)
    {
        if (expiresAtMs < _startedAtMs && !KeepsExpired)
        {
            KeysExpired++;
            entry.Free();
            return;
        }
        uint clock = options.UsesLfu
            ? frequency >= 0 ? Access.FromFrequency((byte)frequency, _startedAtMs) : Access.Initial(options, _startedAtMs)
            : idleSeconds >= 0 ? Access.FromIdleSeconds(idleSeconds, _startedAtMs) : Access.Initial(options, _startedAtMs);
        entry.SetAccessClock(clock);
        ReadOnlySpan<byte> key = entry.Key;
        _batch.Add(entry, KeySlot.Of(key), KeyHash.Of(key));
        KeysLoaded++;
        if (_batch.IsFull || options.KeyLoadDelay != 0) HandOver();
    }

    void IRdbSink.Nothing(ReadOnlySpan<byte> key, RdbType type, long expiresAtMs)
    {
        if (EmptyKeysSkipped++ < 10) log.Notice($"rdbLoadObject skipping empty key: {Encoding.UTF8.GetString(key)}");
    }

    void IRdbSink.Repaired(ReadOnlySpan<byte> key, string repair)
    {
        if (_repairs++ < 10) log.Warning($"Loading key '{Encoding.UTF8.GetString(key)}' of database {_database}: {repair}");
    }

    void IRdbSink.End(bool hasChecksum)
    {
        if (_adder is not null)
        {
            HandOver();
            _full.CompleteAdding();
            _adder.Join();
            Rethrow();
        }
        else
        {
            Add(_batch);
        }
        if (!hasChecksum && _reader!.Version >= RdbFileReader.OldestWithChecksum) log.Notice("RDB file was saved with checksum disabled: no check performed.");
    }

    /// <summary>Passes the batch to the other thread, and takes an empty one.</summary>
    private void HandOver()
    {
        if (_batch.Count == 0) return;
        Cancellation.ThrowIfCancellationRequested();
        if (options.KeyLoadDelay is not 0 and int delay) Delay(_batch.Count, delay);
        if (_adder is null)
        {
            for (int i = 1; i < Batches; i++) _free.Add(new());
            _adder = new(AddAll) { IsBackground = true, Name = "rdb-load" };
            _adder.Start();
        }
        _full.Add(_batch);
        _batch = _free.Take();
        _batch.For(_database, _keysPerSlot);
        Rethrow();
    }

    private void Rethrow()
    {
        if (_failure is { } failure) ExceptionDispatchInfo.Throw(failure);
    }

    private void AddAll()
    {
        foreach (Batch batch in _full.GetConsumingEnumerable())
        {
            try
            {
                if (_failure is null) Add(batch);
            }
            catch (Exception e)
            {
                _failure = e;
            }
            batch.Clear();
            _free.Add(batch);
        }
    }

    private void Add(Batch batch)
    {
        for (; batch.Added < batch.Count; batch.Added++)
        {
            int i = batch.Added;
            // Slot, keyspace and cell are three cache misses for each key. Following them for many keys at once lets
            // the misses overlap: loading a million keys takes 300 ms of CPU instead of 390.
            if (i % Foresight.Most == 0) Foresight.Follow(slots, batch.Database, batch.Keys.AsSpan(i, Math.Min(Foresight.Most, batch.Count - i)));
            ref ForeseenKey key = ref batch.Keys[i];
            Slot slot = slots[key.Slot] ?? throw NotHere(key.Slot);
            slot.Gate.Enter();
            try
            {
                if (!slot.IsOpen) throw NotHere(key.Slot);
                Add(slot.Keyspace(batch.Database), batch.Entries[i], key.Hash, batch.KeysPerSlot);
            }
            finally
            {
                slot.Leave();
            }
        }
    }

    private static InvalidOperationException NotHere(int slot) => new($"A key of slot {slot}, which is not on this silo, is in the file.");

    private void Add(Keyspace keyspace, KeyEntry entry, uint hash, int keysPerSlot)
    {
        if (keyspace.Count == 0 && keysPerSlot != 0) keyspace.EnsureCapacity(keysPerSlot);
        if (keyspace.TryAdd(entry, hash)) return;
        if (!ReplacesKeys) throw new RdbFormatException($"RDB has duplicated key '{Encoding.UTF8.GetString(entry.Key)}' in DB {keyspace.Database}");
        keyspace.BeforeChange(entry.Key);
        keyspace.Set(entry);
    }

    /// <summary>Waits as key-load-delay says.</summary>
    private void Delay(int keys, int delay)
    {
        _delayedMicroseconds += delay > 0 ? (long)keys * delay : 0;
        if (_delayedMicroseconds < 1000) return; // the shortest sleep possible
        Cancellation.WaitHandle.WaitOne((int)Math.Min(_delayedMicroseconds / 1000, int.MaxValue));
        _delayedMicroseconds %= 1000;
    }

    /// <summary>Keys of one database on their way from one thread to the other.</summary>
    private sealed class Batch
    {
        private const int Length = 1024;

        public KeyEntry[] Entries { get; } = new KeyEntry[Length];

        public ForeseenKey[] Keys { get; } = new ForeseenKey[Length];

        public int Count { get; private set; }

        /// <summary>How many of them are in their keyspaces. The others belong to the batch.</summary>
        public int Added { get; set; }

        public int Database { get; private set; }

        public int KeysPerSlot { get; private set; }

        public bool IsFull => Count == Length;

        public void Add(KeyEntry entry, int slot, uint hash)
        {
            Entries[Count] = entry;
            Keys[Count++] = new() { Slot = slot, Hash = hash };
        }

        public void For(int database, int keysPerSlot) => (Database, KeysPerSlot) = (database, keysPerSlot);

        public void Clear()
        {
            for (int i = Added; i < Count; i++) Entries[i].Free();
            Count = Added = 0;
        }
    }
}
