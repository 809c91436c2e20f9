using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>A silo of several answers only while it holds its lease, and tells operators of its cluster.</summary>
public sealed class LeaseTests
{
    [Fact]
    public async Task Without_the_lease_what_needs_data_is_refused_and_the_rest_is_answered()
    {
        var cluster = new FakeCluster();
        await using InProcessServer server = await InProcessServer.StartAsync();
        server.Store.Lease = cluster;
        cluster.IsHeld = false;
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("CLUSTERDOWN The cluster is down", (await redis.CallAsync("SET", "a", "1")).Text);
        Assert.Equal("CLUSTERDOWN The cluster is down", (await redis.CallAsync("DBSIZE")).Text);
        Assert.Equal("PONG", (await redis.CallAsync("PING")).Text);
        cluster.Grant(server.Store);
        Assert.Equal("OK", (await redis.CallAsync("SET", "a", "1")).Text);
        Assert.Equal("1", (await redis.CallAsync("GET", "a")).Text);
    }

    [Fact]
    public async Task What_has_run_while_the_lease_ended_is_not_answered()
    {
        var cluster = new FakeCluster();
        await using InProcessServer server = await InProcessServer.StartAsync();
        server.Store.Lease = cluster;
        await using RespConnection redis = await server.ConnectAsync();
        await using RespConnection waiting = await server.ConnectAsync();
        Assert.Equal("OK", (await redis.CallAsync("SET", "a", "1")).Text);
        Task<RespValue> blocked = waiting.CallAsync("BLPOP", "list", "0");
        await server.BlockedAsync(1);
        // The silo is suspended between the look before a command and the one before its reply.
        cluster.EndsAfterLooks = 1;
        await Assert.ThrowsAnyAsync<IOException>(() => redis.CallAsync("RPUSH", "list", "x"));
        await Assert.ThrowsAnyAsync<IOException>(() => blocked);
        await using RespConnection again = await server.ConnectAsync();
        Assert.Equal("CLUSTERDOWN The cluster is down", (await again.CallAsync("GET", "a")).Text);
    }

    [Fact]
    public async Task SILO_shows_the_cluster_and_passes_wishes_on()
    {
        var cluster = new FakeCluster();
        await using InProcessServer server = await InProcessServer.StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("ERR This silo is alone (orleans-clustering localhost)", (await redis.CallAsync("SILO", "LIST")).Text);
        server.Server.Cluster = cluster;
        await redis.CallAsync("HELLO", "3");

        string list = (await redis.CallAsync("SILO", "LIST")).ToString()!;
        Assert.Contains("10.0.0.1:6379", list, StringComparison.Ordinal);
        Assert.Contains("10.0.0.2:6379", list, StringComparison.Ordinal);
        RespValue slots = await redis.CallAsync("SILO", "SLOTS");
        Assert.Equal(3, slots.Items.Count);
        Assert.Equal(["0", "8190", "a.1", "1"], slots.Items[0].Items.Take(4).Select(item => item.Text));
        Assert.Equal(["8191", "8191", "a.1", "1", "b.7"], slots.Items[1].Items.Select(item => item.Text));
        Assert.Equal(["8192", "16383", "b.7", "1"], slots.Items[2].Items.Take(4).Select(item => item.Text));
        string info = (await redis.CallAsync("INFO", "cluster")).Text;
        Assert.Contains("orleans_slots_owned:8192\r\n", info, StringComparison.Ordinal);
        Assert.Contains("orleans_slots_moving:1\r\n", info, StringComparison.Ordinal);
        Assert.Contains("orleans_silo1:id=b.7,redis=10.0.0.2:6379,slots=8192,weight=100,state=leaving\r\n", info, StringComparison.Ordinal);

        Assert.Equal("OK", (await redis.CallAsync("SILO", "MOVE", "0", "99", "10.0.0.2:6379")).Text);
        Assert.Equal("OK", (await redis.CallAsync("SILO", "DRAIN", "a")).Text);
        Assert.Equal("OK", (await redis.CallAsync("SILO", "DRAIN", "b.7", "cancel")).Text);
        Assert.Equal("OK", (await redis.CallAsync("SILO", "REBALANCE")).Text);
        Assert.Equal(["move 0 99 b.7", "leave a.1 True", "leave b.7 False", "balance"], cluster.Wishes);
        Assert.Equal("ERR No such silo: see SILO LIST", (await redis.CallAsync("SILO", "DRAIN", "c")).Text);
        Assert.Equal("ERR Invalid or out of range slot", (await redis.CallAsync("SILO", "MOVE", "5", "4", "a")).Text);
        Assert.Equal("ERR Invalid or out of range slot", (await redis.CallAsync("SILO", "MOVE", "0", "16384", "a")).Text);
        Assert.Equal("ERR syntax error", (await redis.CallAsync("SILO", "DRAIN", "a", "now")).Text);
    }

    /// <summary>A cluster of two, of which this silo is the first.</summary>
    private sealed class FakeCluster : IClusterOperations, ILease
    {
        private static readonly SiloId s_a = new(0xa, 1), s_b = new(0xb, 7);
        private long _lifts;
        private volatile bool _isHeld = true;
        private int _looks = -1;

        public FakeCluster()
        {
            View = ClusterView.Empty.With(
                [new(s_a, "bus=10.0.0.1:1 redis=10.0.0.1:6379"), new(s_b, "bus=10.0.0.2:1 redis=10.0.0.2:6379", IsLeaving: true)]);
            SlotMap map = SlotMap.Empty();
            map = map.With(1, Enumerable.Range(0, map.Count).Select(slot => KeyValuePair.Create(slot, map[slot].OwnedBy(slot < 8192 ? s_a : s_b))));
            Map = map.With(1, [new(8191, map[8191].MovingTo(s_b, 2))]);
        }

        public event Action? Changed
        {
            add { }
            remove { }
        }

        public List<string> Wishes { get; } = [];

        public SiloId Self => s_a;

        public SlotMap Map { get; }

        public ClusterView View { get; }

        public bool HoldsLease => IsHeld;

        public (int Away, int Coming) Moving => (1, 0);

        public SiloId Keeper => s_a;

        /// <summary>After so many looks, it is over.</summary>
        public int EndsAfterLooks
        {
            set => Volatile.Write(ref _looks, value);
        }

        public bool IsHeld
        {
            get
            {
                if (Volatile.Read(ref _looks) >= 0 && Interlocked.Decrement(ref _looks) < 0) _isHeld = false;
                return _isHeld;
            }
            set => _isHeld = value;
        }

        public long Lifts => Volatile.Read(ref _lifts);

        public void Grant(Store store)
        {
            _isHeld = true;
            Interlocked.Increment(ref _lifts);
            store.Lift(Restrictions.WithoutLease);
        }

        public void RequestMove(int first, int last, SiloId to) => Wishes.Add($"move {first} {last} {to}");

        public void RequestBalance() => Wishes.Add("balance");

        public void RequestLeave(SiloId silo, bool isLeaving) => Wishes.Add($"leave {silo} {isLeaving}");
    }
}
