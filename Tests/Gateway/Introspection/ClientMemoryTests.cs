using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>maxmemory-clients. A client takes memory here by announcing a large argument and sending a part of it.</summary>
public sealed class ClientMemoryTests : GatewayTest
{
    private const int Mebibyte = 1 << 20;

    private async Task<RespConnection> FillAsync(string name, int bytes)
    {
        RespConnection client = await Server.ConnectAsync();
        Assert.Equal("+OK", (await client.LineAsync($"CLIENT SETNAME {name}")).ToString());
        try
        {
            await client.SendRawAsync($"*2\r\n${bytes + 100}\r\n{new string('v', bytes)}");
        }
        catch (IOException)
        {
            // It was evicted before it had sent everything.
        }
        return client;
    }

    private async Task<string> ListAsync() => (await Redis.LineAsync("CLIENT LIST")).Text;

    private async Task<long> TotalOfAsync(string name)
    {
        string? line = (await ListAsync()).Split('\n').FirstOrDefault(line => line.Contains($" name={name} ", StringComparison.Ordinal));
        return line is null ? -1 : long.Parse(line.Split(" tot-mem=")[1].Split(' ')[0]);
    }

    private Task HoldsAsync(string name, int bytes) => Eventually.TrueAsync(async () => await TotalOfAsync(name) >= bytes);

    private Task IsGoneAsync(string name) => Eventually.TrueAsync(async () => await TotalOfAsync(name) < 0);

    [Fact]
    public async Task The_largest_clients_are_disconnected_until_the_rest_is_below_the_limit()
    {
        await Line("CLIENT NO-EVICT ON");
        await using RespConnection small = await FillAsync("small", Mebibyte / 8);
        await using RespConnection large = await FillAsync("large", 3 * Mebibyte);
        await using RespConnection other = await FillAsync("other", Mebibyte);
        await HoldsAsync("small", Mebibyte / 8);
        await HoldsAsync("large", 3 * Mebibyte);
        await HoldsAsync("other", Mebibyte);
        Assert.Equal("+OK", await Line("CONFIG SET maxmemory-clients 2mb"));
        Assert.DoesNotContain(" name=large ", await ListAsync(), StringComparison.Ordinal); // at once
        Assert.True(await TotalOfAsync("other") > 0 && await TotalOfAsync("small") > 0);
        Assert.Equal("+OK", await Line("CONFIG SET maxmemory-clients 600kb"));
        Assert.True(await TotalOfAsync("other") < 0 && await TotalOfAsync("small") > 0);
        Assert.Equal(2, await Redis.InfoAsync("evicted_clients"));
        Assert.True(await large.IsClosedByServerAsync());
        await Line("CONFIG RESETSTAT");
        Assert.Equal(0, await Redis.InfoAsync("evicted_clients"));
    }

    [Fact]
    public async Task A_client_that_goes_beyond_the_limit_is_disconnected()
    {
        Options.MaxMemoryClients = 2 * Mebibyte;
        await using RespConnection client = await FillAsync("greedy", 4 * Mebibyte);
        await IsGoneAsync("greedy");
        Assert.True(await Redis.InfoAsync("mem_clients_normal") < 2 * Mebibyte);
    }

    [Fact]
    public async Task What_is_queued_and_watched_counts()
    {
        Options.MaxMemoryClients = Mebibyte;
        await using RespConnection watches = await Server.ConnectAsync(), queues = await Server.ConnectAsync();
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            for (int i = 0; i < 1_000_000; i += 100)
                await watches.LineAsync("WATCH " + string.Join(' ', Enumerable.Range(i, 100)));
        });
        await queues.LineAsync("MULTI");
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            for (int i = 0; i < 1000; i++) await queues.CallAsync("SET", "k", new string('v', 100_000));
        });
        Assert.Equal("+PONG", await Line("PING"));
    }

    [Theory]
    [InlineData("SUBSCRIBE channel")]
    [InlineData("PSUBSCRIBE pattern")]
    [InlineData("SSUBSCRIBE channel")]
    [InlineData("CLIENT TRACKING ON BCAST PREFIX ")]
    public async Task What_is_subscribed_to_counts(string line)
    {
        Options.MaxMemoryClients = 128 * 1024;
        await using RespConnection client = await Server.ConnectAsync();
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            for (int i = 10_000; i < 20_000; i++) await client.LineAsync(line + i);
        });
        Assert.Equal("+PONG", await Line("PING"));
    }

    [Fact]
    public async Task A_client_that_asks_for_it_is_spared_as_long_as_it_does()
    {
        await Line("CLIENT NO-EVICT ON");
        await using RespConnection client = await FillAsync("spared", 0);
        await client.SendRawAsync(new string('v', 100) + "\r\n$1\r\nx\r\n"); // an unknown command
        Assert.StartsWith("-ERR unknown command", (await client.ReadAsync()).ToString(), StringComparison.Ordinal);
        Assert.Equal("+OK", (await client.LineAsync("CLIENT NO-EVICT ON")).ToString());
        Options.MaxMemoryClients = 2 * Mebibyte;
        await client.SendRawAsync($"*2\r\n$4\r\nECHO\r\n${4 * Mebibyte}\r\n{new string('v', 4 * Mebibyte)}");
        await HoldsAsync("spared", 4 * Mebibyte);
        await client.SendRawAsync("\r\n");
        Assert.Equal(4 * Mebibyte, (await client.ReadAsync()).Bytes.Length);
        Assert.Equal("+OK", (await client.LineAsync("CLIENT NO-EVICT OFF")).ToString());
        await client.SendRawAsync($"*2\r\n$4\r\nECHO\r\n${4 * Mebibyte}\r\n");
        try
        {
            await client.SendRawAsync(new string('v', 4 * Mebibyte));
        }
        catch (IOException)
        {
            // It was evicted before it had sent everything.
        }
        await IsGoneAsync("spared");
    }

    [Theory]
    [InlineData("7%", "7%")]
    [InlineData("100%", "100%")]
    [InlineData("0%", "0")]
    [InlineData("3mb", "3145728")]
    [InlineData("0", "0")]
    public async Task The_limit_is_an_amount_or_a_percentage(string value, string shown)
    {
        Assert.Equal("+OK", await Call("CONFIG", "SET", "maxmemory-clients", value));
        Assert.Equal(shown, (await Redis.LineAsync("CONFIG GET maxmemory-clients"))[1].Text);
    }

    [Theory]
    [InlineData("101%", "percentage argument must be less or equal to 100")]
    [InlineData("x%", "argument must be a memory or percent value")]
    [InlineData("x", "argument must be a memory or percent value")]
    [InlineData("-5", "argument must be a memory or percent value")]
    public async Task Anything_else_is_refused(string value, string error) => Assert.Equal(
        $"-ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - {error}", await Call("CONFIG", "SET", "maxmemory-clients", value));

    [Fact]
    public void A_percentage_is_of_maxmemory()
    {
        Options.MaxMemoryClients = -5;
        Assert.Equal(0, Server.Server.ClientMemory.Limit); // no maxmemory, no limit
        Options.MaxMemory = 100 * Mebibyte;
        Assert.Equal(5 * Mebibyte, Server.Server.ClientMemory.Limit);
        Options.MaxMemory = 1;
        Assert.Equal(128 * 1024, Server.Server.ClientMemory.Limit); // the least
    }
}
