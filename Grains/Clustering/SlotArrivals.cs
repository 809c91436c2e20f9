using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Slots on their way to this silo. What arrives is dealt with on a thread of its own, in the order in which it comes.
/// Nobody sees a slot before the map says that it is this silo's; if the map says something else, it is dropped.
/// </summary>
internal sealed partial class SlotArrivals : IDisposable
{
    private readonly ClusterDriver _driver;
    private readonly Store _store;
    private readonly ServerFiles _files;
    private readonly ISiloBus _bus;
    private readonly ILogger _logger;
    private readonly BlockingCollection<Action> _work = [];
    private readonly Dictionary<int, Arrival> _arrivals = [];   // under its lock
    private readonly Lazy<SlotReplay> _replay;
    private readonly Thread _thread;
    private bool _isFrozen;     // of the thread alone

    public SlotArrivals(ClusterDriver driver, Store store, ServerFiles files, ISiloBus bus, ILogger logger)
    {
        _driver = driver;
        _store = store;
        _files = files;
        _bus = bus;
        _logger = logger;
        _replay = new(() => new(store, store.Commands));
        for (MoveKind kind = MoveKind.Begin; kind <= MoveKind.End; kind++)
        {
            MoveKind arriving = kind;
            bus.Handle((byte)kind, (from, bytes) =>
            {
                var message = MoveMessage.Decode(arriving, bytes);
                Post(() => Receive(from, message));
            });
        }
        bus.Broken += OnBroken;
        _thread = new(Run) { IsBackground = true, Name = "arrivals" };
        _thread.Start();
    }

    public int Count
    {
        get
        {
            lock (_arrivals) return _arrivals.Count;
        }
    }

    /// <summary>
    /// The slot of a claim, if all of it has arrived; it is the caller's from then on. For the driver's thread.
    /// </summary>
    public Slot? Take(SlotClaim claim)
    {
        lock (_arrivals)
        {
            if (!_arrivals.TryGetValue(claim.Slot, out Arrival? arrival) || !arrival.IsComplete || arrival.Slot.Epoch != claim.Epoch) return null;
            _arrivals.Remove(claim.Slot);
            return arrival.Slot;
        }
    }

    /// <summary>A round of the driver is over: drops what the map does not want any more.</summary>
    public void Settle()
    {
        lock (_arrivals)
        {
            foreach ((int slot, Arrival arrival) in _arrivals)
            {
                if (IsWanted(slot, arrival.Move)) continue;
                _arrivals.Remove(slot);
                Post(() => Drop(arrival));
            }
        }
    }

    /// <summary>Takes nothing up any more, or again; completes when what came before has been dealt with.</summary>
    public Task FreezeAsync(bool freezes)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bool isPosted = Post(() =>
        {
            _isFrozen = freezes;
            done.SetResult();
        });
        return isPosted ? done.Task : Task.CompletedTask;
    }

    public void Dispose()
    {
        _bus.Broken -= OnBroken;
        _work.CompleteAdding();
        _thread.Join();
        if (_replay.IsValueCreated) _replay.Value.Dispose();
        _work.Dispose();
    }

    private bool IsWanted(int slot, long move)
    {
        SlotEntry entry = _driver.Map[slot];
        return entry.Target == _driver.Self && entry.Move == move;
    }

    /// <summary>Has the thread do something; false if the silo is ending.</summary>
    private bool Post(Action action)
    {
        try
        {
            _work.Add(action);
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private void Run()
    {
        foreach (Action action in _work.GetConsumingEnumerable()) action();
    }

    private void OnBroken(SiloId silo) => Post(() =>
    {
        // What is complete stays: its owner may have heard so.
        List<Arrival> broken;
        lock (_arrivals)
        {
            broken = [.. _arrivals.Values.Where(arrival => arrival.From == silo && !arrival.IsComplete)];
            foreach (Arrival arrival in broken) _arrivals.Remove(arrival.Slot.Number);
        }
        foreach (Arrival arrival in broken) Drop(arrival);
    });

    private void Receive(SiloId from, MoveMessage message)
    {
        if (_isFrozen)
        {
            if (message.Kind == MoveKind.Begin) Answer(from, message, mustBeginAnew: true);
            return;
        }
        Arrival? arrival;
        lock (_arrivals) _arrivals.TryGetValue(message.Slot, out arrival);
        if (message.Kind == MoveKind.Begin) arrival = Begin(from, message, arrival);
        else if (arrival is not null && (arrival.From != from || arrival.Attempt != message.Attempt || arrival.Move != message.Move)) arrival = null;
        if (arrival is null)
        {
            // Of an attempt that has begun anew, or of a move that this silo does not know of yet.
            if (message.Kind == MoveKind.Begin) Answer(from, message, mustBeginAnew: true);
            return;
        }
        try
        {
            Apply(arrival, message);
        }
        catch (Exception e)
        {
            LogFailed(_logger, e, message.Slot, from);
            lock (_arrivals) _arrivals.Remove(message.Slot);
            Drop(arrival);
            Answer(from, message, mustBeginAnew: true);
            return;
        }
        if (message.Kind == MoveKind.End && _files.Aof.RepliesWait) _ = AnswerWhenDurableAsync(from, message);
        else Answer(from, message);
    }

    private Arrival? Begin(SiloId from, MoveMessage message, Arrival? former)
    {
        if (former is not null)
        {
            lock (_arrivals) _arrivals.Remove(message.Slot);
            Drop(former);
        }
        // Until this silo's own files are loaded, and its former slot of that number is gone, there is no room for another one.
        if (!IsWanted(message.Slot, message.Move) || !_driver.Slots.IsLoaded || _store.Slots[message.Slot] is not null) return null;
        // The one that the map will give it is the next.
        var arrival = new Arrival(from, message.Move, message.Attempt, _store.Slots.Create(message.Slot, message.First + 1), _files.Aof.RewritesBegun);
        lock (_arrivals) _arrivals.Add(message.Slot, arrival);
        return arrival;
    }

    private void Apply(Arrival arrival, MoveMessage message)
    {
        switch (message.Kind)
        {
            case MoveKind.Piece:
                _replay.Value.Load(arrival.Slot, message.Bytes.Span);
                break;
            case MoveKind.SnapshotEnd:
                arrival.At = message.First;
                SlotPassage.LogArrival(_store, arrival.Slot);
                arrival.IsLogged = true;
                break;
            case MoveKind.Record:
                if (message.Second <= arrival.At) break;
                if (message.First > arrival.At + 1) throw new InvalidDataException($"effects {arrival.At + 1} to {message.First - 1} are missing");
                SlotPassage.Apply(_store, arrival.Slot, message.Bytes.Span, arrival.At + 1 - message.First, _replay.Value);
                arrival.At = message.Second;
                break;
            case MoveKind.End:
                if (message.First != arrival.At) throw new InvalidDataException($"it ends at effect {message.First}, but {arrival.At} were received");
                SlotPassage.Finish(_store, arrival.Slot);
                // From here on its owner may be gone, so that snapshots must have it, though nobody may use it yet.
                _store.Slots.PublishSuspended(arrival.Slot);
                if (_files.Aof.RewritesBegun != arrival.RewritesBegun) SlotPassage.LogAgain(_store, arrival.Slot);
                arrival.IsComplete = true;
                break;
        }
    }

    private void Drop(Arrival arrival)
    {
        if (arrival.IsLogged) SlotPassage.LogDeparture(_store, arrival.Slot);
        SlotReplay.Abandon(_store, arrival.Slot);
    }

    private async Task AnswerWhenDurableAsync(SiloId from, MoveMessage message)
    {
        long position = _files.Aof.Appended;
        if (await ((ICommittingLog)_files.Aof).TryWhenCommitted(position).ConfigureAwait(false)) Answer(from, message);
        else Answer(from, message, mustBeginAnew: true);
    }

    private void Answer(SiloId to, MoveMessage message, bool mustBeginAnew = false)
    {
        var credit = new MoveMessage(MoveKind.Credit, message.Slot, message.Move, message.Attempt, message.Cost, mustBeginAnew ? 1 : 0, default);
        // If there is no room for so little, the owner waits until the connection breaks.
        _bus.TrySend(to, (byte)MoveKind.Credit, credit.Encode());
    }

    [LoggerMessage(LogLevel.Warning, "Slot {Slot} could not be received from silo {From}, which begins anew")]
    private static partial void LogFailed(ILogger logger, Exception error, int slot, SiloId from);

    /// <summary>A slot that is arriving. Of the arrivals' thread alone until it is complete.</summary>
    internal sealed class Arrival(SiloId from, long move, long attempt, Slot slot, long rewritesBegun)
    {
        public SiloId From { get; } = from;

        public long Move { get; } = move;

        public long Attempt { get; } = attempt;

        public Slot Slot { get; } = slot;

        /// <summary>
        /// <see cref="AppendLog.RewritesBegun"/> when it began. A rewrite of the log whose instant comes before the slot is
        /// published leaves it out.
        /// </summary>
        public long RewritesBegun { get; } = rewritesBegun;

        /// <summary>The owner's number of the last effect that is here.</summary>
        public long At { get; set; }

        /// <summary>Whether the silo's log has been told of its keys.</summary>
        public bool IsLogged { get; set; }

        public volatile bool IsComplete;
    }
}
