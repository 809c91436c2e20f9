namespace OrleansRedis.Engine;

/// <summary>A list too long for one listpack.</summary>
internal sealed class ListValue(byte[] key, Quicklist elements) : Value(key)
{
    /// <summary>What the runtime allocates for this object.</summary>
    private const int ObjectBytes = 64;

    public Quicklist Elements { get; } = elements;

    public override ValueType Type => ValueType.List;

    public override string Encoding => "quicklist";

    public override long Bytes => Elements.Bytes + KeyBytes + ObjectBytes;

    public override long ElementCount => Elements.Count;

    public override long FreeEffort => Elements.NodeCount;

    public override Value Clone(byte[] key) => new ListValue(key, Elements.Clone()) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };

    protected override void FreeElements() => Elements.Free();
}
