using System.Buffers.Text;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>
/// Geospatial indexes, which are sorted sets whose scores are geohashes: adding and reading members. Searches are in
/// GeoSearch.cs.
/// </summary>
internal static class Geo
{
    /// <summary>GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]</summary>
    [Command("GEOADD", -5, CommandFlags.Write | CommandFlags.DenyOom, Category.Geo, Keys = "RW UPDATE 1", Since = "3.2.0",
        Complexity = "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        Summary = "Adds one or more members to a geospatial index. The key is created if it doesn't exist.",
        Syntax = "key [NX | XX] @6.2.0 [change=CH] @6.2.0 longitude latitude member [longitude latitude member ...]",
        History = "6.2.0: Added the `CH`, `NX` and `XX` options.")]
    internal static void Geoadd(ref CommandContext call)
    {
        AddOptions how = AddOptions.None;
        bool countChanged = false;
        int first = 2;
        for (; first < call.Count; first++)
        {
            ReadOnlySpan<byte> word = call[first];
            if (word.Is("NX"u8)) how |= AddOptions.IfMissing;
            else if (word.Is("XX"u8)) how |= AddOptions.IfPresent;
            else if (word.Is("CH"u8)) countChanged = true;
            else break;
        }
        int count = (call.Count - first) / 3;
        if (count == 0 || (call.Count - first) % 3 != 0 || how == (AddOptions.IfMissing | AddOptions.IfPresent))
        {
            call.SyntaxError();
            return;
        }
        Span<double> scores = count <= 64 ? stackalloc double[count] : new double[count];
        for (int i = 0; i < count; i++)
        {
            if (!TryReadPosition(ref call, first + (i * 3), out double longitude, out double latitude)) return;
            scores[i] = GeoHash.ScoreOf(longitude, latitude);
        }
        if (call.TryWrite(1, ValueType.SortedSet, out Entry entry)) SortedSets.Add(ref call, entry, scores, first + 2, 3, how, countChanged);
    }

    /// <summary>GEOPOS key [member [member ...]]</summary>
    [Command("GEOPOS", -2, CommandFlags.ReadOnly, Category.Geo, Keys = "RO ACCESS 1", Since = "3.2.0",
        Complexity = "O(1) for each member requested.",
        Summary = "Returns the longitude and latitude of members from a geospatial index.",
        Syntax = "key [member [member ...]]")]
    internal static void Geopos(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        call.Reply.Array(call.Count - 2);
        for (int i = 2; i < call.Count; i++)
        {
            if (entry.IsMissing || !new SortedSetView(entry.Found).TryScore(call[i], out double score))
            {
                call.Reply.NullArray();
                continue;
            }
            GeoHash.Decode(score, out double longitude, out double latitude);
            ReplyPosition(call.Reply, longitude, latitude);
        }
    }

    /// <summary>GEODIST key member1 member2 [m | km | ft | mi]</summary>
    [Command("GEODIST", -4, CommandFlags.ReadOnly, Category.Geo, Keys = "RO ACCESS 1", Since = "3.2.0",
        Complexity = "O(1)",
        Summary = "Returns the distance between two members of a geospatial index.",
        Syntax = "key member1 member2 [M | KM | FT | MI]")]
    internal static void Geodist(ref CommandContext call)
    {
        double unit = 1;
        if (call.Count > 5)
        {
            call.SyntaxError();
            return;
        }
        if (call.Count == 5 && !TryReadUnit(ref call, 4, out unit)) return;
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        SortedSetView set = entry.IsMissing ? default : new(entry.Found);
        if (entry.IsMissing || !set.TryScore(call[2], out double score1) || !set.TryScore(call[3], out double score2))
        {
            call.Reply.Null();
            return;
        }
        GeoHash.Decode(score1, out double longitude1, out double latitude1);
        GeoHash.Decode(score2, out double longitude2, out double latitude2);
        ReplyDistance(call.Reply, GeoShape.Distance(longitude1, latitude1, longitude2, latitude2) / unit);
    }

    /// <summary>GEOHASH key [member [member ...]]</summary>
    [Command("GEOHASH", -2, CommandFlags.ReadOnly, Category.Geo, Keys = "RO ACCESS 1", Since = "3.2.0",
        Complexity = "O(1) for each member requested.",
        Summary = "Returns members from a geospatial index as geohash strings.",
        Syntax = "key [member [member ...]]")]
    internal static void Geohash(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        Span<byte> text = stackalloc byte[11];
        call.Reply.Array(call.Count - 2);
        for (int i = 2; i < call.Count; i++)
        {
            if (entry.IsMissing || !new SortedSetView(entry.Found).TryScore(call[i], out double score))
            {
                call.Reply.Null();
                continue;
            }
            GeoHash.WriteText(score, text);
            call.Reply.BulkString(text);
        }
    }

    /// <summary>Reads a longitude and a latitude. If they are not valid, the error is in the reply.</summary>
    internal static bool TryReadPosition(ref CommandContext call, int index, out double longitude, out double latitude)
    {
        latitude = 0;
        if (!Numbers.TryParseDouble(call[index], out longitude) || !Numbers.TryParseDouble(call[index + 1], out latitude))
        {
            call.Reply.Error(Errors.NotFloat);
            return false;
        }
        if (longitude is >= GeoHash.MinLongitude and <= GeoHash.MaxLongitude && latitude is >= GeoHash.MinLatitude and <= GeoHash.MaxLatitude) return true;
        call.Reply.Error($"ERR invalid longitude,latitude pair {SixDigits(longitude)},{SixDigits(latitude)}");
        return false;

        static string SixDigits(double value) => double.IsInfinity(value) ? (value > 0 ? "inf" : "-inf") : value.ToString("F6", CultureInfo.InvariantCulture);
    }

    /// <summary>Reads a unit of length, as its number of metres. If it is not one, the error is in the reply.</summary>
    internal static bool TryReadUnit(ref CommandContext call, int index, out double metres)
    {
        ReadOnlySpan<byte> word = call[index];
        metres = word.Is("M"u8) ? 1 : word.Is("KM"u8) ? 1000 : word.Is("FT"u8) ? 0.3048 : word.Is("MI"u8) ? 1609.34 : 0;
        if (metres > 0) return true;
        call.Reply.Error("ERR unsupported unit provided. please use M, KM, FT, MI"u8);
        return false;
    }

    /// <summary>Writes a distance with four digits after the decimal point, always as a bulk string.</summary>
    internal static void ReplyDistance(RespWriter reply, double distance)
    {
        long scaled = (long)Math.Round(distance * 10000, MidpointRounding.ToEven);
        Span<byte> text = stackalloc byte[24];
        Utf8Formatter.TryFormat(scaled / 10000, text, out int length);
        int fraction = (int)(scaled % 10000);
        text[length] = (byte)'.';
        for (int i = 4; i >= 1; i--, fraction /= 10) text[length + i] = (byte)('0' + (fraction % 10));
        reply.BulkString(text[..(length + 5)]);
    }

    /// <summary>Writes a longitude and a latitude.</summary>
    internal static void ReplyPosition(RespWriter reply, double longitude, double latitude)
    {
        reply.Array(2);
        ReplyCoordinate(reply, longitude);
        ReplyCoordinate(reply, latitude);
    }

    /// <summary>
    /// Writes a coordinate with up to 17 digits after the decimal point, those of the exact value of the double
    /// ("%.17Lf" without trailing zeros).
    /// </summary>
    private static void ReplyCoordinate(RespWriter reply, double value)
    {
        Span<byte> text = stackalloc byte[32];
        value.TryFormat(text, out int length, "F17", CultureInfo.InvariantCulture);
        ReadOnlySpan<byte> digits = text[..length].TrimEnd((byte)'0');
        if (digits[^1] == '.') digits = digits[..^1];
        if (digits.SequenceEqual("-0"u8)) digits = "0"u8;
        reply.Double(digits);
    }
}
