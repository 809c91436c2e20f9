using System.Buffers;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>A member that a search has found.</summary>
internal unsafe struct GeoMatch
{
    private byte* _member;     // a ScoredMember, or an element of a listpack
    private bool _isElement;

    public double Longitude;
    public double Latitude;
    public double Distance;
    public double Score;

    /// <summary>How many matches were found before it; only set if not all are kept.</summary>
    public int Found;

    /// <summary>This match for the given member.</summary>
    public readonly GeoMatch Of(ScoredMember member) => this with { _member = member.Block };

    /// <summary>This match for the member at a position of a listpack.</summary>
    public readonly GeoMatch Of(in Listpack listpack, int position) => this with { _member = listpack.Block + position, _isElement = true };

    public readonly void WriteMember(RespWriter reply)
    {
        if (_isElement) ListpackElement.At(_member).WriteTo(reply);
        else reply.BulkString(ScoredMember.At(_member).Key);
    }

    /// <summary>Creates a <see cref="ScoredMember"/> of its own.</summary>
    public readonly ScoredMember ToEntry(double score)
    {
        if (!_isElement) return ScoredMember.Create(score, ScoredMember.At(_member).Key);
        return ScoredMember.Create(score, ListpackElement.At(_member).AsSpan(stackalloc byte[ListpackElement.ScratchLength]));
    }
}

/// <summary>The matches that a search has found. One per thread, reused.</summary>
internal sealed class GeoMatches
{
    private const int KeptCapacity = 4096;

    [ThreadStatic]
    private static GeoMatches? t_spare;

    private readonly List<GeoMatch> _matches = [];
    private readonly PriorityQueue<int, (double Distance, int Index)> _farthest = new(FarthestFirst.Instance);
    private SortedSetView _set;
    private int[]? _order;
    private long _most = long.MaxValue;     // stop at this many matches
    private long _nearest = long.MaxValue;  // keep only this many, the nearest
    private double _reach = double.PositiveInfinity;
    private int _found;

    public int Count => _matches.Count;

    /// <summary>The matches, as found or, after <see cref="Sort"/>, in order.</summary>
    public ref readonly GeoMatch this[int index] => ref CollectionsMarshal.AsSpan(_matches)[_order is null ? index : _order[index]];

    public static GeoMatches Rent(KeyEntry set)
    {
        GeoMatches rented = t_spare ?? new();
        t_spare = null;
        rented._set = new(set);
        return rented;
    }

    public void Return()
    {
        _matches.Clear();
        if (_matches.Capacity > KeptCapacity) _matches.Capacity = 0;
        _farthest.Clear();
        if (_order is not null) ArrayPool<int>.Shared.Return(_order);
        _order = null;
        _set = default;
        _most = _nearest = long.MaxValue;
        _reach = double.PositiveInfinity;
        _found = 0;
        t_spare = this;
    }

    /// <summary>Finds all members inside a shape.</summary>
    public void CollectAll(in GeoShape shape) => Collect(shape);

    /// <summary>Finds <paramref name="count"/> members inside a shape, whichever come first.</summary>
    public void CollectAny(in GeoShape shape, long count)
    {
        _most = count;
        Collect(shape);
    }

    /// <summary>
    /// Finds the <paramref name="count"/> members inside a shape that are nearest to its centre. Once there are that
    /// many, the shape shrinks to the farthest of them, so that most other members are rejected without trigonometry.
    /// </summary>
    public void CollectNearest(in GeoShape shape, long count)
    {
        _nearest = count;
        Collect(shape);
    }

    /// <summary>
    /// Sorts the matches, nearest (1) or farthest (-1) first; matches at the same distance keep the order in which they
    /// were found.
    /// </summary>
    public void Sort(int order)
    {
        int count = _matches.Count;
        double[] keys = ArrayPool<double>.Shared.Rent(count);
        _order = ArrayPool<int>.Shared.Rent(count);
        Span<GeoMatch> matches = CollectionsMarshal.AsSpan(_matches);
        for (int i = 0; i < count; i++)
        {
            keys[i] = matches[i].Distance * order;
            _order[i] = i;
        }
        Array.Sort(keys, _order, 0, count);
        for (int i = 0, end; i < count; i = end)
        {
            for (end = i + 1; end < count && keys[end] == keys[i];) end++;
            if (end - i > 1) Array.Sort(_order, i, end - i, _nearest == long.MaxValue ? null : ByFinding);
        }
        ArrayPool<double>.Shared.Return(keys);
    }

    /// <summary>Needed because matches that replaced others are not where they would be if all had been kept.</summary>
    private Comparer<int> ByFinding => Comparer<int>.Create((a, b) => _matches[a].Found.CompareTo(_matches[b].Found));

    private void Collect(in GeoShape shape)
    {
        Span<GeoHash> cells = stackalloc GeoHash[9];
        shape.Cells(cells);
        int last = 0;
        for (int i = 0; i < cells.Length && Count < _most; i++)
        {
            if (cells[i].IsNone) continue;
            // With a huge radius, neighbours can be the same cell, reached around the earth.
            if (last > 0 && cells[i].Bits == cells[last].Bits && cells[i].Steps == cells[last].Steps) continue;
            (double from, double to) = cells[i].Scores;
            if (_set.Value is { } value) Collect(value, shape, from, to);
            else Collect(_set.Listpack, shape, from, to);
            last = i;
        }
    }

    private void Collect(SortedSetValue value, in GeoShape shape, double from, double to)
    {
        for (ScoreTree.Position at = value.Order.FirstAt(new ScoreBound(from, afterEquals: false)); at.IsValid && Count < _most; at.Next())
        {
            double score = at.Score;
            if (score >= to) return;
            if (IsMatch(shape, score, out GeoMatch match)) Add(match.Of(at.Entry));
        }
    }

    private void Collect(in Listpack listpack, in GeoShape shape, double from, double to)
    {
        for (int at = listpack.First; at >= 0 && Count < _most; at = listpack.Next(listpack.Next(at)))
        {
            double score = SortedSetListpack.ScoreOf(listpack, at);
            if (score < from) continue;
            if (score >= to) return;
            if (IsMatch(shape, score, out GeoMatch match)) Add(match.Of(listpack, at));
        }
    }

    private bool IsMatch(in GeoShape shape, double score, out GeoMatch match)
    {
        match = new() { Score = score };
        GeoHash.Decode(score, out match.Longitude, out match.Latitude);
        return shape.Contains(match.Longitude, match.Latitude, _reach, out match.Distance);
    }

    private void Add(GeoMatch match)
    {
        if (_nearest == long.MaxValue)
        {
            _matches.Add(match);
            return;
        }
        match.Found = _found++;
        if (_matches.Count < _nearest)
        {
            _farthest.Enqueue(_matches.Count, (match.Distance, match.Found));
            _matches.Add(match);
            if (_matches.Count == _nearest) _reach = Farthest();
            return;
        }
        if (match.Distance >= _reach) return;
        int place = _farthest.Dequeue();
        _matches[place] = match;
        _farthest.Enqueue(place, (match.Distance, match.Found));
        _reach = Farthest();
    }

    private double Farthest() => _matches[_farthest.Peek()].Distance;

    /// <summary>The farthest first; among those at the same distance, the one found last.</summary>
    private sealed class FarthestFirst : IComparer<(double Distance, int Index)>
    {
        public static readonly FarthestFirst Instance = new();

        public int Compare((double Distance, int Index) x, (double Distance, int Index) y) =>
            x.Distance > y.Distance ? -1 : x.Distance < y.Distance ? 1 : y.Index.CompareTo(x.Index);
    }
}
