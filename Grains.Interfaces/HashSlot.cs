namespace OrleansRedis.Grains;

/// <summary>Computes the slot of a key, so that a client finds the grain that owns it.</summary>
public static class HashSlot
{
    /// <summary>The number of slots.</summary>
    public const int Count = 16384;

    /// <summary>
    /// CRC16/XMODEM of the key, modulo 16,384. If there is something between the key's first '{' and the next '}', only
    /// that is hashed.
    /// </summary>
    public static int Of(ReadOnlySpan<byte> key)
    {
        int open = key.IndexOf((byte)'{');
        if (open >= 0)
        {
            int length = key[(open + 1)..].IndexOf((byte)'}');
            if (length > 0) key = key.Slice(open + 1, length);
        }
        int crc = 0;
        foreach (byte b in key)
        {
            crc ^= b << 8;
            for (int bit = 0; bit < 8; bit++) crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
        }
        return crc & (Count - 1);
    }
}
