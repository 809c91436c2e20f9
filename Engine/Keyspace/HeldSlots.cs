namespace OrleansRedis.Engine;

/// <summary>
/// The slots whose gates one thread holds together, for a command with several keys.
/// <para>
/// Most such commands declare all their keys. They take the gates one after the other without ever waiting: if one is
/// not free, they give all of them back and try again later. So any number of commands can do this at once, and none of
/// them makes anyone wait for long.
/// </para>
/// <para>
/// A command that may reach keys it has not declared (SORT BY, a script, a blocked command served after another one)
/// cannot do that, because it cannot take back the changes it has already made. It <em>roams</em>: it takes further
/// gates as it comes to them, and waits for each. Two such commands could wait for each other, so only one roams at a
/// time, the holder of the store's roaming gate. It cannot deadlock with anyone else, because no other holder of a gate
/// waits for another gate.
/// </para>
/// Gates are held only while a thread runs a command, so each thread has one instance and reuses it.
/// </summary>
internal sealed class HeldSlots
{
    private readonly List<Slot> _slots = [];

    [ThreadStatic]
    private static HeldSlots? t_mine;

    /// <summary>The calling thread's instance.</summary>
    public static HeldSlots Mine => t_mine ??= new();

    /// <summary>The number of slots held.</summary>
    public int Count => _slots.Count;

    /// <summary>Whether this thread roams, and so may wait for further gates.</summary>
    public bool Roams { get; private set; }

    public Slot this[int index] => _slots[index];

    /// <summary>Whether the slot's gate is among those held.</summary>
    public bool Has(Slot slot) => ReferenceEquals(slot.Holder, this);

    /// <summary>Starts to roam, unless another thread does. To be called before the first slot is taken.</summary>
    public bool TryRoam(ref SlotGate roaming) => Roams = roaming.TryEnterSpinning();

    /// <summary>Takes a gate that is not held yet, if that is possible without waiting.</summary>
    public bool TryTake(Slot slot)
    {
        if (!slot.Gate.TryEnterSpinning()) return false;
        Add(slot);
        return true;
    }

    /// <summary>Takes a gate that is not held yet, waiting as long as necessary. Only while roaming.</summary>
    public void Take(Slot slot)
    {
        if (!Roams) throw new InvalidOperationException("Only a command that roams may wait for a gate while it holds others.");
        slot.Gate.EnterAfterOthers();
        Add(slot);
    }

    /// <summary>Gives all gates back, the roaming gate included.</summary>
    public void Release(ref SlotGate roaming)
    {
        foreach (Slot slot in _slots)
        {
            slot.Holder = null;
            slot.Gate.Exit();
        }
        _slots.Clear();
        if (Roams) roaming.Exit();
        Roams = false;
        Retirement.Sweep();
    }

    private void Add(Slot slot)
    {
        slot.Holder = this;
        _slots.Add(slot);
    }
}
