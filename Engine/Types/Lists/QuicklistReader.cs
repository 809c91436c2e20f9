namespace OrleansRedis.Engine;

/// <summary>
/// Reads nodes of quicklists, one after another. A compressed node is decompressed into a block that then serves for
/// the next one too, so that even a walk through a long list needs room for hardly more than one node. What was read is
/// valid until the next node is read, and no longer than the command runs.
/// </summary>
internal unsafe struct QuicklistReader
{
    // It is retired as soon as it is made, so a reader need not be disposed of.
    private byte* _copy;

    /// <summary>The listpack of a node that is not plain, for reading only.</summary>
    public Listpack Listpack(QuicklistNode* node) => node->IsCompressed ? new(Decompressed(node), 0) : node->Listpack;

    /// <summary>The bytes of a node's listpack or plain element.</summary>
    public ReadOnlySpan<byte> Content(QuicklistNode* node) => node->IsCompressed ? new(Decompressed(node), node->Length) : node->Content;

    private byte* Decompressed(QuicklistNode* node)
    {
        if (_copy == null || Heap.SizeOf(_copy) < node->Length)
        {
            _copy = Heap.Allocate(node->Length);
            Retirement.Retire(_copy);
        }
        node->DecompressTo(_copy);
        return _copy;
    }
}
