using System.Text;

namespace Orleans.Runtime;

/// <summary>The identities of what is not a grain: clients, observers and the runtime's own services.</summary>
internal static class WellKnownIds
{
    private const string HostedPrefix = "hosted-";

    public static GrainType Client { get; } = GrainType.Create("sys.client");

    private static ReadOnlySpan<byte> SystemPrefix => "sys.svc."u8;

    public static bool IsSystemTarget(this GrainId id) => id.Type.AsSpan().StartsWith(SystemPrefix);

    public static bool IsClient(this GrainId id) => id.Type == Client;

    public static GrainId NewClient() => GrainId.Create(Client, Guid.NewGuid().ToString("N"));

    /// <summary>The client that stands for code of a silo outside of grains.</summary>
    public static GrainId HostedClient(SiloAddress silo) => GrainId.Create(Client, HostedPrefix + silo.ToParsableString());

    /// <summary>The silo of a hosted client, or of one of its observers; null for others.</summary>
    public static SiloAddress? HostOf(GrainId client)
    {
        string key = ClientOf(client).Key.ToString();
        return key.StartsWith(HostedPrefix, StringComparison.Ordinal) && SiloAddress.TryParse(key[HostedPrefix.Length..], out SiloAddress? silo) ? silo : null;
    }

    public static GrainId Observer(GrainId client, string observer) => GrainId.Create(Client, $"{client.Key}+{observer}");

    /// <summary>The client that an observer lives on.</summary>
    public static GrainId ClientOf(GrainId observer)
    {
        ReadOnlySpan<byte> key = observer.Key.AsSpan();
        int plus = key.IndexOf((byte)'+');
        return plus < 0 ? observer : new GrainId(Client, new IdSpan(key[..plus].ToArray()));
    }

    public static string? ObserverKeyOf(GrainId observer)
    {
        ReadOnlySpan<byte> key = observer.Key.AsSpan();
        int plus = key.IndexOf((byte)'+');
        return plus < 0 ? null : Encoding.UTF8.GetString(key[(plus + 1)..]);
    }

    public static GrainId SystemTarget(Type serviceInterface) => GrainId.Create("sys.svc." + serviceInterface.Name, "0");
}
