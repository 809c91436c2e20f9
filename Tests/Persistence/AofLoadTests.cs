using System.Globalization;
using System.Text;
using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Loading logs: whole ones, torn ones, damaged ones, and those of old versions.</summary>
[Trait("Needs", "time")]
public sealed class AofLoadTests : IDisposable
{
    private const string Manifest = "appendonly.aof.manifest", Base = "appendonly.aof.1.base.aof", Increment = "appendonly.aof.1.incr.aof";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("orleansredis-aof");

    private string LogPath => Path.Combine(_directory.FullName, "appendonlydir");

    [Theory]
    [InlineData(0, 1)]
    [InlineData(20_000, 37)] // more than one batch of what is read ahead
    public void A_log_cut_off_anywhere_loads_without_what_is_not_whole_and_goes_on_from_there(int before, int step)
    {
        string prefix = string.Concat(Enumerable.Repeat(Command("DEL", "nothing"), before));
        // A log cut off after any of these steps is whole, and then holds this many keys.
        string[] steps =
        [
            Command("SELECT", "0"), Command("SET", "a", "1"), Command("RPUSH", "list", "x", "", "\r\n*1\r\n"), "#TS:1628217470\r\n",
            Command("MULTI") + Command("SET", "b", "2") + Command("SET", "c", "3") + Command("EXEC"), Command("SET", "d", new string('v', 300)),
            Command("DEL", "a"),
        ];
        long[] keys = [0, 1, 2, 2, 4, 5, 4];
        string log = string.Concat(steps);
        using var reader = new AofHarness(directory: _directory.FullName, opens: false);
        for (int length = before == 0 ? 0 : 1; length <= log.Length; length += step)
        {
            int whole = 0, end = 0;
            while (whole < steps.Length && end + steps[whole].Length <= length) end += steps[whole++].Length;
            long expected = whole == 0 ? 0L : keys[whole - 1];
            Write((Manifest, "file " + Increment + " seq 1 type i\n"), (Increment, prefix + log[..length]));
            reader.Run("FLUSHALL");
            Assert.Equal(length == 0 ? AofLoadEnd.Empty : end == length ? AofLoadEnd.Loaded : AofLoadEnd.Truncated, reader.Log.Load(CancellationToken.None));
            Assert.Equal(expected, reader.Run("DBSIZE"));
            Assert.Equal(prefix + log[..end], Encoding.Latin1.GetString(reader.Read(Increment)));
            if (end != length) Assert.Contains($"!!! Truncating the AOF {Increment} at offset {prefix.Length + end} !!!", reader.Lines);
            if (length % 53 != 0 || before != 0) continue;

            using (AofHarness redis = Start()) redis.Run("SET", "more", "1");
            using AofHarness again = Start();
            Assert.Equal(AofLoadEnd.Loaded, again.Loaded);
            Assert.Equal(expected + 1, again.Run("DBSIZE"));
        }
    }

    [Fact]
    public void Without_aof_load_truncated_a_cut_off_log_is_refused_with_what_to_do()
    {
        Write((Manifest, "file " + Increment + " seq 1 type i\n"), (Increment, Command("SET", "a", "1") + Command("SET", "b", "1")[..^1]));
        LoadException failure = Assert.Throws<LoadException>(() => Start(options => options.AofLoadTruncated = false));
        Assert.StartsWith($"Unexpected end of file reading the append only file {Increment} at byte", failure.Message, StringComparison.Ordinal);
        Assert.Contains($"orleansredis-check-aof --fix {Path.Combine(LogPath, Manifest)}", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_flipped_byte_never_makes_commands_disappear_without_a_refusal()
    {
        var log = new StringBuilder();
        for (int i = 0; i < 12; i++) log.Append(Command("SET", $"key:{i}", $"value {i}"));
        byte[] sound = Encoding.Latin1.GetBytes(log.ToString());
        int lastCommand = log.ToString().LastIndexOf("*3", StringComparison.Ordinal);
        int refused = 0;
        using var redis = new AofHarness(directory: _directory.FullName, opens: false);
        for (int at = 0; at < lastCommand; at++)
        {
            foreach (byte flip in (byte[])[0x01, 0x10, 0x80])
            {
                byte[] damaged = [.. sound];
                damaged[at] ^= flip;
                Write((Manifest, "file " + Increment + " seq 1 type i\n"), (Increment, Encoding.Latin1.GetString(damaged)));
                redis.Run("FLUSHALL");
                redis.Run("SELECT", "0");
                try
                {
                    AofLoadEnd end = redis.Log.Load(CancellationToken.None);
                    // A changed key or value goes unnoticed. A changed command does not: the server's log reports it.
                    Assert.Equal(AofLoadEnd.Loaded, end);
                    Assert.True((long)redis.Run("DBSIZE")! >= 11 || redis.Lines.Any(line => line.Contains("could not be applied", StringComparison.Ordinal)),
                        $"byte {at} ^ {flip}");
                }
                catch (LoadException failure)
                {
                    refused++;
                    Assert.Contains(Increment, failure.Message, StringComparison.Ordinal);
                    Assert.Contains("at byte ", failure.Message, StringComparison.Ordinal);
                    int offset = int.Parse(failure.Message.Split("at byte ")[1].Split(' ')[0], CultureInfo.InvariantCulture);
                    Assert.InRange(at, Math.Max(0, offset - 40), offset + 40);
                }
                Assert.Equal(damaged, File.ReadAllBytes(Path.Combine(LogPath, Increment)));
            }
        }
        Assert.True(refused > 100);
    }

    [Fact]
    public void A_cut_off_file_that_is_not_the_last_is_refused_and_left_as_it_is()
    {
        string cut = Command("SET", "a", "1") + Command("SET", "b", "1")[..^1];
        Write((Manifest, $"file {Base} seq 1 type b\nfile {Increment} seq 1 type i\n"), (Base, cut), (Increment, Command("SET", "c", "1")));
        Assert.StartsWith("Fatal error: the truncated file is not the last file", Assert.Throws<LoadException>(() => Start()).Message,
            StringComparison.Ordinal);
        Assert.Equal(cut, File.ReadAllText(Path.Combine(LogPath, Base)));
    }

    [Fact]
    public void An_unknown_command_is_refused_by_name()
    {
        Write((Manifest, "file " + Increment + " seq 1 type i\n"), (Increment, Command("SET", "a", "1") + Command("bla", "foo") + Command("SET", "b", "1")));
        Assert.Equal($"Unknown command 'bla' reading the append only file {Increment} at byte 27", Assert.Throws<LoadException>(() => Start()).Message);
    }

    [Fact]
    public void A_database_that_is_not_there_is_refused()
    {
        Write((Manifest, "file " + Increment + " seq 1 type i\n"), (Increment, Command("SELECT", "20") + Command("SET", "a", "1")));
        Assert.Contains("databases", Assert.Throws<LoadException>(() => Start()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_expired_meanwhile_is_still_there_for_the_commands_behind_it()
    {
        Write((Manifest, "file " + Increment + " seq 1 type i\n"),
            (Increment, Command("RPUSH", "list", "foo") + Command("PEXPIREAT", "list", "1000") + Command("RPUSH", "list", "bar")
                + Command("SET", "s", "1", "PXAT", "1000") + Command("APPEND", "s", "2")
                + Command("HSET", "h", "f", "1") + Command("HPEXPIREAT", "h", "1000", "FIELDS", "1", "f") + Command("HINCRBY", "h", "f", "1")
                + Command("PERSIST", "s")));
        using AofHarness redis = Start();
        Assert.Equal(0L, redis.Run("LLEN", "list"));
        Assert.Equal("12", redis.Run("GET", "s"));
        Assert.Equal(0L, redis.Run("EXISTS", "h"));
    }

    [Fact]
    public void Large_transactions_and_arguments_are_read_across_the_buffers_ends()
    {
        var log = new StringBuilder(Command("MULTI"));
        for (int i = 0; i < 400; i++) log.Append(Command("SET", $"key:{i}", new string((char)('a' + (i % 26)), 10_000)));
        log.Append(Command("EXEC")).Append(Command("SET", "large", new string('x', 5_000_000)));
        Write((Manifest, "file " + Increment + " seq 1 type i\n"), (Increment, log.ToString()));
        using AofHarness redis = Start();
        Assert.Equal(401L, redis.Run("DBSIZE"));
        Assert.Equal(5_000_000L, redis.Run("STRLEN", "large"));
        Assert.Equal(new string('d', 10_000), redis.Run("GET", "key:3"));
    }

    [Theory]
    [InlineData("", "Found an empty AOF manifest")]
    [InlineData("file a seq 2 type i\nfile b seq 1 type i\n", "Found a non-monotonic sequence number")]
    [InlineData("file a seq 1 type i\n\nfile b seq 2 type i\n", "Invalid AOF manifest file format")]
    [InlineData("file a seq 1 type b\nfile b seq 2 type b\n", "Found duplicate base file information")]
    [InlineData("file a seq 1 type x\n", "Unknown AOF file type")]
    [InlineData("filx a seq 1 type b\n", "Invalid AOF manifest file format")]
    [InlineData("file a type b\n", "Invalid AOF manifest file format")]
    [InlineData("file a seq 1 type b newkey\n", "Invalid AOF manifest file format")]
    [InlineData("file a seq 0 type b\n", "Invalid AOF manifest file format")]
    [InlineData("file a seq x type b\n", "Invalid AOF manifest file format")]
    [InlineData("file \"a seq 1 type b\n", "Invalid AOF manifest file format")]
    [InlineData("file ../a seq 1 type b\n", "File can't be a path, just a filename")]
    [InlineData("file a seq 1 type b", "The AOF manifest file contains too long line")]
    public void A_manifest_that_makes_no_sense_is_refused(string manifest, string message)
    {
        Write((Manifest, manifest));
        Assert.Equal(message, Assert.Throws<LoadException>(() => Start()).Message);
    }

    [Fact]
    public void A_manifest_line_that_is_too_long_is_refused()
    {
        Write((Manifest, string.Concat(Enumerable.Repeat("file a seq 1 type b ", 60)) + "\n"));
        Assert.Equal("The AOF manifest file contains too long line", Assert.Throws<LoadException>(() => Start()).Message);
    }

    [Fact]
    public void A_file_that_is_missing_is_refused()
    {
        Write((Manifest, $"file {Base} seq 1 type b\nfile {Increment} seq 1 type i\n"), (Base, Command("SET", "a", "1")));
        Assert.Equal($"Unable to obtain the AOF file {Increment} length. stat: No such file or directory", Assert.Throws<LoadException>(() => Start()).Message);
    }

    [Fact]
    public void A_manifest_may_have_gaps_comments_unknown_words_and_quoted_names()
    {
        Write((Manifest, $"# a comment\nfile {Base} seq 1 type b newkey newvalue\nfile {Increment} seq 1 type i\nfile \"a b\\n.aof\" seq 3 type i\n"),
            (Base, Command("SET", "k1", "v1")), (Increment, ""), ("a b\n.aof", Command("SET", "k3", "v3")));
        using AofHarness redis = Start();
        Assert.Equal(2L, redis.Run("DBSIZE"));
        redis.Run("SET", "k4", "v4");
        redis.Close();
        Assert.Contains("k4", File.ReadAllText(Path.Combine(LogPath, "a b\n.aof")), StringComparison.Ordinal);
        string formatted = Encoding.UTF8.GetString(AofManifest.Parse(File.ReadAllBytes(Path.Combine(LogPath, Manifest))).Format());
        Assert.Equal("file \"a b\\n.aof\" seq 3 type i", formatted.TrimEnd().Split('\n')[^1]);
    }

    [Fact]
    public void A_log_of_one_file_is_taken_over_whatever_a_crash_has_left_of_that()
    {
        string old = Path.Combine(_directory.FullName, "appendonly.aof"), moved = Path.Combine(LogPath, "appendonly.aof");
        string content = Command("SET", "a", "1") + Command("SET", "b", "1");

        File.WriteAllText(old, content);
        using (AofHarness redis = Start())
        {
            Assert.Equal(2L, redis.Run("DBSIZE"));
            Assert.False(File.Exists(old));
            Assert.Equal(content, File.ReadAllText(moved));
            Assert.Equal("file appendonly.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n", redis.Manifest);
        }
        // Interrupted before the file was moved.
        Directory.Delete(LogPath, recursive: true);
        File.WriteAllText(old, content);
        Write((Manifest, "file appendonly.aof seq 1 type b\n"));
        using (AofHarness redis = Start())
        {
            Assert.Equal(2L, redis.Run("DBSIZE"));
            Assert.False(File.Exists(old));
        }
        // Both are there: the one in the directory counts.
        Directory.Delete(LogPath, recursive: true);
        File.WriteAllText(old, content);
        Write((Manifest, "file appendonly.aof seq 1 type b\n"), ("appendonly.aof", Command("SET", "c", "1")));
        using (AofHarness redis = Start())
        {
            Assert.Equal(1L, redis.Run("DBSIZE"));
            Assert.True(File.Exists(old));
        }
        // Neither is there.
        Directory.Delete(LogPath, recursive: true);
        File.Delete(old);
        Write((Manifest, "file appendonly.aof seq 1 type b\n"));
        Assert.Throws<LoadException>(() => Start());
    }

    [Fact]
    public void What_a_crash_left_half_done_is_cleared_away()
    {
        Write(("temp-appendonly.aof.base", "x"), ("temp-appendonly.aof.incr", "x"), ("temp-appendonly.aof.manifest", "x"),
            ("temp-other.aof.base", "another server's"),
            ("appendonly.aof.2.incr.aof", "an increment that no manifest names"),
            (Manifest, $"file {Base} seq 1 type b\nfile old.aof seq 1 type h\nfile {Increment} seq 1 type i\n"),
            (Base, Command("SET", "a", "1")), (Increment, Command("SET", "b", "1")), ("old.aof", "history"));
        using (AofHarness redis = Start())
        {
            Assert.Equal(2L, redis.Run("DBSIZE"));
            Assert.False(File.Exists(Path.Combine(LogPath, "old.aof")));
            redis.Run("BGREWRITEAOF");
            redis.AwaitRewrite();
            redis.Run("SET", "c", "1");
        }
        Assert.Equal(["appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", Manifest, "temp-other.aof.base"],
            Directory.GetFiles(LogPath).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal));
        using AofHarness again = Start();
        Assert.Equal(3L, again.Run("DBSIZE"));
    }

    [Fact]
    public void With_no_log_yet_a_snapshot_is_not_looked_at()
    {
        File.WriteAllText(Path.Combine(_directory.FullName, "dump.rdb"), "not even an RDB file");
        using AofHarness redis = Start();
        Assert.Equal(AofLoadEnd.NotThere, redis.Loaded);
        Assert.Equal("file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n", redis.Manifest);
    }

    [Fact]
    public void A_damaged_base_is_refused()
    {
        using (AofHarness redis = Start())
        {
            redis.Run("SET", "a", "1");
            redis.Run("BGREWRITEAOF");
            redis.AwaitRewrite();
        }
        string path = Path.Combine(LogPath, "appendonly.aof.2.base.rdb");
        byte[] damaged = File.ReadAllBytes(path);
        damaged[^1] ^= 1;
        File.WriteAllBytes(path, damaged);
        Assert.Equal("Error reading the RDB base file appendonly.aof.2.base.rdb, AOF loading aborted", Assert.Throws<LoadException>(() => Start()).Message);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private static string Command(params string[] words) =>
        $"*{words.Length}\r\n" + string.Concat(words.Select(word => string.Create(CultureInfo.InvariantCulture, $"${word.Length}\r\n{word}\r\n")));

    private AofHarness Start(Action<ServerOptions>? configure = null)
    {
        var redis = new AofHarness(configure, _directory.FullName, opens: false);
        try
        {
            redis.Open();
            return redis;
        }
        catch
        {
            redis.Dispose();
            throw;
        }
    }

    private void Write(params (string Name, string Content)[] files)
    {
        Directory.CreateDirectory(LogPath);
        foreach ((string name, string content) in files) File.WriteAllBytes(Path.Combine(LogPath, name), Encoding.Latin1.GetBytes(content));
    }
}
