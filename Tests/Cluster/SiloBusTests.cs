using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.Bus;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Clustering;

/// <summary>The bus between silos, on real sockets.</summary>
public sealed class SiloBusTests
{
    private const byte Command = BusKinds.FirstCommand, Bulk = BusKinds.FirstBulk;

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Two_silos_find_each_other_whoever_knows_the_other(bool lowerKnows, bool higherKnows)
    {
        using var lower = new Silo(1);
        using var higher = new Silo(2);
        lower.Bus.Start();
        higher.Bus.Start();
        if (lowerKnows) lower.Knows(higher);
        if (higherKnows) higher.Knows(lower);
        await lower.SendAsync(higher, Command, "to the higher");
        await higher.SendAsync(lower, Command, "to the lower");
        Assert.Equal("1.1: to the higher", await higher.NextAsync());
        Assert.Equal("2.1: to the lower", await lower.NextAsync());
    }

    [Fact]
    public async Task Messages_of_a_lane_arrive_in_order_and_whole()
    {
        using var one = new Silo(1);
        using var other = new Silo(2);
        one.Start(other);
        Random random = TestSeed.Random();
        int[] sizes = [.. Enumerable.Range(0, 300).Select(_ => random.Next(10) == 0 ? random.Next(400_000) : random.Next(200))];
        Task sending = Task.Run(async () =>
        {
            for (int i = 0; i < sizes.Length; i++) await one.SendAsync(other, Command, $"{i}:{new string('x', sizes[i])}");
        });
        for (int i = 0; i < sizes.Length; i++) Assert.Equal($"1.1: {i}:{new string('x', sizes[i])}", await other.NextAsync());
        await sending;
    }

    [Fact]
    public async Task A_heartbeat_overtakes_what_is_large()
    {
        using var one = new Silo(1);
        using var other = new Silo(2);
        one.Start(other);
        await one.SendAsync(other, Command, "here");
        Assert.Equal("1.1: here", await other.NextAsync());
        // The other one is busy with something; meanwhile more waits than the sockets' buffers hold.
        using ManualResetEventSlim isBusy = new(), busy = new();
        other.Before = kind =>
        {
            if (kind != Bulk) return;
            isBusy.Set();
            busy.Wait(Eventually.Deadline);
        };
        Assert.True(one.Bus.TrySend(other.Id, Bulk, [1]));
        Assert.True(isBusy.Wait(Eventually.Deadline)); // before the others overtake this one as well
        byte[] large = new byte[40 << 20];
        await one.Bus.WhenReady(other.Id, BusLane.Bulk).WaitAsync(Eventually.Deadline);
        Assert.True(one.Bus.TrySend(other.Id, Bulk, large));
        Assert.False(one.Bus.TrySend(other.Id, Bulk, [1])); // the lane is full; the others are not
        await one.SendAsync(other, Command, "between");
        Assert.True(one.Bus.TrySend(other.Id, BusKinds.Heartbeat, "now"u8));
        busy.Set();
        Assert.Equal("1.1: 1 bytes", await other.NextAsync());
        // Those two in either order: the first may have been on its way before the second was there.
        string[] overtaking = [await other.NextAsync(), await other.NextAsync()];
        Assert.Equal(["1.1: between", "1.1: now"], overtaking.Order(StringComparer.Ordinal));
        Assert.Equal($"1.1: {large.Length} bytes", await other.NextAsync());
        await one.Bus.WhenReady(other.Id, BusLane.Bulk).WaitAsync(Eventually.Deadline);
        Assert.True(one.Bus.TrySend(other.Id, Bulk, [1]));
    }

    [Fact]
    public async Task A_later_life_takes_the_place_of_the_earlier_and_both_sides_hear_of_it()
    {
        using var one = new Silo(1);
        var other = new Silo(2);
        one.Start(other);
        await one.SendAsync(other, Command, "to the first life");
        Assert.Equal("1.1: to the first life", await other.NextAsync());
        IPEndPoint address = other.Bus.Address;
        other.Dispose();
        Assert.Equal("broken 2.1", await one.NextNewsAsync());
        using var later = new Silo(2, incarnation: 2, port: address.Port);
        later.Bus.Start();
        await one.SendAsync(later, Command, "to the second life");
        Assert.Equal("1.1: to the second life", await later.NextAsync());
        Assert.Equal("connected 2.2", await one.NextNewsAsync());
        Assert.False(one.Bus.TrySend(new(2, 1), Command, "who is gone"u8));
    }

    [Fact]
    public async Task Who_does_not_know_the_secret_is_not_let_in()
    {
        using var one = new Silo(1);
        using var stranger = new Silo(2, secret: "wrong");
        one.Start(stranger);
        stranger.Knows(one);
        using var friend = new Silo(3);
        friend.Bus.Start();
        friend.Knows(one);
        await friend.SendAsync(one, Command, "hello");
        Assert.Equal("3.1: hello", await one.NextAsync());
        Assert.False(one.Bus.TrySend(stranger.Id, Command, "x"u8));
        Assert.False(stranger.Bus.TrySend(one.Id, Command, "x"u8));
    }

    [Fact]
    public async Task A_handler_that_fails_ends_the_connection_and_another_one_comes()
    {
        using var one = new Silo(1);
        using var other = new Silo(2);
        one.Start(other);
        other.Before = _ => throw new InvalidDataException("nonsense");
        await one.SendAsync(other, Command, "nonsense");
        Assert.Equal("broken 2.1", await one.NextNewsAsync());
        other.Before = null;
        Assert.Equal("connected 2.1", await one.NextNewsAsync());
        await one.SendAsync(other, Command, "sense");
        Assert.Equal("1.1: sense", await other.NextAsync());
    }

    /// <summary>A silo's bus, and what has come over it.</summary>
    private sealed class Silo : IDisposable
    {
        private readonly BlockingCollection<string> _received = [], _news = [];
        private bool _isFirst = true;

        public Silo(long node, int incarnation = 1, int port = 0, string secret = "secret")
        {
            Id = new(node, incarnation);
            Bus = new(Id, new(IPAddress.Loopback, port), new(IPAddress.Loopback, 0), new(secret, "test"), TimeSpan.FromMinutes(1), NullLogger.Instance);
            foreach (byte kind in (byte[])[BusKinds.Heartbeat, Command, Bulk])
            {
                Bus.Handle(kind, (from, payload) =>
                {
                    Before?.Invoke(kind);
                    string text = kind == Bulk ? $"{payload.Length} bytes" : System.Text.Encoding.UTF8.GetString(payload);
                    _received.Add($"{from}: {text}");
                });
            }
            Bus.Connected += silo =>
            {
                if (!_isFirst) _news.Add($"connected {silo}");
                _isFirst = false;
            };
            Bus.Broken += silo => _news.Add($"broken {silo}");
        }

        public SiloId Id { get; }

        public SiloBus Bus { get; }

        public Action<byte>? Before { get; set; }

        public void Start(Silo other)
        {
            Bus.Start();
            other.Bus.Start();
            Knows(other);
        }

        public void Knows(Silo other) => Bus.Know(other.Id, other.Bus.Address);

        public async Task SendAsync(Silo to, byte kind, string text)
        {
            byte[] bytes = System.Text.Encoding.UTF8.GetBytes(text);
            while (!Bus.TrySend(to.Id, kind, bytes)) await Bus.WhenReady(to.Id, BusKinds.LaneOf(kind)).WaitAsync(Eventually.Deadline);
        }

        public Task<string> NextAsync() => TakeAsync(_received);

        public Task<string> NextNewsAsync() => TakeAsync(_news);

        public void Dispose() => Bus.Dispose();

        private static Task<string> TakeAsync(BlockingCollection<string> from) => Task.Run(() =>
            from.TryTake(out string? next, (int)Eventually.Deadline.TotalMilliseconds) ? next : throw new TimeoutException("nothing comes"));
    }
}
