using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests;

/// <summary>
/// Damaged payloads of values of every type and encoding, with the checksum correct, are restored and then used in every
/// way, in a process whose heap is checked: it reads nothing that is not the value's own, and what has been
/// found sound can be dumped and restored again. HOSTILE_SECONDS says for how long (<see cref="HostileTime"/>).
/// </summary>
[Trait("Needs", "servers")]
public sealed class RestoreFuzzTests(ITestOutputHelper output)
{
    /// <summary>What makes a value of each kind at the key "k". How large it is, and so its encoding, differs each time.</summary>
    private static readonly string[][] s_makers =
    [
        ["SET k #"], ["SET k text"], ["SETRANGE k 30 x"], ["RPUSH k # a"], ["LPUSH k text"], ["SADD k #"], ["SADD k text #"], ["SADD k 70000 5000000000 #"],
        ["ZADD k # text"], ["ZADD k 1.5 # -inf b inf c"], ["GEOADD k 13.361389 38.115556 text"], ["HSET k # text"], ["HSET k text #"],
        ["HSET k # text f v g w", "HPEXPIRE k 100000 FIELDS 1 f"], ["HSET k f text g # h w", "HPEXPIRE k 100000 FIELDS 2 f g", "HPEXPIRE k 200000 FIELDS 1 h"],
        ["XADD k * f #"], ["XADD k * # text g 2"],
        ["XADD k * f #", "XGROUP CREATE k g 0", "XREADGROUP GROUP g me COUNT 7 STREAMS k >", "XREADGROUP GROUP g you STREAMS k >", "XGROUP CREATE k h $"],
        ["XADD k 1-# f v", "XADD k 2-# f w", "XDEL k 1-1 1-2", "XSETID k 9-9 ENTRIESADDED 1000 MAXDELETEDID 2-2"], ["PFADD k text #"],
    ];

    /// <summary>What is then done with it, by type. Those of other types give errors, which is well, too.</summary>
    private static readonly string[] s_uses =
    [
        "GET k", "STRLEN k", "APPEND k x", "GETRANGE k -5 -1", "SETRANGE k 3 yy", "GETBIT k 1000", "BITCOUNT k", "BITPOS k 1", "INCR k", "PFCOUNT k",
        "PFADD k a b c", "PFMERGE other k", "LCS k k IDX", "LRANGE k 0 -1", "LINDEX k -1", "LPOS k a", "LPUSH k x 1 -1", "RPUSH k 7", "LINSERT k BEFORE a z",
        "LSET k 0 new", "LREM k 0 a", "LTRIM k 1 -2", "LPOP k 2", "RPOP k", "LMOVE k k LEFT RIGHT", "SORT k ALPHA", "SMEMBERS k", "SISMEMBER k 1",
        "SADD k new 12 70001", "SREM k 1", "SPOP k", "SRANDMEMBER k 5", "SSCAN k 0", "SINTERSTORE other k k", "SUNION k other", "ZRANGE k 0 -1 WITHSCORES",
        "ZREVRANGE k 0 3", "ZRANGEBYSCORE k -inf +inf", "ZRANGEBYLEX k - +", "ZRANK k text", "ZADD k 5 new", "ZINCRBY k 1 text", "ZREMRANGEBYRANK k 1 1",
        "ZPOPMIN k", "ZPOPMAX k", "ZSCAN k 0", "ZRANDMEMBER k 3", "ZUNIONSTORE other 2 k k", "GEOPOS k text", "ZCOUNT k 0 5", "HGETALL k", "HGET k f",
        "HSET k new x f y", "HDEL k g", "HINCRBY k 1 1", "HSCAN k 0", "HRANDFIELD k 3 WITHVALUES", "HPTTL k FIELDS 2 f g", "HPEXPIRE k 50000 FIELDS 1 f",
        "HPERSIST k FIELDS 1 f", "HSTRLEN k text", "XRANGE k - +", "XREVRANGE k + - COUNT 5", "XLEN k", "XADD k * a b c d", "XDEL k 1-1", "XTRIM k MAXLEN 3",
        "XTRIM k MINID ~ 5", "XINFO STREAM k FULL", "XINFO GROUPS k", "XINFO CONSUMERS k g", "XREADGROUP GROUP g me STREAMS k 0",
        "XREADGROUP GROUP g new COUNT 3 STREAMS k >", "XPENDING k g - + 10", "XCLAIM k g you 0 1-1 2-1 FORCE", "XAUTOCLAIM k g you 0 -", "XACK k g 1-1",
        "XGROUP SETID k g 1-1", "XGROUP DELCONSUMER k g me", "XGROUP DESTROY k g", "XREAD STREAMS k 0", "OBJECT ENCODING k", "MEMORY USAGE k SAMPLES 0",
        "TYPE k", "COPY k other REPLACE", "RENAME other more", "DEBUG-DIGEST k",
    ];

    [Fact]
    public async Task Damaged_payloads_are_refused_or_harmless()
    {
        string last = Path.GetTempFileName();
        try
        {
            await using ClientProgram child = OwnProcess.Start(RestoreAndUse, "ORLEANSREDIS_HEAP_CHECKS=1", "LAST_PAYLOAD=" + last);
            int code = await child.WaitForExitAsync(HostileTime.Part + Eventually.Deadline);
            output.WriteLine(child.Output);
            Assert.True(code == 0, $"It ended with {code}:\n{child.Output}\nThe last payload was\n{await File.ReadAllTextAsync(last)}");
        }
        finally
        {
            File.Delete(last);
        }
    }

    /// <summary>What runs in a process of its own. The payload that is being tried is in a file, should the process end.</summary>
    private static void RestoreAndUse()
    {
        using FileStream last = new(Environment.GetEnvironmentVariable("LAST_PAYLOAD")!, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        var random = TestSeed.Random();
        var time = new HostileTime();
        int tried = 0, taken = 0;
        for (; !time.IsOver; tried += 100)
        {
            using var redis = new EngineHarness(options =>
            {
                options.SanitizeDumpPayload = random.Next(2) == 0 ? SanitizeDumpPayload.Yes : SanitizeDumpPayload.No;
                options.RdbCompression = random.Next(4) == 0;
                options.HashMaxListpackEntries = random.Next(2) == 0 ? 4 : 512;
                options.SetMaxIntsetEntries = random.Next(2) == 0 ? 4 : 512;
                options.StreamNodeMaxEntries = random.Next(2) == 0 ? 3 : 100;
            });
            redis.Run("SET", "sentinel", "stands");
            byte[] sound = Make(redis, random);
            for (int i = 0; i < 100; i++)
            {
                byte[] payload = Signed(Damaged(sound, random), version: random.Next(20) == 0 ? random.Next(0, 14) : 12);
                last.SetLength(0);
                last.Write(Encoding.ASCII.GetBytes(Convert.ToHexString(payload) + "\n"));
                object? reply = redis.Run("RESTORE", "k", "0", Encoding.Latin1.GetString(payload), "REPLACE");
                if (reply is RespError error)
                {
                    if (error.Text is "ERR Bad data format" or "ERR DUMP payload version or checksum are wrong") continue;
                    throw new InvalidOperationException(error.Text);
                }
                taken++;
                Use(redis, random);
            }
            if (!Equals(redis.Run("GET", "sentinel"), "stands")) throw new InvalidOperationException("The sentinel has changed.");
            redis.ForgetEffects();
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"TEST_SEED={TestSeed.Value}: {tried} payloads, of which {taken} were restored"));
    }

    private static byte[] Make(EngineHarness redis, Random random)
    {
        string[] maker = s_makers[random.Next(s_makers.Length)];
        // A few large ones, most small: the fewer the bytes, the more of them is structure.
        int times = random.Next(10) == 0 ? 200 : random.Next(1, 8);
        for (int i = 0; i < times; i++)
        {
            string line = maker[0].Replace("#", $"{i + 1}", StringComparison.Ordinal)
                .Replace("text", new string((char)('a' + random.Next(26)), random.Next(12) == 0 ? 100 : random.Next(1, 8)), StringComparison.Ordinal);
            redis.Run(line.Split(' '));
        }
        foreach (string line in maker.Skip(1)) redis.Run(line.Replace("#", "1", StringComparison.Ordinal).Split(' '));
        return Encoding.Latin1.GetBytes((string)redis.Run("DUMP", "k")!)[..^10];
    }

    private static byte[] Damaged(byte[] sound, Random random)
    {
        List<byte> bytes = [.. sound];
        for (int changes = random.Next(1, 4); changes > 0 && bytes.Count > 0; changes--)
        {
            int at = random.Next(random.Next(2) == 0 ? Math.Min(40, bytes.Count) : bytes.Count), length = Math.Min(random.Next(1, 9), bytes.Count - at);
            switch (random.Next(12))
            {
                case 0: bytes.RemoveRange(at, length); break;
                case 1: bytes.InsertRange(at, bytes.GetRange(at, length)); break;
                case 2: bytes.Insert(at, (byte)random.Next(256)); break;
                case 3: bytes[at] = 0xff; break;
                case 4: bytes[at] = 0; break;
                case 5: bytes[at]++; break;
                case 6: bytes[at]--; break;
                case 7: bytes[at] = (byte)random.Next(256); break;
                case 8: bytes[0] = (byte)random.Next(32); break; // the type
                case 9: bytes.RemoveRange(at, bytes.Count - at); break;
                case 10: // a length of four or eight bytes that lies
                    if (random.Next(2) == 0) bytes.InsertRange(at, [0x80, 0x7f, 0xff, 0xff, (byte)random.Next(256)]);
                    else bytes.InsertRange(at, [0x81, 0, 0, 0, (byte)random.Next(2), 0xff, 0xff, 0xff, 0xff]);
                    break;
                default: bytes[at] ^= (byte)(1 << random.Next(8)); break;
            }
        }
        return [.. bytes];
    }

    /// <summary>Uses the value, at random, and has it go to a copy and back.</summary>
    private static void Use(EngineHarness redis, Random random)
    {
        for (int i = random.Next(25); i >= 0; i--)
        {
            string line = s_uses[random.Next(s_uses.Length)];
            if (line.StartsWith("DEBUG-DIGEST", StringComparison.Ordinal)) KeyspaceDigest.OfAll(redis.Store.Slots);
            else if (redis.Raw(line.Split(' ')).Contains("internal error", StringComparison.Ordinal)) throw new InvalidOperationException($"{line} failed");
        }
        // As Redis does, the server takes a packed set with a member twice if it is not to look into it.
        if (redis.Store.Options.SanitizeDumpPayload == SanitizeDumpPayload.No || redis.Run("DUMP", "k") is not string dump) return;
        if (redis.Run("RESTORE", "again", "0", dump, "REPLACE") is RespError error)
            throw new InvalidOperationException($"It cannot be restored again: {error}");
        redis.Run("DEL", "again");
    }

    private static byte[] Signed(byte[] content, int version)
    {
        byte[] payload = [.. content, (byte)version, 0, .. new byte[8]];
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(payload.Length - 8), Crc64.Append(0, payload.AsSpan(0, payload.Length - 8)));
        return payload;
    }
}
