using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>A script may do what its caller may, whoever wrote it, and no more.</summary>
public sealed class AclInScriptsTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Theory]
    [InlineData("+eval +set ~a", "redis.call('set', 'a', 1)", "(nil)")]
    [InlineData("+eval +get ~*", "redis.call('set', 'a', 1)", "-NOPERM ACL failure in script: User user has no permissions to run the 'set' command")]
    [InlineData("+eval +get ~*", "redis.call('sEt', 'a', 1)", "-NOPERM ACL failure in script: User user has no permissions to run the 'set' command")]
    [InlineData("+eval +set ~b", "redis.call('set', 'a', 1)", "-NOPERM ACL failure in script: No permissions to access a key")]
    [InlineData("+eval +set %R~a", "redis.call('set', 'a', 1)", "-NOPERM ACL failure in script: No permissions to access a key")]
    [InlineData("+@all -config|set ~*", "redis.call('config', 'set', 'timeout', 1)", "-ERR This Redis command is not allowed from script")]
    [InlineData("+@all -object|freq ~*", "redis.call('OBJECT', 'FREQ', 'a')",
        "-NOPERM ACL failure in script: User user has no permissions to run the 'object|freq' command")]
    [InlineData("+@all -select +select|0 ~*", "redis.call('select', 1)",
        "-NOPERM ACL failure in script: User user has no permissions to run the 'select' command")]
    [InlineData("+eval +sort ~l", "return redis.call('sort', 'l', 'by', 'w*')", "-ERR BY option of SORT denied due to insufficient ACL permissions.")]
    [InlineData("+eval +sort ~l %R~*", "return redis.call('sort', 'l', 'by', 'w*')", "[]")]
    public void Its_commands_are_the_callers(string rules, string script, string reply)
    {
        EngineClient client = Client(rules);
        string shown = Replies.Show(client.Run("EVAL", script, "0"));
        int where = shown.IndexOf(" script: ", reply.Length, StringComparison.Ordinal); // and the line
        Assert.Equal(reply, where < 0 ? shown : shown[..where]);
    }

    [Fact]
    public void What_was_denied_is_in_the_log_as_a_scripts()
    {
        EngineClient client = Client("+eval +fcall +set ~a");
        client.Run("EVAL", "redis.pcall('set', 'secret', 1) redis.pcall('get', 'a')", "0");
        Assert.Equal(
            [(AclContext.Lua, AclReason.Command, "get"), (AclContext.Lua, AclReason.Key, "secret")],
            _redis.Store.Acl.Denials.Latest(9).Select(entry => (entry.Context, entry.Reason, entry.Object)));
        Assert.Equal(0L, _redis.Run("EXISTS", "secret"));
    }

    [Fact]
    public void A_script_of_another_users_runs_with_the_callers_rights()
    {
        _redis.Run("SET", "secret", "1");
        string sha = (string)_redis.Run("SCRIPT", "LOAD", "return redis.call('get', 'secret')")!;
        Assert.Equal("1", _redis.Run("EVALSHA", sha, "0"));
        _redis.Run("FUNCTION", "LOAD",
            "#!lua name=lib\nlocal kept = 'nothing'\nredis.register_function('f', function() kept = redis.pcall('get', 'secret') return kept end)\n"
                + "redis.register_function{function_name='ro', callback=function() return redis.call('get', 'secret') end, flags={'no-writes'}}");
        Assert.Equal("1", _redis.Run("FCALL", "f", "0"));
        EngineClient client = Client("+evalsha +evalsha_ro +fcall +fcall_ro +get ~mine");
        const string Denied = "-NOPERM ACL failure in script: No permissions to access a key";
        foreach (string line in (string[])[$"EVALSHA {sha} 0", $"EVALSHA_RO {sha} 0", "FCALL f 0", "FCALL ro 0", "FCALL_RO ro 0"])
            Assert.StartsWith(Denied, client.Show(line), StringComparison.Ordinal);
        Assert.Equal("1", _redis.Run("EVALSHA", sha, "0")); // and the next caller with its own again
        Assert.Equal("1", _redis.Run("FCALL", "f", "0"));
        _redis.Run("ACL", "SETUSER", "user", "%R~secret");
        Assert.Equal("1", client.Run("EVALSHA", sha, "0"));
    }

    [Fact]
    public void Its_declared_keys_are_the_callers_too()
    {
        EngineClient client = Client("+eval +eval_ro +get ~a %R~r");
        const string NoKey = "-NOPERM No permissions to access a key";
        Assert.Equal("1", Replies.Show(client.Run("EVAL", "return '1'", "1", "a")));
        Assert.Equal(NoKey, Replies.Show(client.Run("EVAL", "return '1'", "1", "b")));
        Assert.Equal(NoKey, Replies.Show(client.Run("EVAL", "return '1'", "2", "a", "b")));
        Assert.Equal(NoKey, Replies.Show(client.Run("EVAL", "return '1'", "1", "r")));
        Assert.Equal("1", Replies.Show(client.Run("EVAL_RO", "return '1'", "1", "r")));
    }

    [Fact]
    public void Acl_check_cmd_tells_what_the_rules_say_and_leaves_no_trace()
    {
        EngineClient client = Client("+eval +get +config|get ~a");
        const string Ask = "local answers = {} for i, words in ipairs({{'get', 'a'}, {'GET', 'b'}, {'set', 'a', '1'}, {'config', 'get', 'x'}, "
            + "{'config', 'set', 'x', '1'}, {'config'}, {'get'}, {'save'}}) do answers[i] = redis.acl_check_cmd(unpack(words)) and 1 or 0 end "
            + "return answers";
        Assert.Equal("[1, 0, 0, 1, 0, 0, 1, 0]", Replies.Show(client.Run("EVAL", Ask, "0")));
        Assert.Equal("[1, 1, 1, 1, 1, 1, 1, 1]", Replies.Show(_redis.Run("EVAL", Ask, "0")));
        foreach (string unknown in (string[])["'nothing'", "'config', 'nothing'"])
        {
            Assert.StartsWith(
                "-ERR Invalid command passed to redis.acl_check_cmd()", Replies.Show(client.Run("EVAL", $"return redis.acl_check_cmd({unknown})", "0")),
                StringComparison.Ordinal);
        }
        Assert.Empty(_redis.Store.Acl.Denials.Latest(9));
    }

    private EngineClient Client(string rules)
    {
        Assert.Null(_redis.Store.Acl.Set("user", ["on", .. rules.Split(' ')], by: null));
        EngineClient client = _redis.NewClient();
        client.Session.User = _redis.Store.Acl.Find("user"u8)!;
        return client;
    }
}
