using System.Buffers.Binary;
using System.Net;
using DotNext.Buffers;
using DotNext.Net.Cluster.Consensus.Raft.Membership;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.ClusterStores.Raft;

/// <summary>
/// Who votes, in a file. An address is 1 byte with the length of the IP address, that, and 2 bytes with the port.
/// </summary>
internal sealed class RaftMembers(string file) : PersistentClusterConfigurationStorage<EndPoint>(file)
{
    /// <summary>
    /// Makes the file that a new machine starts with, as a whole or not at all, in DotNext's format: 8 bytes of version,
    /// 4 bytes of count, the members.
    /// </summary>
    public static void Create(string file, IEnumerable<IPEndPoint> members)
    {
        var bytes = new List<byte>(new byte[8 + 4]);
        int count = 0;
        foreach (IPEndPoint member in members)
        {
            bytes.AddRange(Bytes(member));
            count++;
        }
        byte[] content = [.. bytes];
        BinaryPrimitives.WriteInt32LittleEndian(content.AsSpan(8), count);
        AtomicFile.Replace(file, content);
    }

    protected override void Encode(EndPoint address, ref BufferWriterSlim<byte> writer) => writer.Write(Bytes((IPEndPoint)address));

    protected override EndPoint Decode(ref SequenceReader reader)
    {
        Span<byte> length = stackalloc byte[1];
        reader.Read(length);
        Span<byte> rest = stackalloc byte[length[0] + 2];
        reader.Read(rest);
        return new IPEndPoint(new IPAddress(rest[..^2]), BinaryPrimitives.ReadUInt16LittleEndian(rest[^2..]));
    }

    private static byte[] Bytes(IPEndPoint member)
    {
        byte[] address = member.Address.GetAddressBytes();
        return [(byte)address.Length, .. address, (byte)member.Port, (byte)(member.Port >> 8)];
    }
}
