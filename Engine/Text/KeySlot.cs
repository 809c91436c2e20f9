namespace OrleansRedis.Engine;

/// <summary>
/// Maps a key to its hash slot: CRC16/XMODEM of the key, or of its hash tag, modulo 16,384, as the Redis Cluster
/// specification defines it
/// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model).
/// </summary>
public static class KeySlot
{
    /// <summary>The number of slots, fixed by the protocol.</summary>
    public const int Count = 16384;

    private static readonly ushort[] Table = BuildTables();

    /// <summary>
    /// The slot of <paramref name="key"/>. If something stands between the first '{' and the next '}', only that counts
    /// (the hash tag).
    /// </summary>
    public static int Of(ReadOnlySpan<byte> key)
    {
        int open = key.IndexOf((byte)'{');
        if (open >= 0)
        {
            int length = key[(open + 1)..].IndexOf((byte)'}');
            if (length > 0) key = key.Slice(open + 1, length);
        }
        return Crc16(key) & (Count - 1);
    }

    /// <summary>CRC16/XMODEM (polynomial 0x1021, initial value 0, no reflection), eight bytes a step.</summary>
    public static ushort Crc16(ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<ushort> table = Table;
        uint crc = 0;
        // Slicing: table k holds the CRC of a byte followed by k zero bytes, so the eight look-ups do not depend on
        // each other.
        while (data.Length >= 8)
        {
            crc = (uint)(table[(7 * 256) + (data[0] ^ (byte)(crc >> 8))]
                ^ table[(6 * 256) + (data[1] ^ (byte)crc)]
                ^ table[(5 * 256) + data[2]]
                ^ table[(4 * 256) + data[3]]
                ^ table[(3 * 256) + data[4]]
                ^ table[(2 * 256) + data[5]]
                ^ table[256 + data[6]]
                ^ table[data[7]]);
            data = data[8..];
        }
        foreach (byte b in data) crc = (ushort)((crc << 8) ^ table[(byte)(crc >> 8) ^ b]);
        return (ushort)crc;
    }

    private static ushort[] BuildTables()
    {
        var table = new ushort[8 * 256];
        for (int value = 0; value < 256; value++)
        {
            uint crc = (uint)value << 8;
            for (int bit = 0; bit < 8; bit++) crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
            table[value] = (ushort)crc;
        }
        for (int zeros = 1; zeros < 8; zeros++)
        {
            for (int value = 0; value < 256; value++)
            {
                ushort previous = table[((zeros - 1) * 256) + value];
                table[(zeros * 256) + value] = (ushort)((previous << 8) ^ table[previous >> 8]);
            }
        }
        return table;
    }
}
