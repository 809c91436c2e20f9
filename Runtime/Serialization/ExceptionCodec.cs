using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Orleans.Serialization;

/// <summary>Exceptions: the type's name, message, stack trace, number, inner exception, and the members that have an [Id].
/// A type that is not known where it arrives becomes an <see cref="UnavailableExceptionFallbackException"/>. Within a silo they are passed as they are.</summary>
internal sealed class ExceptionCodec<T> : Codec<T?> where T : Exception
{
    public override bool IsImmutable => true;

    public override T? Copy(T? value) => value;

    public override void Write(WireWriter writer, T? value) => ExceptionWire.Write(writer, value, 0);

    public override T? Read(WireReader reader) => ExceptionWire.Read(reader) switch
    {
        null => null,
        T exception => exception,
        { } other => throw new SerializerException($"{other.GetType()} is not a {typeof(T)}"),
    };
}

internal static class ExceptionWire
{
    public static void Write(WireWriter writer, Exception? value, int depth)
    {
        if (value is null || depth > 32)
        {
            writer.String(null);
            return;
        }

        Type type = value.GetType();
        bool unavailable = value is UnavailableExceptionFallbackException { ExceptionType: not null };
        writer.String(unavailable ? ((UnavailableExceptionFallbackException)value).ExceptionType : TypeNames.NameOf(type));
        writer.String(value.Message);
        writer.String(value.StackTrace);
        writer.VarInt(value.HResult);
        Write(writer, value.InnerException, depth + 1);
        int start = writer.BeginLength();
        if (!unavailable && type.IsDefined(typeof(GenerateSerializerAttribute), inherit: false)) Exact.Members(type).WriteObject(writer, value);
        writer.EndLength(start);
    }

    public static Exception? Read(WireReader reader)
    {
        if (reader.String() is not { } name) return null;
        string? message = reader.String();
        string? stackTrace = reader.String();
        int hresult = (int)reader.VarInt();
        Exception? inner = Read(reader);
        int end = (int)reader.Fixed32() + reader.Position;
        Type? type = TypeNames.Find(name);
        Exception exception;
        if (type is null || !typeof(Exception).IsAssignableFrom(type) || type.IsAbstract)
        {
            exception = new UnavailableExceptionFallbackException(message ?? "", inner!) { ExceptionType = name };
        }
        else
        {
            exception = end > reader.Position ? (Exception)Exact.Members(type).ReadObject(reader)! : (Exception)RuntimeHelpers.GetUninitializedObject(type);
            MessageOf(exception) = message;
            InnerOf(exception) = inner;
            if (exception is AggregateException aggregate) InnersOf(aggregate) = inner is null ? [] : [inner];
        }

        reader.SkipTo(end);
        exception.HResult = hresult;
        return stackTrace is null ? exception : ExceptionDispatchInfo.SetRemoteStackTrace(exception, stackTrace);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_message")]
    private static extern ref string? MessageOf(Exception exception);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_innerException")]
    private static extern ref Exception? InnerOf(Exception exception);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_innerExceptions")]
    private static extern ref Exception[] InnersOf(AggregateException exception);
}
