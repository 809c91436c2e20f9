namespace OrleansRedis.Engine;

/// <summary>A list too long for one listpack.</summary>
internal sealed class ListValue(byte[] key, Quicklist elements) : Value(key)
{
    /// <summary>What the runtime allocates for this object.</summary>
    private const int ObjectBytes = 64;

    private static readonly object s_continues = new();

    public Quicklist Elements { get; } = elements;

    public override ValueType Type => ValueType.List;

    public override string Encoding => "quicklist";

    public override long Bytes => Elements.Bytes + KeyBytes + ObjectBytes;

    public override long ElementCount => Elements.Count;

    public override long FreeEffort => Elements.NodeCount;

    public override Value Clone(byte[] key) => new ListValue(key, Elements.Clone()) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };

    public override object? Defragment(BlockMover mover, object? from) => Elements.Defragment(mover, fromHead: from is null) ? null : s_continues;

    protected override void FreeElements() => Elements.Free();
}
