using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace OrleansRedis.Grains.ClusterStores;

/// <summary>
/// How machines of a cluster let each other in. Whoever connects shows that he knows the secret, and so does whoever
/// listens, each to a number that the other has just drawn:
/// <code>
/// server: magic (8), number (32)
/// client: magic (8), purpose (1), cluster (16), number (32), HMAC-SHA256 of purpose, cluster and both numbers (32)
/// server: cluster (16), HMAC-SHA256 of cluster and both numbers (32)
/// </code>
/// That keeps strangers out, and machines of another cluster. It does not hide what is sent, nor protect it from someone
/// who can change it on its way.
/// </summary>
/// <param name="secret">What machines of the cluster know, and nobody else (orleans-cluster-secret).</param>
/// <param name="name">The cluster's name, so that two clusters with one secret do not take each other for their own.</param>
public sealed class ClusterHandshake(string secret, string name)
{
    private const int NumberBytes = 32, MacBytes = 32, GuidBytes = 16, MagicBytes = 8;

    private readonly byte[] _key = SHA256.HashData(Encoding.UTF8.GetBytes($"{secret}\0{name}"));

    private static ReadOnlySpan<byte> Magic => "ORCLUS01"u8;

    /// <summary>As the one who listens. Returns what the other wants.</summary>
    /// <param name="stream">The connection.</param>
    /// <param name="cluster">The cluster's identity; empty for any.</param>
    /// <param name="cancellation">Ends the attempt.</param>
    /// <exception cref="IOException">The other does not know the secret, is of another cluster, or has gone.</exception>
    public async ValueTask<byte> WelcomeAsync(Stream stream, Guid cluster, CancellationToken cancellation)
    {
        byte[] greeting = new byte[MagicBytes + NumberBytes];
        Magic.CopyTo(greeting);
        RandomNumberGenerator.Fill(greeting.AsSpan(MagicBytes));
        await SendAsync(stream, greeting, cancellation).ConfigureAwait(false);

        byte[] introduction = new byte[MagicBytes + 1 + GuidBytes + NumberBytes + MacBytes];
        await stream.ReadExactlyAsync(introduction, cancellation).ConfigureAwait(false);
        ReadOnlyMemory<byte> said = introduction.AsMemory(MagicBytes..^MacBytes), mine = greeting.AsMemory(MagicBytes);
        if (!introduction.AsSpan().StartsWith(Magic)) throw new IOException("it speaks another protocol");
        if (!CryptographicOperations.FixedTimeEquals(Mac("client"u8, said.Span, mine.Span), introduction.AsSpan(^MacBytes)))
            throw new IOException("it does not know the secret (orleans-cluster-secret, orleans-cluster-id)");

        Guid theirs = new(said.Span.Slice(1, GuidBytes));
        byte[] answer = new byte[GuidBytes + MacBytes];
        cluster.TryWriteBytes(answer);
        Mac("server"u8, answer.AsSpan(..GuidBytes), mine.Span, said.Span[(1 + GuidBytes)..]).CopyTo(answer.AsSpan(GuidBytes));
        await SendAsync(stream, answer, cancellation).ConfigureAwait(false);
        if (!AreOne(cluster, theirs)) throw new IOException($"it belongs to another cluster ({theirs})");
        return introduction[MagicBytes];
    }

    /// <summary>As the one who connects.</summary>
    /// <param name="stream">The connection.</param>
    /// <param name="peer">To whom, for messages.</param>
    /// <param name="purpose">What for; both sides know what the numbers mean.</param>
    /// <param name="cluster">The cluster's identity; empty for any.</param>
    /// <param name="cancellation">Ends the attempt.</param>
    /// <exception cref="IOException">The other does not know the secret, is of another cluster, or has gone.</exception>
    public async ValueTask IntroduceAsync(Stream stream, EndPoint? peer, byte purpose, Guid cluster, CancellationToken cancellation)
    {
        byte[] greeting = new byte[MagicBytes + NumberBytes];
        await stream.ReadExactlyAsync(greeting, cancellation).ConfigureAwait(false);
        if (!greeting.AsSpan().StartsWith(Magic)) throw new IOException($"{peer} speaks another protocol");

        byte[] introduction = new byte[MagicBytes + 1 + GuidBytes + NumberBytes + MacBytes];
        Magic.CopyTo(introduction);
        introduction[MagicBytes] = purpose;
        cluster.TryWriteBytes(introduction.AsSpan(MagicBytes + 1));
        RandomNumberGenerator.Fill(introduction.AsSpan(MagicBytes + 1 + GuidBytes, NumberBytes));
        ReadOnlyMemory<byte> said = introduction.AsMemory(MagicBytes..^MacBytes), theirs = greeting.AsMemory(MagicBytes);
        Mac("client"u8, said.Span, theirs.Span).CopyTo(introduction.AsSpan(^MacBytes));
        await SendAsync(stream, introduction, cancellation).ConfigureAwait(false);

        byte[] answer = new byte[GuidBytes + MacBytes];
        try
        {
            await stream.ReadExactlyAsync(answer, cancellation).ConfigureAwait(false);
        }
        catch (EndOfStreamException e)
        {
            throw new IOException($"{peer} does not let us in: it has another orleans-cluster-secret or orleans-cluster-id", e);
        }
        byte[] expected = Mac("server"u8, answer.AsSpan(..GuidBytes), theirs.Span, said.Span[(1 + GuidBytes)..]);
        if (!CryptographicOperations.FixedTimeEquals(expected, answer.AsSpan(GuidBytes)))
            throw new IOException($"{peer} does not know the secret (orleans-cluster-secret, orleans-cluster-id)");
        Guid other = new(answer.AsSpan(..GuidBytes));
        if (!AreOne(cluster, other)) throw new IOException($"{peer} belongs to another cluster ({other}, and this machine to {cluster})");
    }

    private static bool AreOne(Guid a, Guid b) => a == b || a == Guid.Empty || b == Guid.Empty;

    private static async ValueTask SendAsync(Stream stream, byte[] bytes, CancellationToken cancellation)
    {
        await stream.WriteAsync(bytes, cancellation).ConfigureAwait(false);
        await stream.FlushAsync(cancellation).ConfigureAwait(false);
    }

    private byte[] Mac(ReadOnlySpan<byte> side, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, ReadOnlySpan<byte> third = default)
    {
        using var mac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, _key);
        mac.AppendData(side);
        mac.AppendData(first);
        mac.AppendData(second);
        mac.AppendData(third);
        return mac.GetHashAndReset();
    }
}
