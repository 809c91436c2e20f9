namespace OrleansRedis.Engine;

/// <summary>
/// The slots whose gates one thread holds together, for a command of several keys.
/// <para>
/// Most such commands declare all their keys. They take the gates one after the other without ever waiting for one: if one is not to be had
/// they give all back and try again later. So any number of commands may be at it at once, and nobody waits for long because of them.
/// A command that may reach keys it has not declared (SORT BY, a script, a blocked command served in the wake of another one) cannot
/// give back what it has changed already. It <em>roams</em>: takes further gates as it comes to them, and waits for each. Two such
/// commands could wait for each other, so there is one at a time, the holder of the store's roaming gate; and all others that it may
/// wait for wait for nobody.
/// </para>
/// Gates are held only while a thread runs a command, so this is the thread's own, used again and again.
/// </summary>
internal sealed class HeldSlots
{
    private readonly List<Slot> _slots = [];

    [ThreadStatic]
    private static HeldSlots? t_mine;

    /// <summary>The calling thread's.</summary>
    public static HeldSlots Mine => t_mine ??= new();

    /// <summary>How many there are.</summary>
    public int Count => _slots.Count;

    /// <summary>Whether more may be taken, however long that lasts.</summary>
    public bool Roams { get; private set; }

    public Slot this[int index] => _slots[index];

    /// <summary>Whether the slot's gate is among those held.</summary>
    public bool Has(Slot slot) => ReferenceEquals(slot.Holder, this);

    /// <summary>Becomes the one that roams, if nobody else is; before the first slot is taken.</summary>
    public bool TryRoam(ref SlotGate roaming) => Roams = roaming.TryEnterSpinning();

    /// <summary>Takes a gate that is not held yet, if it is to be had without waiting.</summary>
    public bool TryTake(Slot slot)
    {
        if (!slot.Gate.TryEnterSpinning()) return false;
        Add(slot);
        return true;
    }

    /// <summary>Takes a gate that is not held yet, however long that lasts. Only for who roams.</summary>
    public void Take(Slot slot)
    {
        slot.Gate.Enter();
        Add(slot);
    }

    /// <summary>Gives everything back.</summary>
    public void Release(ref SlotGate roaming)
    {
        foreach (Slot slot in _slots)
        {
            slot.Holder = null;
            slot.Gate.Exit();
        }
        _slots.Clear();
        if (!Roams) return;
        Roams = false;
        roaming.Exit();
    }

    private void Add(Slot slot)
    {
        slot.Holder = this;
        _slots.Add(slot);
    }
}
