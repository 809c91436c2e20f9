using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A member of a large sorted set as one object: 8 bytes of score (a little-endian double), then the member's bytes.
/// The dictionary and the order of the set share it.
/// </summary>
internal readonly struct ScoredMember : IKeyOf
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> KeyOf(object entry) => MemberOf(Unsafe.As<byte[]>(entry));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> MemberOf(byte[] entry) =>
        MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(entry), sizeof(double)), entry.Length - sizeof(double));

    public static double ScoreOf(byte[] entry) => BinaryPrimitives.ReadDoubleLittleEndian(entry);

    public static void SetScore(byte[] entry, double score) => BinaryPrimitives.WriteDoubleLittleEndian(entry, score);

    public static byte[] Create(double score, ReadOnlySpan<byte> member)
    {
        byte[] entry = GC.AllocateUninitializedArray<byte>(sizeof(double) + member.Length);
        BinaryPrimitives.WriteDoubleLittleEndian(entry, score);
        member.CopyTo(entry.AsSpan(sizeof(double)));
        return entry;
    }
}
