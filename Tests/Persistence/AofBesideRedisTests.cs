using System.Diagnostics;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>
/// Logs of Debian's redis-server are loaded here, and ours there; and a log is written to a disk that is really full.
/// </summary>
[Trait("Needs", "servers")]
public sealed class AofBesideRedisTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("orleansredis-aof");

    [SkippableTheory]
    [InlineData("yes")]
    [InlineData("no")]
    public async Task Its_log_holds_the_same_here(string preamble)
    {
        string digest = await WriteAsync(ServerKind.Redis, preamble);
        Assert.Equal(digest, await DigestAsync(ServerKind.OrleansRedis, preamble));
    }

    [SkippableTheory]
    [InlineData("yes")]
    [InlineData("no")]
    public async Task Our_log_holds_the_same_there(string preamble)
    {
        string digest = await WriteAsync(ServerKind.OrleansRedis, preamble);
        (int exitCode, string output) =
            RedisCheckRdb.RunProgram("redis-check-aof", Path.Combine(_directory.FullName, "appendonlydir", "appendonly.aof.manifest"));
        Assert.True(exitCode == 0, output);
        Assert.Equal(digest, await DigestAsync(ServerKind.Redis, preamble));
        // And back again, with what redis-server has written.
        Assert.Equal(digest, await DigestAsync(ServerKind.OrleansRedis, preamble));
    }

    [SkippableFact]
    public async Task Its_log_of_one_file_holds_the_same_here()
    {
        string digest = await WriteAsync(ServerKind.Redis, "yes");
        // As Redis had it before version 7: snapshot and commands in one file.
        string log = Path.Combine(_directory.FullName, "appendonlydir");
        byte[] snapshot = await File.ReadAllBytesAsync(Path.Combine(log, "appendonly.aof.2.base.rdb")),
            commands = await File.ReadAllBytesAsync(Path.Combine(log, "appendonly.aof.2.incr.aof"));
        await File.WriteAllBytesAsync(Path.Combine(_directory.FullName, "appendonly.aof"), [.. snapshot, .. commands]);
        Directory.Delete(log, recursive: true);
        Assert.Equal(digest, await DigestAsync(ServerKind.OrleansRedis, "yes"));
        Assert.True(File.Exists(Path.Combine(log, "appendonly.aof")));
    }

    [SkippableTheory]
    [InlineData("everysec")]
    [InlineData("always")]
    public async Task On_a_disk_that_is_full_nothing_acknowledged_is_lost_and_writing_goes_on_once_there_is_room(string policy)
    {
        Skip.IfNot(OperatingSystem.IsLinux() && Environment.UserName == "root"
            && Run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", _directory.FullName) == 0, "a tmpfs cannot be mounted");
        try
        {
            int acknowledged = 0;
            string filler = Path.Combine(_directory.FullName, "filler");
            await using (RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, _directory.FullName, 0,
                "--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0"))
            {
                await using RespConnection redis = await server.ConnectAsync(), other = await server.ConnectAsync();
                await File.WriteAllBytesAsync(filler, new byte[1_000_000]);
                string value = new('x', 10_000);
                Task<RespValue>? last = null;
                Task full = server.WaitForLogAsync("Error writing to the AOF file");
                for (int i = 0; i < 1000; i++)
                {
                    last = redis.CallAsync("SET", $"key:{i}", value);
                    // The reply to the one that did not fit waits.
                    if (policy == "always" && await Task.WhenAny(last, full) != last) break;
                    RespValue reply = await last;
                    if (reply.IsError)
                    {
                        Assert.Equal("-MISCONF Errors writing to the AOF file: No space left on device", reply.ToString());
                        break;
                    }
                    acknowledged++;
                }
                Assert.InRange(acknowledged, 20, 200);
                Assert.Equal("-MISCONF Errors writing to the AOF file: No space left on device",
                    (await other.CallAsync("SET", "a", "1").WaitAsync(Eventually.Deadline)).ToString());
                Assert.Contains("aof_last_write_status:err", (await other.CallAsync("INFO", "persistence").WaitAsync(Eventually.Deadline)).Text,
                    StringComparison.Ordinal);

                File.Delete(filler);
                await Eventually.TrueAsync(async () => (await other.CallAsync("SET", "a", "1")).ToString() == "+OK");
                await last!.WaitAsync(Eventually.Deadline);
                await Eventually.TrueAsync(
                    () => server.Log.Any(line => line.Contains("AOF write error looks solved, Redis can write again.", StringComparison.Ordinal)),
                    () => string.Join('\n', server.Log));
                await Eventually.TrueAsync(
                    async () => (await other.CallAsync("INFO", "persistence")).Text.Contains("aof_buffer_length:0\r\n", StringComparison.Ordinal),
                    server.Describe);
                await server.KillAsync();
            }
            await using RedisProcess again = await RedisProcess.StartAsync(ServerKind.OrleansRedis, _directory.FullName, 0, "--appendonly", "yes");
            await using RespConnection reader = await again.ConnectAsync();
            for (int i = 0; i < acknowledged; i++) Assert.Equal(10_000, (await reader.CallAsync("STRLEN", $"key:{i}")).Integer);
            Assert.Equal("1", (await reader.CallAsync("GET", "a")).Text);
        }
        finally
        {
            Run("umount", "-l", _directory.FullName);
        }
    }

    public void Dispose()
    {
        if (Directory.Exists(_directory.FullName)) _directory.Delete(recursive: true);
    }

    private static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }

    /// <summary>Writes everything, half of it before a rewrite and half after, and returns the digest.</summary>
    private async Task<string> WriteAsync(ServerKind kind, string preamble)
    {
        Requires.That(File.Exists("/usr/bin/redis-server"), "redis-server is not installed");
        await using RedisProcess server = await RedisProcess.StartAsync(kind, _directory.FullName, 0,
            "--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes");
        await using RespConnection redis = await server.ConnectAsync();
        string[][] commands = [.. RdbDataSet.Commands()];
        for (int i = 0; i < commands.Length; i++)
        {
            RespValue reply = await redis.CallAsync([.. commands[i].Select(word => (RespArgument)System.Text.Encoding.Latin1.GetBytes(word))]);
            Assert.False(reply.IsError, $"{string.Join(' ', commands[i].Take(3))}: {reply}");
            if (i != commands.Length / 2) continue;
            await redis.CallAsync("BGREWRITEAOF");
            await Eventually.TrueAsync(async () =>
                (await redis.CallAsync("INFO", "persistence")).Text.Contains("aof_rewrite_in_progress:0", StringComparison.Ordinal));
        }
        await redis.CallAsync("SELECT", "9");
        await redis.CallAsync("MULTI");
        await redis.CallAsync("SADD", "set", "a", "b", "c");
        await redis.CallAsync("SPOP", "set");
        await redis.CallAsync("SET", "expiring", "1", "EX", "100000");
        await redis.CallAsync("EXEC");
        await redis.CallAsync("SWAPDB", "9", "3");
        await redis.CallAsync("INCRBYFLOAT", "float", "0.1");
        await redis.CallAsync("CONFIG", "SET", "appendfsync", "always");
        await redis.CallAsync("INCRBYFLOAT", "float", "0"); // its reply says that everything is on the disk
        return (await redis.CallAsync("DEBUG", "DIGEST")).Text;
    }

    private async Task<string> DigestAsync(ServerKind kind, string preamble)
    {
        await using RedisProcess server = await RedisProcess.StartAsync(kind, _directory.FullName, 0,
            "--appendonly", "yes", "--aof-use-rdb-preamble", preamble);
        await using RespConnection redis = await server.ConnectAsync();
        return (await redis.CallAsync("DEBUG", "DIGEST")).Text;
    }
}
