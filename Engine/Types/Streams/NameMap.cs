namespace OrleansRedis.Engine;

/// <summary>Something with a name in bytes that never changes.</summary>
internal interface INamed
{
    byte[] Name { get; }
}

/// <summary>
/// A few named things, ordered by the bytes of their names: the order in which Redis lists and saves groups and
/// consumers.
/// </summary>
internal sealed class NameMap<T> where T : class, INamed
{
    private readonly List<T> _items = [];

    public int Count => _items.Count;

    public IReadOnlyList<T> Items => _items;

    public T? Find(ReadOnlySpan<byte> name)
    {
        int index = IndexOf(name);
        return index < 0 ? null : _items[index];
    }

    /// <summary>Adds an item whose name is not there yet.</summary>
    public void Add(T item) => _items.Insert(~IndexOf(item.Name), item);

    public bool Remove(ReadOnlySpan<byte> name)
    {
        int index = IndexOf(name);
        if (index < 0) return false;
        _items.RemoveAt(index);
        return true;
    }

    private int IndexOf(ReadOnlySpan<byte> name)
    {
        int low = 0, high = _items.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) >> 1, order = _items[middle].Name.AsSpan().SequenceCompareTo(name);
            if (order == 0) return middle;
            if (order < 0) low = middle + 1;
            else high = middle - 1;
        }
        return ~low;
    }
}
