namespace OrleansRedis.Engine;

/// <summary>A chunk of keys in the RDB format.</summary>
internal sealed class RdbChunk(ServerOptions options, long nowMs) : SnapshotChunk
{
    public RdbWriter Bytes { get; } = new(options.RdbCompression);

    public override ReadOnlySpan<byte> Written => Bytes.Written;

    protected override int Room => Bytes.Capacity;

    public override void Clear()
    {
        base.Clear();
        Bytes.Clear();
    }

    protected override void WriteSelect(int database) => RdbEntryWriter.Select(Bytes, database);

    protected override void WriteEntry(KeyEntry entry) => RdbEntryWriter.Write(Bytes, entry, options, nowMs);
}
