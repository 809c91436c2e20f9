using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OrleansRedis.Gateway;

/// <summary>Certificates and keys in PEM files, with errors in redis-server's words.</summary>
internal static class TlsFiles
{
    /// <summary>
    /// The server's certificate. Others may follow it in its file, which lead from it to a root and are sent with it.
    /// </summary>
    public static SslStreamCertificateContext LoadCertificate(string certFile, string keyFile, string keyPassphrase)
    {
        X509Certificate2Collection chain = [];
        try
        {
            chain.ImportFromPem(File.ReadAllText(certFile));
        }
        catch (Exception e) when (IsExpected(e))
        {
            throw new TlsConfigurationException($"Failed to load certificate: {certFile}: {e.Message}");
        }
        if (chain.Count == 0) throw new TlsConfigurationException($"Failed to load certificate: {certFile}: it holds no certificate in PEM");
        try
        {
            using X509Certificate2 first = chain[0];
            X509Certificate2 own = WithKey(first, File.ReadAllText(keyFile), keyPassphrase);
            chain.RemoveAt(0);
            // Offline: nothing is fetched from the addresses that the certificate names.
            return SslStreamCertificateContext.Create(own, chain, offline: true);
        }
        catch (Exception e) when (IsExpected(e))
        {
            throw new TlsConfigurationException($"Failed to load private key: {keyFile}: {e.Message}");
        }
    }

    /// <summary>The authorities in a file and in all files of a directory; an empty name stands for neither.</summary>
    public static X509Certificate2Collection LoadAuthorities(string file, string directory)
    {
        X509Certificate2Collection authorities = [];
        try
        {
            if (file.Length != 0)
            {
                authorities.ImportFromPem(File.ReadAllText(file));
                if (authorities.Count == 0) throw new CryptographicException($"{file} holds no certificate in PEM");
            }
            if (directory.Length != 0)
            {
                // Where c_rehash has been, each file is there twice.
                var seen = new HashSet<string>(authorities.Select(authority => authority.Thumbprint));
                foreach (string path in Directory.EnumerateFiles(directory))
                {
                    X509Certificate2Collection more = [];
                    more.ImportFromPem(File.ReadAllText(path));
                    foreach (X509Certificate2 authority in more)
                    {
                        if (seen.Add(authority.Thumbprint)) authorities.Add(authority);
                    }
                }
            }
        }
        catch (Exception e) when (IsExpected(e))
        {
            throw new TlsConfigurationException($"Failed to configure CA certificate(s) file/directory: {e.Message}");
        }
        return authorities;
    }

    private static X509Certificate2 WithKey(X509Certificate2 certificate, string key, string passphrase)
    {
        string own = certificate.ExportCertificatePem();
        if (key.Contains("ENCRYPTED PRIVATE KEY", StringComparison.Ordinal))
            return X509Certificate2.CreateFromEncryptedPem(own, key, passphrase);
        if (TraditionalKey.IsEncrypted(key)) key = TraditionalKey.Decrypt(key, passphrase);
        return X509Certificate2.CreateFromPem(own, key);
    }

    private static bool IsExpected(Exception e) =>
        e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException or FormatException;
}
