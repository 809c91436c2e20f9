using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// The memory that the process has, next to what its data take. What is no longer needed goes back to the system by
/// itself; tests wait until it has. "At rest" is what the process takes once it has done everything once: compiled code
/// is not due to the data.
/// </summary>
public sealed class ResidentMemoryTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const long Mebibyte = 1 << 20, MostOverRest = 60 * Mebibyte;

    private RedisProcess _server = null!;
    private RespConnection _redis = null!;

    public async Task InitializeAsync()
    {
        _server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        _redis = await _server.ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _server.DisposeAsync();
    }

    [Fact]
    public async Task What_was_flushed_goes_back_to_the_system_however_small_it_was()
    {
        await FillAsync(10_000);
        await _redis.CallAsync("FLUSHALL");
        await FallsToAsync("allocator_resident", 8 * Mebibyte);
        long rest = await _redis.InfoAsync("used_memory_rss");
        await FillAsync(600_000);
        Assert.InRange(await _redis.InfoAsync("used_memory_rss"), rest + MostOverRest, long.MaxValue);
        await _redis.CallAsync("FLUSHALL");
        await FallsToAsync("allocator_resident", 8 * Mebibyte);
        await FallsToAsync("used_memory_rss", rest + MostOverRest);
    }

    [Fact]
    public async Task A_hundred_megabytes_leave_nothing_behind()
    {
        await UseLargeValuesAsync(1 * Mebibyte);
        await _redis.CallAsync("FLUSHALL");
        await FallsToAsync("allocator_resident", 8 * Mebibyte);
        long rest = await _redis.InfoAsync("used_memory_rss");
        for (int round = 0; round < 2; round++)
        {
            await UseLargeValuesAsync(100 * Mebibyte);
            await _redis.CallAsync("FLUSHALL");
            await FallsToAsync("used_memory_rss", rest + MostOverRest);
        }
    }

    private async Task UseLargeValuesAsync(long bytes)
    {
        byte[] value = new byte[bytes];
        Array.Fill(value, (byte)'v');
        await _redis.CallAsync("SET", "string", value);
        Assert.Equal(bytes, (await _redis.CallAsync("GET", "string")).Bytes.Length);
        await _redis.CallAsync("APPEND", "string", value);
        await _redis.CallAsync("SET", "string", value);
        byte[] dump = (await _redis.CallAsync("DUMP", "string")).Bytes;
        Assert.Equal("+OK", (await _redis.CallAsync("RESTORE", "string", 0, dump, "REPLACE")).ToString());
        await _redis.CallAsync("DEL", "string");
        byte[] element = new byte[bytes / 100];
        await _redis.PipelineAsync([.. Enumerable.Range(0, 100).Select(_ => (RespArgument[])["RPUSH", "list", element])]);
        Assert.Equal(100, (await _redis.CallAsync("LRANGE", "list", 0, -1)).Items.Count);
    }

    private async Task FillAsync(int keys)
    {
        const int BatchCommands = 5000;
        string value = new('v', 100);
        for (int begin = 0; begin < keys; begin += BatchCommands)
            await _redis.PipelineAsync([.. Enumerable.Range(begin, BatchCommands).Select(i => (RespArgument[])["SET", $"key:{i}", value])]);
    }

    private async Task FallsToAsync(string field, long bytes)
    {
        long now = 0;
        await Eventually.TrueAsync(
            async () => (now = await _redis.InfoAsync(field)) <= bytes,
            () => $"{field} is {now:N0}, and was to be {bytes:N0} at most");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{field}: {now:N0}, at most {bytes:N0}"));
    }
}
