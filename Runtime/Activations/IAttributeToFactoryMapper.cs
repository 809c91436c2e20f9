using System.Reflection;

namespace Orleans
{
    /// <summary>Makes instances.</summary>
    public delegate TInstance Factory<in TParam1, out TInstance>(TParam1 param1);
}

namespace Orleans.Runtime
{
    /// <summary>Says how the argument for a constructor parameter with a facet attribute is made.</summary>
    public interface IAttributeToFactoryMapper<in TMetadata> where TMetadata : IFacetMetadata
    {
        /// <summary>What makes the argument, from the activation.</summary>
        Factory<IGrainContext, object> GetFactory(ParameterInfo parameter, TMetadata metadata);
    }
}
