using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Client-side caching of keys of other silos.</summary>
public sealed class RoutedTrackingTests : IAsyncLifetime
{
    private RoutedCluster _cluster = null!;
    private RespConnection _redis = null!, _other = null!;
    private string _far = "", _near = "";

    public async Task InitializeAsync()
    {
        _cluster = await RoutedCluster.StartAsync();
        _redis = await _cluster[0].ConnectAsync();
        _other = await _cluster[2].ConnectAsync();
        (_near, _far) = (_cluster.KeyOf(0), _cluster.KeyOf(1));
        await _redis.HelloAsync();
    }

    public async Task DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _other.DisposeAsync();
        await _cluster.DisposeAsync();
    }

    [Fact]
    public async Task A_key_that_was_read_elsewhere_is_invalidated_once_it_changes()
    {
        await _redis.LineAsync("CLIENT TRACKING ON");
        for (int i = 0; i < 3; i++)
        {
            await _redis.PipelineAsync(["GET", _far], ["GET", _near]);
            await _other.CallAsync("SET", _far, i);
            Assert.Equal(Invalidated(_far), (await _redis.ReadPushAsync()).ToString());
            await _other.CallAsync("SET", _near, i);
            Assert.Equal(Invalidated(_near), (await _redis.ReadPushAsync()).ToString());
        }
        await _redis.CallAsync("MGET", _far, _near);
        await _other.CallAsync("DEL", _far, _near);
        string[] both = [(await _redis.ReadPushAsync()).ToString(), (await _redis.ReadPushAsync()).ToString()];
        Assert.Equal(((string[])[Invalidated(_far), Invalidated(_near)]).Order(), both.Order());
        await _redis.LineAsync("CLIENT TRACKING OFF");
        await _redis.CallAsync("GET", _far);
        await _other.CallAsync("SET", _far, "x");
        Assert.Equal("\"x\"", (await _redis.CallAsync("GET", _far)).ToString());
        Assert.Empty(_redis.Pushes);
    }

    [Fact]
    public async Task Own_changes_do_not_count_with_noloop()
    {
        await _redis.LineAsync("CLIENT TRACKING ON NOLOOP");
        await _redis.PipelineAsync(["GET", _far], ["SET", _far, "mine"], ["GET", _far]);
        await _other.CallAsync("SET", _far, "other");
        Assert.Equal(Invalidated(_far), (await _redis.ReadPushAsync()).ToString());
        await _redis.LineAsync("PING");
        Assert.Empty(_redis.Pushes);
    }

    [Fact]
    public async Task What_client_caching_says_holds_for_one_command()
    {
        string second = _cluster.KeyOf(1, "second");
        await _redis.LineAsync("CLIENT TRACKING ON OPTIN");
        await _redis.PipelineAsync(["CLIENT", "CACHING", "YES"], ["GET", _far], ["GET", second], ["CLIENT", "CACHING", "YES"], ["GET", _far]);
        await _other.CallAsync("SET", second, "x");
        await _other.CallAsync("SET", _far, "x");
        Assert.Equal(Invalidated(_far), (await _redis.ReadPushAsync()).ToString());
        await _redis.LineAsync("CLIENT TRACKING OFF");
        await _redis.LineAsync("CLIENT TRACKING ON OPTOUT");
        await _redis.PipelineAsync(["GET", _far], ["CLIENT", "CACHING", "NO"], ["GET", second], ["GET", _near]);
        await _other.CallAsync("SET", second, "y");
        await _other.CallAsync("SET", _far, "y");
        Assert.Equal(Invalidated(_far), (await _redis.ReadPushAsync()).ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Whoever_may_not_be_told_any_more_forgets_everything(bool breaks)
    {
        await _redis.LineAsync("CLIENT TRACKING ON");
        await _redis.CallAsync("GET", _far);
        if (breaks) _cluster.Break(0, 1);
        else await _cluster.MoveAsync(RoutedCluster.SlotOf(_far), 2);
        Assert.Equal(""">["invalidate", nil]""", (await _redis.ReadPushAsync()).ToString());
    }

    [Fact]
    public async Task Prefixes_are_refused()
    {
        Assert.StartsWith("-ERR CLIENT TRACKING with BCAST", (await _redis.LineAsync("CLIENT TRACKING ON BCAST")).ToString());
        Assert.Equal("nil", (await _redis.CallAsync("GET", _far)).ToString());
    }

    private static string Invalidated(string key) => $""">["invalidate", ["{key}"]]""";
}
