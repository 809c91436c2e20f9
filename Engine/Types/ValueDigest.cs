using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// The digests of DEBUG DIGEST and DEBUG DIGEST-VALUE, as Redis's debug.c defines them, so that two servers can be
/// compared. It is SHA-1 throughout: ordered data is fed in one item after another, unordered data is combined by
/// exclusive or. Encodings make no difference.
/// </summary>
#pragma warning disable CA5350 // It protects nothing; it has to be what Redis computes.
internal sealed class ValueDigest
{
    private readonly byte[] _digest = new byte[SHA1.HashSizeInBytes];

    /// <summary>The 20 bytes so far.</summary>
    public ReadOnlySpan<byte> Bytes => _digest;

    /// <summary>Adds data whose position does not matter.</summary>
    public void Xor(ReadOnlySpan<byte> data)
    {
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
        SHA1.HashData(data, hash);
        for (int i = 0; i < hash.Length; i++) _digest[i] ^= hash[i];
    }

    /// <summary>Adds data whose position matters.</summary>
    public void Mix(ReadOnlySpan<byte> data)
    {
        Xor(data);
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
        SHA1.HashData(_digest, hash);
        hash.CopyTo(_digest);
    }

    /// <summary>Adds a number as four bytes, most significant first.</summary>
    public void Mix(int number)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(bytes, number);
        Mix(bytes);
    }

    /// <summary>Adds what a key holds, and whether it expires, but not the key itself.</summary>
    public void MixEntry(object entry)
    {
        ValueType type = KeyEntry.TypeOf(entry);
        Mix(NumberOf(type));
        switch (type)
        {
            case ValueType.String:
                Mix(StringEntry.Read(entry, stackalloc byte[StringEntry.ScratchLength]));
                break;
            case ValueType.List:
                MixList(entry);
                break;
            case ValueType.Set:
                XorSet(entry);
                break;
            case ValueType.SortedSet:
                XorSortedSet(entry);
                break;
            case ValueType.Hash:
                XorHash(entry);
                break;
            case ValueType.Stream:
                MixStream(entry.As<StreamValue>());
                break;
        }
        if (KeyEntry.ExpiresAtMs(entry) != Expiry.Never) Xor("!!expire!!"u8);
    }

    /// <summary>Redis's type numbers (OBJ_STRING and so on).</summary>
    private static int NumberOf(ValueType type) => type switch
    {
        ValueType.String => 0,
        ValueType.List => 1,
        ValueType.Set => 2,
        ValueType.SortedSet => 3,
        ValueType.Hash => 4,
        ValueType.Stream => 6,
        _ => throw new InvalidOperationException($"A value of unknown type {type}."),
    };

    private void MixList(object entry)
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        var cursor = new ListCursor(entry, 0, forward: true);
        while (cursor.MoveNext()) Mix(cursor.Current.AsSpan(scratch));
    }

    private void XorSet(object entry)
    {
        Span<byte> scratch = stackalloc byte[SetMember.ScratchLength];
        foreach (SetMember member in new SetMembers(entry)) Xor(member.AsSpan(scratch));
    }

    private void XorSortedSet(object entry)
    {
        Span<byte> text = stackalloc byte[32];
        SortedSetView.Walker walker = new SortedSetView(entry).Walk(stackalloc byte[ListpackElement.ScratchLength]);
        var member = new ValueDigest();
        while (walker.MoveNext())
        {
            member._digest.AsSpan().Clear();
            member.Mix(walker.Member);
            member.Mix(text[..FormatScore(walker.Score, text)]);
            Xor(member._digest);
        }
    }

    /// <summary>
    /// Formats a score as printf's %.17g does. That is what redis-server 7.0 digests; later versions use the shortest
    /// decimal.
    /// </summary>
    private static int FormatScore(double score, Span<byte> into)
    {
        if (double.IsInfinity(score)) return Numbers.FormatDouble(score, into);
        Utf8Formatter.TryFormat(score, into, out int length, new('G', 17));
        if (into[..length].IndexOf((byte)'E') is >= 0 and int e) into[e] = (byte)'e';
        return length;
    }

    private void XorHash(object entry)
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        var field = new ValueDigest();
        foreach (HashItem item in new HashItems(entry))
        {
            field._digest.AsSpan().Clear();
            field.Mix(item.Field.AsSpan(scratch));
            field.Mix(item.Value.AsSpan(scratch));
            if (item.ExpiresAtMs != Expiry.Never) field.Xor("!!hexpire!!"u8);
            Xor(field._digest);
        }
    }

    private void MixStream(StreamValue stream)
    {
        var range = new StreamRange(stream, StreamId.Min, StreamId.Max);
        while (range.MoveNext())
        {
            Mix(Encoding.ASCII.GetBytes($"{range.Id.Ms}.{range.Id.Sequence}"));
            range.MixFieldsInto(this);
        }
    }
}
