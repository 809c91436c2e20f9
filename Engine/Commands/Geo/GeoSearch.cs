namespace OrleansRedis.Engine;

/// <summary>
/// Searches in geospatial indexes: GEOSEARCH, and its predecessor GEORADIUS. They share one helper, as in Redis.
/// </summary>
internal static class GeoSearch
{
    private enum Form : byte
    {
        RadiusOfPosition,
        RadiusOfMember,
        Search,
    }

    /// <summary>
    /// GEOSEARCH key &lt;&lt;FROMMEMBER member | FROMLONLAT longitude latitude&gt; &lt;BYRADIUS radius &lt;m | km | ft |
    /// mi&gt; | BYBOX width height &lt;m | km | ft | mi&gt;&gt; | BYPOLYGON num-vertices longitude latitude [longitude
    /// latitude ...]&gt; [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]
    /// </summary>
    [Command("GEOSEARCH", -7, CommandFlags.ReadOnly, Category.Geo, Keys = "RO ACCESS 1", Since = "6.2.0",
        Complexity = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and "
            + "M is the number of items inside the shape",
        Summary = "Queries a geospatial index for members inside an area of a box, circle, or a polygon.",
        Syntax = "key search-type=<radius-or-box=<from=<FROMMEMBER member | FROMLONLAT longitude latitude> by=<circle=<BYRADIUS radius <M | KM | FT | MI>> | "
            + "box=<<BYBOX width> height <M | KM | FT | MI>>>> | polygon=<<BYPOLYGON num-vertices> vertices=<longitude latitude [longitude latitude "
            + "...]>> @9.0.0> [ASC | DESC] count-block=[COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        History = "7.0.0: Added support for uppercase unit names.\n9.0.0: Added the `BYPOLYGON` option, as in Valkey.")]
    internal static void Geosearch(ref CommandContext call) => Search(ref call, Form.Search, 1, 2, mayStore: false);

    /// <summary>
    /// GEOSEARCHSTORE destination source &lt;&lt;FROMMEMBER member | FROMLONLAT longitude latitude&gt; &lt;BYRADIUS
    /// radius &lt;m | km | ft | mi&gt; | BYBOX width height &lt;m | km | ft | mi&gt;&gt; | BYPOLYGON num-vertices
    /// longitude latitude [longitude latitude ...]&gt; [ASC | DESC] [COUNT count [ANY]] [STOREDIST]
    /// </summary>
    [Command("GEOSEARCHSTORE", -8, CommandFlags.Write | CommandFlags.DenyOom, Category.Geo, Keys = "OW UPDATE 1;RO ACCESS 2", Since = "6.2.0",
        Complexity = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and "
            + "M is the number of items inside the shape",
        Summary = "Queries a geospatial index for members inside an area of a box, circle, or a polygon, optionally stores the result.",
        Syntax = "destination source search-type=<radius-or-box=<from=<FROMMEMBER member | FROMLONLAT longitude latitude> by=<circle=<BYRADIUS radius "
            + "<M | KM | FT | MI>> | box=<<BYBOX width> height <M | KM | FT | MI>>>> | polygon=<<BYPOLYGON num-vertices> vertices=<longitude latitude "
            + "[longitude latitude ...]>> @9.0.0> [ASC | DESC] count-block=[COUNT count [ANY]] [STOREDIST]",
        History = "7.0.0: Added support for uppercase unit names.\n9.0.0: Added the `BYPOLYGON` option, as in Valkey.")]
    internal static void Geosearchstore(ref CommandContext call) => Search(ref call, Form.Search, 2, 3, mayStore: true);

    /// <summary>
    /// GEORADIUS key longitude latitude radius &lt;m | km | ft | mi&gt; [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count
    /// [ANY]] [ASC | DESC] [STORE key | STOREDIST key]
    /// </summary>
    [Command("GEORADIUS", -6, CommandFlags.Write | CommandFlags.DenyOom, Category.Geo, Keys = "RO ACCESS 1;OW UPDATE STORE@6;OW UPDATE STOREDIST@6",
        Since = "3.2.0",
        Complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M "
            + "is the number of items inside the index.",
        Summary = "Queries a geospatial index for members within a distance from a coordinate, optionally stores the result.",
        Syntax =
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] count-block=[COUNT count [ANY] @6.2.0] [ASC | DESC] "
            + "store=[storekey=STORE key | storedistkey=STOREDIST key]",
        History = "6.2.0: Added the `ANY` option for `COUNT`.\n7.0.0: Added support for uppercase unit names.",
        Deprecated = "6.2.0: `GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")]
    internal static void Georadius(ref CommandContext call) => Search(ref call, Form.RadiusOfPosition, 1, 6, mayStore: true);

    /// <summary>
    /// GEORADIUS_RO key longitude latitude radius &lt;m | km | ft | mi&gt; [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT
    /// count [ANY]] [ASC | DESC]
    /// </summary>
    [Command("GEORADIUS_RO", -6, CommandFlags.ReadOnly, Category.Geo, Keys = "RO ACCESS 1", Since = "3.2.10",
        Complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M "
            + "is the number of items inside the index.",
        Summary = "Returns members from a geospatial index that are within a distance from a coordinate.",
        Syntax = "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] count-block=[COUNT count [ANY] @6.2.0] [ASC | DESC]",
        History = "6.2.0: Added the `ANY` option for `COUNT`.\n7.0.0: Added support for uppercase unit names.",
        Deprecated = "6.2.0: `GEOSEARCH` with the `BYRADIUS` argument")]
    internal static void GeoradiusRo(ref CommandContext call) => Search(ref call, Form.RadiusOfPosition, 1, 6, mayStore: false);

    /// <summary>
    /// GEORADIUSBYMEMBER key member radius &lt;m | km | ft | mi&gt; [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count
    /// [ANY]] [ASC | DESC] [STORE key | STOREDIST key]
    /// </summary>
    [Command("GEORADIUSBYMEMBER", -5, CommandFlags.Write | CommandFlags.DenyOom, Category.Geo, Keys = "RO ACCESS 1;OW UPDATE STORE@5;OW UPDATE STOREDIST@5",
        Since = "3.2.0",
        Complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M "
            + "is the number of items inside the index.",
        Summary = "Queries a geospatial index for members within a distance from a member, optionally stores the result.",
        Syntax = "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] count-block=[COUNT count [ANY]] [ASC | DESC] "
            + "store=[storekey=STORE key | storedistkey=STOREDIST key]",
        History = "6.2.0: Added the `ANY` option for `COUNT`.\n7.0.0: Added support for uppercase unit names.",
        Deprecated = "6.2.0: `GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments")]
    internal static void Georadiusbymember(ref CommandContext call) => Search(ref call, Form.RadiusOfMember, 1, 5, mayStore: true);

    /// <summary>
    /// GEORADIUSBYMEMBER_RO key member radius &lt;m | km | ft | mi&gt; [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count
    /// [ANY]] [ASC | DESC]
    /// </summary>
    [Command("GEORADIUSBYMEMBER_RO", -5, CommandFlags.ReadOnly, Category.Geo, Keys = "RO ACCESS 1", Since = "3.2.10",
        Complexity = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M "
            + "is the number of items inside the index.",
        Summary = "Returns members from a geospatial index that are within a distance from a member.",
        Syntax = "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] count-block=[COUNT count [ANY]] [ASC | DESC]",
        History = "6.2.0: Added the `ANY` option for `COUNT`.\n7.0.0: Added support for uppercase unit names.",
        Deprecated = "6.2.0: `GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")]
    internal static void GeoradiusbymemberRo(ref CommandContext call) => Search(ref call, Form.RadiusOfMember, 1, 5, mayStore: false);

    private static void Search(ref CommandContext call, Form form, int source, int firstOption, bool mayStore)
    {
        if (!call.TryRead(source, ValueType.SortedSet, out Entry entry)) return;
        KeyEntry set = entry.IsMissing ? default : entry.Found;
        var query = new GeoQuery { StoreKey = form == Form.Search && mayStore ? 1 : 0 };
        if (form == Form.RadiusOfPosition)
        {
            if (!Geo.TryReadPosition(ref call, 2, out query.Shape.Longitude, out query.Shape.Latitude)) return;
            if (!TryReadCircle(ref call, 4, ref query.Shape)) return;
        }
        else if (form == Form.RadiusOfMember && !set.IsNone)
        {
            if (!TryReadMember(ref call, set, 2, ref query.Shape) || !TryReadCircle(ref call, 3, ref query.Shape)) return;
        }
        bool read = form == Form.Search
            ? TryReadSearch(ref call, set, firstOption, mayStore, ref query)
            : TryReadOptions(ref call, firstOption, mayStore, ref query);
        if (!read || !IsSound(ref call, form, query)) return;
        if (set.IsNone)
        {
            if (query.StoreKey == 0)
            {
                call.Reply.Array(0);
                return;
            }
            SortedSetStore.Put(ref call, call[query.StoreKey], default, default, giveEffects: true);
            call.Reply.Integer(0);
            return;
        }
        // Which members are the closest can be told only once they are sorted.
        if (query.Count != 0 && query.Order == 0 && !query.Any) query.Order = 1;

        query.Shape.Prepare();
        GeoMatches matches = GeoMatches.Rent(set);
        if (query.Any) matches.CollectAny(query.Shape, query.Count);
        else if (query.Count > 0 && query.Order > 0) matches.CollectNearest(query.Shape, query.Count);
        else matches.CollectAll(query.Shape);
        if (query.Order != 0) matches.Sort(query.Order);
        int count = query.Count == 0 ? matches.Count : (int)Math.Min(query.Count, matches.Count);
        if (query.StoreKey != 0) Store(ref call, matches, count, query, form == Form.Search ? "geosearchstore"u8 : "georadiusstore"u8);
        else Reply(call.Reply, matches, count, query);
        matches.Return();
    }

    private static void Reply(RespWriter reply, GeoMatches matches, int count, in GeoQuery query)
    {
        int parts = 1 + (query.WithDistance ? 1 : 0) + (query.WithHash ? 1 : 0) + (query.WithPosition ? 1 : 0);
        reply.Array(count);
        for (int i = 0; i < count; i++)
        {
            ref readonly GeoMatch match = ref matches[i];
            if (parts > 1) reply.Array(parts);
            match.WriteMember(reply);
            if (query.WithDistance) Geo.ReplyDistance(reply, match.Distance / query.Shape.Unit);
            if (query.WithHash) reply.Integer((long)match.Score);
            if (query.WithPosition) Geo.ReplyPosition(reply, match.Longitude, match.Latitude);
        }
    }

    private static void Store(ref CommandContext call, GeoMatches matches, int count, in GeoQuery query, ReadOnlySpan<byte> eventName)
    {
        var entries = new ScoredMember[count];
        for (int i = 0; i < entries.Length; i++)
            entries[i] = matches[i].ToEntry(query.StoreDistance ? matches[i].Distance / query.Shape.Unit : matches[i].Score);
        SortedSetEntry.Sort(entries);
        SortedSetStore.Put(ref call, call[query.StoreKey], entries, eventName, giveEffects: true, changes: entries.Length);
        call.Reply.Integer(entries.Length);
    }

    /// <summary>
    /// Reads one of the options that all forms have. False if it is none of them, or a wrong one. In the latter case
    /// <paramref name="failed"/> is set, and the error is in the reply.
    /// </summary>
    private static bool TryReadCommon(ref CommandContext call, ref int i, ref GeoQuery query, out bool failed)
    {
        failed = false;
        ReadOnlySpan<byte> word = call[i];
        if (word.Is("WITHDIST"u8)) query.WithDistance = true;
        else if (word.Is("WITHHASH"u8)) query.WithHash = true;
        else if (word.Is("WITHCOORD"u8)) query.WithPosition = true;
        else if (word.Is("ANY"u8)) query.Any = true;
        else if (word.Is("ASC"u8)) query.Order = 1;
        else if (word.Is("DESC"u8)) query.Order = -1;
        else if (word.Is("COUNT"u8) && i + 1 < call.Count)
        {
            failed = !call.TryInt64(++i, out query.Count);
            if (!failed && query.Count <= 0)
            {
                call.Reply.Error("ERR COUNT must be > 0"u8);
                failed = true;
            }
            return !failed;
        }
        else
        {
            return false;
        }
        return true;
    }

    private static bool TryReadOptions(ref CommandContext call, int first, bool mayStore, ref GeoQuery query)
    {
        bool stores = false, storesDistance = false;
        for (int i = first; i < call.Count; i++)
        {
            if (TryReadCommon(ref call, ref i, ref query, out bool failed)) continue;
            if (failed) return false;
            bool more = mayStore && i + 1 < call.Count;
            // Each may come only once. The key specifications, which decide which slots are taken, find only the first.
            if (more && !stores && call[i].Is("STORE"u8))
            {
                stores = true;
                query.StoreDistance = false;
            }
            else if (more && !storesDistance && call[i].Is("STOREDIST"u8))
            {
                storesDistance = query.StoreDistance = true;
            }
            else
            {
                call.SyntaxError();
                return false;
            }
            query.StoreKey = ++i;
        }
        return true;
    }

    private static bool TryReadSearch(ref CommandContext call, KeyEntry set, int first, bool mayStore, ref GeoQuery query)
    {
        for (int i = first; i < call.Count; i++)
        {
            if (TryReadCommon(ref call, ref i, ref query, out bool failed)) continue;
            if (failed) return false;
            ReadOnlySpan<byte> word = call[i];
            int left = call.Count - i - 1;
            if (mayStore && word.Is("STOREDIST"u8))
            {
                query.StoreDistance = true;
            }
            else if (word.Is("FROMMEMBER"u8) && left >= 1 && query is { From: 0 or 1, By: not 3 })
            {
                // If the key is missing, the remaining arguments are still checked for errors.
                if (!set.IsNone && !TryReadMember(ref call, set, i + 1, ref query.Shape)) return false;
                query.From = 1;
                i++;
            }
            else if (word.Is("FROMLONLAT"u8) && left >= 2 && query is { From: 0 or 2, By: not 3 })
            {
                if (!Geo.TryReadPosition(ref call, i + 1, out query.Shape.Longitude, out query.Shape.Latitude)) return false;
                query.From = 2;
                i += 2;
            }
            else if (word.Is("BYRADIUS"u8) && left >= 2 && query.By is 0 or 1)
            {
                if (!TryReadCircle(ref call, i + 1, ref query.Shape)) return false;
                query.By = 1;
                i += 2;
            }
            else if (word.Is("BYBOX"u8) && left >= 3 && query.By is 0 or 2)
            {
                if (!TryReadBox(ref call, i + 1, ref query.Shape)) return false;
                query.By = 2;
                i += 3;
            }
            else if (word.Is("BYPOLYGON"u8) && left >= 2 && query is { From: 0, By: 0 or 3 })
            {
                if (!TryReadPolygon(ref call, ref i, ref query.Shape)) return false;
                query.By = 3;
            }
            else
            {
                call.SyntaxError();
                return false;
            }
        }
        return true;
    }

    /// <summary>Whether the options are compatible with each other. If not, the error is in the reply.</summary>
    private static bool IsSound(ref CommandContext call, Form form, in GeoQuery query)
    {
        string? error = null;
        if (query.StoreKey != 0 && (query.WithDistance || query.WithHash || query.WithPosition))
            error =
                $"ERR {(form == Form.Search ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS")} is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
        else if (form == Form.Search && query is { From: 0, By: not 3 })
            error = $"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {System.Text.Encoding.Latin1.GetString(call[0])}";
        else if (form == Form.Search && query.By == 0)
            error = $"ERR exactly one of BYRADIUS and BYBOX can be specified for {System.Text.Encoding.Latin1.GetString(call[0])}";
        else if (query.Any && query.Count == 0)
            error = "ERR the ANY argument requires COUNT argument";
        if (error is not null) call.Reply.Error(error);
        return error is null;
    }

    private static bool TryReadMember(ref CommandContext call, KeyEntry set, int index, ref GeoShape shape)
    {
        if (!new SortedSetView(set).TryScore(call[index], out double score))
        {
            call.Reply.Error("ERR could not decode requested zset member"u8);
            return false;
        }
        GeoHash.Decode(score, out shape.Longitude, out shape.Latitude);
        return true;
    }

    private static bool TryReadCircle(ref CommandContext call, int index, ref GeoShape shape)
    {
        if (!TryReadLength(ref call, index, "ERR need numeric radius"u8, out double radius)) return false;
        if (radius < 0)
        {
            call.Reply.Error("ERR radius cannot be negative"u8);
            return false;
        }
        if (!Geo.TryReadUnit(ref call, index + 1, out double unit)) return false;
        shape.SetCircle(radius, unit);
        return true;
    }

    private static bool TryReadBox(ref CommandContext call, int index, ref GeoShape shape)
    {
        if (!TryReadLength(ref call, index, "ERR need numeric width"u8, out double width)) return false;
        if (!TryReadLength(ref call, index + 1, "ERR need numeric height"u8, out double height)) return false;
        if (width < 0 || height < 0)
        {
            call.Reply.Error("ERR height or width cannot be negative"u8);
            return false;
        }
        if (!Geo.TryReadUnit(ref call, index + 2, out double unit)) return false;
        shape.SetBox(width, height, unit);
        return true;
    }

    /// <summary>Reads the vertices after BYPOLYGON, up to argument <paramref name="i"/>.</summary>
    private static bool TryReadPolygon(ref CommandContext call, ref int i, ref GeoShape shape)
    {
        if (!Numbers.TryParseInt64(call[++i], out long count) || count is < int.MinValue or > int.MaxValue)
        {
            call.Reply.Error("ERR invalid number of vertices"u8);
            return false;
        }
        if (count < 3 || count > (call.Count - i - 1) / 2)
        {
            call.Reply.Error("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"u8);
            return false;
        }
        double[] vertices = new double[count * 2];
        for (int j = 0; j < vertices.Length; j += 2, i += 2)
        {
            if (!Geo.TryReadPosition(ref call, i + 1, out vertices[j], out vertices[j + 1])) return false;
        }
        shape.SetPolygon(vertices);
        return true;
    }

    private static bool TryReadLength(ref CommandContext call, int index, ReadOnlySpan<byte> error, out double length)
    {
        if (Numbers.TryParseDouble(call[index], out length)) return true;
        call.Reply.Error(error);
        return false;
    }

    /// <summary>What a search asks for.</summary>
    private struct GeoQuery
    {
        public GeoShape Shape;
        public long Count;          // 0 for all
        public int StoreKey;        // the argument's index; 0 for none: reply instead
        public int Order;           // 1: nearest first, -1: farthest first
        public int From;            // GEOSEARCH: 1 FROMMEMBER, 2 FROMLONLAT
        public int By;              // GEOSEARCH: 1 BYRADIUS, 2 BYBOX, 3 BYPOLYGON, which needs no FROM…
        public bool Any;
        public bool StoreDistance;
        public bool WithDistance;
        public bool WithHash;
        public bool WithPosition;
    }
}
