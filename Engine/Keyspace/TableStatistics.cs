using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// How the cells of hash tables are used, of one or of several taken together, for DEBUG HTSTATS. Told in Redis's layout
/// and words, which are those of tables of chains. There are no chains here: the chain of a home cell, where the search
/// for a key begins, is the occupied cells from there to the next empty one, which such a search looks at if it fails.
/// </summary>
internal sealed class TableStatistics
{
    private readonly List<long> _homesByLength = []; // how many homes of keys have a chain of this length

    /// <summary>The number of cells.</summary>
    public long Cells { get; private set; }

    /// <summary>The number of entries.</summary>
    public long Entries { get; private set; }

    /// <summary>Counts a table, or a part of one.</summary>
    public void Add(long cells, long entries)
    {
        Cells += cells;
        Entries += entries;
    }

    /// <summary>Counts a cell that is the home of at least one entry.</summary>
    public void AddHome(int chainLength)
    {
        while (_homesByLength.Count <= chainLength) _homesByLength.Add(0);
        _homesByLength[chainLength]++;
    }

    /// <summary>Appends the lines of Redis's dictGetStats for one table.</summary>
    /// <param name="text">Where to append.</param>
    /// <param name="isTarget">Whether these are the cells that a resize moves the entries to.</param>
    /// <param name="inFull">Whether homes were counted and are to be told of.</param>
    public void Tell(StringBuilder text, bool isTarget, bool inFull)
    {
        text.Append(isTarget ? "Hash table 1 stats (rehashing target):\n" : "Hash table 0 stats (main hash table):\n");
        if (Entries == 0)
        {
            text.Append("No stats available for empty dictionaries\n");
            return;
        }
        text.Append(CultureInfo.InvariantCulture, $" table size: {Cells}\n number of elements: {Entries}\n");
        if (inFull) TellOfHomes(text);
    }

    private void TellOfHomes(StringBuilder text)
    {
        long homes = 0, looks = 0;
        for (int length = 1; length < _homesByLength.Count; length++)
        {
            homes += _homesByLength[length];
            looks += length * _homesByLength[length];
        }
        text.Append(CultureInfo.InvariantCulture,
            $" different slots: {homes}\n max chain length: {_homesByLength.Count - 1}\n avg chain length (counted): {(double)looks / homes:F2}\n"
                + $" avg chain length (computed): {(double)Entries / homes:F2}\n Chain length distribution:\n");
        for (int length = 0; length < _homesByLength.Count; length++)
        {
            long count = length == 0 ? Cells - homes : _homesByLength[length];
            if (count != 0) text.Append(CultureInfo.InvariantCulture, $"   {length}: {count} ({count * 100.0 / Cells:F2}%)\n");
        }
    }
}
