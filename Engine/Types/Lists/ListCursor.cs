namespace OrleansRedis.Engine;

/// <summary>Walks a list, in either representation and either direction. The list must not change meanwhile.</summary>
internal ref struct ListCursor
{
    private readonly bool _forward;
    private QuicklistNode? _node;
    private Listpack _listpack;
    private int _position;      // of the current element; -1 for a plain node's
    private int _next;          // of the element that MoveNext goes to; -1: in the next node

    /// <summary>
    /// Starts so that the first MoveNext reaches the element at an index, which is not negative and exists.
    /// </summary>
    public ListCursor(object entry, long index, bool forward)
    {
        _forward = forward;
        _position = -1;
        int offset = (int)index;
        if (entry is ListValue value)
        {
            _node = value.Elements.Seek(index, out offset);
            if (_node.IsPlain)
            {
                _next = PlainAhead;
                return;
            }
            _listpack = _node.Listpack;
        }
        else
        {
            _listpack = Listpack.In((byte[])entry);
        }
        _next = _listpack.Seek(offset);
    }

    private const int PlainAhead = -2;

    /// <summary>The element that the last MoveNext reached.</summary>
    public readonly ListpackElement Current => _position >= 0 ? _listpack[_position] : ListpackElement.Of(_node!.Content);

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
        if (_next == PlainAhead)
        {
            _position = -1;
            _next = -1;
            return true;
        }
        _node = _forward ? _node?.Next : _node?.Previous;
        if (_node is null) return false;
        if (_node.IsPlain)
        {
            _position = -1;
            return true;
        }
        _listpack = _node.Listpack;
        _next = _forward ? _listpack.First : _listpack.Last;
        return MoveNext();
    }
}
