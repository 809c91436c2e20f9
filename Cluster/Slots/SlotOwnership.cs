namespace OrleansRedis.Cluster;

/// <summary>Which slots this silo serves: what follows for it from each version of the map, and its side of moves.</summary>
public sealed class SlotOwnership
{
    private readonly ClusterSettings _options;
    private readonly SiloId _self;
    private readonly ISlotHost _host;
    private readonly Action<long, SlotOffer> _offer;
    private readonly SortedDictionary<int, Holding> _holdings = [];

    /// <param name="self">This silo.</param>
    /// <param name="options">Times.</param>
    /// <param name="host">What holds the slots.</param>
    /// <param name="offer">Sends an offer to the keeper of the given time, if there is one.</param>
    internal SlotOwnership(SiloId self, ClusterSettings options, ISlotHost host, Action<long, SlotOffer> offer)
    {
        _self = self;
        _options = options;
        _host = host;
        _offer = offer;
    }

    private enum Stage
    {
        Opening,    // being recovered
        Open,       // served, and copied if a move is under way
        Draining,   // finishing what is under way; nothing new is begun
        Stopped,    // not served: the target gets the rest
        Offered,    // not served, until a newer map decides
    }

    /// <summary>The slots that are open, whether or not they are served at present.</summary>
    public IEnumerable<OwnedSlot> Slots => _holdings.Values.Where(holding => holding.Slot is not null).Select(holding => holding.Slot!);

    /// <summary>The slot, if this silo may do something to it, apart from its lease; null otherwise.</summary>
    public OwnedSlot? Find(int slot) =>
        _holdings.TryGetValue(slot, out Holding? holding) && holding.Stage is Stage.Open or Stage.Draining ? holding.Slot : null;

    /// <summary>A newer map holds.</summary>
    public void OnMap(SlotMap map, long now)
    {
        for (int slot = 0; slot < map.Count; slot++)
        {
            SlotEntry entry = map[slot];
            _holdings.TryGetValue(slot, out Holding? holding);
            if (holding is not null && (entry.Owner != _self || entry.Epoch != holding.Epoch))
            {
                _holdings.Remove(slot);
                holding.Slot?.Leave(map.Version);
                _host.Close(slot);
                holding = null;
            }
            if (entry.Owner != _self) continue;
            if (holding is null)
            {
                _holdings.Add(slot, holding = new(slot, entry.Epoch));
                _host.Open(slot, entry.Epoch);
            }
            if (holding.Move == entry.Move) continue;
            // Whatever was offered for the move before is void by this map.
            if (holding.IsCopying) _host.StopCopy(slot);
            (holding.Move, holding.Target, holding.IsCopying) = (entry.Move, entry.Target, false);
            Resume(holding, now);
        }
        StartCopies();
    }

    /// <summary>A slot has been recovered under this epoch.</summary>
    public void OnOpened(OwnedSlot slot)
    {
        if (!_holdings.TryGetValue(slot.Number, out Holding? holding) || holding.Epoch != slot.Epoch || holding.Stage != Stage.Opening) return;
        (holding.Slot, holding.Stage) = (slot, Stage.Open);
        if (holding.Move != 0) StartCopies();
    }

    /// <summary>Little is missing at the target of a move: the slot stops once it has finished what is under way.</summary>
    public void OnCopyNear(int slot, long move, long now)
    {
        if (HoldingOf(slot, move) is not { Stage: Stage.Open } holding) return;
        (holding.Stage, holding.StoppedAt) = (Stage.Draining, now);
        holding.Slot!.Drain();
        OnDrained(holding.Slot);
    }

    /// <summary>Nothing is under way in the slot any more.</summary>
    public void OnDrained(OwnedSlot slot)
    {
        if (_holdings.TryGetValue(slot.Number, out Holding? holding) && holding is { Stage: Stage.Draining } && slot.IsDrained) holding.Stage = Stage.Stopped;
    }

    /// <summary>Whether the slot has stopped for a move, so that what its log has now is all of it.</summary>
    public bool HasStopped(int slot) => _holdings.TryGetValue(slot, out Holding? holding) && holding.Stage >= Stage.Stopped;

    /// <summary>The target of a move has all of the slot, which has stopped.</summary>
    public void OnCopied(int slot, long move, long now)
    {
        if (HoldingOf(slot, move) is not { Stage: Stage.Stopped } holding) return;
        holding.Stage = Stage.Offered;
        Offer(holding, now);
    }

    /// <summary>Time has passed.</summary>
    public void Tick(long now)
    {
        foreach (Holding holding in _holdings.Values)
        {
            if (holding.Stage is Stage.Open or Stage.Draining) holding.Slot!.Tick(now);
            if (holding.Stage == Stage.Offered && now - holding.OfferedAt >= _options.Retry) Offer(holding, now);
            // The target does not get the rest; commands have waited for long enough.
            else if (holding.Stage is Stage.Draining or Stage.Stopped && now - holding.StoppedAt > _options.NodeTimeout)
            {
                Resume(holding, now);
                _host.StopCopy(holding.Number);
                _host.StartCopy(holding.Number, holding.Target, holding.Move);
            }
        }
    }

    /// <summary>Gives everything up.</summary>
    public void Clear()
    {
        foreach (int slot in _holdings.Keys) _host.Close(slot);
        _holdings.Clear();
    }

    private void Offer(Holding holding, long now)
    {
        holding.OfferedAt = now;
        _offer(now, new(_self, holding.Number, holding.Epoch, holding.Move));
    }

    private static void Resume(Holding holding, long now)
    {
        if (holding.Stage <= Stage.Open) return;
        holding.Stage = Stage.Open;
        holding.Slot!.Resume(now);
    }

    private void StartCopies()
    {
        int running = 0, waiting = 0;
        foreach (Holding holding in _holdings.Values)
        {
            if (holding.IsCopying) running++;
            else if (holding.Move != 0) waiting++;
        }
        if (waiting == 0) return;
        foreach (Holding holding in _holdings.Values)
        {
            if (running >= _options.MovesAtOnce) return;
            if (holding.Move == 0 || holding.Stage != Stage.Open || holding.IsCopying) continue;
            holding.IsCopying = true;
            running++;
            _host.StartCopy(holding.Number, holding.Target, holding.Move);
        }
    }

    private Holding? HoldingOf(int slot, long move) => _holdings.TryGetValue(slot, out Holding? holding) && holding.Move == move ? holding : null;

    private sealed class Holding(int number, long epoch)
    {
        public int Number { get; } = number;

        public long Epoch { get; } = epoch;

        public Stage Stage { get; set; }

        public OwnedSlot? Slot { get; set; }

        public long Move { get; set; }

        public SiloId Target { get; set; }

        public bool IsCopying { get; set; }

        public long StoppedAt { get; set; }

        public long OfferedAt { get; set; }
    }
}
