using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.SortedSets;

/// <summary>
/// Random geo commands to this engine and a real redis-server at once; see <see cref="SortedSetDifferentialTests"/>.
/// </summary>
[Trait("Needs", "servers")]
public class GeoDifferentialTests
{
    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 3)]
    public async Task Replies_are_those_of_redis(int seed, int protocol)
    {
        await using ReferenceRedis redis = await ReferenceRedis.StartAsync();
        using var ours = new EngineHarness();
        EngineClient client = ours.NewClient(resp3: protocol == 3);
        if (protocol == 3) redis.Raw("HELLO", "3");
        var random = TestSeed.Random(seed);
        for (int i = 0; i < 6000; i++)
        {
            string[] command = Command(random);
            string theirs = redis.Raw(command), own = client.Raw(command);
            Assert.True(theirs == own,
                $"seed {seed}, command {i}: {string.Join(' ', command)}\nredis: {theirs.ReplaceLineEndings("|")}\nours:  {own.ReplaceLineEndings("|")}");
        }
        foreach (string key in (string[])["big", "small", "stored"])
        {
            string[] whole = ["ZRANGE", key, "0", "-1"];
            Assert.Equal(redis.Raw(whole), client.Raw(whole));
        }
        using EngineHarness replayed = ours.Replay();
        foreach (string key in (string[])["big", "small", "stored"])
            Assert.Equal(ours.Raw("ZRANGE", key, "0", "-1", "WITHSCORES"), replayed.Raw("ZRANGE", key, "0", "-1", "WITHSCORES"));
    }

    private static string[] Command(Random random)
    {
        var words = new List<string>();
        string Longitude() => random.Next(50) switch
        {
            0 => "181",
            1 => "180",
            2 => "-180",
            3 => "x",
            < 25 => Text(random.NextDouble() * 2),
            _ => Text((random.NextDouble() * 360) - 180)
        };
        string Latitude() => random.Next(50) switch
        {
            0 => "86",
            1 => "85.05112878",
            2 => "-85.05112878",
            3 => "0",
            < 25 => Text(random.NextDouble() * 2),
            _ => Text((random.NextDouble() * 170) - 85)
        };
        string Key() => random.Next(10) switch { 0 => "missing", < 4 => "small", _ => "big" };
        string Member(string key) => "p" + random.Next(key == "small" ? 40 : 900);
        string Unit() => random.Next(30) == 0 ? "miles" : random.Next(4) switch { 0 => "m", 1 => "KM", 2 => "ft", _ => "mi" };
        string Length(string unit) => random.Next(40) switch
        {
            0 => "-1",
            1 => "0",
            2 => "x",
            _ => Text(Math.Pow(10, random.NextDouble() * (unit.Length > 0 && unit[0] is 'K' or 'm' && unit != "m" ? 4.2 : 7.2))),
        };
        void Options(bool stores)
        {
            if (random.Next(3) == 0) words.Add("ASC");
            else if (random.Next(2) == 0) words.Add("DESC");
            if (random.Next(3) == 0) words.AddRange(["COUNT", random.Next(0, 12).ToString(CultureInfo.InvariantCulture)]);
            if (random.Next(30) == 0) words.Add("ANY");
            if (stores && random.Next(10) != 0) return;
            if (random.Next(3) == 0) words.Add("WITHCOORD");
            if (random.Next(2) == 0) words.Add("WITHDIST");
            if (random.Next(3) == 0) words.Add("withhash");
        }

        string key = Key(), unit = Unit();
        switch (random.Next(20))
        {
            case < 6:
                key = random.Next(5) == 0 ? "small" : "big";
                words.AddRange(["GEOADD", key]);
                if (random.Next(6) == 0) words.Add(random.Next(2) == 0 ? "NX" : "XX");
                if (random.Next(6) == 0) words.Add("CH");
                for (int i = random.Next(1, 4); i > 0; i--)
                {
                    // Never two special values at once. Places at the same distance (180 and -180 are one place at a
                    // pole) come in the order in which Redis's qsort happens to leave them.
                    string longitude = Longitude(), latitude = longitude is "180" or "-180" ? Text((random.NextDouble() * 170) - 85) : Latitude();
                    words.AddRange([longitude, latitude, Member(key)]);
                }
                break;
            case 6: words.AddRange(["GEOPOS", key, Member(key), Member(key)]); break;
            case 7: words.AddRange(["GEOHASH", key, Member(key), Member(key)]); break;
            case 8:
                words.AddRange(["GEODIST", key, Member(key), Member(key)]);
                if (random.Next(2) == 0) words.Add(unit);
                break;
            case < 14:
                words.AddRange(["GEOSEARCH", key]);
                Search();
                Options(stores: false);
                break;
            case < 16:
                words.AddRange(["GEOSEARCHSTORE", "stored", key]);
                Search();
                Options(stores: true);
                if (random.Next(2) == 0) words.Add("STOREDIST");
                break;
            case 16:
                words.AddRange(["GEORADIUS_RO", key, Longitude(), Latitude(), Length(unit), unit]);
                Options(stores: false);
                break;
            case 17:
                words.AddRange(["GEORADIUSBYMEMBER_RO", key, Member(key), Length(unit), unit]);
                Options(stores: false);
                break;
            case 18:
                words.AddRange(["GEORADIUS", key, Longitude(), Latitude(), Length(unit), unit]);
                Options(stores: true);
                words.AddRange([random.Next(2) == 0 ? "STORE" : "STOREDIST", "stored"]);
                break;
            default:
                words.AddRange(["GEORADIUSBYMEMBER", key, Member(key), Length(unit), unit]);
                Options(stores: true);
                if (random.Next(2) == 0) words.AddRange([random.Next(2) == 0 ? "store" : "STOREDIST", "stored"]);
                break;
        }
        return [.. words];

        void Search()
        {
            if (random.Next(2) == 0) words.AddRange(["FROMMEMBER", Member(key)]);
            else if (random.Next(20) != 0) words.AddRange(["FROMLONLAT", Longitude(), Latitude()]);
            if (random.Next(2) == 0) words.AddRange(["BYRADIUS", Length(unit), unit]);
            else if (random.Next(20) != 0) words.AddRange(["BYBOX", Length(unit), Length(unit), unit]);
        }
    }

    private static string Text(double value) => value.ToString("0.######", CultureInfo.InvariantCulture);
}
