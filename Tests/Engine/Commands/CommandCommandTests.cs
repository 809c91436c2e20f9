using Xunit;

namespace OrleansRedis.Tests;

public sealed class CommandCommandTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Fact]
    public void Info_knows_commands_and_subcommands_and_nothing_else()
    {
        Assert.Equal("[[get, 2, [readonly, fast], 1, 1, 1, [@read, @string, @fast], [], [[flags, [RO, access], begin_search, [type, index, spec, [index, 1]], "
            + "find_keys, [type, range, spec, [lastkey, 0, keystep, 1, limit, 0]]]], []], (nil)]", _redis.Show("COMMAND INFO GET nosuch"));
        Assert.StartsWith("[[config|get, -3, [admin, noscript, loading, stale], 0, 0, 0,", _redis.Show("COMMAND INFO config|get"));
        Assert.StartsWith("[[config, -2, [], 0, 0, 0, [@slow], [], [], [[config|", _redis.Show("COMMAND INFO config"));
        Assert.Equal("[(nil)]", _redis.Show("COMMAND INFO config|nosuch"));
        Assert.Equal("*1\r\n$-1\r\n", _redis.Raw("COMMAND", "INFO", "nosuch"));
    }

    [Fact]
    public void Docs_tell_summary_arguments_history_and_what_replaces_a_command()
    {
        string docs = Replies.Show(_redis.NewClient(resp3: true).Run("COMMAND", "DOCS", "getset", "nosuch"));
        Assert.Equal(
            "{getset: {summary: Returns the previous string value of a key after setting it to a new value., since: 1.0.0, group: string, complexity: O(1), "
            + "doc_flags: ~[deprecated], deprecated_since: 6.2.0, replaced_by: `SET` with the `!GET` argument, "
            + "arguments: [{name: key, type: key, display_text: key, key_spec_index: 0}, {name: value, type: string, display_text: value}]}}", docs);
        Assert.Contains("history: ~[[2.6.12, Added the `EX`", Replies.Show(_redis.NewClient(resp3: true).Run("COMMAND", "DOCS", "set")));
        Assert.Contains("subcommands: {", Replies.Show(_redis.NewClient(resp3: true).Run("COMMAND", "DOCS", "config")));
        Assert.Equal("[]", _redis.Show("COMMAND DOCS nosuch"));
    }

    [Fact]
    public void Count_and_list_agree_with_the_table()
    {
        Assert.Equal((long)EngineHarness.Commands.Commands.Count, _redis.Run("COMMAND", "COUNT"));
        Assert.Equal(EngineHarness.Commands.Commands.Count, ((object?[])_redis.Run("COMMAND")!).Length);
        Assert.Equal("[config|get]", _redis.Show("COMMAND LIST FILTERBY PATTERN CONFIG|GET"));
        Assert.Equal("[]", _redis.Show("COMMAND LIST FILTERBY MODULE any"));
        Assert.Equal("[]", _redis.Show("COMMAND LIST FILTERBY ACLCAT nosuch"));
        Assert.Contains("mget", _redis.Show("COMMAND LIST FILTERBY ACLCAT String"));
        Assert.Equal("-ERR syntax error", _redis.Show("COMMAND LIST bad"));
        Assert.Equal("-ERR syntax error", _redis.Show("COMMAND LIST FILTERBY bad x"));
    }

    [Theory]
    [InlineData("COMMAND GETKEYS GET k", "[k]")]
    [InlineData("COMMAND GETKEYS MSET a 1 b 2", "[a, b]")]
    [InlineData("COMMAND GETKEYSANDFLAGS SET k v", "[[k, [OW, update]]]")]
    [InlineData("COMMAND GETKEYSANDFLAGS SET k v GET", "[[k, [RW, access, update]]]")]
    [InlineData("COMMAND GETKEYS CONFIG GET x", "-ERR The command has no key arguments")]
    [InlineData("COMMAND GETKEYS NOSUCH x", "-ERR Invalid command specified")]
    [InlineData("COMMAND GETKEYS LMPOP 4 a b LEFT", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYS LMPOP 0 a LEFT", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYS LMPOP x a LEFT", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYS ZUNIONSTORE d 3 a b", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYS MIGRATE h 1 x 0 1 COPY", "[x]")]
    [InlineData("COMMAND GETKEYS MIGRATE h 1 x 0 1 KEYS a", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYS ZUNIONSTORE d 0 a", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYS ZUNIONSTORE d 2 a b", "[d, a, b]")]
    [InlineData("COMMAND GETKEYSANDFLAGS SINTERCARD -1 a b", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYS XREAD COUNT 1 STREAMS", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYS GET", "-ERR Invalid number of arguments specified for command")]
    public void Getkeys_finds_the_keys_of_a_request(string line, string reply) => Assert.Equal(reply, _redis.Show(line));
}
