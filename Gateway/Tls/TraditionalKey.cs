using System.Security.Cryptography;
using System.Text;

namespace OrleansRedis.Gateway;

/// <summary>
/// A private key that is encrypted as OpenSSL did before PKCS #8, which .NET does not read: "Proc-Type: 4,ENCRYPTED"
/// (RFC 1421), with a key that EVP_BytesToKey derives from the passphrase by MD5.
/// </summary>
internal static class TraditionalKey
{
    private const string Info = "DEK-Info:";

    /// <summary>Whether a PEM file has such a key.</summary>
    public static bool IsEncrypted(string pem) => pem.Contains("Proc-Type: 4,ENCRYPTED", StringComparison.Ordinal);

    /// <summary>The same key in PEM, but not encrypted.</summary>
    /// <exception cref="CryptographicException">The passphrase is wrong, or the file is broken.</exception>
    public static string Decrypt(string pem, string passphrase)
    {
        string[] lines = pem.Split('\n', StringSplitOptions.TrimEntries);
        int info = Array.FindIndex(lines, line => line.StartsWith(Info, StringComparison.Ordinal));
        int begin = info < 0 ? -1 : Array.FindLastIndex(lines, info, line => line.StartsWith("-----BEGIN ", StringComparison.Ordinal));
        int end = begin < 0 ? -1 : Array.FindIndex(lines, info, line => line.StartsWith("-----END ", StringComparison.Ordinal));
        if (end < 0 || lines[info][Info.Length..].Split(',', StringSplitOptions.TrimEntries) is not [string cipher, string initial])
            throw new CryptographicException("the encrypted key is broken");
        byte[] start = Convert.FromHexString(initial), bytes = Convert.FromBase64String(string.Concat(lines[(info + 1)..end]));
        using SymmetricAlgorithm algorithm = Algorithm(cipher);
        algorithm.Key = DeriveKey(passphrase, start, algorithm.KeySize / 8);
        string label = lines[begin]["-----BEGIN ".Length..].TrimEnd('-');
        return PemEncoding.WriteString(label, algorithm.DecryptCbc(bytes, start));
    }

    private static SymmetricAlgorithm Algorithm(string cipher)
    {
#pragma warning disable CA5350 // what OpenSSL once encrypted keys with
        if (cipher == "DES-EDE3-CBC") return TripleDES.Create();
#pragma warning restore CA5350
        Aes aes = Aes.Create();
        aes.KeySize = cipher switch
        {
            "AES-128-CBC" => 128,
            "AES-192-CBC" => 192,
            "AES-256-CBC" => 256,
            _ => throw new CryptographicException($"the key is encrypted with {cipher}, which is not supported"),
        };
        return aes;
    }

    private static byte[] DeriveKey(string passphrase, ReadOnlySpan<byte> start, int length)
    {
        byte[] key = [], salted = [.. Encoding.UTF8.GetBytes(passphrase), .. start[..8]], hash = [];
        while (key.Length < length)
        {
#pragma warning disable CA5351 // the format wants MD5
            hash = MD5.HashData([.. hash, .. salted]);
#pragma warning restore CA5351
            key = [.. key, .. hash];
        }
        return key[..length];
    }
}
