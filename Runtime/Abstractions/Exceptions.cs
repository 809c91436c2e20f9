namespace Orleans.Runtime
{
    /// <summary>The base of the runtime's exceptions.</summary>
    [GenerateSerializer]
    public class OrleansException : Exception
    {
        /// <summary>Something unexpected.</summary>
        public OrleansException() : base("Unexpected error.") { }

        /// <summary>With a message.</summary>
        public OrleansException(string message) : base(message) { }

        /// <summary>With a message and a cause.</summary>
        public OrleansException(string message, Exception innerException) : base(message, innerException) { }
    }

    /// <summary>A message could not be delivered; it was not executed.</summary>
    [GenerateSerializer]
    public class OrleansMessageRejectionException : OrleansException
    {
        internal OrleansMessageRejectionException(string message) : base(message) { }

        internal OrleansMessageRejectionException(string message, Exception innerException) : base(message, innerException) { }
    }

    /// <summary>The silo that a call went to is gone; whether the call was executed is unknown.</summary>
    [GenerateSerializer]
    public sealed class SiloUnavailableException : OrleansMessageRejectionException
    {
        /// <summary>Without details.</summary>
        public SiloUnavailableException() : base("SiloUnavailableException") { }

        /// <summary>With a message.</summary>
        public SiloUnavailableException(string msg) : base(msg) { }

        /// <summary>With a message and a cause.</summary>
        public SiloUnavailableException(string message, Exception innerException) : base(message, innerException) { }
    }

    /// <summary>The client that an observer lives on is not connected.</summary>
    [GenerateSerializer]
    public sealed class ClientNotAvailableException : OrleansException
    {
        internal ClientNotAvailableException(GrainId clientId) : base($"No activation for client {clientId}") { }
    }

    /// <summary>A gateway is overloaded.</summary>
    [GenerateSerializer]
    public sealed class GatewayTooBusyException : OrleansException
    {
        /// <summary>Without details.</summary>
        public GatewayTooBusyException() : base("Gateway too busy") { }

        /// <summary>With a message.</summary>
        public GatewayTooBusyException(string message) : base(message) { }

        /// <summary>With a message and a cause.</summary>
        public GatewayTooBusyException(string message, Exception innerException) : base(message, innerException) { }
    }

    /// <summary>A limit was exceeded.</summary>
    [GenerateSerializer]
    public sealed class LimitExceededException : OrleansException
    {
        /// <summary>Without details.</summary>
        public LimitExceededException() : base("Limit exceeded") { }

        /// <summary>With a message.</summary>
        public LimitExceededException(string message) : base(message) { }

        /// <summary>With a message and a cause.</summary>
        public LimitExceededException(string message, Exception innerException) : base(message, innerException) { }

        /// <summary>Names the limit.</summary>
        public LimitExceededException(string limitName, int current, int threshold, object extraInfo)
            : base($"Limit exceeded {limitName} Current={current} Threshold={threshold} {extraInfo}") { }
    }

    /// <summary>The host is configured wrongly.</summary>
    [GenerateSerializer]
    public sealed class OrleansConfigurationException : Exception
    {
        /// <summary>With a message.</summary>
        public OrleansConfigurationException(string message) : base(message) { }

        /// <summary>With a message and a cause.</summary>
        public OrleansConfigurationException(string message, Exception innerException) : base(message, innerException) { }
    }

    /// <summary>A start-up was cancelled.</summary>
    [GenerateSerializer]
    public sealed class OrleansLifecycleCanceledException : OrleansException
    {
        internal OrleansLifecycleCanceledException(string message) : base(message) { }
    }
}

namespace Orleans.Runtime.Messaging
{
    /// <summary>A connection could not be made.</summary>
    [GenerateSerializer]
    public class ConnectionFailedException : OrleansException
    {
        /// <summary>Without details.</summary>
        public ConnectionFailedException() : base("Connection failed") { }

        /// <summary>With a message.</summary>
        public ConnectionFailedException(string message) : base(message) { }

        /// <summary>With a message and a cause.</summary>
        public ConnectionFailedException(string message, Exception innerException) : base(message, innerException) { }
    }
}

namespace Orleans.Serialization
{
    /// <summary>The base of what the serializer throws.</summary>
    [GenerateSerializer]
    public class SerializerException : Exception
    {
        /// <summary>Without details.</summary>
        public SerializerException() { }

        /// <summary>With a message.</summary>
        public SerializerException(string message) : base(message) { }

        /// <summary>With a message and a cause.</summary>
        public SerializerException(string message, Exception innerException) : base(message, innerException) { }
    }

    /// <summary>There is no way to serialize a type; the message names it.</summary>
    [GenerateSerializer]
    public sealed class CodecNotFoundException : SerializerException
    {
        /// <summary>With a message.</summary>
        public CodecNotFoundException(string message) : base(message) { }
    }

    /// <summary>Stands for an exception whose type is not known here.</summary>
    [GenerateSerializer]
    public sealed class UnavailableExceptionFallbackException : Exception
    {
        /// <summary>Without details.</summary>
        public UnavailableExceptionFallbackException() { }

        /// <summary>With a message.</summary>
        public UnavailableExceptionFallbackException(string message) : base(message) { }

        /// <summary>With a message and a cause.</summary>
        public UnavailableExceptionFallbackException(string message, Exception innerException) : base(message, innerException) { }

        /// <summary>The name of the type it was.</summary>
        [Id(0)]
        public string? ExceptionType { get; internal set; }

        /// <inheritdoc/>
        public override string ToString() => string.IsNullOrWhiteSpace(ExceptionType) ? $"Unknown exception: {base.ToString()}" : $"Unknown exception of type {ExceptionType}: {base.ToString()}";
    }
}
