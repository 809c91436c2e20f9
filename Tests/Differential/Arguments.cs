using System.Globalization;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Differential;

/// <summary>
/// Fills the holes of a <see cref="CommandPattern"/>. It uses few names, so that commands meet each other's keys, and
/// many edge cases.
/// </summary>
internal sealed class Arguments(Random random, DateTimeOffset now)
{
    private static readonly string[] keys = ["k1", "k2", "k3", "{t}a", "{t}b", "k\xff\x01\r\n"];
    private static readonly string[] members =
    [
        "a", "b", "c", "d", "e", "", "1", "2", "-5", "3.0", "a\0b", "\xff\xfe", "10", "longer than a small member may well be: sixty-four bytes are the limit"
    ];
    private static readonly string[] values =
    [
        "", "0", "1", "-1", "10", "100", "3.14", "-0", "abc", "ABC", "nan", "inf", "-inf", " 1", "1 ", "+1", "01", "1e3", "0x10", "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808", "18446744073709551616", "\0", "\xff\xfe\xfd", "a\r\nb", "ohmytext", "mynewtext", "127", "128", "32768", "8388608", "2147483648",
    ];

    /// <summary>Numbers at the limits of every integer size, and texts that are not numbers.</summary>
    private static readonly string[] edges =
    [
        "0", "-0", "-1", "+1", "abc", "", " 1", "1.0", "1e2", "nan", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999", "4294967296", "-2147483649", "\0", "00",
    ];

    private static readonly string[] floats =
    [
        "0", "-0", "0.1", "0.2", "1.5", "-1.5", "3.0e2", "1e-7", "1e17", "1e300", "-1e300", "123456789.123456789", "inf", "-inf", "+inf", "nan", "abc", "",
        "1e5000", "0x1p3", " 1"
    ];
    private static readonly string[] scores =
    [
        "0", "1", "2", "3", "-1", "1.5", "-0", "inf", "-inf", "nan", "1e300", "0.1", "abc", "5e-324", "3.0000000000000004"
    ];
    private static readonly string[] scoreBounds = ["-inf", "+inf", "0", "(0", "1", "(1", "2", "(2.5", "-1", "(inf", "nan", "abc", "("];
    private static readonly string[] lexBounds = ["-", "+", "[a", "(a", "[b", "(c", "[", "(", "a", "", "[\xff", "(longer"];
    private static readonly string[] patterns =
    [
        "*", "k*", "k?", "k[1-2]", "k[^1]", "*[", "\\k1", "{t}*", "", "nothing*", "*1", "[k]*", "k[12", "?1", "**", "*\xff*"
    ];
    private static readonly string[] streamIds =
    [
        "0-0", "0-1", "0-2", "1-0", "1-1", "1-2", "1-*", "2-*", "3-1", "3", "5-5", "-", "+", "(1-1", "(0-1", "$", ">", "abc", "1-", "-1",
        "18446744073709551615-18446744073709551615", "0"
    ];
    private static readonly string[] bitTypes = ["u1", "u8", "i8", "i16", "u63", "i64", "u64", "i5", "u0", "x8", "i"];
    private static readonly string[] types = ["string", "list", "set", "zset", "hash", "stream", "STRING", "nothing"];

    public Random Random => random;

    public RespArgument Next(string hole) => hole switch
    {
        "key" => Pick(keys),
        "dst" => Pick(keys),
        "missing" => "no-such-key",
        "member" or "field" => random.Next(6) == 0 ? $"m{random.Next(200)}" : Pick(members),
        "group" => $"g{random.Next(3)}",
        "consumer" => $"c{random.Next(3)}",
        "value" => random.Next(20) switch
        {
            0 => new string('v', 43 + random.Next(4)), // where embstr ends
            1 => new string('w', 62 + random.Next(4)), // where a listpack's small value ends
            2 => RandomBytes(random.Next(300)),
            3 => random.Next(10) == 0 ? new string('x', 9000) : "x",
            < 8 => Number(random.Next(-1000, 100000)),
            _ => Pick(values),
        },
        "word" => random.Next(4) == 0 ? new string('w', 120 + random.Next(20)) : Pick(values),
        "int" => random.Next(3) == 0 ? Pick(edges) : Number(random.Next(-100, 1000)),
        "float" => random.Next(3) == 0 ? Number(random.Next(-5000, 5000) / 100.0) : Pick(floats),
        "score" => random.Next(2) == 0 ? Number(random.Next(20)) : Pick(scores),
        "min" or "max" => random.Next(3) == 0 ? Number(random.Next(20)) : Pick(scoreBounds),
        "lex" => Pick(lexBounds),
        "index" => random.Next(8) == 0 ? Pick(edges) : Number(random.Next(-12, 13)),
        "count" => random.Next(8) == 0 ? Pick(edges) : Number(random.Next(0, 6)),
        // No large negative number: that many elements would be returned.
        "few" => random.Next(6) == 0 ? Pick("0", "-0", "abc", "", "1.0", "9223372036854775808", "-9223372036854775808") : Number(random.Next(-6, 7)),
        "numkeys" => random.Next(8) == 0 ? Pick(edges) : Number(random.Next(1, 4)),
        // For a negative number Redis replies with that many members, however many they are.
        "draw" =>
            random.Next(8) == 0 ? Pick("0", "-0", "+1", "abc", "9223372036854775807", "-9223372036854775808", "4294967296") : Number(random.Next(-12, 13)),
        "offset" => random.Next(8) switch { 0 => Pick(edges), 1 => "536870912", 2 => Number(random.Next(5000)), _ => Number(random.Next(80)) },
        "bit" => random.Next(8) switch { 0 => Pick(edges), 1 => "4294967295000", 2 => Number(random.Next(50_000)), _ => Number(random.Next(64)) },
        "zeroone" => random.Next(10) == 0 ? Pick(edges) : Number(random.Next(2)),
        "bittype" => Pick(bitTypes),
        "bitoffset" => (random.Next(4) == 0 ? "#" : "") + random.Next(80).ToString(CultureInfo.InvariantCulture),
        "db" => random.Next(10) == 0 ? Pick(edges) : Number(random.Next(3)),
        "pattern" => Pick(patterns),
        "type" => Pick(types),
        "sid" => random.Next(2) == 0 ? $"{random.Next(8)}-{random.Next(4)}" : Pick(streamIds),
        "newid" =>
            random.Next(5) == 0
                ? Pick(streamIds)
                : $"{random.Next(1, 60)}-{(random.Next(3) == 0 ? "*" : random.Next(5).ToString(CultureInfo.InvariantCulture))}",
        "lon" => random.Next(10) == 0 ? Pick(floats) : Number(random.Next(-1800, 1801) / 10.0),
        "lat" => random.Next(10) == 0 ? Pick(floats) : Number(random.Next(-850, 851) / 10.0),
        "radius" => random.Next(10) == 0 ? Pick(floats) : Number(random.Next(1, 5000)),
        "unit" => Pick("m", "km", "ft", "mi", "KM", "parsec"),
        // Times are in the past or far in the future, so that both servers agree on what has expired.
        "ttl" => random.Next(5) == 0 ? Past() : Number(1000 + random.Next(1_000_000)),
        "ttlms" => random.Next(5) == 0 ? Past() : Number(1_000_000 + random.Next(1_000_000_000)),
        "at" => random.Next(5) == 0 ? Past() : Number(now.ToUnixTimeSeconds() + 1000 + random.Next(1_000_000)),
        "atms" => random.Next(5) == 0 ? Past() : Number(now.ToUnixTimeMilliseconds() + 1_000_000 + random.Next(1_000_000_000)),
        _ => throw new ArgumentException($"no hole is called '{hole}'"),
    };

    /// <summary>
    /// Spoils a command in one of the ways in which clients do: an argument lost, doubled, swapped, of the wrong kind,
    /// or with the case of its letters changed.
    /// </summary>
    public void Spoil(List<RespArgument> command, bool expires)
    {
        int at = random.Next(command.Count);
        switch (random.Next(6))
        {
            case 0 when command.Count > 1: command.RemoveAt(Math.Max(1, at)); break;
            case 1: command.Insert(at + 1, command[at]); break;
            case 2 when at > 0: command[at] = expires ? Past() : Pick(edges); break;
            case 3 when at > 0 && !expires: command.Add(Next("value")); break;
            case 4: command[at] = command[at].Bytes.Select(b => (byte)(char.IsAsciiLetter((char)b) ? b ^ 0x20 : b)).ToArray(); break;
            case 5 when command.Count > 3 && !expires:
                int other = random.Next(1, command.Count);
                at = Math.Max(1, at);
                (command[at], command[other]) = (command[other], command[at]);
                break;
        }
    }

    private string Past() =>
        Pick("0", "-1", "-1000", "abc", "", "9223372036854775807", "-9223372036854775808", "9223372036854776", "99999999999999999999", "1.5");

    private string Pick(params string[] choices) => choices[random.Next(choices.Length)];

    private byte[] RandomBytes(int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private static RespArgument Number(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    private static RespArgument Number(long number) => number;
}
