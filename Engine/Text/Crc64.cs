using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace OrleansRedis.Engine;

/// <summary>
/// The CRC-64 that ends RDB files and DUMP payloads: the "Jones" polynomial 0xad93d23594c935a9, reflected in and out,
/// initial value 0 (crc64.c of Redis). The CRC of "123456789" is 0xe9c6d914c4b8d9ca.
/// <para>
/// Where the processor has carry-less multiplication, long runs are folded 64 bytes at a step, as in Gopal et al.,
/// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009). What is left goes through
/// tables.
/// </para>
/// </summary>
internal static class Crc64
{
    private const ulong Polynomial = 0x95ac9329ac4bc9b5; // bit-reversed

    /// <summary>Shorter runs do not repay the cost of setting the folding up.</summary>
    private const int ShortestFolded = 128;

    private static readonly ulong[] s_tables = MakeTables();

    // In this bit order the product of two words comes out multiplied by x once too often, hence one less in the
    // exponents. The low word of a block stands for its first bytes, and so for 64 powers more than the high one.
    private static readonly Vector128<ulong> s_byFourBlocks = Vector128.Create(PowerOfX(512 + 63), PowerOfX(512 - 1));
    private static readonly Vector128<ulong> s_byOneBlock = Vector128.Create(PowerOfX(128 + 63), PowerOfX(128 - 1));

    /// <summary>Continues from the CRC of the preceding bytes; 0 at the beginning.</summary>
    public static ulong Append(ulong crc, ReadOnlySpan<byte> data)
    {
        if (Pclmulqdq.IsSupported && data.Length >= ShortestFolded)
        {
            int folded = data.Length & ~15;
            crc = Fold(crc, data[..folded]);
            data = data[folded..];
        }
        return AppendByTables(crc, data);
    }

    /// <summary>
    /// The CRC after <paramref name="count"/> more zero bytes. A CRC is linear: if two files of the same length differ
    /// in a few bytes, their CRCs differ by the CRC of that difference.
    /// </summary>
    public static ulong AppendZeros(ulong crc, long count)
    {
        ulong factor = PowerOfX(8); // x^8, squared in each round
        for (; count > 0; count >>= 1, factor = Multiply(factor, factor))
        {
            if ((count & 1) != 0) crc = Multiply(crc, factor);
        }
        return crc;
    }

    /// <summary>For processors without carry-less multiplication; the result is that of <see cref="Append"/>.</summary>
    internal static ulong AppendByTables(ulong crc, ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<ulong> tables = s_tables;
        // Table k is for a byte followed by k more bytes, so the eight look-ups do not wait for each other.
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

    /// <summary>Folds whole blocks of 16 bytes, at least four of them.</summary>
    private static ulong Fold(ulong crc, ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<Vector128<ulong>> blocks = MemoryMarshal.Cast<byte, Vector128<ulong>>(data);
        Vector128<ulong> a = blocks[0] ^ Vector128.CreateScalar(crc), b = blocks[1], c = blocks[2], d = blocks[3];
        blocks = blocks[4..];
        for (; blocks.Length >= 4; blocks = blocks[4..])
        {
            a = Shift(a, s_byFourBlocks) ^ blocks[0];
            b = Shift(b, s_byFourBlocks) ^ blocks[1];
            c = Shift(c, s_byFourBlocks) ^ blocks[2];
            d = Shift(d, s_byFourBlocks) ^ blocks[3];
        }
        b ^= Shift(a, s_byOneBlock);
        c ^= Shift(b, s_byOneBlock);
        d ^= Shift(c, s_byOneBlock);
        foreach (Vector128<ulong> block in blocks) d = Shift(d, s_byOneBlock) ^ block;
        return AppendByTables(0, MemoryMarshal.AsBytes(new ReadOnlySpan<Vector128<ulong>>(ref d)));
    }

    /// <summary>A block with the same remainder, moved on by the distance that the factors stand for.</summary>
    private static Vector128<ulong> Shift(Vector128<ulong> block, Vector128<ulong> factors) =>
        Pclmulqdq.CarrylessMultiply(block, factors, 0x00) ^ Pclmulqdq.CarrylessMultiply(block, factors, 0x11);

    /// <summary>x to a power, modulo the polynomial; the highest bit stands for x to the power of 0.</summary>
    private static ulong PowerOfX(int exponent)
    {
        ulong power = 1UL << 63;
        for (; exponent > 0; exponent--) power = TimesX(power);
        return power;
    }

    private static ulong TimesX(ulong value) => (value & 1) != 0 ? (value >> 1) ^ Polynomial : value >> 1;

    private static ulong Multiply(ulong a, ulong b)
    {
        ulong product = 0;
        for (ulong bit = 1UL << 63; bit != 0; bit >>= 1, b = TimesX(b))
        {
            if ((a & bit) != 0) product ^= b;
        }
        return product;
    }

    private static ulong[] MakeTables()
    {
        var tables = new ulong[8 * 256];
        for (int i = 0; i < 256; i++)
        {
            ulong crc = (ulong)i;
            for (int bit = 0; bit < 8; bit++) crc = TimesX(crc);
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
