using OrleansRedis.Engine;
using OrleansRedis.Grains.Clustering;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Slots that come to a silo and leave it, and what the silo's own log then has.</summary>
public sealed class SlotPassageTests
{
    private static readonly int s_slot = KeySlot.Of("{t}"u8);

    [Fact]
    public async Task A_slot_arrives_as_it_is_and_is_in_the_log_until_it_leaves()
    {
        Random random = TestSeed.Random();
        for (int round = 0; round < 12; round++)
        {
            using var source = new EngineHarness();
            using var target = new AofHarness();
            target.Store.Slots.Withdraw(target.Store.Slots[s_slot]!);
            target.Run("SET", "other", "stays");

            Change(source, random, random.Next(100));
            var log = new MoveLog(source.Store.Effects.Log);
            List<ReadOnlyMemory<byte>> pieces =
                SlotSnapshots.Write(source.Store.Slots[s_slot]!, source.Store.Options, source.Store.Slots.Databases, source.NowMs, out SlotPosition upTo)!;
            Slot arrived = target.Store.Slots.Create(s_slot, epoch: 2);
            using var replay = new SlotReplay(target.Store, EngineHarness.Commands);
            foreach (ReadOnlyMemory<byte> piece in pieces) replay.Load(arrived, piece.Span);
            SlotPassage.LogArrival(target.Store, arrived);
            long at = upTo.Sequence, last = at;
            for (int part = random.Next(4); part > 0; part--)
            {
                Change(source, random, random.Next(1, 30));
                if (source.Store.Slots[s_slot]!.LastEffect == last) continue; // nothing came of it
                last = source.Store.Slots[s_slot]!.LastEffect;
                foreach (SlotRecord record in await log.NextAsync(number => number == s_slot, CancellationToken.None))
                {
                    SlotPassage.Apply(target.Store, arrived, record.Bytes.Span, at + 1 - record.First, replay);
                    at = record.Last;
                }
            }
            log.Detach();
            Assert.Equal(last, at);
            SlotPassage.Finish(target.Store, arrived);
            target.Store.Slots.PublishSuspended(arrived);
            target.Store.Slots.Resume(arrived);
            source.Run("SELECT", "0");
            source.Run("SET", "other", "stays");
            Assert.Equal(KeyspaceDigest.OfAll(source.Store.Slots), KeyspaceDigest.OfAll(target.Store.Slots));

            target.Close();
            using AofHarness again = target.Restart();
            Assert.Equal(KeyspaceDigest.OfAll(source.Store.Slots), KeyspaceDigest.OfAll(again.Store.Slots));

            SlotPassage.LogDeparture(again.Store, again.Store.Slots[s_slot]!);
            again.Close();
            using AofHarness without = again.Restart();
            Assert.Equal(1, without.Run("DBSIZE") is long left ? left : -1);
            Assert.Equal("stays", without.Run("GET", "other"));
        }
    }

    [Fact]
    public void A_suspended_slot_lets_nobody_in_but_is_saved()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "{t}:a", "1");
        Slot slot = redis.Store.Slots[s_slot]!;
        redis.Store.Slots.Suspend(slot);
        Assert.Equal(Outcome.SlotNotHere, redis.Client.Try("GET", "{t}:a"));
        Assert.Equal(Outcome.SlotNotHere, redis.Client.Try("MSET", "{t}:a", "2", "b", "2"));
        Assert.NotEmpty(SlotSnapshots.Write(slot, redis.Store.Options, redis.Store.Slots.Databases, redis.NowMs, out _)!);
        redis.Store.Slots.Resume(slot);
        Assert.Equal("1", redis.Run("GET", "{t}:a"));
        redis.Store.Slots.Suspend(slot);
        redis.Store.Slots.Withdraw(slot);
        Assert.Null(redis.Store.Slots[s_slot]);
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
    }

    /// <summary>Changes keys of the slot, in some databases.</summary>
    private static void Change(EngineHarness redis, Random random, int commands)
    {
        for (; commands > 0; commands--)
        {
            string key = $"{{t}}:{random.Next(12)}", value = $"value {random.Next(1000)}";
            string[] command = random.Next(16) switch
            {
                0 => ["SET", key, value, "PX", "100000000"],
                1 => ["RPUSH", key, value, value],
                2 => ["HSET", key, value, "x"],
                3 => ["SADD", key, value, "1", "2"],
                4 => ["ZADD", key, $"{random.Next(100)}", value],
                5 => ["XADD", key, "*", "field", value],
                6 => ["DEL", key],
                7 => ["INCR", key],
                8 => ["SELECT", $"{random.Next(3)}"],
                9 => ["EXPIRE", key, "100000"],
                10 => ["SPOP", key],
                11 => ["RENAME", key, $"{{t}}:{random.Next(12)}"],
                12 => ["LPOP", key],
                13 when random.Next(5) == 0 => ["FLUSHDB"],
                14 when random.Next(5) == 0 => ["SWAPDB", "0", "1"],
                _ => ["SET", key, value],
            };
            redis.Run(command);
        }
    }
}
