using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>A set in a hash table, with one block per member.</summary>
internal sealed unsafe class SetValue : Value
{
    private const int ObjectBytes = 168; // this object and the table's

    private readonly ByteTable<StoredMember> _members;
    private long _memberBytes;

    public SetValue(byte[] key, int expectedCount) : base(key)
    {
        _members = new(expectedCount);
    }

    private SetValue(byte[] key, SetValue other) : base(key)
    {
        _members = new(other._members);
        _memberBytes = other._memberBytes;
        ByteTable<StoredMember>.Enumerator copies = _members.GetEnumerator();
        while (copies.MoveNext()) copies.CurrentCell = StoredMember.Create(copies.Current.Key);
    }

    public override ValueType Type => ValueType.Set;

    public override string Encoding => "hashtable";

    public override long Bytes => ObjectBytes + KeyBytes + _members.CellBytes + _memberBytes;

    public override long ElementCount => _members.Count;

    public override long FreeEffort => _members.Count;

    public ByteTable<StoredMember> Members => _members;

    public int Count => _members.Count;

    public override uint ForeseeHome(uint hash) => _members.ForeseeHome(hash);

    public override byte* ForeseeElement(uint hash) => _members.Foresee(hash).Block;

    public override Value Clone(byte[] key) => new SetValue(key, this) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };

    /// <summary>The same members under another key, without expiry.</summary>
    public SetValue CopyMembers(byte[] key) => new(key, this);

    public bool Contains(ReadOnlySpan<byte> member) => Contains(member, KeyHash.Of(member));

    public bool Contains(ReadOnlySpan<byte> member, uint hash) => !Unsafe.IsNullRef(ref _members.Find(member, hash));

    /// <summary>Adds a member; false if it was already there.</summary>
    public bool Add(ReadOnlySpan<byte> member) => Add(member, KeyHash.Of(member));

    /// <inheritdoc cref="Add(ReadOnlySpan{byte})"/>
    public bool Add(ReadOnlySpan<byte> member, uint hash)
    {
        if (Contains(member, hash)) return false;
        var made = StoredMember.Create(member);
        _members.Add(made, hash);
        _memberBytes += made.AllocatedBytes;
        return true;
    }

    /// <summary>Removes a member; false if it was not there.</summary>
    public bool Remove(ReadOnlySpan<byte> member) => Remove(member, KeyHash.Of(member));

    /// <inheritdoc cref="Remove(ReadOnlySpan{byte})"/>
    public bool Remove(ReadOnlySpan<byte> member, uint hash)
    {
        StoredMember removed = _members.Remove(member, hash);
        if (removed.IsNone) return false;
        _memberBytes -= removed.AllocatedBytes;
        removed.Retire();
        return true;
    }

    public override object? Defragment(BlockMover mover, object? from) => Defragment(_members, mover, from);

    protected override void FreeElements() => _members.Free();
}
