namespace OrleansRedis.Engine;

/// <summary>Compression of a quicklist's inner nodes.</summary>
internal sealed unsafe partial class Quicklist
{
    /// <summary>
    /// Nodes smaller than this are not worth compressing, and neither is a gain of fewer bytes than
    /// <see cref="LeastGain"/>.
    /// </summary>
    private const int SmallestToCompress = 48;
    private const int LeastGain = 8;

    /// <summary>
    /// After a change to the chain: decompresses the nodes within the depth of either end, compresses the first nodes
    /// beyond it, and also <paramref name="changed"/> if it is an inner node.
    /// </summary>
    private void Recompress(QuicklistNode* changed)
    {
        QuicklistNode* forward = Head, reverse = Tail;
        bool changedIsOuter = false;
        for (int depth = 0; depth < CompressDepth && forward != null; depth++)
        {
            Decompress(forward);
            Decompress(reverse);
            changedIsOuter |= forward == changed || reverse == changed;
            if (forward == reverse || forward->Next == reverse) return;
            forward = forward->Next;
            reverse = reverse->Previous;
        }
        if (changed != null && !changedIsOuter) Compress(changed);
        if (forward == null) return;
        Compress(forward);
        Compress(reverse);
    }

    private void Compress(QuicklistNode* node)
    {
        if (node->IsCompressed || node->Length < SmallestToCompress) return;
        byte* scratch = Heap.Allocate(node->Length);
        int length = Lzf.Compress(node->Content, new(scratch, node->Length));
        if (length == 0 || length + LeastGain > node->Length)
        {
            Trim(node);
        }
        else
        {
            Retirement.Retire(SetBlock(node, CopyOf(new(scratch, length))));
            node->SetCompressed(length);
        }
        Heap.Free(scratch);
    }

    private void Decompress(QuicklistNode* node)
    {
        if (!node->IsCompressed) return;
        byte* content = Heap.Allocate(node->Length);
        node->DecompressTo(content);
        Heap.Free(SetBlock(node, content)); // nobody looks at the compressed bytes themselves
        node->SetDecompressed();
    }
}
