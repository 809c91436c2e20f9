using System.Text;

namespace OrleansRedis.Engine;

/// <summary>The method that does a command's work.</summary>
public delegate void CommandMethod(ref CommandContext call);

/// <summary>A command of the table: its declaration, and what dispatch needs from it in plain fields.</summary>
public sealed class CommandInfo
{
    internal CommandInfo(string name, CommandAttribute? declaration, CommandMethod? method)
    {
        Name = name.ToLowerInvariant();
        NameBytes = Encoding.ASCII.GetBytes(Name);
        Declaration = declaration;
        Method = method;
        if (declaration is null) return;
        Arity = declaration.Arity;
        Flags = declaration.Flags;
        Categories = declaration.Categories;
        Effort = declaration.Effort;
        Element = declaration.Element;
        Secrets = SecretArguments.Parse(declaration.Secrets);
        Keys = KeySpecification.Parse(declaration.Keys, declaration.Flags);
        Channels = ChannelSpecification.Parse(declaration.Channels);
        HasKeys = Keys.Any(keys => !keys.IsNotKey);
        IsConfined = HasKeys && (Categories & Category.Transaction) == 0 && (Flags & (CommandFlags.Blocking | CommandFlags.RunsScript
            | CommandFlags.UndeclaredKeys | CommandFlags.SessionKeys | CommandFlags.NeedsConnection | CommandFlags.MovesKeys)) == 0;
        if (Keys is [{ IsOneFixedKey: true } only])
        {
            SingleKey = only.First;
            SingleAccess = only.HasVariableFlags ? null : only.Access;
        }
        if ((Categories & (Category.Hash | Category.Keyspace)) != 0 && Keys is [{ Search: KeySearch.Index, Find: KeyFind.Range } first])
            HashKey = first.First;
    }

    /// <summary>In lower case; "container|sub" for a subcommand.</summary>
    public string Name { get; }

    /// <summary>The table this command belongs to.</summary>
    public CommandTable Table { get; internal set; } = null!;

    public byte[] NameBytes { get; }

    /// <summary>Null for a container, which has subcommands and does nothing itself.</summary>
    public CommandAttribute? Declaration { get; }

    public CommandMethod? Method { get; }

    public int Arity { get; internal set; } = -2;

    public CommandFlags Flags { get; internal set; }

    public Category Categories { get; internal set; }

    public Effort Effort { get; }

    /// <summary>Position of the argument that names an element of the key's value; 0 if there is none.</summary>
    internal int Element { get; }

    /// <summary>Which of its arguments must not be shown to others; null if all may be.</summary>
    internal SecretArguments? Secrets { get; }

    public IReadOnlyList<KeySpecification> Keys { get; } = [];

    /// <summary>
    /// Which arguments are names of channels; null if there are none that permissions are needed for.
    /// </summary>
    public ChannelSpecification? Channels { get; }

    /// <summary>A small number unique to the command, for counters in arrays.</summary>
    public int Index { get; internal set; }

    /// <summary>Position of the command's one key; 0 if it has none, several, or one that moves.</summary>
    public int SingleKey { get; }

    /// <summary>Whether clients call it by another name than this one (rename-command).</summary>
    public bool IsRenamed { get; internal set; }

    /// <summary>Whether it has keys at all.</summary>
    internal bool HasKeys { get; }

    /// <summary>
    /// Whether all that it concerns are the keys which its request names, so that it may run wherever those are, beside
    /// other commands of the same client.
    /// </summary>
    public bool IsConfined { get; }

    /// <summary>What it does to its one key; null if that depends on the request, or if it has no single key.</summary>
    internal KeyAccess? SingleAccess { get; }

    /// <summary>The subcommands of a container, by name without the container's; otherwise null.</summary>
    public Dictionary<string, CommandInfo>? Subcommands { get; internal set; }

    /// <summary>
    /// Position of the key that may be a hash with expired fields; 0 if there is none, or if it may be one of several.
    /// </summary>
    internal int HashKey { get; }

    public bool Is(CommandFlags flag) => (Flags & flag) != 0;

    /// <summary>Appends the positions of the keys whose values the command reads.</summary>
    internal void LocateSources(in Request request, List<int> positions)
    {
        foreach (KeySpecification keys in Keys)
        {
            if (!keys.IsNotKey && !keys.IsOverwritten && !keys.TryLocate(request, positions)) return;
        }
    }

    /// <summary>
    /// Appends the positions of a request's keys. If an argument makes no sense, this stops there: the command itself
    /// will report the error, and reaches no further key.
    /// </summary>
    public void LocateKeys(in Request request, List<int> positions)
    {
        for (int i = 0; i < Keys.Count; i++) // no enumerator: every command with several keys comes through here
        {
            if (!Keys[i].IsNotKey && !Keys[i].TryLocate(request, positions)) return;
        }
    }

    /// <summary>The slot that has all keys of a request; negative if there are none, or if they are in several.</summary>
    public int SlotOf(in Request request)
    {
        if (SingleKey != 0) return SingleKey < request.Count ? KeySlot.Of(request[SingleKey]) : -1;
        List<int> positions = t_positions ??= [];
        positions.Clear();
        LocateKeys(request, positions);
        int only = -1;
        foreach (int position in positions)
        {
            int slot = KeySlot.Of(request[position]);
            if (only >= 0 && slot != only) return -1;
            only = slot;
        }
        return only;
    }

    [ThreadStatic]
    private static List<int>? t_positions;

    /// <summary>Whether a request of this many arguments is well-formed.</summary>
    public bool AcceptsCount(int count) => Arity >= 0 ? count == Arity : count >= -Arity;
}
