using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class HeapKeeperTests
{
    private const long Mb = 1 << 20;
    private readonly HeapKeeper _keeper = new();
    private long _nowMs = 1_000_000;

    [Fact]
    public void An_idle_heap_is_left_alone()
    {
        Look(new(true, 100 * Mb, 0, 100 * Mb));
        for (int i = 0; i < 10; i++) Assert.Equal((false, false), Does(Look(new(false, 100 * Mb, 0, 100 * Mb))));
    }

    [Fact]
    public void Everything_is_back_two_looks_after_the_last_need()
    {
        Look(new(true, 1000 * Mb, 0, 1000 * Mb));
        Assert.True(Look(new(true, 1 * Mb, 999 * Mb, 1000 * Mb)).Discards);
        HeapUpkeep last = Look(new(false, 1 * Mb, 10 * Mb, 1000 * Mb));
        Assert.Equal(new(false, true, HeapKeeper.PeriodMs, 0), last);
    }

    [Fact]
    public void What_is_needed_each_second_is_kept()
    {
        long taken = 0;
        for (int i = 0; i < 10; i++)
        {
            taken += 20 * Mb;
            HeapUpkeep upkeep = Look(new(true, 400 * Mb, 30 * Mb, taken));
            Assert.Equal(20 * Mb, upkeep.KeptBytes);
            Assert.Equal(HeapKeeper.PeriodMs, upkeep.FreeForMs);
            Assert.True(upkeep.EmptiesCaches);
        }
        // One lull does not count.
        Assert.Equal(20 * Mb, Look(new(true, 400 * Mb, 30 * Mb, taken)).KeptBytes);
        Assert.Equal(0, Look(new(true, 400 * Mb, 30 * Mb, taken)).KeptBytes);
    }

    [Fact]
    public void Too_much_is_given_back_at_once()
    {
        Look(new(true, 80 * Mb, 0, 80 * Mb));
        _nowMs += 100;
        HeapUpkeep upkeep = _keeper.Decide(_nowMs, new(true, 80 * Mb, 100 * Mb, 180 * Mb));
        Assert.Equal(new(false, true, 0, 26 * Mb), upkeep);
        Assert.Equal(default, _keeper.Decide(_nowMs, new(true, 80 * Mb, 26 * Mb, 180 * Mb)));
    }

    private static (bool Empties, bool Discards) Does(HeapUpkeep upkeep) => (upkeep.EmptiesCaches, upkeep.Discards);

    private HeapUpkeep Look(HeapActivity heap)
    {
        _nowMs += HeapKeeper.PeriodMs;
        return _keeper.Decide(_nowMs, heap);
    }
}
