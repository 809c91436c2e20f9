namespace OrleansRedis.Engine;

/// <summary>Compression of a quicklist's inner nodes.</summary>
internal sealed partial class Quicklist
{
    /// <summary>
    /// Nodes smaller than this are not worth compressing, and neither is a gain of fewer bytes than
    /// <see cref="LeastGain"/>.
    /// </summary>
    private const int SmallestToCompress = 48;
    private const int LeastGain = 8;

    [ThreadStatic]
    private static byte[]? t_compressed;

    /// <summary>
    /// After a change to the chain: decompresses the nodes within the depth of either end, compresses the first nodes
    /// beyond it, and also <paramref name="changed"/> if it is an inner node.
    /// </summary>
    private void Recompress(QuicklistNode? changed)
    {
        QuicklistNode? forward = Head, reverse = Tail;
        bool changedIsOuter = false;
        for (int depth = 0; depth < CompressDepth && forward is not null; depth++)
        {
            Decompress(forward);
            Decompress(reverse!);
            changedIsOuter |= ReferenceEquals(forward, changed) || ReferenceEquals(reverse, changed);
            if (ReferenceEquals(forward, reverse) || ReferenceEquals(forward.Next, reverse)) return;
            forward = forward.Next;
            reverse = reverse!.Previous;
        }
        if (changed is not null && !changedIsOuter) Compress(changed);
        if (forward is null) return;
        Compress(forward);
        Compress(reverse!);
    }

    private void Compress(QuicklistNode node)
    {
        if (node.IsCompressed || node.Length < SmallestToCompress) return;
        if (t_compressed is null || t_compressed.Length < node.Length) t_compressed = new byte[Math.Max(8192, node.Length)];
        int length = Lzf.Compress(node.Array.AsSpan(node.Start, node.Length), t_compressed.AsSpan(0, node.Length));
        if (length == 0 || length + LeastGain > node.Length)
        {
            Trim(node);
            return;
        }
        SetArray(node, t_compressed.AsSpan(0, length).ToArray());
        node.Start = 0;
        node.IsCompressed = true;
    }

    private void Decompress(QuicklistNode node)
    {
        if (!node.IsCompressed) return;
        SetArray(node, node.Decompressed());
        node.IsCompressed = false;
    }
}
