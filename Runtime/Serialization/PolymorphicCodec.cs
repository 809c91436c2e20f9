namespace Orleans.Serialization;

/// <summary>Values whose type is only known when they are there: the type's name, and the value. An empty name is null.</summary>
internal sealed class PolymorphicCodec<T> : Codec<T?>
{
    public override void Write(WireWriter writer, T? value)
    {
        if (value is null)
        {
            writer.String(null);
            return;
        }

        Type type = value.GetType();
        Codec codec = Exact.Get(type);
        writer.String(TypeNames.NameOf(type));
        codec.WriteObject(writer, value);
    }

    public override T? Read(WireReader reader)
    {
        if (reader.String() is not { } name) return default;
        Type type = TypeNames.Find(name) ?? throw new SerializerException($"There is no type named \"{name}\" here");
        if (!typeof(T).IsAssignableFrom(type)) throw new SerializerException($"{type} is not a {typeof(T)}");
        return (T?)Exact.Get(type).ReadObject(reader);
    }

    public override T? Copy(T? value)
    {
        if (value is null || value.GetType() == typeof(object)) return value;
        return (T?)Exact.Get(value.GetType()).CopyObject(value);
    }
}

/// <summary>The codecs of the types of actual values, which are never polymorphic themselves.</summary>
internal static class Exact
{
    private static readonly System.Collections.Concurrent.ConcurrentDictionary<Type, Codec> Codecs = new();
    private static readonly System.Collections.Concurrent.ConcurrentDictionary<Type, Codec> MemberCodecs = new();

    public static Codec Get(Type type)
    {
        if (Codecs.TryGetValue(type, out Codec? codec)) return codec;
        codec = CodecProvider.Get(type);
        if (codec.GetType().IsGenericType && codec.GetType().GetGenericTypeDefinition() == typeof(PolymorphicCodec<>))
        {
            if (type.IsAbstract || type == typeof(object)) throw new CodecNotFoundException($"A value of type {type} cannot be serialized");
            codec = (Codec)Activator.CreateInstance(typeof(ObjectCodec<>).MakeGenericType(type))!;
        }

        return Codecs.GetOrAdd(type, codec);
    }

    /// <summary>The codec of the members alone, for types (exceptions) whose own codec is another.</summary>
    public static Codec Members(Type type) =>
        MemberCodecs.GetOrAdd(type, static type => (Codec)Activator.CreateInstance(typeof(ObjectCodec<>).MakeGenericType(type))!);
}
