using Orleans.Runtime;

namespace Orleans.Serialization;

/// <summary>References to grains and observers: the identity and the interface. A grain object passed where a reference is meant becomes its reference.</summary>
internal sealed class ReferenceCodec<T> : Codec<T?> where T : class
{
    public override void Write(WireWriter writer, T? value)
    {
        GrainReference? reference = AsReference(value) as GrainReference;
        writer.Bool(reference is not null);
        if (reference is null) return;
        PrimitiveCodecs.WriteGrainId(writer, reference.GrainId);
        writer.String(reference.InterfaceName);
    }

    public override T? Read(WireReader reader)
    {
        if (!reader.Bool()) return null;
        GrainId grainId = PrimitiveCodecs.ReadGrainId(reader);
        string? interfaceName = reader.String();
        if (reader.Runtime is null) throw new SerializerException($"A reference to {grainId} was read where there is no runtime to bind it to");
        Type interfaceType = typeof(T).IsInterface && typeof(T) != typeof(IAddressable) && typeof(T) != typeof(IGrain) && typeof(T) != typeof(IGrainObserver)
            ? typeof(T)
            : InterfaceDescriptor.Find(interfaceName)?.Type ?? typeof(IAddressable);
        return (T)reader.Runtime.CreateReference(grainId, interfaceType);
    }

    public override T? Copy(T? value) => (T?)AsReference(value);

    private static object? AsReference(T? value) => value switch
    {
        null => null,
        GrainReference reference => reference,
        IGrainBase grain => grain.GrainContext.GrainReference.Runtime.CreateReference(grain.GrainContext.GrainId, typeof(T)),
        _ => throw new CodecNotFoundException($"{value.GetType()} is passed as {typeof(T)} but is not a reference; make one with IGrainFactory.CreateObjectReference"),
    };
}
