using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>cluster-config-file: Redis's format, of several versions.</summary>
public sealed class NodesTextTests
{
    private const string Mine = ClusterNodeHarness.Mine, Other = ClusterNodeHarness.Other, Third = "3333333333333333333333333333333333333333";
    private const string Shard = "4444444444444444444444444444444444444444";

    [Theory]
    [InlineData(Mine + " 127.0.0.1:7000@17000,,tls-port=0,shard-id=" + Shard + " myself,master - 0 0 3 connected 0-5 7 [7->-" + Other + "]\n"
        + Other + " 10.0.0.1:7001@17001,host.example,tls-port=7101,nodename=two,shard-id=" + Third + " slave,fail?,nofailover " + Mine
        + " 0 0 3 disconnected\n" + Third + " :0@0,,tls-port=0,shard-id=" + Other + " noflags - 0 0 0 disconnected\n"
        + "vars currentEpoch 9 lastVoteEpoch 8\n")]
    [InlineData(Mine + " ::1:7000@17000,,tls-port=0,shard-id=" + Shard + " myself - 0 0 0 connected [1-<-" + Other + "] [3->-" + Other + "]\n"
        + Other + " 10.0.0.1:7001@17001,,tls-port=0,shard-id=" + Third + " master,fail,noaddr - 0 0 5 disconnected 1\n"
        + "vars currentEpoch 5 lastVoteEpoch 0\n")]
    public void What_is_read_is_written_again(string file) => Assert.Equal(file, NodesText.Write(NodesText.Read(file).Build(1)));

    [Fact]
    public void Files_of_redis_7_0_and_of_redis_3_can_be_read()
    {
        ClusterMap map = NodesText.Read(
            $"{Other} 127.0.0.1:30002@31002,host master - 0 1426238316232 2 connected 5461-10922\n{Third} 127.0.0.1:30003 slave {Other} 0 1 2 connected\n"
            + $"{Mine} 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460\n\nvars currentEpoch 6 lastVoteEpoch 0").Build(1);
        Assert.Equal(Mine, map.Myself.Id);
        Assert.Equal((30002, 31002, "host"), (map.Find(Other)!.Port, map.Find(Other)!.BusPort, map.Find(Other)!.HostName));
        Assert.Equal((30003, 40003, 2), (map.Find(Third)!.Port, map.Find(Third)!.BusPort, map.EpochOf(map.Find(Third)!)));
        Assert.Equal([Third], map.ReplicasOf(map.Find(Other)!).Select(node => node.Id));
        Assert.Equal(6, map.CurrentEpoch);
        Assert.All(map.Nodes, node => Assert.Equal(ClusterNode.IdLength, node.ShardId.Length));
    }

    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData(Other + " 127.0.0.1:7000@17000 master - 0 0 1 connected\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,master - 0 0\n")]
    [InlineData(Mine + " 127.0.0.1 myself,master - 0 0 1 connected\n")]
    [InlineData(Mine + " 127.0.0.1:x@17000 myself,master - 0 0 1 connected\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000,,what=that myself,master - 0 0 1 connected\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,nonsense - 0 0 1 connected\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,master x 0 0 1 connected\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 16384\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected [5->-x]\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected [5\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected -\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected\nvars currentEpoch\n")]
    [InlineData(Mine + " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected\n" + Other + " 127.0.0.1:7001@17001 myself,master - 0 0 1 connected\n")]
    public void A_damaged_file_is_refused(string file) => Assert.Throws<FormatException>(() => NodesText.Read(file));

    [Fact]
    public void Any_map_survives_being_written_and_read()
    {
        for (int i = 0; i < 300; i++)
        {
            var random = TestSeed.Random(i);
            ClusterMapDraft draft = Any(random);
            string text = NodesText.Write(draft.Build(1));
            Assert.Equal(text, NodesText.Write(NodesText.Read(text).Build(2)));
        }
    }

    [Fact]
    public void A_file_of_which_something_is_missing_is_refused_or_read_without_it()
    {
        var random = TestSeed.Random(1);
        string text = NodesText.Write(Any(random).Build(1));
        for (int i = 0; i < 1000; i++)
        {
            int at = random.Next(text.Length), length = random.Next(1, Math.Min(200, text.Length - at + 1));
            string damaged = text.Remove(at, length);
            try
            {
                NodesText.Read(damaged).Build(1);
            }
            catch (FormatException)
            {
                // As it should be.
            }
        }
    }

    private static string Id(Random random)
    {
        byte[] bytes = new byte[ClusterNode.IdLength / 2];
        random.NextBytes(bytes);
        return Convert.ToHexStringLower(bytes);
    }

    private static ClusterMapDraft Any(Random random)
    {
        var draft = new ClusterMapDraft("");
        int count = random.Next(1, 6);
        for (int i = 0; i < count; i++)
        {
            draft.Nodes.Add(new(Id(random), Id(random))
            {
                Ip = random.Next(3) == 0 ? "" : $"10.0.0.{random.Next(256)}",
                Port = random.Next(65536),
                TlsPort = random.Next(2) * random.Next(65536),
                BusPort = random.Next(65536),
                HostName = random.Next(2) == 0 ? "" : $"host-{i}.example",
                HumanName = random.Next(2) == 0 ? "" : $"node_{i}",
                Flags = (ClusterNodeFlags)random.Next(128),
                Epoch = random.Next(100),
            });
        }
        draft.MyselfId = draft.Nodes[random.Next(count)].Id;
        draft.CurrentEpoch = 100 + random.Next(100);
        draft.LastVoteEpoch = random.Next(100);
        for (int slot = 0; slot < KeySlot.Count; slot++)
        {
            draft.Owners[slot] = random.Next(40) != 0 && slot > 0 ? draft.Owners[slot - 1] : random.Next(4) == 0 ? null : draft.Nodes[random.Next(count)].Id;
            if (random.Next(500) != 0) continue;
            string other = draft.Nodes[random.Next(count)].Id;
            if (random.Next(2) == 0) draft.Migrating[slot] = other;
            else draft.Importing[slot] = other;
        }
        return draft;
    }
}
