using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>Bitmaps and HyperLogLogs beside redis-server, byte for byte.</summary>
[Trait("Needs", "servers")]
public class StringsBesideRedisTests
{
    private static readonly string[] s_operations = ["AND", "OR", "XOR", "NOT"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Random_bitmap_commands_reply_as_redis_does(int seed)
    {
        await using SideBySide both = await SideBySide.StartAsync();
        var random = TestSeed.Random(seed);
        for (int i = 0; i < 6000; i++)
        {
            string[] command = BitCommand(random);
            both.Same(command);
            // The reply does not show what was written; GET does.
            both.Same("GET", command[0] == "BITOP" ? command[2] : command[1]);
        }
        for (int i = 0; i < 4; i++) both.Same("GET", $"b{i}");
    }

    [Fact]
    public async Task Wrong_arguments_of_bitmap_commands_get_the_errors_of_redis()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        both.Same("SET", "k", "foobar");
        both.Same("XADD", "stream", "1-1", "a", "b");
        foreach (string line in (string[])
            [
                "SETBIT k -1 1", "SETBIT k 1 2", "SETBIT k 1 x", "SETBIT k 4294967296 1", "SETBIT k x 1", "SETBIT stream 1 1", "GETBIT k -1", "GETBIT k x",
                "GETBIT stream 0",
                "GETBIT k 4294967295", "BITCOUNT k 0 x", "BITCOUNT k 0 1 FOO", "BITCOUNT k 0 1 BIT 5", "BITCOUNT stream", "BITCOUNT none",
                "BITCOUNT k -1 -2",
                "BITPOS k 2", "BITPOS k x", "BITPOS k 1 x", "BITPOS k 1 0 x", "BITPOS k 1 0 1 FOO", "BITPOS stream 1", "BITPOS none 1", "BITPOS none 0",
                "BITPOS k 0 100",
                "BITOP FOO d k", "BITOP NOT d k k", "BITOP AND d stream", "BITOP AND d none", "BITOP OR d k none", "GET d", "BITOP NOT d none", "EXISTS d",
                "BITFIELD k GET u64 0", "BITFIELD k GET i65 0", "BITFIELD k GET x8 0", "BITFIELD k GET u0 0", "BITFIELD k GET u8", "BITFIELD k OVERFLOW FOO",
                "BITFIELD k SET u8 0 x",
                "BITFIELD k GET u8 -1", "BITFIELD k GET u8 #x", "BITFIELD k FOO u8 0", "BITFIELD k", "BITFIELD stream GET u8 0", "BITFIELD none GET u8 0",
                "EXISTS none",
                "BITFIELD_RO k SET u8 0 1", "BITFIELD_RO k GET u8 #2", "BITFIELD k SET u8 4294967288 1 GET x 0",
                "BITFIELD k GET u8 0 OVERFLOW SAT INCRBY u8 0 300 OVERFLOW FAIL INCRBY u8 0 1",
            ])
            both.Same(line);
    }

    [Theory]
    [InlineData(1, 3000)]
    [InlineData(2, 120)]
    public async Task Random_HyperLogLogs_have_the_bytes_of_redis(int seed, int sparseMaxBytes)
    {
        await using SideBySide both = await SideBySide.StartAsync(
            options => options.HllSparseMaxBytes = sparseMaxBytes, "--hll-sparse-max-bytes", $"{sparseMaxBytes}");
        var random = TestSeed.Random(seed);
        for (int i = 0; i < 3000; i++)
        {
            string key = $"h{random.Next(4)}";
            both.Same(random.Next(40) switch
            {
                0 => ["PFCOUNT", key, $"h{random.Next(4)}"],
                1 => ["PFCOUNT", key],
                2 => ["PFMERGE", key, $"h{random.Next(4)}", $"h{random.Next(4)}"],
                3 => ["GET", key],
                4 => ["PFDEBUG", "ENCODING", key],
                5 => ["PFDEBUG", "DECODE", key],
                6 when random.Next(4) == 0 => ["DEL", key],
                7 when random.Next(10) == 0 => ["PFDEBUG", "TODENSE", key],
                8 when random.Next(10) == 0 => ["PFDEBUG", "GETREG", key],
                _ => ["PFADD", key, $"{random.Next(100000)}", $"e{random.Next(100000)}", new string('z', random.Next(20))],
            });
        }
        for (int i = 0; i < 4; i++) both.Same("GET", $"h{i}");
    }

    [Fact]
    public async Task Damaged_HyperLogLogs_get_the_errors_of_redis()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        both.Same("PFADD", "h", "a", "b", "c");
        string sound = SideBySide.Payload(both.Same("GET", "h"));
        both.Same("SET", "int", "123");
        both.Same("PFADD", "int", "a");
        both.Same("PFCOUNT", "none");
        both.Same("PFDEBUG", "ENCODING", "none");
        both.Same("PFDEBUG", "FOO", "h");
        foreach (string bytes in (string[])["", "HYLL", sound[..16], sound[..^1], sound + "\u0000", "HYLX" + sound[4..], "HYLL\u0000" + sound[5..],
            "HYLL\u0002" + sound[5..], sound[..17] + "\u00ff\u00ff"])
        {
            both.Same("SET", "h", bytes);
            both.Same("PFCOUNT", "h");
            both.Same("PFCOUNT", "h", "none");
            both.Same("PFMERGE", "d", "h");
        }
    }

    [Fact]
    public void The_self_test_passes()
    {
        using var redis = new EngineHarness();
        Assert.Equal("OK", redis.Run("PFSELFTEST"));
    }

    private static string[] BitCommand(Random random)
    {
        string key = $"b{random.Next(4)}";
        switch (random.Next(10))
        {
            case 0: return ["SETBIT", key, $"{random.Next(600)}", $"{random.Next(2)}"];
            case 1: return ["GETBIT", key, $"{random.Next(700)}"];
            case 2: return ["BITCOUNT", key];
            case 3: return ["BITCOUNT", key, $"{random.Next(-80, 80)}", $"{random.Next(-80, 80)}"];
            case 4: return ["BITCOUNT", key, $"{random.Next(-600, 600)}", $"{random.Next(-600, 600)}", random.Next(2) == 0 ? "BIT" : "BYTE"];
            case 5:
                var position = new List<string> { "BITPOS", key, $"{random.Next(2)}" };
                int more = random.Next(4);
                if (more > 0) position.Add($"{random.Next(-90, 90)}");
                if (more > 1) position.Add($"{random.Next(-90, 90)}");
                if (more > 2) position.Add(random.Next(2) == 0 ? "BIT" : "BYTE");
                return [.. position];
            case 6:
                string operation = s_operations[random.Next(4)];
                return ["BITOP", operation, $"b{random.Next(4)}", key, .. operation == "NOT" ? [] : (string[])[$"b{random.Next(5)}", $"b{random.Next(4)}"]];
            case 7 when random.Next(4) == 0:
                return random.Next(3) == 0
                    ? ["SET", key, $"{random.Next()}"]
                    : ["SET", key, new string(random.Next(2) == 0 ? '\u00ff' : '\0', random.Next(70))];
            default:
                var fields = new List<string> { "BITFIELD", key };
                for (int i = random.Next(1, 4); i > 0; i--)
                {
                    if (random.Next(2) == 0) fields.AddRange(["OVERFLOW", random.Next(3) switch { 0 => "WRAP", 1 => "SAT", _ => "FAIL" }]);
                    bool signed = random.Next(2) == 0;
                    string encoding = $"{(signed ? 'i' : 'u')}{(random.Next(4) == 0 ? signed ? 64 : 63 : random.Next(1, 64))}",
                        offset = $"{(random.Next(3) == 0 ? "#" : "")}{random.Next(20)}";
                    string operand = random.Next(4) switch
                    {
                        0 => $"{random.NextInt64()}",
                        1 => $"-{random.NextInt64()}",
                        2 => $"{random.Next(-300, 300)}",
                        _ => long.MinValue.ToString(System.Globalization.CultureInfo.InvariantCulture)
                    };
                    fields.AddRange(random.Next(3) switch
                    {
                        0 => ["GET", encoding, offset],
                        1 => ["SET", encoding, offset, operand],
                        _ => (string[])["INCRBY", encoding, offset, operand]
                    });
                }
                return [.. fields];
        }
    }
}
