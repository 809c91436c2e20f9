using OrleansRedis.Cluster;
using OrleansRedis.Grains.Bus;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Clustering;

/// <summary>Messages of one lane on their way through a queue, in pieces.</summary>
public sealed class LaneTests
{
    [Fact]
    public void Messages_arrive_whole_and_in_order_however_they_are_cut()
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 50; round++)
        {
            var queue = new LaneQueue(int.MaxValue);
            var reader = new LaneReader(BusLane.Commands);
            var sent = new Queue<byte[]>();
            int received = 0;
            for (int step = 0; step < 200; step++)
            {
                if (random.Next(2) == 0)
                {
                    byte[] message = new byte[random.Next(4) == 0 ? random.Next(3000) : random.Next(20)];
                    random.NextBytes(message);
                    sent.Enqueue(message);
                    Assert.True(queue.TryAdd((byte)(BusKinds.FirstCommand + (message.Length % 5)), message));
                }
                byte[] piece = new byte[random.Next(1, random.Next(2) == 0 ? 8 : 4000)];
                reader.Receive(piece.AsSpan(0, queue.Take(piece)), Take);
            }
            byte[] rest = new byte[queue.Length];
            reader.Receive(rest.AsSpan(0, queue.Take(rest)), Take);
            Assert.Empty(sent);
            Assert.True(received > 0);

            void Take(byte kind, ReadOnlySpan<byte> payload)
            {
                byte[] expected = sent.Dequeue();
                Assert.Equal(BusKinds.FirstCommand + (expected.Length % 5), kind);
                Assert.Equal(expected, payload.ToArray());
                received++;
            }
        }
    }

    [Fact]
    public void A_full_queue_takes_nothing_and_says_when_it_does_again()
    {
        var queue = new LaneQueue(1000);
        Assert.True(queue.TryAdd(1, new byte[2000])); // whatever its size: otherwise it could never be sent
        Assert.False(queue.TryAdd(1, [1]));
        Task room = queue.WhenRoom();
        Assert.False(room.IsCompleted);
        queue.Take(new byte[1000]);
        Assert.False(room.IsCompleted);
        queue.Take(new byte[1000]);
        Assert.True(room.IsCompleted);
        Assert.True(queue.TryAdd(1, [1]));
    }

    [Theory]
    [InlineData(BusKinds.FirstCommand, -1)]
    [InlineData(BusKinds.FirstCommand, BusKinds.MostBytes + 1)]
    [InlineData(BusKinds.Heartbeat, 1)]
    public void What_is_no_message_of_the_lane_is_refused(byte kind, int length)
    {
        byte[] header = [kind, 0, 0, 0, 0];
        BitConverter.TryWriteBytes(header.AsSpan(1), length);
        Assert.Throws<InvalidDataException>(() => new LaneReader(BusLane.Commands).Receive(header, (_, _) => { }));
    }
}
