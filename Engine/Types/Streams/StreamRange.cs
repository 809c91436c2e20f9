namespace OrleansRedis.Engine;

/// <summary>
/// Walks the live entries of a stream within a range of IDs, including both ends. The stream must not change meanwhile.
/// </summary>
internal unsafe ref struct StreamRange
{
    private readonly StreamId _start;
    private readonly StreamId _end;
    private readonly bool _reverse;
    private StreamIdMap<StreamNodeBlock>.Position _at;
    private Listpack _node;
    private StreamId _master;
    private long _masterFields;
    private int _next;             // forward: the next entry's position; reverse: where the previous entry ends
    private bool _inNode;
    private StreamEntry _entry;

    public StreamRange(StreamValue stream, StreamId start, StreamId end, bool reverse = false)
    {
        _start = start;
        _end = end;
        _reverse = reverse;
        _at = stream.Nodes.SeekLast(reverse ? end : start);
        if (!reverse && !_at.IsValid) _at = stream.Nodes.First;
    }

    /// <summary>The ID of the current entry.</summary>
    public readonly StreamId Id => _entry.Id;

    internal readonly StreamEntry Entry => _entry;

    internal readonly StreamId NodeId => _master;

    /// <summary>Steps to the next entry, or the first; false at the end.</summary>
    public bool MoveNext()
    {
        while (true)
        {
            if (!_inNode && !EnterNode()) return false;
            if (_reverse ? !StepBack() : !Step())
            {
                _inNode = false;
                if (_reverse) _at.Previous();
                else _at.Next();
                continue;
            }
            if (_reverse ? _entry.Id < _start : _entry.Id > _end) return false;
            if (_entry.IsDeleted || _entry.Id < _start || _entry.Id > _end) continue;
            return true;
        }
    }

    private bool EnterNode()
    {
        if (!_at.IsValid) return false;
        _node = _at.Value->Listpack;
        _master = _at.Id;
        if (_reverse ? false : _master > _end) return false;
        _masterFields = _node[StreamNode.FieldCountPosition(_node)].Integer;
        _next = _reverse ? _node.EndPosition : StreamNode.FirstEntry(_node);
        _inNode = true;
        return true;
    }

    private bool Step()
    {
        if (_next < 0) return false;
        _entry = StreamNode.Read(_node, _master, _masterFields, _next);
        _next = StreamNode.Skip(_node, _entry);
        return true;
    }

    private bool StepBack()
    {
        int position = StreamNode.EntryBefore(_node, _next);
        if (position < 0) return false;
        _entry = StreamNode.Read(_node, _master, _masterFields, position);
        _next = position;
        return true;
    }

    /// <summary>Writes the current entry: an array of its ID and its fields and values.</summary>
    public readonly void WriteTo(RespWriter reply)
    {
        reply.Array(2);
        _entry.Id.WriteTo(reply);
        reply.Array(_entry.FieldCount * 2);
        WriteFieldsTo(reply);
    }

    /// <summary>Writes the current entry's fields and values, each pair as two bulk strings.</summary>
    public readonly void WriteFieldsTo(RespWriter reply)
    {
        int at = _entry.Content, name = _entry.SameFields ? StreamNode.FieldCountPosition(_node) : -1;
        for (int i = 0; i < _entry.FieldCount; i++)
        {
            if (_entry.SameFields)
            {
                name = _node.Next(name);
                _node[name].WriteTo(reply);
            }
            else
            {
                _node[at].WriteTo(reply);
                at = _node.Next(at);
            }
            _node[at].WriteTo(reply);
            at = _node.Next(at);
        }
    }

    /// <summary>Adds the current entry's fields and values to a digest.</summary>
    public readonly void MixFieldsInto(ValueDigest digest)
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        int at = _entry.Content, name = _entry.SameFields ? StreamNode.FieldCountPosition(_node) : -1;
        for (int i = 0; i < _entry.FieldCount; i++)
        {
            if (_entry.SameFields)
            {
                name = _node.Next(name);
                digest.Mix(_node[name].AsSpan(scratch));
            }
            else
            {
                digest.Mix(_node[at].AsSpan(scratch));
                at = _node.Next(at);
            }
            digest.Mix(_node[at].AsSpan(scratch));
            at = _node.Next(at);
        }
    }
}
