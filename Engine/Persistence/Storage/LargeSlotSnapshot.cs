using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace OrleansRedis.Engine;

/// <summary>
/// The pieces of a large slot's <see cref="SlotSnapshot"/>: what the slot held at one instant, while it keeps changing
/// (see <see cref="Snapshot"/>). Pieces are made as they are taken, and some are made ahead. Must be disposed of, so
/// that commands that write do not go on preserving the state of that instant for no one.
/// </summary>
public sealed class LargeSlotSnapshot : ISnapshotTarget, IDisposable
{
    /// <summary>
    /// How many bytes are made ahead of the reader. What a command has to write out before it changes a key comes on
    /// top of that.
    /// </summary>
    private const long MostAhead = 8 << 20;

    private readonly Channel<byte[]> _pieces = Channel.CreateUnbounded<byte[]>(new() { SingleReader = true });
    private readonly Lock _changing = new();
    private readonly ManualResetEventSlim _room = new(initialState: true); // set and reset under _changing
    private readonly ServerOptions _options;
    private readonly long _nowMs;
    private Snapshot? _snapshot;
    private long _ahead;
    private bool _disposed;

    private LargeSlotSnapshot(ServerOptions options, long nowMs)
    {
        _options = options;
        _nowMs = nowMs;
    }

    /// <summary>The position of the instant in the slot's history.</summary>
    public SlotPosition UpTo { get; private set; }

    /// <summary>How many bytes have been taken so far.</summary>
    public long Length { get; private set; }

    /// <summary>
    /// Fixes the instant. The caller holds the silo gate shared, but not the slot's gate. Null if the slot has been
    /// withdrawn.
    /// </summary>
    public static LargeSlotSnapshot? Begin(SiloGate siloGate, SlotTable slots, Slot slot, ServerOptions options, long nowMs)
    {
        var begun = new LargeSlotSnapshot(options, nowMs);
        slot.Gate.Enter();
        try
        {
            if (!slot.IsHere) return null;
            begun.UpTo = new(slot.Epoch, slot.Sequence);
            begun._snapshot = Snapshot.BeginSlot(siloGate, slots, slot, begun);
        }
        finally
        {
            slot.Leave();
        }
        new Thread(begun.Run) { IsBackground = true, Name = "slot snapshot" }.Start();
        return begun;
    }

    /// <summary>The pieces; may be read only once. Throws the exception if making them failed.</summary>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync([EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await foreach (byte[] piece in _pieces.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
        {
            lock (_changing)
            {
                _ahead -= piece.Length;
                if (_ahead <= MostAhead) _room.Set();
            }
            Length += piece.Length;
            yield return piece;
        }
    }

    /// <summary>Ends the snapshot, if it has not ended yet.</summary>
    public void Dispose()
    {
        lock (_changing) _disposed = true;
        _snapshot?.Abort();
        _room.Set();
    }

    void ISnapshotTarget.Expect(IReadOnlyList<DatabaseCount> databases)
    {
    }

    SnapshotChunk ISnapshotTarget.CreateChunk() => new RdbChunk(_options, _nowMs);

    void ISnapshotTarget.Append(SnapshotChunk chunk)
    {
        byte[] piece = chunk.Written.ToArray();
        lock (_changing)
        {
            _ahead += piece.Length;
            if (_ahead > MostAhead && !_disposed) _room.Reset();
        }
        _pieces.Writer.TryWrite(piece);
    }

    // Waits here and not in Append, because commands that write append too, and they must not wait.
    void ISnapshotTarget.Settle() => _room.Wait();

    private void Run()
    {
        try
        {
            _snapshot!.Run();
            _pieces.Writer.Complete();
        }
        catch (Exception failure)
        {
            _pieces.Writer.TryComplete(failure);
        }
    }
}
