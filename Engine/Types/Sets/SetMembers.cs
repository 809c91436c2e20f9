namespace OrleansRedis.Engine;

/// <summary>
/// A member of a set, in the form its set has it: an integer, bytes in a listpack, or a block of its own with its
/// hash. Valid until the set changes.
/// </summary>
internal readonly ref struct SetMember
{
    /// <summary>The scratch space for an integer's digits.</summary>
    public const int ScratchLength = 20;

    private readonly ReadOnlySpan<byte> _text;

    public SetMember(long integer)
    {
        Integer = integer;
        IsInteger = true;
    }

    public SetMember(ReadOnlySpan<byte> text)
    {
        _text = text;
    }

    public SetMember(ReadOnlySpan<byte> text, uint hash)
    {
        _text = text;
        Hash = hash;
        IsHashed = true;
    }

    public bool IsInteger { get; }

    public long Integer { get; }

    /// <summary>Whether its hash is known, since it comes from a table. Then it is not an integer.</summary>
    public bool IsHashed { get; }

    /// <summary>Its hash, if that is known.</summary>
    public uint Hash { get; }

    /// <summary>Its bytes, if it is not an integer.</summary>
    public ReadOnlySpan<byte> Text => _text;

    public ReadOnlySpan<byte> AsSpan(Span<byte> scratch) => IsInteger ? scratch[..Numbers.FormatInt64(Integer, scratch)] : _text;

    /// <summary>The integer that it is, or that its bytes spell.</summary>
    public bool TryInteger(out long integer)
    {
        integer = Integer;
        // Text in a listpack is never an integer, but exploiting that is not worthwhile.
        return IsInteger || Numbers.TryParseInt64(_text, out integer);
    }

    public void WriteTo(RespWriter reply)
    {
        if (IsInteger) reply.BulkInteger(Integer);
        else reply.BulkString(_text);
    }
}

/// <summary>Walks the members of a set in any representation. The set must not change meanwhile.</summary>
internal ref struct SetMembers
{
    private readonly KeyEntry _set;
    private readonly BlobKind _kind;
    private int _position; // position in a listpack, or index in an intset
    private ByteTable<StoredMember>.Enumerator _table;

    public SetMembers(KeyEntry set)
    {
        _set = set;
        if (set.TryBlob(out Blob blob))
        {
            _kind = blob.Kind;
            _position = -1;
        }
        else
        {
            _table = set.As<SetValue>().Members.GetEnumerator();
        }
    }

    /// <summary>The member that the last MoveNext reached.</summary>
    public readonly SetMember Current
    {
        get
        {
            if (_kind == BlobKind.SetIntset) return new(Intset.In(_set.Blob)[_position]);
            if (_kind == BlobKind.SetListpack) return SetEntry.MemberAt(_set.Blob, _position);
            return new(_table.Current.Key, _table.CurrentHash);
        }
    }

    public bool MoveNext()
    {
        if (_kind == BlobKind.SetIntset) return ++_position < Intset.In(_set.Blob).Count;
        if (_kind != BlobKind.SetListpack) return _table.MoveNext();
        Listpack listpack = Listpack.In(_set.Blob);
        _position = _position < 0 ? listpack.First : listpack.Next(_position);
        return _position >= 0;
    }

    public readonly SetMembers GetEnumerator() => this;
}
