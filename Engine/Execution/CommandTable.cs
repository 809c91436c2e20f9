using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// All commands, by name. Built once at startup from the <see cref="CommandAttribute"/>s of the given assemblies.
/// </summary>
public sealed class CommandTable
{
    private readonly Dictionary<string, CommandInfo> _declared;
    private readonly Dictionary<string, CommandInfo> _callable = []; // under the names in force
    private Bucket[] _buckets = [];

    public CommandTable(params ReadOnlySpan<Assembly> assemblies)
    {
        var all = new Dictionary<string, CommandInfo>();
        foreach (Assembly assembly in assemblies) Collect(assembly, all);
        foreach (CommandInfo command in all.Values.Where(command => command.Name.Contains('|')).ToArray())
        {
            string container = command.Name[..command.Name.IndexOf('|')];
            if (!all.TryGetValue(container, out CommandInfo? parent)) all[container] = parent = new(container, null, null);
            (parent.Subcommands ??= []).Add(command.Name[(container.Length + 1)..], command);
        }
        _declared = all.Where(command => !command.Key.Contains('|')).ToDictionary(StringComparer.OrdinalIgnoreCase);
        foreach ((string name, CommandInfo command) in _declared) _callable.Add(name, command);
        MakeBuckets();
        foreach (CommandInfo command in all.Values)
        {
            command.Categories = Complete(command);
            command.Table = this;
            command.Index = Total++;
        }
    }

    /// <summary>
    /// How many commands there are, including subcommands; every <see cref="CommandInfo.Index"/> is below it.
    /// </summary>
    public int Total { get; }

    /// <summary>Every command and container that can be called, without subcommands.</summary>
    public IReadOnlyCollection<CommandInfo> Commands => _callable.Values;

    /// <summary>The same, with those that rename-command has taken away. Permissions are about these.</summary>
    public IReadOnlyCollection<CommandInfo> Declared => _declared.Values;

    /// <summary>
    /// rename-command: from now on, clients call a command by another name, or not at all if that is empty. To be
    /// called before any command is run.
    /// </summary>
    /// <returns>Why that cannot be, in Redis's words; null if it is done.</returns>
    public string? Rename(string from, string to)
    {
        if (!_callable.Remove(from.ToLowerInvariant(), out CommandInfo? command)) return "No such command in rename-command";
        if (to.Length != 0 && !_callable.TryAdd(to.ToLowerInvariant(), command)) return "Target command name already exists";
        command.IsRenamed = true;
        MakeBuckets();
        return null;
    }

    /// <summary>
    /// The command of this name by its declaration, whatever rename-command says, in any case: "get" or "config|get".
    /// Null if there is none.
    /// </summary>
    public CommandInfo? FindDeclared(ReadOnlySpan<byte> name)
    {
        int bar = name.IndexOf((byte)'|');
        string first = Encoding.Latin1.GetString(bar < 0 ? name : name[..bar]);
        if (!_declared.TryGetValue(first, out CommandInfo? command)) return null;
        return bar < 0 ? command : FindSubcommand(command, name[(bar + 1)..]);
    }

    /// <summary>
    /// The command that a logged request is for. Effects bear the names of the declarations, so that a log can be
    /// loaded whatever rename-command says; a log of redis-server has the names that were in force.
    /// </summary>
    public CommandInfo? ResolveLogged(in Request request)
    {
        if (FindDeclared(request[0]) is not { } command) return Resolve(request);
        return request.Count < 2 ? command : FindSubcommand(command, request[1]) ?? command;
    }

    /// <summary>The command or container of this name, in any case; null if there is none.</summary>
    public CommandInfo? Find(ReadOnlySpan<byte> name)
    {
        ulong folded = Fold(name);
        for (uint at = Mix(folded); ; at++)
        {
            ref Bucket bucket = ref _buckets[at & (_buckets.Length - 1)];
            if (bucket.Command is null) return null;
            if (bucket.Folded == folded && (name.Length <= 7 || ((ReadOnlySpan<byte>)bucket.Name).Is(name))) return bucket.Command;
        }
    }

    /// <summary>The command that a request is for: a container's subcommand, if the request names one.</summary>
    public CommandInfo? Resolve(in Request request)
    {
        CommandInfo? command = Find(request[0]);
        if (command?.Subcommands is null || request.Count < 2) return command;
        return FindSubcommand(command, request[1]) ?? command;
    }

    /// <summary>The subcommand of this name, in any case; null if there is none.</summary>
    public static CommandInfo? FindSubcommand(CommandInfo container, ReadOnlySpan<byte> name)
    {
        if (container.Subcommands is null) return null;
        foreach ((string subcommand, CommandInfo command) in container.Subcommands)
        {
            if (Ascii.EqualsWord(name, subcommand)) return command;
        }
        return null;
    }

    /// <summary>
    /// The name's length and its first seven letters, ignoring case. For up to seven letters this is the whole name.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Fold(ReadOnlySpan<byte> name)
    {
        ulong folded = 0;
        int length = Math.Min(name.Length, 7);
        for (int i = 0; i < length; i++)
        {
            uint letter = name[i];
            if (letter - 'A' <= 'Z' - 'A') letter |= 0x20;
            folded = (folded << 8) | letter;
        }
        return folded | ((ulong)Math.Min(name.Length, 255) << 56);
    }

    private void MakeBuckets()
    {
        var buckets = new Bucket[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)_declared.Count * 4)];
        foreach ((string name, CommandInfo command) in _callable)
        {
            byte[] bytes = ByteText.Encode(name);
            uint at = Mix(Fold(bytes));
            while (buckets[at & (buckets.Length - 1)].Command is not null) at++;
            buckets[at & (buckets.Length - 1)] = new() { Folded = Fold(bytes), Name = bytes, Command = command };
        }
        _buckets = buckets;
    }

    private static uint Mix(ulong folded) => (uint)((folded * 0x9E3779B97F4A7C15) >> 40);

    private static void Collect(Assembly assembly, Dictionary<string, CommandInfo> all)
    {
        foreach (Type type in assembly.GetTypes())
        {
            if (!type.IsClass || !type.IsAbstract || !type.IsSealed) continue; // commands are methods of static classes
            foreach (MethodInfo method in type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            {
                if (!method.IsDefined(typeof(CommandAttribute), inherit: false)) continue;
                var run = method.CreateDelegate<CommandMethod>();
                foreach (CommandAttribute declaration in method.GetCustomAttributes<CommandAttribute>())
                {
                    var command = new CommandInfo(declaration.Name, declaration, run);
                    if (!all.TryAdd(command.Name, command)) throw new InvalidOperationException($"Two methods declare {declaration.Name}.");
                }
            }
        }
    }

    private static Category Complete(CommandInfo command)
    {
        if (command.Declaration is null) return Category.Slow;
        Category categories = command.Categories;
        if (command.Is(CommandFlags.Write)) categories |= Category.Write;
        if (command.Is(CommandFlags.ReadOnly) && (categories & Category.Scripting) == 0) categories |= Category.Read;
        if (command.Is(CommandFlags.Admin)) categories |= Category.Admin | Category.Dangerous;
        if (command.Is(CommandFlags.PubSub)) categories |= Category.PubSub;
        if (command.Is(CommandFlags.Blocking)) categories |= Category.Blocking;
        return categories | (command.Is(CommandFlags.Fast) ? Category.Fast : Category.Slow);
    }

    private struct Bucket
    {
        public ulong Folded;
        public byte[] Name;
        public CommandInfo? Command;
    }
}
