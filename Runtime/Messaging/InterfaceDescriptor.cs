using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Reflection;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>A grain interface as the runtime sees it: its name on the wire and its methods, those of its base interfaces too. Made once per process.</summary>
internal sealed class InterfaceDescriptor
{
    private static readonly ConcurrentDictionary<Type, InterfaceDescriptor> ByType = new();
    private static readonly ConcurrentDictionary<string, InterfaceDescriptor> ByName = new();
    private static readonly Lazy<bool> ApplicationScanned = new(() =>
    {
        foreach (Type type in ApplicationTypes.Interfaces) For(type);
        return true;
    });

    private readonly FrozenDictionary<MethodInfo, MethodDescriptor> _methods;
    private readonly FrozenDictionary<uint, MethodDescriptor> _methodsById;

    private InterfaceDescriptor(Type type)
    {
        Type = type;
        Name = NameOf(type);
        var methods = new Dictionary<MethodInfo, MethodDescriptor>();
        foreach (Type declaring in type.GetInterfaces().Prepend(type))
        {
            foreach (MethodInfo method in declaring.GetMethods())
            {
                if (!method.IsStatic && !method.IsGenericMethodDefinition) methods[method] = new MethodDescriptor(this, method);
            }
        }

        _methods = methods.ToFrozenDictionary();
        _methodsById = methods.Values.DistinctBy(method => method.Id).ToFrozenDictionary(method => method.Id);
        if (_methodsById.Count != _methods.Count) throw new OrleansConfigurationException($"Two methods of {type} have the same name on the wire; give one an [Alias]");
    }

    public Type Type { get; }

    public string Name { get; }

    public GrainInterfaceType InterfaceType => new(Name);

    public static InterfaceDescriptor For(Type type) => ByType.GetOrAdd(type, static type =>
    {
        var descriptor = new InterfaceDescriptor(type);
        ByName.TryAdd(descriptor.Name, descriptor);
        return descriptor;
    });

    public static InterfaceDescriptor? Find(string? name)
    {
        if (name is null) return null;
        if (ByName.TryGetValue(name, out InterfaceDescriptor? descriptor)) return descriptor;
        _ = ApplicationScanned.Value;
        return ByName.GetValueOrDefault(name);
    }

    public static string NameOf(Type type) => type.GetCustomAttribute<AliasAttribute>(inherit: false)?.Alias ?? type.FullName!;

    public MethodDescriptor Method(MethodInfo method) => _methods.TryGetValue(method, out MethodDescriptor? descriptor)
        ? descriptor
        : throw new NotSupportedException($"{method} of {Type} cannot be called remotely: it is generic or static");

    public MethodDescriptor? Method(uint id) => _methodsById.GetValueOrDefault(id);
}
