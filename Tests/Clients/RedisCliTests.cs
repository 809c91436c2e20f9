using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Clients;

/// <summary>redis-cli 7.0 as people and scripts use it.</summary>
public sealed class RedisCliTests(SharedServer server, ITestOutputHelper output) : SharedServerTest(server, output)
{
    private string[] Address => ["-h", "127.0.0.1", "-p", Server.Port.ToString(CultureInfo.InvariantCulture)];

    [Fact]
    public async Task Commands_as_arguments_print_raw_replies()
    {
        Assert.Equal("PONG", await CliAsync("PING"));
        Assert.Equal("OK", await CliAsync("SET", "greeting", "Hello, \"World\"\n2nd line"));
        Assert.Equal("Hello, \"World\"\n2nd line", await CliAsync("--raw", "GET", "greeting"));
        Assert.Equal("\"Hello, \\\"World\\\"\\n2nd line\"", await CliAsync("--no-raw", "GET", "greeting"));
        Assert.Equal("(integer) 1", await CliAsync("--no-raw", "EXISTS", "greeting"));
        Assert.Equal("1) \"greeting\"", await CliAsync("--no-raw", "KEYS", "*"));
        Assert.Equal("(nil)", await CliAsync("--no-raw", "GET", "none"));
        Assert.Equal("", await CliAsync("-n", "3", "GET", "greeting"));
    }

    [Fact]
    public async Task Errors_print_and_set_the_exit_code_when_asked()
    {
        await using ClientProgram cli = ClientProgram.Start("redis-cli", [.. Address, "-e", "SET", "k"]);
        Assert.Equal(1, await cli.WaitForExitAsync());
        Assert.Contains("ERR wrong number of arguments for 'set' command", cli.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Clients_are_found_and_killed_by_their_address()
    {
        await using RespConnection victim = await RespConnection.ConnectAsync("127.0.0.1", Server.Port, Server);
        await victim.LineAsync("CLIENT SETNAME by-address");
        string line = await CliAsync("CLIENT", "LIST", "IP", "127.0.0.1", "NAME", "by-address");
        Assert.Contains(" name=by-address ", line, StringComparison.Ordinal);
        string address = line.Split(' ').Single(field => field.StartsWith("addr=", StringComparison.Ordinal))[5..];
        Assert.Equal(line.Split(' ')[0], (await CliAsync("CLIENT", "LIST", "ADDR", address, "FLAGS", "N")).Split(' ')[0]);
        Assert.Equal("", await CliAsync("CLIENT", "LIST", "NOT-IP", "127.0.0.1", "NAME", "by-address"));
        Assert.Equal("", await CliAsync("CLIENT", "LIST", "IP", "127.0.0", "NAME", "by-address"));
        Assert.Equal("1", await CliAsync("CLIENT", "KILL", "IP", "127.0.0.1", "LADDR", $"127.0.0.1:{Server.Port}", "NAME", "by-address"));
        Assert.True(await victim.IsClosedByServerAsync());
    }

    [Fact]
    public async Task Subscribe_prints_messages_as_they_come()
    {
        await using ClientProgram plain = ClientProgram.Start("redis-cli", [.. Address, "SUBSCRIBE", "news"]);
        await using ClientProgram resp3 = ClientProgram.Start("redis-cli", [.. Address, "-3", "PSUBSCRIBE", "n*"]);
        await plain.ExpectAsync("subscribe\nnews\n1\n");
        await resp3.ExpectAsync("psubscribe\nn*\n1\n");
        Assert.Equal("2", await CliAsync("PUBLISH", "news", "hello"));
        await plain.ExpectAsync("message\nnews\nhello\n");
        await resp3.ExpectAsync("pmessage\nn*\nnews\nhello\n");
    }

    [Fact]
    public async Task Resp3_and_json_work()
    {
        await CliAsync("MSET", "a", "1", "b", "2");
        Assert.Equal("[\"1\",\"2\",null]", await CliAsync("--json", "MGET", "a", "b", "c"));
        Assert.Contains("1# \"timeout\" => \"0\"", await CliAsync("-3", "--no-raw", "CONFIG", "GET", "timeout"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Commands_from_standard_input_run_one_after_another()
    {
        await using ClientProgram cli = ClientProgram.Start("redis-cli", Address);
        await cli.WriteAsync("SET k v\nINCR n\nINCR n\nSELECT 5\nGET k\nSELECT 0\nGET k\n");
        cli.CloseInput();
        Assert.Equal(0, await cli.WaitForExitAsync());
        Assert.Equal("OK\n1\n2\nOK\n\nOK\nv\n", cli.Output);
    }

    [Fact]
    public async Task A_binary_value_comes_from_standard_input()
    {
        await using ClientProgram cli = ClientProgram.Start("redis-cli", [.. Address, "-x", "SET", "binary"]);
        await cli.WriteAsync("\0\r\n\u00ff");
        cli.CloseInput();
        Assert.Equal(0, await cli.WaitForExitAsync());
        Assert.Equal(new byte[] { 0, 13, 10, 255 }, (await Redis.CallAsync("GET", "binary")).Bytes);
    }

    [Fact]
    public async Task The_unix_socket_and_a_url_are_addresses_too()
    {
        Assert.Equal("PONG", await ClientProgram.RunAsync("redis-cli", "-s", Server.UnixSocket, "PING"));
        Assert.Equal("OK", await ClientProgram.RunAsync("redis-cli", "-u", $"redis://127.0.0.1:{Server.Port}/7", "SET", "in-seven", "1"));
        Assert.Equal("in-seven", await CliAsync("-n", "7", "KEYS", "*"));
    }

    [Fact]
    public async Task Scan_lists_every_key_of_a_pattern()
    {
        await FillAsync("user:", 3000);
        await FillAsync("other:", 500);
        string[] found = (await CliAsync("--scan", "--pattern", "user:*")).Split('\n');
        Assert.Equal(Enumerable.Range(0, 3000).Select(i => $"user:{i}").Order(StringComparer.Ordinal), found.Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Pipe_loads_a_mass_of_commands()
    {
        StringBuilder mass = new();
        for (int i = 0; i < 50_000; i++)
            mass.Append(Encoding.Latin1.GetString(RespConnection.Frame("SET", $"key:{i}", i)));
        await using ClientProgram cli = ClientProgram.Start("redis-cli", [.. Address, "--pipe"]);
        await cli.WriteAsync(mass.ToString());
        cli.CloseInput();
        Assert.Equal(0, await cli.WaitForExitAsync());
        Assert.Contains("errors: 0, replies: 50000", cli.Output, StringComparison.Ordinal);
        Assert.Equal(50_000, (await Redis.CallAsync("DBSIZE")).Integer);
    }

    [Fact]
    public async Task Stat_prints_a_line_per_interval()
    {
        await FillAsync("key:", 777);
        await using ClientProgram cli = ClientProgram.Start("redis-cli", [.. Address, "--stat", "-i", "0.1"]);
        await Eventually.TrueAsync(() => cli.Output.Split('\n').Count(line => line.StartsWith("777 ", StringComparison.Ordinal)) >= 2, () => cli.Output);
        Assert.Matches(@"777 +\d+(\.\d+)?[KMG] +[2-9] +0 +\d+ \(\+0\) +\d+", cli.Output);
    }

    [Fact]
    public async Task Big_keys_are_found_by_a_scan()
    {
        await FillAsync("key:", 20);
        await Redis.CallAsync("SET", "the-big-one", new string('x', 5000));
        string report = await CliAsync("--bigkeys");
        Assert.Contains("Sampled 21 keys in the keyspace!", report, StringComparison.Ordinal);
        Assert.Contains("Biggest string found '\"the-big-one\"' has 5000 bytes", report, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Latency_is_sampled()
    {
        await using ClientProgram cli = ClientProgram.Start("redis-cli", [.. Address, "--latency", "--raw", "-i", "1"]);
        Assert.Equal(0, await cli.WaitForExitAsync());
        Assert.Matches(@"^\d+ \d+ \d+\.\d+ \d+", cli.Output);
    }

    [Fact]
    public async Task Keys_are_found_by_the_memory_that_they_take()
    {
        await FillAsync("key:", 20);
        await Redis.CallAsync("RPUSH", "the-long-one", new string('x', 9000), new string('y', 9000));
        string report = await CliAsync("--memkeys", "--memkeys-samples", "0");
        Assert.Contains("Sampled 21 keys in the keyspace!", report, StringComparison.Ordinal);
        Match biggest = Regex.Match(report, "Biggest +list found '\"the-long-one\"' has ([0-9]+) bytes");
        Assert.True(biggest.Success, report);
        Assert.InRange(int.Parse(biggest.Groups[1].Value, CultureInfo.InvariantCulture), 18_000, 40_000);
    }

    [Fact]
    public async Task Hot_keys_are_found_by_how_often_they_are_used()
    {
        await using ClientProgram refused = ClientProgram.Start("redis-cli", [.. Address, "--hotkeys"]);
        await FillAsync("key:", 20);
        Assert.Equal(1, await refused.WaitForExitAsync());
        Assert.Contains("An LFU maxmemory policy is not selected", refused.Output, StringComparison.Ordinal);
        await Redis.CallAsync("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu");
        try
        {
            await FillAsync("key:", 20);
            await Redis.PipelineAsync([.. Enumerable.Repeat<RespArgument[]>(["GET", "key:7"], 3000)]);
            string report = await CliAsync("--hotkeys");
            string[] found = [.. report.Split('\n').Where(line => line.StartsWith("hot key found with counter: ", StringComparison.Ordinal))];
            Assert.EndsWith("keyname: \"key:7\"", found[0], StringComparison.Ordinal);
        }
        finally
        {
            await Redis.CallAsync("CONFIG", "SET", "maxmemory-policy", "noeviction");
        }
    }

    [Fact]
    public async Task Latency_has_a_history_and_a_distribution()
    {
        await using ClientProgram history = ClientProgram.Start("redis-cli", [.. Address, "--latency-history", "-i", "0.1"]);
        await using ClientProgram distribution = ClientProgram.Start("redis-cli", [.. Address, "--latency-dist", "-i", "0.1"]);
        await history.ExpectAsync(" seconds range\n");
        // A line for each interval, with a colour for each of the classes.
        await Eventually.TrueAsync(() => Regex.Count(distribution.Output, "\u001b\\[48;5;[0-9]+m.*\u001b\\[0m") > 2, () => distribution.Output);
        Assert.DoesNotContain("Error", history.Output + distribution.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Monitor_prints_every_command()
    {
        await using ClientProgram cli = ClientProgram.Start("redis-cli", [.. Address, "MONITOR"]);
        await cli.ExpectAsync("OK\n");
        await Redis.CallAsync("SET", "seen", "a \"b\"\n");
        await cli.ExpectAsync(" \"SET\" \"seen\" \"a \\\"b\\\"\\n\"\n");
        Assert.Matches("(?m)^[0-9]+\\.[0-9]{6} \\[0 127\\.0\\.0\\.1:[0-9]+\\] \"SET\"", cli.Output);
    }

    [Fact]
    public async Task Replies_come_as_comma_separated_values_and_scripts_from_files()
    {
        await Redis.CallAsync("RPUSH", "list", "a", "b \"c\"", "3");
        Assert.Equal("\"a\",\"b \\\"c\\\"\",\"3\"", await CliAsync("--csv", "LRANGE", "list", "0", "-1"));
        Assert.Equal("NULL", await CliAsync("--csv", "GET", "none"));
        Assert.Equal("1\n2\n3", await CliAsync("-r", "3", "INCR", "n"));
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "return {KEYS[1], ARGV[1], redis.call('llen', KEYS[1])}");
            Assert.Equal("list\nx\n3", await CliAsync("--eval", file, "list", ",", "x"));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task An_interactive_session_shows_hints_help_and_the_database()
    {
        await Redis.CallAsync("CONFIG", "RESETSTAT");
        // redis-cli shows hints only on a terminal; script(1) gives it one.
        await using ClientProgram cli =
            ClientProgram.Start("script", "-qec", $"stty cols 150 rows 40; exec redis-cli {string.Join(' ', Address)}", "/dev/null");
        await cli.ExpectAsync($"127.0.0.1:{Server.Port}> ");
        await cli.WriteAsync("SET ");
        await cli.ExpectAsync("key value [");
        await cli.WriteAsync("k v EX 100\r");
        await cli.ExpectAsync("OK");
        await cli.WriteAsync("OBJECT ENCODING ");
        await cli.ExpectAsync("OBJECT ENCODING \u001b[0;90;49mkey");
        await cli.WriteAsync("k\r");
        await cli.ExpectAsync("\"embstr\"");
        await cli.WriteAsync("help getrange\r");
        await cli.ExpectAsync(" a substring of the string stored at a key");
        await cli.ExpectAsync(" 2.4.0");
        await cli.WriteAsync("SELECT 3\r");
        await cli.ExpectAsync($"127.0.0.1:{Server.Port}[3]> ");
        await cli.WriteAsync("quit\r");
        Assert.Equal(0, await cli.WaitForExitAsync());
        // redis-cli has an older table of the syntax built in. The statistics show that it did not have to fall back on
        // it.
        string statistics = (await Redis.CallAsync("INFO", "commandstats")).Text;
        Assert.Matches(@"cmdstat_command\|docs:calls=1,.*rejected_calls=0,failed_calls=0", statistics);
    }

    private Task<string> CliAsync(params string[] arguments) => ClientProgram.RunAsync("redis-cli", [.. Address, .. arguments]);

    private async Task FillAsync(string prefix, int count) =>
        Assert.All(await Redis.PipelineAsync([.. Enumerable.Range(0, count).Select(i => new RespArgument[] { "SET", $"{prefix}{i}", i })]),
            reply => Assert.Equal("+OK", reply.ToString()));
}
