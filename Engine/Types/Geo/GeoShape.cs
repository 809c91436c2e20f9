using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The area of a geo search: a circle, or a box along the meridians, around a centre; or a polygon. Lengths are in
/// metres.
/// </summary>
internal struct GeoShape
{
    private const double DegreesToRadians = Math.PI / 180.0;

    /// <summary>The earth's quadratic mean radius, in metres.</summary>
    private const double EarthRadius = 6372797.560856;

    /// <summary>Half the equator on the Mercator map, in metres; used to estimate how fine the grid must be.</summary>
    private const double MercatorMax = 20037726.37;

    private double _radius;
    private double _width;
    private double _height;
    private double _reach;          // the radius in metres
    private double _centreX;        // the centre in radians
    private double _centreY;
    private double _centreCosine;

    private double[]? _vertices;    // of a polygon: longitude, latitude, longitude…
    private GeoArea _bounds;        // the polygon's

    public double Longitude;
    public double Latitude;

    /// <summary>Whether it is a box and neither a circle nor a polygon.</summary>
    public bool IsBox { get; private set; }

    /// <summary>How many metres are in the unit that lengths are given in.</summary>
    public double Unit { get; private set; }

    public void SetCircle(double radius, double unit)
    {
        IsBox = false;
        _radius = radius;
        Unit = unit;
    }

    public void SetBox(double width, double height, double unit)
    {
        IsBox = true;
        _width = width;
        _height = height;
        Unit = unit;
    }

    /// <summary>
    /// Makes it a polygon. Its edges are straight on the map, and none of them crosses the 180th meridian. Distances
    /// are from the centroid of the vertices.
    /// </summary>
    /// <param name="vertices">The longitude and latitude of each vertex.</param>
    public void SetPolygon(double[] vertices)
    {
        IsBox = false;
        _vertices = vertices;
        Unit = 1;
        double south = double.MaxValue, north = double.MinValue, west = double.MaxValue, east = double.MinValue;
        double x = 0, y = 0, z = 0;
        for (int i = 0; i < vertices.Length; i += 2)
        {
            (west, east) = (Math.Min(west, vertices[i]), Math.Max(east, vertices[i]));
            (south, north) = (Math.Min(south, vertices[i + 1]), Math.Max(north, vertices[i + 1]));
            double longitude = vertices[i] * DegreesToRadians, latitude = vertices[i + 1] * DegreesToRadians;
            x += Math.Cos(latitude) * Math.Cos(longitude);
            y += Math.Cos(latitude) * Math.Sin(longitude);
            z += Math.Sin(latitude);
        }
        _bounds = new(south, north, west, east);
        Longitude = Math.Atan2(y, x) / DegreesToRadians;
        Latitude = Math.Atan2(z, Math.Sqrt((x * x) + (y * y))) / DegreesToRadians;
    }

    /// <summary>The great-circle distance between two positions in metres, by the haversine formula.</summary>
    public static double Distance(double longitude1, double latitude1, double longitude2, double latitude2)
    {
        double v = Math.Sin(((longitude2 * DegreesToRadians) - (longitude1 * DegreesToRadians)) / 2);
        if (v == 0.0) return LatitudeDistance(latitude1, latitude2);
        double y1 = latitude1 * DegreesToRadians, y2 = latitude2 * DegreesToRadians;
        double u = Math.Sin((y2 - y1) / 2);
        return 2.0 * EarthRadius * Math.Asin(Math.Sqrt((u * u) + (Math.Cos(y1) * Math.Cos(y2) * v * v)));
    }

    /// <summary>To be called after centre and size are set, before <see cref="Contains"/>.</summary>
    public void Prepare()
    {
        _centreY = Latitude * DegreesToRadians;
        _centreX = Longitude * DegreesToRadians;
        _centreCosine = Math.Cos(_centreY);
        _reach = _radius * Unit;
    }

    /// <summary>
    /// Whether a position lies inside, no farther from the centre than <paramref name="reach"/>; and its distance from
    /// the centre.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool Contains(double longitude, double latitude, double reach, out double distance)
    {
        distance = 0;
        if (IsBox)
        {
            if (LatitudeDistance(latitude, Latitude) > _height * Unit / 2) return false;
            if (Distance(longitude, latitude, Longitude, latitude) > _width * Unit / 2) return false;
            distance = FromCentre(longitude, latitude);
            return distance <= reach;
        }
        if (_vertices is not null)
        {
            if (!IsInPolygon(longitude, latitude)) return false;
            distance = FromCentre(longitude, latitude);
            return distance <= reach;
        }
        // The distance along the meridian is never more than the whole distance, and needs no trigonometry. The added
        // millionth is far more than the rounding error of either.
        reach = Math.Min(reach, _reach);
        if (LatitudeDistance(latitude, Latitude) > reach * 1.000001) return false;
        distance = FromCentre(longitude, latitude);
        return distance <= reach;
    }

    /// <summary>
    /// Whether a ray to the east crosses the polygon's edges an odd number of times
    /// (https://wrfranklin.org/Research/Short_Notes/pnpoly.html).
    /// </summary>
    private readonly bool IsInPolygon(double longitude, double latitude)
    {
        if (latitude < _bounds.South || latitude > _bounds.North || longitude < _bounds.West || longitude > _bounds.East) return false;
        ReadOnlySpan<double> vertices = _vertices;
        bool inside = false;
        double lastX = vertices[^2], lastY = vertices[^1];
        for (int i = 0; i + 1 < vertices.Length; i += 2)
        {
            double x = vertices[i], y = vertices[i + 1];
            if (y > latitude != lastY > latitude && longitude < ((lastX - x) * (latitude - y) / (lastY - y)) + x) inside = !inside;
            (lastX, lastY) = (x, y);
        }
        return inside;
    }

    /// <summary>The result of <see cref="Distance"/>, bit for bit, with the centre's part already calculated.</summary>
    private readonly double FromCentre(double longitude, double latitude)
    {
        double v = Math.Sin(((longitude * DegreesToRadians) - _centreX) / 2);
        if (v == 0.0) return LatitudeDistance(Latitude, latitude);
        double y = latitude * DegreesToRadians;
        double u = Math.Sin((y - _centreY) / 2);
        return 2.0 * EarthRadius * Math.Asin(Math.Sqrt((u * u) + (_centreCosine * Math.Cos(y) * v * v)));
    }

    /// <summary>
    /// The cells that have to be searched: the centre's and its eight neighbours, of a size that covers the shape,
    /// without those that lie outside it. They are in the order in which Redis searches them.
    /// </summary>
    public readonly void Cells(Span<GeoHash> cells)
    {
        double reach = (IsBox ? Math.Sqrt((_width / 2 * (_width / 2)) + (_height / 2 * (_height / 2))) : _radius) * Unit;
        double longitude = Longitude, latitude = Latitude;
        GeoArea bounds = Bounds();
        if (_vertices is not null)
        {
            // The centroid of a polygon around a pole, or around the earth, may lie outside of these.
            longitude = Math.Clamp(longitude, bounds.West, bounds.East);
            latitude = Math.Clamp(latitude, bounds.South, bounds.North);
            reach = Math.Max(
                Math.Max(Distance(longitude, latitude, bounds.West, bounds.North), Distance(longitude, latitude, bounds.East, bounds.North)),
                Math.Max(Distance(longitude, latitude, bounds.West, bounds.South), Distance(longitude, latitude, bounds.East, bounds.South)));
        }
        int steps = EstimateSteps(reach, latitude);
        var centre = GeoHash.Of(longitude, latitude, steps);
        // Near a cell's edge the estimate can be too fine, so that the neighbours do not reach far enough. A step less is
        // enough, unless a polygon goes so far around the earth that the way to its corners is shorter the other way.
        for (bool again = true; again && steps > 1 && !Covers(centre, bounds); again = _vertices is not null)
        {
            steps--;
            centre = GeoHash.Of(longitude, latitude, steps);
        }
        GeoArea area = centre.Area;
        bool prune = steps >= 2;
        bool noSouth = prune && area.South < bounds.South, noNorth = prune && area.North > bounds.North;
        bool noWest = prune && area.West < bounds.West, noEast = prune && area.East > bounds.East;
        cells[0] = centre;
        cells[1] = noNorth ? default : centre.Neighbour(0, 1);
        cells[2] = noSouth ? default : centre.Neighbour(0, -1);
        cells[3] = noEast ? default : centre.Neighbour(1, 0);
        cells[4] = noWest ? default : centre.Neighbour(-1, 0);
        cells[5] = noNorth || noEast ? default : centre.Neighbour(1, 1);
        cells[6] = noNorth || noWest ? default : centre.Neighbour(-1, 1);
        cells[7] = noSouth || noEast ? default : centre.Neighbour(1, -1);
        cells[8] = noSouth || noWest ? default : centre.Neighbour(-1, -1);
    }

    /// <summary>The parallels and meridians that the shape lies between.</summary>
    private readonly GeoArea Bounds()
    {
        if (_vertices is not null) return _bounds;
        double height = Unit * (IsBox ? _height / 2 : _radius), width = Unit * (IsBox ? _width / 2 : _radius);
        double latitudeDelta = height / EarthRadius / DegreesToRadians;
        // The parallel nearer to the pole is the shorter one.
        double narrow = Latitude < 0 ? Latitude - latitudeDelta : Latitude + latitudeDelta;
        double longitudeDelta = width / EarthRadius / Math.Cos(narrow * DegreesToRadians) / DegreesToRadians;
        return new(Latitude - latitudeDelta, Latitude + latitudeDelta, Longitude - longitudeDelta, Longitude + longitudeDelta);
    }

    /// <summary>Whether a cell's neighbours reach as far as these boundaries.</summary>
    private static bool Covers(GeoHash centre, in GeoArea bounds) =>
        centre.Neighbour(0, 1).Area.North >= bounds.North && centre.Neighbour(0, -1).Area.South <= bounds.South
        && centre.Neighbour(1, 0).Area.East >= bounds.East && centre.Neighbour(-1, 0).Area.West <= bounds.West;

    /// <summary>How fine a grid may be for nine cells to cover a circle; coarser near the poles.</summary>
    private static int EstimateSteps(double radius, double latitude)
    {
        if (radius == 0) return GeoHash.MaxSteps;
        int steps = 1;
        for (; radius < MercatorMax; radius *= 2) steps++;
        steps -= 2;
        if (latitude is > 66 or < -66)
        {
            steps--;
            if (latitude is > 80 or < -80) steps--;
        }
        return Math.Clamp(steps, 1, GeoHash.MaxSteps);
    }

    private static double LatitudeDistance(double latitude1, double latitude2) =>
        EarthRadius * Math.Abs((latitude2 * DegreesToRadians) - (latitude1 * DegreesToRadians));
}
