using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace OrleansRedis.Engine;

/// <summary>
/// The keyed hash of every table in the engine. It multiplies and folds 64-bit words as wyhash does
/// (https://github.com/wangyi-fudan/wyhash). The secret, drawn when the process starts, keeps clients from choosing
/// keys that collide.
/// </summary>
public static class KeyHash
{
    private static readonly ulong s_secret0 = RandomWord();
    private static readonly ulong s_secret1 = RandomWord();

    /// <summary>The 32-bit hash of <paramref name="key"/>.</summary>
    public static uint Of(ReadOnlySpan<byte> key)
    {
        ref byte start = ref Unsafe.AsRef(in key.GetPinnableReference());
        int length = key.Length;
        ulong seed = s_secret0, a, b;
        if (length > 16)
        {
            int offset = 0;
            for (int left = length; left > 16; left -= 16, offset += 16)
                seed = Fold(Read64(ref start, offset) ^ s_secret1, Read64(ref start, offset + 8) ^ seed);
            a = Read64(ref start, length - 16);
            b = Read64(ref start, length - 8);
        }
        else if (length >= 8)
        {
            a = Read64(ref start, 0);
            b = Read64(ref start, length - 8);
        }
        else if (length >= 4)
        {
            a = Read32(ref start, 0);
            b = Read32(ref start, length - 4);
        }
        else if (length > 0)
        {
            a = (ulong)((start << 16) | (Unsafe.Add(ref start, length >> 1) << 8) | Unsafe.Add(ref start, length - 1));
            b = 0;
        }
        else
        {
            a = b = 0;
        }
        return (uint)(Fold(s_secret1 ^ (ulong)length, Fold(a ^ s_secret1, b ^ seed)) >> 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Fold(ulong a, ulong b)
    {
        ulong high = Math.BigMul(a, b, out ulong low);
        return high ^ low;
    }

    private static ulong Read64(ref byte start, int offset) => Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref start, offset));

    private static ulong Read32(ref byte start, int offset) => Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref start, offset));

    private static ulong RandomWord()
    {
        Span<byte> word = stackalloc byte[8];
        RandomNumberGenerator.Fill(word);
        return BinaryPrimitives.ReadUInt64LittleEndian(word) | 1;
    }
}
