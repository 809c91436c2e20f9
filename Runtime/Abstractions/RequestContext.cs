namespace Orleans.Runtime;

/// <summary>Values that travel along with calls: what a caller sets is there in the callee, and in what that one calls. They don't travel back.</summary>
public static class RequestContext
{
    internal const string CallChainReentrancyKey = "#CCR";
    private static readonly AsyncLocal<Dictionary<string, object>?> Current = new();

    /// <summary>The keys set.</summary>
    public static IEnumerable<string> Keys => Current.Value?.Keys ?? Enumerable.Empty<string>();

    /// <summary>The keys and values set.</summary>
    public static IEnumerable<KeyValuePair<string, object>> Entries => Current.Value ?? Enumerable.Empty<KeyValuePair<string, object>>();

    /// <summary>The call chain that may re-enter grains; empty when there is none.</summary>
    public static Guid ReentrancyId
    {
        get => Get(CallChainReentrancyKey) is Guid id ? id : Guid.Empty;
        set
        {
            if (value == Guid.Empty) Remove(CallChainReentrancyKey);
            else Set(CallChainReentrancyKey, value);
        }
    }

    /// <summary>The value set for <paramref name="key"/>, or null.</summary>
    public static object? Get(string key) => Current.Value is { } values && values.TryGetValue(key, out object? value) ? value : null;

    /// <summary>Sets a value.</summary>
    public static void Set(string key, object value)
    {
        // A dictionary once published is never changed: other async flows, and messages, share it.
        Dictionary<string, object> copy = Current.Value is { } values ? new(values) : [];
        copy[key] = value;
        Current.Value = copy;
    }

    /// <summary>Removes a value; false when there was none.</summary>
    public static bool Remove(string key)
    {
        if (Current.Value is not { } values || !values.ContainsKey(key)) return false;
        Dictionary<string, object> copy = new(values);
        copy.Remove(key);
        Current.Value = copy.Count == 0 ? null : copy;
        return true;
    }

    /// <summary>Removes all values.</summary>
    public static void Clear() => Restore(null);

    /// <summary>From here to the end of the section, grains that this call chain has entered accept calls from further down the chain.</summary>
    public static ReentrancySection AllowCallChainReentrancy()
    {
        Guid current = ReentrancyId;
        return new ReentrancySection(current, current == Guid.Empty ? Guid.NewGuid() : current);
    }

    /// <summary>From here to the end of the section, calls don't re-enter grains of this chain.</summary>
    public static ReentrancySection SuppressCallChainReentrancy() => new(ReentrancyId, Guid.Empty);

    internal static Dictionary<string, object>? Snapshot() => Current.Value;

    internal static void Restore(Dictionary<string, object>? values)
    {
        if (!ReferenceEquals(Current.Value, values))
            Current.Value = values;
    }

    /// <summary>A stretch of code with its own call chain.</summary>
    public readonly struct ReentrancySection : IDisposable
    {
        private readonly Guid _original;
        private readonly Guid _new;

        /// <summary>Begins a section.</summary>
        public ReentrancySection(Guid originalReentrancyId, Guid newReentrancyId)
        {
            (_original, _new) = (originalReentrancyId, newReentrancyId);
            if (_new != _original) ReentrancyId = _new;
            if (_new != Guid.Empty) (RuntimeContext.Current as Activation)?.EnterReentrantSection(_new);
        }

        /// <summary>Ends the section.</summary>
        public void Dispose()
        {
            if (_new != Guid.Empty) (RuntimeContext.Current as Activation)?.ExitReentrantSection(_new);
            if (_new != _original) ReentrancyId = _original;
        }
    }
}
