using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class ValueDigestTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    /// <summary>The digests that redis-server's DEBUG DIGEST-VALUE gives.</summary>
    [Theory]
    [InlineData("SET k abc", "21ffcd2d36aebffca02995acb412bcb827d4c1db")]
    [InlineData("SET k 123", "89f7f51b707418f666d5b45e053bd5bbbf82ac2b")]
    [InlineData("SET k 123;EXPIRE k 1000", "6f720be4ac4df2a2a7c35fa640511a20a52ceda8")]
    [InlineData("RPUSH k a b 1 2 3 a", "99c610cb48d6c80c37dbd9ad61ed30cdfee1703c")]
    [InlineData("SADD k 1 2 3", "2a462a3f51a1db89738ebbeef0c47ce1bbc85246")]
    [InlineData("SADD k a b 1", "e8f32bbb1ad9bf537c8867de4f19fec9e001296d")]
    [InlineData("ZADD k 1 a 2.5 b -3 7 inf z", "f5a021d3412c9f8af3e86f89ca84acd012cb1078")]
    [InlineData("HSET k a 1 b two 3 x", "5f0e482c6208c70cd3328e8f5971391264e3c4ff")]
    [InlineData("XADD k 1-1 a b;XADD k 1-2 a c;XADD k 5-0 x y z 9", "6f3a8ad9db4e47d121906efad75a69a43e841bd7")]
    [InlineData("DEL k", "0000000000000000000000000000000000000000")]
    public void A_value_has_the_digest_that_Redis_gives_it(string lines, string digest)
    {
        foreach (string line in lines.Split(';')) Assert.DoesNotContain("-ERR", _redis.Show(line));
        Assert.Equal(digest, KeyspaceDigest.OfKey(_redis.Store.Slots[KeySlot.Of("k"u8)], "k"u8, 0));
    }

    [Fact]
    public void The_digest_of_everything_is_that_of_Redis()
    {
        _redis.Run("MSET", "a", "1", "b", "2");
        _redis.Run("SELECT", "3");
        _redis.Run("SET", "c", "x", "EX", "100");
        Assert.Equal("bbd6d7a2154d3a61a69d8a96bf8fa6ad11a86967", KeyspaceDigest.OfAll(_redis.Store.Slots));
        _redis.Run("FLUSHALL");
        Assert.Equal(new string('0', 40), KeyspaceDigest.OfAll(_redis.Store.Slots));
    }
}
