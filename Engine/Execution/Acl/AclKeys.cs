namespace OrleansRedis.Engine;

/// <summary>
/// The keys of a request and what the command does to each, found when the first selector asks and kept for the others.
/// </summary>
internal ref struct AclKeys
{
    [ThreadStatic]
    private static List<int>? t_positions;

    [ThreadStatic]
    private static List<KeyAccess>? t_access;

    private List<int>? _positions;

    /// <summary>How many keys there are.</summary>
    public int CountOf(CommandInfo command, in Request request)
    {
        if (_positions is null) Locate(command, request);
        return _positions!.Count;
    }

    /// <summary>A key's position among the arguments.</summary>
    public readonly int Position(int index) => _positions![index];

    /// <summary>What the command does to it.</summary>
    public readonly KeyAccess Access(int index) => t_access![index];

    /// <summary>
    /// If an argument makes no sense, the command will report that, and reaches no further key than those found before.
    /// </summary>
    private void Locate(CommandInfo command, in Request request)
    {
        _positions = t_positions ??= [];
        List<KeyAccess> access = t_access ??= [];
        _positions.Clear();
        access.Clear();
        for (int i = 0; i < command.Keys.Count; i++)
        {
            KeySpecification keys = command.Keys[i];
            if (keys.IsNotKey) continue;
            bool isSound = keys.TryLocate(request, _positions);
            while (access.Count < _positions.Count) access.Add(keys.HasVariableFlags ? VariableKeyFlags.Of(command, request).Access : keys.Access);
            if (!isSound) break;
        }
    }
}
