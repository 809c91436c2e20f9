namespace OrleansRedis.Engine;

/// <summary>Walks a list, in either representation and either direction. The list must not change meanwhile.</summary>
internal unsafe ref struct ListCursor
{
    private readonly bool _forward;
    private QuicklistReader _reader;
    private QuicklistNode* _node;
    private Listpack _listpack;
    private ReadOnlySpan<byte> _plain;
    private int _position;      // of the current element; -1 for a plain node's
    private int _next;          // of the element that MoveNext goes to; -1: in the next node

    /// <summary>
    /// Starts so that the first MoveNext reaches the element at an index, which is not negative and exists.
    /// </summary>
    public ListCursor(KeyEntry entry, long index, bool forward)
    {
        _forward = forward;
        _position = -1;
        if (entry.TryBlob(out Blob blob))
        {
            _listpack = Listpack.In(blob);
            _next = _listpack.Seek((int)index);
            return;
        }
        _node = ListEntry.ElementsOf(entry).Seek(index, out int offset);
        if (_node->IsPlain)
        {
            _next = PlainAhead;
            return;
        }
        _listpack = _reader.Listpack(_node);
        _next = _listpack.Seek(offset);
    }

    private const int PlainAhead = -2;

    /// <summary>The element that the last MoveNext reached. It is valid until the next one.</summary>
    public readonly ListpackElement Current => _position >= 0 ? _listpack[_position] : ListpackElement.Of(_plain);

    /// <summary>Steps to the next element in the cursor's direction; false after the last.</summary>
    public bool MoveNext()
    {
        if (_next >= 0)
        {
            _position = _next;
            _next = _forward ? _listpack.Next(_position) : _listpack.Previous(_position);
            return true;
        }
        return MoveToNode();
    }

    private bool MoveToNode()
    {
        if (_next != PlainAhead && _node != null) _node = _forward ? _node->Next : _node->Previous;
        if (_node == null) return false;
        if (_node->IsPlain)
        {
            _plain = _reader.Content(_node);
            _position = -1;
            _next = -1;
            return true;
        }
        _listpack = _reader.Listpack(_node);
        _next = _forward ? _listpack.First : _listpack.Last;
        return MoveNext();
    }
}
