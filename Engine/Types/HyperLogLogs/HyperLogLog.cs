using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// The bytes of a HyperLogLog as Redis has them (hyperloglog.c), 16,384 registers of 6 bits:
/// <code>
/// "HYLL"  encoding (0 dense, 1 sparse)  3 zeros  8 bytes: cached cardinality, its highest bit saying that it is stale
/// dense:  the registers from the lowest bits of the first byte on
/// sparse: 00llllll             1 to 64 registers of zero
///         01llllll llllllll    1 to 16,384 registers of zero
///         1vvvvvll             1 to 4 registers of a value from 1 to 32
/// </code>
/// The estimate is Otmar Ertl's, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284.
/// </summary>
internal static class HyperLogLog
{
    public const int Registers = 1 << IndexBits;
    public const int HeaderLength = 16;
    public const int DenseLength = HeaderLength + (Registers * RegisterBits / 8);
    public const byte Dense = 0;
    public const byte Sparse = 1;

    private const int IndexBits = 14;
    private const int RegisterBits = 6;
    private const int LargestCount = 64 - IndexBits + 1;
    private const double AlphaInfinity = 0.721347520444481703680; // 0.5 / ln 2

    private static ReadOnlySpan<byte> Magic => "HYLL"u8;

    /// <summary>
    /// Whether a string looks like a HyperLogLog. Its registers may still be invalid; methods that read them report
    /// that.
    /// </summary>
    public static bool IsOne(ReadOnlySpan<byte> bytes) =>
        bytes.Length >= HeaderLength && bytes.StartsWith(Magic) && bytes[4] <= Sparse && (bytes[4] != Dense || bytes.Length == DenseLength);

    public static bool IsSparse(ReadOnlySpan<byte> bytes) => bytes[4] == Sparse;

    /// <summary>Writes an empty sparse HyperLogLog; returns its length.</summary>
    public static int WriteEmpty(Span<byte> into)
    {
        into[..HeaderLength].Clear();
        Magic.CopyTo(into);
        into[4] = Sparse;
        SparseOpcode.Zeros(Registers).WriteTo(into[HeaderLength..]);
        return HeaderLength + 2;
    }

    /// <summary>The cached cardinality; false if it is stale.</summary>
    public static bool TryCached(ReadOnlySpan<byte> bytes, out long cardinality)
    {
        cardinality = BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]);
        return cardinality >= 0;
    }

    public static void SetCached(Span<byte> bytes, long cardinality) => BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], cardinality);

    public static void Invalidate(Span<byte> bytes) => bytes[15] |= 0x80;

    /// <summary>The register an element falls into, and the position of the first 1 in the rest of its hash.</summary>
    public static int Locate(ReadOnlySpan<byte> element, out int count)
    {
        ulong hash = Murmur64A(element, 0xadc83b19);
        count = BitOperations.TrailingZeroCount((hash >> IndexBits) | (1UL << (64 - IndexBits))) + 1;
        return (int)hash & (Registers - 1);
    }

    public static int GetDense(ReadOnlySpan<byte> bytes, int index)
    {
        int bit = index * RegisterBits, at = HeaderLength + (bit >> 3), shift = bit & 7;
        int low = bytes[at] >> shift;
        return (shift <= 8 - RegisterBits ? low : low | (bytes[at + 1] << (8 - shift))) & ((1 << RegisterBits) - 1);
    }

    public static void PutDense(Span<byte> bytes, int index, int count)
    {
        int bit = index * RegisterBits, at = HeaderLength + (bit >> 3), shift = bit & 7;
        const int Mask = (1 << RegisterBits) - 1;
        bytes[at] = (byte)((bytes[at] & ~(Mask << shift)) | (count << shift));
        if (shift > 8 - RegisterBits) bytes[at + 1] = (byte)((bytes[at + 1] & ~(Mask >> (8 - shift))) | (count >> (8 - shift)));
    }

    /// <summary>Raises a register of a dense HyperLogLog; false if it was already that high.</summary>
    public static bool RaiseDense(Span<byte> bytes, int index, int count)
    {
        if (count <= GetDense(bytes, index)) return false;
        PutDense(bytes, index, count);
        return true;
    }

    /// <summary>
    /// Raises each of <paramref name="registers"/> to at least its value in these bytes. False if they are invalid.
    /// </summary>
    public static bool TryMergeInto(Span<byte> registers, ReadOnlySpan<byte> bytes)
    {
        if (IsSparse(bytes))
        {
            int index = 0;
            for (ReadOnlySpan<byte> rest = bytes[HeaderLength..]; rest.Length > 0;)
            {
                if (!SparseOpcode.TryRead(rest, out SparseOpcode opcode) || index + opcode.Run > Registers) return false;
                if (opcode.Value != 0)
                {
                    foreach (ref byte register in registers.Slice(index, opcode.Run)) register = Math.Max(register, (byte)opcode.Value);
                }
                index += opcode.Run;
                rest = rest[opcode.Length..];
            }
            return index == Registers;
        }
        ReadOnlySpan<byte> packed = bytes[HeaderLength..];
        for (int index = 0, at = 0; index < Registers; index += 4, at += 3)
        {
            int four = packed[at] | (packed[at + 1] << 8) | (packed[at + 2] << 16);
            Span<byte> into = registers.Slice(index, 4);
            into[0] = Math.Max(into[0], (byte)(four & 63));
            into[1] = Math.Max(into[1], (byte)((four >> 6) & 63));
            into[2] = Math.Max(into[2], (byte)((four >> 12) & 63));
            into[3] = Math.Max(into[3], (byte)(four >> 18));
        }
        return true;
    }

    /// <summary>Estimates how many different elements were added. False if the bytes are invalid.</summary>
    public static bool TryCount(ReadOnlySpan<byte> bytes, out long cardinality)
    {
        Span<int> histogram = stackalloc int[64];
        histogram.Clear();
        cardinality = 0;
        if (IsSparse(bytes))
        {
            int index = 0;
            for (ReadOnlySpan<byte> rest = bytes[HeaderLength..]; rest.Length > 0;)
            {
                if (!SparseOpcode.TryRead(rest, out SparseOpcode opcode) || index + opcode.Run > Registers) return false;
                histogram[opcode.Value] += opcode.Run;
                index += opcode.Run;
                rest = rest[opcode.Length..];
            }
            if (index != Registers) return false;
        }
        else
        {
            ReadOnlySpan<byte> packed = bytes[HeaderLength..];
            for (int at = 0; at < packed.Length; at += 3)
            {
                int four = packed[at] | (packed[at + 1] << 8) | (packed[at + 2] << 16);
                histogram[four & 63]++;
                histogram[(four >> 6) & 63]++;
                histogram[(four >> 12) & 63]++;
                histogram[four >> 18]++;
            }
        }
        cardinality = Estimate(histogram);
        return true;
    }

    /// <summary>Estimates the cardinality from registers of one byte each.</summary>
    public static long Count(ReadOnlySpan<byte> registers)
    {
        Span<int> histogram = stackalloc int[64];
        histogram.Clear();
        foreach (byte register in registers) histogram[register & 63]++;
        return Estimate(histogram);
    }

    /// <summary>Writes a sparse HyperLogLog as a dense one. False if its bytes are invalid.</summary>
    public static bool TryWriteDense(ReadOnlySpan<byte> sparse, Span<byte> into)
    {
        Span<byte> registers = stackalloc byte[Registers];
        registers.Clear();
        if (!TryMergeInto(registers, sparse)) return false;
        sparse[..HeaderLength].CopyTo(into);
        into[4] = Dense;
        into[HeaderLength..DenseLength].Clear();
        for (int i = 0; i < Registers; i++) PutDense(into, i, registers[i]);
        return true;
    }

    /// <summary>
    /// The opcodes of a sparse HyperLogLog as PFDEBUG DECODE shows them: z and Z for runs of zero, v for value,run.
    /// </summary>
    public static string Decode(ReadOnlySpan<byte> sparse)
    {
        var text = new StringBuilder();
        for (ReadOnlySpan<byte> rest = sparse[HeaderLength..]; SparseOpcode.TryRead(rest, out SparseOpcode opcode); rest = rest[opcode.Length..])
        {
            if (opcode.Value != 0) text.Append($"v:{opcode.Value},{opcode.Run} ");
            else text.Append(opcode.Length == 1 ? 'z' : 'Z').Append($":{opcode.Run} ");
        }
        return text.ToString().TrimEnd();
    }

    private static long Estimate(ReadOnlySpan<int> histogram)
    {
        const double M = Registers;
        double z = M * Tau((M - histogram[LargestCount]) / M);
        for (int i = LargestCount - 1; i >= 1; i--)
        {
            z += histogram[i];
            z *= 0.5;
        }
        z += M * Sigma(histogram[0] / M);
        return (long)Math.Round(AlphaInfinity * M * M / z, MidpointRounding.AwayFromZero);
    }

    private static double Sigma(double x)
    {
        if (x == 1) return double.PositiveInfinity;
        double y = 1, z = x, before;
        do
        {
            x *= x;
            before = z;
            z += x * y;
            y += y;
        }
        while (before != z);
        return z;
    }

    private static double Tau(double x)
    {
        if (x is 0 or 1) return 0;
        double y = 1, z = 1 - x, before;
        do
        {
            x = Math.Sqrt(x);
            before = z;
            y *= 0.5;
            z -= (1 - x) * (1 - x) * y;
        }
        while (before != z);
        return z / 3;
    }

    /// <summary>MurmurHash64A (https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp).</summary>
    internal static ulong Murmur64A(ReadOnlySpan<byte> data, uint seed)
    {
        const ulong Multiplier = 0xc6a4a7935bd1e995;
        ulong hash = seed ^ ((ulong)data.Length * Multiplier);
        for (; data.Length >= 8; data = data[8..])
        {
            ulong word = BinaryPrimitives.ReadUInt64LittleEndian(data) * Multiplier;
            word ^= word >> 47;
            hash = (hash ^ (word * Multiplier)) * Multiplier;
        }
        if (data.Length > 0)
        {
            ulong rest = 0;
            for (int i = data.Length - 1; i >= 0; i--) rest = (rest << 8) | data[i];
            hash = (hash ^ rest) * Multiplier;
        }
        hash ^= hash >> 47;
        hash *= Multiplier;
        return hash ^ (hash >> 47);
    }
}

/// <summary>One opcode of a sparse HyperLogLog: a run of registers with the same value.</summary>
internal readonly record struct SparseOpcode(int Value, int Run, int Length)
{
    public const int LargestValue = 32;
    public const int LongestValueRun = 4;
    private const int LongestShortZeros = 64;

    /// <summary>A run of registers that are zero.</summary>
    public static SparseOpcode Zeros(int run) => new(0, run, run > LongestShortZeros ? 2 : 1);

    /// <summary>A run of registers with another value.</summary>
    public static SparseOpcode Values(int value, int run) => new(value, run, 1);

    public static bool TryRead(ReadOnlySpan<byte> bytes, out SparseOpcode opcode)
    {
        opcode = default;
        if (bytes.Length == 0) return false;
        byte first = bytes[0];
        if ((first & 0x80) != 0) opcode = new(((first >> 2) & 31) + 1, (first & 3) + 1, 1);
        else if ((first & 0x40) == 0) opcode = new(0, (first & 63) + 1, 1);
        else if (bytes.Length < 2) return false;
        else opcode = new(0, (((first & 63) << 8) | bytes[1]) + 1, 2);
        return true;
    }

    public void WriteTo(Span<byte> into)
    {
        if (Value != 0)
        {
            into[0] = (byte)(0x80 | ((Value - 1) << 2) | (Run - 1));
        }
        else if (Length == 1)
        {
            into[0] = (byte)(Run - 1);
        }
        else
        {
            into[0] = (byte)(0x40 | ((Run - 1) >> 8));
            into[1] = (byte)(Run - 1);
        }
    }
}
