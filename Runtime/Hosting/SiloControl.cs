namespace Orleans.Runtime;

/// <summary>This silo's answers to other silos.</summary>
internal sealed class SiloControl(SiloRuntime runtime) : ISiloControl
{
    public Task<int> Probe() => Task.FromResult(runtime.Catalog.Count);

    public Task<bool> ProbeIndirectly(SiloAddress target, TimeSpan timeout) => HealthMonitor.Probe(runtime, target, timeout, default);

    public async Task MembershipChanged(MembershipVersion version)
    {
        if (runtime.Membership.CurrentSnapshot.Version < version) await runtime.Membership.Refresh(version).ConfigureAwait(false);
    }

    public async Task<GrainAddress> AcceptMigration(GrainAddress from, MigrationContext state)
    {
        if (runtime.Membership.LocalStatus != SiloStatus.Active) throw new OrleansException($"{runtime.Silo} takes no migrating grains: it is {runtime.Membership.LocalStatus}");
        var arrived = new TaskCompletionSource<GrainAddress>(TaskCreationOptions.RunContinuationsAsynchronously);
        Activation? prepared = null;
        Activation activation = runtime.Catalog.GetOrActivate(from.GrainId, activation =>
        {
            activation.Rehydrate(state);
            activation.ComesFrom(from, arrived);
            prepared = activation;
        });
        // One that is there already came by a request that was quicker; it cannot take the state, and cannot have been registered before the one that left.
        if (!ReferenceEquals(activation, prepared)) throw new OrleansException($"{from.GrainId} is being activated on {runtime.Silo} already");
        return await arrived.Task.ConfigureAwait(false);
    }

    public Task Emptied(SiloAddress leaving)
    {
        runtime.Directory.ForgetSilo(leaving);
        return Task.CompletedTask;
    }

    public Task DropDuplicate(GrainAddress activation)
    {
        if (runtime.Catalog.Find(activation.GrainId) is { } found && found.ActivationId == activation.ActivationId)
            found.Deactivate(new DeactivationReason(DeactivationReasonCode.DuplicateActivation, "The grain is active on another silo"));
        return Task.CompletedTask;
    }

    public Task<bool> HasClient(GrainId client) => Task.FromResult(runtime.Clients.IsConnected(client));
}
