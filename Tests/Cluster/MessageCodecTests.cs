using System.Net;
using OrleansRedis.Cluster;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Clustering;

/// <summary>What silos say to each other, as bytes.</summary>
public sealed class MessageCodecTests
{
    [Fact]
    public void A_heartbeat_and_its_bytes_are_the_same()
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 100; round++)
        {
            Heartbeat sent = RandomHeartbeat(random), read = MessageCodec.DecodeHeartbeat(MessageCodec.Encode(sent));
            Assert.Equal(sent.Suspects, read.Suspects);
            Assert.Equal(sent with { Suspects = [] }, read with { Suspects = sent.Suspects.Count == 0 ? sent.Suspects : [] } with { Suspects = [] });
        }
    }

    [Fact]
    public void A_message_and_its_bytes_are_the_same()
    {
        Random random = TestSeed.Random();
        foreach (ClusterMessage sent in RandomMessages(random))
        {
            ClusterMessage read = MessageCodec.DecodeMessage(MessageCodec.Encode(sent)!);
            Assert.Equal(sent.GetType(), read.GetType());
            Assert.Equal(Describe(sent), Describe(read));
        }
    }

    [Fact]
    public void Damaged_bytes_are_refused()
    {
        Random random = TestSeed.Random();
        byte[][] all = [MessageCodec.Encode(RandomHeartbeat(random)), .. RandomMessages(random).Select(message => MessageCodec.Encode(message)!)];
        foreach (byte[] bytes in all)
        {
            Action<byte[]> decode = bytes == all[0] ? damaged => MessageCodec.DecodeHeartbeat(damaged) : damaged => MessageCodec.DecodeMessage(damaged);
            for (int i = 0; i < bytes.Length; i += Math.Max(1, bytes.Length / 200))
            {
                byte[] cut = bytes[..i], flipped = [.. bytes];
                flipped[i] ^= (byte)(1 << random.Next(8));
                Assert.Throws<InvalidDataException>(() => decode(cut));
                Assert.Throws<InvalidDataException>(() => decode(flipped));
            }
        }
    }

    [Fact]
    public void Endpoints_and_their_text_are_the_same_and_unknown_words_are_passed_over()
    {
        var endpoints = new SiloEndpoints(IPEndPoint.Parse("10.0.0.1:31111"), IPEndPoint.Parse("[::1]:6379"), "10.0.0.1:11111@77");
        Assert.Equal(endpoints, SiloEndpoints.Parse(endpoints.ToString()));
        Assert.Equal(endpoints, SiloEndpoints.Parse($"color=blue {endpoints} later"));
        Assert.Equal(new SiloEndpoints(endpoints.Bus), SiloEndpoints.Parse("bus=10.0.0.1:31111"));
        Assert.Null(SiloEndpoints.Parse("redis=10.0.0.1:6379"));
        Assert.Null(SiloEndpoints.Parse(""));
    }

    private static SiloId RandomSilo(Random random) => new(random.NextInt64(1, long.MaxValue), random.Next(1, int.MaxValue));

    private static Heartbeat RandomHeartbeat(Random random) => new(
        RandomSilo(random), random.NextInt64(), random.Next(), random.NextInt64(), random.NextInt64(), random.NextInt64(), random.NextInt64(),
        [.. Enumerable.Range(0, random.Next(5)).Select(_ => random.NextInt64(long.MinValue, long.MaxValue))]);

    private static IEnumerable<ClusterMessage> RandomMessages(Random random)
    {
        SiloId from = RandomSilo(random), to = RandomSilo(random);
        var member = new Member(from, "bus=127.0.0.1:1 redis=127.0.0.1:2", random.Next(), "zöne", true);
        ClusterView view = ClusterView.Empty.With([member, new(to, "")]).With([new(to, "", 7)]);
        SlotMap map = SlotMap.Empty();
        map = map.With(2, SlotPlanner.Balance(map, view.Members).Select(move => KeyValuePair.Create(move.Slot, map[move.Slot].OwnedBy(move.To))));
        map = map.With(3, [new(random.Next(map.Count), map[0].MovingTo(from, 2))]);
        yield return new JoinRequest(from, member, random.NextInt64());
        yield return new ViewRequest(from, random.NextInt64());
        yield return new ViewUpdate(from, view);
        yield return new MapRequest(from, random.NextInt64());
        yield return new MapUpdate(from, map);
        yield return new SlotOffer(from, random.Next(SlotMap.RedisSlots), random.NextInt64(), random.NextInt64());
        yield return new MoveRequest(from, 3, random.Next(3, SlotMap.RedisSlots), to);
        yield return new MoveRequest(from, 0, SlotMap.RedisSlots - 1, SiloId.None);
        yield return new LeaveRequest(from, to, random.Next(2) == 0);
    }

    private static string Describe(ClusterMessage message) => message switch
    {
        ViewUpdate update => Convert.ToHexString(update.View.Encode()),
        MapUpdate update => Convert.ToHexString(SlotMapCodec.Encode(update.Map)),
        _ => message.ToString(),
    };
}
