namespace OrleansRedis.Cluster;

/// <summary>
/// Silos that are out by the view, and whether their leases are over. docs/architecture/cluster.md has the argument.
/// </summary>
internal sealed class Absences(ClusterSettings options)
{
    private readonly Dictionary<SiloId, Absence> _absences = [];

    /// <summary>Notes who is out by a view that has just been adopted.</summary>
    /// <param name="old">The view before, as this silo knew it.</param>
    /// <param name="view">The view.</param>
    /// <param name="oldEstablishedAt">Since when the old view is known to be established; null if it is not.</param>
    /// <param name="now">The time.</param>
    public void Note(ClusterView old, ClusterView view, long? oldEstablishedAt, long now)
    {
        // Whose node has a later life in, is over anyway.
        foreach (SiloId silo in _absences.Keys.Where(silo => view.ContainsNode(silo.Node)).ToArray()) _absences.Remove(silo);
        bool isNext = view.Version == old.Version + 1;
        foreach (Member member in old.Members)
        {
            if (view.Contains(member.Id)) continue;
            // A view is proposed only when the one before is established, so that was before now.
            _absences[member.Id] = isNext ? new(view.Version, old.Nodes, oldEstablishedAt ?? now) : new(view.Version, null, now);
        }
    }

    /// <summary>Notes that a view is established: whoever is not in it has no lease for much longer.</summary>
    public void NoteEstablished(long version, long now)
    {
        foreach (Absence absence in _absences.Values)
        {
            if (version >= absence.View) absence.EstablishedAt ??= now;
        }
    }

    /// <summary>
    /// Whether a silo that is out has certainly no lease any more. A silo that was not known to be out before is noted.
    /// </summary>
    /// <param name="silo">The silo.</param>
    /// <param name="view">The view, which does not contain it.</param>
    /// <param name="viewEstablishedAt">Since when the view is known to be established.</param>
    /// <param name="quietSince">
    /// Since when a node has not heard anybody who is out by this version of the view or an older one; null if it may
    /// have an older view itself.
    /// </param>
    /// <param name="now">The time.</param>
    public bool IsOver(SiloId silo, ClusterView view, long? viewEstablishedAt, Func<long, long, long?> quietSince, long now)
    {
        if (!_absences.TryGetValue(silo, out Absence? absence))
            _absences.Add(silo, absence = new(view.Version, null, now) { EstablishedAt = viewEstablishedAt });
        long period = options.LeaseByAnyClock;
        if (now - absence.EstablishedAt >= period) return true;
        if (absence.NodesBefore is null || now - absence.BeforeEstablishedAt < period) return false;
        int quiet = 0;
        foreach (long node in absence.NodesBefore)
        {
            if (now - quietSince(node, absence.View) >= period) quiet++;
        }
        return quiet >= options.MajorityOf(absence.NodesBefore.Count);
    }

    /// <param name="view">The first view without the silo, as far as known.</param>
    /// <param name="nodesBefore">The nodes of the view just before that; null if this silo has not seen it.</param>
    /// <param name="beforeEstablishedAt">A time at which that view was established.</param>
    private sealed class Absence(long view, IReadOnlyCollection<long>? nodesBefore, long beforeEstablishedAt)
    {
        public long View { get; } = view;

        public IReadOnlyCollection<long>? NodesBefore { get; } = nodesBefore;

        public long BeforeEstablishedAt { get; } = beforeEstablishedAt;

        /// <summary>When a view without the silo was first known to be established.</summary>
        public long? EstablishedAt { get; set; }
    }
}
