using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// An authority and what it has signed, as PEM files in a directory: for each name a .crt and a .key. Made once for all
/// tests, as keys take time.
/// </summary>
public sealed class TestCertificates : IDisposable
{
    private static readonly Lazy<TestCertificates> shared = new(() => new());
    private readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("orleansredis-tls-");
    private readonly X509Certificate2 authority;

    private TestCertificates()
    {
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Dispose();
        authority = Sign("ca", "CN=Test Authority", issuer: null, isAuthority: true);
        Sign("server", "CN=localhost", authority, isAuthority: false, useRsa: true);
        Sign("other-server", "CN=localhost", authority, isAuthority: false, useRsa: true);
        Sign("client", "CN=client", authority, isAuthority: false);
        X509Certificate2 between = Sign("between", "CN=Intermediate", authority, isAuthority: true);
        Sign("chained", "CN=localhost", between, isAuthority: false);
        File.AppendAllText(At("chained.crt"), "\n" + File.ReadAllText(At("between.crt")));
        X509Certificate2 stranger = Sign("stranger-ca", "CN=Another Authority", issuer: null, isAuthority: true);
        Sign("stranger", "CN=stranger", stranger, isAuthority: false);
        using RSA key = RSA.Create();
        key.ImportFromPem(File.ReadAllText(At("server.key")));
        File.WriteAllText(At("encrypted.key"),
            key.ExportEncryptedPkcs8PrivateKeyPem("sesame", new(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 2048)));
    }

    public static TestCertificates Shared => shared.Value;

    /// <summary>The directives of a server with these certificates, which takes clients with and without one.</summary>
    public string[] Directives =>
    [
        "--tls-cert-file", At("server.crt"), "--tls-key-file", At("server.key"), "--tls-ca-cert-file", At("ca.crt"),
        "--tls-auth-clients", "optional",
    ];

    /// <summary>The path of a file.</summary>
    public string At(string name) => Path.Combine(directory.FullName, name);

    /// <summary>What a client says who trusts this authority alone, and shows the certificate of this name if any.</summary>
    public SslClientAuthenticationOptions Client(string? name = null, Action<SslClientAuthenticationOptions>? configure = null)
    {
        X509ChainPolicy trust = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        trust.CustomTrustStore.Add(authority);
        SslClientAuthenticationOptions options = new() { TargetHost = "localhost", CertificateChainPolicy = trust };
        if (name is not null)
            options.ClientCertificateContext = SslStreamCertificateContext.Create(Load(name), null, offline: true);
        configure?.Invoke(options);
        return options;
    }

    /// <summary>A certificate with its key.</summary>
    public X509Certificate2 Load(string name) => X509Certificate2.CreateFromPemFile(At(name + ".crt"), At(name + ".key"));

    public void Dispose()
    {
        if (directory.Exists)
            directory.Delete(recursive: true);
    }

    private X509Certificate2 Sign(string name, string subject, X509Certificate2? issuer, bool isAuthority, bool useRsa = false)
    {
        using RSA? rsa = useRsa ? RSA.Create(2048) : null;
        using ECDsa? ecdsa = useRsa ? null : ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = useRsa
            ? new(subject, rsa!, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new(subject, ecdsa!, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, critical: true));
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        DateTimeOffset from = DateTimeOffset.UtcNow.AddDays(-1), until = DateTimeOffset.UtcNow.AddYears(1);
        byte[] serial = new byte[8];
        RandomNumberGenerator.Fill(serial);
        serial[0] &= 0x7f;
        X509Certificate2 signed = issuer is null
            ? request.CreateSelfSigned(from, until)
            : request.Create(issuer.SubjectName, X509SignatureGenerator.CreateForECDsa(issuer.GetECDsaPrivateKey()!), from, until.AddDays(-1), serial);
        File.WriteAllText(At(name + ".crt"), signed.ExportCertificatePem());
        File.WriteAllText(At(name + ".key"), rsa?.ExportPkcs8PrivateKeyPem() ?? ecdsa!.ExportPkcs8PrivateKeyPem());
        return issuer is null ? signed : useRsa ? signed.CopyWithPrivateKey(rsa!) : signed.CopyWithPrivateKey(ecdsa!);
    }
}
