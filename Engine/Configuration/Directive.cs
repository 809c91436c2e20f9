using System.Diagnostics.CodeAnalysis;
using System.Reflection;

namespace OrleansRedis.Engine;

/// <summary>
/// A directive of redis.conf: a property of <see cref="ServerOptions"/> with its name, limits and grammar, or one of
/// Redis's that has no meaning here (<see cref="ForeignDirectives"/>).
/// </summary>
public sealed class Directive
{
    private static readonly ServerOptions s_defaults = new();
    private static readonly Dictionary<string, Directive> s_byName = new(StringComparer.OrdinalIgnoreCase);

    private readonly PropertyInfo? _property;
    private readonly ForeignDirective? _foreign;

    static Directive()
    {
        foreach (PropertyInfo property in typeof(ServerOptions).GetProperties())
        {
            if (property.GetCustomAttribute<DirectiveAttribute>() is not { } declaration) continue;
            Add(new(property, declaration));
        }
        foreach (ForeignDirective foreign in ForeignDirectives.All) Add(new(foreign));
    }

    private static void Add(Directive directive)
    {
        All.Add(directive);
        s_byName.Add(directive.Name, directive);
        if (directive.Declaration.Alias is { } alias) s_byName.Add(alias, directive);
    }

    private Directive(ForeignDirective foreign)
    {
        _foreign = foreign;
        Declaration = new(foreign.Name)
        {
            Alias = foreign.Alias,
            Immutable = foreign.Immutable,
            Sensitive = foreign.Sensitive,
            Hidden = foreign.Hidden,
        };
        Kind = foreign.Kind;
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

    /// <summary>Why it has no effect here; null if it has one.</summary>
    public string? WhyNoEffect => _foreign?.Why;

    /// <summary>Whether it has no effect, and takes no value but its default, since to ignore another would be dangerous.</summary>
    public bool IsRefused => _foreign is { IsRefused: true };

    /// <summary>Its value in these options.</summary>
    public object Get(ServerOptions options) =>
        _foreign is null ? _property!.GetValue(options)! : options.Foreign.GetValueOrDefault(Name) ?? _foreign.Default;

    /// <summary>Sets it to a value that <see cref="DirectiveKind.TryParse"/> made.</summary>
    public void Set(ServerOptions options, object value)
    {
        if (_foreign is null) _property!.SetValue(options, value);
        else options.Foreign[Name] = value;
    }

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
