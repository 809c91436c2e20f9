using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class ConfigurationFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("orleansredis-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Comments_blanks_and_case_of_names_do_not_matter()
    {
        ServerOptions options = Load("# port 1\n\n   \t PORT \t 7000 \r\n\ttimeout 5\n");
        Assert.Equal(7000, options.Port);
        Assert.Equal(5, options.Timeout);
    }

    [Theory]
    [InlineData("requirepass \"a b\\x41\\n\\\"\"", "a bA\n\"")]
    [InlineData("requirepass 'it\\'s \\n'", "it's \\n")]
    [InlineData("requirepass \"\"", "")]
    [InlineData("requirepass pass#word", "pass#word")]
    [InlineData("requirepass a\vb\fc", "a\vb\fc")]
    public void Values_may_be_quoted(string line, string value) => Assert.Equal(value, Load(line).RequirePass);

    [Fact]
    public void Values_are_bytes_and_so_they_are_written_back()
    {
        byte[] password = [0xe9, (byte)'x', 0xff, 0xc3, 0xa9, 0xed, 0xb2, 0x80];
        string path = Path.Combine(_directory, "redis.conf");
        File.WriteAllBytes(path, [.. "# caf\u00e9 "u8, 0xe9, .. "\nrequirepass "u8, .. password, (byte)'\n']);
        using ServerConfiguration configuration = ServerConfiguration.Load([path]);
        Assert.Equal(password, ByteText.Encode(configuration.Options.RequirePass));
        configuration.Options.Timeout = 7;
        Assert.Null(configuration.Rewrite());
        string written = System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(path));
        Assert.StartsWith("# caf\u00c3\u00a9 \u00e9\nrequirepass \"\\xe9x\\xff\\xc3\\xa9\\xed\\xb2\\x80\"\n", written, StringComparison.Ordinal);
        using ServerConfiguration again = ServerConfiguration.Load([path]);
        Assert.Equal(password, ByteText.Encode(again.Options.RequirePass));
    }

    [Theory]
    [InlineData("1mb", 1048576)]
    [InlineData("2M", 2000000)]
    [InlineData("1500kb", 1536000)]
    [InlineData("1Gb", 1073741824)]
    [InlineData("2000000b", 2000000)]
    public void Memory_has_units(string text, long bytes) => Assert.Equal(bytes, Load($"proto-max-bulk-len {text}").ProtoMaxBulkLength);

    [Fact]
    public void Modes_are_octal() => Assert.Equal(448, Load("unixsocketperm 700").UnixSocketPermissions);

    [Fact]
    public void Several_words_may_come_apart_or_in_one_quoted_argument()
    {
        Assert.Equal(["127.0.0.1", "::1"], Load("bind 127.0.0.1 ::1").Bind);
        Assert.Equal(["127.0.0.1", "::1"], Load("bind \"127.0.0.1 ::1\"").Bind);
        Assert.Empty(Load("bind \"\"").Bind);
    }

    [Fact]
    public void A_repeated_directive_overrides_and_limits_of_other_classes_stay()
    {
        ServerOptions options = Load("port 1\nport 2\nclient-output-buffer-limit normal 1mb 2kb 3\nclient-output-buffer-limit pubsub 0 0 0");
        Assert.Equal(2, options.Port);
        Assert.Equal(new OutputLimit(1048576, 2048, 3), options.ClientOutputBufferLimits.Normal);
        Assert.Equal(default, options.ClientOutputBufferLimits.PubSub);
        Assert.Equal(OutputBufferLimits.Default.Replica, options.ClientOutputBufferLimits.Replica);
    }

    [Theory]
    [InlineData("no-such-directive 5", "Bad directive or wrong number of arguments")]
    [InlineData("port", "wrong number of arguments")]
    [InlineData("port 1 2", "wrong number of arguments")]
    [InlineData("port abc", "argument couldn't be parsed into an integer")]
    [InlineData("port 65536", "argument must be between 0 and 65535 inclusive")]
    [InlineData("protected-mode maybe", "argument must be 'yes' or 'no'")]
    [InlineData("loglevel loud", "argument(s) must be one of the following: debug, verbose, notice, warning, nothing")]
    [InlineData("proto-max-bulk-len 1q", "argument must be a memory value")]
    [InlineData("unixsocketperm 9", "argument couldn't be parsed as an octal number")]
    [InlineData("unixsocketperm 1000", "argument must be between 0 and 777 inclusive")]
    [InlineData("logfile \"open", "Unbalanced quotes in configuration line")]
    [InlineData("client-output-buffer-limit normal 1 2", "Wrong number of arguments in buffer limit configuration.")]
    [InlineData("client-output-buffer-limit normale 1 2 3", "Invalid client class specified in buffer limit configuration.")]
    [InlineData("client-output-buffer-limit normal 1 2 x", "Error in hard, soft or soft_seconds setting in buffer limit configuration.")]
    [InlineData("dir /nowhere/at/all", "No such file or directory")]
    public void What_makes_no_sense_is_refused_with_its_line_and_number(string line, string reason)
    {
        string message = Assert.Throws<ConfigurationException>(() => Load($"# comment\nport 7000\n{line}\n")).Message;
        Assert.Equal(
            $"\n*** FATAL CONFIG FILE ERROR ({ServerVersion.Product} {ServerVersion.Own}) ***\n"
                + $"Reading the configuration file, at line 3\n>>> '{line}'\n{reason}",
            message);
    }

    [Theory]
    [InlineData("requirepass \"secret", "requirepass")]
    [InlineData("USER\tsecret \"secret", "USER")]
    public void A_line_with_a_secret_is_not_shown(string line, string name)
    {
        string message = Assert.Throws<ConfigurationException>(() => Load(line)).Message;
        Assert.Contains($"\n>>> '{name} (redacted)'\nUnbalanced quotes", message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_not_there_is_named()
    {
        string path = Path.Combine(_directory, "missing.conf");
        string message = Assert.Throws<ConfigurationException>(() => ServerConfiguration.Load([path])).Message;
        Assert.Equal($"Fatal error, can't open config file '{path}': No such file or directory", message);
    }

    [Fact]
    public void Include_reads_files_in_place_and_patterns_in_order()
    {
        File.WriteAllText(Path.Combine(_directory, "20.conf"), "timeout 20\nport 20");
        File.WriteAllText(Path.Combine(_directory, "10.conf"), "timeout 10\nhz 50");
        File.WriteAllText(Path.Combine(_directory, "other.txt"), "nonsense");
        ServerOptions options = Load($"timeout 1\ninclude {_directory}/*0.conf\nport 30\ninclude {_directory}/none*");
        Assert.Equal(20, options.Timeout);
        Assert.Equal(50, options.Hz);
        Assert.Equal(30, options.Port);
    }

    [Fact]
    public void The_command_line_overrides_the_file()
    {
        string path = Write("port 7000\ntimeout 9\nsave \"\"\n");
        ServerConfiguration configuration = ServerConfiguration.Load(
            [path, "--port", "7001", "--bind", "127.0.0.1", "::1", "--save", "", "--requirepass", "--secret", "--logfile", "a b"]);
        Assert.Equal(7001, configuration.Options.Port);
        Assert.Equal(9, configuration.Options.Timeout);
        Assert.Equal(["127.0.0.1", "::1"], configuration.Options.Bind);
        Assert.Equal("--secret", configuration.Options.RequirePass);
        Assert.Equal("a b", configuration.Options.LogFile);
        Assert.Equal(path, configuration.FilePath);
    }

    [Fact]
    public void Options_may_hold_their_value_and_save_may_lack_it()
    {
        ServerOptions options = ServerConfiguration.Load(["--port 7002", "--save", "--timeout", "3", "--save"]).Options;
        Assert.Equal(7002, options.Port);
        Assert.Equal(3, options.Timeout);
    }

    [Fact]
    public void A_wrong_option_of_the_command_line_counts_as_the_line_behind_the_file()
    {
        string path = Write("port 7000\n");
        string message = Assert.Throws<ConfigurationException>(() => ServerConfiguration.Load([path, "--prot", "7001"])).Message;
        Assert.Contains("at line 3\n>>> 'prot \"7001\"'\nBad directive or wrong number of arguments", message);
    }

    [Theory]
    [InlineData("", "3600 1 300 100 60 10000")]
    [InlineData("save", "")]
    [InlineData("save 900 1", "900 1")]
    [InlineData("save 900 1\nsave 300 10 60 100", "900 1 300 10 60 100")]
    [InlineData("save \"900 1 300 10\"", "900 1 300 10")]
    [InlineData("save 900 1\nsave \"\"", "")]
    [InlineData("save \"\"\nsave 900 1", "900 1")]
    public void Lines_of_save_add_up_and_an_empty_one_forgets_those_before(string text, string points) =>
        Assert.Equal(points, string.Join(' ', Load(text).Save.All.Select(point => $"{point.Seconds} {point.Changes}")));

    [Theory]
    [InlineData("save 900")]
    [InlineData("save 0 1")]
    [InlineData("save 900 -1")]
    [InlineData("save 900 x")]
    public void Save_points_that_make_no_sense_are_refused(string text) =>
        Assert.Contains("Invalid save parameters", Assert.Throws<ConfigurationException>(() => Load(text)).Message);

    private string Write(string text)
    {
        string path = Path.Combine(_directory, "redis.conf");
        File.WriteAllText(path, text);
        return path;
    }

    private ServerOptions Load(string text) => ServerConfiguration.Load([Write(text)]).Options;
}
