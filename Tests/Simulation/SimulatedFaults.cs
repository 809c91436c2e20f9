using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// What goes wrong in a <see cref="Simulation"/>, and when. Nodes that are lost for good are never so many that the
/// others are no majority.
/// </summary>
internal sealed class SimulatedFaults(Simulation world)
{
    private readonly SimulatedRandom _random = world.Random;
    private long _next = 400;

    private int Places => world.Silos.Length;

    /// <summary>Decides at each step whether something goes wrong now.</summary>
    public void Step()
    {
        SimulatedNetwork network = world.Network;
        foreach (SimulatedSilo? silo in world.Silos)
        {
            if (silo is { IsAlive: true, IsExcluded: true }) Restart(silo.Place, losesDisk: false, 1, 400);
        }
        if (network.Step < _next) return;
        _next = network.Step + _random.Between(20, 400);
        switch (_random.Next(14))
        {
            case 0 or 1:
                foreach (int place in Some(1 + (Places / 10))) Restart(place, losesDisk: _random.OneIn(4), 20, 1500);
                break;
            case 2 or 3:
                foreach (int place in Some(1 + (Places / 10))) Suspend(place, _random.Between(10, 2000));
                break;
            case 4 or 5:
                Partition(Some(1 + (Places / 2)), _random.Between(20, 1500));
                break;
            case 6:
                foreach (int place in Some(1 + (Places / 5))) CutLink(place, _random.Next(Places), _random.Between(20, 1500));
                break;
            case 7:
                For(_random.Between(20, 400), () => network.LossPerMillion = 1000 * _random.Between(1, 400), () => network.LossPerMillion = 1000);
                break;
            case 8:
                For(_random.Between(20, 400), () => network.Delay = _random.Between(5, 150), () => network.Delay = 3);
                break;
            case 9:
                For(_random.Between(20, 800), () => world.Store.IsDown = true, () => world.Store.IsDown = false);
                break;
            case 10:
                For(_random.Between(20, 800), () => (world.Store.LossPerMillion, world.Store.Delay) = (200_000, 100),
                    () => (world.Store.LossPerMillion, world.Store.Delay) = (5000, 2));
                break;
            case 11:
                if (world.Silos[_random.Next(Places)] is { IsRunning: true, IsExcluded: false } silo)
                    For(_random.Between(100, 1500), () => silo.Leave(true), () => silo.Leave(false));
                break;
            case 12:
                MoveSlots();
                break;
            default:
                if (_random.OneIn(4)) foreach (int place in Enumerable.Range(0, Places)) Restart(place, losesDisk: false, 1, 600);
                else if (Array.IndexOf(world.Silos, null) is >= 0 and int place) world.Start(place);
                break;
        }
        network.TwicePerMillion = 10_000;
        network.LatePerMillion = 2000;
    }

    /// <summary>Ends all faults.</summary>
    public void End()
    {
        world.Network.Heal();
        (world.Store.IsDown, world.Store.LossPerMillion, world.Store.Delay) = (false, 0, 2);
        foreach (SimulatedSilo? silo in world.Silos)
        {
            if (silo is null) continue;
            silo.SuspendedUntil = Math.Min(silo.SuspendedUntil, world.Network.Step);
            silo.Leave(false);
            KeepAlive(silo.Place);
        }
    }

    /// <summary>From now on, starts the silo again whenever it is found dead or excluded.</summary>
    private void KeepAlive(int place)
    {
        if (world.Silos[place] is { IsAlive: true, IsExcluded: true }) world.Crash(place, losesDisk: false);
        world.Start(place);
        world.Network.After(100, () => KeepAlive(place));
    }

    /// <summary>An operator wishes some slots to be elsewhere, or all of them to be balanced.</summary>
    private void MoveSlots()
    {
        if (world.Silos[_random.Next(Places)] is not { IsRunning: true, IsExcluded: false } silo || silo.Logic.View.Members.Count == 0) return;
        int first = _random.Next(world.Slots), last = Math.Min(world.Slots - 1, first + _random.Next(world.Slots / 4));
        Member[] members = [.. silo.Logic.View.Members];
        silo.Logic.RequestMove(first, last, _random.OneIn(3) ? default : members[_random.Next(members.Length)].Id, silo.Now);
    }

    private IEnumerable<int> Some(int most) => Enumerable.Range(0, _random.Between(1, most)).Select(_ => _random.Next(Places)).Distinct().ToArray();

    private void Restart(int place, bool losesDisk, int least, int most)
    {
        if (world.Silos[place] is not { IsAlive: true }) return;
        world.Crash(place, losesDisk && world.MayLoseNode);
        world.Network.After(_random.Between(least, most), () => world.Start(place));
    }

    private void Suspend(int place, int steps)
    {
        if (world.Silos[place] is { IsAlive: true } silo) silo.SuspendedUntil = world.Network.Step + steps;
    }

    /// <summary>Separates some places from the others, in both directions or one.</summary>
    private void Partition(IEnumerable<int> some, int steps)
    {
        var inside = some.ToHashSet();
        int direction = _random.Next(4);
        foreach (int one in inside)
        {
            foreach (int other in Enumerable.Range(0, Places).Where(place => !inside.Contains(place)))
            {
                if (direction != 0) CutLink(one, other, steps);
                if (direction != 1) CutLink(other, one, steps);
            }
        }
    }

    private void CutLink(int from, int to, int steps) =>
        For(steps, () => world.Network.Cut(from, to, true), () => world.Network.Cut(from, to, false));

    private void For(int steps, Action begin, Action end)
    {
        begin();
        world.Network.After(steps, () => { if (world.Network.Step < world.FaultsEnd) end(); });
    }
}
