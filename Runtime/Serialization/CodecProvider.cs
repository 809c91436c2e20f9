using System.Buffers;
using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.CompilerServices;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace Orleans.Serialization;

/// <summary>Finds or makes the codec of a type. Codecs are made once per process; <see cref="Codecs"/> may be read and added to by any thread.</summary>
internal static class CodecProvider
{
    private static readonly ConcurrentDictionary<Type, Codec> Codecs = new(PrimitiveCodecs.All);

    public static Codec<T> Get<T>() => (Codec<T>)Get(typeof(T));

    /// <summary>The codec of values declared as <paramref name="type"/>.</summary>
    /// <exception cref="CodecNotFoundException">There is none.</exception>
    public static Codec Get(Type type) => TryGet(type)
        ?? throw new CodecNotFoundException($"Could not find a codec for type {type}. Is it marked [GenerateSerializer]?");

    public static Codec? TryGet(Type type)
    {
        if (Codecs.TryGetValue(type, out Codec? codec)) return codec;
        codec = Make(type);
        // A codec of a recursive type finds itself in the cache when its members are bound, which is on first use.
        return codec is null ? null : Codecs.GetOrAdd(type, codec);
    }

    private static Codec? Make(Type type)
    {
        if (type == typeof(byte[])) return new ByteArrayCodec();
        if (type == typeof(Memory<byte>)) return new MemoryCodec();
        if (type == typeof(ReadOnlyMemory<byte>)) return new ReadOnlyMemoryCodec();
        if (type == typeof(ReadOnlySequence<byte>)) return new ReadOnlySequenceCodec();
        if (type.IsEnum) return Create(typeof(EnumCodec<>), [type]);
        if (type.IsSZArray) return Create(typeof(ArrayCodec<>), [type.GetElementType()!], Get(type.GetElementType()!));
        if (typeof(Exception).IsAssignableFrom(type)) return Create(typeof(ExceptionCodec<>), [type]);
        if (typeof(IAddressable).IsAssignableFrom(type) && (type.IsInterface || typeof(GrainReference).IsAssignableFrom(type))) return Create(typeof(ReferenceCodec<>), [type]);
        if (type.IsGenericType && MakeGeneric(type, type.GetGenericTypeDefinition(), type.GetGenericArguments()) is { } generic) return generic;
        if (type == typeof(object) || type.IsInterface || (type.IsAbstract && type.IsClass)) return Create(typeof(PolymorphicCodec<>), [type]);
        if (!type.IsDefined(typeof(GenerateSerializerAttribute), inherit: false)) return null;
        return type.IsValueType || type.IsSealed
            ? Create(typeof(ObjectCodec<>), [type])
            : Create(typeof(PolymorphicCodec<>), [type]);
    }

    private static Codec? MakeGeneric(Type type, Type definition, Type[] arguments)
    {
        if (definition == typeof(Nullable<>)) return Create(typeof(NullableCodec<>), arguments, Get(arguments[0]));
        if (definition == typeof(KeyValuePair<,>)) return Create(typeof(PairCodec<,>), arguments, Get(arguments[0]), Get(arguments[1]));
        if (definition == typeof(Immutable<>)) return (Codec)Invoke(nameof(ImmutableOf), arguments);
        if (typeof(ITuple).IsAssignableFrom(type) && type.Namespace == "System") return (Codec)Invoke(nameof(TupleOf), [type], [arguments]);
        string? maker = definition switch
        {
            _ when definition == typeof(List<>) => nameof(ListOf),
            _ when definition == typeof(IReadOnlyList<>) || definition == typeof(IReadOnlyCollection<>) || definition == typeof(IEnumerable<>)
                || definition == typeof(IList<>) || definition == typeof(ICollection<>) => nameof(InterfaceListOf),
            _ when definition == typeof(HashSet<>) => nameof(HashSetOf),
            _ when definition == typeof(ISet<>) || definition == typeof(IReadOnlySet<>) => nameof(InterfaceSetOf),
            _ when definition == typeof(Queue<>) => nameof(QueueOf),
            _ when definition == typeof(Dictionary<,>) => nameof(DictionaryOf),
            _ when definition == typeof(IDictionary<,>) || definition == typeof(IReadOnlyDictionary<,>) => nameof(InterfaceDictionaryOf),
            _ when definition == typeof(ImmutableArray<>) => nameof(ImmutableArrayOf),
            _ when definition == typeof(ImmutableList<>) => nameof(ImmutableListOf),
            _ when definition == typeof(ImmutableDictionary<,>) => nameof(ImmutableDictionaryOf),
            _ => null,
        };
        if (maker is null) return null;
        return (Codec)(maker.StartsWith("Interface", StringComparison.Ordinal) ? Invoke(maker, [type, .. arguments]) : Invoke(maker, arguments));
    }

    private static Codec ListOf<T>() => new CollectionCodec<List<T>, T>(Get<T>(), (items, _) => items);

    private static Codec InterfaceListOf<TList, T>() where TList : IEnumerable<T> => new CollectionCodec<TList, T>(Get<T>(), (items, _) => (TList)(object)items);

    private static Codec HashSetOf<T>() => new CollectionCodec<HashSet<T>, T>(Get<T>(), (items, like) => new HashSet<T>(items, like?.Comparer));

    private static Codec InterfaceSetOf<TSet, T>() where TSet : IEnumerable<T> =>
        new CollectionCodec<TSet, T>(Get<T>(), (items, like) => (TSet)(object)new HashSet<T>(items, (like as HashSet<T>)?.Comparer));

    private static Codec QueueOf<T>() => new CollectionCodec<Queue<T>, T>(Get<T>(), (items, _) => new Queue<T>(items));

    private static Codec DictionaryOf<TKey, TValue>() where TKey : notnull =>
        new CollectionCodec<Dictionary<TKey, TValue>, KeyValuePair<TKey, TValue>>(Get<KeyValuePair<TKey, TValue>>(), (items, like) => new Dictionary<TKey, TValue>(items, like?.Comparer));

    private static Codec InterfaceDictionaryOf<TDictionary, TKey, TValue>() where TKey : notnull where TDictionary : IEnumerable<KeyValuePair<TKey, TValue>> =>
        new CollectionCodec<TDictionary, KeyValuePair<TKey, TValue>>(
            Get<KeyValuePair<TKey, TValue>>(), (items, like) => (TDictionary)(object)new Dictionary<TKey, TValue>(items, (like as Dictionary<TKey, TValue>)?.Comparer));

    private static Codec ImmutableArrayOf<T>() => new CollectionCodec<ImmutableArray<T>, T>(Get<T>(), (items, _) => [.. items], immutable: true);

    private static Codec ImmutableListOf<T>() => new CollectionCodec<ImmutableList<T>, T>(Get<T>(), (items, _) => [.. items], immutable: true);

    private static Codec ImmutableDictionaryOf<TKey, TValue>() where TKey : notnull => new CollectionCodec<ImmutableDictionary<TKey, TValue>, KeyValuePair<TKey, TValue>>(
        Get<KeyValuePair<TKey, TValue>>(), (items, _) => items.ToImmutableDictionary(), immutable: true);

    private static Codec ImmutableOf<T>()
    {
        Codec<T> inner = Get<T>();
        return new ValueCodec<Immutable<T>>((writer, value) => inner.Write(writer, value.Value), reader => new Immutable<T>(inner.Read(reader)));
    }

    private static Codec TupleOf<T>(Type[] elements) where T : ITuple
    {
        ConstructorInfo? constructor = typeof(T).GetConstructor(elements);
        return new TupleCodec<T>([.. elements.Select(Get)], constructor is null ? _ => default! : items => (T)constructor.Invoke(items));
    }

    private static object Invoke(string method, Type[] typeArguments, params object?[] arguments)
    {
        try
        {
            return typeof(CodecProvider).GetMethod(method, BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(typeArguments).Invoke(null, arguments)!;
        }
        catch (TargetInvocationException exception) when (exception.InnerException is CodecNotFoundException missing)
        {
            throw new CodecNotFoundException(missing.Message);
        }
    }

    private static Codec Create(Type definition, Type[] typeArguments, params object?[] arguments) =>
        (Codec)Activator.CreateInstance(definition.MakeGenericType(typeArguments), arguments)!;
}
