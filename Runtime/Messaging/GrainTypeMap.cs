using System.Collections.Concurrent;
using System.Reflection;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>Which grain type implements which interface. Silos find out from the classes that they host; clients hear it from gateways. Any thread.</summary>
internal sealed class GrainTypeMap
{
    private readonly ConcurrentDictionary<string, string> _primary = new();
    private readonly ConcurrentDictionary<Type, GrainType> _resolved = new();

    /// <summary>Interface name to grain type.</summary>
    public IReadOnlyDictionary<string, string> Entries => _primary;

    public static string NameOf(Type grainClass)
    {
        if (grainClass.GetCustomAttribute<GrainTypeAttribute>() is { } given) return given.Name;
        string name = grainClass.Name.ToLowerInvariant();
        return name.EndsWith("grain", StringComparison.Ordinal) && name.Length > 5 ? name[..^5] : name;
    }

    public void Add(Type grainClass)
    {
        foreach (Type type in grainClass.GetInterfaces())
        {
            if (!typeof(IAddressable).IsAssignableFrom(type) || (type.IsPublic && type.Assembly == typeof(IGrain).Assembly)) continue;
            string name = InterfaceDescriptor.NameOf(type);
            // Of several classes, the one named like the interface is meant.
            if (!_primary.ContainsKey(name) || type.Name == "I" + grainClass.Name) _primary[name] = NameOf(grainClass);
        }
    }

    public void Add(IEnumerable<KeyValuePair<string, string>> entries)
    {
        foreach ((string interfaceName, string grainType) in entries) _primary[interfaceName] = grainType;
        _resolved.Clear();
    }

    /// <summary>The grain type for an interface; by convention when none is known, as IHashSlotGrain is for "hashslot".</summary>
    public GrainType Resolve(Type interfaceType, string? classNamePrefix)
    {
        if (classNamePrefix is not null)
        {
            Type? match = ApplicationTypes.GrainClasses.FirstOrDefault(type =>
                interfaceType.IsAssignableFrom(type) && (type.FullName!.StartsWith(classNamePrefix, StringComparison.Ordinal) || type.Name.StartsWith(classNamePrefix, StringComparison.Ordinal)));
            return GrainType.Create(match is null ? throw new ArgumentException($"No grain class with prefix \"{classNamePrefix}\" implements {interfaceType}") : NameOf(match));
        }

        if (_resolved.TryGetValue(interfaceType, out GrainType known)) return known;
        if (!_primary.TryGetValue(InterfaceDescriptor.NameOf(interfaceType), out string? name))
        {
            name = interfaceType.Name.ToLowerInvariant();
            if (name.Length > 1 && name[0] == 'i') name = name[1..];
            if (name.EndsWith("grain", StringComparison.Ordinal) && name.Length > 5) name = name[..^5];
        }

        return _resolved[interfaceType] = GrainType.Create(name);
    }
}
