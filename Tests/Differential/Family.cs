namespace OrleansRedis.Tests.Differential;

/// <summary>
/// The commands of one family, as patterns. <see cref="Enabled"/> is the one place that says which families this server
/// claims to support.
/// </summary>
internal sealed class Family(string name, params string[] patterns)
{
    /// <summary>The families that are compared. All others are reported as skipped.</summary>
    public static readonly string[] Enabled =
    [
        "strings", "keys", "expiry", "bitmaps", "hyperloglog", "hashes", "lists", "sets", "sortedsets", "geo", "streams", "sort"
    ];

    public static readonly Family[] All =
    [
        new("strings",
            "4 SET key value [NX|XX] [GET] [EX ttl|PX ttlms|EXAT at|PXAT atms|KEEPTTL]", "3 GET key", "GETSET key value", "GETDEL key",
            "GETEX key [EX ttl|PX ttlms|EXAT at|PXAT atms|PERSIST]",
            "SETNX key value", "SETEX key ttl value", "PSETEX key ttlms value", "MGET key+", "MSET {key value}+", "MSETNX {key value}+", "2 APPEND key value",
            "STRLEN key",
            "2 SETRANGE key offset value", "GETRANGE key index index", "SUBSTR key index index", "2 INCR key", "DECR key", "INCRBY key int", "DECRBY key int",
            "2 INCRBYFLOAT key float",
            "LCS key key [LEN] [IDX] [MINMATCHLEN count] [WITHMATCHLEN]", "DEL key+"),
        new("keys",
            "4 SET key value", "DEL key+", "UNLINK key+", "EXISTS key+", "TYPE key", "TOUCH key+", "~ KEYS pattern",
            "~ SCAN 0 [MATCH pattern] COUNT 10000 [TYPE type]", "? SCAN sid",
            "~ SCAN 0 COUNT 100 COUNT 10000 MATCH", "RENAME key dst", "RENAMENX key dst", "COPY key dst [DB db] [REPLACE]", "MOVE key db",
            "OBJECT ENCODING key", "OBJECT REFCOUNT missing",
            "OBJECT FREQ key", "OBJECT word key", "DBSIZE", "SELECT db", "SWAPDB db db", "FLUSHDB [ASYNC|SYNC|value]", "? RANDOMKEY", "PING [value] [value]",
            "ECHO value", "EXPIRE key ttl",
            "@ PTTL key", "COMMAND GETKEYS SET key value", "COMMAND GETKEYS MSET key value key value", "COMMAND GETKEYS word key key", "CLIENT GETNAME",
            "CLIENT SETNAME member", "CLIENT word",
            "CONFIG word", "DEBUG word", "word key"),
        new("expiry",
            "3 SET key value [EX ttl|PX ttlms|KEEPTTL]", "2 EXPIRE key ttl [NX|XX|GT|LT] [GT|LT|NX]", "2 PEXPIRE key ttlms [NX|XX|GT|LT]",
            "EXPIREAT key at [NX|XX|GT|LT]", "PEXPIREAT key atms [NX|XX|GT|LT]",
            "@ TTL key", "@ PTTL key", "@ EXPIRETIME key", "@ PEXPIRETIME key", "PERSIST key", "GETEX key {EX ttl|PX ttlms|EXAT at|PXAT atms|PERSIST}",
            "GET key", "EXISTS key", "RENAME key dst",
            "COPY key dst REPLACE", "APPEND key value", "INCR key", "GETSET key value", "SETRANGE key offset value", "DBSIZE"),
        new("bitmaps",
            "3 SET key value", "4 SETBIT key bit zeroone", "GETBIT key bit", "2 BITCOUNT key [index index] [BYTE|BIT]",
            "2 BITPOS key zeroone [index] [index] [BIT|BYTE]",
            "3 BITOP {AND|OR|XOR|NOT} dst key+",
            "3 BITFIELD key {{GET bittype bitoffset|SET bittype bitoffset int|INCRBY bittype bitoffset int|OVERFLOW {WRAP|SAT|FAIL|value}}}+",
            "BITFIELD_RO key {GET bittype bitoffset}+", "DEL key"),
        new("hyperloglog", "5 PFADD key member+", "2 PFCOUNT key+", "2 PFMERGE dst key+", "PFADD key", "SET key value", "DEL key", "GET key",
            "PFDEBUG ENCODING key", "STRLEN key"),
        new("hashes",
            "5 HSET key {field value}+", "HSETNX key field value", "HMSET key {field value}+", "2 HGET key field", "HMGET key field+", "2 HDEL key field+",
            "HEXISTS key field", "HLEN key", "HSTRLEN key field",
            "% HGETALL key", "~ HKEYS key", "~ HVALS key", "2 HINCRBY key field int", "2 HINCRBYFLOAT key field float",
            "% HSCAN key 0 [MATCH pattern] COUNT 10000", "? HRANDFIELD key", "? ! HRANDFIELD key draw [WITHVALUES]",
            "OBJECT ENCODING key", "DEL key"),
        new("lists",
            "3 LPUSH key value+", "3 RPUSH key value+", "LPUSHX key value+", "RPUSHX key value+", "2 LPOP key [count]", "2 RPOP key [count]", "LLEN key",
            "3 LRANGE key index index", "LINDEX key index",
            "2 LSET key index value", "2 LREM key index value", "2 LTRIM key index index", "2 LINSERT key {BEFORE|AFTER} value value",
            "2 LPOS key value [RANK index] [COUNT count] [MAXLEN count]",
            "LMOVE key dst {LEFT|RIGHT} {LEFT|RIGHT}", "RPOPLPUSH key dst", "LMPOP numkeys key key {LEFT|RIGHT} [COUNT count]", "DEL key"),
        new("sets",
            "6 SADD key member+", "2 SREM key member+", "SISMEMBER key member", "SMISMEMBER key member+", "SCARD key", "~ SMEMBERS key", "2 ~ SINTER key+",
            "2 ~ SUNION key+", "2 ~ SDIFF key+",
            "SINTERSTORE dst key+", "SUNIONSTORE dst key+", "SDIFFSTORE dst key+", "2 SINTERCARD numkeys key key [LIMIT count]", "SMOVE key dst member",
            "~ SPOP key 1000", "? ! SRANDMEMBER key [draw]",
            "~ SSCAN key 0 [MATCH pattern] COUNT 10000", "OBJECT ENCODING missing", "DEL key"),
        // What BYLEX gives over members of different scores is not defined, and Redis's skiplist leaves it to chance.
        // So all members of the key LEX have the same score.
        new("sortedsets",
            "6 ZADD key [NX|XX] [GT|LT] [CH] {score member}+", "ZADD key [NX|XX] INCR score member", "2 ZINCRBY key score member", "2 ZREM key member+",
            "ZSCORE key member", "ZMSCORE key member+", "ZCARD key",
            "2 ZRANK key member", "ZREVRANK key member", "4 ZRANGE key index index [REV] [WITHSCORES]",
            "2 ZRANGE key min max BYSCORE [REV] [LIMIT index count] [WITHSCORES]", "3 ! ZADD LEX {0 member}+",
            "ZRANGE LEX lex lex BYLEX [REV] [LIMIT index count]",
            "ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT index count]", "ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT index count]",
            "ZRANGEBYLEX LEX lex lex [LIMIT index count]", "ZREVRANGEBYLEX LEX lex lex",
            "ZREVRANGE key index index [WITHSCORES]", "ZRANGESTORE dst key min max [BYSCORE] [REV] [LIMIT index count]",
            "! ZRANGESTORE dst LEX lex lex BYLEX [LIMIT index count]", "ZCOUNT key min max", "ZLEXCOUNT LEX lex lex", "ZREMRANGEBYRANK key index index",
            "ZREMRANGEBYSCORE key min max", "ZREMRANGEBYLEX LEX lex lex", "ZPOPMIN key [count]", "ZPOPMAX key [count]",
            "ZMPOP numkeys key key {MIN|MAX} [COUNT count]",
            "2 ZUNIONSTORE dst numkeys key key [WEIGHTS score score] [AGGREGATE {SUM|MIN|MAX}]",
            "ZINTERSTORE dst numkeys key key [WEIGHTS score score] [AGGREGATE {SUM|MIN|MAX}]", "ZDIFFSTORE dst numkeys key key",
            "ZUNION numkeys key key [WEIGHTS score score] [AGGREGATE {SUM|MIN|MAX}] [WITHSCORES]",
            "ZINTER numkeys key key [AGGREGATE {SUM|MIN|MAX}] [WITHSCORES]", "ZDIFF numkeys key key [WITHSCORES]",
            "ZINTERCARD numkeys key key [LIMIT count]", "? ! ZRANDMEMBER key [draw] [WITHSCORES]", "% ZSCAN key 0 [MATCH pattern] COUNT 10000",
            "SADD key member+", "DEL key"),
        new("geo",
            "6 GEOADD key [NX|XX] [CH] {lon lat member}+", "2 GEOPOS key member+", "GEOHASH key member+", "2 GEODIST key member member [unit]",
            "4 GEOSEARCH key {FROMMEMBER member|FROMLONLAT lon lat} {BYRADIUS radius unit|BYBOX radius radius unit} {ASC|DESC} [COUNT count [ANY]] "
            + "[WITHCOORD] [WITHDIST] [WITHHASH]",
            "GEOSEARCHSTORE dst key {FROMMEMBER member|FROMLONLAT lon lat} {BYRADIUS radius unit|BYBOX radius radius unit} ASC [COUNT count] [STOREDIST]",
            "GEORADIUS key lon lat radius unit ASC [COUNT count] [WITHDIST] [STORE dst]",
            "GEORADIUSBYMEMBER key member radius unit DESC [WITHCOORD] [COUNT count]", "GEORADIUS_RO key lon lat radius unit ASC", "ZREM key member"),
        new("streams",
            "6 XADD key [NOMKSTREAM] [{MAXLEN|MINID} {=|~} count [LIMIT count]] newid {field value}+", "XLEN key", "3 XRANGE key sid sid [COUNT count]",
            "XREVRANGE key sid sid [COUNT count]", "2 XDEL key sid+",
            "XTRIM key {MAXLEN|MINID} [=|~] count [LIMIT count]", "XSETID key sid [ENTRIESADDED count] [MAXDELETEDID sid]",
            "XREAD [COUNT count] STREAMS key sid", "XREAD [COUNT count] STREAMS key key sid sid",
            "3 XGROUP CREATE key group {sid|$} [MKSTREAM] [ENTRIESREAD count]", "XGROUP SETID key group sid", "XGROUP CREATECONSUMER key group consumer",
            "XGROUP DELCONSUMER key group consumer", "XGROUP DESTROY key group",
            "4 XREADGROUP GROUP group consumer [COUNT count] [NOACK] STREAMS key {>|sid}", "2 XACK key group sid+", "2 XPENDING key group",
            "XCLAIM key group consumer 0 sid+ [IDLE int] [RETRYCOUNT count] [FORCE] JUSTID",
            "2 XAUTOCLAIM key group consumer 0 sid [COUNT count] JUSTID", "XCLAIM key group consumer 0 sid+ [FORCE]", "XINFO GROUPS key", "XINFO STREAM key",
            "DEL key"),
        new("sort",
            "2 RPUSH key value+", "2 SADD key member+", "2 ZADD key {score member}+", "SET key value", "SET w_1 value", "HSET h_1 field value",
            "4 SORT key [LIMIT index count] [GET #|GET w_*|GET h_*->a] [ASC|DESC] ALPHA", "2 SORT key [BY w_*|BY h_*->a] [ASC|DESC]",
            "? SORT key {BY w_*|BY h_*->a|BY NOSORT} ALPHA", "SORT key [LIMIT index count] [ASC|DESC] [ALPHA]", "SORT key ALPHA STORE dst",
            "SORT_RO key ALPHA [DESC]", "DEL key"),
    ];

    /// <summary>Keys of other types come and go in every family, if the server has those types.</summary>
    private static readonly string[] strangers =
    [
        "SET key value", "LPUSH key value", "SADD key member", "HSET key field value", "ZADD key score member", "XADD key 1-* field value"
    ];

    private readonly CommandPattern[] own = Weighted(patterns);
    private CommandPattern[] foreign = [];

    public string Name => name;

    /// <summary>Tells which commands the server has, so that the strangers can be chosen.</summary>
    public void Meet(Func<string, bool> serverKnows) => foreign = Weighted([.. strangers.Where(pattern => serverKnows(pattern[..pattern.IndexOf(' ')]))]);

    public CommandPattern Pick(Random random) =>
        foreign.Length > 0 && random.Next(15) == 0 ? foreign[random.Next(foreign.Length)] : own[random.Next(own.Length)];

    private static CommandPattern[] Weighted(string[] patterns) =>
        [.. patterns.Select(text => new CommandPattern(text)).SelectMany(pattern => Enumerable.Repeat(pattern, pattern.Weight))];
}
