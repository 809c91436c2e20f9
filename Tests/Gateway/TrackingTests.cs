using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>CLIENT TRACKING: who is told of which keys, how, and when.</summary>
public sealed class TrackingTests : GatewayTest
{
    [Fact]
    public async Task A_key_that_was_read_is_invalidated_once_when_it_changes()
    {
        await using RespConnection cache = await TrackingAsync("");
        await cache.LineAsync("GET k");
        await Line("SET other 1");
        await Line("SET k 1");
        Assert.Equal(""">["invalidate", ["k"]]""", (await cache.ReadPushAsync()).ToString());
        await Line("SET k 2");
        await AssertNothingElseAsync(cache);
    }

    /// <summary>Each way in which a key can change.</summary>
    [Theory]
    [InlineData("DEL k")]
    [InlineData("UNLINK k")]
    [InlineData("APPEND k x")]
    [InlineData("EXPIRE k 100")]
    [InlineData("PEXPIREAT k 1")]
    [InlineData("RENAME k other")]
    [InlineData("RENAME source k")]
    [InlineData("COPY source k REPLACE")]
    [InlineData("MOVE k 1")]
    [InlineData("MSET k 1 other 2")]
    [InlineData("BITOP NOT k source")]
    [InlineData("SUNIONSTORE k none")]
    [InlineData("SORT list STORE k")]
    [InlineData("LMOVE list k LEFT RIGHT")]
    [InlineData("EVAL return(redis.call('set',KEYS[1],'1')) 1 k")]
    public async Task Every_change_invalidates(string change)
    {
        await Redis.PipelineAsync([["SET", "source", "1"], ["RPUSH", "list", "1"]]);
        if (change.StartsWith("LMOVE", StringComparison.Ordinal)) await Line("RPUSH k 1");
        else await Line("SET k 1");
        await using RespConnection cache = await TrackingAsync("");
        await cache.LineAsync("EXISTS k");
        Assert.False((await Redis.LineAsync(change)).IsError);
        Assert.Equal(""">["invalidate", ["k"]]""", (await cache.ReadPushAsync()).ToString());
        await AssertNothingElseAsync(cache);
    }

    [Theory]
    [InlineData("FLUSHALL")]
    [InlineData("FLUSHDB ASYNC")]
    [InlineData("SWAPDB 0 1")]
    public async Task A_change_of_a_whole_database_invalidates_everything(string change)
    {
        await using RespConnection cache = await TrackingAsync(""), broadcast = await TrackingAsync("BCAST PREFIX x");
        await cache.LineAsync("GET k");
        Assert.Equal(1, await Redis.InfoAsync("tracking_total_keys"));
        await Line(change);
        Assert.Equal(""">["invalidate", nil]""", (await cache.ReadPushAsync()).ToString());
        Assert.Equal(""">["invalidate", nil]""", (await broadcast.ReadPushAsync()).ToString());
        Assert.Equal(0, await Redis.InfoAsync("tracking_total_keys"));
        await Line("SET k 1");
        await AssertNothingElseAsync(cache);
    }

    [Fact]
    public async Task A_key_that_expires_or_is_evicted_is_invalidated()
    {
        Server.Store.ActiveExpiry.Start();
        await using RespConnection cache = await TrackingAsync("");
        await Line("SET k 1");
        await Line("HSET h f 1");
        await cache.LineAsync("GET k");
        await cache.LineAsync("HGET h f");
        await Line("PEXPIRE k 1");
        Assert.Equal(""">["invalidate", ["k"]]""", (await cache.ReadPushAsync()).ToString());
        await Line("HPEXPIRE h 1 FIELDS 1 f");
        Assert.Equal(""">["invalidate", ["h"]]""", (await cache.ReadPushAsync()).ToString());
        await Eventually.TrueAsync(async () => (await Redis.LineAsync("DBSIZE")).Integer == 0);
        await Line("SET evicted 1");
        await cache.LineAsync("GET evicted");
        await Line("CONFIG SET maxmemory-policy allkeys-random");
        await Line("CONFIG SET maxmemory 1");
        await Line("PING");
        Assert.Equal(""">["invalidate", ["evicted"]]""", (await cache.ReadPushAsync()).ToString());
    }

    [Fact]
    public async Task A_key_that_expires_after_it_was_read_is_invalidated_by_the_command_that_notices()
    {
        await using RespConnection cache = await TrackingAsync("");
        // For a transaction time stands still, so that it reads the key before that expires.
        await cache.PipelineAsync([["MULTI"], ["SET", "k", "1", "PX", "1"], ["GET", "k"], ["EXEC"]]);
        await Eventually.TrueAsync(async () => (await Redis.LineAsync("GET k")).IsNull);
        Assert.Equal(""">["invalidate", ["k"]]""", (await cache.ReadPushAsync()).ToString());
    }

    [Fact]
    public async Task Own_changes_invalidate_after_the_reply_and_not_at_all_with_NOLOOP()
    {
        await using RespConnection cache = await TrackingAsync(""), noLoop = await TrackingAsync("NOLOOP");
        foreach (RespConnection client in (RespConnection[])[cache, noLoop]) await client.LineAsync("MGET a b");
        await cache.SendAsync("MSET", "a", "1", "b", "2");
        Assert.Equal("+OK", (await cache.ReadAsync()).ToString());
        Assert.Empty(cache.Pushes);
        Assert.Equal(""">["invalidate", ["a"]]""", (await cache.ReadPushAsync()).ToString());
        Assert.Equal(""">["invalidate", ["b"]]""", (await cache.ReadPushAsync()).ToString());
        await noLoop.ReadPushAsync();
        await noLoop.ReadPushAsync();
        await noLoop.LineAsync("MGET a b");
        await noLoop.LineAsync("SET a 3");
        await Line("SET b 3");
        Assert.Equal(""">["invalidate", ["b"]]""", (await noLoop.ReadPushAsync()).ToString());
        await AssertNothingElseAsync(noLoop);
    }

    [Fact]
    public async Task Invalidations_do_not_come_into_the_reply_of_a_transaction()
    {
        await using RespConnection cache = await TrackingAsync("");
        await cache.LineAsync("GET k");
        await cache.PipelineAsync([["MULTI"], ["SET", "k", "1"], ["GET", "k"]]);
        await cache.SendAsync("EXEC");
        Assert.Equal("""[+OK, "1"]""", (await cache.ReadAsync()).ToString());
        Assert.Equal(""">["invalidate", ["k"]]""", (await cache.ReadPushAsync()).ToString());
        // What the transaction has read is tracked.
        await Line("SET k 2");
        Assert.Equal(""">["invalidate", ["k"]]""", (await cache.ReadPushAsync()).ToString());
    }

    [Fact]
    public async Task Of_a_script_the_keys_that_it_reads_are_tracked()
    {
        await using RespConnection cache = await TrackingAsync("");
        await cache.CallAsync("EVAL", "redis.call('get', KEYS[1])", 2, "read", "declared");
        await cache.CallAsync("EVAL_RO", "return redis.call('exists', KEYS[1])", 1, "also");
        await Redis.PipelineAsync([["SET", "declared", "1"], ["SET", "read", "1"], ["SET", "also", "1"]]);
        Assert.Equal(""">["invalidate", ["read"]]""", (await cache.ReadPushAsync()).ToString());
        Assert.Equal(""">["invalidate", ["also"]]""", (await cache.ReadPushAsync()).ToString());
        await AssertNothingElseAsync(cache);
    }

    [Fact]
    public async Task With_OPTIN_only_what_follows_CACHING_YES_is_tracked()
    {
        await using RespConnection cache = await TrackingAsync("OPTIN");
        await cache.PipelineAsync([["GET", "a"], ["CLIENT", "CACHING", "YES"], ["CLIENT", "ID"], ["GET", "b"], ["GET", "c"]]);
        await cache.PipelineAsync([["CLIENT", "CACHING", "YES"], ["MULTI"], ["GET", "d"], ["GET", "e"], ["EXEC"], ["GET", "f"]]);
        await cache.PipelineAsync([["CLIENT", "CACHING", "YES"], ["SET", "x", "1"], ["GET", "g"]]);
        await Line("MSET a 1 b 1 c 1 d 1 e 1 f 1 g 1");
        foreach (string key in (string[])["b", "d", "e"]) Assert.Equal($""">["invalidate", ["{key}"]]""", (await cache.ReadPushAsync()).ToString());
        await AssertNothingElseAsync(cache);
    }

    [Fact]
    public async Task With_OPTOUT_what_follows_CACHING_NO_is_not_tracked()
    {
        await using RespConnection cache = await TrackingAsync("OPTOUT");
        await cache.PipelineAsync([["GET", "a"], ["CLIENT", "CACHING", "NO"], ["GET", "b"], ["GET", "c"]]);
        await Line("MSET a 1 b 1 c 1");
        foreach (string key in (string[])["a", "c"]) Assert.Equal($""">["invalidate", ["{key}"]]""", (await cache.ReadPushAsync()).ToString());
        await AssertNothingElseAsync(cache);
    }

    [Fact]
    public async Task With_BCAST_all_keys_with_a_prefix_come_together()
    {
        await using RespConnection all = await TrackingAsync("BCAST"), some = await TrackingAsync("BCAST PREFIX a: PREFIX b: NOLOOP");
        await Redis.PipelineAsync([["MULTI"], ["SET", "a:1", "1"], ["SET", "b:1", "1"], ["SET", "a:2", "1"], ["SET", "c", "1"], ["EXEC"]]);
        Assert.Equal(["a:1", "a:2", "b:1", "c"], await KeysAsync(all, 4));
        Assert.Equal(["a:1", "a:2", "b:1"], await KeysAsync(some, 3));
        await some.LineAsync("SET a:1 2");
        Assert.Equal(["a:1"], await KeysAsync(all, 1));
        await AssertNothingElseAsync(some);
        await some.LineAsync("CLIENT TRACKING ON BCAST PREFIX c");
        await Line("SET cc 1");
        Assert.Equal(["cc"], await KeysAsync(some, 1));
        Assert.Equal(4, await Redis.InfoAsync("tracking_total_prefixes"));
    }

    [Fact]
    public async Task Invalidations_can_go_to_a_subscriber_in_RESP2()
    {
        await using RespConnection heard = await Server.ConnectAsync();
        long id = (await heard.LineAsync("CLIENT ID")).Integer;
        await Line($"CLIENT TRACKING ON REDIRECT {id}");
        Assert.Equal($":{id}", await Line("CLIENT GETREDIR"));
        await Line("GET before");
        await Line("SET before 1"); // nobody listens yet
        await heard.LineAsync("SUBSCRIBE __redis__:invalidate");
        await Line("GET k");
        await Line("SET k 1");
        Assert.Equal("""["message", "__redis__:invalidate", ["k"]]""", (await heard.ReadAsync()).ToString());
        await Line("FLUSHALL");
        Assert.Equal("""["message", "__redis__:invalidate", nil]""", (await heard.ReadAsync()).ToString());
        await heard.LineAsync("UNSUBSCRIBE");
        await heard.HelloAsync();
        await Line("GET k");
        await Line("SET k 2");
        Assert.Equal(""">["invalidate", ["k"]]""", (await heard.ReadPushAsync()).ToString());
    }

    [Fact]
    public async Task A_redirection_to_a_client_that_has_gone_is_told()
    {
        RespConnection target = await Server.ConnectAsync();
        long id = (await target.LineAsync("CLIENT ID")).Integer;
        await using RespConnection cache = await TrackingAsync($"REDIRECT {id}");
        await cache.LineAsync("GET k");
        Assert.Equal("+OK", (await target.LineAsync("QUIT")).ToString());
        await Line("SET k 1");
        Assert.Equal($""">["tracking-redir-broken", :{id}]""", (await cache.ReadPushAsync()).ToString());
        string info = (await cache.LineAsync("CLIENT TRACKINGINFO")).ToString();
        Assert.Equal($$"""{"flags": ~["on", "broken_redirect"], "redirect": :{{id}}, "prefixes": []}""", info);
        Assert.Contains("flags=tRU ", (await cache.LineAsync("CLIENT LIST")).Text, StringComparison.Ordinal);
        Assert.Equal("-ERR The client ID you want redirect to does not exist", (await cache.LineAsync($"CLIENT TRACKING ON REDIRECT {id}")).ToString());
        await target.DisposeAsync();
    }

    [Fact]
    public async Task The_table_keeps_to_its_limit_and_tells_whose_keys_it_forgets()
    {
        await using RespConnection cache = await TrackingAsync("");
        for (int i = 0; i < 10; i++) await cache.LineAsync($"GET k{i}");
        Assert.Equal(10, await Redis.InfoAsync("tracking_total_keys"));
        Assert.Equal(10, await Redis.InfoAsync("tracking_total_items"));
        await Line("CONFIG SET tracking-table-max-keys 3");
        Assert.Equal(7, (await KeysAsync(cache, 7)).Distinct().Count());
        await cache.LineAsync("GET another");
        await KeysAsync(cache, 1);
        Assert.Equal(3, await Redis.InfoAsync("tracking_total_keys"));
        await Line("CONFIG SET tracking-table-max-keys 0");
        for (int i = 0; i < 10; i++) await cache.LineAsync($"GET k{i}");
        await AssertNothingElseAsync(cache);
    }

    [Fact]
    public async Task Tracking_ends_with_OFF_with_RESET_and_with_the_connection()
    {
        await using RespConnection cache = await TrackingAsync(""), broadcast = await TrackingAsync("BCAST PREFIX p"), third = await TrackingAsync("BCAST");
        await cache.LineAsync("GET k");
        Assert.Equal(3, await Redis.InfoAsync("tracking_clients"));
        await cache.LineAsync("CLIENT TRACKING OFF");
        await Line("SET k 1");
        await AssertNothingElseAsync(cache);
        Assert.Equal("""{"flags": ~["off"], "redirect": :-1, "prefixes": []}""", (await cache.LineAsync("CLIENT TRACKINGINFO")).ToString());
        await broadcast.LineAsync("RESET");
        await broadcast.HelloAsync();
        await Line("SET p 1");
        await AssertNothingElseAsync(broadcast);
        Assert.Equal(1, await Redis.InfoAsync("tracking_clients"));
        await third.DisposeAsync();
        await Eventually.TrueAsync(async () => await Redis.InfoAsync("tracking_clients") == 0);
        Assert.Equal(0, await Redis.InfoAsync("tracking_total_prefixes"));
        Assert.Null(Server.Store.Tracking);
    }

    [Fact]
    public async Task A_client_in_RESP2_gets_nothing()
    {
        await Line("CLIENT TRACKING ON");
        await Line("GET k");
        await using RespConnection other = await Server.ConnectAsync();
        await other.LineAsync("SET k 1");
        Assert.Equal("\"1\"", await Line("GET k"));
    }

    [Fact]
    public async Task Invalidations_are_sent_whatever_CLIENT_REPLY_says()
    {
        await using RespConnection cache = await TrackingAsync("");
        await cache.LineAsync("GET k");
        await cache.SendAsync("CLIENT", "REPLY", "OFF");
        await cache.SendAsync("SET", "k", "1");
        Assert.Equal(""">["invalidate", ["k"]]""", (await cache.ReadPushAsync()).ToString());
        await cache.SendAsync("CLIENT", "REPLY", "ON");
        Assert.Equal("+OK", (await cache.ReadAsync()).ToString());
    }

    [Fact]
    public async Task What_a_blocked_command_has_changed_is_told_after_its_reply()
    {
        await using RespConnection cache = await TrackingAsync("");
        await cache.LineAsync("LRANGE to 0 -1");
        await cache.SendAsync("BLMOVE", "from", "to", "LEFT", "LEFT", "0");
        await Server.BlockedAsync(1);
        await Line("RPUSH from x");
        Assert.Equal("\"x\"", (await cache.ReadAsync()).ToString());
        Assert.Empty(cache.Pushes);
        Assert.Equal(""">["invalidate", ["to"]]""", (await cache.ReadPushAsync()).ToString());
    }

    [Fact]
    public async Task While_a_command_waits_invalidations_are_told_at_once()
    {
        await using RespConnection cache = await TrackingAsync("");
        await cache.LineAsync("GET k");
        await cache.SendAsync("BLPOP", "list", "0");
        await Server.BlockedAsync(1);
        await Line("SET k 1");
        Assert.Equal(""">["invalidate", ["k"]]""", (await cache.ReadPushAsync()).ToString());
        await Line("RPUSH list x");
        Assert.Equal("""["list", "x"]""", (await cache.ReadAsync()).ToString());
    }

    [Theory]
    [InlineData("", "PREFIX a", "PREFIX option requires BCAST mode to be enabled")]
    [InlineData("", "BCAST OPTIN", "OPTIN and OPTOUT are not compatible with BCAST")]
    [InlineData("", "OPTIN OPTOUT", "You can't specify both OPTIN mode and OPTOUT mode")]
    [InlineData("", "REDIRECT 0", "The client ID you want redirect to does not exist")]
    [InlineData("", "REDIRECT x", "value is not an integer or out of range")]
    [InlineData("", "NONSENSE", "syntax error")]
    [InlineData("", "PREFIX", "syntax error")]
    [InlineData("OPTIN", "OPTOUT",
        "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.")]
    [InlineData("BCAST", "NOLOOP",
        "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.")]
    [InlineData("", "BCAST PREFIX FOOBAR PREFIX FOO",
        "Prefix 'FOOBAR' overlaps with another provided prefix 'FOO'. Prefixes for a single client must not overlap.")]
    [InlineData("BCAST PREFIX FOO", "BCAST PREFIX FO",
        "Prefix 'FO' overlaps with an existing prefix 'FOO'. Prefixes for a single client must not overlap.")]
    public async Task What_does_not_go_together_is_refused(string former, string options, string error)
    {
        if (former.Length > 0) Assert.Equal("+OK", await Line($"CLIENT TRACKING ON {former}"));
        Assert.Equal("-ERR " + error, await Line($"CLIENT TRACKING ON {options}"));
    }

    [Fact]
    public async Task CACHING_is_refused_where_it_says_nothing()
    {
        Assert.Equal(
            "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled", await Line("CLIENT CACHING YES"));
        await Line("CLIENT TRACKING ON OPTIN");
        Assert.Equal("-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.", await Line("CLIENT CACHING NO"));
        Assert.Equal("-ERR syntax error", await Line("CLIENT CACHING MAYBE"));
        Assert.Equal("+OK", await Line("CLIENT CACHING YES"));
        Assert.Equal("""["flags", ["on", "optin", "caching-yes"], "redirect", :0, "prefixes", []]""", await Line("CLIENT TRACKINGINFO"));
        await Line("CLIENT TRACKING OFF");
        await Line("CLIENT TRACKING ON OPTOUT");
        Assert.Equal("-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.", await Line("CLIENT CACHING YES"));
    }

    private async Task<RespConnection> TrackingAsync(string options)
    {
        RespConnection client = await Server.ConnectAsync();
        await client.HelloAsync();
        Assert.Equal("+OK", (await client.LineAsync($"CLIENT TRACKING ON {options}")).ToString());
        return client;
    }

    /// <summary>The next so many keys of which a client is told, in order.</summary>
    private static async Task<string[]> KeysAsync(RespConnection client, int count)
    {
        List<string> keys = [];
        while (keys.Count < count)
        {
            RespValue push = await client.ReadPushAsync();
            Assert.Equal("invalidate", push[0].Text);
            keys.AddRange(push[1].Items.Select(key => key.Text));
        }
        Assert.Equal(count, keys.Count);
        return [.. keys.Order(StringComparer.Ordinal)];
    }

    /// <summary>All that this server has to tell so far has been told before the reply to another command.</summary>
    private static async Task AssertNothingElseAsync(RespConnection client)
    {
        Assert.Equal("+PONG", (await client.LineAsync("PING")).ToString());
        Assert.Empty(client.Pushes);
    }
}
