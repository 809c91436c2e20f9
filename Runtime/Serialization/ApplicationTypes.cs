using System.Collections.Frozen;
using System.Reflection;
using Orleans.Runtime;

namespace Orleans.Serialization;

/// <summary>The types of all assemblies that use this runtime: grain classes, grain interfaces and aliases. Looked for once, when first needed, in what the
/// process has loaded and in what that refers to.</summary>
internal static class ApplicationTypes
{
    private static readonly Lazy<Type[]> All = new(Scan);
    private static readonly Lazy<FrozenDictionary<string, Type>> Aliases = new(() => All.Value
        .Select(type => (type, alias: type.GetCustomAttribute<AliasAttribute>(inherit: false)?.Alias))
        .Where(pair => pair.alias is not null)
        .DistinctBy(pair => pair.alias)
        .ToFrozenDictionary(pair => pair.alias!, pair => pair.type));

    public static IEnumerable<Type> GrainClasses => All.Value.Where(type =>
        type is { IsClass: true, IsAbstract: false, IsGenericTypeDefinition: false } && typeof(IGrainBase).IsAssignableFrom(type));

    public static IEnumerable<Type> Interfaces => All.Value.Where(type => type is { IsInterface: true, IsGenericTypeDefinition: false } && typeof(IAddressable).IsAssignableFrom(type));

    public static Type? ByAlias(string alias) => Aliases.Value.GetValueOrDefault(alias);

    private static Type[] Scan()
    {
        Assembly runtime = typeof(ApplicationTypes).Assembly;
        string runtimeName = runtime.GetName().Name!;
        var seen = new HashSet<string>();
        var queue = new Queue<Assembly>(AppDomain.CurrentDomain.GetAssemblies().Where(assembly => !assembly.IsDynamic));
        var using_ = new List<Assembly> { runtime };
        while (queue.TryDequeue(out Assembly? assembly))
        {
            if (!seen.Add(assembly.FullName!)) continue;
            AssemblyName[] references = assembly.GetReferencedAssemblies();
            if (references.Any(reference => reference.Name == runtimeName)) using_.Add(assembly);
            foreach (AssemblyName reference in references)
            {
                if (IsPlatform(reference.Name!) || seen.Contains(reference.FullName)) continue;
                try
                {
                    queue.Enqueue(Assembly.Load(reference));
                }
                catch (Exception exception) when (exception is FileNotFoundException or FileLoadException or BadImageFormatException)
                {
                    // A reference that is never used need not be there.
                }
            }
        }

        return [.. using_.SelectMany(TypesOf)];
    }

    private static bool IsPlatform(string name) =>
        name.StartsWith("System.", StringComparison.Ordinal) || name.StartsWith("Microsoft.", StringComparison.Ordinal) || name is "System" or "netstandard" or "mscorlib";

    private static IEnumerable<Type> TypesOf(Assembly assembly)
    {
        try
        {
            return assembly.GetTypes();
        }
        catch (ReflectionTypeLoadException exception)
        {
            return exception.Types.OfType<Type>();
        }
    }
}
