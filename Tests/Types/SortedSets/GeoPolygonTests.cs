using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.SortedSets;

/// <summary>GEOSEARCH and GEOSEARCHSTORE BYPOLYGON, as in Valkey 9.</summary>
public sealed class GeoPolygonTests : IDisposable
{
    /// <summary>A concave polygon in Sydney; Valkey's own tests have it.</summary>
    private const string Sydney = "BYPOLYGON 11 151.21619137411474 -33.869643764947696 151.20408853981647 -33.87845382042545 151.2123775086366 "
        + "-33.87864711938855 151.21046943124387 -33.87588862400425 151.21701035939626 -33.874286511854834 151.2239557405701 -33.8735722632175 "
        + "151.22495056246407 -33.87893571656996 151.2274447496748 -33.882307713036354 151.23212935868654 -33.88136096120022 151.23097291274465 "
        + "-33.87456240592362 151.22475424781445 -33.87099633192101";

    private readonly EngineHarness _redis = new();

    public GeoPolygonTests() => _redis.Show("GEOADD places 151.20932132005692 -33.877723137822436 elizabeth 151.2119820713997 -33.87697539508043 liverpool "
        + "151.2119820713997 -33.87156123068408 james 151.2229523062706 -33.883973760201364 oxford 151.22852593660355 -33.88116782387797 goodhope "
        + "151.2224105000496 -33.87544442350019 kings 151.22953444719315 -33.874838625143106 bartley");

    public void Dispose() => _redis.Dispose();

    [Theory]
    [InlineData("GEOSEARCH places {p}", "[goodhope, bartley, elizabeth]")]
    [InlineData("GEOSEARCH places {p} ASC", "[bartley, goodhope, elizabeth]")]
    [InlineData("GEOSEARCH places {p} DESC WITHDIST", "[[elizabeth, 1035.7735], [goodhope, 929.4979], [bartley, 858.3013]]")]
    [InlineData("GEOSEARCH places {p} COUNT 2 WITHDIST", "[[bartley, 858.3013], [goodhope, 929.4979]]")]
    [InlineData("GEOSEARCH places COUNT 1 {p} WITHCOORD", "[[bartley, [151.22953444719314575, -33.87483862514310573]]]")]
    [InlineData("GEOSEARCH places COUNT 1 ANY {p}", "[goodhope]")]
    // Its edges cross each other: what lies between two of them is outside.
    [InlineData("GEOSEARCH places BYPOLYGON 5 151.2154285314146 -33.867438205607186 151.20024487595015 -33.88138572784347 151.2374118848648 "
        + "-33.87601765283626 151.19695829592922 -33.87272872054441 151.2278336546125 -33.88345323146266", "[elizabeth, james, kings]")]
    [InlineData("GEOSEARCH places BYPOLYGON 3 0 0 1 0 1 1", "[]")]
    [InlineData("GEOSEARCH places BYPOLYGON 3 151 -33 151 -33 151 -33", "[]")]
    [InlineData("GEOSEARCH none {p}", "[]")]
    [InlineData("GEOSEARCHSTORE places places {p} ASC COUNT 2", "2")]
    [InlineData("GEOSEARCHSTORE {places}d none {p}", "0")]
    [InlineData("GEOSEARCH places BYPOLYGON 2 151 -33 152 -33", "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")]
    [InlineData("GEOSEARCH places BYPOLYGON 3 151 -33 152 -33", "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")]
    [InlineData("GEOSEARCH places BYPOLYGON 2147483647 151 -33 152 -33", "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")]
    [InlineData("GEOSEARCH places BYPOLYGON -1 151 -33 152 -33", "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")]
    [InlineData("GEOSEARCH places BYPOLYGON 2147483648 151 -33 152 -33", "-ERR invalid number of vertices")]
    [InlineData("GEOSEARCH places BYPOLYGON x 151 -33 152 -33", "-ERR invalid number of vertices")]
    [InlineData("GEOSEARCH places BYPOLYGON 3 151 -33 152 -33 152 y", "-ERR value is not a valid float")]
    [InlineData("GEOSEARCH places BYPOLYGON 3 151 -33 152 -33 152 -90", "-ERR invalid longitude,latitude pair 152.000000,-90.000000")]
    [InlineData("GEOSEARCH places BYPOLYGON 3 151 -33 152 -33 152 -34 153", "-ERR syntax error")]
    [InlineData("GEOSEARCH places {p} BYBOX 4 4 km", "-ERR syntax error")]
    [InlineData("GEOSEARCH places {p} BYRADIUS 4 km", "-ERR syntax error")]
    [InlineData("GEOSEARCH places BYBOX 4 4 km {p}", "-ERR syntax error")]
    [InlineData("GEOSEARCH places BYRADIUS 4 km {p}", "-ERR syntax error")]
    [InlineData("GEOSEARCH places {p} FROMLONLAT 151 -33", "-ERR syntax error")]
    [InlineData("GEOSEARCH places {p} FROMMEMBER kings", "-ERR syntax error")]
    [InlineData("GEOSEARCH places FROMMEMBER kings {p}", "-ERR syntax error")]
    [InlineData("GEOSEARCH places {p} COUNT 0", "-ERR COUNT must be > 0")]
    [InlineData("GEOSEARCH places {p} ANY", "-ERR the ANY argument requires COUNT argument")]
    [InlineData("GEOSEARCHSTORE {places}d places {p} WITHDIST", "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options")]
    [InlineData("GEOSEARCH places ASC COUNT 3 WITHDIST WITHCOORD", "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH")]
    public void A_polygon_finds_what_lies_within(string line, string reply) =>
        Assert.Equal(reply, _redis.Show(line.Replace("{p}", Sydney, StringComparison.Ordinal)));

    [Fact]
    public void Distances_from_a_polygon_s_centre_can_be_stored()
    {
        Assert.Equal("3", _redis.Show($"GEOSEARCHSTORE {{places}}d places {Sydney} STOREDIST"));
        using EngineHarness copy = _redis.Replay();
        foreach (EngineHarness redis in (EngineHarness[])[_redis, copy])
        {
            object?[] stored = (object?[])redis.Run("ZRANGE", "{places}d", "0", "-1", "WITHSCORES")!;
            Assert.Equal(["bartley", "goodhope", "elizabeth"], stored.Where((_, i) => i % 2 == 0));
            Assert.StartsWith("858.30125", (string)stored[1]!, StringComparison.Ordinal);
        }
    }

    /// <summary>Polygons of any size and anywhere, around a pole too, beside a look at every member.</summary>
    [Theory]
    [InlineData(60)]
    [InlineData(1500)]
    public void A_polygon_finds_all_that_lies_within(int members)
    {
        Random random = TestSeed.Random(members);
        var add = new List<string> { "GEOADD", "k" };
        for (int i = 0; i < members; i++)
        {
            bool near = i % 2 == 0;
            double longitude = (random.NextDouble() - 0.5) * (near ? 4 : 360), latitude = (random.NextDouble() - 0.5) * (near ? 4 : 170);
            add.AddRange([Text(longitude), Text(latitude), $"m{i}"]);
        }
        _redis.Run([.. add]);
        object?[] positions = (object?[])_redis.Run(["GEOPOS", "k", .. Enumerable.Range(0, members).Select(i => $"m{i}")])!;
        for (int round = 0; round < 400; round++)
        {
            double[] polygon = Polygon(random);
            string[] request = ["GEOSEARCH", "k", "BYPOLYGON", (polygon.Length / 2).ToString(CultureInfo.InvariantCulture), .. polygon.Select(Text)];
            string[] expected = [.. Enumerable.Range(0, members).Where(i => IsInside(polygon, (object?[])positions[i]!)).Select(i => $"m{i}")];
            string[] found = [.. ((object?[])_redis.Run(request)!).Cast<string>()];
            Assert.True(found.ToHashSet().SetEquals(expected) && found.Length == expected.Length,
                $"{string.Join(' ', request)}\nfound:    {string.Join(' ', found.Order(StringComparer.Ordinal))}\n"
                    + $"expected: {string.Join(' ', expected.Order(StringComparer.Ordinal))}");
            string[] all = [.. ((object?[])_redis.Run([.. request, "ASC"])!).Cast<string>()];
            Assert.Equal(all.Take(5), ((object?[])_redis.Run([.. request, "COUNT", "5"])!).Cast<string>());
            Assert.Equal(Math.Min(5, all.Length), ((object?[])_redis.Run([.. request, "COUNT", "5", "ANY"])!).Length);
        }
    }

    private static double[] Polygon(Random random)
    {
        double size = random.Next(4) switch { 0 => 0.5, 1 => 5, 2 => 60, _ => 400 };
        double height = random.Next(2) == 0 ? size / 2 : size / 50;
        double longitude = random.Next(2) == 0 ? 0 : (random.NextDouble() * 360) - 180;
        double latitude = random.Next(3) switch { 0 => 0, 1 => (random.NextDouble() * 170) - 85, _ => random.Next(2) == 0 ? 84 : -84 };
        double[] polygon = new double[random.Next(3, 12) * 2];
        for (int i = 0; i < polygon.Length; i += 2)
        {
            polygon[i] = Math.Clamp(longitude + ((random.NextDouble() - 0.5) * size), -180, 180);
            polygon[i + 1] = Math.Clamp(latitude + ((random.NextDouble() - 0.5) * height), -85, 85);
        }
        return polygon;
    }

    /// <summary>Whether the edges to the east of a position are an odd number.</summary>
    private static bool IsInside(double[] polygon, object?[] position)
    {
        double x = Number(position[0]), y = Number(position[1]);
        int crossed = 0;
        for (int i = 0; i < polygon.Length; i += 2)
        {
            int j = (i + polygon.Length - 2) % polygon.Length;
            if (polygon[i + 1] > y == polygon[j + 1] > y) continue;
            double share = (y - polygon[i + 1]) / (polygon[j + 1] - polygon[i + 1]);
            if (polygon[i] + (share * (polygon[j] - polygon[i])) > x) crossed++;
        }
        return crossed % 2 == 1;
    }

    private static double Number(object? text) => double.Parse((string)text!, CultureInfo.InvariantCulture);

    private static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);
}
