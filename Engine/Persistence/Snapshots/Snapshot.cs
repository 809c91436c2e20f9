using System.Collections.Concurrent;
using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// Writes out what some slots hold at one instant, while they go on being changed: no fork, and nobody is stopped for longer than it takes to
/// write out a few hundred keys.
/// <para>
/// <b>How.</b> <see cref="Begin"/> is the instant. It gives every keyspace that has keys a <see cref="KeyspaceSnapshot"/>, which knows what of it
/// is written: all or nothing of a small one, of a larger one which regions, a region being a range of hashes with some hundreds of keys.
/// <see cref="Run"/>, on a thread of its own, goes through them all. Who wants to change a key first writes out the region in which the key
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
/// <item><em>The beginning</em>: the silo gate is held exclusively, so no command is half done, and no
/// one sees only some of the marks.</item>
/// <item><em>A writer and the saver at the same region</em>: both hold the slot's gate.</item>
/// <item><em>The end</em>: a writer enqueues its chunk in the same hold of the gate in which it marks the region as written. The saver, who
/// ends a keyspace under its gate, finds all chunks of it in the queue, and empties the queue last.</item>
/// <item><em>Several keyspaces in one command</em> (RENAME, COPY, SORT STORE, EXEC, a script): each is reached through
/// <see cref="CommandContext.KeyspaceOf(ReadOnlySpan{byte})"/>, the gates being held, before anything in it changes.</item>
/// <item><em>Changes without a command</em>: expiry of keys and fields, eviction and PFCOUNT's cache do it themselves. Clients served in the wake of
/// another one's command run their own, and that is a command.</item>
/// <item><em>SWAPDB</em>: marks hang on the keyspace and remember the number that its database had.</item>
/// <item><em>FLUSHDB, FLUSHALL, DEBUG RELOAD</em>: the slot gets a new keyspace, without marks; nobody changes the old one any more, which the
/// saver still holds. (FLUSHALL also ends a BGSAVE, as in Redis; that is not up to this class.)</item>
/// <item><em>A slot withdrawn</em>: closed under its gate, so nobody changes it any more, and the saver still holds its keyspaces.</item>
/// <item><em>A database first used, or a slot published, after the instant</em>: has no marks, and was empty at the instant.</item>
/// <item><em>A table that is resized between two holds</em>: a region is a range of hashes, wherever in the table it lies (see
/// <see cref="ByteTable{TKeyOf}"/>).</item>
/// <item><em>Abort</em>: <see cref="_over"/> is set; who meets a mark of a snapshot that is over takes it off. The saver takes off the others.</item>
/// <item><em>Two snapshots at once</em>: a keyspace has a list of marks, each of which stands for itself.</item>
/// <item><em>A mark used again</em> (<see cref="SnapshotSpares"/>): it was off when the saver held its slot's gate, so no writer has come across it since; and one that had, and took
/// it off itself, had let go of the gate. The next snapshot gets it when this one's saver has ended.</item>
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
    /// <summary>How many bytes may wait in the queue.</summary>
    internal const long MostQueuedBytes = 8 << 20;

    /// <summary>The saver gives a chunk to the target when it is this large.</summary>
    private const int ChunkBytes = 64 * 1024;

    /// <summary>So many chunks are kept for being used again.</summary>
    private const int MostSpare = 1024;

    private readonly SiloGate _siloGate;
    private readonly SnapshotSpares _spares;
    private readonly ISnapshotTarget _target;
    private readonly List<KeyspaceSnapshot> _marks = []; // the saver's own
    private readonly Stack<KeyspaceSnapshot> _unusedMarks;
    private readonly ConcurrentBag<byte[]> _buffers;
    private readonly ConcurrentQueue<(SnapshotChunk Chunk, long Length)> _queue = new();
    private readonly ConcurrentBag<SnapshotChunk> _spare = [];
    private readonly Lock _appending = new();
    private volatile bool _over;
    private Exception? _failure;
    private SnapshotChunk? _form; // under _appending: what copies are written to, so that a chunk in the queue is one array and not two
    private int _spareCount;
    private long _queuedBytes;
    private long _flushedBytes;
    private long _mostHeldBytes;
    private long _keysWritten;
    private long _copiedBytes;

    private Snapshot(Store store, ISnapshotTarget target, Stack<KeyspaceSnapshot> marks)
    {
        _siloGate = store.SiloGate;
        _spares = store.SnapshotSpares;
        _buffers = _spares.Buffers;
        _target = target;
        _unusedMarks = marks;
    }

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

    /// <summary>Gets what <see cref="Begin"/> will need, so that it takes less time and no collection of garbage falls into it. The caller holds no gate.</summary>
    public static Stack<KeyspaceSnapshot> Prepare(Store store)
    {
        Stack<KeyspaceSnapshot> marks = store.SnapshotSpares.TakeMarks();
        int needed = 0;
        for (int database = 0; database < store.Slots.Databases; database++)
        {
            for (int number = 0; number < KeySlot.Count; number++)
            {
                if (store.Slots.KeyCount(database, number) != 0) needed++;
            }
        }
        while (marks.Count < needed) marks.Push(new());
        return marks;
    }

    /// <summary>Fixes the instant for all slots on this silo. The caller holds the silo gate exclusively.</summary>
    public static Snapshot Begin(Store store, ISnapshotTarget target, Func<int>? keyDelay = null, Stack<KeyspaceSnapshot>? prepared = null)
    {
        SlotTable slots = store.Slots;
        prepared ??= Prepare(store);
        var snapshot = new Snapshot(store, target, prepared) { KeyDelay = keyDelay };
        snapshot._marks.EnsureCapacity(prepared.Count);
        var counts = new List<DatabaseCount>();
        var block = new Keyspace[64];
        // By database, as redis-server writes its files.
        for (int database = 0; database < slots.Databases; database++)
        {
            long keys = 0, expiring = 0;
            for (int number = 0; number < KeySlot.Count;)
            {
                // In blocks and steps, so that the processor waits for the memory of many keyspaces at once, instead of for one after the other.
                int found = 0;
                for (; number < KeySlot.Count && found < block.Length; number++)
                {
                    if (slots.KeyCount(database, number) != 0 && slots[number]?.KeyspaceIfAny(database) is { } keyspace) block[found++] = keyspace;
                }
                foreach (Keyspace keyspace in block.AsSpan(0, found))
                {
                    keys += keyspace.Count;
                    expiring += keyspace.ExpiringCount;
                }
                foreach (Keyspace keyspace in block.AsSpan(0, found))
                {
                    if (keyspace.Count == 0) continue;
                    if (!prepared.TryPop(out KeyspaceSnapshot? mark)) mark = new(); // keys that have come since
                    mark.Put(keyspace, snapshot);
                    snapshot._marks.Add(mark);
                }
            }
            if (keys != 0) counts.Add(new(database, keys, expiring));
            snapshot.Keys += keys;
        }
        target.Expect(counts);
        return snapshot;
    }

    /// <summary>Fixes the instant for one slot. The caller holds its gate.</summary>
    public static Snapshot BeginSlot(Store store, Slot slot, ISnapshotTarget target)
    {
        var snapshot = new Snapshot(store, target, new());
        for (int database = 0; database < store.Slots.Databases; database++)
        {
            if (slot.KeyspaceIfAny(database) is not { Count: > 0 } keyspace) continue;
            var mark = new KeyspaceSnapshot();
            mark.Put(keyspace, snapshot);
            snapshot._marks.Add(mark);
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
        var turns = new BackgroundThread.Turns();
        int at = 0;
        for (; at < _marks.Count && !_over; at++)
        {
            KeyspaceSnapshot mark = _marks[at];
            bool finished = false;
            while (!finished && !_over)
            {
                int keys = chunk.Keys;
                Enter(mark, exclusive, out int stripe);
                try
                {
                    finished = mark.WriteNext(chunk);
                    if (finished) TakeOff(mark);
                }
                catch (Exception failure)
                {
                    Fail(failure);
                }
                finally
                {
                    Exit(mark, exclusive, stripe);
                }
                keys = chunk.Keys - keys;
                Interlocked.Add(ref _keysWritten, keys);
                if (chunk.Length >= ChunkBytes)
                {
                    Complete(chunk);
                    chunk = AppendAndEmpty(chunk);
                    Settle();
                }
                EmptyQueue(exclusive ? null : turns);
                if (keys > 0) Delay(keys);
                if (!exclusive) turns.Pause(); // whoever waits for this processor waits no longer than a turn
            }
            if (finished) Retire(mark);
            else break;
        }
        Complete(chunk);
        Append(chunk);
        EmptyQueue(exclusive ? null : turns);
        bool complete = !_over;
        _over = true;
        for (; at < _marks.Count; at++) TakeOff(_marks[at], exclusive);
        lock (_appending) _queue.Clear(); // and no writer is in the target any more
        LeaveSpares();
        if (_failure is not null) throw new IOException(_failure.Message, _failure);
        if (!complete) throw new OperationCanceledException("The snapshot was aborted.");
        Debug.Assert(KeysWritten == Keys, "Every key of the instant is written once.");
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
        long length = chunk.Length;
        Hold(ref _queuedBytes, length);
        _queue.Enqueue((chunk, length));
        if (Volatile.Read(ref _queuedBytes) > MostQueuedBytes) ReduceQueue(MostQueuedBytes);
    }

    /// <summary>A keyspace that is not written yet is gone for everyone else; under the slot's gate.</summary>
    internal void KeepFlushed(KeyspaceSnapshot mark)
    {
        if (_over) TakeOff(mark);
        else Hold(ref _flushedBytes, mark.NoteFlushed());
    }

    private void Enter(KeyspaceSnapshot mark, bool exclusive, out int stripe)
    {
        stripe = 0;
        if (exclusive) return;
        while (!_siloGate.TryEnterShared(out stripe)) _siloGate.WhenShared().Wait();
        mark.Slot.Gate.Enter();
    }

    private void Exit(KeyspaceSnapshot mark, bool exclusive, int stripe)
    {
        if (exclusive) return;
        mark.Slot.Gate.Exit();
        _siloGate.ExitShared(stripe);
    }

    private void TakeOff(KeyspaceSnapshot mark)
    {
        Interlocked.Add(ref _flushedBytes, -mark.FlushedBytes);
        mark.TakeOff();
    }

    private void TakeOff(KeyspaceSnapshot mark, bool exclusive)
    {
        Enter(mark, exclusive, out int stripe);
        TakeOff(mark);
        Exit(mark, exclusive, stripe);
        Retire(mark);
    }

    /// <summary>A mark was off when the saver had its slot's gate, so nobody else will come across it. Nor is its keyspace needed any more, which may have been flushed.</summary>
    private void Retire(KeyspaceSnapshot mark)
    {
        mark.Clear();
        _unusedMarks.Push(mark);
    }

    private void LeaveSpares()
    {
        _spares.GiveMarks(_unusedMarks);
        while (_spare.TryTake(out SnapshotChunk? chunk)) chunk.LeaveBuffer(_buffers);
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
            Settle();
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
        (SnapshotChunk Chunk, long Length) next;
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
        Interlocked.Add(ref _queuedBytes, -next.Length);
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

    private void Settle()
    {
        try
        {
            _target.Settle();
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
        Interlocked.Decrement(ref _spareCount);
        return chunk;
    }

    private void Return(SnapshotChunk chunk)
    {
        if (chunk.IsLarge || Volatile.Read(ref _spareCount) >= MostSpare) return;
        chunk.Clear();
        Interlocked.Increment(ref _spareCount);
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
}
