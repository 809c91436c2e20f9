using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>What a silo has to say.</summary>
internal sealed partial class SiloRuntime
{
    public void TimerFailed(Exception exception, GrainId grain) => LogTimerFailed(exception, grain);

    public void ActivationFailed(Exception exception, GrainId grain) => LogActivationFailed(exception, grain);

    public void DeactivationFailed(Exception exception, GrainId grain) => LogDeactivationFailed(exception, grain);

    public void MigrationFailed(Exception exception, GrainId grain) => LogMigrationFailed(exception, grain);

    [LoggerMessage(1401, LogLevel.Error, "A timer of {Grain} failed")]
    private partial void LogTimerFailed(Exception exception, GrainId grain);

    [LoggerMessage(1402, LogLevel.Error, "{Grain} could not be activated")]
    private partial void LogActivationFailed(Exception exception, GrainId grain);

    [LoggerMessage(1403, LogLevel.Warning, "{Grain} was not deactivated cleanly")]
    private partial void LogDeactivationFailed(Exception exception, GrainId grain);

    [LoggerMessage(1404, LogLevel.Warning, "{Grain} could not be migrated; it will be activated anew from its storage")]
    private partial void LogMigrationFailed(Exception exception, GrainId grain);

    [LoggerMessage(1405, LogLevel.Critical, "This silo, {Silo}, has been declared dead by the others and stops")]
    private partial void LogDeclaredDead(SiloAddress silo);
}
