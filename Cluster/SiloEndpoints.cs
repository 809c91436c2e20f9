using System.Net;

namespace OrleansRedis.Cluster;

/// <summary>
/// Where a silo is found, as its <see cref="Member.Endpoint"/> tells the others: <c>bus=10.0.0.1:31111
/// redis=10.0.0.1:6379 orleans=10.0.0.1:11111</c>. Words that are not known are passed over, so that silos of a later
/// version may say more.
/// </summary>
/// <param name="Bus">Where its bus listens.</param>
/// <param name="Redis">Where it answers Redis clients.</param>
/// <param name="Orleans">The address of its Orleans silo, without the generation.</param>
public sealed record SiloEndpoints(IPEndPoint Bus, IPEndPoint? Redis = null, IPEndPoint? Orleans = null)
{
    /// <summary>Reads what <see cref="ToString"/> has written; null if it names no bus.</summary>
    public static SiloEndpoints? Parse(string text)
    {
        IPEndPoint? bus = null, redis = null, orleans = null;
        foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = word.IndexOf('=');
            if (equals < 0 || !IPEndPoint.TryParse(word[(equals + 1)..], out IPEndPoint? address)) continue;
            switch (word[..equals])
            {
                case "bus":
                    bus = address;
                    break;
                case "redis":
                    redis = address;
                    break;
                case "orleans":
                    orleans = address;
                    break;
            }
        }
        return bus is null ? null : new(bus, redis, orleans);
    }

    public override string ToString() =>
        $"bus={Bus}{(Redis is null ? "" : $" redis={Redis}")}{(Orleans is null ? "" : $" orleans={Orleans}")}";
}
