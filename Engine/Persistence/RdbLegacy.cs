using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>
/// Reads the packed encodings that listpacks have replaced: ziplists (ziplist.c of Redis 6) and zipmaps (zipmap.c of
/// Redis 2.4).
/// </summary>
internal static unsafe class RdbLegacy
{
    private const int ZiplistHeader = 10;
    private const byte ZiplistEnd = 0xff;
    private const byte ZipmapEnd = 0xff;

    /// <summary>
    /// Converts a ziplist to a listpack.
    /// <code>
    /// 4 bytes total length, 4 bytes offset of the last element, 2 bytes count (65535: unknown), elements, 0xFF
    /// element: length of the previous one (1 byte, or 0xFE and 4), encoding, data
    /// </code>
    /// </summary>
    /// <param name="ziplist">Its bytes, which are not trusted.</param>
    /// <param name="what">What it is called in an error.</param>
    /// <returns>The listpack, in a block that belongs to the caller.</returns>
    /// <exception cref="RdbFormatException">The bytes are not a ziplist.</exception>
    public static Listpack FromZiplist(ReadOnlySpan<byte> ziplist, string what)
    {
        Listpack listpack = Listpack.Create(ziplist.Length);
        try
        {
            AppendZiplist(ref listpack, ziplist);
        }
        catch (RdbFormatException)
        {
            Heap.Free(listpack.Block);
            throw new RdbFormatException($"{what} integrity check failed.");
        }
        listpack.TrimToSize();
        return listpack;
    }

    private static void AppendZiplist(ref Listpack listpack, ReadOnlySpan<byte> ziplist)
    {
        if (ziplist.Length < ZiplistHeader + 1 || BinaryPrimitives.ReadUInt32LittleEndian(ziplist) != (uint)ziplist.Length || ziplist[^1] != ZiplistEnd)
            throw new RdbFormatException("A ziplist whose header is wrong.");
        int at = ZiplistHeader, before = 0, count = 0, last = ZiplistHeader;
        while (ziplist[at] != ZiplistEnd)
        {
            int start = at;
            int noted = ziplist[at++];
            if (noted == 0xfe)
            {
                noted = BinaryPrimitives.ReadInt32LittleEndian(Slice(ziplist, at, 4));
                at += 4;
            }
            if (noted != before) throw new RdbFormatException("A ziplist whose elements do not join.");
            Append(ref listpack, ziplist, ref at);
            if (at >= ziplist.Length) throw new RdbFormatException("A ziplist without an end.");
            before = at - start;
            last = start;
            count++;
        }
        int total = BinaryPrimitives.ReadUInt16LittleEndian(ziplist[8..]);
        if (at != ziplist.Length - 1 || (total != ushort.MaxValue && total != count)
            || (count > 0 && BinaryPrimitives.ReadUInt32LittleEndian(ziplist[4..]) != last))
            throw new RdbFormatException("A ziplist whose header does not fit its elements.");
    }

    private static void Append(ref Listpack listpack, ReadOnlySpan<byte> ziplist, ref int at)
    {
        byte encoding = Slice(ziplist, at++, 1)[0];
        int length;
        switch (encoding >> 6)
        {
            case 0:
                length = encoding;
                break;
            case 1:
                length = ((encoding & 63) << 8) | Slice(ziplist, at++, 1)[0];
                break;
            case 2 when encoding == 0x80:
                length = BinaryPrimitives.ReadInt32BigEndian(Slice(ziplist, at, 4));
                at += 4;
                break;
            case 2:
                throw new RdbFormatException("A ziplist with an unknown encoding.");
            default:
                listpack.Append(Integer(encoding, ziplist, ref at));
                return;
        }
        listpack.Append(Slice(ziplist, at, length));
        at += length;
    }

    private static long Integer(byte encoding, ReadOnlySpan<byte> ziplist, ref int at)
    {
        int start = at;
        switch (encoding)
        {
            case 0xc0:
                at += 2;
                return BinaryPrimitives.ReadInt16LittleEndian(Slice(ziplist, start, 2));
            case 0xd0:
                at += 4;
                return BinaryPrimitives.ReadInt32LittleEndian(Slice(ziplist, start, 4));
            case 0xe0:
                at += 8;
                return BinaryPrimitives.ReadInt64LittleEndian(Slice(ziplist, start, 8));
            case 0xf0:
                at += 3;
                ReadOnlySpan<byte> three = Slice(ziplist, start, 3);
                return three[0] | (three[1] << 8) | ((sbyte)three[2] << 16);
            case 0xfe:
                at++;
                return (sbyte)Slice(ziplist, start, 1)[0];
            case >= 0xf1 and <= 0xfd:
                return (encoding & 15) - 1;
            default:
                throw new RdbFormatException("A ziplist with an unknown encoding.");
        }
    }

    /// <summary>
    /// Converts a zipmap to a listpack of its keys and values.
    /// <code>
    /// 1 byte count (254: unknown), pairs, 0xFF
    /// pair: length of the key (1 byte, or 0xFE and 4), key,
    /// length of the value, 1 byte length of the unused space after the value, value, unused space
    /// </code>
    /// </summary>
    /// <returns>The listpack, in a block that belongs to the caller.</returns>
    public static Listpack FromZipmap(ReadOnlySpan<byte> zipmap)
    {
        Listpack listpack = Listpack.Create(zipmap.Length);
        try
        {
            AppendZipmap(ref listpack, zipmap);
        }
        catch (RdbFormatException)
        {
            Heap.Free(listpack.Block);
            throw;
        }
        listpack.TrimToSize();
        return listpack;
    }

    private static void AppendZipmap(ref Listpack listpack, ReadOnlySpan<byte> zipmap)
    {
        if (zipmap.Length < 2) throw new RdbFormatException("Zipmap integrity check failed.");
        int at = 1, count = 0;
        while (Slice(zipmap, at, 1)[0] != ZipmapEnd)
        {
            int length = ZipmapLength(zipmap, ref at);
            listpack.Append(Slice(zipmap, at, length));
            at += length;
            if (Slice(zipmap, at, 1)[0] == ZipmapEnd) throw new RdbFormatException("Zipmap integrity check failed.");
            length = ZipmapLength(zipmap, ref at);
            int free = Slice(zipmap, at++, 1)[0];
            listpack.Append(Slice(zipmap, at, length));
            at += length;
            _ = Slice(zipmap, at, free);
            at += free;
            count++;
        }
        if (count == 0 || at != zipmap.Length - 1 || (zipmap[0] < 254 && zipmap[0] != count)) throw new RdbFormatException("Zipmap integrity check failed.");
    }

    private static int ZipmapLength(ReadOnlySpan<byte> zipmap, ref int at)
    {
        int length = Slice(zipmap, at++, 1)[0];
        if (length < 254) return length;
        length = BinaryPrimitives.ReadInt32LittleEndian(Slice(zipmap, at, 4));
        at += 4;
        return length;
    }

    private static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> bytes, int at, int length)
    {
        if (length < 0 || at > bytes.Length - length) throw new RdbFormatException("Packed integrity check failed.");
        return bytes.Slice(at, length);
    }
}
