using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// Which commands are served in Redis Cluster's protocol, and what is said of the others. This node owns the slots up to
/// 8191 (b: 3300, bar: 5061, c: 7365), another one those from there on (foo: 12182, a: 15495).
/// </summary>
public sealed class ClusterRulesTests
{
    private const string Mine = ClusterNodeHarness.Mine, Other = ClusterNodeHarness.Other;
    private const string MovedFoo = "-MOVED 12182 10.0.0.2:7002", Cross = "-CROSSSLOT Keys in request don't hash to the same slot";

    [Theory]
    [InlineData("SET b 1", "OK")]
    [InlineData("GET foo", MovedFoo)]
    [InlineData("SET foo 1", MovedFoo)]
    [InlineData("MGET b bar", Cross)]
    [InlineData("MGET {b}1 {b}2", "[(nil), (nil)]")]
    [InlineData("MSET {foo}1 1 {foo}2 2", MovedFoo)]
    [InlineData("DEL foo", MovedFoo)]
    [InlineData("DEL b bar", Cross)]
    [InlineData("RENAME b foo", Cross)]
    [InlineData("SORT b STORE foo", Cross)]
    [InlineData("SORT b BY w_* GET #", "-ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.")]
    [InlineData("SORT b GET {b}_*", "[]")]
    [InlineData("SORT b GET {foo}_*", "-ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.")]
    [InlineData("SORT b BY nosort GET #", "[]")]
    [InlineData("XREAD STREAMS b foo 0 0", Cross)]
    [InlineData("XREAD STREAMS foo 0", MovedFoo)]
    [InlineData("EVAL return_1 1 foo", MovedFoo)]
    [InlineData("EVAL return_1 2 b foo", Cross)]
    [InlineData("SPUBLISH foo hello", MovedFoo)]
    [InlineData("SPUBLISH b hello", "0")]
    [InlineData("PUBLISH foo hello", "0")]
    [InlineData("OBJECT ENCODING foo", MovedFoo)]
    [InlineData("MEMORY USAGE foo", MovedFoo)]
    [InlineData("MIGRATE 127.0.0.1 7000 foo 0 10", MovedFoo)]
    [InlineData("SELECT 0", "OK")]
    [InlineData("SELECT 1", "-ERR SELECT is not allowed in cluster mode")]
    [InlineData("SELECT x", "-ERR value is not an integer or out of range")]
    [InlineData("MOVE b 1", "-ERR MOVE is not allowed in cluster mode")]
    [InlineData("SWAPDB 0 1", "-ERR SWAPDB is not allowed in cluster mode")]
    [InlineData("COPY {b}1 {b}2 DB 1", "-ERR Copying to another database is not allowed in cluster mode")]
    [InlineData("COPY {b}1 {b}2 DB 0", "0")]
    [InlineData("DBSIZE", "0")]
    [InlineData("KEYS *", "[]")]
    [InlineData("SCAN 0", "[0, []]")]
    [InlineData("RANDOMKEY", "(nil)")]
    [InlineData("FLUSHALL", "OK")]
    [InlineData("EXEC", "-ERR EXEC without MULTI")]
    [InlineData("GET", "-ERR wrong number of arguments for 'get' command")]
    public void A_command_is_served_if_its_slot_is_here(string line, string reply)
    {
        using var node = ClusterNodeHarness.OfTwo();
        Assert.Equal(reply, node.Show(line));
    }

    [Fact]
    public void A_transaction_with_a_key_that_is_elsewhere_is_given_up()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("MULTI");
        Assert.Equal("QUEUED", node.Show("SET b 1"));
        Assert.Equal(MovedFoo, node.Show("SET foo 1"));
        Assert.Equal("-EXECABORT Transaction discarded because of previous errors.", node.Show("EXEC"));
        Assert.Equal("(nil)", node.Show("GET b"));
    }

    [Fact]
    public void A_transaction_over_two_slots_is_refused_by_exec_and_over()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("MULTI");
        node.Show("SET b 1");
        node.Show("SET bar 1");
        Assert.Equal(Cross, node.Show("EXEC"));
        Assert.Equal("-ERR EXEC without MULTI", node.Show("EXEC"));
        Assert.Equal("(nil)", node.Show("GET b"));
    }

    [Fact]
    public void Exec_looks_again_where_its_slot_is()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("MULTI");
        node.Show("SET b 1");
        node.Engine.NewClient().Show($"CLUSTER SETSLOT 3300 NODE {Other}");
        Assert.Equal("-MOVED 3300 10.0.0.2:7002", node.Show("EXEC"));
        Assert.Equal("-ERR EXEC without MULTI", node.Show("EXEC"));
    }

    [Fact]
    public void While_a_slot_is_migrating_what_is_not_here_is_asked_there()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("SET {b}1 1");
        node.Show("HSET {b}h f v");
        node.Show($"CLUSTER SETSLOT 3300 MIGRATING {Other}");
        Assert.Equal("1", node.Show("GET {b}1"));
        Assert.Equal("v", node.Show("HGET {b}h f"));
        Assert.Equal("-ASK 3300 10.0.0.2:7002", node.Show("GET {b}2"));
        Assert.Equal("-ASK 3300 10.0.0.2:7002", node.Show("SET {b}2 1"));
        Assert.Equal("-TRYAGAIN Multiple keys request during rehashing of slot", node.Show("MGET {b}1 {b}2"));
        Assert.Equal("-ASK 3300 10.0.0.2:7002", node.Show("MGET {b}2 {b}3"));
        Assert.Equal("OK", node.Show("MSET {b}1 2 {b}h 3"));
        Assert.Equal("3", node.Show("GET {b}h"));
        Assert.Equal("1", Show(node, "EVAL", "return redis.call('del', KEYS[1])", "1", "{b}h"));
        Assert.Equal("-ASK 3300 10.0.0.2:7002", Show(node, "EVAL", "return redis.call('del', KEYS[1])", "1", "{b}h"));
        node.Show("MULTI");
        node.Show("INCR {b}1");
        node.Show("GET {b}1");
        Assert.Equal("[3, 3]", node.Show("EXEC"));
        node.Show("MULTI");
        node.Show("INCR {b}1");
        node.Show("INCR {b}2");
        Assert.Equal("-TRYAGAIN Multiple keys request during rehashing of slot", node.Show("EXEC"));
        Assert.Equal("0", node.Show("SPUBLISH {b}channel x"));
        node.Show("CLUSTER SETSLOT 3300 STABLE");
        Assert.Equal("(nil)", node.Show("GET {b}2"));
    }

    [Fact]
    public void An_expired_key_is_not_here()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("SET b 1 PX 10");
        node.Show($"CLUSTER SETSLOT 3300 MIGRATING {Other}");
        Assert.Equal("1", node.Show("GET b"));
        node.Engine.Time.Advance(10);
        Assert.Equal("-ASK 3300 10.0.0.2:7002", node.Show("GET b"));
    }

    [Fact]
    public void A_command_that_runs_alone_is_decided_by_its_keys_too()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("SET b 1");
        node.Show($"CLUSTER SETSLOT 3300 MIGRATING {Other}");
        foreach (string key in new[] { "b", "{b}2" })
        {
            node.Show("MULTI");
            node.Show("DBSIZE"); // makes the transaction run alone
            node.Show($"GET {key}");
            Assert.Equal(key == "b" ? "[1, 1]" : "-ASK 3300 10.0.0.2:7002", node.Show("EXEC"));
        }
    }

    [Fact]
    public void While_a_slot_is_importing_only_who_asks_is_served()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show($"CLUSTER SETSLOT 12182 IMPORTING {Other}");
        Session session = node.Engine.Client.Session;
        Assert.Equal(MovedFoo, node.Show("SET foo 1"));
        session.Asking = Asking.ForThis;
        Assert.Equal("OK", node.Show("SET foo 1"));
        Assert.Equal("1", node.Show("GET foo"));
        Assert.Equal("-TRYAGAIN Multiple keys request during rehashing of slot", node.Show("MGET foo {foo}2"));
        Assert.Equal("[1, 1]", node.Show("MGET foo foo"));
        Assert.Equal("OK", node.Show("SET {foo}2 2"));
        Assert.Equal("[1, 2]", node.Show("MGET foo {foo}2"));
        session.Asking = Asking.No;
        Assert.Equal(MovedFoo, node.Show("GET foo"));
        var payload = (string)new EngineDump("v").Payload;
        Assert.Equal("OK", Replies.Show(node.Engine.Run("RESTORE-ASKING", "{foo}3", "0", payload)));
        Assert.Equal(MovedFoo, Replies.Show(node.Engine.Run("RESTORE", "{foo}4", "0", payload)));
        Assert.Equal("3", node.Show("CLUSTER COUNTKEYSINSLOT 12182"));
    }

    [Fact]
    public async Task A_cluster_with_a_hole_serves_what_it_may()
    {
        using var node = new ClusterNodeHarness($"{Mine} :6379@16379 myself,master - 0 0 1 connected 0-8191\n");
        Assert.Equal("-CLUSTERDOWN The cluster is down", node.Show("GET b"));
        Assert.Equal("0", node.Show("SPUBLISH b x"));
        await Set("cluster-allow-pubsubshard-when-down", "no");
        Assert.Equal("-CLUSTERDOWN The cluster is down", node.Show("SPUBLISH b x"));
        await Set("cluster-allow-reads-when-down", "yes");
        Assert.Equal("(nil)", node.Show("GET b"));
        Assert.Equal("-CLUSTERDOWN The cluster is down and only accepts read commands", node.Show("SET b 1"));
        Assert.Equal("-CLUSTERDOWN Hash slot not served", node.Show("GET foo"));
        Assert.Contains("Script attempted to execute a write command while the cluster is down and readonly",
            Show(node, "EVAL", "return redis.call('set', KEYS[1], '1')", "1", "b"), StringComparison.Ordinal);
        await Set("cluster-require-full-coverage", "no");
        Assert.Equal("OK", node.Show("SET b 1"));
        Assert.Equal("-CLUSTERDOWN Hash slot not served", node.Show("GET foo"));

        async Task Set(string name, string value) => Assert.Null(await node.Configuration.SetAsync([(name, value)], isLocal: true));
    }

    [Fact]
    public void Scripts_stay_in_their_slot()
    {
        using var node = ClusterNodeHarness.OfTwo();
        Assert.Equal("OK", Show(node, "EVAL", "return redis.call('set', KEYS[1], '1')", "1", "b"));
        Assert.StartsWith("-ERR Script attempted to access a non local key in a cluster node",
            Show(node, "EVAL", "return redis.call('get', 'foo')", "0"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR Command 'mget' in script attempted to access keys that don't hash to the same slot",
            Show(node, "EVAL", "return redis.call('mget', 'b', 'bar')", "0"), StringComparison.Ordinal);
        // Without a first line that says otherwise a script may go from slot to slot, as before Redis 7.
        Assert.Equal("[1, (nil)]", Show(node, "EVAL", "return {redis.call('get', KEYS[1]), redis.call('get', 'bar')}", "1", "b"));
        foreach (string declared in new[] { "1", "0" })
        {
            Assert.StartsWith("-ERR Script attempted to access keys that do not hash to the same slot",
                Show(node, "EVAL", "#!lua\nreturn {redis.call('get', 'b'), redis.call('get', 'bar')}", declared, "b"), StringComparison.Ordinal);
        }
        Assert.Equal("[1, (nil)]", Show(node, "EVAL", "#!lua flags=allow-cross-slot-keys\nreturn {redis.call('get', 'b'), redis.call('get', 'bar')}", "0"));
        Assert.Equal("-ERR Can not run script on cluster, 'no-cluster' flag is set.", Show(node, "EVAL", "#!lua flags=no-cluster\nreturn 1", "0"));
        Assert.Equal("-ERR Can not run script on cluster, 'no-cluster' flag is set.", Show(node, "EVAL", "#!lua flags=no-cluster,no-writes\nreturn 1", "0"));
    }

    [Fact]
    public void Scripts_reach_no_undeclared_key_of_a_slot_that_is_migrating()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("SET b 1");
        node.Show($"CLUSTER SETSLOT 3300 MIGRATING {Other}");
        Assert.Equal("1", Show(node, "EVAL", "return redis.call('get', 'b')", "0"));
        Assert.StartsWith("-ERR Script attempted to access a non local key in a cluster node",
            Show(node, "EVAL", "return redis.call('get', '{b}2')", "0"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR Unable to execute command 'mget' in script because undeclared keys were accessed during rehashing of the slot",
            Show(node, "EVAL", "return redis.call('mget', 'b', '{b}2')", "1", "b"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Who_waits_for_a_key_is_told_where_its_slot_has_gone()
    {
        using var node = ClusterNodeHarness.OfTwo();
        EngineClient first = node.Engine.NewClient(), second = node.Engine.NewClient();
        Task<object?> moved = first.RunAsync("BLPOP", "b", "0"), down = second.RunAsync("BRPOP", "c", "0");
        Assert.Equal("OK", node.Show($"CLUSTER SETSLOT 3300 NODE {Other}"));
        Assert.Equal("-MOVED 3300 10.0.0.2:7002", Replies.Show(await moved));
        Assert.False(down.IsCompleted);
        Assert.Equal("OK", node.Show("CLUSTER DELSLOTS 1"));
        Assert.Equal("-CLUSTERDOWN The cluster is down", Replies.Show(await down));
    }

    [Fact]
    public async Task Keys_are_changed_in_slots_that_are_here_alone_while_these_move_to_and_fro()
    {
        // Whatever a client is told to have happened has happened under a map by which it could.
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("SET b 0");
        using var over = new CancellationTokenSource();
        Task<long>[] writers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            EngineClient client = node.Engine.NewClient();
            long done = 0;
            while (!over.IsCancellationRequested)
            {
                string reply = Replies.Show(await client.RunAsync("INCR", "b"));
                if (!reply.StartsWith('-')) done++;
                else Assert.StartsWith("-ASK 3300", reply, StringComparison.Ordinal);
            }
            return done;
        }))];
        long taken = 0;
        EngineClient mover = node.Engine.NewClient();
        for (int i = 0; i < 30; i++)
        {
            await mover.RunAsync("CLUSTER", "SETSLOT", "3300", "MIGRATING", Other);
            // As MIGRATE takes it: from here on it is not here, and nobody may make it again.
            taken += long.Parse(Replies.Show(await mover.RunAsync("GETDEL", "b")), System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal("0", Replies.Show(await mover.RunAsync("CLUSTER", "COUNTKEYSINSLOT", "3300")));
            await mover.RunAsync("CLUSTER", "SETSLOT", "3300", "STABLE");
            await mover.RunAsync("INCRBY", "b", "0");
        }
        await over.CancelAsync();
        long sum = (await Task.WhenAll(writers)).Sum();
        Assert.Equal(sum, taken + long.Parse(node.Show("GET b"), System.Globalization.CultureInfo.InvariantCulture));
    }

    private static string Show(ClusterNodeHarness node, params string[] words) => Replies.Show(node.Engine.Run(words));

    /// <summary>A string as DUMP gives it.</summary>
    private sealed class EngineDump
    {
        public EngineDump(string value)
        {
            using var redis = new EngineHarness();
            redis.Run("SET", "k", value);
            Payload = redis.Run("DUMP", "k")!;
        }

        public object Payload { get; }
    }
}
