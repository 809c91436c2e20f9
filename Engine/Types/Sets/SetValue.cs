using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>A set in a hash table. Members never change, so sets made from one another share them.</summary>
internal sealed class SetValue : Value
{
    private const int ObjectBytes = 160; // this object and the table's, without the arrays

    private readonly ByteTable<ByteMember> _members;
    private long _memberBytes;

    public SetValue(byte[] key, int expectedCount) : base(key)
    {
        _members = new(expectedCount);
    }

    private SetValue(byte[] key, SetValue other) : base(key)
    {
        _members = new(other._members);
        _memberBytes = other._memberBytes;
    }

    public override ValueType Type => ValueType.Set;

    public override string Encoding => "hashtable";

    public override long Bytes => ObjectBytes + Blob.AllocatedBytes(Key.Length) + _members.ArrayBytes + _memberBytes;

    public override long ElementCount => _members.Count;

    public override long FreeEffort => _members.Count;

    /// <summary>The members; each entry is a byte[].</summary>
    public ByteTable<ByteMember> Members => _members;

    public int Count => _members.Count;

    public override uint ForeseeHome(uint hash) => _members.ForeseeHome(hash);

    public override object? ForeseeElement(uint hash) => _members.Foresee(hash);

    public override Value Clone(byte[] key) => new SetValue(key, this) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };

    /// <summary>The same members under another key, without expiry.</summary>
    public SetValue CopyMembers(byte[] key) => new(key, this);

    public bool Contains(ReadOnlySpan<byte> member) => Contains(member, KeyHash.Of(member));

    public bool Contains(ReadOnlySpan<byte> member, uint hash) => !Unsafe.IsNullRef(ref _members.Find(member, hash));

    /// <summary>Adds a member; false if it was already there.</summary>
    public bool Add(ReadOnlySpan<byte> member)
    {
        uint hash = KeyHash.Of(member);
        if (Contains(member, hash)) return false;
        AddNew(member.ToArray(), hash);
        return true;
    }

    /// <summary>Adds a member of another set, sharing its bytes; false if it was already there.</summary>
    public bool Add(byte[] member, uint hash)
    {
        if (Contains(member, hash)) return false;
        AddNew(member, hash);
        return true;
    }

    /// <summary>Removes a member; false if it was not there.</summary>
    public bool Remove(ReadOnlySpan<byte> member) => Remove(member, KeyHash.Of(member));

    /// <inheritdoc cref="Remove(ReadOnlySpan{byte})"/>
    public bool Remove(ReadOnlySpan<byte> member, uint hash)
    {
        if (_members.Remove(member, hash) is not byte[] removed) return false;
        _memberBytes -= Blob.AllocatedBytes(removed.Length);
        return true;
    }

    private void AddNew(byte[] member, uint hash)
    {
        _members.Add(member, hash);
        _memberBytes += Blob.AllocatedBytes(member.Length);
    }
}

/// <summary>A table entry that consists only of its key.</summary>
internal readonly struct ByteMember : IKeyOf
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> KeyOf(object entry) => Unsafe.As<byte[]>(entry);
}
