namespace OrleansRedis.Engine;

/// <summary>Searching one listpack of a list, whether it is a blob's or a quicklist node's.</summary>
internal static class ListSearch
{
    /// <summary>Adds the positions of up to <paramref name="most"/> elements equal to a value, the first or, in <paramref name="reverse"/>, the last ones; they ascend.</summary>
    public static void FindEqual(in Listpack listpack, ReadOnlySpan<byte> value, long most, bool reverse, List<int> into)
    {
        int begin = into.Count;
        for (int at = listpack.Find(listpack.First, value); at >= 0; at = listpack.Find(listpack.Next(at), value))
        {
            if (into.Count - begin == most && !reverse) return;
            into.Add(at);
        }
        // From the end: all are found first, as searching forwards compares encoded bytes, which is quick; the last ones count.
        int surplus = (int)Math.Max(0, into.Count - begin - most);
        into.RemoveRange(begin, surplus);
    }
}
