using System.Collections;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Grains;

/// <summary>
/// Opens and closes this silo's slots. It claims each slot in the store, which grants it an epoch, brings it to its
/// stored state, and publishes it in the <see cref="SlotTable"/>, where everything else finds it. It does so in bulk,
/// thousands at once, without sending a message to any grain: neither a start nor a failover pays for grains that are
/// never called.
/// <para>
/// If the store has since given a slot to another silo, the slot is withdrawn. As long as the slot map says it is this
/// silo's, the next command that needs it has it claimed again (<see cref="OpenAsync"/>). One batch is opened at a
/// time, so no slot is ever opened twice at once; requests that come meanwhile make up the next batch.
/// </para>
/// </summary>
public sealed class SlotHost(Store store, StoredSlots stored) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly BitArray _owned = new(KeySlot.Count);                      // under the lock
    private readonly long[] _epochs = new long[KeySlot.Count];                  // to be claimed; 0: any; under the lock
    private readonly Dictionary<int, TaskCompletionSource<Slot>> _asked = [];   // to be or being opened; under the lock
    private readonly CancellationTokenSource _closing = new();
    private Task _opening = Task.CompletedTask;                                 // under the lock
    private bool _isOpening;                                                    // under the lock

    /// <summary>Whether a slot is this silo's by the slot map, whether or not it is open at present.</summary>
    public bool Owns(int slot)
    {
        lock (_lock) return _owned[slot];
    }

    /// <summary>The epoch in which a slot is open here; 0 if it is not.</summary>
    public long EpochOf(int slot) => store.Slots[slot]?.Epoch ?? 0;

    /// <summary>
    /// Takes slots over, in epochs that their store grants: they are this silo's from now on, and open when the task
    /// completes.
    /// </summary>
    /// <exception cref="InvalidDataException">What is stored for a slot is damaged.</exception>
    /// <exception cref="SlotStorageException">The store cannot be reached.</exception>
    public Task TakeAsync(IReadOnlyList<int> slots, CancellationToken cancellation) =>
        TakeAsync([.. slots.Select(slot => new SlotClaim(slot, 0))], cancellation);

    /// <inheritdoc cref="TakeAsync(IReadOnlyList{int}, CancellationToken)"/>
    /// <param name="claims">The slots, in the epochs that the cluster's slot map says; 0 for one that their store grants.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public Task TakeAsync(IReadOnlyList<SlotClaim> claims, CancellationToken cancellation)
    {
        var opened = new Task[claims.Count];
        lock (_lock)
        {
            foreach (SlotClaim claim in claims) (_owned[claim.Slot], _epochs[claim.Slot]) = (true, claim.Epoch);
            for (int i = 0; i < opened.Length; i++) opened[i] = Ask(claims[i].Slot);
        }
        return Task.WhenAll(opened).WaitAsync(cancellation);
    }

    /// <summary>Takes a slot over that another silo has sent with all its keys, and which is published as suspended.</summary>
    public void Take(Slot slot)
    {
        lock (_lock) (_owned[slot.Number], _epochs[slot.Number]) = (true, slot.Epoch);
        store.Slots.Resume(slot);
    }

    /// <summary>Gives a slot up: it is not this silo's any more, and withdrawn if it is open.</summary>
    public void Release(int number)
    {
        lock (_lock) _owned[number] = false;
        if (store.Slots[number] is not { } slot) return;
        store.Slots.Suspend(slot);
        // What a shared store has is the next owner's.
        if (stored.Storage.Scope == StorageScope.Silo) SlotPassage.LogDeparture(store, slot);
        store.Slots.Withdraw(slot);
    }

    /// <summary>One of this silo's slots, opened first if it is not open.</summary>
    /// <exception cref="InvalidOperationException">The slot is not this silo's.</exception>
    public Task<Slot> OpenAsync(int number)
    {
        if (store.Slots[number] is { } open) return Task.FromResult(open);
        lock (_lock)
        {
            return _owned[number]
                ? Ask(number)
                : Task.FromException<Slot>(new InvalidOperationException($"Hash slot {number} is not on this silo."));
        }
    }

    /// <summary>Withdraws all slots. Completes when everything that they did is stored.</summary>
    public async Task CloseAllAsync(CancellationToken cancellation)
    {
        Task opening;
        lock (_lock)
        {
            _owned.SetAll(false);
            opening = _opening;
        }
        await _closing.CancelAsync().ConfigureAwait(false);
        await opening.ConfigureAwait(false);
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (store.Slots[number] is { } slot) store.Slots.Withdraw(slot);
        }
        await stored.FlushAsync(cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Dispose() => _closing.Dispose();

    private Task<Slot> Ask(int number)
    {
        if (!_asked.TryGetValue(number, out TaskCompletionSource<Slot>? asked))
            _asked.Add(number, asked = new(TaskCreationOptions.RunContinuationsAsynchronously));
        if (!_isOpening) _opening = Task.Run(OpenAskedAsync);
        _isOpening = true;
        return asked.Task;
    }

    private async Task OpenAskedAsync()
    {
        while (true)
        {
            List<SlotClaim> batch;
            lock (_lock)
            {
                batch = [.. _asked.Keys.Select(number => new SlotClaim(number, _epochs[number]))];
                _isOpening = batch.Count != 0;
                if (!_isOpening) return;
            }
            // A slot may have been requested just as the previous batch opened it. It must not be claimed a second
            // time.
            batch.RemoveAll(claim => store.Slots[claim.Slot] is { } open && Answer(claim.Slot).TrySetResult(open));
            try
            {
                await stored.OpenAsync(batch, Opened, (number, failure) => Answer(number).SetException(failure), _closing.Token)
                    .ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                lock (_lock)
                {
                    foreach (TaskCompletionSource<Slot> asked in _asked.Values) asked.SetCanceled(_closing.Token);
                    _asked.Clear();
                }
            }
        }
    }

    private void Opened(Slot slot)
    {
        store.Slots.Publish(slot);
        Answer(slot.Number).SetResult(slot);
        // Given up while it was being opened.
        if (!Owns(slot.Number)) Release(slot.Number);
    }

    /// <summary>Takes the promise to those who asked for a slot; requests from now on make a new one.</summary>
    private TaskCompletionSource<Slot> Answer(int number)
    {
        lock (_lock)
        {
            _asked.Remove(number, out TaskCompletionSource<Slot>? asked);
            return asked!;
        }
    }
}
