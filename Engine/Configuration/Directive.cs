using System.Diagnostics.CodeAnalysis;
using System.Reflection;

namespace OrleansRedis.Engine;

/// <summary>
/// A directive of redis.conf: a property of <see cref="ServerOptions"/> with its name, limits and grammar.
/// </summary>
public sealed class Directive
{
    private static readonly ServerOptions s_defaults = new();
    private static readonly Dictionary<string, Directive> s_byName = new(StringComparer.OrdinalIgnoreCase);

    private readonly PropertyInfo _property;

    static Directive()
    {
        foreach (PropertyInfo property in typeof(ServerOptions).GetProperties())
        {
            if (property.GetCustomAttribute<DirectiveAttribute>() is not { } declaration) continue;
            var directive = new Directive(property, declaration);
            All.Add(directive);
            s_byName.Add(declaration.Name, directive);
            if (declaration.Alias is { } alias) s_byName.Add(alias, directive);
        }
    }

    private Directive(PropertyInfo property, DirectiveAttribute declaration)
    {
        _property = property;
        Declaration = declaration;
        Kind = KindOf(property.PropertyType, declaration);
    }

    /// <summary>Every directive, in the order of <see cref="ServerOptions"/>.</summary>
    public static List<Directive> All { get; } = [];

    /// <summary>Every name, aliases included.</summary>
    public static IEnumerable<string> Names =>
        All.SelectMany(directive => directive.Declaration.Alias is { } alias ? [directive.Name, alias] : new[] { directive.Name });

    /// <summary>The attribute that declares it.</summary>
    public DirectiveAttribute Declaration { get; }

    /// <summary>Its grammar.</summary>
    public DirectiveKind Kind { get; }

    /// <summary>Its name, never the alias.</summary>
    public string Name => Declaration.Name;

    /// <summary>Finds the directive with this name or alias, ignoring case.</summary>
    public static bool TryFind(string name, [NotNullWhen(true)] out Directive? directive) => s_byName.TryGetValue(name, out directive);

    /// <summary>Its value in these options.</summary>
    public object Get(ServerOptions options) => _property.GetValue(options)!;

    /// <summary>Sets it to a value that <see cref="DirectiveKind.TryParse"/> made.</summary>
    public void Set(ServerOptions options, object value) => _property.SetValue(options, value);

    /// <summary>Whether it has its default value.</summary>
    public bool IsDefault(ServerOptions options) => Kind.AreEqual(Get(options), Get(s_defaults));

    private static DirectiveKind KindOf(Type type, DirectiveAttribute declaration)
    {
        if (declaration.Kind is { } kind) return (DirectiveKind)Activator.CreateInstance(kind)!;
        if (type == typeof(bool)) return new YesNoKind();
        if (type == typeof(string)) return new TextKind();
        if (type.IsEnum) return new WordKind(type);
        if (type == typeof(int))
            return new NumberKind(type, declaration.Format, declaration.Min, declaration.Max == long.MaxValue ? int.MaxValue : declaration.Max);
        if (type == typeof(long)) return new NumberKind(type, declaration.Format, declaration.Min, declaration.Max);
        throw new NotSupportedException($"The directive {declaration.Name} is of {type}; it needs a DirectiveKind.");
    }
}
