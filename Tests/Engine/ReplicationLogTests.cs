using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Persistence;
using Xunit;
using Store = OrleansRedis.Engine.Store;

namespace OrleansRedis.Tests;

/// <summary>The log of effects in memory: what it contains, its positions, and how long it is kept.</summary>
public sealed class ReplicationLogTests
{
    [Fact]
    public void A_position_is_the_number_of_bytes_of_the_stream_before_it()
    {
        using var redis = new EngineHarness();
        var reader = new LogReader(redis.Store.Effects.Log);
        long start = reader.Follow();
        redis.Run("SET", "a", "1");
        redis.Run("MSET", "a", "2", "b", "2");
        redis.Client.Run("SELECT", "3");
        redis.Run("DEL", "missing");
        redis.Run("SET", "c", "3");
        string[] expected = ["SELECT 0", "SET a 1", "MULTI", "SET a 2", "SET b 2", "EXEC", "SELECT 3", "SET c 3"];
        byte[] stream = Read(reader, start);
        Assert.Equal(expected, AofHarness.Parse(stream));
        Assert.Equal(start + stream.Length, redis.Store.Effects.Log.Appended);
    }

    [Fact]
    public void With_nobody_to_read_it_positions_stand_still()
    {
        using var store = new Store(new ServerOptions { Save = new() }, TimeProvider.System, EngineHarness.Commands);
        for (int number = 0; number < KeySlot.Count; number++) store.Slots.Publish(store.Slots.Create(number, epoch: 1));
        Run(store, "SET", "a", "1");
        Assert.False(store.Effects.HasConsumers);
        Assert.Equal(0, store.Effects.Log.Appended);
        var reader = new LogReader(store.Effects.Log);
        reader.Follow();
        Run(store, "SET", "a", "1");
        reader.Stop();
        Run(store, "SET", "a", "2");
        Assert.False(store.Effects.HasConsumers);
        Assert.Equal(reader.End, store.Effects.Log.Appended);
        // A stopped reader may still read what comes before its end.
        Assert.Equal(["SELECT 0", "SET a 1"], AofHarness.Parse(Read(reader, 0)));
    }

    [Fact]
    public void Effects_tell_whose_they_are_and_where_their_frame_lies()
    {
        using var redis = new EngineHarness();
        var reader = new LogReader(redis.Store.Effects.Log, readsEffects: true);
        long start = reader.Follow();
        for (int i = 0; i < 3; i++) redis.Run("SET", $"{i}", "v");
        redis.Client.Run("SELECT", "2");
        redis.Run("SET", "x", new string('x', ReplicationLog.ChunkBytes)); // crosses the end of a chunk
        redis.Run("MSET", "a", "1", "b", "2");
        redis.Run("FLUSHALL");
        redis.Run("FUNCTION", "FLUSH");
        var runs = new List<ReadOnlyMemory<LoggedEffect>>();
        reader.CollectEffects(start, int.MaxValue, runs);
        var bytes = new LogBytes();
        bytes.Collect(reader, start, redis.Store.Effects.Log.Appended);
        var seen = new List<string>();
        foreach (LoggedEffect effect in runs.SelectMany(run => run.ToArray()))
        {
            byte[] frame = new byte[effect.Length];
            bytes.CopyTo(effect.Position, frame);
            string text = Assert.Single(AofHarness.Parse(frame));
            seen.Add($"{effect.Database}:{text[..Math.Min(text.Length, 8)]}{(effect.IsShare ? "+" : "")}");
            Assert.Equal(effect.Slot == Effect.NoSlot, effect.Sequence == 0);
        }
        Assert.Equal(
            ["0:SET 0 v", "0:SET 1 v", "0:SET 2 v", "2:SET x xx", "2:SET a 1", "2:SET b 2", "2:FLUSHALL", "2:FLUSHALL+"], seen[..8]);
        Assert.Equal("-1:FUNCTION", seen[^1]);
        Assert.Equal(4 + 1 + 1 + 1, runs.SelectMany(run => run.ToArray()).Select(effect => effect.UnitEnd).Distinct().Count());
    }

    [Fact]
    public void Effects_come_in_whole_units_however_few_are_asked_for()
    {
        using var redis = new EngineHarness();
        var reader = new LogReader(redis.Store.Effects.Log, readsEffects: true);
        long from = reader.Follow();
        string[] many = ["MSET", .. Enumerable.Range(0, 3000).SelectMany(i => (string[])[$"{i}", "v"])];
        for (int i = 0; i < 4; i++)
        {
            redis.Run("SET", "a", "1");
            redis.Run(many);
        }
        var sizes = new List<int>();
        var runs = new List<ReadOnlyMemory<LoggedEffect>>();
        while (true)
        {
            reader.CollectEffects(from, 1, runs);
            if (runs.Count == 0) break;
            LoggedEffect[] effects = [.. runs.SelectMany(run => run.ToArray())];
            foreach (IGrouping<long, LoggedEffect> unit in effects.GroupBy(effect => effect.UnitEnd)) sizes.Add(unit.Count());
            reader.Release(from = effects[^1].UnitEnd);
        }
        Assert.Equal([1, 3000, 1, 3000, 1, 3000, 1, 3000], sizes);
    }

    [Fact]
    public void A_reader_holds_what_it_has_not_released_and_no_more_than_it_may()
    {
        using var redis = new EngineHarness();
        ReplicationLog log = redis.Store.Effects.Log;
        var patient = new LogReader(log);
        var limited = new LogReader(log, mostHeld: 2 << 20);
        long start = patient.Follow();
        limited.Follow();
        string value = new('x', 1 << 20);
        redis.Run("SET", "a", value);
        Assert.False(limited.IsDropped);
        for (int i = 0; i < 3; i++) redis.Run("SET", "a", value);
        Assert.True(limited.IsDropped);
        Assert.Equal(log.Appended - start, Read(patient, start).Length);
        redis.TakeEffects();
        patient.Release(log.Appended);
        Assert.True(Read(patient, start).Length < ReplicationLog.ChunkBytes); // the rest has been freed
        limited.Detach();
        limited.Follow(); // a second time
        Assert.False(limited.IsDropped);
    }

    [Fact]
    public void A_backlog_is_retained_for_whoever_comes_back()
    {
        using var redis = new EngineHarness();
        ReplicationLog log = redis.Store.Effects.Log;
        const int Backlog = 1 << 20;
        redis.Run("SET", "before", "1");
        redis.TakeEffects();
        log.Retain(Backlog);
        long first = log.Appended;
        Assert.Equal(first, log.RetainedFrom);
        Assert.False(log.TryReadAt(first - 1, new byte[10], out _)); // it is in memory, but was never promised
        for (int i = 0; i < 100; i++) redis.Run("SET", $"{i}", "v");
        redis.TakeEffects();
        var replica = new LogReader(log);
        Assert.True(replica.TryFollow(first));
        // Without a SELECT: for the replica the stream goes on.
        Assert.Equal(100, AofHarness.Parse(Read(replica, first)).Length);
        byte[] some = new byte[40];
        Assert.True(log.TryReadAt(first, some, out int count));
        Assert.Equal(some.Length, count);
        Assert.Equal(Read(replica, first)[..40], some);
        Assert.True(log.TryReadAt(log.Appended - 5, some, out count));
        Assert.Equal(5, count);
        Assert.True(log.TryReadAt(log.Appended, some, out count));
        Assert.Equal(0, count);
        Assert.False(log.TryReadAt(log.Appended + 1, some, out _));
        replica.Detach();

        string value = new('x', 100_000);
        for (int i = 0; i < 50; i++)
        {
            redis.Run("SET", "a", value);
            redis.TakeEffects();
        }
        Assert.InRange(log.Appended - log.RetainedFrom, Backlog, Backlog + (2 * ReplicationLog.ChunkBytes));
        Assert.False(replica.TryFollow(first));
        Assert.False(log.TryReadAt(first, some, out _));
        Assert.True(replica.TryFollow(log.RetainedFrom));
        replica.Detach();
        log.Retain(0);
        Assert.False(replica.TryFollow(log.Appended - 1));
    }

    [Fact]
    public void A_backlog_keeps_the_log_open_and_is_not_offered_across_what_it_lacks()
    {
        using var store = new Store(new ServerOptions { Save = new() }, TimeProvider.System, EngineHarness.Commands);
        for (int number = 0; number < KeySlot.Count; number++) store.Slots.Publish(store.Slots.Create(number, epoch: 1));
        ReplicationLog log = store.Effects.Log;
        log.Retain(1 << 20);
        Run(store, "SET", "a", "1");
        long before = log.Appended;
        Assert.NotEqual(0, before);
        Assert.Equal(0, log.RetainedFrom);
        log.Suspend();
        Run(store, "SET", "a", "2");
        Assert.Equal(before, log.Appended);
        log.Resume();
        Run(store, "SET", "a", "3");
        Assert.Equal(before, log.RetainedFrom);
        Assert.False(new LogReader(log).TryFollow(0));
        Assert.True(new LogReader(log).TryFollow(before));
    }

    [Fact]
    public void A_part_begins_with_the_database()
    {
        using var redis = new EngineHarness();
        var reader = new LogReader(redis.Store.Effects.Log);
        long start = reader.Follow();
        redis.Run("SET", "a", "1");
        long part = redis.Store.Effects.Log.BeginPart();
        redis.Run("FUNCTION", "FLUSH"); // it means the same in every database
        redis.Run("SET", "b", "1");
        Assert.Equal(["FUNCTION FLUSH", "SELECT 0", "SET b 1"], AofHarness.Parse(Read(reader, part)));
        Assert.Equal(["SELECT 0", "SET a 1"], AofHarness.Parse(Read(reader, start).AsSpan(0, (int)(part - start))));
    }

    [Fact]
    public void A_reader_that_sleeps_is_woken_once_and_one_that_lags_is_told_with_each_unit()
    {
        using var redis = new EngineHarness();
        var reader = new CountingReader(redis.Store.Effects.Log);
        long position = reader.Follow();
        Assert.True(reader.TryArm(position));
        redis.Run("SET", "a", "1");
        redis.Run("SET", "a", "1");
        Assert.Equal(1, reader.Woken);
        Assert.False(reader.TryArm(position));
        Assert.Equal(0, reader.Behind);
        redis.Run("SET", "a", new string('x', 1000));
        redis.Run("SET", "a", "1");
        Assert.Equal(2, reader.Behind);
        reader.Stop();
        redis.Run("SET", "a", "1");
        Assert.Equal(2, reader.Behind);
    }

    [Fact]
    public async Task Positions_and_bytes_agree_when_many_append()
    {
        using var redis = new EngineHarness();
        var reader = new LogReader(redis.Store.Effects.Log, readsEffects: true);
        long start = reader.Follow();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(writer => Task.Run(async () =>
        {
            EngineClient client = redis.NewClient();
            for (int i = 0; i < 2000; i++)
            {
                string[] command = i % 3 == 0 ? ["MSET", $"a{writer}", $"{i}", $"b{writer}", $"{i}"] : ["SET", $"c{writer}", $"{i}"];
                await client.RunAsync(command);
            }
        })));
        var runs = new List<ReadOnlyMemory<LoggedEffect>>();
        reader.CollectEffects(start, int.MaxValue, runs);
        var bytes = new LogBytes();
        bytes.Collect(reader, start, redis.Store.Effects.Log.Appended);
        long last = start;
        var sequences = new Dictionary<int, long>();
        foreach (LoggedEffect effect in runs.SelectMany(run => run.ToArray()))
        {
            byte[] frame = new byte[effect.Length];
            bytes.CopyTo(effect.Position, frame);
            Assert.Single(AofHarness.Parse(frame));
            Assert.True(effect.Position >= last);
            last = effect.Position;
            Assert.Equal(sequences.GetValueOrDefault(effect.Slot) + 1, effect.Sequence);
            sequences[effect.Slot] = effect.Sequence;
        }
        Assert.Equal(12, sequences.Count);
    }

    private static byte[] Read(LogReader reader, long from)
    {
        var pieces = new List<ReadOnlyMemory<byte>>();
        reader.Collect(from, Math.Min(reader.End, reader.Log.Appended), pieces);
        return [.. pieces.SelectMany(piece => piece.ToArray())];
    }

    private static void Run(Store store, params string[] words)
    {
        OwnedRequest request = OwnedRequest.Of([.. words.Select(word => (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(word))]);
        var call = new CommandContext(store, new Session(), new RespWriter())
        {
            Command = EngineHarness.Commands.Resolve(request.Request)!,
            Request = request.Request,
            NowMs = store.Clock.NowMs,
        };
        Assert.Equal(Outcome.Done, store.Execute(ref call).Outcome);
    }

    private sealed class CountingReader(ReplicationLog log) : LogReader(log, mostPending: 500)
    {
        public int Woken { get; private set; }

        public int Behind { get; private set; }

        protected internal override void OnAppended() => Woken++;

        protected internal override void OnBehind() => Behind++;
    }
}
