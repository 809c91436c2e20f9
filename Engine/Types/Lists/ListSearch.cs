namespace OrleansRedis.Engine;

/// <summary>Searches one listpack of a list, whether it belongs to a blob or to a quicklist node.</summary>
internal static class ListSearch
{
    /// <summary>
    /// Adds the positions of up to <paramref name="most"/> elements equal to a value, in ascending order: the first
    /// ones or, if <paramref name="reverse"/>, the last ones.
    /// </summary>
    public static void FindEqual(in Listpack listpack, ReadOnlySpan<byte> value, long most, bool reverse, List<int> into)
    {
        int begin = into.Count;
        for (int at = listpack.Find(listpack.First, value); at >= 0; at = listpack.Find(listpack.Next(at), value))
        {
            if (into.Count - begin == most && !reverse) return;
            into.Add(at);
        }
        // From the end: find all of them first, because a forward search compares encoded bytes, which is fast. Then
        // keep the last ones.
        int surplus = (int)Math.Max(0, into.Count - begin - most);
        into.RemoveRange(begin, surplus);
    }
}
