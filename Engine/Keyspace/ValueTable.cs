using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The values of all keyspaces by number. Native memory cannot refer to objects, so cells hold these numbers.
/// </summary>
internal static class ValueTable
{
    private const int Shift = 10, PageLength = 1 << Shift;

    private static readonly Lock s_lock = new();
    private static readonly Stack<int> s_free = new();
    private static Value?[][] s_pages = [];
    private static int s_next;

    /// <summary>The value with this number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Value At(int number) => s_pages[number >> Shift][number & (PageLength - 1)]!;

    /// <summary>The value with this number, which may be any number; null if there is none.</summary>
    public static Value? Foresee(nint number)
    {
        Value?[][] pages = Volatile.Read(ref s_pages);
        return (nuint)(number >> Shift) < (nuint)pages.Length ? pages[number >> Shift][number & (PageLength - 1)] : null;
    }

    public static int Add(Value value)
    {
        lock (s_lock)
        {
            if (!s_free.TryPop(out int number)) number = s_next++;
            if (number >> Shift == s_pages.Length) Volatile.Write(ref s_pages, [.. s_pages, new Value?[PageLength]]);
            s_pages[number >> Shift][number & (PageLength - 1)] = value;
            return number;
        }
    }

    public static void Remove(int number)
    {
        lock (s_lock)
        {
            s_pages[number >> Shift][number & (PageLength - 1)] = null;
            s_free.Push(number);
        }
    }
}
