using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>
/// The CRC-64 with which RDB files and DUMP payloads end: the "Jones" polynomial 0xad93d23594c935a9, reflected in and out, initial value 0
/// (crc64.c of Redis). Of "123456789" it is 0xe9c6d914c4b8d9ca.
/// </summary>
internal static class Crc64
{
    private const ulong Polynomial = 0x95ac9329ac4bc9b5; // bit-reversed

    private static readonly ulong[] s_tables = MakeTables();

    /// <summary>Goes on from the CRC of what came before (0 at the beginning).</summary>
    public static ulong Append(ulong crc, ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<ulong> tables = s_tables;
        // Table k is for a byte that k more bytes follow, so eight look-ups do not wait for each other.
        for (; data.Length >= 8; data = data[8..])
        {
            ulong word = crc ^ BinaryPrimitives.ReadUInt64LittleEndian(data);
            crc = tables[(7 * 256) + (int)(word & 255)] ^ tables[(6 * 256) + (int)((word >> 8) & 255)]
                ^ tables[(5 * 256) + (int)((word >> 16) & 255)] ^ tables[(4 * 256) + (int)((word >> 24) & 255)]
                ^ tables[(3 * 256) + (int)((word >> 32) & 255)] ^ tables[(2 * 256) + (int)((word >> 40) & 255)]
                ^ tables[256 + (int)((word >> 48) & 255)] ^ tables[(int)(word >> 56)];
        }
        foreach (byte b in data) crc = tables[(int)((crc ^ b) & 255)] ^ (crc >> 8);
        return crc;
    }

    private static ulong[] MakeTables()
    {
        var tables = new ulong[8 * 256];
        for (int i = 0; i < 256; i++)
        {
            ulong crc = (ulong)i;
            for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ Polynomial : crc >> 1;
            tables[i] = crc;
        }
        for (int i = 256; i < tables.Length; i++)
        {
            ulong before = tables[i - 256];
            tables[i] = tables[(int)(before & 255)] ^ (before >> 8);
        }
        return tables;
    }
}
