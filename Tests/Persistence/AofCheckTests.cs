using System.Diagnostics;
using System.Globalization;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>
/// Compares orleansredis-check-aof with redis-check-aof: the same lines, the same exit code, the same files afterwards.
/// </summary>
[Trait("Needs", "servers")]
public sealed class AofCheckTests : IDisposable
{
    private const string Manifest = "file appendonly.aof.1.base.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("orleansredis-check");

    /// <summary>Cases: a name, the files' contents by name, and the arguments.</summary>
    public static TheoryData<string, string[], string[]> Cases()
    {
        string foo = Command("set", "foo", "hello"), bar = Command("set", "bar", "world"), multi = Command("multi"), exec = Command("exec");
        string timed = $"#TS:1628217470\r\n{foo}#TS:1628217471\r\n{bar}#TS:1628217472\r\n#TS:1628217473\r\n{foo}#TS:1628217474\r\n";
        string[] whole = ["m.manifest", Manifest, "appendonly.aof.1.base.aof", foo, "appendonly.aof.1.incr.aof", foo + bar];
        return new()
        {
            { "one file, sound", ["a.aof", foo + bar], ["a.aof"] },
            { "one file, empty", ["a.aof", ""], ["a.aof"] },
            { "cut off in a word", ["a.aof", foo + bar[..^4]], ["a.aof"] },
            { "cut off by one byte", ["a.aof", foo + bar[..^1]], ["a.aof"] },
            { "cut off in a length", ["a.aof", foo + bar[..6]], ["a.aof"] },
            { "cut off behind a length", ["a.aof", foo + bar[..8]], ["a.aof"] },
            { "cut off between words", ["a.aof", foo + bar[..17]], ["a.aof"] },
            { "strange bytes in between", ["a.aof", foo + "!!!" + bar], ["a.aof"] },
            { "strange bytes at the end", ["a.aof", foo + "!!!"], ["a.aof"] },
            { "no line end behind a word", ["a.aof", foo + "*1\r\n$4\r\npingXX" + bar], ["a.aof"] },
            { "no line end behind a word, high bytes", ["a.aof", foo + "*1\r\n$4\r\nping\xff\xfe" + bar], ["a.aof"] },
            { "no number", ["a.aof", foo + "*x\r\n" + bar], ["a.aof"] },
            { "another prefix", ["a.aof", foo + "*1\r\n:4\r\nping\r\n"], ["a.aof"] },
            { "a negative length", ["a.aof", foo + "*1\r\n$-4\r\nping\r\n"], ["a.aof"] },
            { "a length of much too much", ["a.aof", foo + "*1\r\n$99999\r\nping\r\n" + bar], ["a.aof"] },
            { "a transaction", ["a.aof", multi + foo + exec + bar], ["a.aof"] },
            { "an unfinished transaction", ["a.aof", bar + multi + foo], ["a.aof"] },
            { "an unfinished transaction, cut off", ["a.aof", bar + multi + foo + bar[..^3]], ["a.aof"] },
            { "a transaction in a transaction", ["a.aof", multi + multi + exec], ["a.aof"] },
            { "an end without a beginning", ["a.aof", foo + exec], ["a.aof"] },
            { "annotations", ["a.aof", timed], ["a.aof"] },
            { "mended", ["a.aof", foo + bar[..^4]], ["--fix", "a.aof"] },
            { "nothing to mend", ["a.aof", foo], ["--fix", "a.aof"] },
            { "an unfinished transaction mended", ["a.aof", bar + multi + foo], ["--fix", "a.aof"] },
            { "to a time", ["a.aof", timed], ["--truncate-to-timestamp", "1628217471", "a.aof"] },
            { "to a time after all", ["a.aof", timed], ["--truncate-to-timestamp", "1628217474", "a.aof"] },
            { "to a time before all", ["a.aof", timed], ["--truncate-to-timestamp", "1628217469", "a.aof"] },
            { "to no time", ["a.aof", timed], ["--truncate-to-timestamp", "soon", "a.aof"] },
            { "to a time, with a bad annotation", ["a.aof", "#TS:12x\r\n" + foo], ["--truncate-to-timestamp", "1628217469", "a.aof"] },
            { "several files", whole, ["m.manifest"] },
            { "several files, one empty", [.. whole[..^1], ""], ["m.manifest"] },
            {
                "several files, the base cut off",
                ["m.manifest", Manifest, "appendonly.aof.1.base.aof", foo + multi + bar, "appendonly.aof.1.incr.aof", foo],
                ["m.manifest"]
            },
            {
                "several files, the base not mended",
                ["m.manifest", Manifest, "appendonly.aof.1.base.aof", foo + multi + bar, "appendonly.aof.1.incr.aof", foo],
                ["--fix", "m.manifest"]
            },
            { "several files, the last mended", [.. whole[..^1], foo + bar[..9]], ["--fix", "m.manifest"] },
            { "several files, to a time in the last", [.. whole[..^1], timed], ["--truncate-to-timestamp", "1628217472", "m.manifest"] },
            {
                "several files, to a time in the base",
                ["m.manifest", Manifest, "appendonly.aof.1.base.aof", timed, "appendonly.aof.1.incr.aof", foo],
                ["--truncate-to-timestamp", "1628217472", "m.manifest"]
            },
            { "a file is missing", whole[..^2], ["m.manifest"] },
            { "no such file", [], ["m.manifest"] },
            { "too many arguments", [], ["--fix", "a", "b"] },
            { "too few arguments", [], [] },
            { "an unknown option", [], ["--mend", "a"] },
        };
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public async Task Says_and_does_what_redis_check_aof_does(string name, string[] files, string[] arguments)
    {
        Requires.That(File.Exists("/usr/bin/redis-check-aof"), "redis-check-aof is not installed");
        string theirs = Path.Combine(_directory.FullName, "theirs"), ours = Path.Combine(_directory.FullName, "ours");
        foreach (string directory in (string[])[theirs, ours])
        {
            Directory.CreateDirectory(directory);
            for (int i = 0; i < files.Length; i += 2) await File.WriteAllBytesAsync(Path.Combine(directory, files[i]), Encoding.Latin1.GetBytes(files[i + 1]));
        }

        (int code, string text) = await RunRedisAsync(theirs, arguments);
        (int ourCode, string ourText) = Run(ours, arguments);

        Assert.True(text.Replace("redis-check-aof [", "orleansredis-check-aof [", StringComparison.Ordinal) == ourText, $"{name}:\n{text}\n---\n{ourText}");
        Assert.Equal(code, ourCode);
        for (int i = 0; i < files.Length; i += 2)
            Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(theirs, files[i])), await File.ReadAllBytesAsync(Path.Combine(ours, files[i])));
    }

    [SkippableFact]
    public async Task Checks_a_log_that_begins_with_a_snapshot()
    {
        Requires.That(File.Exists("/usr/bin/redis-check-aof"), "redis-check-aof is not installed");
        await using (RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis, _directory.FullName, 0, "--appendonly", "yes"))
        {
            await using RespConnection client = await redis.ConnectAsync();
            await client.CallAsync("SET", "key", "value");
            await client.CallAsync("BGREWRITEAOF");
            await Eventually.TrueAsync(async () =>
                (await client.CallAsync("INFO", "persistence")).Text.Contains("aof_rewrite_in_progress:0", StringComparison.Ordinal));
            await client.CallAsync("SET", "other", "value");
        }
        string directory = Path.Combine(_directory.FullName, "appendonlydir");
        string[] arguments = ["appendonly.aof.manifest"];
        (int code, string text) = await RunRedisAsync(directory, arguments);
        Assert.Equal((code, text), Run(directory, arguments));
        Assert.Equal(0, code);

        // The same in one file, as Redis wrote it before version 7.
        byte[] snapshot = await File.ReadAllBytesAsync(Path.Combine(directory, "appendonly.aof.2.base.rdb")),
            tail = await File.ReadAllBytesAsync(Path.Combine(directory, "appendonly.aof.2.incr.aof"));
        await File.WriteAllBytesAsync(Path.Combine(directory, "old.aof"), [.. snapshot, .. tail]);
        Assert.Equal(await RunRedisAsync(directory, ["old.aof"]), Run(directory, ["old.aof"]));
        snapshot[^1] ^= 1;
        await File.WriteAllBytesAsync(Path.Combine(directory, "old.aof"), [.. snapshot, .. tail]);
        Assert.Equal(1, Run(directory, ["old.aof"]).Code);
        Assert.EndsWith("RDB preamble of AOF file is not sane, aborting.\n", Run(directory, ["old.aof"]).Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("file a seq 1 type b\nfile b seq 1 type b\n", "Found duplicate base file information")]
    [InlineData("file a seq 1 type i\n\nfile b seq 2 type i\n", "Invalid AOF manifest file format")]
    public void Refuses_manifests_that_make_no_sense(string manifest, string message)
    {
        File.WriteAllText(Path.Combine(_directory.FullName, "m"), manifest);
        (int code, string text) = Run(_directory.FullName, ["m"]);
        Assert.Contains(message, text, StringComparison.Ordinal);
        Assert.Equal(manifest.Length == 0 ? 0 : 1, code); // an empty one is taken for a log
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private static string Command(params string[] words) =>
        $"*{words.Length}\r\n" + string.Concat(words.Select(word => string.Create(CultureInfo.InvariantCulture, $"${word.Length}\r\n{word}\r\n")));

    /// <summary>
    /// Runs ours. Like redis-check-aof below it gets full paths; in the output the directory is replaced by "./".
    /// </summary>
    private static (int Code, string Text) Run(string directory, string[] arguments)
    {
        using var output = new StringWriter();
        var check = new AofCheck(new StringReader("y\n"), output, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        string[] full = [.. arguments.Select((argument, i) =>
            i == arguments.Length - 1 && File.Exists(Path.Combine(directory, argument)) ? Path.Combine(directory, argument) : argument)];
        int code = check.Run("orleansredis-check-aof", full);
        return (code, output.ToString().Replace(directory + "/", "./", StringComparison.Ordinal));
    }

    private static async Task<(int Code, string Text)> RunRedisAsync(string directory, string[] arguments)
    {
        string[] full = [.. arguments.Select((argument, i) =>
            i == arguments.Length - 1 && File.Exists(Path.Combine(directory, argument)) ? Path.Combine(directory, argument) : argument)];
        var start = new ProcessStartInfo("redis-check-aof", full)
        {
            WorkingDirectory = directory,
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
            StandardOutputEncoding = Encoding.Latin1
        };
        using Process process = Process.Start(start)!;
        try
        {
            await process.StandardInput.WriteAsync("y\n");
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended without asking.
        }
        string text = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, text.Replace(directory + "/", "./", StringComparison.Ordinal));
    }
}
