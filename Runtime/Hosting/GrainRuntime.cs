namespace Orleans.Runtime;

/// <summary>What the runtime offers to grains, as one service.</summary>
internal sealed class GrainRuntime(SiloRuntime runtime, IGrainFactory factory) : IGrainRuntime, IGrainContextAccessor
{
    public string SiloIdentity => runtime.Silo.ToString();

    public SiloAddress SiloAddress => runtime.Silo;

    public IGrainFactory GrainFactory => factory;

    public IServiceProvider ServiceProvider => runtime.Services;

    public TimeProvider TimeProvider => runtime.Clock;

    public IGrainContext GrainContext => RuntimeContext.Current!;

    public void DeactivateOnIdle(IGrainContext grainContext) =>
        grainContext.Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, "DeactivateOnIdle was called"));

    public void DelayDeactivation(IGrainContext grainContext, TimeSpan timeSpan) => ((Activation)grainContext).DelayDeactivation(timeSpan);
}
