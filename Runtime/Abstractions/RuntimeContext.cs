namespace Orleans.Runtime;

/// <summary>The activation whose turn runs on this thread.</summary>
internal static class RuntimeContext
{
    [ThreadStatic]
    private static IGrainContext? current;

    /// <summary>The activation whose turn runs on this thread; null outside of grains.</summary>
    public static IGrainContext? Current => current;

    internal static IGrainContext? Swap(IGrainContext? next)
    {
        IGrainContext? previous = current;
        current = next;
        return previous;
    }
}
