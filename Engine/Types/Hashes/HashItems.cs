namespace OrleansRedis.Engine;

/// <summary>A field of a hash with its value, in place. Valid until the hash changes.</summary>
internal readonly ref struct HashItem(ListpackElement field, ListpackElement value, long expiresAtMs)
{
    public ListpackElement Field { get; } = field;

    public ListpackElement Value { get; } = value;

    /// <summary>When the field expires, as Unix time in ms, or <see cref="Expiry.Never"/>.</summary>
    public long ExpiresAtMs { get; } = expiresAtMs;

    public static HashItem Of(HashField field) => new(new(field.Key), new(field.Value), field.ExpiresAtMs);

    /// <summary>The item whose field is at a position of a listpack.</summary>
    public static HashItem At(Listpack listpack, int position, bool withExpiry)
    {
        int value = listpack.Next(position);
        long expiresAtMs = Expiry.Never;
        if (withExpiry && listpack[listpack.Next(value)].Integer is > 0 and var time) expiresAtMs = time;
        return new(listpack[position], listpack[value], expiresAtMs);
    }
}

/// <summary>Walks the fields of a hash in any representation. The hash must not change meanwhile.</summary>
internal ref struct HashItems
{
    private readonly KeyEntry _hash;
    private readonly int _step; // elements of a listpack per field; 0: a table
    private int _position;
    private ByteTable<HashField>.Enumerator _table;

    public HashItems(KeyEntry hash)
    {
        _hash = hash;
        if (hash.TryBlob(out Blob blob))
        {
            _step = HashEntry.Step(blob);
            _position = -1;
        }
        else
        {
            _table = hash.As<HashValue>().Fields.GetEnumerator();
        }
    }

    /// <summary>The field that the last MoveNext reached.</summary>
    public readonly HashItem Current => _step == 0
        ? HashItem.Of(_table.Current)
        : HashItem.At(Listpack.In(_hash.Blob), _position, _step == 3);

    public bool MoveNext()
    {
        if (_step == 0) return _table.MoveNext();
        Listpack listpack = Listpack.In(_hash.Blob);
        if (_position < 0)
        {
            _position = listpack.First;
        }
        else
        {
            for (int i = 0; i < _step && _position >= 0; i++) _position = listpack.Next(_position);
        }
        return _position >= 0;
    }

    public readonly HashItems GetEnumerator() => this;
}
