using System.Security.Cryptography;
using OrleansRedis.Gateway;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Keys that <c>openssl ec -aes256</c> and the like encrypted before OpenSSL 3.</summary>
public sealed class TraditionalKeyTests
{
    /// <summary>The public half of the key that all of them are, which OpenSSL made for this test.</summary>
    private const string PublicKey =
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE19bbs3mIFznvrzYiNxm738fwsovOF3projgtgL8QgIwNlrm+2vpNP1sh9FrAWZ4+EShVsNJ7J2JTgtB3rvomog==";

    private const string Begin = "-----BEGIN EC PRIVATE KEY-----", End = "-----END EC PRIVATE KEY-----";

    [Theory]
    [InlineData("AES-128-CBC,E3A976540F4F3C10A0737D55A1832272",
        "G9s6JJH2KLiZr/HUuAXIz7ocNDbeRD3FmwUdtz2V/wSePelNcuoxqnjerxGsc23oVNyZKzdBi+B/sGhb1jfFwTJnUxo0oAXiAa2UW7sdexQXz6"
        + "c9xaoQp619C2ukOqDMmwr6RIJ6lkviaTip2jK6gZsK3ivtKCUBrja7timKfr0=")]
    [InlineData("AES-192-CBC,CD5FAAF82CADE95C49BF931A2C3791C5",
        "SyiY8kZGTdvZOYHize07+Y2+2gDH1syKWgNc3qXhxCxV7dvY9rmKSFVIOG22H2QVV/KAb5gH9eZKk/tE7xiIr5WjZo4mNBOEWOvTe/xIOnF7eu"
        + "wqQ2zzNUDweIpbrhA0M/6ao/Rt2JRIUPUv381oPDTG0Oh4ER99eJ3zp+H0xrE=")]
    [InlineData("AES-256-CBC,35AA265D4E1364404AD50F34684A29B5",
        "yZuZ+oruBHV8Hi6dcSkW8gZtr+8CDpGyfRhcu2xE2ciL3JZ4uZ+SWiHmAXTEf4zlUE/yu+P1bzmdzTvTIO1cknxaQOARZEBlb7XCMdqOPSP9OZ"
        + "z4Q4Sr1SdDHnM8Vcy/5LfK6lDhvvaWkMZXLF0uQH65G+mzYLhi1fcUFpudlqY=")]
    [InlineData("DES-EDE3-CBC,18ED4A9D4E099DF4",
        "WOIryW74MiBmXFMRkmZOk7DxjtezLNI+mZ1j99i5rJRcd9zduYY9e8F81nvkytL5nj+XDZSaDHfnTyldhHPzfDIodMSKVnva6dElH10fRQUYGK"
        + "JhMuf9I6lJ60Gw0UBkbBbUP+3NJS9fZi9UqvpODf9qfDXCoMxgbq3aKl9/v0I=")]
    public void Keys_that_openssl_has_encrypted_are_read(string information, string content)
    {
        string pem = $"""
            {Begin}
            Proc-Type: 4,ENCRYPTED
            DEK-Info: {information}

            {content}
            {End}
            """;
        Assert.True(TraditionalKey.IsEncrypted(pem));
        using ECDsa decrypted = ECDsa.Create();
        decrypted.ImportFromPem(TraditionalKey.Decrypt(pem, "sesame"));
        Assert.Equal(PublicKey, Convert.ToBase64String(decrypted.ExportSubjectPublicKeyInfo()));
        Assert.ThrowsAny<CryptographicException>(() => TraditionalKey.Decrypt(pem, "Sesame"));
    }

    [Theory]
    [InlineData("RC4-40,0011223344556677")]
    [InlineData("AES-256-CBC")]
    [InlineData("")]
    public void What_is_broken_is_refused(string information)
    {
        string pem = $"{Begin}\nProc-Type: 4,ENCRYPTED\nDEK-Info: {information}\n\nAAAA\n{End}";
        Assert.ThrowsAny<CryptographicException>(() => TraditionalKey.Decrypt(pem, "sesame"));
    }
}
