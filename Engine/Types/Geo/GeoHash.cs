namespace OrleansRedis.Engine;

/// <summary>
/// A cell of the geohash grid: the bits of latitude and longitude interleaved, <see cref="Steps"/> of each, with each
/// longitude bit above its latitude bit. The grid lies between the latitudes of the web Mercator map (EPSG:3857), as in
/// Redis. With 26 steps, the 52 bits are the score of a member. The arithmetic follows Redis's operation by operation,
/// so scores and coordinates agree to the last bit.
/// </summary>
internal readonly struct GeoHash(ulong bits, int steps)
{
    public const int MaxSteps = 26;
    public const double MinLatitude = -85.05112878;
    public const double MaxLatitude = 85.05112878;
    public const double MinLongitude = -180;
    public const double MaxLongitude = 180;

    private const ulong LatitudeBits = 0x5555555555555555;
    private const ulong LongitudeBits = 0xaaaaaaaaaaaaaaaa;

    public ulong Bits { get; } = bits;

    public int Steps { get; } = steps;

    /// <summary>Whether this is no cell, but a placeholder for one that a search leaves out.</summary>
    public bool IsNone => Bits == 0 && Steps == 0;

    /// <summary>The scores of the members in this cell: from the first up to, but not including, the second.</summary>
    public (double From, double To) Scores => (Bits << (52 - (Steps * 2)), (Bits + 1) << (52 - (Steps * 2)));

    /// <summary>The cell that contains a position.</summary>
    public static GeoHash Of(double longitude, double latitude, int steps) => Of(longitude, latitude, steps, MinLatitude, MaxLatitude);

    private static GeoHash Of(double longitude, double latitude, int steps, double minLatitude, double maxLatitude)
    {
        double y = (latitude - minLatitude) / (maxLatitude - minLatitude);
        double x = (longitude - MinLongitude) / (MaxLongitude - MinLongitude);
        y *= 1UL << steps;
        x *= 1UL << steps;
        return new(Spread((uint)y) | (Spread((uint)x) << 1), steps);
    }

    /// <summary>A member's score: the cell of 26 steps that contains the position.</summary>
    public static double ScoreOf(double longitude, double latitude) => Of(longitude, latitude, MaxSteps).Bits;

    /// <summary>The position that a score stands for: the middle of its cell.</summary>
    public static void Decode(double score, out double longitude, out double latitude)
    {
        // This is what C's conversion makes of scores that no GEOADD has produced.
        ulong bits = score < 9.2233720368547758e18 ? (ulong)(long)score : score < 1.8446744073709552e19 ? (ulong)score : 0;
        GeoArea area = new GeoHash(bits, MaxSteps).Area;
        longitude = Math.Clamp((area.West + area.East) / 2, MinLongitude, MaxLongitude);
        latitude = Math.Clamp((area.South + area.North) / 2, MinLatitude, MaxLatitude);
    }

    /// <summary>The boundaries of the cell.</summary>
    public GeoArea Area
    {
        get
        {
            uint y = Gather(Bits), x = Gather(Bits >> 1);
            double size = 1.0 / (1UL << Steps); // a power of two, so multiplying by it equals dividing, to the last bit
            const double Height = MaxLatitude - MinLatitude, Width = MaxLongitude - MinLongitude;
            return new(
                South: MinLatitude + (y * size * Height),
                North: MinLatitude + (unchecked(y + 1) * size * Height),
                West: MinLongitude + (x * size * Width),
                East: MinLongitude + (unchecked(x + 1) * size * Width));
        }
    }

    /// <summary>
    /// The cell this many columns east and rows north, each -1, 0 or 1, wrapping around the edges of the map.
    /// </summary>
    public GeoHash Neighbour(int east, int north)
    {
        ulong x = Bits & LongitudeBits, y = Bits & LatitudeBits;
        ulong xMask = LongitudeBits >> (64 - (Steps * 2)), yMask = LatitudeBits >> (64 - (Steps * 2));
        // The addend has the other coordinate's bits set, so that a carry runs through them. For a subtraction those
        // bits are set in both operands, so that a borrow does.
        if (east > 0) x = (x + yMask + 1) & xMask;
        else if (east < 0) x = ((x | yMask) - (yMask + 1)) & xMask;
        if (north > 0) y = (y + xMask + 1) & yMask;
        else if (north < 0) y = ((y | xMask) - (xMask + 1)) & yMask;
        return new(x | y, Steps);
    }

    /// <summary>
    /// The geohash of a score in eleven letters (https://en.wikipedia.org/wiki/Geohash): over all latitudes, with the
    /// last letter always 0.
    /// </summary>
    public static void WriteText(double score, Span<byte> text)
    {
        ReadOnlySpan<byte> alphabet = "0123456789bcdefghjkmnpqrstuvwxyz"u8;
        Decode(score, out double longitude, out double latitude);
        ulong bits = Of(longitude, latitude, MaxSteps, -90, 90).Bits;
        for (int i = 0; i < 10; i++) text[i] = alphabet[(int)(bits >> (52 - ((i + 1) * 5))) & 31];
        text[10] = (byte)'0';
    }

    /// <summary>Puts 32 bits into the even places of 64.</summary>
    private static ulong Spread(uint value)
    {
        ulong x = value;
        x = (x | (x << 16)) & 0x0000ffff0000ffff;
        x = (x | (x << 8)) & 0x00ff00ff00ff00ff;
        x = (x | (x << 4)) & 0x0f0f0f0f0f0f0f0f;
        x = (x | (x << 2)) & 0x3333333333333333;
        return (x | (x << 1)) & LatitudeBits;
    }

    /// <summary>Takes 32 bits from the even places of 64.</summary>
    private static uint Gather(ulong value)
    {
        ulong x = value & LatitudeBits;
        x = (x | (x >> 1)) & 0x3333333333333333;
        x = (x | (x >> 2)) & 0x0f0f0f0f0f0f0f0f;
        x = (x | (x >> 4)) & 0x00ff00ff00ff00ff;
        x = (x | (x >> 8)) & 0x0000ffff0000ffff;
        return (uint)(x | (x >> 16));
    }
}

/// <summary>Boundaries in degrees.</summary>
internal readonly record struct GeoArea(double South, double North, double West, double East);
