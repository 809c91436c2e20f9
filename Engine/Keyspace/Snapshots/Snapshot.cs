using System.Collections.Concurrent;
using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// Writes out what some slots hold at one instant while they continue to change. There is no fork, and no command is
/// held up for longer than it takes to write out a few hundred keys.
/// <para>
/// <b>How.</b> <see cref="Begin"/> is the instant. It takes no longer with many keys than with few, because it visits
/// no keyspace and only counts a number up (<see cref="SnapshotInstants"/>). A keyspace that has keys gets a
/// <see cref="KeyspaceSnapshot"/> from the first to notice that it has not heard of that number: a writer about to
/// change it, or the saver. This mark knows what is written. A small keyspace is written whole; of a larger one the
/// mark knows which regions are written, a region being a range of hashes with some hundreds of keys.
/// <see cref="Run"/>, the saver, goes through all slots on a thread of its own. A writer that is about to change a key
/// first writes out the region in which the key lives, will live or lived, unless that is already written
/// (<see cref="Keyspace.BeforeChange(ReadOnlySpan{byte})"/>). So a region is written as it was at the instant, no
/// matter which thread writes it, and it is written once. Under the gate small keys are only copied (see
/// <see cref="SnapshotChunk"/>). Bringing them into the file's form is left to the saver, with no gate held, unless the
/// queue is full.
/// </para>
/// <para>
/// <b>Access.</b> A keyspace's marks, and everything attached to them, are state of its slot: only under the slot's
/// gate, or with the silo gate held exclusively. Chunks written by writers go through <see cref="_queue"/>, which any
/// thread may use. The target is used under <see cref="_appending"/>. A thread that holds that lock never waits for a
/// gate, and nothing here waits for anything but that lock while it holds a slot's gate, so neither can deadlock. Any
/// thread may set <see cref="_over"/>.
/// </para>
/// <para>
/// <b>The races, one by one.</b>
/// <list type="bullet">
/// <item><em>The beginning</em>: the silo gate is held exclusively, so no command is half done, and every later one
/// sees the new number.</item>
/// <item><em>A writer and the saver at the same region</em>: both hold the slot's gate.</item>
/// <item><em>The end</em>: a writer enqueues its chunk in the same hold of the gate in which it marks the region as
/// written. The saver finishes a keyspace under its gate, so by then all chunks of that keyspace are in the queue, and
/// it empties the queue last.</item>
/// <item><em>Several keyspaces in one command</em> (RENAME, COPY, SORT STORE, EXEC, a script): each is reached through
/// <see cref="CommandContext.KeyspaceOf(ReadOnlySpan{byte})"/>, with the gates held, before anything in it
/// changes.</item>
/// <item><em>Changes without a command</em>: expiry of keys and fields, eviction and PFCOUNT's cache write out the
/// region themselves. Clients served after another client's command run a command of their own.</item>
/// <item><em>SWAPDB</em>: the saver could miss both keyspaces. So they first get their marks, which remember the number
/// that their database had, and the saver is told of them (<see cref="_strays"/>). It looks there last.</item>
/// <item><em>FLUSHDB, FLUSHALL, DEBUG RELOAD</em>: the slot gets a new keyspace, without marks. The old one no longer
/// changes, and the saver is told of it too. (FLUSHALL also ends a BGSAVE, as in Redis; that is not up to this
/// class.)</item>
/// <item><em>A withdrawn slot</em>: it is closed under its gate, so it no longer changes, and the saver is told of its
/// keyspaces. This happens without the silo gate, so a slot withdrawn at the very instant counts as already
/// gone.</item>
/// <item><em>A keyspace made, or a slot published, after the instant</em>: it begins with the latest number, so it gets
/// no mark. A slot that is not published yet hears of no instant.</item>
/// <item><em>A table that is resized between two holds of the gate</em>: a region is a range of hashes, wherever in the
/// table it lies (see <see cref="ByteTable{TKeyOf}"/>).</item>
/// <item><em>Abort</em>: <see cref="_over"/> is set. Any thread that meets a mark of a snapshot that is over takes it
/// off, and no thread puts one on. Then the saver enters every gate once more and takes off the remaining marks.</item>
/// <item><em>Two snapshots at once</em>: a keyspace has a list of marks, which are independent of each other.</item>
/// <item><em>A mark that is reused</em>: it belongs to its keyspace, and so is state of the slot. No code remembers a
/// mark from one hold of the gate to the next.</item>
/// </list>
/// </para>
/// <para>
/// <b>Memory.</b> Chunks from writers wait in the queue, which holds at most <see cref="MostQueuedBytes"/>: a writer
/// that would exceed that passes as much on to the target itself. Flushed keyspaces are held until they are written.
/// Both count towards <see cref="HeldBytes"/>.
/// </para>
/// <para>
/// <b>The limit.</b> A single key cannot be divided: one that takes a second to write holds up the writers of its slot
/// for a second.
/// </para>
/// </summary>
internal sealed class Snapshot
{
    /// <summary>How many bytes of memory may wait in the queue.</summary>
    internal const long MostQueuedBytes = 16 << 20;

    /// <summary>The saver passes a chunk to the target when it has reached this size.</summary>
    private const int ChunkBytes = 64 * 1024;

    /// <summary>How many bytes of memory spare chunks may keep for reuse.</summary>
    private const long MostSpareBytes = MostQueuedBytes;

    private readonly SiloGate _siloGate;
    private readonly SlotTable _slots;
    private readonly ISnapshotTarget _target;
    private readonly Action _settle;
    // where there were keys at the instant: a bit for each slot
    private readonly List<(int Database, ulong[] Slots)> _places = [];
    private readonly ConcurrentQueue<Keyspace> _strays = new(); // keyspaces that are not where the saver looks
    private readonly ConcurrentBag<byte[]> _buffers;
    private readonly ConcurrentQueue<(SnapshotChunk Chunk, long Bytes)> _queue = new();
    private readonly ConcurrentBag<SnapshotChunk> _spare = [];
    private readonly Lock _appending = new();
    private volatile bool _over;
    private Exception? _failure;
    // under _appending: receives the final form of copies, so that a chunk in the queue is one array instead of two
    private SnapshotChunk? _form;
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

    /// <summary>The number of its instant; 0 for a snapshot of one slot.</summary>
    public long Instant { get; private init; }

    /// <summary>
    /// The instant as a position of the <see cref="ReplicationLog"/>. Everything appended before it is in the snapshot.
    /// What is appended from there on is not, and begins a part of the log that stands by itself. 0 for a snapshot of
    /// one slot.
    /// </summary>
    public long Position { get; private init; }

    /// <summary>How many keys there were at the instant.</summary>
    public long Keys { get; private set; }

    /// <summary>How many of those keys are written.</summary>
    public long KeysWritten => Volatile.Read(ref _keysWritten);

    /// <summary>
    /// The bytes that are in memory only because of the snapshot: in the queue, and in keyspaces that were flushed.
    /// </summary>
    public long HeldBytes => Math.Max(0, Volatile.Read(ref _queuedBytes) + Volatile.Read(ref _flushedBytes));

    /// <summary>The highest value that <see cref="HeldBytes"/> has had.</summary>
    public long MostHeldBytes => Volatile.Read(ref _mostHeldBytes);

    /// <summary>
    /// The memory of all keys that were written out for the sake of a writer, since the beginning: at least this much
    /// would have been copied by copy on write.
    /// </summary>
    public long CopiedBytes => Volatile.Read(ref _copiedBytes);

    /// <summary>Whether it is finished, has failed or was aborted: nothing more needs to be written for it.</summary>
    public bool IsOver => _over;

    /// <summary>
    /// rdb-key-save-delay: microseconds that the saver waits after each key; if negative, one microsecond after that
    /// many keys.
    /// </summary>
    public Func<int>? KeyDelay { get; init; }

    /// <summary>Fixes the instant for all slots on this silo. The caller holds the silo gate exclusively.</summary>
    /// <param name="siloGate">The silo's gate.</param>
    /// <param name="slots">The slots.</param>
    /// <param name="log">The log of effects, of which the instant is a position.</param>
    /// <param name="target">Where the snapshot goes.</param>
    /// <param name="keyDelay">See <see cref="KeyDelay"/>.</param>
    /// <param name="beginsPart">Whether a file or a replica is to begin at that position of the log.</param>
    public static Snapshot Begin(
        SiloGate siloGate, SlotTable slots, ReplicationLog log, ISnapshotTarget target, Func<int>? keyDelay = null, bool beginsPart = false)
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
    /// Ends the snapshot as soon as possible; any thread may call this. <see cref="Run"/> then throws an
    /// <see cref="OperationCanceledException"/>. Until it has done so, the target may still be called.
    /// </summary>
    public void Abort() => _over = true;

    /// <summary>
    /// Writes out everything that writers have not, and returns when the target has all of it. A failure, such as what
    /// the target has thrown, is thrown as the inner exception of an <see cref="IOException"/>. This takes its time and
    /// blocks, so it needs a thread of its own.
    /// </summary>
    /// <param name="exclusive">Whether the caller holds the silo gate exclusively, and will until the end.</param>
    /// <param name="open">To be run first. An exception from it ends the snapshot, like one from the target.</param>
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
            // Enters each of these gates once, so that no thread that missed the end of the snapshot still adds a mark.
            foreach (Place place in Places()) TakeOff(place, exclusive);
        }
        if (exclusive) Retirement.Sweep(); // keyspaces that were kept for the snapshot
        lock (_appending) _queue.Clear(); // from here on no writer is in the target any more
        while (_spare.TryTake(out SnapshotChunk? spare)) spare.LeaveBuffer(_buffers);
        if (_failure is not null) throw new IOException(_failure.Message, _failure);
        if (!complete) throw new OperationCanceledException("The snapshot was aborted.");
    }

    /// <summary>A writer is about to change the entry at this hash. Under the slot's gate.</summary>
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
            // This is the snapshot's failure, not that of the command that happened to come by.
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

    /// <summary>A keyspace that is not completely written is gone for everyone else. Under the slot's gate.</summary>
    internal void KeepFlushed(KeyspaceSnapshot mark)
    {
        if (_over) TakeOff(mark);
        else Hold(ref _flushedBytes, mark.NoteFlushed());
    }

    /// <summary>
    /// A keyspace with this snapshot's mark will not be where the saver looks. Under the slot's gate.
    /// </summary>
    internal void KeepTrackOf(Keyspace keyspace) => _strays.Enqueue(keyspace);

    /// <summary>
    /// The places where marks may be. First come those that had keys at the instant, by database, the order of
    /// redis-server's files, without slots that are gone; then the strays, until none is left. If the caller stops at a
    /// stray, that one stays in the queue and is found again.
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

    /// <summary>Writes the rest of a keyspace.</summary>
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
            if (exclusive) Retirement.Sweep(); // what writing compressed lists has taken; otherwise the gate was passed
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
            turns?.Pause(); // a thread that waits for this processor waits no longer than a turn
        }
    }

    /// <summary>This snapshot's mark in a place, if there is one. Under the slot's gate.</summary>
    private KeyspaceSnapshot? Find(Place place)
    {
        if (place.Stray is not null) return place.Stray.MarkOf(this);
        if (!place.Slot.IsHere || place.Slot.KeyspaceIfAny(place.Database) is not { } keyspace) return null;
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
        stripe = _siloGate.EnterShared();
        slot.Gate.Enter();
    }

    private void Exit(Slot slot, bool exclusive, int stripe)
    {
        if (exclusive) return;
        slot.Leave();
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

    /// <summary>
    /// Appends the chunk and returns an empty one to continue with: the same chunk, unless it has become too large to
    /// keep.
    /// </summary>
    private SnapshotChunk AppendAndEmpty(SnapshotChunk chunk)
    {
        Append(chunk);
        if (chunk.IsLarge) return _target.CreateChunk();
        chunk.Clear();
        return chunk;
    }

    /// <summary>The saver's way: empties the whole queue, with pauses.</summary>
    private void EmptyQueue(BackgroundThread.Turns? turns)
    {
        while (Volatile.Read(ref _queuedBytes) > 0 && AppendQueued())
        {
            Try(_settle);
            turns?.Pause();
        }
    }

    /// <summary>
    /// A writer's way: empties the queue until no more than <paramref name="downTo"/> bytes are left.
    /// </summary>
    private void ReduceQueue(long downTo)
    {
        while (Volatile.Read(ref _queuedBytes) > downTo && AppendQueued())
        {
        }
    }

    /// <summary>Passes the next queued chunk to the target. False if there is none.</summary>
    private bool AppendQueued()
    {
        (SnapshotChunk Chunk, long Bytes) next;
        lock (_appending) // around both, so that nobody sees an empty queue before the target has everything
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
        // In small steps, so that an abort need not wait for the whole delay.
        for (long end = Stopwatch.GetTimestamp() + (long)(milliseconds / 1000 * Stopwatch.Frequency); !_over;)
        {
            double left = (end - Stopwatch.GetTimestamp()) * 1000.0 / Stopwatch.Frequency;
            if (left <= 0) return;
            if (left >= 1) Thread.Sleep((int)Math.Min(left, 10));
            else Thread.Yield();
        }
    }

    /// <summary>A keyspace: a stray, or the current one of this database of this slot.</summary>
    private readonly record struct Place(Slot Slot, int Database, Keyspace? Stray);
}
