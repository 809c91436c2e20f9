using System.Globalization;
using System.Text;
using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>
/// rdb_changes_since_last_save counts what redis-server counts, command by command, so that save points are due when
/// they are there.
/// </summary>
[Trait("Needs", "servers")]
public sealed class ChangesBesideRedisTests
{
    private static readonly string[] s_lines =
    [
        "SET k v", "SET k v EX 100", "SET k v NX", "SETNX k v", "SETNX n v", "SETEX k 100 v", "PSETEX k 100000 v", "GETSET k w", "APPEND k x",
        "SETRANGE k 2 yy", "SETRANGE missing 0 z", "MSET a 1 b 2 c 3", "MSETNX d 1 e 2", "MSETNX a 1 f 2", "INCR a", "INCRBY a 5", "DECR a", "DECRBY a 2",
        "INCRBYFLOAT a 1.5", "GETEX k", "GETEX k PERSIST", "GETEX k EX 100", "GETEX k EXAT 1", "GETDEL a", "GETDEL a", "DEL b c missing", "UNLINK d e",
        "SETBIT bits 7 1", "SETBIT bits 7 1", "BITFIELD bits SET u8 0 255 INCRBY u8 8 1 GET u8 0", "BITFIELD bits SET u8 0 255",
        "BITFIELD more OVERFLOW FAIL INCRBY u2 0 9 SET u8 0 0", "BITOP AND dest bits more", "BITOP NOT dest missing", "BITOP NOT dest missing",
        "PFADD hll a b c", "PFADD hll a b d", "PFADD hll a", "PFADD empty", "PFCOUNT hll", "PFCOUNT hll", "PFMERGE merged hll empty", "PFDEBUG TODENSE hll",
        "RPUSH l a b c d a b", "LPUSH l x y", "RPUSHX l z", "LPUSHX missing z", "LSET l 0 q", "LINSERT l BEFORE q p", "LINSERT l BEFORE missing p",
        "LREM l 0 a", "LREM l 0 missing", "LTRIM l 1 -2", "LTRIM l 0 -1", "LPOP l", "RPOP l 2", "LMOVE l l LEFT RIGHT", "LMOVE l m LEFT RIGHT",
        "RPOPLPUSH l m", "LMPOP 2 none m LEFT COUNT 2", "RPUSH l a b c d e f", "BLPOP l 1", "BRPOP l 1", "BLMOVE l m LEFT LEFT 1", "BRPOPLPUSH l m 1",
        "BLMPOP 1 1 m LEFT COUNT 9", "LTRIM l 9 9",
        "SADD s a b c d", "SADD s a e", "SADD s a", "SADD t x 1 2", "SREM s a missing", "SMOVE s t b", "SMOVE s t missing", "SPOP s", "SPOP t 2", "SPOP t 99",
        "DEL s", "SADD s a b c", "SADD t b c d", "SINTERSTORE i s t", "SUNIONSTORE u s t", "SDIFFSTORE i s s", "SDIFFSTORE i s s",
        "ZADD z 1 a 2 b 3 c", "ZADD z 1 a 5 b", "ZADD z XX 9 missing", "ZADD z INCR 1 a", "ZINCRBY z 0 a", "ZINCRBY z 2 d", "ZREM z a missing",
        "ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h", "ZPOPMIN z 2", "ZPOPMAX z", "ZREMRANGEBYSCORE z 3 4", "ZREMRANGEBYRANK z 0 0", "ZADD lex 0 a 0 b 0 c",
        "ZREMRANGEBYLEX lex [a (c", "ZADD z 1 a 2 b 3 c 4 d", "BZPOPMIN z 1", "BZPOPMAX z 1", "BZMPOP 1 1 z MIN COUNT 2", "ZADD z 1 a 2 b 3 c", "ZMPOP 1 z MAX",
        "ZADD z 1 a 2 b 3 c", "ZRANGESTORE zr z 0 1", "ZRANGESTORE zr z 9 9", "ZUNIONSTORE zu 2 z lex", "ZINTERSTORE zi 2 z lex", "ZDIFFSTORE zd 2 z lex",
        "ZDIFFSTORE zd 2 z z",
        "GEOADD g 13 38 p 15 37 q 2 48 r", "GEOADD g 13 38 p", "GEOSEARCHSTORE gs g FROMLONLAT 15 37 BYRADIUS 300 km",
        "GEOSEARCHSTORE gs g FROMLONLAT 90 9 BYRADIUS 1 m", "GEORADIUS g 15 37 300 km STORE gr", "GEORADIUSBYMEMBER g p 1 m STORE gr",
        "HSET h a 1 b 2 c 3", "HSET h a 1", "HMSET h d 4 e 5", "HSETNX h f 6", "HSETNX h f 6", "HINCRBY h a 1", "HINCRBYFLOAT h a 1.5", "HDEL h a b missing",
        "XADD x 1-1 a b", "XADD x 1-2 a b", "XADD x MAXLEN = 2 1-3 a b", "XADD x MAXLEN = 1 1-4 a b", "XADD x 1-5 a b", "XADD x 1-6 a b", "XADD x 1-7 a b",
        "XDEL x 1-4 9-9", "XTRIM x MAXLEN = 2", "XTRIM x MAXLEN = 2", "XSETID x 5-5", "XADD x 6-1 a b", "XADD x 6-2 a b",
        "XGROUP CREATE x gr 0", "XGROUP CREATE made gr 0 MKSTREAM", "XGROUP CREATECONSUMER x gr alice", "XGROUP CREATECONSUMER x gr alice",
        "XREADGROUP GROUP gr alice COUNT 2 STREAMS x >", "XREADGROUP GROUP gr bob STREAMS x >", "XREADGROUP GROUP gr bob STREAMS x >",
        "XREADGROUP GROUP gr alice STREAMS x 0", "XREADGROUP GROUP gr carol STREAMS x 0", "XACK x gr 1-6 9-9", "XCLAIM x gr alice 0 6-1 6-2",
        "XCLAIM x gr dave 0 6-1 JUSTID", "XCLAIM x gr dave 0 9-9 LASTID 9-9", "XDEL x 1-7", "XCLAIM x gr dave 0 1-7", "XAUTOCLAIM x gr eve 0 0",
        "XDEL x 6-1", "XAUTOCLAIM x gr eve 0 0", "XAUTOCLAIM x gr eve 0 9-9", "XGROUP SETID x gr 0", "XREADGROUP GROUP gr eve NOACK STREAMS x >",
        "XGROUP DELCONSUMER x gr alice", "XGROUP DELCONSUMER x gr alice", "XGROUP DESTROY x gr", "XGROUP DESTROY x gr",
        "EXPIRE k 100", "PEXPIRE k 100000", "EXPIREAT k 9999999999", "PEXPIREAT k 9999999999000", "EXPIRE k 1 GT", "PERSIST k", "PERSIST k", "EXPIRE k -1",
        "SET k v", "RENAME k kk", "RENAMENX kk k", "COPY k kk", "COPY k kk", "COPY k kk REPLACE", "MOVE kk 1", "SORT s ALPHA STORE sorted",
        "SORT missing STORE sorted", "SWAPDB 0 1", "SWAPDB 0 1",
        "RESTORE r 0 DUMP:k", "RESTORE r 0 DUMP:k", "RESTORE r 0 DUMP:k REPLACE", "RESTORE r 1 DUMP:k ABSTTL REPLACE", "RESTORE-ASKING r 0 DUMP:k",
        "EVAL return{redis.call('set','k','v'),redis.call('sadd','ss','a','b'),redis.call('get','k')} 0", "EVAL return{redis.call('get','k')} 0",
        "FUNCTION LOAD LIBRARY:one", "FUNCTION LOAD LIBRARY:one", "FUNCTION LOAD REPLACE LIBRARY:one", "FUNCTION LOAD LIBRARY:two", "FCALL one 1 k",
        "FUNCTION RESTORE FUNCTION:DUMP", "FUNCTION RESTORE FUNCTION:DUMP REPLACE", "FUNCTION DELETE one", "FUNCTION DELETE one",
        "FUNCTION RESTORE FUNCTION:DUMP FLUSH", "FUNCTION FLUSH", "SELECT 1", "FLUSHDB", "FLUSHDB", "SELECT 0", "FLUSHALL", "FLUSHALL",
    ];

    /// <summary>What the redis-server on this machine does not have yet, with the numbers of the version that has it.</summary>
    private static readonly (string Line, long Changes)[] s_newer =
    [
        ("HSET h a 1 b 2 c 3", 3), ("HEXPIRE h 100 FIELDS 2 a b", 2), ("HEXPIRE h 100 NX FIELDS 2 a c", 1), ("HPEXPIRE h 100000 FIELDS 1 missing", 0),
        ("HEXPIREAT h 9999999999 FIELDS 1 a", 1), ("HPEXPIREAT h 1 FIELDS 1 a", 1), ("HPERSIST h FIELDS 2 b c", 1), ("HPERSIST h FIELDS 1 c", 0),
        ("HSETEX h FIELDS 2 d 4 e 5", 2), ("HGETEX h EX 100 FIELDS 2 d e", 2), ("HGETDEL h FIELDS 2 d missing", 1),
        ("MSETEX 2 p 1 q 2", 2), ("DELEX p IFEQ 1", 1),
        ("XADD newer 1-1 a b", 1), ("XADD newer 1-2 a b", 1), ("XDELEX newer KEEPREF IDS 2 1-1 9-9", 1), ("XGROUP CREATE newer gr 0", 1),
        ("XREADGROUP GROUP gr alice STREAMS newer >", 2), ("XACKDEL newer gr DELREF IDS 2 1-2 9-9", 1),
    ];

    [Fact]
    public async Task Every_write_counts_as_many_changes_as_in_redis()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        var wrong = new StringBuilder();
        foreach (string line in s_lines)
        {
            (long ours, long theirs) = (Ours(both), Theirs(both));
            string[] words = [.. line.Split(' ').Select(word => Argument(both, word))];
            string reply = both.Theirs(words);
            both.Ours.Raw(words);
            (ours, theirs) = (Ours(both) - ours, Theirs(both) - theirs);
            if (ours != theirs) wrong.Append(CultureInfo.InvariantCulture, $"\n{line} ({reply.TrimEnd()}): {ours} changes, in redis-server {theirs}");
        }
        foreach ((string line, long changes) in s_newer)
        {
            long before = Ours(both);
            both.Ours.Raw(line.Split(' '));
            if (Ours(both) - before != changes) wrong.Append(CultureInfo.InvariantCulture, $"\n{line}: {Ours(both) - before} changes, in 7.4 {changes}");
        }
        Assert.True(wrong.Length == 0, wrong.ToString());
    }

    [Fact]
    public void Every_command_that_writes_is_among_them()
    {
        HashSet<string> tried = [.. s_lines.Concat(s_newer.Select(newer => newer.Line)).Select(line => line.Split(' ')).SelectMany(
            words => (string[])[words[0], words.Length > 1 ? $"{words[0]}|{words[1]}" : ""])];
        Assert.Equal([], EngineHarness.Commands.Commands.SelectMany(command => command.Subcommands?.Values.ToArray() ?? [command])
            .Where(command => command.Is(CommandFlags.Write)).Select(command => command.Name.ToUpperInvariant())
            .Where(name => name != "MIGRATE" && !tried.Contains(name))); // which needs another server: see MigrateTests
    }

    /// <summary>What a word of a line stands for: most for themselves.</summary>
    private static string Argument(SideBySide both, string word) => word.Split(':') switch
    {
        ["DUMP", string key] => SideBySide.Payload(both.Theirs("DUMP", key)),
        ["FUNCTION", "DUMP"] => SideBySide.Payload(both.Theirs("FUNCTION", "DUMP")),
        ["LIBRARY", string name] => $"#!lua name={name}\nredis.register_function('{name}', function(keys) return redis.call('SET', keys[1], 'v') end)",
        _ => word,
    };

    private static long Ours(SideBySide both) => both.Ours.Files.Dump.Changes;

    private static long Theirs(SideBySide both)
    {
        const string Field = "rdb_changes_since_last_save:";
        string info = both.Theirs("INFO", "persistence");
        int at = info.IndexOf(Field, StringComparison.Ordinal) + Field.Length;
        return long.Parse(info.AsSpan(at, info.IndexOf('\r', at) - at), CultureInfo.InvariantCulture);
    }
}
