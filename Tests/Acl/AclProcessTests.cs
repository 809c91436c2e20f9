using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>
/// What only a whole process can show about users: how they are there from the start, or why there is none.
/// </summary>
[Trait("Needs", "servers")]
public sealed class AclProcessTests
{
    [Fact]
    public async Task Users_are_there_from_the_start_and_commands_have_their_new_names()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(
            ServerKind.OrleansRedis, "--user", "default", "off", "--user", "alice", "on", ">secret", "~*", "+@all", "-flushall", "--rename-command", "CONFIG",
            "", "--rename-command", "FLUSHDB", "wipe", "--appendonly", "yes");
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("-NOAUTH Authentication required.", (await redis.LineAsync("PING")).ToString());
        Assert.StartsWith("-WRONGPASS", (await redis.LineAsync("AUTH alice wrong-secret")).ToString(), StringComparison.Ordinal);
        Assert.Equal("+OK", (await redis.LineAsync("AUTH alice secret")).ToString());
        Assert.Equal("-NOPERM User alice has no permissions to run the 'flushall' command", (await redis.LineAsync("FLUSHALL")).ToString());
        Assert.StartsWith("-ERR unknown command 'CONFIG'", (await redis.LineAsync("CONFIG GET port")).ToString(), StringComparison.Ordinal);
        Assert.StartsWith("-ERR unknown command 'FLUSHDB'", (await redis.LineAsync("FLUSHDB")).ToString(), StringComparison.Ordinal);
        await redis.LineAsync("SET a 1");
        // Scripts know the new names, too, and no others.
        foreach (string gone in (string[])["CONFIG", "FLUSHDB"])
        {
            string reply = (await redis.CallAsync("EVAL", "return redis.call(ARGV[1])", "0", gone)).ToString();
            Assert.StartsWith("-ERR Unknown Redis command called from script", reply, StringComparison.Ordinal);
        }
        Assert.Equal("+OK", (await redis.CallAsync("EVAL", "return redis.call('wipe')", "0")).ToString());
        Assert.Equal("[]", (await redis.LineAsync("KEYS *")).ToString());
        await redis.LineAsync("SET a 1");
        Assert.Equal("+OK", (await redis.LineAsync("ACL SETUSER alice -flushdb")).ToString());
        Assert.StartsWith(
            "-NOPERM ACL failure in script: User alice has no permissions to run the 'flushdb' command",
            (await redis.CallAsync("EVAL", "return redis.call('wipe')", "0")).ToString(), StringComparison.Ordinal);
        Assert.Equal("-NOPERM User alice has no permissions to run the 'flushdb' command", (await redis.LineAsync("WIPE")).ToString());
        Assert.Equal("+OK", (await redis.LineAsync("ACL SETUSER alice +flushdb")).ToString());
        Assert.Equal("+OK", (await redis.LineAsync("WIPE")).ToString());
        await redis.LineAsync("SET b 1");
        // The log has the commands' own names.
        Assert.Equal("+OK", (await redis.LineAsync("DEBUG LOADAOF")).ToString());
        Assert.Equal("[\"b\"]", (await redis.LineAsync("KEYS *")).ToString());
        Assert.DoesNotContain(server.Log, line => line.Contains("secret", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("user (redacted)'\nError in user declaration 'foo': Duplicate user found", "--user", "foo", "--user", "foo", ">secret")]
    [InlineData("Error loading ACL rule '+nothing' for the user named 'foo': Unknown command or category name in ACL", "--user", "foo", ">secret", "+nothing")]
    [InlineData("Aborting Redis startup because of ACL errors: Error loading ACLs, opening file 'none.acl': No such file or directory", "--aclfile",
        "none.acl")]
    [InlineData("This setup is very likely to lead to configuration errors", "--aclfile", "none.acl", "--user", "foo")]
    [InlineData("rename-command NOTHING \"x\": No such command in rename-command", "--rename-command", "NOTHING", "x")]
    public async Task A_server_that_cannot_know_its_users_does_not_start(string reason, params string[] directives)
    {
        (int exitCode, string output) = await RedisProcess.RunToExitAsync(directives);
        Assert.Equal(1, exitCode);
        Assert.Contains(reason, output, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", output, StringComparison.Ordinal);
        Assert.DoesNotContain("Ready to accept connections", output, StringComparison.Ordinal);
    }
}
