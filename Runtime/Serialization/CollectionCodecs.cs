using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;

namespace Orleans.Serialization;

/// <summary>Bytes, as one run.</summary>
internal sealed class ByteArrayCodec : Codec<byte[]?>
{
    public override void Write(WireWriter writer, byte[]? value)
    {
        writer.Bool(value is not null);
        if (value is not null) writer.Bytes(value);
    }

    public override byte[]? Read(WireReader reader) => reader.Bool() ? reader.Bytes() : null;

    public override byte[]? Copy(byte[]? value) => value?.AsSpan().ToArray();
}

/// <summary>Bytes, as one run.</summary>
internal sealed class MemoryCodec : Codec<Memory<byte>>
{
    public override void Write(WireWriter writer, Memory<byte> value) => writer.Bytes(value.Span);

    public override Memory<byte> Read(WireReader reader) => reader.Bytes();

    public override Memory<byte> Copy(Memory<byte> value) => value.ToArray();
}

/// <summary>Bytes, as one run.</summary>
internal sealed class ReadOnlyMemoryCodec : Codec<ReadOnlyMemory<byte>>
{
    public override void Write(WireWriter writer, ReadOnlyMemory<byte> value) => writer.Bytes(value.Span);

    public override ReadOnlyMemory<byte> Read(WireReader reader) => reader.Bytes();

    public override ReadOnlyMemory<byte> Copy(ReadOnlyMemory<byte> value) => value.ToArray();
}

/// <summary>Bytes, as one run.</summary>
internal sealed class ReadOnlySequenceCodec : Codec<ReadOnlySequence<byte>>
{
    public override void Write(WireWriter writer, ReadOnlySequence<byte> value)
    {
        writer.VarUInt((ulong)value.Length);
        foreach (ReadOnlyMemory<byte> part in value) writer.Raw(part.Span);
    }

    public override ReadOnlySequence<byte> Read(WireReader reader) => new(reader.Bytes());

    public override ReadOnlySequence<byte> Copy(ReadOnlySequence<byte> value) => new(value.ToArray());
}

/// <summary>Enums, as their number.</summary>
internal sealed class EnumCodec<T> : Codec<T> where T : struct, Enum
{
    public override bool IsImmutable => true;

    public override void Write(WireWriter writer, T value)
    {
        Span<byte> raw = stackalloc byte[8];
        raw.Clear();
        Unsafe.WriteUnaligned(ref raw[0], value);
        writer.VarUInt(BitConverter.ToUInt64(raw));
    }

    public override T Read(WireReader reader)
    {
        ulong raw = reader.VarUInt();
        return Unsafe.As<ulong, T>(ref raw);
    }

    public override T Copy(T value) => value;
}

/// <summary>Nullable values: whether there is one, and the value.</summary>
internal sealed class NullableCodec<T>(Codec<T> inner) : Codec<T?> where T : struct
{
    public override bool IsImmutable => inner.IsImmutable;

    public override void Write(WireWriter writer, T? value)
    {
        writer.Bool(value.HasValue);
        if (value is { } some) inner.Write(writer, some);
    }

    public override T? Read(WireReader reader) => reader.Bool() ? inner.Read(reader) : null;

    public override T? Copy(T? value) => value is { } some ? inner.Copy(some) : null;
}

/// <summary>One-dimensional arrays: count + 1, then the elements; 0 for null.</summary>
internal sealed class ArrayCodec<T>(Codec<T> element) : Codec<T[]?>
{
    public override void Write(WireWriter writer, T[]? value)
    {
        writer.VarUInt(value is null ? 0 : (ulong)value.Length + 1);
        if (value is null) return;
        foreach (T item in value) element.Write(writer, item);
    }

    public override T[]? Read(WireReader reader)
    {
        if (!CollectionHeader.Read(reader, out int count)) return null;
        var array = new T[count];
        for (int i = 0; i < array.Length; i++) array[i] = element.Read(reader);
        return array;
    }

    public override T[]? Copy(T[]? value)
    {
        if (value is null) return null;
        var copy = (T[])value.Clone();
        if (!element.IsImmutable)
        {
            for (int i = 0; i < copy.Length; i++) copy[i] = element.Copy(copy[i]);
        }

        return copy;
    }
}

/// <summary>Any collection that can be made from a list of its elements.</summary>
internal sealed class CollectionCodec<TCollection, T>(Codec<T> element, Func<List<T>, TCollection, TCollection> make, bool immutable = false) : Codec<TCollection?>
    where TCollection : IEnumerable<T>
{
    public override bool IsImmutable => immutable && element.IsImmutable;

    public override void Write(WireWriter writer, TCollection? value)
    {
        if (value is null || value is ImmutableArray<T> { IsDefault: true })
        {
            writer.VarUInt(0);
            return;
        }

        int count = value.TryGetNonEnumeratedCount(out int known) ? known : value.Count();
        writer.VarUInt((ulong)count + 1);
        foreach (T item in value) element.Write(writer, item);
    }

    public override TCollection? Read(WireReader reader)
    {
        if (!CollectionHeader.Read(reader, out int count)) return default;
        var items = new List<T>(count);
        for (int i = 0; i < count; i++) items.Add(element.Read(reader));
        return make(items, default!);
    }

    public override TCollection? Copy(TCollection? value)
    {
        if (value is null || value is ImmutableArray<T> { IsDefault: true }) return value;
        List<T> items = [.. value];
        if (!element.IsImmutable)
        {
            for (int i = 0; i < items.Count; i++) items[i] = element.Copy(items[i]);
        }

        // The original goes along, for the comparer that a copied dictionary or set shares with it.
        return make(items, value);
    }
}

/// <summary>Key-value pairs.</summary>
internal sealed class PairCodec<TKey, TValue>(Codec<TKey> key, Codec<TValue> value) : Codec<KeyValuePair<TKey, TValue>>
{
    public override bool IsImmutable => key.IsImmutable && value.IsImmutable;

    public override void Write(WireWriter writer, KeyValuePair<TKey, TValue> pair)
    {
        key.Write(writer, pair.Key);
        value.Write(writer, pair.Value);
    }

    public override KeyValuePair<TKey, TValue> Read(WireReader reader) => new(key.Read(reader), value.Read(reader));

    public override KeyValuePair<TKey, TValue> Copy(KeyValuePair<TKey, TValue> pair) => new(key.Copy(pair.Key), value.Copy(pair.Value));
}

/// <summary>Tuples and value tuples, by their elements.</summary>
internal sealed class TupleCodec<T>(Codec[] elements, Func<object?[], T> make) : Codec<T?> where T : ITuple
{
    public override bool IsImmutable { get; } = Array.TrueForAll(elements, element => element.IsImmutable);

    public override void Write(WireWriter writer, T? value)
    {
        writer.Bool(value is not null);
        if (value is null) return;
        for (int i = 0; i < elements.Length; i++) elements[i].WriteObject(writer, value[i]);
    }

    public override T? Read(WireReader reader)
    {
        if (!reader.Bool()) return default;
        var items = new object?[elements.Length];
        for (int i = 0; i < items.Length; i++) items[i] = elements[i].ReadObject(reader);
        return make(items);
    }

    public override T? Copy(T? value)
    {
        if (value is null) return default;
        var items = new object?[elements.Length];
        for (int i = 0; i < items.Length; i++) items[i] = elements[i].CopyObject(value[i]);
        return make(items);
    }
}

internal static class CollectionHeader
{
    public static bool Read(WireReader reader, out int count)
    {
        ulong header = reader.VarUInt();
        // Elements of types without members take no bytes, so the limit is not the bytes left.
        if (header > int.MaxValue) throw new SerializerException($"A collection of {header} elements is too large");
        count = (int)header - 1;
        return header != 0;
    }
}
