using System.Net;
using System.Net.Sockets;

namespace OrleansRedis.Engine;

/// <summary>
/// Holds back whoever guesses passwords: each address may fail so many times, and gets that back within a minute
/// (orleans-auth-failures-per-minute). Safe for any thread.
/// </summary>
public sealed class AuthThrottle(ServerOptions options, Clock clock)
{
    /// <summary>
    /// The most addresses that are remembered. When there are more, those that have everything back are forgotten.
    /// </summary>
    private const int MostAddresses = 10_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Failures> _failures = [];

    /// <summary>How many addresses are remembered.</summary>
    public int Count
    {
        get
        {
            lock (_lock) return _failures.Count;
        }
    }

    /// <summary>
    /// The address of a peer as it counts here; empty if it has none. Of an IPv6 address only the network counts: a host
    /// there has as many addresses as it likes.
    /// </summary>
    public static string OriginOf(EndPoint? endPoint)
    {
        if (endPoint is not IPEndPoint remote) return "";
        IPAddress address = remote.Address.IsIPv4MappedToIPv6 ? remote.Address.MapToIPv4() : remote.Address;
        if (address.AddressFamily != AddressFamily.InterNetworkV6) return address.ToString();
        byte[] bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return new IPAddress(bytes).ToString();
    }

    /// <summary>Whether an address has failed too often to be listened to now. The empty address never has.</summary>
    public bool Refuses(string address)
    {
        int allowed = options.AuthFailuresPerMinute;
        if (allowed == 0 || address.Length == 0) return false;
        lock (_lock) return _failures.TryGetValue(address, out Failures failures) && failures.At(clock.NowMs, allowed) > allowed - 1;
    }

    /// <summary>An address has given a wrong password.</summary>
    public void Failed(string address)
    {
        int allowed = options.AuthFailuresPerMinute;
        if (allowed == 0 || address.Length == 0) return;
        long nowMs = clock.NowMs;
        lock (_lock)
        {
            _failures.TryGetValue(address, out Failures failures);
            if (_failures.Count >= MostAddresses) Forget(nowMs, allowed);
            _failures[address] = new(failures.At(nowMs, allowed) + 1, nowMs);
        }
    }

    private void Forget(long nowMs, int allowed)
    {
        foreach ((string address, Failures failures) in _failures)
        {
            if (failures.At(nowMs, allowed) == 0) _failures.Remove(address);
        }
        // So many that fail at once do not come from one guesser; begin anew rather than grow.
        if (_failures.Count >= MostAddresses) _failures.Clear();
    }

    /// <summary>How many failures counted at a time; they are forgiven evenly over a minute.</summary>
    private readonly record struct Failures(double Count, long SinceMs)
    {
        public double At(long nowMs, int allowed) => Math.Max(0, Count - (Math.Max(0, nowMs - SinceMs) * allowed / 60_000.0));
    }
}
