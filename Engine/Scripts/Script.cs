using System.Security.Cryptography;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>The SHA-1 of a script, by which EVALSHA names it.</summary>
#pragma warning disable CA5350 // It protects nothing; it is what clients compute.
internal readonly record struct ScriptDigest(ulong First, ulong Second, uint Third)
{
    public const int HexLength = 40;

    public static ScriptDigest Of(ReadOnlySpan<byte> body)
    {
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
        SHA1.HashData(body, hash);
        return From(hash);
    }

    /// <summary>Reads forty hexadecimal digits in any case.</summary>
    public static bool TryParse(ReadOnlySpan<byte> hex, out ScriptDigest digest)
    {
        digest = default;
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
        if (hex.Length != HexLength) return false;
        if (Convert.FromHexString(hex, hash, out _, out _) != System.Buffers.OperationStatus.Done) return false;
        digest = From(hash);
        return true;
    }

    private static ScriptDigest From(ReadOnlySpan<byte> hash) =>
        new(MemoryMarshal.Read<ulong>(hash), MemoryMarshal.Read<ulong>(hash[8..]), MemoryMarshal.Read<uint>(hash[16..]));

    /// <summary>In lower case.</summary>
    public override string ToString()
    {
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
        MemoryMarshal.Write(hash, First);
        MemoryMarshal.Write(hash[8..], Second);
        MemoryMarshal.Write(hash[16..], Third);
        return Convert.ToHexStringLower(hash);
    }
}

/// <summary>A script of the cache: what EVAL has run or SCRIPT LOAD has loaded.</summary>
internal sealed class Script(ScriptDigest digest, byte[] body, ScriptFlags flags, int shebangLength) : ICallable
{
    public ScriptDigest Digest => digest;

    /// <summary>Its name in errors.</summary>
    public string Name { get; } = digest.ToString();

    public byte[] Body => body;

    public ScriptFlags Flags => flags;

    /// <summary>The program. The end of the first line stays, so that lines keep their numbers.</summary>
    public ReadOnlySpan<byte> Program => body.AsSpan(shebangLength);

    /// <summary>What is known about its gates.</summary>
    public ScriptTraits Traits { get; } = new();

    public bool IsReadOnly => (flags & ScriptFlags.NoWrites) != 0;

    /// <summary>Whether it has compiled. Until then nobody but its first EVAL sees it.</summary>
    public volatile bool IsLoaded;

    /// <summary>Whether it has been removed, so that threads may forget it, too.</summary>
    public volatile bool IsGone;

    /// <summary>Its place among those that EVAL has brought and that may be evicted; null for SCRIPT LOAD's.</summary>
    public LinkedListNode<Script>? Place { get; set; }
}
