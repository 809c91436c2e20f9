using System.Net;
using System.Net.Sockets;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.ClusterStores.Raft;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>The store on an embedded Raft log: how its members come, go, and come back.</summary>
public sealed class RaftClusterStoreTests
{
    [Fact]
    public async Task A_single_member_serves_at_once_and_keeps_what_it_has()
    {
        await using var cluster = new RaftCluster(1);
        await cluster.StartAsync(0);
        Assert.Equal(1, await cluster[0].PutAsync("a", "one"));
        Assert.Equal(2, await cluster[0].PutAsync("a", "two"));
        await cluster.StopAllAsync();
        await cluster.StartAsync(0);
        Assert.Equal("two", await cluster[0].GetAsync("a"));
        Assert.Equal(3, await cluster[0].PutAsync("a", "three"));
    }

    [Fact]
    public async Task Three_members_that_start_in_any_order_agree()
    {
        await using var cluster = new RaftCluster(3);
        int[] order = [0, 1, 2];
        TestSeed.Random().Shuffle(order);
        await cluster.StartAsync(order);
        await cluster[order[0]].PutAsync("a", "one");
        foreach (RaftClusterStore member in cluster.Running) Assert.Equal("one", await member.GetAsync("a"));
        await cluster[order[1]].PutAsync("a", "two");
        foreach (RaftClusterStore member in cluster.Running) Assert.Equal("two", await member.GetAsync("a"));
        Guid id = cluster[0].ClusterId;
        Assert.NotEqual(Guid.Empty, id);
        await Eventually.TrueAsync(() => cluster.Running.All(member => member.ClusterId == id));
    }

    [Fact]
    public async Task One_of_three_can_be_absent_from_the_first_start_and_comes_later()
    {
        await using var cluster = new RaftCluster(3);
        await cluster.StartAsync(0, 2);
        await cluster[2].PutAsync("a", "one");
        await cluster.StartAsync(1);
        Assert.Equal("one", await cluster[1].GetAsync("a"));
        await cluster.HasMembersAsync(0, 1, 2);
        await cluster.StopAsync(0);
        await cluster[1].PutAsync("a", "two");
        Assert.Equal("two", await cluster[2].GetAsync("a"));
    }

    [Fact]
    public async Task A_lone_seed_of_three_does_not_make_a_cluster_of_its_own()
    {
        await using var cluster = new RaftCluster(3);
        await using var lone = new RaftClusterStore(
            cluster.SettingsOf(0) with { Times = RaftCluster.Times with { Request = TimeSpan.FromSeconds(2) } }, cluster.Loggers);
        await lone.OpenAsync(CancellationToken.None);
        await Eventually.TrueAsync(async () =>
            (await Assert.ThrowsAsync<ClusterStoreException>(() => lone.ReadAsync("a", CancellationToken.None)))
            .Message.Contains("waits for its seeds", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Everybody_stopped_and_started_again_has_everything()
    {
        await using var cluster = new RaftCluster(3);
        await cluster.StartAsync(0, 1, 2);
        for (int i = 0; i < 5; i++) await cluster[i % 3].PutAsync($"document {i}", $"{i}");
        await cluster.StopAllAsync();
        await cluster.StartAsync(2, 0);
        for (int i = 0; i < 5; i++) Assert.Equal($"{i}", await cluster[0].GetAsync($"document {i}"));
        await cluster.StartAsync(1);
        await cluster[1].PutAsync("document 0", "new");
        Assert.Equal("new", await cluster[2].GetAsync("document 0"));
    }

    [Fact]
    public async Task A_member_that_has_lost_its_disk_gets_everything_from_the_others()
    {
        await using var cluster = new RaftCluster(3);
        await cluster.StartAsync(0, 1, 2);
        await cluster[0].PutAsync("a", "one");
        int lost = TestSeed.Random().Next(3), other = (lost + 1) % 3, third = (lost + 2) % 3;
        await cluster.StopAsync(lost);
        cluster.LoseDisk(lost);
        await cluster[other].PutAsync("b", "two");
        await cluster.StartAsync(lost);
        Assert.Equal("one", await cluster[lost].GetAsync("a"));
        await cluster.HasMembersAsync(0, 1, 2);

        // It counts again: with it and one other there is a majority.
        await cluster.StopAsync(third);
        await cluster[lost].PutAsync("a", "three");
        Assert.Equal("two", await cluster[other].GetAsync("b"));
    }

    [Fact]
    public async Task A_fourth_joins_through_a_seed_and_another_one_leaves()
    {
        await using var cluster = new RaftCluster(3);
        await cluster.StartAsync(0, 1, 2);
        await cluster[0].PutAsync("a", "one");
        int fourth = cluster.AddAddress();
        await cluster.StartAsync(fourth);
        Assert.Equal("one", await cluster[fourth].GetAsync("a"));
        await cluster.HasMembersAsync(0, 1, 2, fourth);
        await cluster[fourth].PutAsync("a", "two");

        int leaving = TestSeed.Random().Next(3);
        int[] staying = [.. Enumerable.Range(0, 4).Where(member => member != leaving)];
        await RemoveAsync(cluster, staying[0], leaving);
        await cluster.StopAsync(leaving);
        await cluster.HasMembersAsync(staying);

        // Of three members one may be absent, so the fourth counts.
        await cluster.StopAsync(staying[0]);
        await cluster[fourth].PutAsync("a", "three");
        Assert.Equal("three", await cluster[staying[1]].GetAsync("a"));
    }

    [Fact]
    public async Task A_removed_member_that_is_started_again_joins_again()
    {
        await using var cluster = new RaftCluster(3);
        await cluster.StartAsync(0, 1, 2);
        await cluster[0].PutAsync("a", "one");
        await cluster.StopAsync(1);
        await RemoveAsync(cluster, 0, 1);
        await cluster.HasMembersAsync(0, 2);
        await cluster[2].PutAsync("a", "two");
        await cluster.StartAsync(1);
        Assert.Equal("two", await cluster[1].GetAsync("a"));
        await cluster.HasMembersAsync(0, 1, 2);
    }

    [Fact]
    public async Task The_log_is_cut_off_and_a_newcomer_gets_the_snapshot()
    {
        await using var cluster = new RaftCluster(1);
        await cluster.StartAsync(0);
        byte[] large = TestSeed.Bytes(3 * 1024 * 1024);
        for (int i = 0; i < 8; i++)
            Assert.True(await cluster[0].TryWriteAsync("a", i, large, CancellationToken.None));
        await Eventually.TrueAsync(() => cluster[0].SnapshotIndex > 0);
        await cluster[0].PutAsync("b", "after it");

        int second = cluster.AddAddress();
        await cluster.StartAsync(second);
        Assert.True((await cluster[second].ReadAsync("a", CancellationToken.None)).Bytes.Span.SequenceEqual(large));
        await cluster.HasMembersAsync(0, second);
        await Eventually.TrueAsync(() => cluster[second].SnapshotIndex > 0);
        await cluster.StopAllAsync();

        await cluster.StartAsync(0, second);
        StoredDocument again = await cluster[second].ReadAsync("a", CancellationToken.None);
        Assert.Equal(8, again.Version);
        Assert.True(again.Bytes.Span.SequenceEqual(large));
        Assert.Equal("after it", await cluster[0].GetAsync("b"));
        // What is on disk is a snapshot and the entries since, not everything that was ever written.
        long bytes = Directory.EnumerateFiles(cluster.DirectoryOf(0), "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);
        Assert.InRange(bytes, large.Length, 5 * large.Length);
    }

    [Fact]
    public async Task Without_a_majority_nothing_is_read_and_nothing_said_to_be_written()
    {
        await using var cluster = new RaftCluster(3);
        await cluster.StartAsync(0, 1, 2);
        await cluster[0].PutAsync("a", "one");
        await cluster.StopAsync(1);
        await cluster.StopAsync(2);
        using var impatience = new CancellationTokenSource(TimeSpan.FromSeconds(3));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cluster[0].TryWriteAsync("a", 1, "two"u8.ToArray(), impatience.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cluster[0].ReadAsync("a", impatience.Token));

        await cluster.StartAsync(1);
        Assert.Contains(await cluster[1].GetAsync("a"), (string[])["one", "two"]);
    }

    [Fact]
    public async Task Strangers_are_not_let_in()
    {
        await using var cluster = new RaftCluster(1);
        await cluster.StartAsync(0);
        await cluster[0].PutAsync("a", "one");
        RaftPort Stranger(string secret, string name, Guid id) =>
            new(new(IPAddress.Loopback, RedisProcess.FreePort()), new(secret, name), () => id, (_, _) => Task.CompletedTask, cluster.Logger());
        await using RaftPort liar = Stranger("another secret", "test", default);
        await using RaftPort neighbour = Stranger(cluster.Secret, "another cluster", default);
        await using RaftPort lost = Stranger(cluster.Secret, "test", Guid.NewGuid());
        foreach (RaftPurpose purpose in Enum.GetValues<RaftPurpose>())
        {
            foreach (RaftPort stranger in (RaftPort[])[liar, neighbour, lost])
                await Assert.ThrowsAsync<IOException>(() => stranger.OpenAsync(cluster.AddressOf(0), purpose, CancellationToken.None).AsTask());
        }

        // One that does not even try to speak the protocol.
        using Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(cluster.AddressOf(0));
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(TestSeed.Bytes(200));
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (await stream.ReadAsync(new byte[100]) > 0)
            {
            }
            throw new EndOfStreamException();
        });
    }

    private static async Task RemoveAsync(RaftCluster cluster, int asked, int member)
    {
        while (true)
        {
            try
            {
                await cluster[asked].RemoveAsync(cluster.AddressOf(member), CancellationToken.None);
                return;
            }
            catch (ClusterStoreException)
            {
                // No leader yet.
            }
        }
    }
}
