using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>CLUSTER on a node that is alone, or knows of another one from its file.</summary>
public sealed class ClusterCommandTests
{
    private const string Mine = ClusterNodeHarness.Mine, Other = ClusterNodeHarness.Other;

    [Theory]
    [InlineData("CLUSTER INFO")]
    [InlineData("CLUSTER HELP")]
    [InlineData("CLUSTER KEYSLOT x")]
    [InlineData("CLUSTER COUNTKEYSINSLOT nonsense")]
    [InlineData("CLUSTER ADDSLOTS nonsense")]
    [InlineData("CLUSTER RESET")]
    public void Without_cluster_enabled_everything_says_so(string line)
    {
        using var redis = new EngineHarness();
        Assert.Equal("-ERR This instance has cluster support disabled", redis.Show(line));
    }

    [Fact]
    public void A_new_node_owns_nothing_and_serves_nothing()
    {
        using var node = new ClusterNodeHarness();
        Assert.Contains("cluster_state:fail\r\ncluster_slots_assigned:0\r\ncluster_slots_ok:0\r\n", node.Show("CLUSTER INFO"), StringComparison.Ordinal);
        Assert.Contains("cluster_known_nodes:1\r\ncluster_size:0\r\n", node.Show("CLUSTER INFO"), StringComparison.Ordinal);
        Assert.Equal("-CLUSTERDOWN Hash slot not served", node.Show("GET x"));
        Assert.Equal("0", node.Show("DBSIZE"));
        Assert.Equal("[]", node.Show("CLUSTER SLOTS"));
    }

    [Fact]
    public void With_all_slots_it_serves()
    {
        using var node = new ClusterNodeHarness();
        string id = node.Show("CLUSTER MYID"), shard = node.Show("CLUSTER MYSHARDID");
        Assert.Equal(40, id.Length);
        Assert.Equal(40, shard.Length);
        Assert.Equal("OK", node.Show("CLUSTER ADDSLOTSRANGE 0 16382"));
        Assert.Equal("-CLUSTERDOWN The cluster is down", node.Show("SET b 1"));
        Assert.Equal("OK", node.Show("CLUSTER ADDSLOTS 16383"));
        Assert.Equal("OK", node.Show("SET b 1"));
        Assert.Equal($"[[0, 16383, [, 6379, {id}, []]]]", node.Show("CLUSTER SLOTS"));
        Assert.Equal($"{id} :6379@16379 myself,master - 0 0 0 connected 0-16383\n", node.Show("CLUSTER NODES"));
        Assert.Equal(
            $"[[slots, [0, 16383], nodes, [[id, {id}, port, 6379, ip, , endpoint, , role, master, "
            + $"replication-offset, {node.Engine.Store.Effects.Log.Appended}, health, online]]]]", node.Show("CLUSTER SHARDS"));
        Assert.Contains("cluster_state:ok\r\ncluster_slots_assigned:16384\r\n", node.Show("CLUSTER INFO"), StringComparison.Ordinal);
        Assert.Equal("1", node.Show("CLUSTER COUNTKEYSINSLOT 3300"));
        Assert.Equal("[b]", node.Show("CLUSTER GETKEYSINSLOT 3300 10"));
        Assert.Equal("[]", node.Show("CLUSTER GETKEYSINSLOT 3300 0"));
        Assert.Equal("[]", node.Show("CLUSTER LINKS"));
        Assert.Equal("[]", node.Show($"CLUSTER REPLICAS {id}"));
        Assert.Equal("0", node.Show($"CLUSTER COUNT-FAILURE-REPORTS {id}"));
    }

    [Fact]
    public void Slots_show_as_ranges()
    {
        using var node = new ClusterNodeHarness(configure: options => options.ClusterAnnounceIp = "10.1.2.3");
        string id = node.Show("CLUSTER MYID");
        Assert.Equal("OK", node.Show("CLUSTER ADDSLOTS 1 5 2 16383"));
        Assert.Equal($"{id} 10.1.2.3:6379@16379 myself,master - 0 0 0 connected 1-2 5 16383\n", node.Show("CLUSTER NODES"));
        Assert.Equal("OK", node.Show("CLUSTER DELSLOTSRANGE 1 2"));
        Assert.Equal($"[[5, 5, [10.1.2.3, 6379, {id}, []]], [16383, 16383, [10.1.2.3, 6379, {id}, []]]]", node.Show("CLUSTER SLOTS"));
    }

    [Theory]
    [InlineData("CLUSTER ADDSLOTS 1 x", "ERR Invalid or out of range slot")]
    [InlineData("CLUSTER ADDSLOTS 16384", "ERR Invalid or out of range slot")]
    [InlineData("CLUSTER ADDSLOTS 20 20", "ERR Slot 20 specified multiple times")]
    [InlineData("CLUSTER ADDSLOTS 20 1", "ERR Slot 1 is already busy")]
    [InlineData("CLUSTER ADDSLOTSRANGE 20 30 40", "ERR wrong number of arguments for 'cluster|addslotsrange' command")]
    [InlineData("CLUSTER ADDSLOTSRANGE 30 20", "ERR start slot number 30 is greater than end slot number 20")]
    [InlineData("CLUSTER ADDSLOTSRANGE 20 30 30 40", "ERR Slot 30 specified multiple times")]
    [InlineData("CLUSTER ADDSLOTSRANGE 0 30", "ERR Slot 0 is already busy")]
    [InlineData("CLUSTER DELSLOTS 20", "ERR Slot 20 is already unassigned")]
    [InlineData("CLUSTER DELSLOTSRANGE 9 11", "ERR Slot 11 is already unassigned")]
    [InlineData("CLUSTER DELSLOTS 1 1", "ERR Slot 1 specified multiple times")]
    [InlineData("CLUSTER SETSLOT x STABLE", "ERR Invalid or out of range slot")]
    [InlineData("CLUSTER SETSLOT 1 NONSENSE", "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP")]
    [InlineData("CLUSTER SETSLOT 1 STABLE x", "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP")]
    [InlineData("CLUSTER SETSLOT 20 MIGRATING x", "ERR I'm not the owner of hash slot 20")]
    [InlineData("CLUSTER SETSLOT 1 MIGRATING x", "ERR I don't know about node x")]
    [InlineData("CLUSTER SETSLOT 1 IMPORTING x", "ERR I'm already the owner of hash slot 1")]
    [InlineData("CLUSTER SETSLOT 20 IMPORTING x", "ERR I don't know about node x")]
    [InlineData("CLUSTER SETSLOT 1 NODE x", "ERR Unknown node x")]
    [InlineData("CLUSTER FORGET x", "ERR Unknown node x")]
    [InlineData("CLUSTER FORGET " + Mine, "ERR I tried hard but I can't forget myself...")]
    [InlineData("CLUSTER REPLICAS x", "ERR Unknown node x")]
    [InlineData("CLUSTER SLAVES x", "ERR Unknown node x")]
    [InlineData("CLUSTER COUNT-FAILURE-REPORTS x", "ERR Unknown node x")]
    [InlineData("CLUSTER SET-CONFIG-EPOCH -1", "ERR Invalid config epoch specified: -1")]
    [InlineData("CLUSTER SET-CONFIG-EPOCH 5", "ERR Node config epoch is already non-zero")]
    [InlineData("CLUSTER RESET NONSENSE", "ERR syntax error")]
    [InlineData("CLUSTER COUNTKEYSINSLOT 16384", "ERR Invalid slot")]
    [InlineData("CLUSTER COUNTKEYSINSLOT x", "ERR value is not an integer or out of range")]
    [InlineData("CLUSTER GETKEYSINSLOT 1 -1", "ERR Invalid slot or number of keys")]
    [InlineData("CLUSTER GETKEYSINSLOT -1 1", "ERR Invalid slot or number of keys")]
    [InlineData("CLUSTER NONSENSE", "ERR unknown subcommand 'NONSENSE'. Try CLUSTER HELP.")]
    public void Errors_are_redis_s(string line, string error)
    {
        using var node = new ClusterNodeHarness($"{Mine} :6379@16379 myself,master - 0 0 1 connected 0-10\nvars currentEpoch 1 lastVoteEpoch 0\n");
        string before = node.ReadFile();
        Assert.Equal("-" + error, node.Show(line));
        Assert.Equal(before, node.ReadFile());
    }

    [Fact]
    public void What_has_been_changed_is_there_after_a_restart()
    {
        using var first = new ClusterNodeHarness(configure: options => options.ClusterAnnounceHumanNodename = "one");
        string id = first.Show("CLUSTER MYID"), shard = first.Show("CLUSTER MYSHARDID");
        first.Show("CLUSTER ADDSLOTSRANGE 0 100 200 16383");
        Assert.Equal("BUMPED 1", first.Show("CLUSTER BUMPEPOCH"));
        Assert.Equal("STILL 1", first.Show("CLUSTER BUMPEPOCH"));
        Assert.Equal(
            $"{id} :6379@16379,,tls-port=0,nodename=one,shard-id={shard} myself,master - 0 0 1 connected 0-100 200-16383\n"
            + "vars currentEpoch 1 lastVoteEpoch 0\n",
            first.ReadFile());
        first.Nodes.Dispose();
        using var second = new ClusterNodeHarness(directory: first.Place);
        Assert.Equal(id, second.Show("CLUSTER MYID"));
        Assert.Equal(shard, second.Show("CLUSTER MYSHARDID"));
        Assert.Equal($"{id} :6379@16379 myself,master - 0 0 1 connected 0-100 200-16383\n", second.Show("CLUSTER NODES"));
    }

    [Fact]
    public void A_file_that_another_node_uses_is_refused()
    {
        using var first = new ClusterNodeHarness();
        Assert.Throws<LoadException>(() => new ClusterNodeHarness(directory: first.Place));
        first.Show("CLUSTER ADDSLOTS 1"); // the lock is on the new file, too
        Assert.Throws<LoadException>(() => new ClusterNodeHarness(directory: first.Place));
    }

    [Fact]
    public void A_file_that_cannot_be_written_leaves_everything_as_it_was()
    {
        using var node = new ClusterNodeHarness();
        string file = node.ReadFile();
        node.Place.Delete(recursive: true);
        Assert.StartsWith("-ERR error saving the cluster node config: ", node.Show("CLUSTER ADDSLOTS 1"), StringComparison.Ordinal);
        Assert.Equal("[]", node.Show("CLUSTER SLOTS"));
        node.Place.Create();
        Assert.Equal("OK", node.Show("CLUSTER SAVECONFIG"));
        Assert.Equal(file, node.ReadFile());
        Assert.Equal("OK", node.Show("CLUSTER ADDSLOTS 1"));
    }

    [Fact]
    public void A_reset_node_knows_nobody_and_a_hard_one_is_another_one()
    {
        using var node = ClusterNodeHarness.OfTwo();
        Assert.Equal("OK", node.Show("SET b 1"));
        Assert.Equal("-ERR CLUSTER RESET can't be called with master nodes containing keys", node.Show("CLUSTER RESET"));
        Assert.Equal("-ERR DB must be empty to perform CLUSTER FLUSHSLOTS.", node.Show("CLUSTER FLUSHSLOTS"));
        node.Show("DEL b");
        Assert.Equal("OK", node.Show("CLUSTER FLUSHSLOTS"));
        Assert.Contains("cluster_slots_assigned:8192\r\n", node.Show("CLUSTER INFO"), StringComparison.Ordinal);
        Assert.Equal("OK", node.Show("CLUSTER RESET"));
        Assert.Equal($"{Mine} :6379@16379 myself,master - 0 0 1 connected\n", node.Show("CLUSTER NODES"));
        Assert.Contains("cluster_current_epoch:2\r\n", node.Show("CLUSTER INFO"), StringComparison.Ordinal);
        Assert.Equal("OK", node.Show("CLUSTER RESET HARD"));
        Assert.NotEqual(Mine, node.Show("CLUSTER MYID"));
        Assert.Contains("cluster_current_epoch:0\r\ncluster_my_epoch:0\r\n", node.Show("CLUSTER INFO"), StringComparison.Ordinal);
        Assert.Equal("OK", node.Show("CLUSTER SET-CONFIG-EPOCH 7"));
        Assert.Contains("cluster_current_epoch:7\r\ncluster_my_epoch:7\r\n", node.Show("CLUSTER INFO"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_slot_moves_when_it_is_empty()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show("SET b 1");
        Assert.Equal("OK", node.Show($"CLUSTER SETSLOT 3300 MIGRATING {Other}"));
        Assert.Contains($" 0-8191 [3300->-{Other}]\n", node.Show("CLUSTER NODES"), StringComparison.Ordinal);
        Assert.Equal(
            "-ERR Can't assign hashslot 3300 to a different node while I still hold keys for this hash slot.", node.Show($"CLUSTER SETSLOT 3300 NODE {Other}"));
        node.Show("DEL b");
        Assert.Equal("OK", node.Show($"CLUSTER SETSLOT 3300 NODE {Other}"));
        Assert.Contains(" 0-3299 3301-8191\n", node.Show("CLUSTER NODES"), StringComparison.Ordinal);
        Assert.Equal("-MOVED 3300 10.0.0.2:7002", node.Show("GET b"));
        Assert.Equal("OK", node.Show($"CLUSTER SETSLOT 3300 IMPORTING {Other}"));
        Assert.Contains($"[3300-<-{Other}]\n", node.ReadFile(), StringComparison.Ordinal);
        Assert.Equal("OK", node.Show($"CLUSTER SETSLOT 3300 NODE {Mine}"));
        // By taking it, the node has got the highest epoch.
        Assert.Contains("cluster_current_epoch:3\r\ncluster_my_epoch:3\r\n", node.Show("CLUSTER INFO"), StringComparison.Ordinal);
        Assert.Equal("OK", node.Show("SET b 1"));
    }

    [Fact]
    public void A_forgotten_node_owns_nothing()
    {
        using var node = ClusterNodeHarness.OfTwo();
        node.Show($"CLUSTER SETSLOT 1 MIGRATING {Other}");
        Assert.Equal("OK", node.Show($"CLUSTER FORGET {Other}"));
        Assert.Equal($"{Mine} :6379@16379 myself,master - 0 0 1 connected 0-8191\n", node.Show("CLUSTER NODES"));
        Assert.Equal("-CLUSTERDOWN Hash slot not served", node.Show("GET foo"));
    }

    [Fact]
    public async Task Keys_of_an_earlier_life_make_their_slots_this_node_s()
    {
        using var node = new ClusterNodeHarness(
            $"{Mine} :6379@16379 myself,master - 0 0 1 connected 5\n{Other} 10.0.0.2:7002@17002 master - 0 0 2 connected 8192-16383\n",
            prepare: engine =>
            {
                engine.Show("SET b 1");
                engine.Show("SET foo 1");
            });
        await node.Nodes.CheckDataAsync();
        Assert.Contains($" 5 3300 [12182-<-{Other}]\n", node.Show("CLUSTER NODES"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Keys_in_another_database_end_the_start()
    {
        using var node = new ClusterNodeHarness(prepare: engine =>
        {
            engine.Client.Session.Database = 3;
            engine.Show("SET b 1");
        });
        Assert.Contains("DB 0", (await Assert.ThrowsAsync<LoadException>(node.Nodes.CheckDataAsync)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_announced_can_be_changed()
    {
        using var node = ClusterNodeHarness.OfTwo();
        Assert.Null(await node.Configuration.SetAsync([("cluster-announce-ip", "10.9.9.9"), ("cluster-announce-hostname", "one.example.net")], isLocal: true));
        Assert.StartsWith($"{Mine} 10.9.9.9:6379@16379,one.example.net myself,master", node.Show("CLUSTER NODES"), StringComparison.Ordinal);
        Assert.Equal(
            $"[[0, 8191, [10.9.9.9, 6379, {Mine}, [hostname, one.example.net]]], [8192, 16383, [10.0.0.2, 7002, {Other}, []]]]", node.Show("CLUSTER SLOTS"));
        await node.Configuration.SetAsync([("cluster-preferred-endpoint-type", "hostname")], isLocal: true);
        Assert.Equal(
            $"[[0, 8191, [one.example.net, 6379, {Mine}, [ip, 10.9.9.9]]], [8192, 16383, [?, 7002, {Other}, [ip, 10.0.0.2]]]]", node.Show("CLUSTER SLOTS"));
        Assert.Equal("-MOVED 12182 ?:7002", node.Show("GET foo"));
        await node.Configuration.SetAsync([("cluster-preferred-endpoint-type", "unknown-endpoint")], isLocal: true);
        Assert.Equal("-MOVED 12182 :7002", node.Show("GET foo"));
        string slots = node.Show("CLUSTER SLOTS");
        Assert.StartsWith($"[[0, 8191, [(nil), 6379, {Mine}, [ip, 10.9.9.9, hostname, one.example.net]]]", slots, StringComparison.Ordinal);
    }

    [Fact]
    public void Changes_wait_in_a_transaction_until_it_is_over_and_are_none_of_scripts()
    {
        using var node = new ClusterNodeHarness();
        node.Show("MULTI");
        node.Show("CLUSTER ADDSLOTSRANGE 0 16383");
        node.Show("CLUSTER KEYSLOT foo");
        Assert.Equal("[OK, 12182]", node.Show("EXEC"));
        object? reply = node.Engine.Run("EVAL", "return redis.call('cluster', 'delslots', '1')", "0");
        Assert.StartsWith("-ERR This Redis command is not allowed from script", reply!.ToString(), StringComparison.Ordinal);
        Assert.Equal("12182", Replies.Show(node.Engine.Run("EVAL", "return redis.call('cluster', 'keyslot', 'foo')", "0")));
    }
}
