using System.Collections.Immutable;
using Orleans.Runtime;

namespace Orleans.Metadata
{
    /// <summary>What the attributes of a grain class say.</summary>
    public sealed class GrainProperties(ImmutableDictionary<string, string> values)
    {
        /// <summary>The properties; <see cref="WellKnownGrainTypeProperties"/> has the names.</summary>
        public ImmutableDictionary<string, string> Properties { get; } = values;
    }

    /// <summary>An attribute that says something about a grain class.</summary>
    public interface IGrainPropertiesProviderAttribute
    {
        /// <summary>Adds what it says to <paramref name="properties"/>.</summary>
        void Populate(IServiceProvider services, Type grainClass, GrainType grainType, Dictionary<string, string> properties);
    }

    /// <summary>The names of grain properties.</summary>
    public static class WellKnownGrainTypeProperties
    {
        /// <summary>The placement strategy's name.</summary>
        public const string PlacementStrategy = "placement-strategy";

        /// <summary>"true" for reentrant classes.</summary>
        public const string Reentrant = "reentrant";

        /// <summary>The name of the predicate of <see cref="Concurrency.MayInterleaveAttribute"/>.</summary>
        public const string MayInterleavePredicate = "may-interleave-predicate";

        /// <summary>How long the grain stays active without requests.</summary>
        public const string IdleDeactivationPeriod = "idle-duration";

        /// <summary>The value of <see cref="IdleDeactivationPeriod"/> for ever.</summary>
        public const string IndefiniteIdleDeactivationPeriodValue = "indefinite";
    }
}

namespace Orleans
{
    using Orleans.Metadata;

    /// <summary>Names a grain class, instead of the name derived from the class's.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public sealed class GrainTypeAttribute(string grainType) : Attribute
    {
        /// <summary>The name.</summary>
        public GrainType GetGrainType(IServiceProvider services, Type type) => GrainType.Create(grainType);

        internal string Name => grainType;
    }

    /// <summary>How long grains of a class stay active without requests.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public class CollectionAgeLimitAttribute : Attribute, IGrainPropertiesProviderAttribute
    {
        /// <summary>The shortest age limit.</summary>
        public static readonly TimeSpan MinAgeLimit = TimeSpan.FromMinutes(1);

        private readonly TimeSpan? _given;

        /// <summary>The limit is the sum of the properties.</summary>
        public CollectionAgeLimitAttribute() { }

        /// <summary>The limit as a <see cref="TimeSpan"/> in text.</summary>
        public CollectionAgeLimitAttribute(string inactivityPeriod) => _given = TimeSpan.Parse(inactivityPeriod);

        /// <summary>Days.</summary>
        public double Days { get; set; }

        /// <summary>Hours.</summary>
        public double Hours { get; set; }

        /// <summary>Minutes.</summary>
        public double Minutes { get; set; }

        /// <summary>Whether grains stay active for ever.</summary>
        public bool AlwaysActive { get; set; }

        /// <summary>The limit.</summary>
        public TimeSpan AgeLimit
        {
            get
            {
                if (_given is { } given) return given;
                TimeSpan sum = AlwaysActive ? TimeSpan.FromDays(short.MaxValue) : TimeSpan.FromDays(Days) + TimeSpan.FromHours(Hours) + TimeSpan.FromMinutes(Minutes);
                return sum < MinAgeLimit ? MinAgeLimit : sum;
            }
        }

        /// <inheritdoc/>
        public void Populate(IServiceProvider services, Type grainClass, GrainType grainType, Dictionary<string, string> properties) =>
            properties[WellKnownGrainTypeProperties.IdleDeactivationPeriod] =
                AlwaysActive ? WellKnownGrainTypeProperties.IndefiniteIdleDeactivationPeriodValue : AgeLimit.ToString("c");
    }

    /// <summary>Grains of this class stay active for ever.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public class KeepAliveAttribute : Attribute, IGrainPropertiesProviderAttribute
    {
        /// <inheritdoc/>
        public void Populate(IServiceProvider services, Type grainClass, GrainType grainType, Dictionary<string, string> properties) =>
            properties[WellKnownGrainTypeProperties.IdleDeactivationPeriod] = WellKnownGrainTypeProperties.IndefiniteIdleDeactivationPeriodValue;
    }
}

namespace Orleans.Providers
{
    /// <summary>The names of the default providers.</summary>
    public static class ProviderConstants
    {
        /// <summary>The storage provider of states that name none.</summary>
        public const string DEFAULT_STORAGE_PROVIDER_NAME = "Default";
    }

    /// <summary>Names the storage provider of a <see cref="Grain{TGrainState}"/>.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class StorageProviderAttribute : Attribute
    {
        /// <summary>The provider's name.</summary>
        public string ProviderName { get; set; } = ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME;
    }
}
