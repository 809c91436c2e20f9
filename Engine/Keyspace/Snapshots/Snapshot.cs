using System.Collections.Concurrent;
using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// Writes out what some slots hold at one instant, while they go on being changed: no fork, and nobody is stopped for longer than it takes to
/// write out a few hundred keys.
/// <para>
/// <b>How.</b> <see cref="Begin"/> is the instant, and takes no longer with many keys than with few: it is a number that counts up (<see cref="SnapshotInstants"/>). A keyspace
/// that has keys gets a <see cref="KeyspaceSnapshot"/> when somebody comes who notices that it has not heard of that number: whoever is about to change it, or the saver.
/// This mark knows what is written: all or nothing of a small keyspace, of a larger one which regions, a region being a range of hashes with some hundreds of keys.
/// <see cref="Run"/>, on a thread of its own, goes through all slots. Who wants to change a key first writes out the region in which the key
/// lives, is to live, or lived, unless that is done (<see cref="Keyspace.BeforeChange(ReadOnlySpan{byte})"/>). So what is written of a region is what it held at the instant,
/// whoever wrote it, and each is written once. Under the gate small keys are only copied (see <see cref="SnapshotChunk"/>); bringing them into the file's form is up to the
/// saver, with no gate held.
/// </para>
/// <para>
/// <b>Who may touch what.</b> A keyspace's marks, and what hangs on them, are state of its slot: under the slot's gate (or with the silo gate held
/// exclusively) only. Chunks written by writers go through <see cref="_queue"/>, which anyone may use; the target is used under
/// <see cref="_appending"/>. No gate is ever waited for with that lock held, and nothing but the lock with a gate held, so neither can
/// deadlock. <see cref="_over"/> may be set by anyone.
/// </para>
/// <para>
/// <b>The races, one by one.</b>
/// <list type="bullet">
/// <item><em>The beginning</em>: the silo gate is held exclusively, so no command is half done, and every
/// later one sees the new number.</item>
/// <item><em>A writer and the saver at the same region</em>: both hold the slot's gate.</item>
/// <item><em>The end</em>: a writer enqueues its chunk in the same hold of the gate in which it marks the region as written. The saver, who
/// ends a keyspace under its gate, finds all chunks of it in the queue, and empties the queue last.</item>
/// <item><em>Several keyspaces in one command</em> (RENAME, COPY, SORT STORE, EXEC, a script): each is reached through
/// <see cref="CommandContext.KeyspaceOf(ReadOnlySpan{byte})"/>, the gates being held, before anything in it changes.</item>
/// <item><em>Changes without a command</em>: expiry of keys and fields, eviction and PFCOUNT's cache do it themselves. Clients served in the wake of
/// another one's command run their own, and that is a command.</item>
/// <item><em>SWAPDB</em>: the saver could pass both keyspaces by. So they get their marks first, which remember the number that their database had, and the saver is told of
/// them (<see cref="_strays"/>); it looks there last.</item>
/// <item><em>FLUSHDB, FLUSHALL, DEBUG RELOAD</em>: the slot gets a new keyspace, without marks; nobody changes the old one any more, of which the
/// saver is told as well. (FLUSHALL also ends a BGSAVE, as in Redis; that is not up to this class.)</item>
/// <item><em>A slot withdrawn</em>: closed under its gate, so nobody changes it any more, and the saver is told of its keyspaces. That is done without the silo gate, so at the very
/// instant it counts as gone before.</item>
/// <item><em>A keyspace made, or a slot published, after the instant</em>: begins with the latest number, so it gets no mark. A slot that is not published yet
/// hears of no instant.</item>
/// <item><em>A table that is resized between two holds</em>: a region is a range of hashes, wherever in the table it lies (see
/// <see cref="ByteTable{TKeyOf}"/>).</item>
/// <item><em>Abort</em>: <see cref="_over"/> is set; who meets a mark of a snapshot that is over takes it off, and nobody puts one on. Then the saver goes to every gate once more
/// and takes off the others.</item>
/// <item><em>Two snapshots at once</em>: a keyspace has a list of marks, each of which stands for itself.</item>
/// <item><em>A mark used again</em>: it belongs to its keyspace, and is state of the slot like that. Nobody remembers a mark from one hold of the gate to the next.</item>
/// </list>
/// </para>
/// <para>
/// <b>Memory.</b> What writers have written out waits in the queue, in at most <see cref="MostQueuedBytes"/>: whoever would exceed that
/// gives as much to the target himself. Keyspaces that were flushed are held until they are written. Both are counted in <see cref="HeldBytes"/>.
/// </para>
/// <para>
/// <b>What cannot be cut</b> is a single key: one that takes a second to write holds up the writers of its slot for a second.
/// </para>
/// </summary>
internal sealed class Snapshot
{
    /// <summary>How many bytes of memory may wait in the queue.</summary>
    internal const long MostQueuedBytes = 16 << 20;

    /// <summary>The saver gives a chunk to the target when it is this large.</summary>
    private const int ChunkBytes = 64 * 1024;

    /// <summary>Chunks with so many bytes of memory are kept for being used again.</summary>
    private const long MostSpareBytes = MostQueuedBytes;

    private readonly SiloGate _siloGate;
    private readonly SlotTable _slots;
    private readonly ISnapshotTarget _target;
    private readonly Action _settle;
    private readonly List<(int Database, ulong[] Slots)> _places = []; // where there were keys, a bit for each slot
    private readonly ConcurrentQueue<Keyspace> _strays = new(); // that are not where the saver looks
    private readonly ConcurrentBag<byte[]> _buffers;
    private readonly ConcurrentQueue<(SnapshotChunk Chunk, long Bytes)> _queue = new();
    private readonly ConcurrentBag<SnapshotChunk> _spare = [];
    private readonly Lock _appending = new();
    private volatile bool _over;
    private Exception? _failure;
    private SnapshotChunk? _form; // under _appending: what copies are written to, so that a chunk in the queue is one array and not two
    private long _spareBytes;
    private long _queuedBytes;
    private long _flushedBytes;
    private long _mostHeldBytes;
    private long _keysWritten;
    private long _copiedBytes;

    private Snapshot(SiloGate siloGate, SlotTable slots, ISnapshotTarget target)
    {
        _siloGate = siloGate;
        _slots = slots;
        _buffers = slots.SnapshotBuffers.Take();
        _target = target;
        _settle = target.Settle;
    }

    /// <summary>The number of its instant; 0 if it is one slot's.</summary>
    public long Instant { get; private init; }

    /// <summary>
    /// The instant as a position of the <see cref="ReplicationLog"/>: what was appended before is in the snapshot, and what
    /// comes from there on is not, and begins a part of the log that stands by itself. 0 if it is one slot's.
    /// </summary>
    public long Position { get; private init; }

    /// <summary>How many keys there were at the instant.</summary>
    public long Keys { get; private set; }

    /// <summary>How many of them are written.</summary>
    public long KeysWritten => Volatile.Read(ref _keysWritten);

    /// <summary>Bytes that are in memory on account of the snapshot now: in the queue, and in keyspaces that would be gone.</summary>
    public long HeldBytes => Math.Max(0, Volatile.Read(ref _queuedBytes) + Volatile.Read(ref _flushedBytes));

    /// <summary>The most that <see cref="HeldBytes"/> has been.</summary>
    public long MostHeldBytes => Volatile.Read(ref _mostHeldBytes);

    /// <summary>
    /// How much memory the keys took that were written out for the sake of a writer, since the beginning: what copy on write would have had to copy, at
    /// the least.
    /// </summary>
    public long CopiedBytes => Volatile.Read(ref _copiedBytes);

    /// <summary>It is finished, has failed or was aborted: nothing needs to be written for it.</summary>
    public bool IsOver => _over;

    /// <summary>rdb-key-save-delay: microseconds that the saver waits after each key; if negative, a microsecond after so many keys.</summary>
    public Func<int>? KeyDelay { get; init; }

    /// <summary>Fixes the instant for all slots on this silo. The caller holds the silo gate exclusively.</summary>
    public static Snapshot Begin(SiloGate siloGate, SlotTable slots, ReplicationLog log, ISnapshotTarget target, Func<int>? keyDelay = null, bool beginsPart = false)
    {
        var snapshot = new Snapshot(siloGate, slots, target)
        {
            Instant = slots.Instants.Latest + 1,
            Position = beginsPart ? log.BeginPart() : log.Appended,
            KeyDelay = keyDelay,
        };
        var counts = new List<DatabaseCount>();
        for (int database = 0; database < slots.Databases; database++)
        {
            long keys = slots.Keys.Sum(database);
            if (keys == 0) continue;
            counts.Add(new(database, keys, slots.ExpiringKeys.Sum(database)));
            snapshot._places.Add((database, slots.Keys.Slots(database)));
            snapshot.Keys += keys;
        }
        target.Expect(counts);
        slots.Instants.Add(snapshot);
        return snapshot;
    }

    /// <summary>Fixes the instant for one slot. The caller holds its gate.</summary>
    public static Snapshot BeginSlot(SiloGate siloGate, SlotTable slots, Slot slot, ISnapshotTarget target)
    {
        var snapshot = new Snapshot(siloGate, slots, target);
        for (int database = 0; database < slots.Databases; database++)
        {
            if (slot.KeyspaceIfAny(database) is not { Count: > 0 } keyspace) continue;
            keyspace.AddMark(snapshot);
            snapshot._strays.Enqueue(keyspace);
            snapshot.Keys += keyspace.Count;
        }
        return snapshot;
    }

    /// <summary>
    /// Ends it as soon as possible, whoever asks: <see cref="Run"/> then throws an <see cref="OperationCanceledException"/>. The target may still
    /// be called until that has returned.
    /// </summary>
    public void Abort() => _over = true;

    /// <summary>
    /// Writes everything out that writers have not, and returns when the target has all of it. Throws what the target has thrown. Takes its time,
    /// and blocks: for a thread of its own.
    /// </summary>
    /// <param name="exclusive">The caller holds the silo gate exclusively, and will until the end.</param>
    /// <param name="open">To be done first; what it throws ends the snapshot like what the target throws.</param>
    public void Run(bool exclusive = false, Action? open = null)
    {
        if (open is not null) Try(open);
        SnapshotChunk chunk = Rent();
        BackgroundThread.Turns? turns = exclusive ? null : new();
        foreach (Place place in Places())
        {
            Write(place, exclusive, turns, ref chunk);
            if (_over) break;
        }
        Complete(chunk);
        Append(chunk);
        EmptyQueue(turns);
        bool complete = !_over;
        _over = true;
        _slots.Instants.Remove(this);
        if (!complete)
        {
            // Every gate is entered, so that nobody is about to put a mark on who has not seen that it is over.
            foreach (Place place in Places()) TakeOff(place, exclusive);
        }
        lock (_appending) _queue.Clear(); // and no writer is in the target any more
        while (_spare.TryTake(out SnapshotChunk? spare)) spare.LeaveBuffer(_buffers);
        if (_failure is not null) throw new IOException(_failure.Message, _failure);
        if (!complete) throw new OperationCanceledException("The snapshot was aborted.");
    }

    /// <summary>A writer is about to change what lives at this hash; under the slot's gate.</summary>
    internal void WriteFor(KeyspaceSnapshot mark, uint hash)
    {
        if (_over)
        {
            TakeOff(mark);
            return;
        }
        if (mark.IsWritten(hash)) return;
        SnapshotChunk chunk = Rent();
        try
        {
            if (mark.WriteRegionOf(hash, chunk)) TakeOff(mark);
        }
        catch (Exception failure)
        {
            // It is the snapshot's failure, not that of the command that has come by.
            Fail(failure);
            return;
        }
        Interlocked.Add(ref _keysWritten, chunk.Keys);
        Interlocked.Add(ref _copiedBytes, chunk.MemoryBytes);
        if (chunk.Keys == 0)
        {
            Return(chunk);
            return;
        }
        long bytes = chunk.HeldBytes;
        Hold(ref _queuedBytes, bytes);
        _queue.Enqueue((chunk, bytes));
        if (Volatile.Read(ref _queuedBytes) > MostQueuedBytes) ReduceQueue(MostQueuedBytes);
    }

    /// <summary>A keyspace that is not written yet is gone for everyone else; under the slot's gate.</summary>
    internal void KeepFlushed(KeyspaceSnapshot mark)
    {
        if (_over) TakeOff(mark);
        else Hold(ref _flushedBytes, mark.NoteFlushed());
    }

    /// <summary>A keyspace with this snapshot's mark will not be where the saver looks; under the slot's gate.</summary>
    internal void KeepTrackOf(Keyspace keyspace) => _strays.Enqueue(keyspace);

    /// <summary>
    /// Where marks may be: where there were keys, by database, as redis-server writes its files, in slots that have not gone; and then, until none is left, the strays. Who goes no
    /// further than one of these finds it again.
    /// </summary>
    private IEnumerable<Place> Places()
    {
        foreach ((int database, ulong[] slots) in _places)
        {
            for (int number = 0; number < KeySlot.Count; number++)
            {
                if ((slots[number / 64] & (1UL << (number % 64))) != 0 && _slots[number] is { } slot) yield return new(slot, database, Stray: null);
            }
        }
        for (; _strays.TryPeek(out Keyspace? stray); _strays.TryDequeue(out _)) yield return new(stray.Slot, stray.Database, stray);
    }

    /// <summary>Writes what is left of a keyspace.</summary>
    private void Write(Place place, bool exclusive, BackgroundThread.Turns? turns, ref SnapshotChunk chunk)
    {
        bool finished = false;
        while (!finished && !_over)
        {
            int keys = chunk.Keys;
            Enter(place.Slot, exclusive, out int stripe);
            try
            {
                finished = Find(place) is not { } mark || WriteNext(mark, chunk);
            }
            catch (Exception failure)
            {
                Fail(failure);
            }
            finally
            {
                Exit(place.Slot, exclusive, stripe);
            }
            keys = chunk.Keys - keys;
            Interlocked.Add(ref _keysWritten, keys);
            if (chunk.Length >= ChunkBytes)
            {
                Complete(chunk);
                chunk = AppendAndEmpty(chunk);
                Try(_settle);
            }
            EmptyQueue(turns);
            if (keys > 0) Delay(keys);
            turns?.Pause(); // whoever waits for this processor waits no longer than a turn
        }
    }

    /// <summary>This snapshot's mark there, if there is one; under the slot's gate.</summary>
    private KeyspaceSnapshot? Find(Place place)
    {
        if (place.Stray is not null) return place.Stray.MarkOf(this);
        if (!place.Slot.IsOpen || place.Slot.KeyspaceIfAny(place.Database) is not { } keyspace) return null;
        keyspace.HearOfInstants();
        return keyspace.MarkOf(this);
    }

    private bool WriteNext(KeyspaceSnapshot mark, SnapshotChunk chunk)
    {
        bool finished = mark.WriteNext(chunk);
        if (finished) TakeOff(mark);
        return finished;
    }

    private void Enter(Slot slot, bool exclusive, out int stripe)
    {
        stripe = 0;
        if (exclusive) return;
        while (!_siloGate.TryEnterShared(out stripe)) _siloGate.WhenShared().Wait();
        slot.Gate.Enter();
    }

    private void Exit(Slot slot, bool exclusive, int stripe)
    {
        if (exclusive) return;
        slot.Gate.Exit();
        _siloGate.ExitShared(stripe);
    }

    private void TakeOff(KeyspaceSnapshot mark)
    {
        Interlocked.Add(ref _flushedBytes, -mark.FlushedBytes);
        mark.TakeOff();
    }

    private void TakeOff(Place place, bool exclusive)
    {
        Enter(place.Slot, exclusive, out int stripe);
        if (Find(place) is { } mark) TakeOff(mark);
        Exit(place.Slot, exclusive, stripe);
    }

    private void Append(SnapshotChunk chunk)
    {
        if (chunk.Keys == 0) return;
        try
        {
            lock (_appending)
            {
                if (!_over) _target.Append(chunk);
            }
        }
        catch (Exception failure)
        {
            Fail(failure);
        }
    }

    /// <summary>The empty chunk to go on with is the same one, unless that has become so large that it would be a waste.</summary>
    private SnapshotChunk AppendAndEmpty(SnapshotChunk chunk)
    {
        Append(chunk);
        if (chunk.IsLarge) return _target.CreateChunk();
        chunk.Clear();
        return chunk;
    }

    /// <summary>The saver's part: all of the queue, with pauses.</summary>
    private void EmptyQueue(BackgroundThread.Turns? turns)
    {
        while (Volatile.Read(ref _queuedBytes) > 0 && AppendQueued())
        {
            Try(_settle);
            turns?.Pause();
        }
    }

    /// <summary>The part of a writer: no more than so many bytes are left.</summary>
    private void ReduceQueue(long downTo)
    {
        while (Volatile.Read(ref _queuedBytes) > downTo && AppendQueued())
        {
        }
    }

    /// <summary>Gives the next queued chunk to the target; false if there is none.</summary>
    private bool AppendQueued()
    {
        (SnapshotChunk Chunk, long Bytes) next;
        lock (_appending) // around both, so that nobody finds the queue empty and the target not up to date
        {
            if (!_queue.TryDequeue(out next)) return false;
            if (next.Chunk.IsOnlyCopied)
            {
                _form ??= _target.CreateChunk();
                Complete(next.Chunk, _form);
                _form = AppendAndEmpty(_form);
            }
            else
            {
                Complete(next.Chunk);
                Append(next.Chunk);
            }
        }
        Interlocked.Add(ref _queuedBytes, -next.Bytes);
        Return(next.Chunk);
        return true;
    }

    private void Complete(SnapshotChunk chunk, SnapshotChunk? into = null)
    {
        if (_over) return;
        try
        {
            chunk.Complete(into);
        }
        catch (Exception failure)
        {
            Fail(failure);
        }
    }

    private void Try(Action action)
    {
        try
        {
            action();
        }
        catch (Exception failure)
        {
            Fail(failure);
        }
    }

    private void Fail(Exception failure)
    {
        Interlocked.CompareExchange(ref _failure, failure, null);
        _over = true;
    }

    private void Hold(ref long count, long bytes)
    {
        Interlocked.Add(ref count, bytes);
        long held = HeldBytes, most = Volatile.Read(ref _mostHeldBytes);
        while (held > most)
        {
            long seen = Interlocked.CompareExchange(ref _mostHeldBytes, held, most);
            if (seen == most) return;
            most = seen;
        }
    }

    private SnapshotChunk Rent()
    {
        if (!_spare.TryTake(out SnapshotChunk? chunk))
        {
            chunk = _target.CreateChunk();
            chunk.TakeBuffer(_buffers);
            return chunk;
        }
        Interlocked.Add(ref _spareBytes, -chunk.HeldBytes);
        return chunk;
    }

    private void Return(SnapshotChunk chunk)
    {
        if (chunk.IsLarge || Volatile.Read(ref _spareBytes) + chunk.HeldBytes > MostSpareBytes) return;
        chunk.Clear();
        Interlocked.Add(ref _spareBytes, chunk.HeldBytes);
        _spare.Add(chunk);
    }

    private void Delay(int keys)
    {
        int delay = KeyDelay?.Invoke() ?? 0;
        if (delay == 0) return;
        double milliseconds = delay > 0 ? keys * (delay / 1000.0) : keys / -1000.0 / delay;
        // In small steps, so that an abort does not wait for it.
        for (long end = Stopwatch.GetTimestamp() + (long)(milliseconds / 1000 * Stopwatch.Frequency); !_over;)
        {
            double left = (end - Stopwatch.GetTimestamp()) * 1000.0 / Stopwatch.Frequency;
            if (left <= 0) return;
            if (left >= 1) Thread.Sleep((int)Math.Min(left, 10));
            else Thread.Yield();
        }
    }

    /// <summary>A keyspace: a stray, or whichever belongs to this database of this slot.</summary>
    private readonly record struct Place(Slot Slot, int Database, Keyspace? Stray);
}
