using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace Orleans.Runtime;

/// <summary>Probes this silo's successors on the ring of active silos, each in its own loop's round, and suspects those that miss too many probes in a row.</summary>
internal sealed partial class HealthMonitor(SiloRuntime runtime, ILogger logger)
{
    private readonly Dictionary<SiloAddress, int> _missed = []; // of Run only

    private ClusterMembershipOptions Options => runtime.Membership.Options;

    /// <summary>Whether <paramref name="silo"/> answers in time.</summary>
    public static async Task<bool> Probe(SiloRuntime runtime, SiloAddress silo, TimeSpan timeout, CancellationToken cancellation)
    {
        try
        {
            int activations = await runtime.SystemTarget<ISiloControl>(silo).Probe().WaitAsync(timeout, runtime.Clock, cancellation).ConfigureAwait(false);
            runtime.Loads.Said(silo, activations);
            return true;
        }
        catch (Exception exception) when (exception is TimeoutException or OrleansException)
        {
            return false;
        }
    }

    public async Task Run(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(Options.ProbeTimeout, runtime.Clock, stopping).ConfigureAwait(false);
                SiloAddress[] targets = Targets();
                foreach (SiloAddress gone in _missed.Keys.Except(targets).ToArray()) _missed.Remove(gone);
                bool[] reached = await Task.WhenAll(targets.Select(silo => Probe(runtime, silo, Options.ProbeTimeout, stopping))).ConfigureAwait(false);
                for (int i = 0; i < targets.Length; i++) await Judge(targets[i], reached[i], stopping).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                LogFailed(exception);
            }
        }
    }

    /// <summary>The silos to probe: the next ones on the ring, so that each is probed by several.</summary>
    private SiloAddress[] Targets()
    {
        SiloAddress[] ring = [.. runtime.Membership.CurrentSnapshot.Members.Values
            .Where(member => member.Status is SiloStatus.Active or SiloStatus.ShuttingDown or SiloStatus.Stopping)
            .Select(member => member.SiloAddress)
            .OrderBy(silo => silo.GetConsistentHashCode()).ThenBy(silo => silo)];
        int self = Array.IndexOf(ring, runtime.Silo);
        return self < 0 ? [] : [.. ring[(self + 1)..].Concat(ring[..self]).Take(Options.NumProbedSilos)];
    }

    private async Task Judge(SiloAddress silo, bool reached, CancellationToken stopping)
    {
        if (reached)
        {
            _missed.Remove(silo);
            return;
        }

        int missed = _missed[silo] = _missed.GetValueOrDefault(silo) + 1;
        LogMissed(silo, missed);
        if (missed < Options.NumMissedProbesLimit) return;
        SiloAddress? witness = null;
        if (Options.EnableIndirectProbes && Witness(silo) is { } other)
        {
            // Before this silo blames another for what may be its own network, a third has a look.
            bool? seen = await AskWitness(other, silo, stopping).ConfigureAwait(false);
            if (seen == true) return;
            witness = seen == false ? other : null;
        }

        await runtime.Membership.Suspect(silo, witness).ConfigureAwait(false);
    }

    private SiloAddress? Witness(SiloAddress silo)
    {
        SiloAddress[] others = [.. runtime.Placement.ActiveSilos.Where(other => !other.Equals(runtime.Silo) && !other.Equals(silo) && !_missed.ContainsKey(other))];
        return others.Length == 0 ? null : others[Random.Shared.Next(others.Length)];
    }

    private async Task<bool?> AskWitness(SiloAddress witness, SiloAddress silo, CancellationToken stopping)
    {
        try
        {
            return await runtime.SystemTarget<ISiloControl>(witness).ProbeIndirectly(silo, Options.ProbeTimeout).WaitAsync(Options.ProbeTimeout * 2, runtime.Clock, stopping).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is TimeoutException or OrleansException)
        {
            return null;
        }
    }

    [LoggerMessage(1021, LogLevel.Warning, "Silo {Silo} has missed {Count} probes in a row")]
    private partial void LogMissed(SiloAddress silo, int count);

    [LoggerMessage(1022, LogLevel.Error, "Probing failed; trying again")]
    private partial void LogFailed(Exception exception);
}
