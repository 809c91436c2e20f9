using System.Diagnostics;
using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Storage;
using OrleansRedis.Tests.Harness;
using OrleansRedis.Tests.Persistence;
using Xunit;

namespace OrleansRedis.Tests.Storage;

public sealed class SlotJournalTests
{
    // Keys, and the slots in which they live.
    private const string A = "foo", B = "bar", C = "hello";
    private const int SlotOfA = 12182, SlotOfB = 5061, SlotOfC = 866;
    private static readonly int[] s_slots = [SlotOfA, SlotOfB, SlotOfC];

    [Fact]
    public async Task Whoever_opens_a_slot_next_finds_what_was_done_in_it()
    {
        await using var storage = new MemorySlotStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage);
        foreach (string[] command in RdbDataSet.Commands()) silo.Run(command);
        silo.Run("SET", "gone", "1", "PX", "1");
        silo.Run("EXPIRE", A, "1000");
        await silo.Journal.FlushAsync(default);
        await using StoredSilo next = await StoredSilo.StartAsync(storage);
        Assert.Equal(silo.Digest(), next.Digest());
        Assert.Equal(silo.Store.Slots.KeyCount(0), next.Store.Slots.KeyCount(0));
        Assert.Equal(silo.Store.UsedMemory, next.Store.UsedMemory, silo.Store.UsedMemory * 0.05);
    }

    [Fact]
    public async Task Commands_on_whole_databases_are_recovered_slot_by_slot()
    {
        await using var storage = new MemorySlotStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage);
        silo.Run("MSET", A, "1", B, "2", C, "3");
        silo.Run("SWAPDB", "0", "9");
        silo.Run("SET", A, "4");
        silo.Run("SELECT", "9");
        silo.Run("SET", A, "5");
        silo.Run("SELECT", "3");
        silo.Run("SET", B, "6");
        silo.Run("FLUSHDB");
        silo.Run("SET", B, "7");
        await silo.Journal.FlushAsync(default);
        await using StoredSilo next = await StoredSilo.StartAsync(storage);
        Assert.Equal(silo.Digest(), next.Digest());
        Assert.Equal((long[])[1L, 0, 0, 1, 0, 0, 0, 0, 0, 3], Enumerable.Range(0, 10).Select(database => next.Store.Slots.KeyCount(database)).ToArray());
        next.Run("FLUSHALL");
        await next.Journal.FlushAsync(default);
        await using StoredSilo last = await StoredSilo.StartAsync(storage);
        Assert.Equal(0, Enumerable.Range(0, 16).Sum(database => last.Store.Slots.KeyCount(database)));
    }

    [Fact]
    public async Task What_had_not_expired_when_it_was_changed_does_not_expire_while_it_is_recovered()
    {
        await using var storage = new MemorySlotStorage();
        var clock = new FakeTime();
        var store = new Engine.Store(new ServerOptions { Save = new() }, clock, EngineHarness.Commands);
        await using var slots = new StoredSlots(store, storage, EngineHarness.Commands);
        await slots.StartAsync(default);
        using var host = new SlotHost(store, slots);
        await host.TakeAsync([SlotOfA], default);
        Run(store, "SET", A, "1", "PX", "1000");
        Run(store, "INCR", A);
        Run(store, "PERSIST", A);
        await slots.Journal!.FlushAsync(default);
        clock.Advance(5000);
        var later = new Engine.Store(new ServerOptions { Save = new() }, clock, EngineHarness.Commands);
        await using var recovered = new StoredSlots(later, storage, EngineHarness.Commands);
        await recovered.StartAsync(default);
        using var laterHost = new SlotHost(later, recovered);
        await laterHost.TakeAsync([SlotOfA], default);
        Assert.Equal("2", Run(later, "GET", A));
        store.Dispose();
        later.Dispose();

        static object? Run(Engine.Store store, params string[] words)
        {
            OwnedRequest request = OwnedRequest.Of([.. words.Select(word => (ReadOnlyMemory<byte>)System.Text.Encoding.Latin1.GetBytes(word))]);
            var reply = new RespWriter();
            var call = new CommandContext(store, new Session(), reply)
            {
                Command = EngineHarness.Commands.Resolve(request.Request)!,
                Request = request.Request,
                NowMs = store.Clock.NowMs
            };
            store.Execute(ref call);
            return new Replies(reply.Written).Next();
        }
    }

    [Fact]
    public async Task A_reply_waits_for_the_transaction_and_what_comes_meanwhile_goes_together_into_the_next()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots);
        storage.Hold();
        Task<object?> first = silo.RunStoredAsync("SET", A, "1");
        await Eventually.TrueAsync(() => storage.Appends == 1);
        Task<object?>[] others = [.. Enumerable.Range(0, 50).Select(i => silo.RunStoredAsync("INCR", i % 2 == 0 ? B : C))];
        Assert.False(first.IsCompleted);
        Assert.Null(silo.Journal.WriteError);
        storage.Release();
        await Task.WhenAll([first, .. others]);
        Assert.Equal(2, storage.Appended.Count);
        Assert.Equal([(SlotOfC, 1L, 25L), (SlotOfB, 1, 25)],
            storage.Appended[1].OrderBy(record => record.Slot).Select(record => (record.Slot, record.First, record.Last)));
    }

    [Fact]
    public async Task While_the_store_fails_writes_are_refused_reads_are_answered_and_nothing_is_lost()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots);
        await silo.RunStoredAsync("SET", A, "1");
        storage.Failure = "No space left on device";
        Task<object?> pending = silo.RunStoredAsync("SET", A, "2");
        await Eventually.TrueAsync(() => silo.Journal.WriteError is not null);
        Assert.Equal("-MISCONF Errors writing to the shared storage: No space left on device", (await silo.RunStoredAsync("SET", A, "3"))!.ToString());
        await silo.RunStoredAsync("GET", B);
        Assert.False(pending.IsCompleted);
        storage.Failure = null;
        Assert.Equal("OK", await pending);
        Assert.Equal("OK", await silo.RunStoredAsync("SET", B, "4"));
        Assert.Equal(Restrictions.None, silo.Store.Restrictions);
        await using StoredSilo next = await StoredSilo.StartAsync(storage, s_slots);
        Assert.Equal(silo.Digest(), next.Digest());
        Assert.Single(silo.Log, line => line.Contains("No space left on device"));
    }

    [Fact]
    public async Task An_append_whose_answer_was_lost_is_repeated_and_counts_once()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots);
        storage.LoseAnswers(3);
        for (int i = 1; i <= 10; i++) Assert.Equal((long)i, await silo.RunStoredAsync("INCR", A));
        await using StoredSilo next = await StoredSilo.StartAsync(storage, s_slots);
        Assert.Equal("10", next.Run("GET", A));
        Assert.Equal(3, silo.Journal.Counts.Retries);
    }

    [Fact]
    public async Task A_slot_claimed_by_someone_else_is_withdrawn_and_the_reply_is_never_sent()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo zombie = await StoredSilo.StartAsync(storage, s_slots);
        await zombie.RunStoredAsync("MSET", A, "1", B, "1");
        await using StoredSilo owner = await StoredSilo.StartAsync(storage, [SlotOfA]);
        await owner.RunStoredAsync("INCR", A);
        await Assert.ThrowsAsync<IOException>(() => zombie.RunStoredAsync("SET", A, "zombie"));
        Assert.Null(zombie.Store.Slots[SlotOfA]);
        Assert.NotNull(zombie.Store.Slots[SlotOfB]);
        // Other slots are not affected, and go on.
        Assert.Equal(2L, await zombie.RunStoredAsync("INCR", B));
        Assert.Equal("2", await owner.RunStoredAsync("GET", A));
        Assert.Equal(Restrictions.None, zombie.Store.Restrictions);
    }

    [Fact]
    public async Task A_unit_over_several_slots_is_stored_whole_or_not_at_all_and_takes_all_of_them_along()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo zombie = await StoredSilo.StartAsync(storage, s_slots);
        await zombie.RunStoredAsync("MSET", A, "1", B, "1", C, "1");
        await using StoredSilo owner = await StoredSilo.StartAsync(storage, [SlotOfA]);
        storage.Hold();
        Task blocking = zombie.RunStoredAsync("INCR", C); // stored in a transaction of its own
        await Eventually.TrueAsync(() => storage.Appends == 2);
        Task<object?> before = zombie.RunStoredAsync("INCR", B); // stored, as it comes before the lost unit
        Task lost = zombie.RunStoredAsync("MSET", A, "2", B, "2");
        Task with = zombie.RunStoredAsync("MSET", B, "3", C, "3");
        storage.Release();
        await blocking;
        Assert.Equal(2L, await before);
        foreach (Task task in (Task[])[lost, with]) await Assert.ThrowsAsync<IOException>(() => task);
        Assert.All(s_slots, slot => Assert.Null(zombie.Store.Slots[slot]));
        await using StoredSilo next = await StoredSilo.StartAsync(storage, s_slots);
        Assert.Equal(["1", "2", "2"], ((object?[])next.Run("MGET", A, B, C)!));
    }

    [Fact]
    public async Task Someone_who_begins_after_a_loss_is_not_concerned_by_it()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots);
        await storage.ClaimAsync([SlotOfA], default);
        await Assert.ThrowsAsync<IOException>(() => silo.RunStoredAsync("SET", A, "1"));
        for (int i = 1; i <= 20; i++) Assert.Equal((long)i, await silo.RunStoredAsync("INCR", B));
        Assert.Null(await silo.RunStoredAsync("GET", C));
        Assert.Equal(0, silo.Journal.PendingBytes);
    }

    [Fact]
    public async Task What_belongs_to_no_slot_is_passed_over_and_its_position_commits_in_its_place()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots);
        silo.Files.Functions.TryAdd("#!lua name=l\ncode"u8.ToArray());
        storage.Hold();
        Task<object?> write = silo.RunStoredAsync("SET", A, "1");
        await Eventually.TrueAsync(() => storage.Appends == 1);
        Task<object?> flush = silo.RunStoredAsync("FUNCTION", "FLUSH");
        Assert.False(flush.IsCompleted);
        storage.Release();
        await Task.WhenAll(write, flush);
        Assert.Single(storage.Appended);
        Assert.Equal(silo.Store.Effects.Log.Appended, silo.Journal.Committed);
        silo.Run("MULTI");
        silo.Run("SET", B, "2");
        silo.Run("FUNCTION", "FLUSH");
        await silo.RunStoredAsync("EXEC");
        Assert.Equal([(SlotOfB, 1L, 1L)], storage.Appended[1].Select(record => (record.Slot, record.First, record.Last)));
    }

    [Fact]
    public async Task Its_positions_are_those_of_the_log_and_memory_is_given_back_once_it_has_stored_them()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots, options => options.AutoAofRewritePercentage = 0);
        ReplicationLog log = silo.Store.Effects.Log;
        string value = new('x', 100_000);
        for (int i = 0; i < 100; i++) Assert.Equal("OK", silo.Run("SET", A, value));
        Assert.Equal(log.Appended, silo.Journal.Appended);
        await silo.Journal.FlushAsync(default);
        Assert.Equal(log.Appended, silo.Journal.Committed);
        Assert.Equal(log.Appended, silo.Journal.HeldFrom);
        Assert.Equal(100, storage.Appended.Sum(records => records[0].Last - records[0].First + 1));
    }

    [Fact]
    public async Task With_everysec_units_gather_before_they_are_stored()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots, options => options.AppendFsync = AppendFsync.Everysec);
        Assert.False(silo.Journal.RepliesWait);
        long started = Stopwatch.GetTimestamp();
        for (int i = 0; i < 100; i++) silo.Run("INCR", A);
        await Eventually.TrueAsync(() => silo.Journal.Committed == silo.Journal.Appended);
        // One transaction, unless this machine took so long that there was time for more.
        Assert.InRange(storage.Appended.Count, 1, 1 + (int)(Stopwatch.GetElapsedTime(started) / SlotJournal.Linger));
    }

    [Fact]
    public async Task Closing_the_slots_stores_their_last_effects_at_once()
    {
        await using var storage = new FaultyStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots, options => options.AppendFsync = AppendFsync.No);
        silo.Run("SET", A, "last");
        await silo.Host.CloseAllAsync(default);
        Assert.Null(silo.Store.Slots[SlotOfA]);
        await using StoredSilo next = await StoredSilo.StartAsync(storage, [SlotOfA]);
        Assert.Equal("last", next.Run("GET", A));
    }

    [Fact]
    public async Task A_log_that_has_outgrown_the_snapshot_is_replaced_by_one_while_writing_goes_on()
    {
        await using var storage = new MemorySlotStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots, options =>
        {
            options.AppendFsync = AppendFsync.Everysec;
            options.AutoAofRewriteMinSize = 0;
        });
        for (int round = 0; round < 40 || (silo.Slots.Compactions <= 3 && round < 2000); round++)
        {
            for (int i = 0; i < 200; i++)
            {
                silo.Run("INCR", A);
                silo.Run("MSET", B, $"{round}.{i}", C, $"{round}.{i}");
                silo.Run("HSET", $"{{{C}}}hash", $"{i % 10}", $"{round}");
            }
            await silo.Journal.FlushAsync(default);
        }
        Assert.True(silo.Slots.Compactions > 3);
        await Eventually.TrueAsync(() => silo.Slots.StoredBytes.Log < silo.Journal.Counts.Bytes / 3,
            () => $"{silo.Slots.StoredBytes} of {silo.Journal.Counts.Bytes}");
        await using StoredSilo next = await StoredSilo.StartAsync(storage, s_slots);
        Assert.Equal(silo.Digest(), next.Digest());
        Assert.True(next.Slots.Recovered.SnapshotBytes > 0);
    }

    [Fact]
    public async Task A_large_slot_is_compacted_as_of_one_instant_while_it_is_written_to()
    {
        const int Keys = 20_000;
        await using var storage = new MemorySlotStorage();
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, s_slots, options =>
        {
            options.AppendFsync = AppendFsync.Everysec;
            options.AutoAofRewriteMinSize = 0;
        });
        for (int i = 0; i < Keys; i++) silo.Run("SET", $"{{{A}}}{i}", $"first value of {i}");
        Assert.True(SlotSnapshots.IsLarge(silo.Store.Slots[SlotOfA]!));
        Random random = TestSeed.Random();
        for (int i = 0; silo.Slots.Compactions < 4 && i < 2_000_000; i++)
        {
            // The two keys always get the same value, so a snapshot of two different instants would show.
            silo.Run("MSET", $"{{{A}}}{random.Next(Keys)}", $"{i}", $"{{{A}}}last", $"{i}");
            if (i % 5000 == 0) silo.Run("DEL", $"{{{A}}}{random.Next(Keys)}");
            if (i % 100 == 0) await Task.Yield();
        }
        Assert.True(silo.Slots.Compactions >= 4, $"{silo.Slots.Compactions} compactions");
        await silo.Journal.FlushAsync(default);
        await using StoredSilo next = await StoredSilo.StartAsync(storage, s_slots);
        Assert.Equal(silo.Digest(), next.Digest());
        Assert.True(next.Slots.Recovered.SnapshotBytes > Keys);
    }

    [Theory]
    [InlineData(2, 3, "missing")]        // effect 1 was never stored
    [InlineData(1, 5, "holds 1 effects")]
    public async Task A_log_that_is_not_whole_is_not_recovered_from(long first, long last, string expected)
    {
        await using var storage = new MemorySlotStorage();
        SlotClaim claim = (await storage.ClaimAsync([SlotOfA], default))[0];
        await storage.AppendAsync([new(SlotOfA, claim.Epoch, first, last, "*2\r\n$4\r\nINCR\r\n$3\r\nfoo\r\n"u8.ToArray())], default);
        InvalidDataException refused = await Assert.ThrowsAsync<InvalidDataException>(() => StoredSilo.StartAsync(storage, [SlotOfA]));
        Assert.Contains(expected, refused.Message);
        Assert.Contains($"Slot {SlotOfA}", refused.Message);
    }

    [Theory]
    [InlineData("*2\r\n$4\r\nINCR\r\n$3\r\nfo")]
    [InlineData("*2\r\n$6\r\nNOSUCH\r\n$3\r\nfoo\r\n")]
    [InlineData("*3\r\n$5\r\nLPUSH\r\n$3\r\nfoo\r\n$1\r\na\r\n*2\r\n$4\r\nINCR\r\n$3\r\nfoo\r\n")]
    [InlineData("not a command")]
    public async Task A_damaged_record_is_not_recovered_from_and_the_memory_is_given_back(string record)
    {
        await using var storage = new MemorySlotStorage();
        SlotClaim claim = (await storage.ClaimAsync([SlotOfA], default))[0];
        await storage.AppendAsync([new(SlotOfA, claim.Epoch, 1, 2, System.Text.Encoding.ASCII.GetBytes(record))], default);
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, [SlotOfB]);
        long before = silo.Store.UsedMemory;
        await Assert.ThrowsAsync<InvalidDataException>(() => silo.Host.TakeAsync([SlotOfA], default));
        Assert.Equal(before, silo.Store.UsedMemory);
        Assert.Equal(0, silo.Store.Slots.KeyCount(0));
        Assert.Contains(silo.Log, line => line.Contains($"Slot {SlotOfA} cannot be recovered"));
    }

    [Fact]
    public async Task A_record_of_which_the_snapshot_holds_a_part_is_run_from_there_on()
    {
        await using var storage = new MemorySlotStorage();
        SlotClaim claim = (await storage.ClaimAsync([SlotOfA], default))[0];
        byte[] incr = "*2\r\n$4\r\nINCR\r\n$3\r\nfoo\r\n"u8.ToArray();
        byte[] select = "*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n"u8.ToArray();
        await using (StoredSilo writer = await StoredSilo.StartAsync(new MemorySlotStorage(), [SlotOfA]))
        {
            writer.Run("SET", A, "2");
            writer.Run("SELECT", "2");
            writer.Run("SET", A, "10");
            var pieces = SlotSnapshots.Write(writer.Store.Slots[SlotOfA]!, writer.Store.Options, 16, 0, out _)!;
            await storage.ReplaceAsync([new(claim, new(1, 3), pieces.ToAsyncEnumerable())], default);
        }
        await storage.AppendAsync([new(SlotOfA, 1, 2, 5, (byte[])[.. incr, .. select, .. incr, .. incr, .. incr])], default);
        await using StoredSilo silo = await StoredSilo.StartAsync(storage, [SlotOfA]);
        Assert.Equal("2", silo.Run("GET", A));
        silo.Run("SELECT", "2");
        Assert.Equal("12", silo.Run("GET", A));
    }
}
