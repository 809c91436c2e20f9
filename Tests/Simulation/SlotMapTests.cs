using OrleansRedis.Cluster;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Simulation;

/// <summary>The slot map and its bytes.</summary>
public sealed class SlotMapTests
{
    [Fact]
    public void A_map_and_its_bytes_are_the_same()
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 50; round++)
        {
            SlotMap map = RandomMap(random, random.Next(2) == 0 ? 300 : SlotMap.RedisSlots);
            AssertEqual(map, SlotMapCodec.Decode(SlotMapCodec.Encode(map)));
        }
    }

    [Fact]
    public void A_delta_makes_the_newer_map_of_the_older_and_of_no_other()
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 50; round++)
        {
            SlotMap older = RandomMap(random, 300), newer = older;
            for (int changes = random.Next(1, 4); changes > 0; changes--) newer = Changed(random, newer);
            byte[] delta = SlotMapCodec.EncodeDelta(older, newer);
            AssertEqual(newer, SlotMapCodec.Apply(older, delta)!);
            Assert.Null(SlotMapCodec.Apply(Changed(random, older), delta));
        }
    }

    [Fact]
    public void A_map_of_a_few_silos_takes_a_few_hundred_bytes_and_a_delta_of_one_slot_less_than_a_hundred()
    {
        SlotMap map = SlotMap.Empty();
        Member[] members = [.. Enumerable.Range(1, 6).Select(node => new Member(new(node, 1), $"10.0.0.{node}:11111"))];
        map = map.With(1, SlotPlanner.Balance(map, members).Select(move => KeyValuePair.Create(move.Slot, map[move.Slot].OwnedBy(move.To))));
        Assert.InRange(SlotMapCodec.Encode(map).Length, 50, 300);
        Assert.InRange(SlotMapCodec.EncodeDelta(map, map.With(2, [new(77, map[77].MovingTo(members[5].Id, 2))])).Length, 20, 100);
    }

    [Fact]
    public void Damaged_bytes_are_refused()
    {
        Random random = TestSeed.Random();
        SlotMap map = RandomMap(random, 100);
        byte[] whole = SlotMapCodec.Encode(map), delta = SlotMapCodec.EncodeDelta(map, Changed(random, map));
        for (int i = 0; i < whole.Length; i++)
        {
            byte[] cut = whole[..i], flipped = [.. whole];
            flipped[i] ^= (byte)(1 << random.Next(8));
            Assert.Throws<InvalidDataException>(() => SlotMapCodec.Decode(cut));
            Assert.Throws<InvalidDataException>(() => SlotMapCodec.Decode(flipped));
        }
        Assert.Throws<InvalidDataException>(() => SlotMapCodec.Decode(delta));
        Assert.Throws<InvalidDataException>(() => SlotMapCodec.Apply(map, whole));
    }

    /// <summary>A checksum can be right by accident or malice: what is behind it is not trusted either.</summary>
    [Fact]
    public void Wrong_content_under_a_right_checksum_is_refused_or_read_but_does_nothing_else()
    {
        Random random = TestSeed.Random();
        byte[] whole = SlotMapCodec.Encode(RandomMap(random, 100));
        for (int round = 0; round < 2000; round++)
        {
            byte[] changed = [.. whole];
            for (int bytes = random.Next(1, 4); bytes > 0; bytes--) changed[random.Next(5, changed.Length - 4)] = (byte)random.Next(256);
            BitConverter.TryWriteBytes(changed.AsSpan(changed.Length - 4), DocumentWriter.Checksum(changed.AsSpan(0, changed.Length - 4)));
            Exception? thrown = Record.Exception(() => SlotMapCodec.Decode(changed));
            Assert.True(thrown is null or InvalidDataException, thrown?.ToString());
        }
    }

    [Fact]
    public void The_checksum_is_CRC_32C() => Assert.Equal(0xe3069283, DocumentWriter.Checksum("123456789"u8));

    [Fact]
    public void A_map_without_changes_is_no_new_version()
    {
        SlotMap map = RandomMap(TestSeed.Random(), 100);
        Assert.Same(map, map.With(9, [new(3, new(map[3].Owner, map[3].Epoch, map[3].Target, map[3].Move, [.. map[3].Replicas]))]));
    }

    private static SlotMap RandomMap(Random random, int slots)
    {
        SlotMap map = SlotMap.Empty(slots);
        for (int changes = random.Next(1, 5); changes > 0; changes--) map = Changed(random, map);
        return map;
    }

    private static SlotMap Changed(Random random, SlotMap map)
    {
        var changes = new Dictionary<int, SlotEntry>();
        for (int runs = random.Next(1, 20); runs > 0; runs--)
        {
            Replica[] replicas = [.. Enumerable.Range(0, random.Next(3)).Select(_ => new Replica(RandomSilo(random), random.Next(2) == 0))];
            SiloId target = random.Next(3) == 0 ? RandomSilo(random) : SiloId.None;
            var entry = new SlotEntry(RandomSilo(random), map.Version + 1, target, target.IsNone ? 0 : random.Next(100), replicas);
            for (int slot = random.Next(map.Count), end = Math.Min(map.Count, slot + random.Next(1, 40)); slot < end; slot++) changes[slot] = entry;
        }
        return map.With(map.ViewVersion + random.Next(2), changes);
    }

    private static SiloId RandomSilo(Random random) => new(random.NextInt64(1, 9) * long.MaxValue / 9, random.Next(1, 300));

    private static void AssertEqual(SlotMap expected, SlotMap actual)
    {
        Assert.Equal((expected.Version, expected.ViewVersion, expected.Count), (actual.Version, actual.ViewVersion, actual.Count));
        for (int slot = 0; slot < expected.Count; slot++) Assert.Equal(expected[slot], actual[slot]);
    }
}
