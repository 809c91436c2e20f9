using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>Why a request is not served here in Redis Cluster's protocol.</summary>
internal enum ClusterRefusal : byte
{
    /// <summary>It is served here.</summary>
    None,

    /// <summary>Its keys are in several slots.</summary>
    CrossSlot,

    /// <summary>Only some of its keys are here, since their slot is under way.</summary>
    Unstable,

    /// <summary>The cluster is down.</summary>
    Down,

    /// <summary>The cluster is down, and only read.</summary>
    DownForWrites,

    /// <summary>Its slot is nobody's.</summary>
    Unbound,

    /// <summary>Its keys may be where their slot is going to.</summary>
    Ask,

    /// <summary>Its slot is another node's.</summary>
    Moved,
}

/// <summary>What becomes of a request.</summary>
/// <param name="Refusal">Why it is not served here.</param>
/// <param name="Slot">The slot of its keys; -1 if it has none.</param>
/// <param name="Node">Where to go instead.</param>
/// <param name="DependsOnKeys">
/// Its slot is under way, so whether it is served here depends on which keys are: to be decided in the slot's gate, with
/// <see cref="ClusterFace.JudgeByKeys"/>.
/// </param>
internal readonly record struct ClusterVerdict(ClusterRefusal Refusal, int Slot = -1, ClusterNode? Node = null, bool DependsOnKeys = false)
{
    public bool IsRefused => Refusal != ClusterRefusal.None;
}

/// <summary>
/// Redis Cluster's protocol (cluster-enabled yes): which requests are served here, and what is told of the others. These
/// are the rules of Redis's getNodeByQuery, over whatever knows the cluster.
/// </summary>
public sealed class ClusterFace
{
    private readonly Store _store;
    private bool _wasOk;

    [ThreadStatic]
    private static List<int>? t_positions;

    /// <summary>From now on, commands of the store obey these rules.</summary>
    /// <param name="store">The data of this node.</param>
    /// <param name="configuration">The directives.</param>
    /// <param name="topology">What is known of the cluster.</param>
    /// <param name="control">Who changes it.</param>
    public ClusterFace(Store store, ServerConfiguration configuration, IClusterTopology topology, IClusterControl control)
    {
        (_store, Topology, Control) = (store, topology, control);
        _wasOk = IsOk(topology.Map);
        topology.Changed += OnChanged;
        configuration.OnChange(["cluster-require-full-coverage"], () =>
        {
            TellState(Map);
            return new((string?)null);
        });
        store.Cluster = this;
        store.Restrict(Restrictions.Clustered);
    }

    /// <summary>What is known of the cluster.</summary>
    public IClusterTopology Topology { get; }

    /// <summary>Who changes it.</summary>
    public IClusterControl Control { get; }

    /// <summary>The map in force.</summary>
    public ClusterMap Map => Topology.Map;

    /// <summary>Whether the cluster serves requests, by a map.</summary>
    public bool IsOk(ClusterMap map) => map.HasMajority && (map.IsCovered || !_store.Options.ClusterRequireFullCoverage);

    /// <summary>How a client is told where a node is: an address or a name, or nothing.</summary>
    public string Endpoint(ClusterNode node, Session session) => _store.Options.ClusterPreferredEndpointType switch
    {
        ClusterEndpointType.Ip => IpOf(node, session),
        ClusterEndpointType.Hostname => node.HostName.Length != 0 ? node.HostName : "?",
        _ => "",
    };

    /// <summary>A node's address: of this one, if it has announced none, that by which the client has come.</summary>
    public string IpOf(ClusterNode node, Session session) =>
        node.Ip.Length == 0 && node.Id == Map.Myself.Id ? session.LocalIp : node.Ip;

    /// <summary>
    /// Whether a request is certainly served here: the usual case, and cheap to check. If this is false,
    /// <see cref="Judge"/> decides.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal bool IsPlain(CommandInfo command, in CommandContext call)
    {
        if (call.Session.Asking != Asking.No) return false;
        if (command.Keys.Count == 0) return !command.Is(CommandFlags.RunsQueue);
        int single = command.SingleKey;
        if (single == 0 || single >= call.Count) return false;
        ClusterMap map = Map;
        return map.IsSettledHere(call.SlotHint >= 0 ? call.SlotHint : KeySlot.Of(call.Request[single])) && IsOk(map);
    }

    /// <summary>What becomes of a request, as far as that can be said without a look at the keys.</summary>
    internal ClusterVerdict Judge(CommandInfo command, in Request request, Session session) => Decide(Map, command, request, session, looksAtKeys: false);

    /// <summary>The same for a request whose slot is under way: the slot's gate is held, or everything is.</summary>
    internal ClusterVerdict JudgeByKeys(CommandInfo command, in Request request, Session session) =>
        Decide(Map, command, request, session, looksAtKeys: true);

    /// <summary>The error to reply.</summary>
    internal string Error(in ClusterVerdict verdict, Session session) => verdict.Refusal switch
    {
        ClusterRefusal.CrossSlot => "CROSSSLOT Keys in request don't hash to the same slot",
        ClusterRefusal.Unstable => "TRYAGAIN Multiple keys request during rehashing of slot",
        ClusterRefusal.Down => "CLUSTERDOWN The cluster is down",
        ClusterRefusal.DownForWrites => "CLUSTERDOWN The cluster is down and only accepts read commands",
        ClusterRefusal.Unbound => "CLUSTERDOWN Hash slot not served",
        _ => $"{(verdict.Refusal == ClusterRefusal.Ask ? "ASK" : "MOVED")} {verdict.Slot} "
            + $"{Endpoint(verdict.Node!, session)}:{verdict.Node!.PortFor(session.UsesTls)}",
    };

    /// <summary>The error for a command of a script.</summary>
    internal static string ErrorInScript(in ClusterVerdict verdict, CommandInfo command) => "ERR " + verdict.Refusal switch
    {
        ClusterRefusal.CrossSlot => $"Command '{command.Name}' in script attempted to access keys that don't hash to the same slot",
        ClusterRefusal.Unstable =>
            $"Unable to execute command '{command.Name}' in script because undeclared keys were accessed during rehashing of the slot",
        ClusterRefusal.Down => "Script attempted to execute a command while the cluster is down",
        ClusterRefusal.DownForWrites => "Script attempted to execute a write command while the cluster is down and readonly",
        ClusterRefusal.Unbound => "Script attempted to access a slot not served",
        _ => "Script attempted to access a non local key in a cluster node",
    };

    private ClusterVerdict Decide(ClusterMap map, CommandInfo command, in Request request, Session session, bool looksAtKeys)
    {
        var keys = new KeysOfRequest(_store, map, looksAtKeys);
        bool isPubSub = false;
        if (command.Is(CommandFlags.RunsQueue))
        {
            if (session.Transaction is not { IsOpen: true } transaction) return default;
            foreach (QueuedCommand queued in transaction.Queue)
            {
                isPubSub |= Publishes(queued.Command);
                if (keys.Add(queued.Command, queued.Request.Request, isPubSub) is var refusal and not ClusterRefusal.None) return new(refusal, keys.Slot);
            }
        }
        else
        {
            isPubSub = Publishes(command);
            if (keys.Add(command, request, isPubSub) is var refusal and not ClusterRefusal.None) return new(refusal, keys.Slot);
        }
        if (keys.Slot < 0) return default; // without keys it may run anywhere
        int slot = keys.Slot;
        CommandFlags flags = session.FlagsOf(command);
        bool isWrite = (flags & CommandFlags.Write) != 0;
        if (!IsOk(map))
        {
            if (isPubSub)
            {
                if (!_store.Options.ClusterAllowPubsubshardWhenDown) return new(ClusterRefusal.Down, slot);
            }
            else if (!_store.Options.ClusterAllowReadsWhenDown)
            {
                return new(ClusterRefusal.Down, slot);
            }
            else if (isWrite)
            {
                return new(ClusterRefusal.DownForWrites, slot);
            }
        }
        ClusterNode owner = map.OwnerOf(slot)!;
        if (keys.IsMigrating || keys.IsImporting)
        {
            // MIGRATE moves the keys themselves.
            if (command.Is(CommandFlags.MovesKeys)) return new(ClusterRefusal.None, slot);
            if (!looksAtKeys && !isPubSub && (keys.IsMigrating || (keys.AreSeveral && IsAsked(command, session))))
                return new(ClusterRefusal.None, slot, DependsOnKeys: true);
            if (keys.IsMigrating && keys.Missing != 0)
                return keys.Existing != 0 ? new(ClusterRefusal.Unstable, slot) : new(ClusterRefusal.Ask, slot, map.Migrating[slot]);
            if (keys.IsImporting && IsAsked(command, session))
                return new(keys.AreSeveral && keys.Missing != 0 ? ClusterRefusal.Unstable : ClusterRefusal.None, slot);
        }
        if (ReferenceEquals(owner, map.Myself)) return new(ClusterRefusal.None, slot);
        if ((session.ReadsFromReplica || isPubSub) && !isWrite && map.Myself.IsReplica && map.Myself.MasterId == owner.Id)
            return new(ClusterRefusal.None, slot);
        return new(ClusterRefusal.Moved, slot, owner);
    }

    private static bool IsAsked(CommandInfo command, Session session) => session.Asking != Asking.No || command.Is(CommandFlags.Asking);

    /// <summary>Whether a command is about shard channels (other than to leave them), whose names stand where keys do.</summary>
    private static bool Publishes(CommandInfo command) => command.Is(CommandFlags.PubSub) && command.Channels is not null && command.Keys.Count != 0;

    private void OnChanged(ClusterMap before)
    {
        ClusterMap after = Map;
        TellState(after);
        _store.PubSub?.EndShardSubscriptions(slot => before.IsMine(slot) && !after.IsMine(slot));
        _ = RedirectBlockedAsync(before, after);
    }

    private void TellState(ClusterMap map)
    {
        bool isOk = IsOk(map);
        if (isOk == _wasOk) return;
        _wasOk = isOk;
        if (isOk) _store.Log.Notice("Cluster state changed: ok");
        else _store.Log.Warning("Cluster state changed: fail");
    }

    /// <summary>Commands that wait for keys in slots that are not here any more are told where to go.</summary>
    private async Task RedirectBlockedAsync(ClusterMap before, ClusterMap after)
    {
        bool isDown = IsOk(before) && !IsOk(after);
        for (int number = 0; number < KeySlot.Count; number++)
        {
            bool isLost = before.IsMine(number) && !after.IsMine(number) && !after.Importing.ContainsKey(number);
            if ((!isLost && !isDown) || _store.Slots[number] is not { Watchers.BlockingKeys: > 0 } slot) continue;
            ClusterVerdict verdict = isDown ? new(ClusterRefusal.Down, number)
                : after.OwnerOf(number) is { } owner ? new(ClusterRefusal.Moved, number, owner) : new(ClusterRefusal.Unbound, number);
            await _store.VisitAsync(slot, (this, verdict), static (slot, my) => my.Item1.RefuseBlocked(slot, my.verdict)).ConfigureAwait(false);
        }
    }

    private void RefuseBlocked(Slot slot, ClusterVerdict verdict)
    {
        foreach (BlockedKey key in slot.Watchers?.All<BlockedKey>() ?? [])
        {
            foreach (BlockedCommand command in key.Waiting) command.TryRefuse(Error(verdict, command.Session));
        }
    }

    /// <summary>Gathers what the rules ask about the keys of a request, or of all requests of a transaction.</summary>
    private ref struct KeysOfRequest(Store store, ClusterMap map, bool looksAtKeys)
    {
        private byte[]? _first; // only of a slot that is being imported

        /// <summary>The slot of all keys; -1 while there are none.</summary>
        public int Slot { get; private set; } = -1;

        public bool IsMigrating { get; private set; }

        public bool IsImporting { get; private set; }

        /// <summary>Whether there are different keys, in a slot that is being imported.</summary>
        public bool AreSeveral { get; private set; }

        public int Missing { get; private set; }

        public int Existing { get; private set; }

        public ClusterRefusal Add(CommandInfo command, in Request request, bool isPubSub)
        {
            List<int> positions = t_positions ??= [];
            positions.Clear();
            for (int i = 0; i < command.Keys.Count; i++)
            {
                if (!command.Keys[i].TryLocate(request, positions)) break;
            }
            foreach (int position in positions)
            {
                ReadOnlySpan<byte> key = request[position];
                int slot = KeySlot.Of(key);
                if (Slot < 0)
                {
                    Slot = slot;
                    if (map.OwnerOf(slot) is null) return ClusterRefusal.Unbound;
                    IsMigrating = map.IsMine(slot) && map.Migrating.ContainsKey(slot);
                    IsImporting = !IsMigrating && map.Importing.ContainsKey(slot);
                    if (IsImporting) _first = key.ToArray();
                }
                else if (slot != Slot)
                {
                    return ClusterRefusal.CrossSlot;
                }
                else if (IsImporting && !key.SequenceEqual(_first))
                {
                    AreSeveral = true;
                }
                if (!looksAtKeys || isPubSub || !(IsMigrating || IsImporting)) continue;
                if (IsHere(key)) Existing++;
                else Missing++;
            }
            return ClusterRefusal.None;
        }

        private readonly bool IsHere(ReadOnlySpan<byte> key)
        {
            if (store.Slots[Slot]?.KeyspaceIfAny(0) is not { } keyspace) return false;
            Entry entry = keyspace.Find(key);
            return !entry.IsMissing && entry.ExpiresAtMs > store.Clock.NowMs;
        }
    }
}

/// <summary>ASKING: whether a slot that is being imported is served to a session.</summary>
public enum Asking : byte
{
    No,

    /// <summary>To the command that follows ASKING.</summary>
    ForNext,

    /// <summary>To the command that runs now, and if that is MULTI to all up to EXEC.</summary>
    ForThis,
}
