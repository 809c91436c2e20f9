using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace OrleansRedis.Cluster;

/// <summary>
/// Writes a document of the cluster: four letters that say what it is, the version of its format, the content, and the
/// CRC-32C of all that. Numbers are base-128 varints, the lowest seven bits first.
/// </summary>
internal sealed class DocumentWriter
{
    private byte[] _bytes = new byte[256];
    private int _length;

    public DocumentWriter(string kind, byte format)
    {
        foreach (char letter in kind) Byte((byte)letter);
        Byte(format);
    }

    public void Byte(byte value)
    {
        Reserve(1);
        _bytes[_length++] = value;
    }

    /// <summary>A number that is not negative.</summary>
    public void Number(long value)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(value);
        Reserve(10);
        for (; value >= 0x80; value >>= 7) _bytes[_length++] = (byte)(value | 0x80);
        _bytes[_length++] = (byte)value;
    }

    public void Text(string value)
    {
        int length = Encoding.UTF8.GetByteCount(value);
        Number(length);
        Reserve(length);
        _length += Encoding.UTF8.GetBytes(value, _bytes.AsSpan(_length));
    }

    public void Silo(SiloId silo)
    {
        Node(silo.Node);
        Number(silo.Incarnation);
    }

    public void Member(Member member)
    {
        Silo(member.Id);
        Text(member.Endpoint);
        Number(member.Weight);
        Text(member.Zone);
        Byte(member.IsLeaving ? (byte)1 : (byte)0);
    }

    /// <summary>Something with its length before it.</summary>
    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        Number(bytes.Length);
        Reserve(bytes.Length);
        bytes.CopyTo(_bytes.AsSpan(_length));
        _length += bytes.Length;
    }

    public void Node(long node)
    {
        Reserve(8);
        BinaryPrimitives.WriteInt64LittleEndian(_bytes.AsSpan(_length), node);
        _length += 8;
    }

    public byte[] Finish()
    {
        Reserve(4);
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(_length), Checksum(_bytes.AsSpan(0, _length)));
        return _bytes.AsSpan(0, _length + 4).ToArray();
    }

    /// <summary>The CRC-32C (Castagnoli) with its usual inversions; that of "123456789" is 0xe3069283.</summary>
    internal static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (; bytes.Length >= 8; bytes = bytes[8..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (byte value in bytes) crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }

    private void Reserve(int count)
    {
        if (_length + count > _bytes.Length) Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, _length + count));
    }
}
