using System.Net.Security;
using System.Runtime.InteropServices;

namespace OrleansRedis.Gateway;

/// <summary>
/// What tls-ciphers and tls-ciphersuites mean. Theirs is OpenSSL's own language ("DEFAULT:!MEDIUM:@STRENGTH", see
/// ciphers(1ssl)), whose words depend on its version; so OpenSSL is asked, which .NET's TLS stands on anyway. The
/// handshakes themselves are .NET's.
/// </summary>
internal static unsafe class OpenSslCiphers
{
    private static readonly string[] s_names = ["libssl.so.3", "libssl.so.1.1", "libssl.so"];

    /// <summary>The ciphers that these directives allow, the most preferred first. An empty one means the default.</summary>
    /// <exception cref="TlsConfigurationException">One of them names no cipher, or there is no OpenSSL.</exception>
    public static List<TlsCipherSuite> Expand(string ciphers, string ciphersuites)
    {
        nint library = 0;
        if (!OperatingSystem.IsLinux() || !s_names.Any(name => NativeLibrary.TryLoad(name, out library)))
            throw new TlsConfigurationException("Failed to configure ciphers: there is no OpenSSL on this system");
        var method = (delegate* unmanaged<nint>)NativeLibrary.GetExport(library, "TLS_method");
        var make = (delegate* unmanaged<nint, nint>)NativeLibrary.GetExport(library, "SSL_CTX_new");
        var free = (delegate* unmanaged<nint, void>)NativeLibrary.GetExport(library, "SSL_CTX_free");
        nint context = make(method());
        try
        {
            if (ciphers.Length != 0 && !TrySet(library, "SSL_CTX_set_cipher_list", context, ciphers))
                throw new TlsConfigurationException($"Failed to configure ciphers: {ciphers}");
            if (ciphersuites.Length != 0 && !TrySet(library, "SSL_CTX_set_ciphersuites", context, ciphersuites))
                throw new TlsConfigurationException($"Failed to configure ciphersuites: {ciphersuites}");
            return List(library, context);
        }
        finally
        {
            free(context);
        }
    }

    private static bool TrySet(nint library, string function, nint context, string words)
    {
        var set = (delegate* unmanaged<nint, nint, int>)NativeLibrary.GetExport(library, function);
        var forgetErrors = (delegate* unmanaged<void>)NativeLibrary.GetExport(library, "ERR_clear_error");
        nint text = Marshal.StringToCoTaskMemUTF8(words);
        bool isSet = set(context, text) == 1;
        Marshal.FreeCoTaskMem(text);
        forgetErrors(); // or this thread's next handshake would find them
        return isSet;
    }

    private static List<TlsCipherSuite> List(nint library, nint context)
    {
        var ciphersOf = (delegate* unmanaged<nint, nint>)NativeLibrary.GetExport(library, "SSL_CTX_get_ciphers");
        var count = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "OPENSSL_sk_num");
        var item = (delegate* unmanaged<nint, int, nint>)NativeLibrary.GetExport(library, "OPENSSL_sk_value");
        var number = (delegate* unmanaged<nint, ushort>)NativeLibrary.GetExport(library, "SSL_CIPHER_get_protocol_id");
        nint ciphers = ciphersOf(context);
        var suites = new List<TlsCipherSuite>();
        for (int i = 0; i < count(ciphers); i++) suites.Add((TlsCipherSuite)number(item(ciphers, i)));
        return suites;
    }
}
