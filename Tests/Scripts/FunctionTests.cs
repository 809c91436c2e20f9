using OrleansRedis.Tests.Persistence;
using Xunit;

namespace OrleansRedis.Tests.Scripts;

/// <summary>Libraries of functions: loading, calling, and surviving a restart.</summary>
public sealed class FunctionTests : IDisposable
{
    private const string Library = """
        #!lua name=lib
        local function add(keys, args) return redis.call('incrby', keys[1], args[1]) end
        redis.register_function('add', add)
        redis.register_function{function_name = 'get', callback = function(keys) return redis.call('get', keys[1]) end,
            flags = {'no-writes'}, description = 'reads'}
        """;

    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Fact]
    public void Functions_are_called_with_their_keys_and_arguments()
    {
        Assert.Equal("lib", _redis.Run("FUNCTION", "LOAD", Library));
        Assert.Equal(5L, _redis.Run("FCALL", "add", "1", "a", "5"));
        Assert.Equal("5", _redis.Run("FCALL_RO", "GET", "1", "a"));
        Assert.Equal("-ERR Can not execute a script with write flag using *_ro command.\r\n", _redis.Raw("FCALL_RO", "add", "1", "a", "5"));
        Assert.Equal("-ERR Function not found\r\n", _redis.Raw("FCALL", "none", "0"));
        Assert.Equal("-ERR Bad number of keys provided\r\n", _redis.Raw("FCALL", "add", "x"));
        Assert.Contains("lib", _redis.Show("FUNCTION LIST"), StringComparison.Ordinal);
        Assert.Contains("reads", _redis.Show("FUNCTION LIST LIBRARYNAME L*"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("return 1", "Missing library metadata")]
    [InlineData("#!lua\nreturn 1", "Library name was not given")]
    [InlineData("#!js name=x\nreturn 1", "Engine 'js' not found")]
    [InlineData("#!lua name=x-y\nreturn 1", "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long")]
    [InlineData("#!lua name=x\nreturn 1", "No functions registered")]
    [InlineData("#!lua name=x\nreturn (", "Error compiling function: user_function:2: unexpected symbol near '<eof>'")]
    [InlineData("#!lua name=x\nredis.call('get', 'a')", "nonexistent global variable 'call'")]
    [InlineData("#!lua name=x\nlocal t = string.rep('x', 3)", "nonexistent global variable 'string'")]
    [InlineData("#!lua name=x\nredis.register_function('f')", "calling redis.register_function with a single argument is only applicable to Lua table")]
    [InlineData("#!lua name=x\nredis.register_function('f', 1)", "second argument to redis.register_function must be a function")]
    [InlineData("#!lua name=x\nredis.register_function{function_name='f', callback=function() end, flags={'x'}}", "unknown flag given")]
    [InlineData("#!lua name=x\nfor i = 1, 2 do redis.register_function('f', function() end) end", "Function already exists in the library")]
    public void A_wrong_library_is_refused(string code, string error)
    {
        Assert.Contains(error, _redis.Raw("FUNCTION", "LOAD", code), StringComparison.Ordinal);
        Assert.Empty(_redis.Files.Functions.Codes);
        Assert.Empty(_redis.TakeEffects());
    }

    [Fact]
    public void A_library_that_takes_too_long_to_load_is_refused() =>
        Assert.Contains("FUNCTION LOAD timeout", _redis.Raw("FUNCTION", "LOAD", "#!lua name=x\nwhile true do end"), StringComparison.Ordinal);

    [Fact]
    public void Libraries_are_replaced_deleted_dumped_and_restored()
    {
        _redis.Run("FUNCTION", "LOAD", Library);
        Assert.Equal("-ERR Library 'lib' already exists\r\n", _redis.Raw("FUNCTION", "LOAD", Library));
        Assert.Equal("lib", _redis.Run("FUNCTION", "LOAD", "REPLACE", Library.Replace("incrby", "decrby", StringComparison.Ordinal)));
        Assert.Equal(-5L, _redis.Run("FCALL", "add", "1", "a", "5"));
        var payload = (string)_redis.Run("FUNCTION", "DUMP")!;
        Assert.Equal("OK", _redis.Run("FUNCTION", "DELETE", "lib"));
        Assert.Equal("-ERR Library not found\r\n", _redis.Raw("FUNCTION", "DELETE", "lib"));
        Assert.Equal("-ERR Function not found\r\n", _redis.Raw("FCALL", "add", "1", "a", "5"));
        Assert.Equal("OK", _redis.Run("FUNCTION", "RESTORE", payload));
        Assert.Equal(-10L, _redis.Run("FCALL", "add", "1", "a", "5"));
        Assert.Equal("-ERR Library lib already exists\r\n", _redis.Raw("FUNCTION", "RESTORE", payload));
        Assert.Equal("OK", _redis.Run("FUNCTION", "RESTORE", payload, "REPLACE"));
        Assert.Equal("-ERR DUMP payload version or checksum are wrong\r\n", _redis.Raw("FUNCTION", "RESTORE", payload[1..]));
        using EngineHarness copy = _redis.Replay();
        Assert.Equal("-10", copy.Run("FCALL_RO", "get", "1", "a"));
    }

    [Fact]
    public void Libraries_are_there_again_after_a_restart()
    {
        using var redis = new AofHarness();
        redis.Run("FUNCTION", "LOAD", Library);
        redis.Run("FCALL", "add", "1", "a", "5");
        redis.Close();
        using AofHarness again = redis.Restart();
        Assert.Equal(6L, again.Run("FCALL", "add", "1", "a", "1"));
    }

    [Fact]
    public void Libraries_are_loaded_from_a_snapshot()
    {
        _redis.Run("FUNCTION", "LOAD", Library);
        using var other = new EngineHarness();
        foreach (byte[] code in _redis.Files.Functions.Codes) Assert.True(other.Files.Functions.TryAdd(code));
        Assert.Equal(5L, other.Run("FCALL", "add", "1", "a", "5"));
    }
}
