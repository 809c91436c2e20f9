namespace Orleans.Serialization;

/// <summary>Writes, reads and copies the values of one type, without its name: writer and reader agree on the type.</summary>
internal abstract class Codec
{
    /// <summary>Whether values cannot change, so that a copy is the value itself.</summary>
    public abstract bool IsImmutable { get; }

    public abstract void WriteObject(WireWriter writer, object? value);

    public abstract object? ReadObject(WireReader reader);

    public abstract object? CopyObject(object? value);
}

/// <inheritdoc/>
internal abstract class Codec<T> : Codec
{
    public override bool IsImmutable => false;

    public abstract void Write(WireWriter writer, T value);

    public abstract T Read(WireReader reader);

    public abstract T Copy(T value);

    public sealed override void WriteObject(WireWriter writer, object? value) => Write(writer, (T)value!);

    public sealed override object? ReadObject(WireReader reader) => Read(reader);

    public sealed override object? CopyObject(object? value) => IsImmutable ? value : Copy((T)value!);
}

/// <summary>A codec of an immutable type, from two functions.</summary>
internal sealed class ValueCodec<T>(Action<WireWriter, T> write, Func<WireReader, T> read) : Codec<T>
{
    public override bool IsImmutable => true;

    public override void Write(WireWriter writer, T value) => write(writer, value);

    public override T Read(WireReader reader) => read(reader);

    public override T Copy(T value) => value;
}
