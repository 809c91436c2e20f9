using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;

namespace OrleansRedis.Gateway;

/// <summary>
/// A TLS connection, decrypted, in place of the transport's own pipes: to a client connection they are alike.
/// </summary>
#pragma warning disable CA1001 // the wire is no more than the two pipes, which end with the connection
internal sealed class TlsTransport : IDuplexPipe
#pragma warning restore CA1001
{
    private const string CommonName = "2.5.4.3"; // X.520

    private readonly TlsWire _wire;

    /// <summary>To be followed by <see cref="AuthenticateAsync"/>.</summary>
    /// <param name="encrypted">The connection's own pipes.</param>
    /// <param name="turns">Has as many places as handshakes may compute at a time.</param>
    /// <param name="logger">Where clients are reported that send what is no TLS.</param>
    public TlsTransport(IDuplexPipe encrypted, SemaphoreSlim turns, ILogger logger)
    {
        _wire = new(encrypted.Input, encrypted.Output, turns);
        Stream = new(_wire, leaveInnerStreamOpen: true);
        Input = new TlsReader(encrypted.Input, _wire, Stream, logger);
        Output = new TlsWriter(encrypted.Output, Stream);
    }

    public PipeReader Input { get; }

    public PipeWriter Output { get; }

    public SslStream Stream { get; }

    /// <summary>The name (CN) in the certificate that the client has shown; null if it has shown none, or one without.</summary>
    public string? ClientName => (Stream.RemoteCertificate as X509Certificate2)?.SubjectName.EnumerateRelativeDistinguishedNames(reversed: false)
        .FirstOrDefault(part => !part.HasMultipleElements && part.GetSingleElementType().Value == CommonName)?.GetSingleElementValue();

    /// <summary>The handshake. Fails if the client does not do its part, and must then be closed.</summary>
    public async Task AuthenticateAsync(SslServerAuthenticationOptions options, CancellationToken cancellation)
    {
        try
        {
            await Stream.AuthenticateAsServerAsync(options, cancellation).ConfigureAwait(false);
        }
        finally
        {
            _wire.EndHandshake();
        }
    }
}
