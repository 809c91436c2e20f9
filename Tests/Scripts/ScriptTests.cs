using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Scripts;

/// <summary>Scripts and the data: gates, effects, admission, the cache.</summary>
public sealed class ScriptTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly EngineHarness _redis = new(options => options.BusyReplyThreshold = 20);
    private int _roamed;

    public void Dispose() => _redis.Dispose();

    private string Load(string script) => (string)_redis.Run("SCRIPT", "LOAD", script)!;

    [Fact]
    public void The_effects_of_a_script_are_one_unit()
    {
        _redis.Run("EVAL", "redis.call('set', KEYS[1], 1) redis.call('incrby', KEYS[2], 5) return redis.call('spop', 'none')", "2", "a", "b");
        Assert.Single(_redis.Effects.Select(effect => effect.Unit).Distinct());
        Assert.Equal(["set a 1", "incrby b 5"], _redis.TakeEffects());
    }

    [Fact]
    public void What_modules_write_is_the_same_on_every_thread()
    {
        using var other = new EngineHarness(); // a Lua state of its own, which finds a table's keys in another order
        Random random = TestSeed.Random(1);
        for (int i = 0; i < 40; i++)
        {
            string[] keys = [.. Enumerable.Range(0, random.Next(2, 20))
                .Select(_ => random.Next(4) == 0 ? $"{random.Next(-9, 9)}" : $"'k{random.Next(1000)}'").Distinct()];
            string Script() =>
                $"local t = {{}} {string.Concat(keys.Select(key => $"t[{key}] = {{a = {key}, b = 1}} "))}return {{cjson.encode(t), cmsgpack.pack(t)}}";
            string expected = _redis.Raw("EVAL", Script(), "0");
            random.Shuffle(keys);
            Assert.Equal(expected, other.Raw("EVAL", Script(), "0"));
        }
    }

    [Theory]
    [InlineData("{x = 1, y = 2}", "{\"y\":2,\"x\":1}")]
    [InlineData("{[5] = 'five', [-1.5] = 'less', a = 1, b = 2}", "{\"-1.5\":\"less\",\"5\":\"five\",\"a\":1,\"b\":2}")]
    public void Numbers_come_before_strings_and_those_in_the_order_of_Lua_5_1(string table, string expected) =>
        Assert.Equal(expected, _redis.Run("EVAL", $"return cjson.encode({table})", "0"));

    [Fact]
    public void Set_repl_decides_what_is_logged()
    {
        _redis.Run("SET", "c", "1", "PX", "1");
        _redis.TakeEffects();
        _redis.Time.Advance(TimeSpan.FromSeconds(1));
        long sequence = _redis.Store.Slots[KeySlot.Of("a"u8)]!.Sequence;
        const string Script = """
            redis.call('set', 'a', 1)
            redis.set_repl(redis.REPL_NONE)
            redis.call('set', 'a', 2) redis.call('incr', 'b') redis.call('get', 'c') redis.call('spop', 's')
            redis.set_repl(redis.REPL_REPLICA)
            redis.call('incr', 'b')
            redis.set_repl(redis.REPL_AOF)
            redis.call('incr', 'b')
            redis.set_repl(redis.REPL_ALL)
            redis.call('append', 'a', 'x')
            return redis.replicate_commands()
            """;
        Assert.Equal(1L, _redis.Run("EVAL", Script, "0"));
        Assert.Equal(["set a 1", "incr b", "append a x"], _redis.TakeEffects());
        Assert.Equal(sequence + 2, _redis.Store.Slots[KeySlot.Of("a"u8)]!.Sequence);
        Assert.Equal("2x", _redis.Run("GET", "a"));
        Assert.Equal("3", _redis.Run("GET", "b"));
        _redis.Run("EVAL", "redis.call('set', 'a', 3)", "0"); // the next script is logged again
        Assert.Equal(["set a 3"], _redis.TakeEffects());
    }

    [Fact]
    public void What_a_failing_script_has_done_stays_and_is_logged()
    {
        Assert.IsType<RespError>(_redis.Run("EVAL", "redis.call('set', KEYS[1], 1) error('no')", "1", "a"));
        Assert.Equal(["set a 1"], _redis.TakeEffects());
        Assert.Equal("1", _redis.Run("GET", "a"));
    }

    [Fact]
    public void A_script_that_keeps_to_its_keys_runs_beside_others_from_its_second_run_on()
    {
        string sha = Load("return redis.call('incr', KEYS[1])");
        EngineClient client = _redis.NewClient();
        Assert.Equal(Outcome.Long, client.Try("EVALSHA", sha, "1", "a"));
        Assert.Equal(1L, _redis.Run("EVALSHA", sha, "1", "a"));
        Assert.Equal(Outcome.Done, client.TryAside("EVALSHA", sha, "1", "a"));
        // Not even a gate that is taken by someone who roams is in its way.
        using (Roam()) Assert.Equal(Outcome.Done, client.TryAside("EVALSHA", sha, "1", "a"));
        using (Hold("b")) Assert.Equal(Outcome.Done, client.TryAside("EVALSHA", sha, "1", "a"));
        using (Hold("a")) Assert.Equal(Outcome.Busy, client.TryAside("EVALSHA", sha, "1", "a"));
        Assert.Equal("4", _redis.Run("GET", "a"));
    }

    [Fact]
    public void A_script_that_reaches_further_before_it_writes_begins_anew_and_roams()
    {
        string sha = Load("if ARGV[1] then redis.call('get', ARGV[1]) end return redis.call('incr', KEYS[1])");
        Assert.Equal(1L, _redis.Run("EVALSHA", sha, "1", "a"));
        EngineClient client = _redis.NewClient();
        Assert.Equal(Outcome.Busy, client.TryAside("EVALSHA", sha, "1", "a", "other"));
        Assert.Equal("1", _redis.Run("GET", "a"));
        Assert.Equal(2L, _redis.Run("EVALSHA", sha, "1", "a", "other"));
        // It has learned: from now on it roams from the start.
        using (Roam()) Assert.Equal(Outcome.Busy, client.TryAside("EVALSHA", sha, "1", "a"));
        Assert.Equal(3L, _redis.Run("EVALSHA", sha, "1", "a"));
    }

    [Fact]
    public void A_script_that_reaches_further_after_it_has_written_roams_in_the_middle()
    {
        string sha = Load("redis.call('incr', KEYS[1]) if ARGV[1] then return redis.call('incr', ARGV[1]) end");
        _redis.Run("EVALSHA", sha, "1", "a");
        EngineClient client = _redis.NewClient();
        using (Roam()) Assert.Equal(Outcome.Done, client.TryAside("EVALSHA", sha, "1", "a", "other"));
        Assert.Null(_redis.Run("GET", "other"));    // the call failed, and the first write stands
        Assert.Equal("2", _redis.Run("GET", "a"));
        Assert.Equal(1L, _redis.Run("EVALSHA", sha, "1", "a", "other"));
    }

    [Fact]
    public void A_script_that_concerns_the_whole_data_set_runs_alone()
    {
        _redis.Run("MSET", "a", "1", "b", "2");
        Assert.Equal(2L, _redis.Run("EVAL", "return redis.call('dbsize')", "0"));
        Assert.Equal(2, ((object?[])_redis.Run("EVAL", "return redis.call('keys', '*')", "0")!).Length);
        _redis.Run("EVAL", "redis.call('flushall') redis.call('set', 'c', 1)", "0");
        Assert.Equal(1L, _redis.Run("DBSIZE"));
        // Having written, it can still look at every slot.
        Assert.Equal(2L, _redis.Run("EVAL", "redis.call('set', 'd', 1) return redis.call('dbsize')", "0"));
    }

    [Fact]
    public void Scripts_work_in_transactions()
    {
        _redis.Run("MULTI");
        _redis.Run("SET", "a", "1");
        _redis.Run("EVAL", "return redis.call('incr', 'a') + redis.call('incr', 'b')", "0");
        Assert.Equal(["OK", 3L], (object?[])_redis.Run("EXEC")!);
        Assert.Single(_redis.Effects.Select(effect => effect.Unit).Distinct());
    }

    [Fact]
    public void Select_lasts_for_the_script()
    {
        _redis.Run("EVAL", "redis.call('select', 5) redis.call('set', 'k', 'five')", "0");
        Assert.Equal(0, _redis.Client.Session.Database);
        Assert.Null(_redis.Run("GET", "k"));
    }

    [Theory]
    [InlineData("return redis.call('set', 'a', 1)", "Write commands are not allowed from read-only scripts")]
    [InlineData("return redis.call('pfcount', 'a')", "Write commands are not allowed from read-only scripts")]
    public void Read_only_scripts_do_not_write(string script, string error)
    {
        Assert.Contains(error, _redis.Raw("EVAL_RO", script, "0"), StringComparison.Ordinal);
        Assert.Contains(error, _redis.Raw("EVAL", "#!lua flags=no-writes\n" + script, "0"), StringComparison.Ordinal);
        Assert.Empty(_redis.TakeEffects());
    }

    [Theory]
    [InlineData("#!lua\nreturn redis.call('get', 'a')", "Can not execute a script with write flag using *_ro command.")]
    [InlineData("#!lua", "Invalid script shebang")]
    [InlineData("#!js\nreturn 1", "Unexpected engine in script shebang: #!js")]
    [InlineData("#!lua flags=none\nreturn 1", "Unexpected flag in script shebang: none")]
    [InlineData("#!lua name=x\nreturn 1", "Unknown lua shebang option: name=x")]
    public void Flags_are_checked(string script, string error) => Assert.Equal($"-ERR {error}\r\n", _redis.Raw("EVAL_RO", script, "0"));

    [Fact]
    public void Out_of_memory_stops_the_first_write_of_a_script()
    {
        using var redis = new EngineHarness(options => options.MaxMemory = 1);
        const string Oom = "OOM command not allowed when used memory > 'maxmemory'.";
        Assert.Contains(Oom, redis.Raw("EVAL", "return redis.call('set', 'a', 1)", "0"), StringComparison.Ordinal);
        Assert.Equal("OK", redis.Run("EVAL", "#!lua flags=allow-oom\nreturn redis.call('set', 'a', 1)", "0"));
        Assert.Contains("OOM allow-oom flag is not set", redis.Raw("EVAL", "#!lua\nreturn 1", "0"), StringComparison.Ordinal);
        Assert.Equal("1", redis.Run("EVAL", "#!lua flags=no-writes\nreturn redis.call('get', 'a')", "0"));
        Assert.Equal("OK", redis.Run("EVAL", "redis.call('del', 'a') return redis.call('set', 'a', 1)", "0"));
    }

    [Fact]
    public void Scripts_of_eval_are_evicted_and_loaded_ones_are_not()
    {
        string kept = Load("return 'kept'");
        _redis.Run("EVAL", "return 'first'", "0");
        _redis.Run("EVAL", "return 'used'", "0");
        for (int i = 0; i < 499; i++)
        {
            _redis.Run("EVAL", $"return {i}", "0");
            _redis.Run("EVAL", "return 'used'", "0");
        }
        string first = ScriptDigest.Of("return 'first'"u8).ToString(), used = ScriptDigest.Of("return 'used'"u8).ToString();
        Assert.Equal([1L, 0L, 1L], (object?[])_redis.Run("SCRIPT", "EXISTS", kept, first, used.ToUpperInvariant())!);
        Assert.Equal("kept", _redis.Run("EVALSHA", kept, "0"));
        Assert.Equal(1, _redis.Store.Scripts!.Statistics.Evicted);
        _redis.Run("SCRIPT", "FLUSH");
        Assert.Equal("-NOSCRIPT No matching script. Please use EVAL.\r\n", _redis.Raw("EVALSHA", kept, "0"));
    }

    [Theory]
    [InlineData("while true do end")]
    [InlineData("while true do pcall(function() while true do end end) end")]
    [InlineData("local function f() while true do pcall(f) end end f()")]
    [InlineData("while true do coroutine.wrap(function() while true do end end)() end")]
    [InlineData("while true do pcall(coroutine.wrap(function() while true do end end)) end")]
    [InlineData("string.gsub(('x'):rep(10000), '.', function() while true do end end)")]
    [InlineData("string.find(('a'):rep(2000), ('a*'):rep(60) .. 'b')")]
    [InlineData("table.sort({1, 2, 3}, function() while true do end end)")]
    [InlineData("return setmetatable({}, {__index = function() while true do end end}).x")]
    [InlineData("xpcall(function() while true do end end, function() while true do end end)")]
    [InlineData("while true do redis.pcall('get', 'a') end")]
    [InlineData("while true do loadstring('while true do end')() end")]
    public async Task A_script_without_an_end_is_reported_and_killed(string script)
    {
        using var redis = new EngineHarness(options => options.BusyReplyThreshold = 20);
        Assert.Equal("-NOTBUSY No scripts in execution right now.\r\n", redis.Raw("SCRIPT", "KILL"));
        Task<object?> running = Task.Run(() => redis.NewClient().RunAsync("EVAL", script, "1", "a"));
        await BusyAsync(redis, running);
        Assert.Equal("-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n", redis.NewClient().Raw("GET", "b"));
        Assert.StartsWith("-BUSY", redis.NewClient().Raw("FUNCTION", "KILL"), StringComparison.Ordinal);
        Assert.Equal("OK", redis.NewClient().Run("SCRIPT", "KILL"));
        object? reply = await running.WaitAsync(s_patience);
        Assert.Contains("Script killed by user with SCRIPT KILL", Assert.IsType<RespError>(reply).ToString(), StringComparison.Ordinal);
        Assert.Null(redis.Run("GET", "b"));
        Assert.Equal(3L, redis.Run("EVAL", "return 1 + 2", "0"));
    }

    [Fact]
    public async Task A_script_that_has_written_is_not_killed()
    {
        using var redis = new EngineHarness(options => options.BusyReplyThreshold = 20);
        Task<object?> running = Task.Run(() => redis.NewClient().RunAsync("EVAL", "redis.call('set', 'a', 1) while true do end", "0"));
        await BusyAsync(redis, running);
        Assert.StartsWith("-UNKILLABLE", redis.NewClient().Raw("SCRIPT", "KILL"), StringComparison.Ordinal);
        redis.Store.Restrict(Restrictions.Stopping);    // SHUTDOWN NOSAVE
        await running.WaitAsync(s_patience);
        redis.Store.Lift(Restrictions.Stopping);
    }

    private static Task BusyAsync(EngineHarness redis, Task running) => Task.Run(() =>
    {
        while ((redis.Store.Restrictions & Restrictions.Busy) == 0 && !running.IsCompleted) Thread.Yield();
    }).WaitAsync(s_patience);

    [Fact]
    public async Task A_script_that_says_it_does_not_write_runs_while_writes_are_paused()
    {
        _redis.Run("EVAL", "return 1", "0");
        _redis.Runner.Pause.Begin(_redis.NowMs + 60_000, all: false);
        Assert.Equal(1L, _redis.NewClient().Run("EVAL", "#!lua flags=no-writes\nreturn 1", "0"));
        Assert.Equal(1L, _redis.NewClient().Run("EVAL_RO", "return 1", "0"));
        Task<object?> writes = _redis.NewClient().RunAsync("EVAL", "return 1", "0");
        Assert.Equal(1, _redis.Runner.Pause.HeldCount);
        _redis.Runner.Pause.End();
        Assert.Equal(1L, await writes.WaitAsync(s_patience));
    }

    [Fact]
    public async Task Whoever_waits_for_everything_lets_others_in_while_a_script_is_busy()
    {
        SiloGate gate = _redis.Store.SiloGate;
        Assert.True(gate.TryEnterShared(out int held));
        Task exclusive = gate.EnterExclusiveAsync().AsTask();
        await Task.Run(() =>
        {
            while (gate.TryEnterShared(out int stripe)) gate.ExitShared(stripe);
        }).WaitAsync(s_patience);
        gate.BeginLongHold();
        int mine = await gate.EnterSharedAsync().AsTask().WaitAsync(s_patience);
        gate.ExitShared(mine);
        Assert.False(exclusive.IsCompleted);
        gate.EndLongHold();
        gate.ExitShared(held);
        await exclusive.WaitAsync(s_patience);
        Assert.False(gate.TryEnterShared(out _));
        gate.ExitExclusive();
    }

    [Fact]
    public void Replies_are_converted_both_ways()
    {
        Assert.Equal("*4\r\n:1\r\n:3\r\n$1\r\nx\r\n:1\r\n", _redis.Raw("EVAL", "return {1, 3.9, 'x', true, nil, 5}", "0"));
        Assert.Equal("$-1\r\n", _redis.Raw("EVAL", "return false", "0"));
        Assert.Equal("+fine\r\n", _redis.Raw("EVAL", "return redis.status_reply('fine')", "0"));
        Assert.Equal("-ERR bad\r\n", _redis.Raw("EVAL", "return redis.error_reply('bad')", "0"));
        Assert.Equal("-MY bad\r\n", _redis.Raw("EVAL", "return {err = 'MY bad'}", "0"));
        Assert.Equal("*2\r\n$1\r\na\r\n$1\r\n1\r\n", _redis.Raw("EVAL", "return {map = {a = '1'}}", "0"));
        _redis.Run("HSET", "h", "f", "1.5");
        _redis.Run("ZADD", "z", "1.5", "m");
        Assert.Equal("1.5", _redis.Run("EVAL", "return redis.call('hgetall', 'h')[2]", "0"));
        Assert.Equal("1.5", _redis.Run("EVAL", "redis.setresp(3) return redis.call('hgetall', 'h').map.f", "0"));
        Assert.Equal("1.5", _redis.Run("EVAL", "redis.setresp(3) return tostring(redis.call('zscore', 'z', 'm').double)", "0"));
        EngineClient resp3 = _redis.NewClient(resp3: true);
        Assert.Equal("%1\r\n$1\r\nf\r\n$3\r\n1.5\r\n", resp3.Raw("EVAL", "redis.setresp(3) return redis.call('hgetall', 'h')", "0"));
        Assert.Equal(",1.5\r\n", resp3.Raw("EVAL", "return {double = 1.5}", "0"));
        Assert.Equal("(123\r\n", resp3.Raw("EVAL", "return {big_number = '123'}", "0"));
        Assert.Equal("=7\r\ntxt:abc\r\n", resp3.Raw("EVAL", "return {verbatim_string = {format = 'txt', string = 'abc'}}", "0"));
        Assert.Equal("~1\r\n$1\r\na\r\n", resp3.Raw("EVAL", "return {set = {a = true}}", "0"));
        Assert.Equal("#t\r\n", resp3.Raw("EVAL", "redis.setresp(3) return true", "0"));
        Assert.Equal("_\r\n", resp3.Raw("EVAL", "return nil", "0"));
    }

    [Theory]
    [InlineData("return redis.call('eval', 'return 1', 0)")]
    [InlineData("return redis.call('script', 'load', 'return 1')")]
    [InlineData("return redis.call('function', 'load', '#!lua name=x')")]
    public void Not_even_the_switch_for_tests_lets_a_script_run_another_one(string script)
    {
        _redis.Store.AllowsAllInScripts = true;
        Assert.Contains("This Redis command is not allowed from script", _redis.Raw("EVAL", script, "0"), StringComparison.Ordinal);
    }

    [Fact]
    public void Numbers_are_passed_to_commands_as_Redis_writes_them()
    {
        _redis.Run("EVAL", "redis.call('rpush', 'l', 1e9, 0.1, 3, -2.5, 1e20)", "0");
        Assert.Equal(["1000000000", "0.1", "3", "-2.5", "1e+20"], (object?[])_redis.Run("LRANGE", "l", "0", "-1")!);
    }

    /// <summary>Holds a key's gate, as another command would.</summary>
    private Held Hold(string key)
    {
        Slot slot = _redis.Store.Slots[KeySlot.Of(System.Text.Encoding.ASCII.GetBytes(key))]!;
        slot.Gate.Enter();
        return new(() => slot.Gate.Exit());
    }

    /// <summary>Has another client roam: a script that has never run before does.</summary>
    private Held Roam()
    {
        Task<object?> running = Task.Run(() => _redis.NewClient().RunAsync("EVAL", $"while true do end --{_roamed++}", "0"));
        BusyAsync(_redis, running).GetAwaiter().GetResult();
        return new(() =>
        {
            Assert.Equal("OK", _redis.NewClient().Run("SCRIPT", "KILL"));
            running.WaitAsync(s_patience).GetAwaiter().GetResult();
        });
    }

    private sealed class Held(Action release) : IDisposable
    {
        public void Dispose() => release();
    }
}
