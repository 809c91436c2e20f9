using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// What the tls-… directives say, in the form that <see cref="SslStream"/> takes. It is read as a whole: either
/// everything that they name is in order, or nothing of it is used.
/// </summary>
internal static class TlsConfiguration
{
    /// <summary>Reads certificates, keys and authorities from their files.</summary>
    /// <exception cref="TlsConfigurationException">
    /// Something is missing or broken; the message is for the log.
    /// </exception>
    public static SslServerAuthenticationOptions Load(ServerOptions options)
    {
        if (options.TlsCertFile.Length == 0) throw new TlsConfigurationException("No tls-cert-file configured!");
        if (options.TlsKeyFile.Length == 0) throw new TlsConfigurationException("No tls-key-file configured!");
        if (options.TlsAuthClients != TlsAuthClients.No && options.TlsCaCertFile.Length == 0 && options.TlsCaCertDir.Length == 0)
        {
            throw new TlsConfigurationException(
                "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled!");
        }
        // The runtime reads this once, before its first handshake.
        AppContext.SetData("System.Net.Security.TlsCacheSize", options.TlsSessionCacheSize.ToString());
        var authentication = new SslServerAuthenticationOptions
        {
            EnabledSslProtocols = Protocols(options.TlsProtocols),
            ServerCertificateContext = TlsFiles.LoadCertificate(options.TlsCertFile, options.TlsKeyFile, options.TlsKeyFilePass),
            CertificateChainPolicy = TrustIn(TlsFiles.LoadAuthorities(options.TlsCaCertFile, options.TlsCaCertDir)),
            ClientCertificateRequired = options.TlsAuthClients != TlsAuthClients.No,
            AllowRenegotiation = false,
            AllowTlsResume = options.TlsSessionCaching,
        };
        if (options.TlsAuthClients == TlsAuthClients.Optional)
            authentication.RemoteCertificateValidationCallback = (_, certificate, _, errors) => certificate is null || errors == SslPolicyErrors.None;
        if (options.TlsCiphers.Length != 0 || options.TlsCiphersuites.Length != 0)
            authentication.CipherSuitesPolicy = Ciphers(options.TlsCiphers, options.TlsCiphersuites);
        return authentication;
    }

    private static SslProtocols Protocols(string directive)
    {
        if (directive.Length == 0) return SslProtocols.Tls12 | SslProtocols.Tls13;
        SslProtocols protocols = SslProtocols.None;
        foreach (string word in directive.Split(' '))
        {
            protocols |= word.ToLowerInvariant() switch
            {
#pragma warning disable SYSLIB0039, CA5397 // old versions of TLS: for operators who cannot do without
                "tlsv1" => SslProtocols.Tls,
                "tlsv1.1" => SslProtocols.Tls11,
#pragma warning restore SYSLIB0039, CA5397
                "tlsv1.2" => SslProtocols.Tls12,
                "tlsv1.3" => SslProtocols.Tls13,
                _ => throw new TlsConfigurationException(
                    "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'."),
            };
        }
        return protocols;
    }

    /// <summary>
    /// Clients' certificates are good if they lead to one of these authorities; the system's own do not count. Nothing is
    /// fetched from the addresses that a certificate names: that would be at a stranger's bidding.
    /// </summary>
    private static X509ChainPolicy TrustIn(X509Certificate2Collection authorities)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        foreach (X509Certificate2 authority in authorities)
        {
            bool isRoot = authority.SubjectName.RawData.AsSpan().SequenceEqual(authority.IssuerName.RawData);
            (isRoot ? policy.CustomTrustStore : policy.ExtraStore).Add(authority);
        }
        return policy;
    }

    private static CipherSuitesPolicy Ciphers(string ciphers, string ciphersuites)
    {
        List<TlsCipherSuite> suites = OpenSslCiphers.Expand(ciphers, ciphersuites);
        try
        {
#pragma warning disable CA1416 // OpenSslCiphers has refused systems that do not have it
            return new(suites);
#pragma warning restore CA1416
        }
        catch (PlatformNotSupportedException e)
        {
            throw new TlsConfigurationException($"Failed to configure ciphers: {e.Message}");
        }
    }
}

/// <summary>TLS cannot be had as it is configured; the message says why.</summary>
internal sealed class TlsConfigurationException(string message) : Exception(message);
