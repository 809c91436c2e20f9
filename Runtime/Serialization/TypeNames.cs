using System.Collections.Concurrent;
using System.Reflection;

namespace Orleans.Serialization;

/// <summary>The names of types on the wire: an <see cref="AliasAttribute"/>, else the .NET name with the assembly's.</summary>
internal static class TypeNames
{
    private static readonly ConcurrentDictionary<Type, string> Names = new();
    private static readonly ConcurrentDictionary<string, Type?> Types = new();

    public static string NameOf(Type type) => Names.GetOrAdd(type, static type =>
        type.GetCustomAttribute<AliasAttribute>(inherit: false) is { } alias && !type.IsGenericType ? "=" + alias.Alias : Shorten(type));

    /// <summary>The type of that name; null when there is none here. Only types that have codecs are ever made from names.</summary>
    public static Type? Find(string name) => Types.GetOrAdd(name, static name =>
        name[0] == '=' ? ApplicationTypes.ByAlias(name[1..]) : Type.GetType(name, FindAssembly, typeResolver: null, throwOnError: false));

    private static Assembly? FindAssembly(AssemblyName name) => AppDomain.CurrentDomain.GetAssemblies().FirstOrDefault(assembly => assembly.GetName().Name == name.Name)
        ?? (name.Name is "System.Private.CoreLib" or "System.Runtime" ? typeof(object).Assembly : null);

    private static string Shorten(Type type)
    {
        if (type.IsArray) return $"{Inner(type.GetElementType()!)}[], {type.GetElementType()!.Assembly.GetName().Name}";
        return $"{Inner(type)}, {type.Assembly.GetName().Name}";
    }

    private static string Inner(Type type)
    {
        if (type.IsArray) return Inner(type.GetElementType()!) + "[]";
        if (!type.IsGenericType) return type.FullName!;
        return $"{type.GetGenericTypeDefinition().FullName}[{string.Join(",", type.GetGenericArguments().Select(argument => $"[{Shorten(argument)}]"))}]";
    }
}
