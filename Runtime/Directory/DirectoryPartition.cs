using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>This silo's part of the grain directory. The part is what the ring of active silos says; when the ring changes, a silo that gains a stretch
/// of it asks every silo for its activations there, and answers nothing about it until all have answered or died. So the truth is always with the silos that host
/// activations, and the part can be lost with its owner. All state is under <see cref="_lock"/>.
/// <para>Why a grain has one activation: a silo counts a registration only if, after marking the activation as registered, its own view of the membership
/// is still the one at which the owner answered (<see cref="GrainDirectory.Register"/>). A new owner asks at a later view, and a silo moves to that view before it
/// answers. So an activation is either in the answer, or is registered anew with the new owner.</para></summary>
internal sealed partial class DirectoryPartition : IDirectoryPartition
{
    private readonly SiloRuntime _runtime;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Dictionary<GrainId, GrainAddress> _entries = [];
    private Recovery? _recovery;
    private DirectoryView _view;

    public DirectoryPartition(SiloRuntime runtime, ILogger logger)
    {
        _runtime = runtime;
        _logger = logger;
        _view = new DirectoryView(runtime.Membership.CurrentSnapshot, new HashRing([]));
    }

    /// <summary>The view that this silo acts by. Replaced under the lock, read by anyone.</summary>
    public DirectoryView View => Volatile.Read(ref _view);

    public int Count
    {
        get
        {
            lock (_lock) return _entries.Count;
        }
    }

    public Task<DirectoryAnswer> Register(GrainAddress address, GrainAddress? previous, MembershipVersion seen) =>
        Ask(address.GrainId, seen, (address, previous), static (partition, view, arguments) =>
        {
            (GrainAddress address, GrainAddress? previous) = arguments;
            GrainAddress? existing = partition.Find(address.GrainId, view);
            if (existing is not null && !existing.Matches(previous)) return existing;
            if (view.Snapshot.GetSiloStatus(address.SiloAddress!) == SiloStatus.Dead) return existing;
            return partition._entries[address.GrainId] = address;
        });

    public Task<DirectoryAnswer> Lookup(GrainId grainId, MembershipVersion seen) =>
        Ask(grainId, seen, grainId, static (partition, view, grainId) => partition.Find(grainId, view));

    public Task<DirectoryAnswer> Unregister(GrainAddress address, MembershipVersion seen) =>
        Ask(address.GrainId, seen, address, static (partition, _, address) =>
        {
            if (partition._entries.TryGetValue(address.GrainId, out GrainAddress? existing) && existing.Matches(address)) partition._entries.Remove(address.GrainId);
            return null;
        });

    public async Task<List<ListedActivation>> ListActivations(MembershipVersion version, List<HashRange> ranges)
    {
        await _runtime.Membership.Refresh(version).ConfigureAwait(false);
        return _runtime.Catalog.ListRegistered(ranges);
    }

    /// <summary>Moves to a later view; called for one after the other.</summary>
    public void MembershipChanged(ClusterMembershipSnapshot before, ClusterMembershipSnapshot after)
    {
        var view = new DirectoryView(after, new HashRing(after.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress)));
        Recovery? started = null;
        lock (_lock)
        {
            Recovery? unfinished = _recovery;
            // A silo that came and went between the two views may have owned, and registered, what seems to have been ours all along.
            bool missed = after.Members.Values.Any(member => member.Status.IsTerminating() && !before.GetSiloStatus(member.SiloAddress).IsTerminating() && before.GetSiloStatus(member.SiloAddress) != SiloStatus.Active);
            List<HashRange> gained = view.Ring.OwnedBy(_runtime.Silo, _view.Ring, hash => missed || (unfinished?.Covers(hash) ?? false));
            foreach ((GrainId grainId, GrainAddress address) in _entries)
            {
                uint hash = grainId.GetUniformHashCode();
                if (!_runtime.Silo.Equals(view.Ring.OwnerOf(hash)) || after.GetSiloStatus(address.SiloAddress!) == SiloStatus.Dead || gained.Exists(range => range.Contains(hash)))
                    _entries.Remove(grainId);
            }

            _recovery = started = gained.Count == 0 ? null : new Recovery(view, gained);
            Volatile.Write(ref _view, view);
            unfinished?.Done.SetResult();
        }

        if (started is not null) _ = Recover(started);
    }

    private async Task Recover(Recovery recovery)
    {
        List<ListedActivation> listed = _runtime.Catalog.ListRegistered(recovery.Ranges);
        SiloAddress[] others = [.. recovery.View.Snapshot.Members.Values
            .Where(member => member.Status is SiloStatus.Active or SiloStatus.ShuttingDown or SiloStatus.Stopping && !member.SiloAddress.Equals(_runtime.Silo))
            .Where(member => !member.SiloAddress.Equals(_runtime.Silo))
            .Select(member => member.SiloAddress)];
        if (others.Length > 0)
        {
            List<ListedActivation>[] answers = await Task.WhenAll(others.Select(silo => AskForActivations(silo, recovery))).ConfigureAwait(false);
            foreach (List<ListedActivation> answer in answers) listed.AddRange(answer);
        }

        lock (_lock)
        {
            if (!ReferenceEquals(_recovery, recovery)) return;
            // Those that are leaving first, so that the one they left for, if listed, replaces them.
            foreach (ListedActivation activation in listed.OrderByDescending(activation => activation.IsLeaving))
            {
                if (_entries.TryGetValue(activation.Address.GrainId, out GrainAddress? other) && !other.Matches(activation.Address) && !activation.IsLeaving
                    && listed.Exists(earlier => !earlier.IsLeaving && earlier.Address.Matches(other)))
                {
                    LogDuplicate(activation.Address, other);
                    _ = _runtime.SystemTarget<ISiloControl>(activation.Address.SiloAddress!).DropDuplicate(activation.Address);
                    continue;
                }

                _entries[activation.Address.GrainId] = activation.Address;
            }

            _recovery = null;
        }

        LogRecovered(recovery.Ranges.Count, listed.Count, recovery.View.Version);
        recovery.Done.SetResult();
    }

    private async Task<List<ListedActivation>> AskForActivations(SiloAddress silo, Recovery recovery)
    {
        // Until it answers or is dead: to go on without its activations would be to activate them a second time.
        for (int attempt = 1; ReferenceEquals(Volatile.Read(ref _recovery), recovery) && !_runtime.Membership.IsDeadSilo(silo) && !_runtime.IsDead; attempt++)
        {
            try
            {
                return await _runtime.SystemTarget<IDirectoryPartition>(silo).ListActivations(recovery.View.Version, recovery.Ranges).ConfigureAwait(false);
            }
            catch (Exception exception)
            {
                LogNoList(exception, silo);
                await Task.Delay(TimeSpan.FromMilliseconds(Math.Min(1000, 50 * attempt)), _runtime.Clock).ConfigureAwait(false);
            }
        }

        return [];
    }

    private async Task<DirectoryAnswer> Ask<TArguments>(GrainId grainId, MembershipVersion seen, TArguments arguments, Func<DirectoryPartition, DirectoryView, TArguments, GrainAddress?> answer)
    {
        if (View.Version < seen) await _runtime.Membership.Refresh(seen).ConfigureAwait(false);
        uint hash = grainId.GetUniformHashCode();
        while (true)
        {
            Task recovered;
            lock (_lock)
            {
                if (!_runtime.Silo.Equals(_view.Ring.OwnerOf(hash))) return new DirectoryAnswer(false, _view.Version, null);
                if (_recovery is null || !_recovery.Covers(hash)) return new DirectoryAnswer(true, _view.Version, answer(this, _view, arguments));
                recovered = _recovery.Done.Task;
            }

            await recovered.ConfigureAwait(false);
        }
    }

    /// <summary>Under the lock.</summary>
    private GrainAddress? Find(GrainId grainId, DirectoryView view) =>
        _entries.TryGetValue(grainId, out GrainAddress? address) && view.Snapshot.GetSiloStatus(address.SiloAddress!) != SiloStatus.Dead ? address : null;

    [LoggerMessage(1101, LogLevel.Debug, "Recovered {Ranges} ranges of the directory with {Activations} activations at version {Version}")]
    private partial void LogRecovered(int ranges, int activations, MembershipVersion version);

    [LoggerMessage(1102, LogLevel.Warning, "Silo {Silo} does not list its activations; asking again")]
    private partial void LogNoList(Exception exception, SiloAddress silo);

    [LoggerMessage(1103, LogLevel.Error, "{Activation} is a duplicate of {Other} and has to go")]
    private partial void LogDuplicate(GrainAddress activation, GrainAddress other);

    /// <summary>Stretches gained at a view whose activations are being asked for.</summary>
    private sealed class Recovery(DirectoryView view, List<HashRange> ranges)
    {
        public DirectoryView View { get; } = view;

        public List<HashRange> Ranges { get; } = ranges;

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool Covers(uint hash) => Ranges.Exists(range => range.Contains(hash));
    }
}

/// <summary>The membership as of one version, and the ring of its active silos.</summary>
internal sealed record DirectoryView(ClusterMembershipSnapshot Snapshot, HashRing Ring)
{
    public MembershipVersion Version => Snapshot.Version;

    public SiloAddress? OwnerOf(GrainId grainId) => Ring.OwnerOf(grainId.GetUniformHashCode());
}
