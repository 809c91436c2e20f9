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

    /// <summary>Takes slots over: they are this silo's from now on, and open when the task completes.</summary>
    /// <exception cref="InvalidDataException">What is stored for a slot is damaged.</exception>
    /// <exception cref="SlotStorageException">The store cannot be reached.</exception>
    public Task TakeAsync(IReadOnlyList<int> slots, CancellationToken cancellation)
    {
        var opened = new Task[slots.Count];
        lock (_lock)
        {
            foreach (int slot in slots) _owned[slot] = true;
            for (int i = 0; i < opened.Length; i++) opened[i] = Ask(slots[i]);
        }
        return Task.WhenAll(opened).WaitAsync(cancellation);
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
            List<int> batch;
            lock (_lock)
            {
                batch = [.. _asked.Keys];
                _isOpening = batch.Count != 0;
                if (!_isOpening) return;
            }
            // A slot may have been requested just as the previous batch opened it. It must not be claimed a second
            // time.
            batch.RemoveAll(number => store.Slots[number] is { } open && Answer(number).TrySetResult(open));
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
