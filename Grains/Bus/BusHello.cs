using System.Buffers.Binary;
using System.Net;
using System.Text;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Bus;

/// <summary>
/// What both ends of a connection say once they know that the other knows the secret: the version of the protocol (1
/// byte), whether the connection is wanted (1), the silo (8 and 4), and where its bus listens, with its length (1)
/// before it.
/// </summary>
internal readonly record struct BusHello(SiloId Silo, IPEndPoint Address, bool IsWelcome = true)
{
    private const byte Version = 1;
    private const int FixedBytes = 15;

    public void Write(Stream stream)
    {
        byte[] address = Encoding.ASCII.GetBytes(Address.ToString()), bytes = new byte[FixedBytes + address.Length];
        bytes[0] = Version;
        bytes[1] = IsWelcome ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(2), Silo.Node);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(10), Silo.Incarnation);
        bytes[FixedBytes - 1] = (byte)address.Length;
        address.CopyTo(bytes.AsSpan(FixedBytes));
        stream.Write(bytes);
    }

    /// <exception cref="IOException">That is no hello.</exception>
    public static BusHello Read(Stream stream)
    {
        byte[] bytes = new byte[FixedBytes];
        stream.ReadExactly(bytes);
        if (bytes[0] != Version) throw new IOException($"it speaks version {bytes[0]} of the bus, and this silo version {Version}");
        byte[] address = new byte[bytes[FixedBytes - 1]];
        stream.ReadExactly(address);
        var silo = new SiloId(BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(2)), BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(10)));
        if (silo.IsNone || !IPEndPoint.TryParse(Encoding.ASCII.GetString(address), out IPEndPoint? endpoint))
            throw new IOException("it does not say who it is");
        return new(silo, endpoint, bytes[1] != 0);
    }
}
