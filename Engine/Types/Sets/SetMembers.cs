using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A member of a set, in the form its set has it: an integer, bytes in a listpack, or an array of its own with its
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

    public SetMember(byte[] shared, uint hash)
    {
        _text = shared;
        Shared = shared;
        Hash = hash;
    }

    public bool IsInteger { get; }

    public long Integer { get; }

    /// <summary>The array that a <see cref="SetValue"/> holds, possibly shared with other sets; or null.</summary>
    public byte[]? Shared { get; }

    /// <summary>The hash of <see cref="Shared"/>.</summary>
    public uint Hash { get; }

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
    private readonly object _set;
    private readonly BlobKind _kind;
    private int _position; // position in a listpack, or index in an intset
    private ByteTable<ByteMember>.Enumerator _table;

    public SetMembers(object set)
    {
        _set = set;
        if (set is byte[] blob)
        {
            _kind = Blob.KindOf(blob);
            _position = -1;
        }
        else
        {
            _table = Unsafe.As<SetValue>(set).Members.GetEnumerator();
        }
    }

    /// <summary>The member that the last MoveNext reached.</summary>
    public readonly SetMember Current
    {
        get
        {
            if (_kind == BlobKind.SetIntset) return new(Intset.In(Unsafe.As<byte[]>(_set))[_position]);
            if (_kind == BlobKind.SetListpack) return SetEntry.MemberAt(Unsafe.As<byte[]>(_set), _position);
            return new(Unsafe.As<byte[]>(_table.Current), _table.CurrentHash);
        }
    }

    public bool MoveNext()
    {
        if (_kind == BlobKind.SetIntset) return ++_position < Intset.In(Unsafe.As<byte[]>(_set)).Count;
        if (_kind != BlobKind.SetListpack) return _table.MoveNext();
        Listpack listpack = Listpack.In(Unsafe.As<byte[]>(_set));
        _position = _position < 0 ? listpack.First : listpack.Next(_position);
        return _position >= 0;
    }

    public readonly SetMembers GetEnumerator() => this;
}
