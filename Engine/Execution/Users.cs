using System.Security.Cryptography;

namespace OrleansRedis.Engine;

/// <summary>
/// Who may come in, by whatever door. There is one user, "default", whose password is requirepass; without one, any
/// password will do, as with Redis's "nopass".
/// </summary>
public static class Users
{
    /// <summary>Whether a user exists and has this password.</summary>
    public static bool Knows(ServerOptions options, ReadOnlySpan<byte> user, ReadOnlySpan<byte> password)
    {
        if (!user.SequenceEqual("default"u8)) return false;
        string required = options.RequirePass;
        if (required.Length == 0) return true;
        // Compares hashes, so that the time taken reveals nothing about the password, not even its length.
        Span<byte> theirs = stackalloc byte[SHA256.HashSizeInBytes], right = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(password, theirs);
        SHA256.HashData(ByteText.Encode(required), right);
        return CryptographicOperations.FixedTimeEquals(theirs, right);
    }
}
