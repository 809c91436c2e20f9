using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.ClusterStores;

/// <summary>What the stores in databases have in common: they ask again for a while, and a write knows itself again.</summary>
internal static class StoreRequest
{
    /// <summary>How many writers a document remembers, and so for how many versions a write can be asked about.</summary>
    public const int RememberedWriters = 64;

    /// <summary>For how long a read or a write is tried before it fails, and the pause in between.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10), s_pause = TimeSpan.FromMilliseconds(100);

    /// <summary>Tries until it succeeds, fails in a way that does not pass, or has failed for too long.</summary>
    /// <param name="attempt">One attempt.</param>
    /// <param name="mayPass">Whether a failure may pass; null if it is none of the store's.</param>
    /// <param name="cancellation">Ends the attempts.</param>
    /// <exception cref="ClusterStoreException">It has failed.</exception>
    public static async Task<T> TryAsync<T>(Func<Task<T>> attempt, Func<Exception, bool?> mayPass, CancellationToken cancellation)
    {
        long until = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                return await attempt().ConfigureAwait(false);
            }
            catch (Exception e) when (!cancellation.IsCancellationRequested && mayPass(e) is { } passes)
            {
                if (!passes || Environment.TickCount64 > until)
                    throw new ClusterStoreException($"The cluster's store fails: {e.GetBaseException().Message}", e);
            }
            await Task.Delay(s_pause, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>What is thrown when nobody remembers whether a write was made.</summary>
    public static ClusterStoreException Forgotten() =>
        new("So much has been written meanwhile that the cluster's store does not know whether this was.");
}
