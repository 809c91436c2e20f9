using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Compares orleansredis-check-rdb with redis-check-rdb.</summary>
[Trait("Needs", "servers")]
public sealed class CheckRdbTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("check-rdb").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_good_file_gets_the_same_lines()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "k", "v");
        redis.Run("SET", "future", "v", "PXAT", "4102444800000");
        redis.Client.Session.Database = 7;
        redis.Run("RPUSH", "list", "a");
        SameLines(RdbFiles.Save(redis.Store), exitCode: 0);
    }

    [Fact]
    public void Expired_keys_and_a_missing_checksum_are_told_alike() => SameLines(new RdbFileBuilder(9)
        .Opcode(RdbOpcode.Aux).Text("some").Text("thing \xff")
        .Opcode(RdbOpcode.SelectDb).Length(3)
        .Opcode(RdbOpcode.ExpireTimeMs).Milliseconds(1000).Key(RdbType.String, "past").Text("v")
        .Opcode(RdbOpcode.ExpireTime).Seconds(2_000_000_000).Key(RdbType.String, "future").Text("v")
        .Opcode(RdbOpcode.Frequency).Add(5).Opcode(RdbOpcode.Idle).Length(6).Key(RdbType.String, "never").Text("v").Build(checksum: 0), exitCode: 0);

    [Fact]
    public void Versions_without_checksum_say_nothing_of_one() => SameLines(new RdbFileBuilder(3).Key(RdbType.String, "k").Text("v").Build(), exitCode: 0);

    [Fact]
    public void Modules_are_passed_over() => SameLines(new RdbFileBuilder(9)
        .Opcode(RdbOpcode.ModuleAux).Add(0x81, 1, 2, 3, 4, 5, 6, 7, 8).Length(2).Length(1).Length(5).Text("data").Length(0)
        .Key(RdbType.Module2, "k").Add(0x81, 1, 2, 3, 4, 5, 6, 7, 8).Length(2).Length(9).Length(1).Length(3).Length(4).Double(1.5).Length(0).Build(),
        exitCode: 0);

    [Fact]
    public void Damage_is_told_with_the_same_exit_code_and_place()
    {
        byte[] file = new RdbFileBuilder(10).Key(RdbType.String, "k").Text("v").Key(RdbType.List, "list").Length(2).Text("a").Text("b").Build();
        SameLines(file[..^12], exitCode: 1);
        byte[] wrong = (byte[])file.Clone();
        wrong[12] ^= 1;
        SameLines(wrong, exitCode: 1);
        SameLines(new RdbFileBuilder(10).Key(RdbType.String, "first").Text("v").Add(0x20).Build(), exitCode: 1);
    }

    [Fact]
    public void What_is_no_file_of_a_known_version_is_refused()
    {
        foreach (byte[] file in (byte[][])["RUBBISH, and more of it"u8.ToArray(), new RdbFileBuilder(99).Build()]) SameLines(file, exitCode: 1);
        (int exitCode, string output) = Ours(Path.Combine(_directory, "missing.rdb"));
        Assert.Equal(1, exitCode);
        Assert.Contains("Checking RDB file", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Usage_and_version_are_as_in_Redis()
    {
        Assert.Equal((1, "Usage: orleansredis-check-rdb <rdb-file-name>\n"), RedisCheckRdb.RunProgram(Program));
        Assert.Equal(1, RedisCheckRdb.RunProgram(Program, "a", "b").ExitCode);
        (int exitCode, string output) = RedisCheckRdb.RunProgram(Program, "--version");
        Assert.Equal(0, exitCode);
        Assert.StartsWith("orleansredis-check-rdb ", output, StringComparison.Ordinal);
    }

    private static string Program =>
        Path.Combine(RedisProcess.RepositoryRoot, "Tools", "CheckRdb", "bin", new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name, "net10.0",
            "orleansredis-check-rdb");

    private static (int ExitCode, string Output) Ours(string path) => RedisCheckRdb.RunProgram(Program, path);

    private void SameLines(byte[] file, int exitCode)
    {
        string path = Path.Combine(_directory, "file.rdb");
        File.WriteAllBytes(path, file);
        (int exitCode, string output) theirs = RedisCheckRdb.Run(path), ours = Ours(path);
        Assert.Equal(exitCode, theirs.exitCode);
        Assert.Equal(exitCode, ours.exitCode);
        // Before the first key redis-check-rdb says that it reads a string, whatever it reads.
        bool WithoutType(string line) => !line.StartsWith("[additional info] Reading type", StringComparison.Ordinal);
        Assert.Equal(theirs.output.Split('\n').Where(WithoutType), ours.output.Split('\n').Where(WithoutType));
    }
}
