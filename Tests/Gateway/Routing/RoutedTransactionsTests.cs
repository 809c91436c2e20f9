using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Transactions, scripts and commands with several keys, all of them on another silo.</summary>
public sealed class RoutedTransactionsTests : IAsyncLifetime
{
    private RoutedCluster _cluster = null!;
    private RespConnection _redis = null!, _other = null!;
    private string _far = "", _near = "", _third = "";

    public async Task InitializeAsync()
    {
        _cluster = await RoutedCluster.StartAsync();
        _redis = await _cluster[0].ConnectAsync();
        _other = await _cluster[2].ConnectAsync();
        (_near, _far, _third) = (_cluster.KeyOf(0), _cluster.KeyOf(1), _cluster.KeyOf(2));
    }

    public async Task DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _other.DisposeAsync();
        await _cluster.DisposeAsync();
    }

    [Fact]
    public async Task A_transaction_runs_where_its_keys_are()
    {
        string other = _cluster.KeyOf(1, "other");
        RespValue[] replies = await _redis.PipelineAsync(
            ["MULTI"], ["SET", _far, "1"], ["INCR", _far], ["LPUSH", _far, "x"], ["SET", other, "y"], ["PING"], ["EXEC"], ["GET", _far]);
        Assert.Equal("[+OK, :2, -WRONGTYPE Operation against a key holding the wrong kind of value, +OK, +PONG]", replies[6].ToString());
        Assert.Equal("\"2\"", replies[7].ToString());
    }

    [Fact]
    public async Task Discard_and_errors_are_the_gateways()
    {
        RespValue[] replies = await _redis.PipelineAsync(
            ["MULTI"], ["SET", _far, "1"], ["DISCARD"], ["GET", _far], ["MULTI"], ["SET", _far], ["EXEC"], ["EXEC"], ["GET", _far]);
        Assert.Equal("nil", replies[3].ToString());
        Assert.StartsWith("-EXECABORT", replies[6].ToString());
        Assert.Equal("-ERR EXEC without MULTI", replies[7].ToString());
        Assert.Equal("nil", replies[8].ToString());
    }

    [Fact]
    public async Task A_transaction_selects_for_its_connection()
    {
        RespValue[] replies = await _redis.PipelineAsync(["MULTI"], ["SET", _far, "0"], ["SELECT", "2"], ["SET", _far, "2"], ["EXEC"], ["GET", _far]);
        Assert.Equal("\"2\"", replies[5].ToString());
        Assert.Equal("\"0\"", (await _other.CallAsync("GET", _far)).ToString());
    }

    [Fact]
    public async Task A_transaction_over_several_silos_says_that_it_cannot_be()
    {
        RespValue[] replies = await _redis.PipelineAsync(["MULTI"], ["SET", _far, "1"], ["SET", _near, "1"], ["EXEC"], ["MGET", _far, _near], ["EXEC"]);
        Assert.StartsWith("-CROSSSLOT", replies[3].ToString());
        Assert.Equal("[nil, nil]", replies[4].ToString());
        Assert.Equal("-ERR EXEC without MULTI", replies[5].ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_watched_key_that_changes_ends_the_transaction(bool changes)
    {
        await _redis.CallAsync("SET", _far, "0");
        Assert.Equal("+OK", (await _redis.CallAsync("WATCH", _far)).ToString());
        if (changes) await _other.CallAsync("SET", _far, "5");
        RespValue[] replies = await _redis.PipelineAsync(["MULTI"], ["INCR", _far], ["EXEC"], ["MULTI"], ["INCR", _far], ["EXEC"]);
        Assert.Equal(changes ? "nil" : "[:1]", replies[2].ToString());
        Assert.Equal(changes ? "[:6]" : "[:2]", replies[5].ToString());
        Assert.True(_cluster[1].NobodyWatches);
    }

    [Theory]
    [InlineData("UNWATCH")]
    [InlineData("DISCARD")]
    [InlineData("RESET")]
    public async Task What_is_no_longer_watched_may_change(string end)
    {
        await _redis.CallAsync("WATCH", _far);
        if (end == "DISCARD") await _redis.LineAsync("MULTI");
        Assert.False((await _redis.LineAsync(end)).IsError);
        await _other.CallAsync("SET", _far, "5");
        RespValue[] replies = await _redis.PipelineAsync(["MULTI"], ["INCR", _far], ["EXEC"]);
        Assert.Equal("[:6]", replies[2].ToString());
        await Eventually.TrueAsync(() => _cluster[1].NobodyWatches);
    }

    [Fact]
    public async Task Who_leaves_watches_nothing_any_more()
    {
        await _redis.CallAsync("WATCH", _far);
        Assert.False(_cluster[1].NobodyWatches);
        await _redis.DisposeAsync();
        await Eventually.TrueAsync(() => _cluster[1].NobodyWatches);
    }

    [Fact]
    public async Task Watching_at_one_silo_and_writing_at_another_is_refused()
    {
        await _redis.CallAsync("WATCH", _far, _third);
        RespValue[] replies = await _redis.PipelineAsync(["MULTI"], ["SET", _far, "1"], ["EXEC"]);
        Assert.StartsWith("-CROSSSLOT", replies[2].ToString());
        await Eventually.TrueAsync(() => _cluster[1].NobodyWatches && _cluster[2].NobodyWatches);
        await _redis.CallAsync("WATCH", _near);
        replies = await _redis.PipelineAsync(["MULTI"], ["SET", _far, "1"], ["EXEC"], ["MULTI"], ["SET", _far, "2"], ["EXEC"]);
        Assert.StartsWith("-CROSSSLOT", replies[2].ToString());
        Assert.Equal("[+OK]", replies[5].ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Who_cannot_know_whether_a_watched_key_has_changed_does_not_run(bool moves)
    {
        await _redis.CallAsync("SET", _far, "0");
        await _redis.CallAsync("WATCH", _far);
        if (moves) await _cluster.MoveAsync(RoutedCluster.SlotOf(_far), 2);
        else await BreakAsync();
        RespValue[] replies = await _redis.PipelineAsync(["MULTI"], ["INCR", _far], ["EXEC"], ["GET", _far], ["MULTI"], ["INCR", _far], ["EXEC"]);
        if (moves) Assert.True(replies[2].IsNull || replies[2].ToString().StartsWith("-CROSSSLOT", StringComparison.Ordinal), replies[2].ToString());
        else Assert.Equal("nil", replies[2].ToString());
        Assert.Equal("\"0\"", replies[3].ToString());
        Assert.Equal("[:1]", replies[6].ToString());
    }

    [Fact]
    public async Task A_transaction_finds_a_slot_that_has_moved()
    {
        await _redis.CallAsync("SET", _far, "0");
        await _cluster.MoveAsync(RoutedCluster.SlotOf(_far), 2, whoLearns: []);
        Task<RespValue[]> running = _redis.PipelineAsync(["MULTI"], ["INCR", _far], ["EXEC"]);
        for (int silo = 0; silo < 3; silo++) _cluster[silo].Adopt(_cluster.Map);
        Assert.Equal("[:1]", (await running)[2].ToString());
    }

    [Fact]
    public async Task A_transaction_whose_outcome_cannot_be_known_ends_the_connection()
    {
        _cluster[1].Loses = (to, kind) =>
        {
            if (kind != RouteKinds.Answers) return false;
            _cluster[1].Loses = null;
            _cluster.Break(0, 1);
            return true;
        };
        await _redis.LineAsync("MULTI");
        await _redis.CallAsync("INCR", _far);
        await _redis.SendAsync("EXEC");
        Assert.True(await _redis.IsClosedByServerAsync());
    }

    [Fact]
    public async Task Commands_with_several_keys_of_one_silo_run_there()
    {
        string a = "{" + _far + "}a", b = "{" + _far + "}b";
        await _redis.CallAsync("SADD", a, "1", "2", "3");
        await _redis.CallAsync("SADD", b, "2", "3", "4");
        Assert.Equal(":2", (await _redis.CallAsync("SINTERSTORE", "{" + _far + "}c", a, b)).ToString());
        Assert.Equal("+OK", (await _redis.CallAsync("RENAME", a, b)).ToString());
        Assert.Equal(":3", (await _redis.CallAsync("SCARD", b)).ToString());
        string otherSlot = _cluster.KeyOf(1, "another");
        Assert.Equal(":1", (await _redis.CallAsync("COPY", b, otherSlot)).ToString());
        Assert.StartsWith("-CROSSSLOT", (await _redis.CallAsync("COPY", b, _near)).ToString());
        Assert.Equal("""["1", "2", "3"]""", (await _redis.CallAsync("SORT", b)).ToString());
    }

    [Fact]
    public async Task Scripts_run_where_their_keys_are()
    {
        const string Script = "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])";
        Assert.Equal("\"v\"", (await _redis.CallAsync("EVAL", Script, "1", _far, "v")).ToString());
        Assert.Equal("\"v\"", (await _other.CallAsync("GET", _far)).ToString());
        Assert.StartsWith("-CROSSSLOT", (await _redis.CallAsync("EVAL", Script, "2", _far, _near, "v")).ToString());
        // It finds out on the way whose keys it needs.
        Assert.Equal("\"v\"", (await _redis.CallAsync("EVAL", $"return redis.call('GET', '{_far}')", "0")).ToString());
        Assert.StartsWith("-CROSSSLOT", (await _redis.CallAsync("EVAL", $"redis.call('GET', '{_near}'); return redis.call('GET', '{_far}')", "0")).ToString());
        Assert.StartsWith("-CROSSSLOT", (await _redis.CallAsync("EVAL", $"return redis.call('GET', '{_third}')", "1", _far)).ToString());
    }

    [Fact]
    public async Task A_script_is_known_everywhere_once_any_silo_knows_it()
    {
        const string Script = "return {KEYS[1], ARGV[1]}";
#pragma warning disable CA5350 // SHA-1 is how EVALSHA names a script.
        string sha = Convert.ToHexStringLower(System.Security.Cryptography.SHA1.HashData(System.Text.Encoding.ASCII.GetBytes(Script)));
#pragma warning restore CA5350
        Assert.StartsWith("-NOSCRIPT", (await _redis.CallAsync("EVALSHA", sha, "1", _far, "v")).ToString());
        Assert.Equal("[:0]", (await _redis.CallAsync("SCRIPT", "EXISTS", sha)).ToString());
        await _other.CallAsync("EVAL", Script, "1", _third, "v");
        Assert.Equal("[:1]", (await _redis.CallAsync("SCRIPT", "EXISTS", sha)).ToString());
        Assert.Equal($"[\"{_near}\", \"v\"]", (await _redis.CallAsync("EVALSHA", sha, "1", _near, "v")).ToString());
        Assert.Equal($"[\"{_far}\", \"v\"]", (await _redis.CallAsync("EVALSHA", sha, "1", _far, "v")).ToString());
        RespValue[] replies = await _redis.PipelineAsync(["MULTI"], ["EVALSHA", sha, "1", _third, "w"], ["EXEC"]);
        Assert.Equal($"[[\"{_third}\", \"w\"]]", replies[2].ToString());
        Assert.Equal("+OK", (await _redis.LineAsync("SCRIPT FLUSH")).ToString());
        Assert.StartsWith("-NOSCRIPT", (await _other.CallAsync("EVALSHA", sha, "1", _third, "v")).ToString());
        Assert.Equal($"\"{sha}\"", (await _redis.CallAsync("SCRIPT", "LOAD", Script)).ToString());
        Assert.Equal($"[\"{_third}\", \"v\"]", (await _other.CallAsync("EVALSHA", sha, "1", _third, "v")).ToString());
    }

    [Fact]
    public async Task Functions_are_on_all_silos()
    {
        const string Library = "#!lua name=mine\nredis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)";
        Assert.Equal("\"mine\"", (await _redis.CallAsync("FUNCTION", "LOAD", Library)).ToString());
        foreach (string key in (string[])[_near, _far, _third]) Assert.Equal("+OK", (await _redis.CallAsync("FCALL", "put", "1", key, "v")).ToString());
        Assert.StartsWith("-ERR Library 'mine' already exists", (await _other.CallAsync("FUNCTION", "LOAD", Library)).ToString());
        Assert.Equal("+OK", (await _other.CallAsync("FUNCTION", "DELETE", "mine")).ToString());
        Assert.StartsWith("-ERR Function not found", (await _redis.CallAsync("FCALL", "put", "1", _far, "v")).ToString());
    }

    [Fact]
    public async Task A_script_may_do_what_its_user_may()
    {
        await using RespConnection owner = await _cluster[1].ConnectAsync();
        await _redis.LineAsync("ACL SETUSER stranger on nopass ~* +@all -select");
        await _redis.LineAsync("AUTH stranger x");
        Assert.Equal("nil", (await _redis.CallAsync("GET", _far)).ToString());
        Assert.Contains("NOPERM", (await _redis.CallAsync("EVAL", "return redis.call('GET', KEYS[1])", "1", _far)).ToString());
        foreach (RespConnection client in (RespConnection[])[owner, _redis]) await client.LineAsync("ACL SETUSER scripter on nopass ~* +@all -set");
        await _redis.LineAsync("AUTH scripter x");
        Assert.Contains("NOPERM", (await _redis.CallAsync("EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", _far)).ToString());
        Assert.Equal("nil", (await _redis.CallAsync("EVAL", "return redis.call('GET', KEYS[1])", "1", _far)).ToString());
    }

    private Task BreakAsync()
    {
        _cluster.Break(0, 1);
        return Eventually.TrueAsync(() => _cluster[0].Broken == 1 && _cluster[1].Broken == 1);
    }
}
