using System.Diagnostics;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>dump.rdb from one server to the other, with whole processes.</summary>
[Trait("Needs", "servers")]
public sealed class RdbBetweenServersTests
{
    [Theory]
    [InlineData(ServerKind.Redis, ServerKind.OrleansRedis)]
    [InlineData(ServerKind.OrleansRedis, ServerKind.Redis)]
    [InlineData(ServerKind.OrleansRedis, ServerKind.OrleansRedis)]
    public async Task What_one_saves_the_other_loads(ServerKind from, ServerKind to)
    {
        string digest;
        DirectoryInfo directory = Directory.CreateTempSubdirectory("rdb");
        try
        {
            await using (RedisProcess writer = await RedisProcess.StartAsync(from, directory.FullName, 0))
            {
                await using RespConnection redis = await writer.ConnectAsync();
                foreach (string[] command in RdbDataSet.Commands())
                {
                    RespValue reply = await redis.CallAsync([.. command.Select(word => (RespArgument)word)]);
                    Assert.False(reply.IsError, $"{command[0]} {command[1]}: {reply}");
                }
                digest = (await redis.CallAsync("DEBUG", "DIGEST")).ToString();
                Assert.Equal("+OK", (await redis.CallAsync("SAVE")).ToString());
            }

            string file = Path.Combine(directory.FullName, "dump.rdb");
            (int exitCode, string output) = RedisCheckRdb.Run(file);
            Assert.True(exitCode == 0, output);
            await using RedisProcess reader = await RedisProcess.StartAsync(to, directory.FullName, 0);
            await using RespConnection there = await reader.ConnectAsync();
            Assert.Equal(digest, (await there.CallAsync("DEBUG", "DIGEST")).ToString());
            Assert.Equal("+OK", (await there.CallAsync("DEBUG", "RELOAD")).ToString());
            Assert.Equal(digest, (await there.CallAsync("DEBUG", "DIGEST")).ToString());
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>The official suite contains files that old versions of Redis wrote.</summary>
    [SkippableFact]
    public async Task Files_of_the_official_suite_hold_the_same_here_and_there()
    {
        string assets = Path.Combine(await SuiteAsync(), "tests", "assets");
        foreach (string name in (string[])["encodings", "hash-ziplist", "hash-zipmap", "list-quicklist", "zset-ziplist", "corrupt_empty_keys", "scriptbackup"])
        {
            byte[] file = await File.ReadAllBytesAsync(Path.Combine(assets, $"{name}.rdb"));
            await using SideBySide both = await SideBySide.StartAsync(null, "--dbfilename", "suite.rdb");
            await File.WriteAllBytesAsync(Path.Combine(both.Directory, "suite.rdb"), file);
            Assert.Equal("+OK\r\n", both.Theirs("DEBUG", "RELOAD", "NOSAVE"));
            RdbFiles.Load(both.Ours, file);
            Assert.Equal(both.Theirs("DEBUG", "DIGEST"), $"+{KeyspaceDigest.OfAll(both.Ours.Store.Slots)}\r\n");
            Assert.Equal(both.Theirs("DBSIZE"), both.Ours.Raw("DBSIZE"));
        }

        using var redis = new EngineHarness();
        Assert.Equal("Hash ziplist integrity check failed.",
            Assert.Throws<Engine.RdbFileException>(() => RdbFiles.Load(redis, File.ReadAllBytes(Path.Combine(assets, "corrupt_ziplist.rdb")))).Message);
    }

    private static async Task<string> SuiteAsync()
    {
        ProcessStartInfo start = new(Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Conformance", "source"))
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string directory = (await process.StandardOutput.ReadToEndAsync()).Trim();
        await process.WaitForExitAsync();
        Skip.If(process.ExitCode != 0, $"the official suite is not to be had: {await errors}");
        return directory;
    }
}
