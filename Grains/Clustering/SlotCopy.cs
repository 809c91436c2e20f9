using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// The copy of one slot to another silo: a snapshot of an instant, the effects since then as they come, and, when there are
/// few of them left, the last ones, for which the slot stops. If the connection breaks, it begins anew.
/// </summary>
internal sealed partial class SlotCopy
{
    /// <summary>The owner does not send more than so much that the target has not dealt with yet.</summary>
    private const int MostAhead = 4 << 20;

    /// <summary>If the target is behind by less, the slot may stop.</summary>
    private const int NearBytes = 32 * 1024;

    private const int PauseMs = 50;

    private readonly SlotMoves _moves;
    private readonly CancellationTokenSource _ending;
    private readonly Lock _lock = new();                // guards the fields down to the blank line
    private readonly Queue<SlotRecord> _records = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenSource? _attempt;
    private long _number;                               // of the attempt
    private long _ahead;
    private bool _mustStop;

    private Task _run = Task.CompletedTask;
    private volatile bool _isNear;
    private volatile bool _isSuspended;

    public SlotCopy(SlotMoves moves, int slot, SiloId target, long move, CancellationToken stopping)
    {
        _moves = moves;
        Number = slot;
        Target = target;
        Move = move;
        _ending = CancellationTokenSource.CreateLinkedTokenSource(stopping);
    }

    /// <summary>The slot.</summary>
    public int Number { get; }

    public SiloId Target { get; }

    public long Move { get; }

    /// <summary>Whether the driver has been told that little is missing.</summary>
    public bool IsNear => _isNear;

    private Store Store => _moves.Store;

    /// <summary>Effects of the slot, in their order.</summary>
    public void Add(SlotRecord record)
    {
        lock (_lock) _records.Enqueue(record);
        HasChanged();
    }

    /// <summary>The slot is to let no command in any more, and send the rest.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            if (_mustStop) return;
            _mustStop = true;
        }
        HasChanged();
    }

    /// <summary>The target has dealt with something, or cannot.</summary>
    public void OnCredit(MoveMessage credit)
    {
        lock (_lock)
        {
            if (credit.Attempt != _number) return;
            _ahead -= credit.First;
        }
        if (credit.Second != 0) BeginAnew();
        HasChanged();
    }

    /// <summary>What has been sent may be lost.</summary>
    public void BeginAnew()
    {
        lock (_lock) _attempt?.Cancel();
    }

    /// <summary>Begins, once whatever was under way in the slot before is over.</summary>
    public void Begin(Task former) => _run = Task.Run(async () =>
    {
        await former.ConfigureAwait(false);
        await RunAsync().ConfigureAwait(false);
    });

    /// <summary>Ends it, whether it is complete or not.</summary>
    /// <param name="resumes">Whether the slot is this silo's, and lets commands in again.</param>
    public async Task EndAsync(bool resumes)
    {
        await _ending.CancelAsync().ConfigureAwait(false);
        await _run.ConfigureAwait(false);
        if (resumes && _isSuspended && Store.Slots[Number] is { } slot) Store.Slots.Resume(slot);
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_ending.IsCancellationRequested)
            {
                bool isShared = _moves.Stored.Storage.Scope == StorageScope.Slot;
                if (await (isShared ? LeaveToStoreAsync() : TryCopyAsync()).ConfigureAwait(false))
                {
                    _moves.IsCopied(this);
                    return;
                }
                await Task.Delay(PauseMs, _ending.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_ending.IsCancellationRequested)
        {
            // The move is over.
        }
        catch (Exception e)
        {
            LogFailed(_moves.Logger, e, Number, Target);
        }
    }

    private async Task<bool> LeaveToStoreAsync()
    {
        BecomeNear();
        await WaitAsync(() => _mustStop, _ending.Token).ConfigureAwait(false);
        Suspend();
        await _moves.Stored.FlushAsync(_ending.Token).ConfigureAwait(false);
        return true;
    }

    /// <summary>One attempt; false if another one is needed.</summary>
    private async Task<bool> TryCopyAsync()
    {
        using var attempt = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
        await _moves.Bus.WhenReady(Target, BusLane.Bulk).WaitAsync(_ending.Token).ConfigureAwait(false);
        lock (_lock)
        {
            _attempt = attempt;
            _number = _moves.NextAttempt();
            _ahead = 0;
        }
        try
        {
            await CopyAsync(attempt.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException) when (!_ending.IsCancellationRequested)
        {
            return false;
        }
        finally
        {
            lock (_lock) _attempt = null;
        }
    }

    private async Task CopyAsync(CancellationToken cancellation)
    {
        long sent = await SendSnapshotAsync(cancellation).ConfigureAwait(false);
        while (true)
        {
            bool isEmpty, mustStop;
            SlotRecord record;
            long ahead;
            Task changed;
            lock (_lock)
            {
                isEmpty = !_records.TryDequeue(out record);
                (mustStop, ahead, changed) = (_mustStop, _ahead, _changed.Task);
            }
            if (!isEmpty)
            {
                if (record.Last <= sent) continue;
                await SendAsync(MoveKind.Record, record.First, record.Last, record.Bytes, cancellation).ConfigureAwait(false);
                sent = record.Last;
                continue;
            }
            if (mustStop)
            {
                long last = Suspend();
                if (sent >= last) break;
            }
            else if (ahead <= NearBytes) BecomeNear();
            await changed.WaitAsync(cancellation).ConfigureAwait(false);
        }
        await SendAsync(MoveKind.End, sent, 0, default, cancellation).ConfigureAwait(false);
        await WaitAsync(() => _ahead == 0, cancellation).ConfigureAwait(false);
    }

    /// <summary>Sends what the slot holds; returns the number of the last effect that is in it.</summary>
    private async Task<long> SendSnapshotAsync(CancellationToken cancellation)
    {
        await _moves.Snapshots.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            SlotPosition upTo;
            List<ReadOnlyMemory<byte>>? pieces = null;
            LargeSlotSnapshot? large = null;
            int stripe = await Store.SiloGate.EnterSharedAsync().ConfigureAwait(false);
            try
            {
                Slot slot = Store.Slots[Number] ?? throw new OperationCanceledException();
                if (SlotSnapshots.IsLarge(slot))
                {
                    large = LargeSlotSnapshot.Begin(Store.SiloGate, Store.Slots, slot, Store.Options, Store.Clock.NowMs);
                    upTo = large?.UpTo ?? throw new OperationCanceledException();
                }
                else
                {
                    pieces = SlotSnapshots.Write(slot, Store.Options, Store.Slots.Databases, Store.Clock.NowMs, out upTo)
                        ?? throw new OperationCanceledException();
                }
            }
            finally
            {
                Store.SiloGate.ExitShared(stripe);
            }
            using (large)
            {
                await SendAsync(MoveKind.Begin, upTo.Epoch, 0, default, cancellation).ConfigureAwait(false);
                foreach (ReadOnlyMemory<byte> piece in pieces ?? []) await SendAsync(MoveKind.Piece, 0, 0, piece, cancellation).ConfigureAwait(false);
                if (large is not null)
                {
                    await foreach (ReadOnlyMemory<byte> piece in large.ReadAsync(cancellation).ConfigureAwait(false))
                        await SendAsync(MoveKind.Piece, 0, 0, piece, cancellation).ConfigureAwait(false);
                }
            }
            await SendAsync(MoveKind.SnapshotEnd, upTo.Sequence, 0, default, cancellation).ConfigureAwait(false);
            return upTo.Sequence;
        }
        finally
        {
            _moves.Snapshots.Release();
        }
    }

    private async Task SendAsync(MoveKind kind, long first, long second, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        var message = new MoveMessage(kind, Number, Move, _number, first, second, bytes);
        await WaitAsync(() => _ahead < MostAhead, cancellation).ConfigureAwait(false);
        lock (_lock) _ahead += message.Cost;
        byte[] encoded = message.Encode();
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            if (_moves.Bus.TrySend(Target, (byte)kind, encoded)) return;
            await _moves.Bus.WhenReady(Target, BusLane.Bulk).WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    private void BecomeNear()
    {
        if (_isNear) return;
        _isNear = true;
        _moves.IsNear(this);
    }

    /// <summary>Lets no command in any more; returns the number of the slot's last effect.</summary>
    private long Suspend()
    {
        Slot slot = Store.Slots[Number] ?? throw new OperationCanceledException();
        _isSuspended = true;
        Store.Slots.Suspend(slot);
        return slot.LastEffect;
    }

    private async Task WaitAsync(Func<bool> isSo, CancellationToken cancellation)
    {
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                if (isSo()) return;
                changed = _changed.Task;
            }
            await changed.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    private void HasChanged()
    {
        TaskCompletionSource changed;
        lock (_lock) (changed, _changed) = (_changed, new(TaskCreationOptions.RunContinuationsAsynchronously));
        changed.TrySetResult();
    }

    [LoggerMessage(LogLevel.Warning, "Slot {Slot} could not be copied to silo {Target}")]
    private static partial void LogFailed(ILogger logger, Exception error, int slot, SiloId target);
}
