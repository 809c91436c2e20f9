using Orleans.Runtime;

namespace Orleans.Runtime
{
    /// <summary>Anything a message can be addressed to.</summary>
    public interface IAddressable;
}

namespace Orleans
{
    /// <summary>The base of every grain interface.</summary>
    public interface IGrain : IAddressable;

    /// <summary>A grain with a 64-bit integer key.</summary>
    public interface IGrainWithIntegerKey : IGrain;

    /// <summary>A grain with a string key.</summary>
    public interface IGrainWithStringKey : IGrain;

    /// <summary>A grain with a GUID key.</summary>
    public interface IGrainWithGuidKey : IGrain;

    /// <summary>A grain with an integer key and a string behind it.</summary>
    public interface IGrainWithIntegerCompoundKey : IGrain;

    /// <summary>A grain with a GUID key and a string behind it.</summary>
    public interface IGrainWithGuidCompoundKey : IGrain;

    /// <summary>The base of interfaces implemented by clients, for grains to call.</summary>
    public interface IGrainObserver : IAddressable;

    /// <summary>The base of interfaces of the runtime's own services, one per silo.</summary>
    public interface ISystemTarget : IAddressable;
}
