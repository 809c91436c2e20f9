using System.Reflection;

namespace Orleans.Runtime;

/// <summary>A reference to a grain or an observer. Typed references are made at run time: subclasses that implement the interface by sending messages. Immutable.</summary>
public class GrainReference : DispatchProxy, IAddressable, IEquatable<GrainReference>, ISpanFormattable
{
    private NodeRuntime? _runtime;
    private InterfaceDescriptor? _interface;

    /// <summary>The grain.</summary>
    public GrainId GrainId { get; private set; }

    /// <summary>The interface; default for references without.</summary>
    public GrainInterfaceType InterfaceType => _interface?.InterfaceType ?? default;

    /// <summary>The interface's name.</summary>
    public virtual string InterfaceName => _interface?.Name ?? "";

    /// <summary>The interface's version; always 0.</summary>
    public ushort InterfaceVersion => 0;

    internal NodeRuntime Runtime => _runtime ?? throw new InvalidOperationException("A grain reference is made by a grain factory only");

    /// <summary>The silo that requests go to, for the runtime's own services; null for grains, which are looked up.</summary>
    internal SiloAddress? FixedSilo { get; private set; }

    internal static GrainReference Create(NodeRuntime runtime, GrainId grainId, Type? interfaceType, SiloAddress? fixedSilo = null)
    {
        InterfaceDescriptor? descriptor = interfaceType is null || interfaceType == typeof(IAddressable) ? null : InterfaceDescriptor.For(interfaceType);
        GrainReference reference = descriptor is null ? new GrainReference() : (GrainReference)DispatchProxy.Create(descriptor.Type, typeof(GrainReference));
        reference._runtime = runtime;
        reference._interface = descriptor;
        reference.GrainId = grainId;
        reference.FixedSilo = fixedSilo;
        return reference;
    }

    /// <summary>The same grain through another of its interfaces.</summary>
    public virtual TGrainInterface Cast<TGrainInterface>() where TGrainInterface : IAddressable => this.AsReference<TGrainInterface>();

    /// <summary>A hash that is the same on every silo.</summary>
    public uint GetUniformHashCode() => GrainId.GetUniformHashCode();

    /// <inheritdoc/>
    public bool Equals(GrainReference? other) => other is not null && GrainId == other.GrainId;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as GrainReference);

    /// <inheritdoc/>
    public override int GetHashCode() => GrainId.GetHashCode();

    /// <inheritdoc/>
    public sealed override string ToString() => $"GrainReference:{GrainId}:{InterfaceName}";

    string IFormattable.ToString(string? format, IFormatProvider? formatProvider) => ToString();

    bool ISpanFormattable.TryFormat(Span<char> destination, out int charsWritten, ReadOnlySpan<char> format, IFormatProvider? provider) =>
        destination.TryWrite($"{ToString()}", out charsWritten);

    /// <summary>Same grain.</summary>
    public static bool operator ==(GrainReference? reference1, GrainReference? reference2) => reference1 is null ? reference2 is null : reference1.Equals(reference2);

    /// <summary>Another grain.</summary>
    public static bool operator !=(GrainReference? reference1, GrainReference? reference2) => !(reference1 == reference2);

    /// <summary>Sends the call.</summary>
    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => Runtime.Call(this, _interface!.Method(targetMethod!), args ?? []);
}
