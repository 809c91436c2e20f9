using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// The cluster of a node that is alone: what it owns, and whatever other nodes it has been told of, in
/// cluster-config-file. The file is Redis's, so that either server can go on with what the other has left. It is replaced
/// as a whole with every change, before that is in force: after a crash it is the old one or the new one. While the
/// process runs the file is locked, as with Redis.
/// </summary>
public sealed class NodesFile : IClusterTopology, IClusterControl, IDisposable
{
    /// <summary>What flock says of a file that another process has locked: on Linux, and on macOS.</summary>
    private const int Eagain = 11, EagainElsewhere = 35;

    private readonly Store _store;
    private readonly string _path;
    private readonly SemaphoreSlim _changing = new(1, 1);
    private FileStream? _file; // open for as long as it is locked; replaced within _changing
    private ClusterMap _map = null!;

    private NodesFile(Store store, string path) => (_store, _path) = (store, path);

    /// <inheritdoc/>
    public event Action<ClusterMap>? Changed;

    /// <inheritdoc/>
    public ClusterMap Map => Volatile.Read(ref _map);

    /// <inheritdoc/>
    public IReadOnlyList<ClusterLink> Links => [];

    /// <inheritdoc/>
    public IReadOnlyList<ClusterMessages> Messages => [];

    private ServerOptions Options => _store.Options;

    /// <summary>Reads the file, or makes a new node if there is none.</summary>
    /// <exception cref="LoadException">The file cannot be used, and the server must not start.</exception>
    public static NodesFile Open(Store store, ServerConfiguration configuration)
    {
        string path = Path.Combine(store.Options.Dir, store.Options.ClusterConfigFile);
        var nodes = new NodesFile(store, path);
        try
        {
            nodes.Load();
        }
        catch (FormatException damage)
        {
            nodes.Dispose();
            throw new LoadException($"Unrecoverable error: corrupted cluster config file \"{damage.Message}\".", damage);
        }
        catch (IOException locked) when (nodes._file is null && locked.HResult is Eagain or EagainElsewhere)
        {
            nodes.Dispose();
            throw new LoadException($"Sorry, the cluster configuration file {path} is already used by a different Redis Cluster node. Please make sure that "
                + "different nodes use different cluster configuration files.", locked);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            nodes.Dispose();
            throw new LoadException($"The cluster configuration file {path} cannot be read or written: {AtomicFile.Reason(failure)}", failure);
        }
        configuration.OnChange(
            ["cluster-announce-ip", "cluster-announce-port", "cluster-announce-tls-port", "cluster-announce-bus-port", "cluster-announce-hostname",
                "cluster-announce-human-nodename", "port", "tls-port"],
            async () => await nodes.ChangeAsync(draft => { draft.Myself = nodes.Announced(draft.Myself); return null; }).ConfigureAwait(false));
        return nodes;
    }

    /// <summary>
    /// To be called when the data is loaded: makes the slots that have keys this node's, if they are nobody's, as Redis
    /// does.
    /// </summary>
    /// <exception cref="LoadException">There are keys in another database than 0.</exception>
    public async Task CheckDataAsync()
    {
        for (int database = 1; database < _store.Slots.Databases; database++)
        {
            if (_store.Slots.KeyCount(database) != 0) throw new LoadException("You can't have keys in a DB different than DB 0 when in Cluster mode. Exiting.");
        }
        if (!NeedsClaims(Map)) return;
        (int owned, int imported) = (Map.AssignedCount, Map.Importing.Count);
        if (await ChangeAsync(ClaimSlotsWithKeys).ConfigureAwait(false) is { } failure) throw new LoadException(failure);
        if (Map.AssignedCount != owned) _store.Log.Notice($"There are keys in {Map.AssignedCount - owned} slots that were nobody's: they are this node's now.");
        if (Map.Importing.Count != imported)
            _store.Log.Warning($"There are keys in {Map.Importing.Count - imported} slots that are another node's: they count as being imported.");
    }

    /// <inheritdoc/>
    public int CountFailureReports(ClusterNode node) => 0;

    /// <inheritdoc/>
    public Task<string?> AddSlotsAsync(IReadOnlyList<int> slots) => ChangeAsync(draft =>
    {
        foreach (int slot in slots)
        {
            if (draft.Owners[slot] is not null) return ClusterErrors.SlotIsBusy(slot);
            draft.Owners[slot] = draft.MyselfId;
            draft.Importing.Remove(slot);
        }
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> RemoveSlotsAsync(IReadOnlyList<int> slots) => ChangeAsync(draft =>
    {
        foreach (int slot in slots)
        {
            if (draft.Owners[slot] is null) return ClusterErrors.SlotIsUnassigned(slot);
            draft.Owners[slot] = null;
            draft.Importing.Remove(slot);
        }
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> FlushSlotsAsync() => ChangeAsync(draft =>
    {
        if (_store.Slots.KeyCount(0) != 0) return "ERR DB must be empty to perform CLUSTER FLUSHSLOTS.";
        foreach (ref string? owner in draft.Owners.AsSpan())
        {
            if (owner == draft.MyselfId) owner = null;
        }
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> BeginMigratingAsync(int slot, string nodeId) => ChangeAsync(draft =>
    {
        if (draft.Owners[slot] != draft.MyselfId) return $"ERR I'm not the owner of hash slot {slot}";
        if (WhyNoPeer(draft, nodeId) is { } error) return error;
        draft.Migrating[slot] = nodeId;
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> BeginImportingAsync(int slot, string nodeId) => ChangeAsync(draft =>
    {
        if (draft.Owners[slot] == draft.MyselfId) return $"ERR I'm already the owner of hash slot {slot}";
        if (WhyNoPeer(draft, nodeId) is { } error) return error;
        draft.Importing[slot] = nodeId;
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> StabilizeAsync(int slot) => ChangeAsync(draft =>
    {
        draft.Migrating.Remove(slot);
        draft.Importing.Remove(slot);
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> GiveSlotAsync(int slot, string nodeId) => ChangeAsync(draft =>
    {
        if (draft.Nodes.Find(node => node.Id == nodeId) is not { } node) return ClusterErrors.UnknownNode(nodeId);
        if (node.IsReplica) return ClusterErrors.NoMaster;
        bool hasKeys = _store.Slots.KeyCount(0, slot) != 0, isForMe = nodeId == draft.MyselfId;
        if (hasKeys && draft.Owners[slot] == draft.MyselfId && !isForMe)
            return $"ERR Can't assign hashslot {slot} to a different node while I still hold keys for this hash slot.";
        if (!hasKeys) draft.Migrating.Remove(slot);
        draft.Owners[slot] = nodeId;
        // A higher epoch, so that others believe it.
        if (isForMe && draft.Importing.Remove(slot)) RaiseEpoch(draft);
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> ForgetAsync(string nodeId) => ChangeAsync(draft =>
    {
        if (draft.Nodes.Find(node => node.Id == nodeId) is not { } node) return ClusterErrors.UnknownNode(nodeId);
        if (nodeId == draft.MyselfId) return "ERR I tried hard but I can't forget myself...";
        Forget(draft, node);
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> SetEpochAsync(long epoch) => ChangeAsync(draft =>
    {
        if (draft.Nodes.Count > 1) return "ERR The user can assign a config epoch only when the node does not know any other node.";
        if (draft.Myself.Epoch != 0) return "ERR Node config epoch is already non-zero";
        draft.Myself = draft.Myself with { Epoch = epoch };
        draft.CurrentEpoch = Math.Max(draft.CurrentEpoch, epoch);
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> RaiseEpochAsync() => ChangeAsync(draft =>
    {
        RaiseEpoch(draft);
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> ResetAsync(bool hard) => ChangeAsync(draft =>
    {
        if (_store.Slots.KeyCount(0) != 0) return "ERR CLUSTER RESET can't be called with master nodes containing keys";
        Array.Clear(draft.Owners);
        draft.Migrating.Clear();
        draft.Importing.Clear();
        draft.Nodes.RemoveAll(node => node.Id != draft.MyselfId);
        if (!hard) return null;
        draft.Myself = draft.Myself with { Epoch = 0 };
        draft.CurrentEpoch = draft.LastVoteEpoch = 0;
        string id = ClusterNode.NewId();
        draft.Nodes[0] = draft.Nodes[0] with { Id = id, ShardId = ClusterNode.NewId() };
        draft.MyselfId = id;
        return null;
    });

    /// <inheritdoc/>
    public Task<string?> SaveAsync() => ChangeAsync(static _ => null);

    /// <inheritdoc/>
    public void Dispose()
    {
        _file?.Dispose();
        _changing.Dispose();
    }

    private static void RaiseEpoch(ClusterMapDraft draft)
    {
        ClusterNode myself = draft.Myself;
        if (myself.Epoch != 0 && myself.Epoch == draft.Nodes.Max(node => node.Epoch)) return;
        draft.Myself = myself with { Epoch = ++draft.CurrentEpoch };
    }

    private static void Forget(ClusterMapDraft draft, ClusterNode node)
    {
        foreach (ref string? owner in draft.Owners.AsSpan())
        {
            if (owner == node.Id) owner = null;
        }
        foreach (SortedDictionary<int, string> way in new[] { draft.Migrating, draft.Importing })
        {
            foreach (int slot in way.Where(entry => entry.Value == node.Id).Select(entry => entry.Key).ToArray()) way.Remove(slot);
        }
        draft.Nodes.Remove(node);
        for (int i = 0; i < draft.Nodes.Count; i++)
        {
            if (draft.Nodes[i].MasterId == node.Id) draft.Nodes[i] = draft.Nodes[i] with { MasterId = null };
        }
    }

    /// <summary>Why a slot cannot go to this node, or come from it; null if it can.</summary>
    private static string? WhyNoPeer(ClusterMapDraft draft, string nodeId)
    {
        if (draft.Nodes.Find(node => node.Id == nodeId) is not { } node) return $"ERR I don't know about node {nodeId}";
        return node.IsReplica ? ClusterErrors.NoMaster : null;
    }

    private bool NeedsClaims(ClusterMap map)
    {
        for (int slot = 0; slot < KeySlot.Count; slot++)
        {
            if (_store.Slots.KeyCount(0, slot) != 0 && !map.IsMine(slot) && !map.Importing.ContainsKey(slot)) return true;
        }
        return false;
    }

    private string? ClaimSlotsWithKeys(ClusterMapDraft draft)
    {
        for (int slot = 0; slot < KeySlot.Count; slot++)
        {
            if (_store.Slots.KeyCount(0, slot) == 0 || draft.Owners[slot] == draft.MyselfId || draft.Importing.ContainsKey(slot)) continue;
            if (draft.Owners[slot] is { } owner) draft.Importing[slot] = owner;
            else draft.Owners[slot] = draft.MyselfId;
        }
        return null;
    }

    private void Load()
    {
        _file = new(_path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        byte[] bytes = new byte[_file.Length];
        _file.ReadExactly(bytes);
        ClusterMapDraft draft;
        if (bytes.Length == 0)
        {
            string id = ClusterNode.NewId();
            draft = new(id);
            draft.Nodes.Add(new(id, ClusterNode.NewId()));
            _store.Log.Notice($"No cluster configuration found, I'm {id}");
        }
        else
        {
            draft = NodesText.Read(Encoding.UTF8.GetString(bytes));
            _store.Log.Notice($"Node configuration loaded, I'm {draft.MyselfId}");
        }
        draft.Myself = Announced(draft.Myself);
        _map = draft.Build(version: 1);
        Write(_map);
    }

    /// <summary>This node, as the directives announce it.</summary>
    private ClusterNode Announced(ClusterNode myself)
    {
        int port = Options.ClusterAnnouncePort != 0 ? Options.ClusterAnnouncePort : Options.Port;
        int tlsPort = Options.ClusterAnnounceTlsPort != 0 ? Options.ClusterAnnounceTlsPort : Options.TlsPort;
        return myself with
        {
            Ip = Options.ClusterAnnounceIp,
            Port = port,
            TlsPort = tlsPort,
            BusPort = Options.ClusterAnnounceBusPort != 0 ? Options.ClusterAnnounceBusPort
                : Options.ClusterPort != 0 ? Options.ClusterPort : (Options.Port != 0 ? Options.Port : Options.TlsPort) + 10000,
            HostName = Options.ClusterAnnounceHostname,
            HumanName = Options.ClusterAnnounceHumanNodename,
        };
    }

    /// <summary>
    /// Changes the map, unless <paramref name="change"/> returns an error. It is asked twice: before the file is written,
    /// and once more when nobody runs a command, since what it depends on (whether a slot has keys) may have changed
    /// meanwhile.
    /// </summary>
    private async Task<string?> ChangeAsync(Func<ClusterMapDraft, string?> change)
    {
        await _changing.WaitAsync().ConfigureAwait(false);
        try
        {
            ClusterMap before = Map;
            ClusterMapDraft draft = before.ToDraft();
            if (change(draft) is { } refused) return refused;
            ClusterMap after = draft.Build(before.Version + 1);
            if (await TryWriteAsync(after).ConfigureAwait(false) is { } failure) return failure;
            string? late;
            await _store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
            try
            {
                late = change(before.ToDraft());
                if (late is null) Volatile.Write(ref _map, after);
            }
            finally
            {
                _store.SiloGate.ExitExclusive();
            }
            if (late is null) Changed?.Invoke(before);
            else await TryWriteAsync(before).ConfigureAwait(false);
            return late;
        }
        finally
        {
            _changing.Release();
        }
    }

    private Task<string?> TryWriteAsync(ClusterMap map) => Task.Run(() =>
    {
        try
        {
            Write(map);
            return null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return $"ERR error saving the cluster node config: {AtomicFile.Reason(failure)}";
        }
    });

    /// <summary>Writes a new file, which is locked before it takes the old one's place.</summary>
    private void Write(ClusterMap map)
    {
        string temporary = $"{_path}.tmp-{Environment.ProcessId}-{Environment.TickCount64}";
        var file = new FileStream(temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        try
        {
            file.Write(Encoding.UTF8.GetBytes(NodesText.Write(map)));
            file.Flush(flushToDisk: true);
            AtomicFile.Publish(temporary, _path);
        }
        catch
        {
            file.Dispose();
            File.Delete(temporary);
            throw;
        }
        _file?.Dispose();
        _file = file;
    }
}
