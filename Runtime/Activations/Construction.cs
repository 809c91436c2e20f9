using System.Reflection;
using Microsoft.Extensions.DependencyInjection;

namespace Orleans.Runtime;

/// <summary>How grain objects are made: constructor arguments come from the services, those with a facet attribute from its mapper.</summary>
internal static class Construction
{
    public static Func<IServiceProvider, IGrainContext, object> FactoryOf(Type grainClass, IServiceProvider services, out bool needsScope)
    {
        ConstructorInfo constructor = grainClass.GetConstructors().MaxBy(candidate => candidate.IsDefined(typeof(ActivatorUtilitiesConstructorAttribute)) ? int.MaxValue : candidate.GetParameters().Length)
            ?? throw new OrleansConfigurationException($"{grainClass} has no public constructor");
        var facets = new List<(Type Type, Func<IGrainContext, object> Make)>();
        foreach (ParameterInfo parameter in constructor.GetParameters())
        {
            if (parameter.GetCustomAttributes().OfType<IFacetMetadata>().FirstOrDefault() is { } facet)
                facets.Add((parameter.ParameterType, MapperOf(facet, services, parameter)));
        }

        needsScope = services.GetService<ScopedServices>()?.AnyNeededBy(constructor) ?? false;
        ObjectFactory factory = ActivatorUtilities.CreateFactory(grainClass, [.. facets.Select(facet => facet.Type)]);
        (Type Type, Func<IGrainContext, object> Make)[] makers = [.. facets];
        return makers.Length == 0
            ? (provider, _) => factory(provider, null)
            : (provider, context) => factory(provider, Array.ConvertAll(makers, maker => (object?)maker.Make(context)));
    }

    private static Func<IGrainContext, object> MapperOf(IFacetMetadata facet, IServiceProvider services, ParameterInfo parameter)
    {
        object mapper = services.GetService(typeof(IAttributeToFactoryMapper<>).MakeGenericType(facet.GetType()))
            ?? throw new OrleansConfigurationException($"No IAttributeToFactoryMapper is registered for {facet.GetType()}, an attribute of {parameter.Member.DeclaringType}");
        var made = (Factory<IGrainContext, object>)mapper.GetType().GetMethod(nameof(IAttributeToFactoryMapper<IFacetMetadata>.GetFactory))!.Invoke(mapper, [parameter, facet])!;
        return context => made(context);
    }
}

/// <summary>Which services are scoped, so that only grains that need one get a scope.</summary>
internal sealed class ScopedServices(IServiceCollection services)
{
    public bool AnyNeededBy(ConstructorInfo constructor) => AnyNeededBy(constructor, []);

    private bool AnyNeededBy(ConstructorInfo constructor, HashSet<Type> seen) => constructor.GetParameters().Any(parameter => IsScoped(parameter.ParameterType, seen));

    private bool IsScoped(Type type, HashSet<Type> seen)
    {
        if (!seen.Add(type)) return false;
        ServiceDescriptor? descriptor = services.LastOrDefault(candidate => !candidate.IsKeyedService
            && (candidate.ServiceType == type || (type.IsGenericType && candidate.ServiceType == type.GetGenericTypeDefinition())));
        if (descriptor is null || descriptor.Lifetime == ServiceLifetime.Singleton) return false;
        if (descriptor.Lifetime == ServiceLifetime.Scoped) return true;
        return descriptor.ImplementationType?.GetConstructors().Any(constructor => AnyNeededBy(constructor, seen)) ?? false;
    }
}
