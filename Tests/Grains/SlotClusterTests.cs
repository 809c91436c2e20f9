using Orleans.TestingHost;
using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Storage;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Grains;

/// <summary>Slots, their grains and their owners on Microsoft.Orleans, with several silos.</summary>
public sealed class SlotClusterTests
{
    // A key, and the slot it is in.
    private const string Key = "foo";
    private const int SlotOfKey = 12182;

    [Fact]
    public async Task Slots_are_open_without_a_grain_and_the_first_call_activates_one()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(2);
        Assert.Equal(HashSlot.Count, cluster.Orleans.Silos.Sum(silo => cluster[silo].Store.Slots.PublishedCount));
        Assert.Empty(await cluster.ActiveSlotGrainsAsync());
        await cluster.Client.GetRedisDatabase().StringSetAsync(Key, "1");
        (GrainId _, SiloAddress silo) = Assert.Single(await cluster.ActiveSlotGrainsAsync());
        Assert.Equal(cluster.Silo(1).SiloAddress, silo); // the upper half of the slots
    }

    [Fact]
    public async Task A_slots_grain_is_on_its_owner_whoever_calls_it_first()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(3);
        IGrainFactory[] callers =
        [
            cluster.Client,
            .. cluster.Orleans.Silos.Select(silo => (IGrainFactory)cluster.Orleans.GetSiloServiceProvider(silo.SiloAddress).GetService(typeof(IGrainFactory))!),
        ];
        int[] slots = [.. Enumerable.Range(0, 60).Select(i => i * (HashSlot.Count / 60))];
        SlotLocation[] found = await Task.WhenAll(slots.SelectMany(slot => callers.Select(caller => caller.GetGrain<IHashSlotGrain>(slot).LocateAsync())));
        for (int i = 0; i < found.Length; i++)
        {
            int slot = slots[i / callers.Length];
            Assert.Equal(cluster.Map[slot], found[i].Silo);
            Assert.Equal(1, found[i].Epoch);
        }
        List<(GrainId Grain, SiloAddress Silo)> active = await cluster.ActiveSlotGrainsAsync();
        Assert.Equal(slots.Length, active.Count);
        Assert.Equal(slots.Length, active.Select(grain => grain.Grain).Distinct().Count());
    }

    [Fact]
    public async Task A_silo_that_leaves_costs_the_others_no_grain()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(3);
        InProcessSiloHandle leaving = cluster.Silo(2);
        int[] slots = [.. Enumerable.Range(0, 300).Select(i => i * (HashSlot.Count / 300))];
        await Task.WhenAll(slots.Select(slot => cluster.Client.GetGrain<IHashSlotGrain>(slot).LocateAsync()));
        GrainId[] before = await RemainingAsync();
        await cluster[leaving].Host.CloseAllAsync(default);
        await cluster.Orleans.StopSiloAsync(leaving);
        await cluster.AssignAsync(slot => cluster.Map[slot]!.Equals(leaving.SiloAddress)
            ? cluster.Silo(slot % 2)
            : cluster.Orleans.Silos.Single(silo => silo.SiloAddress.Equals(cluster.Map[slot])));
        Assert.Equal(before, await RemainingAsync());
        SlotLocation[] found = await Task.WhenAll(slots.Select(slot => cluster.Client.GetGrain<IHashSlotGrain>(slot).LocateAsync()));
        // Only what had to move has a new epoch.
        Assert.All(found.Zip(slots), pair => Assert.Equal(pair.Second * 3 / HashSlot.Count == 2 ? 2 : 1, pair.First.Epoch));

        async Task<GrainId[]> RemainingAsync() =>
            [.. (await cluster.ActiveSlotGrainsAsync()).Where(grain => !grain.Silo.Equals(leaving.SiloAddress)).Select(grain => grain.Grain).Order()];
    }

    [Fact]
    public async Task The_slots_of_a_killed_silo_are_opened_by_their_new_owner_with_all_that_was_acknowledged()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(2);
        RedisDatabase redis = cluster.Client.GetRedisDatabase();
        for (int i = 1; i <= 20; i++) Assert.Equal(i, await redis.IncrementAsync(Key));
        InProcessSiloHandle killed = cluster.Silo(1), left = cluster.Silo(0);
        Assert.Equal(killed.SiloAddress, cluster.Map[SlotOfKey]);
        await cluster.Orleans.KillSiloAsync(killed);
        await cluster.AssignAsync(_ => left);
        Assert.Equal("20", await redis.StringGetAsync(Key));
        SlotLocation there = await cluster.Client.GetGrain<IHashSlotGrain>(SlotOfKey).LocateAsync();
        Assert.Equal((left.SiloAddress, 2), (there.Silo, there.Epoch));
    }

    [Fact]
    public async Task A_silo_whose_slot_was_claimed_by_another_stores_nothing_more_and_is_asked_no_longer()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(2);
        RedisDatabase redis = cluster.Client.GetRedisDatabase();
        await redis.StringSetAsync(Key, "before");
        SlotCluster.Node zombie = cluster[cluster.Silo(1)], owner = cluster[cluster.Silo(0)];
        // The other one takes the slot, and the map does not say so yet: what the zombie is asked now is not stored,
        // and not acknowledged.
        await owner.Host.TakeAsync([SlotOfKey], default);
        await Assert.ThrowsAnyAsync<Exception>(() => redis.StringSetAsync(Key, "by the zombie"));
        Assert.Null(zombie.Store.Slots[SlotOfKey]);
        cluster.Map[SlotOfKey] = cluster.Silo(0).SiloAddress;
        // The zombie's grain is active still, and callers have its address. It takes the slot back as long as it is its
        // own ...
        Assert.True(zombie.Host.Owns(SlotOfKey));
        // ... and is deactivated, as by whoever changes the map, so that callers look again.
        await cluster.Orleans.DeactivateAsync(cluster.Client.GetGrain<IHashSlotGrain>(SlotOfKey));
        Assert.Equal("before", await redis.StringGetAsync(Key));
        Assert.Equal(cluster.Silo(0).SiloAddress, (await cluster.Client.GetGrain<IHashSlotGrain>(SlotOfKey).LocateAsync()).Silo);
    }

    [Fact]
    public async Task A_slot_that_was_lost_is_claimed_again_by_whoever_needs_it_while_it_is_its_silos()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(1);
        RedisDatabase redis = cluster.Client.GetRedisDatabase();
        await redis.StringSetAsync(Key, "1");
        await using var storage = new MemorySlotStorage(cluster.StorageName);
        await storage.ClaimAsync([SlotOfKey], default);
        await Assert.ThrowsAnyAsync<Exception>(() => redis.IncrementAsync(Key));
        Assert.Equal(2, await redis.IncrementAsync(Key));
        Assert.Equal(3, (await cluster.Client.GetGrain<IHashSlotGrain>(SlotOfKey).LocateAsync()).Epoch);
    }

    [Fact]
    public async Task Many_who_need_a_lost_slot_at_once_have_it_claimed_once()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(1);
        SlotCluster.Node node = cluster[cluster.Silo(0)];
        int[] slots = [.. Enumerable.Range(0, 200)];
        foreach (int slot in slots) node.Store.Slots.Withdraw(node.Store.Slots[slot]!);
        Slot[] opened = await Task.WhenAll(Enumerable.Range(0, 4000).Select(i => Task.Run(() => node.Host.OpenAsync(slots[i % slots.Length]))));
        Assert.All(opened, slot => Assert.Equal(2, slot.Epoch));
        Assert.Equal(slots.Length, opened.Distinct().Count());
    }

    [Fact]
    public async Task A_router_tells_which_silo_has_a_slot_and_in_which_epoch()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(2);
        SlotRouter first = cluster[cluster.Silo(0)].Router;
        Assert.Equal(new(SlotPlace.Here, Epoch: 1), first.Locate(0));
        SiloAddress second = cluster.Silo(1).SiloAddress;
        Assert.Equal(new(SlotPlace.Elsewhere, second.ToParsableString(), second.Endpoint), first.Locate(SlotOfKey));
        Assert.Equal(first.Locate(SlotOfKey), await first.ResolveAsync(SlotOfKey, default));
        cluster.Map[SlotOfKey] = null;
        Assert.Equal(SlotPlace.Nowhere, first.Locate(SlotOfKey).Place);
        // A command that needs what is elsewhere is refused until there is a way to send it there.
        Assert.Equal("-CLUSTERDOWN Hash slot not served\r\n"u8.ToArray(),
            await cluster[cluster.Silo(0)].Runner.RunAsync(0, ["GET"u8.ToArray(), "foo"u8.ToArray()]));
    }

    [Fact]
    public async Task A_call_that_waits_for_a_key_ends_before_its_caller_times_out_and_takes_nothing()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(1, responseTimeout: TimeSpan.FromSeconds(2));
        RedisDatabase redis = cluster.Client.GetRedisDatabase();
        RedisErrorException error = await Assert.ThrowsAsync<RedisErrorException>(() => redis.ExecuteAsync("BLPOP", "q", "0"));
        Assert.Equal(Errors.CallIsOver, error.Message);
        await TakesNothingAsync(cluster, redis);
    }

    [Fact]
    public async Task A_caller_that_times_out_or_cancels_earlier_is_given_nothing()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(1, clientResponseTimeout: TimeSpan.FromSeconds(6));
        RedisDatabase redis = cluster.Client.GetRedisDatabase();
        await Assert.ThrowsAsync<TimeoutException>(() => redis.ExecuteAsync("BLPOP", "q", "0"));
        await TakesNothingAsync(cluster, redis);

        using var cancellation = new CancellationTokenSource();
        Task call = redis.ExecuteAsync(["BLPOP", "q", "0"], cancellation.Token);
        await Eventually.TrueAsync(() => cluster[cluster.Silo(0)].Store.BlockedCommands == 1);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        await TakesNothingAsync(cluster, redis);
    }

    [Fact]
    public async Task There_is_no_slot_beyond_the_last_one()
    {
        await using SlotCluster cluster = await SlotCluster.StartAsync(1);
        foreach (long number in (long[])[-1, HashSlot.Count, long.MaxValue])
        {
            Exception error = await Assert.ThrowsAnyAsync<Exception>(() => cluster.Client.GetGrain<IHashSlotGrain>(number).LocateAsync());
            Assert.Contains($"There is no hash slot {number}", error.ToString(), StringComparison.Ordinal);
        }
    }

    private static async Task TakesNothingAsync(SlotCluster cluster, RedisDatabase redis)
    {
        await Eventually.TrueAsync(() => cluster[cluster.Silo(0)].Store.BlockedCommands == 0);
        Assert.Equal(1, (await redis.ExecuteAsync("RPUSH", "q", "x")).Int64);
        Assert.Equal("x", (await redis.ExecuteAsync("LPOP", "q")).Text);
    }
}
