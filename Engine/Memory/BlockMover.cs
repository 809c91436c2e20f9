namespace OrleansRedis.Engine;

/// <summary>
/// Moves blocks out of the spans that a pass of <see cref="Defragmentation"/> empties, as many as one hold of a gate is
/// to be spent on. Whoever leads to a block gives it to <see cref="Move"/>, and puts in its place what that returns.
/// </summary>
internal sealed unsafe class BlockMover
{
    /// <summary>To copy so many bytes takes about as long as to look at a block.</summary>
    private const int BytesPerLook = 1024;

    private int _left;

    /// <summary>How many blocks were moved.</summary>
    public long Moved { get; private set; }

    /// <summary>How many blocks were looked at, and are well where they are.</summary>
    public long Kept { get; private set; }

    /// <summary>Whether this hold of the gate has been long enough.</summary>
    public bool IsOver => _left <= 0;

    /// <summary>The gate is held: so many blocks may be looked at, or fewer if many are moved.</summary>
    public void Begin(int blocks) => _left = blocks;

    /// <summary>Notes that something was looked at that is no block.</summary>
    public void Pass() => _left--;

    /// <summary>Whether a block is to be moved.</summary>
    public bool Wants(byte* block)
    {
        _left--;
        if (Defragmentation.ShouldMove(block)) return true;
        Kept++;
        return false;
    }

    /// <summary>
    /// Moves a block if it is to be moved, and returns where it is from now on. The block is then free: nothing may look at
    /// it any more. There may be none (null).
    /// </summary>
    public byte* Move(byte* block) => block != null && Wants(block) ? MoveWanted(block) : block;

    /// <summary>Moves a block that <see cref="Wants"/> has said yes to.</summary>
    public byte* MoveWanted(byte* block)
    {
        Moved++;
        _left -= Heap.SizeOf(block) / BytesPerLook;
        return Defragmentation.Move(block);
    }
}
