using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Files of Debian's redis-server are read here, and ours there.</summary>
[Trait("Needs", "servers")]
public sealed class RdbBesideRedisTests
{
    [Theory]
    [InlineData("yes", "yes", "noeviction")]
    [InlineData("no", "no", "allkeys-lru")]
    [InlineData("yes", "no", "volatile-lfu")]
    public async Task Its_file_holds_the_same_here(string compression, string checksum, string policy)
    {
        await using SideBySide both = await SideBySide.StartAsync(null, "--rdbcompression", compression, "--rdbchecksum", checksum,
            "--maxmemory-policy", policy, "--dbfilename", "theirs.rdb");
        foreach (string[] command in RdbDataSet.Commands()) NotAnError(both.Theirs(command), command);
        NotAnError(both.Theirs("SAVE"), "SAVE");
        byte[] file = await File.ReadAllBytesAsync(Path.Combine(both.Directory, "theirs.rdb"));

        using var ours = new EngineHarness();
        RdbFiles.Load(ours, file);

        Assert.Equal(both.Theirs("DEBUG", "DIGEST").Trim('+', '\r', '\n'), KeyspaceDigest.OfAll(ours.Store.Slots));
        Assert.Equal(both.Theirs("DBSIZE"), ours.Raw("DBSIZE"));
        foreach (string key in (string[])["ms", "list:expiring", "hash:small", "zset:many"])
            Assert.Equal(both.Theirs("PEXPIRETIME", key), ours.Raw("PEXPIRETIME", key));
        foreach (string key in (string[])["zset:small", "zset:many", "hash:small", "hash:512", "hash:many", "set:512", "set:513", "set:many", "ms", "seconds",
            "stream"])
            Assert.Equal(both.Theirs("OBJECT", "ENCODING", key), ours.Raw("OBJECT", "ENCODING", key));
        Assert.Equal(both.Theirs("XINFO", "STREAM", "stream"), ours.Raw("XINFO", "STREAM", "stream"));
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public async Task Our_file_holds_the_same_there(bool compression, bool checksum)
    {
        await using SideBySide both = await SideBySide.StartAsync(
            options => (options.RdbCompression, options.RdbChecksum) = (compression, checksum), "--dbfilename", "ours.rdb");
        foreach (string[] command in RdbDataSet.Commands()) NotAnError(both.Ours.Raw(command), command);
        byte[] file = RdbFiles.Save(both.Ours.Store);
        string path = Path.Combine(both.Directory, "ours.rdb");
        await File.WriteAllBytesAsync(path, file);

        NotAnError(both.Theirs("DEBUG", "RELOAD", "NOSAVE"), "DEBUG RELOAD");

        Assert.Equal(KeyspaceDigest.OfAll(both.Ours.Store.Slots), both.Theirs("DEBUG", "DIGEST").Trim('+', '\r', '\n'));
        foreach (string key in (string[])["ms", "list:expiring", "hash:small", "zset:many"])
            Assert.Equal(both.Theirs("PEXPIRETIME", key), both.Ours.Raw("PEXPIRETIME", key));
        Assert.Equal(both.Theirs("XINFO", "STREAM", "stream"), both.Ours.Raw("XINFO", "STREAM", "stream"));
        Assert.Equal(0, RedisCheckRdb.Run(path).ExitCode);

        using var again = new EngineHarness();
        RdbFiles.Load(again, file);
        Assert.Equal(KeyspaceDigest.OfAll(both.Ours.Store.Slots), KeyspaceDigest.OfAll(again.Store.Slots));
    }

    private static void NotAnError(string reply, params string[] command) =>
        Assert.False(reply.StartsWith('-'), $"{SideBySide.Quote(command)[..Math.Min(100, SideBySide.Quote(command).Length)]}: {reply}");
}
