using System.Buffers.Binary;
using System.Text;

namespace OrleansRedis.Cluster;

/// <summary>
/// Reads what <see cref="DocumentWriter"/> has written. Whatever is wrong with it is an
/// <see cref="InvalidDataException"/>; no number in it makes the reader allocate more than the document is long.
/// </summary>
internal ref struct DocumentReader
{
    private readonly string _kind;
    private ReadOnlySpan<byte> _rest;

    public DocumentReader(ReadOnlySpan<byte> document, string kind, byte format)
    {
        _kind = kind;
        if (document.Length < kind.Length + 5) throw Wrong("is cut off");
        for (int i = 0; i < kind.Length; i++)
        {
            if (document[i] != kind[i]) throw Wrong("begins with other letters");
        }
        if (BinaryPrimitives.ReadUInt32LittleEndian(document[^4..]) != DocumentWriter.Checksum(document[..^4])) throw Wrong("has a wrong checksum");
        if (document[kind.Length] != format) throw Wrong($"has format {document[kind.Length]}, which this version does not know");
        _rest = document[(kind.Length + 1)..^4];
    }

    /// <summary>How many bytes are left.</summary>
    public readonly int Left => _rest.Length;

    public byte Byte()
    {
        byte value = Take(1)[0];
        return value;
    }

    public long Number()
    {
        long value = 0;
        for (int shift = 0; shift < 63; shift += 7)
        {
            byte next = Byte();
            value |= (long)(next & 0x7f) << shift;
            if (next < 0x80) return value;
        }
        throw Wrong("has a number of more than 63 bits");
    }

    /// <summary>A number no higher than <paramref name="most"/>.</summary>
    public int Number(int most)
    {
        long value = Number();
        return value <= most ? (int)value : throw Wrong($"has {value} where {most} is the most");
    }

    /// <summary>How many things follow that take at least one byte each.</summary>
    public int Count() => Number(Left);

    public string Text() => Encoding.UTF8.GetString(Take(Count()));

    public SiloId Silo() => new(Node(), Number(int.MaxValue));

    public Member Member() => new(Silo(), Text(), Number(int.MaxValue), Text(), Byte() != 0);

    /// <summary>Something with its length before it.</summary>
    public ReadOnlySpan<byte> Bytes() => Take(Count());

    public long Node() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    /// <summary>Checks that nothing is left.</summary>
    public readonly void End()
    {
        if (Left != 0) throw Wrong("is too long");
    }

    public readonly InvalidDataException Wrong(string what) => new($"A cluster document of kind {_kind} {what}.");

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length) throw Wrong("is cut off");
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
