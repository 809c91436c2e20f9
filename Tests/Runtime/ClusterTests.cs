using Xunit;

namespace OrleansRedis.Tests.Runtime;

/// <summary>Several silos in one process, under a virtual clock and a network with faults.</summary>
public sealed class ClusterTests
{
    [Fact]
    public async Task Concurrent_first_calls_from_several_silos_find_one_activation()
    {
        await using TestCluster cluster = await TestCluster.Start(3);
        ActivationLog log = ActivationLog.Of(cluster.Clock);
        for (int round = 0; round < 100; round++)
        {
            int key = round;
            string[] places = await cluster.Do(Task.WhenAll(cluster.Silos.Select(silo => Task.Run(() => silo.Grains.GetGrain<IRoamingGrain>(key).Where()))));
            Assert.Single(places.Distinct());
        }

        Assert.Equal(100, log.Activations);
        Assert.Equal(1, log.MostAtOnce);
    }

    [Fact]
    public async Task A_grain_has_one_activation_while_silos_come_and_go()
    {
        await using TestCluster cluster = await TestCluster.Start(3);
        ActivationLog log = ActivationLog.Of(cluster.Clock);
        using var done = new CancellationTokenSource();
        long calls = 0;
        TestSilo[] staying = [.. cluster.Silos.Take(2)];
        Task[] callers = [.. Enumerable.Range(0, 4).Select(caller => Task.Run(async () =>
        {
            var random = new Random(caller);
            while (!done.IsCancellationRequested)
            {
                await staying[random.Next(staying.Length)].Grains.GetGrain<IRoamingGrain>(random.Next(60)).Where();
                Interlocked.Increment(ref calls);
                if (random.Next(4) == 0) await Task.Delay(TimeSpan.FromMilliseconds(1), cluster.Clock); // the clock needs moments of rest to advance
            }
        }))];
        for (int round = 0; round < 3; round++)
        {
            TestSilo newcomer = await cluster.StartSilo();
            long before = Interlocked.Read(ref calls);
            await cluster.Until(() => Interlocked.Read(ref calls) > before + 300 || Array.Exists(callers, caller => caller.IsFaulted), stepMs: 10);
            await cluster.Stop(newcomer);
            await cluster.Until(() => Interlocked.Read(ref calls) > before + 600 || Array.Exists(callers, caller => caller.IsFaulted), stepMs: 10);
        }

        await done.CancelAsync();
        await cluster.Do(Task.WhenAll(callers));
        Assert.Equal(1, log.MostAtOnce);
        Assert.True(log.Activations >= 60);
    }

    [Fact]
    public async Task The_grains_of_a_dead_silo_come_back_elsewhere()
    {
        await using TestCluster cluster = await TestCluster.Start(3);
        TestSilo victim = cluster.Silos[2];
        await cluster.Do(Task.WhenAll(Enumerable.Range(0, 30).Select(key => victim.Grains.GetGrain<ICounterGrain>(key).Increment())));
        Task waiting = cluster.Silos[0].Grains.GetGrain<ICounterGrain>(7).WaitFor(default);
        await cluster.Do(cluster.Silos[0].Grains.GetGrain<ICounterGrain>(7).Peek()); // the call before it has arrived, too
        await cluster.Kill(victim);
        await cluster.Until(() => cluster.Silos.TrueForAll(silo => silo.Membership.CurrentSnapshot.GetSiloStatus(victim.Address) == SiloStatus.Dead), stepMs: 500);
        int[] counts = await cluster.Do(Task.WhenAll(Enumerable.Range(0, 30).Select(key => cluster.Silos[key % 2].Grains.GetGrain<ICounterGrain>(key).Increment())));
        Assert.All(counts, count => Assert.Equal(1, count));
        await Assert.ThrowsAsync<SiloUnavailableException>(() => cluster.Do(waiting));
    }

    [Fact]
    public async Task A_silo_cut_off_from_the_others_is_declared_dead_and_stops()
    {
        await using TestCluster cluster = await TestCluster.Start(4);
        TestSilo lonely = cluster.Silos[3];
        foreach (TestSilo other in cluster.Silos.Take(3)) cluster.Network.Cut(lonely.Name, other.Name);
        await cluster.Until(() => lonely.Runtime.IsDead, stepMs: 500);
        Assert.All(cluster.Silos.Take(3), silo => Assert.Equal(SiloStatus.Active, silo.Runtime.Membership.LocalStatus));
        cluster.Network.Heal();
        await Assert.ThrowsAsync<SiloUnavailableException>(() => cluster.Do(lonely.Grains.GetGrain<ICounterGrain>(1).Increment()));
    }

    [Fact]
    public async Task A_silo_that_answers_through_another_is_not_declared_dead()
    {
        await using TestCluster cluster = await TestCluster.Start(3);
        cluster.Network.Cut(cluster.Silos[0].Name, cluster.Silos[1].Name);
        DateTimeOffset end = cluster.Clock.GetUtcNow().AddSeconds(60);
        await cluster.Until(() => cluster.Clock.GetUtcNow() > end, stepMs: 500);
        Assert.All(cluster.Silos, silo => Assert.Equal(3, silo.Runtime.Placement.ActiveSilos.Length));
    }

    [Fact]
    public async Task A_migrating_grain_takes_its_state_along_and_loses_no_call()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        ActivationLog log = ActivationLog.Of(cluster.Clock);
        IRoamingGrain grain = cluster.Silos[0].Grains.GetGrain<IRoamingGrain>(1);
        var calls = new List<Task<int>>();
        string home = await cluster.Do(grain.Where());
        for (int round = 0; round < 5; round++)
        {
            SiloAddress target = cluster.Silos.Select(silo => silo.Address).First(address => address.ToParsableString() != home);
            await cluster.Do(grain.MoveTo(target));
            for (int i = 0; i < 20; i++) calls.Add(cluster.Silos[i % 2].Grains.GetGrain<IRoamingGrain>(1).Add());
            await cluster.Do(Task.WhenAll(calls));
            home = await cluster.Do(grain.Where());
            Assert.Equal(target.ToParsableString(), home);
        }

        Assert.Equal(Enumerable.Range(1, 100), calls.Select(call => call.Result).Order());
        Assert.Equal(1, log.MostAtOnce);
    }

    [Fact]
    public async Task A_silo_that_leaves_hands_its_grains_over()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        TestSilo leaving = cluster.Silos[1];
        string before = await cluster.Do(leaving.Grains.GetGrain<ICounterGrain>(5).Where());
        Assert.Equal(leaving.Address.ToParsableString(), before);
        await cluster.Stop(leaving);
        Assert.Contains("-5 ShuttingDown", CounterGrain.Life);
        Assert.Equal(cluster.Silos[0].Address.ToParsableString(), await cluster.Do(cluster.Silos[0].Grains.GetGrain<ICounterGrain>(5).Where()));
    }

    [Fact]
    public async Task A_client_reconnects_and_meanwhile_uses_another_gateway()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        IClusterClient client = await cluster.StartClient();
        Assert.Equal(1, await cluster.Do(client.GetGrain<ICounterGrain>(100).Increment()));
        cluster.Network.Drop("client");
        await Reaches();
        TestSilo victim = cluster.Silos[1];
        await cluster.Kill(victim);
        await cluster.Until(() => cluster.Silos[0].Membership.CurrentSnapshot.GetSiloStatus(victim.Address) == SiloStatus.Dead, stepMs: 500);
        await Reaches();
        cluster.Network.Drop("client");
        await Reaches();

        async Task Reaches()
        {
            for (int i = 0; i < 10; i++)
            {
                int key = i;
                // A call under way when its connection breaks fails, since it may have been executed; the next one goes another way.
                try
                {
                    await cluster.Do(client.GetGrain<ICounterGrain>(key).Peek());
                }
                catch (SiloUnavailableException)
                {
                    await cluster.Do(client.GetGrain<ICounterGrain>(key).Peek());
                }
            }
        }
    }

    [Fact]
    public async Task A_grain_on_another_silo_calls_an_observer_on_a_client()
    {
        await using TestCluster cluster = await TestCluster.Start(3);
        IClusterClient client = await cluster.StartClient(cluster.Silos[0]);
        var listener = new Listener();
        INewsObserver reference = client.CreateObjectReference<INewsObserver>(listener);
        foreach (TestSilo silo in cluster.Silos) await cluster.Do(silo.Grains.GetGrain<INewsGrain>(silo.Name).Tell(silo.Grains.GetGrain<INewsObserver>(reference.GetGrainId()), silo.Name));
        await cluster.Until(() => listener.Heard.Count == 3);
        client.DeleteObjectReference<INewsObserver>(reference);
        Assert.Equal(cluster.Silos.Select(silo => silo.Name), listener.Heard.Order());
        GC.KeepAlive(listener);
    }

    [Fact]
    public async Task A_placement_director_of_the_application_decides()
    {
        await using TestCluster cluster = await TestCluster.Start(3, silo => silo.AddPlacementDirector<ByNumberPlacement, ByNumberDirector>());
        SiloAddress[] order = [.. cluster.Silos.Select(silo => silo.Address).Order()];
        for (int key = 0; key < 9; key++)
            Assert.Equal(order[key % 3].ToParsableString(), await cluster.Do(cluster.Silos[0].Grains.GetGrain<INumberedGrain>(key).Where()));
    }

    [Fact]
    public async Task Idle_grains_are_deactivated_and_those_kept_alive_are_not()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        IGrainFactory grains = cluster.Silos[0].Grains;
        await cluster.Do(grains.GetGrain<ICounterGrain>(300).Increment());
        await cluster.Do(grains.GetGrain<INumberedKeptGrain>(1).Touch());
        Assert.Equal(2, cluster.Silos[0].Runtime.Catalog.Count);
        await cluster.Until(() => cluster.Silos[0].Runtime.Catalog.Count < 2, stepMs: 10_000, limitSeconds: 20 * 60);
        Assert.Contains("-300 ActivationIdle", CounterGrain.Life);
        Assert.Equal(1, cluster.Silos[0].Runtime.Catalog.Count);
    }

    [Fact]
    public async Task Timers_tick_by_the_clock_until_the_grain_is_gone()
    {
        await using TestCluster cluster = await TestCluster.Start(1);
        ICounterGrain grain = cluster.Silos[0].Grains.GetGrain<ICounterGrain>(400);
        await cluster.Do(grain.StartTimer(TimeSpan.FromSeconds(10)));
        DateTimeOffset end = cluster.Clock.GetUtcNow().AddSeconds(55);
        await cluster.Until(() => cluster.Clock.GetUtcNow() >= end, stepMs: 1000);
        Assert.Equal(5, await cluster.Do(grain.Timed()));
        await cluster.Do(grain.Leave());
        await cluster.Until(() => cluster.Silos[0].Runtime.Catalog.Count == 0);
    }

    [Fact]
    public async Task A_call_times_out_by_the_clock()
    {
        await using TestCluster cluster = await TestCluster.Start(2);
        await Assert.ThrowsAsync<TimeoutException>(() => cluster.Do(cluster.Silos[0].Grains.GetGrain<ICounterGrain>(500).Never()));
    }

    private sealed class Listener : INewsObserver
    {
        public System.Collections.Concurrent.ConcurrentQueue<string> Heard { get; } = new();

        public Task Heard_(string news)
        {
            Heard.Enqueue(news);
            return Task.CompletedTask;
        }
    }
}
