using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class ModuleAndRoleTests
{
    [Fact]
    public void There_are_no_modules_and_none_can_be_loaded()
    {
        using var redis = new EngineHarness();
        Assert.Equal("[]", redis.Show("MODULE LIST"));
        Assert.StartsWith("-ERR MODULE command not allowed.", redis.Show("MODULE LOAD /x.so"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR MODULE command not allowed.", redis.Show("MODULE UNLOAD x"), StringComparison.Ordinal);
        redis.Store.Options.EnableModuleCommand = LocalAccess.Yes;
        Assert.Equal("-ERR Error loading the extension. Please check the server logs.", redis.Show("MODULE LOAD /x.so"));
        Assert.Equal("-ERR Error loading the extension. Please check the server logs.", redis.Show("MODULE LOADEX /x.so ARGS 1"));
        Assert.Equal("-ERR Error unloading module: no such module with that name", redis.Show("MODULE UNLOAD x"));
    }

    [Fact]
    public void It_is_a_master_whose_offset_grows_with_each_write()
    {
        using var redis = new EngineHarness();
        object?[] before = (object?[])redis.Run("ROLE")!;
        Assert.Equal("master", before[0]);
        Assert.Empty((object?[])before[2]!);
        redis.Run("SET", "k", "v");
        Assert.True((long)((object?[])redis.Run("ROLE")!)[1]! > (long)before[1]!);
    }
}
