using System.Net;

namespace OrleansRedis.Cluster;

/// <summary>
/// Where a silo is found, as its <see cref="Member.Endpoint"/> tells the others: <c>bus=10.0.0.1:31111
/// redis=10.0.0.1:6379 orleans=10.0.0.1:11111@125000000</c>. Words that are not known are passed over, so that silos of a later
/// version may say more.
/// </summary>
/// <param name="Bus">Where its bus listens.</param>
/// <param name="Redis">Where it answers Redis clients.</param>
/// <param name="Orleans">The address of its Orleans silo, as Orleans writes it; null while that does not run.</param>
public sealed record SiloEndpoints(IPEndPoint Bus, IPEndPoint? Redis = null, string? Orleans = null)
{
    /// <summary>Reads what <see cref="ToString"/> has written; null if it names no bus.</summary>
    public static SiloEndpoints? Parse(string text)
    {
        IPEndPoint? bus = null, redis = null;
        string? orleans = null;
        foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = word.IndexOf('=');
            if (equals < 0) continue;
            string value = word[(equals + 1)..];
            switch (word[..equals])
            {
                case "bus":
                    _ = IPEndPoint.TryParse(value, out bus);
                    break;
                case "redis":
                    _ = IPEndPoint.TryParse(value, out redis);
                    break;
                case "orleans":
                    orleans = value;
                    break;
            }
        }
        return bus is null ? null : new(bus, redis, orleans);
    }

    public override string ToString() =>
        $"bus={Bus}{(Redis is null ? "" : $" redis={Redis}")}{(Orleans is null ? "" : $" orleans={Orleans}")}";
}
