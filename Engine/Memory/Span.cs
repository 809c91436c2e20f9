using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A run of granules: free, cut up into blocks of one size, or one large block. Its number is that
/// of its first granule.
/// </summary>
/// <remarks>One line of the processor's cache each.</remarks>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal unsafe struct Span
{
    /// <summary>The class of a span that is one large block.</summary>
    public const byte Large = byte.MaxValue;

    /// <summary>Its neighbours in the list that it is in; 0 for none.</summary>
    public uint Next, Previous;

    /// <summary>Of a dirty free run: the next ones in the order in which they became free; 0 for none.</summary>
    public uint Older, Newer;

    /// <summary>How many granules it has.</summary>
    public uint Length;

    /// <summary>The <see cref="SizeClasses">size class</see> of its blocks, <see cref="Large"/>, or 0 if it is free.</summary>
    public byte Class;

    /// <summary>Which of its owner's lists it is in.</summary>
    public byte List;

    /// <summary>
    /// Of a free run: whether pages may still stand behind it. Of a span of blocks: whether it is being emptied, and so
    /// must not hand out any more.
    /// </summary>
    public bool IsDirty, IsLeaving;

    /// <summary>Blocks that are out: in use, or in a thread's cache.</summary>
    public int Live;

    /// <summary>How many blocks fit.</summary>
    public int Capacity;

    /// <summary>With fewer live blocks than this it no longer belongs in the list that it is in.</summary>
    public int LeastLive;

    /// <summary>The first of the blocks that came back; each begins with the address of the next.</summary>
    public byte* Free;

    /// <summary>Of a dirty free run and of a large block: behind so many bytes at the end there are no pages.</summary>
    public int CleanBytes;

    /// <summary>From here on no block was ever handed out. Of a large block: where its last page ends.</summary>
    public byte* Fresh;

    /// <summary>When a free run became free, in ms of <see cref="Environment.TickCount64"/>.</summary>
    public long FreedAtMs;
}
