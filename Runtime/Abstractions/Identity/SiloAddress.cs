using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Orleans.Runtime;

/// <summary>A silo: its endpoint, and the generation that tells one life of a process at that endpoint from the next. A later life has a larger generation.</summary>
public sealed class SiloAddress : IEquatable<SiloAddress>, IComparable<SiloAddress>, ISpanFormattable, IParsable<SiloAddress>
{
    private static readonly DateTime GenerationEpoch = new(2022, 1, 1, 0, 0, 0, DateTimeKind.Utc);
    private static long lastGeneration;
    private readonly int _hashCode;
    private string? _text;

    private SiloAddress(IPEndPoint endpoint, int generation)
    {
        Endpoint = endpoint;
        Generation = generation;
        _hashCode = (int)StableHash.ComputeHash(ToParsableString());
    }

    /// <summary>No silo: 0.0.0.0:0@0.</summary>
    public static SiloAddress Zero { get; } = New(IPAddress.Any, 0, 0);

    /// <summary>The endpoint other silos connect to.</summary>
    public IPEndPoint Endpoint { get; }

    /// <summary>Which life of a silo at that endpoint this is.</summary>
    public int Generation { get; }

    /// <summary>Whether the address is that of a client; clients have negative generations.</summary>
    public bool IsClient => Generation < 0;

    /// <summary>The silo at <paramref name="ep"/> of generation <paramref name="gen"/>.</summary>
    public static SiloAddress New(IPEndPoint ep, int gen)
    {
        ArgumentNullException.ThrowIfNull(ep);
        return new SiloAddress(ep.Address.IsIPv4MappedToIPv6 ? new IPEndPoint(ep.Address.MapToIPv4(), ep.Port) : ep, gen);
    }

    /// <summary>The silo at <paramref name="address"/>:<paramref name="port"/> of that generation.</summary>
    public static SiloAddress New(IPAddress address, int port, int generation) => New(new IPEndPoint(address, port), generation);

    /// <summary>A generation for a silo that starts now: the seconds since 2022, and never the same twice in a process.</summary>
    public static int AllocateNewGeneration()
    {
        long now = (DateTime.UtcNow.Ticks - GenerationEpoch.Ticks) / TimeSpan.TicksPerSecond;
        while (true)
        {
            long last = Volatile.Read(ref lastGeneration);
            long next = Math.Max(now, last + 1);
            if (Interlocked.CompareExchange(ref lastGeneration, next, last) == last)
                return (int)(next & 0x7FFFFFFF);
        }
    }

    /// <summary>Reads <c>ip:port@generation</c>.</summary>
    /// <exception cref="FormatException">Another form.</exception>
    public static SiloAddress FromParsableString(string addr) => Parse(addr);

    /// <summary>Reads <c>ip:port@generation</c>.</summary>
    /// <exception cref="FormatException">Another form.</exception>
    public static SiloAddress Parse(string value) => TryParse(value, out SiloAddress? result) ? result : throw new FormatException($"Invalid silo address \"{value}\"");

    /// <summary>Reads <c>ip:port@generation</c>; false on another form.</summary>
    public static bool TryParse([NotNullWhen(true)] string? value, [NotNullWhen(true)] out SiloAddress? result)
    {
        result = null;
        int at = value?.LastIndexOf('@') ?? -1;
        if (at < 0 || !int.TryParse(value.AsSpan(at + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int generation))
            return false;
        ReadOnlySpan<char> endpoint = value.AsSpan(0, at);
        int colon = endpoint.LastIndexOf(':');
        if (colon < 0 || !int.TryParse(endpoint[(colon + 1)..], out int port) || port is < 0 or > 65535)
            return false;
        if (!IPAddress.TryParse(endpoint[..colon], out IPAddress? address))
            return false;
        result = New(address, port, generation);
        return true;
    }

    static SiloAddress IParsable<SiloAddress>.Parse(string s, IFormatProvider? provider) => Parse(s);

    static bool IParsable<SiloAddress>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, [MaybeNullWhen(false)] out SiloAddress result) => TryParse(s, out result);

    /// <summary><c>ip:port@generation</c>.</summary>
    public string ToParsableString() => _text ??= Endpoint.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6
        ? $"[{Endpoint.Address}]:{Endpoint.Port}@{Generation}"
        : $"{Endpoint.Address}:{Endpoint.Port}@{Generation}";

    /// <summary>The silo's position on consistent-hash rings; the same on every silo.</summary>
    public int GetConsistentHashCode() => _hashCode;

    /// <summary><paramref name="numHashes"/> positions on a ring with virtual nodes; the same on every silo.</summary>
    public uint[] GetUniformHashCodes(int numHashes)
    {
        var hashes = new uint[numHashes];
        for (int i = 0; i < numHashes; i++)
            hashes[i] = StableHash.ComputeHash($"{ToParsableString()}/{i}");
        return hashes;
    }

    /// <summary>Whether this is an earlier life at the same endpoint.</summary>
    public bool IsPredecessorOf(SiloAddress other) => Endpoint.Equals(other.Endpoint) && Generation < other.Generation;

    /// <summary>Whether this is a later life at the same endpoint.</summary>
    public bool IsSuccessorOf(SiloAddress other) => Endpoint.Equals(other.Endpoint) && Generation > other.Generation;

    /// <inheritdoc/>
    public bool Equals(SiloAddress? other) =>
        ReferenceEquals(this, other) || (other is not null && Generation == other.Generation && Endpoint.Equals(other.Endpoint));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as SiloAddress);

    /// <inheritdoc/>
    public override int GetHashCode() => _hashCode;

    /// <inheritdoc/>
    public int CompareTo(SiloAddress? other)
    {
        if (other is null) return 1;
        int byGeneration = Generation.CompareTo(other.Generation);
        if (byGeneration != 0) return byGeneration;
        int byPort = Endpoint.Port.CompareTo(other.Endpoint.Port);
        return byPort != 0 ? byPort : Endpoint.Address.GetAddressBytes().AsSpan().SequenceCompareTo(other.Endpoint.Address.GetAddressBytes());
    }

    /// <summary><c>S</c> or <c>C</c> (silo, client) and the parsable form.</summary>
    public override string ToString() => (IsClient ? "C" : "S") + ToParsableString();

    /// <summary>The text and the ring position.</summary>
    public string ToStringWithHashCode() => $"{this}/x{(uint)_hashCode:X8}";

    string IFormattable.ToString(string? format, IFormatProvider? formatProvider) => ToString();

    bool ISpanFormattable.TryFormat(Span<char> destination, out int charsWritten, ReadOnlySpan<char> format, IFormatProvider? provider) =>
        destination.TryWrite($"{ToString()}", out charsWritten);
}
