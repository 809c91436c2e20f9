namespace OrleansRedis.Engine;

/// <summary>
/// The rule that makes deadlocks impossible: a thread that holds a gate does not wait for another one, since the holder
/// of that one might be waiting for this thread. (The command that roams may; there is only one.)
/// <para>
/// The tests have it checked, by the switch <c>OrleansRedis.ChecksGates</c> in their runtimeconfig.json: whoever breaks
/// the rule gets an exception, whether or not the gate happened to be free. Otherwise it costs nothing, because the
/// compiler leaves out what depends on a read-only field that is false.
/// </para>
/// </summary>
internal static class GateRule
{
    public static readonly bool IsChecked = AppContext.TryGetSwitch("OrleansRedis.ChecksGates", out bool isOn) && isOn;

    [ThreadStatic]
    private static int t_held;

    /// <summary>This thread has taken a gate.</summary>
    public static void Entered() => t_held++;

    /// <summary>This thread has given a gate back.</summary>
    public static void Left() => t_held--;

    /// <summary>This thread is about to give back memory that it may have found in any slot.</summary>
    public static void BeforeSweeping()
    {
        if (t_held != 0) throw new InvalidOperationException($"A thread leaves a slot as if it were its last, while it holds {t_held} gates.");
    }

    /// <summary>This thread is about to wait for a gate.</summary>
    public static void BeforeWaiting()
    {
        if (t_held != 0) throw new InvalidOperationException($"A thread waits for a gate while it holds {t_held} others. That may never end.");
    }
}
