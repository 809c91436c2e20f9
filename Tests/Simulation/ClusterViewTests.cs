using OrleansRedis.Cluster;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Simulation;

/// <summary>The view as bytes.</summary>
public sealed class ClusterViewTests
{
    [Fact]
    public void A_view_and_its_bytes_are_the_same()
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 50; round++)
        {
            ClusterView view = RandomView(random), read = ClusterView.Decode(view.Encode());
            Assert.Equal(view.Version, read.Version);
            Assert.Equal(view.Members, read.Members);
            Assert.Equal(view.NodesBefore, read.NodesBefore);
            Assert.Equal(view.Departed, read.Departed);
        }
    }

    [Fact]
    public void Who_was_in_and_is_out_has_departed_for_good_and_its_node_may_come_back_as_another()
    {
        SiloId first = new(7, 3), next = new(7, 4), other = new(8, 1);
        ClusterView view = ClusterView.Empty.With([new(first, ""), new(other, "")]);
        Assert.False(view.HasDeparted(first) || view.HasDeparted(next));
        view = ClusterView.Decode(view.With([new(other, "")]).Encode()).With([new(other, "")]);
        Assert.True(view.HasDeparted(first) && view.HasDeparted(new(7, 2)));
        Assert.False(view.HasDeparted(next) || view.HasDeparted(other));
        view = view.With([new(other, ""), new(next, "")]);
        Assert.True(view.HasDeparted(first));
        Assert.False(view.HasDeparted(next));
        Assert.Equal([next], view.With([]).With([new(other, "")]).Departed);
    }

    [Fact]
    public void Damaged_bytes_are_refused()
    {
        Random random = TestSeed.Random();
        byte[] bytes = RandomView(random).Encode();
        for (int i = 0; i < bytes.Length; i++)
        {
            byte[] cut = bytes[..i], flipped = [.. bytes];
            flipped[i] ^= (byte)(1 << random.Next(8));
            Assert.Throws<InvalidDataException>(() => ClusterView.Decode(cut));
            Assert.Throws<InvalidDataException>(() => ClusterView.Decode(flipped));
        }
    }

    private static ClusterView RandomView(Random random) => new(
        random.NextInt64(),
        Enumerable.Range(1, random.Next(1, 20)).Select(i => new Member(
            new(i * 1_000_000_007L * (random.Next(2) == 0 ? 1 : -1), random.Next(1, 1000)), $"host-{i}:11111", random.Next(500), "zöne", random.Next(2) == 0)),
        Enumerable.Range(0, random.Next(20)).Select(_ => random.NextInt64()),
        Enumerable.Range(0, random.Next(20)).Select(_ => new SiloId(random.NextInt64(1, long.MaxValue), random.Next(1, 1000))));
}
